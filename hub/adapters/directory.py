"""``hub.directory``: reading it to a checked view and following it; publishing lists, freshness, key statements.

The topic is compacted: keys ``tl/<n>``, ``fresh``, ``key/<kid>`` (protocol section 2). Whoever judges anything reads it
to its end first (protocol section 5). A record that does not verify changes nothing and stops nothing: it is told once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from hub.adapters.reading import read_to_end
from hub.core.authority import Anchor, Freshness, TrustList, TrustView
from hub.core.effects import Alert
from hub.core.ids import KeyId, key_id
from hub.core.records import Outgoing, Place, Record
from hub.core.signing import Signer
from hub.core.topics import DIRECTORY
from hub.envelope.certificates import PathCache
from hub.envelope.trust import KeyStatement, encode_freshness, fold_directory, read_key_statement
from hub.errors import ComityError, Refused, UsageError, VerificationFailed
from hub.ports import Bus, Clock, Reader, Writer

PLACE: Final = Place(DIRECTORY, 0)
FRESH_KEY: Final = b"fresh"
FETCH_WAIT_MS: Final = 500  # how long one fetch waits: a new list is seen well within a second
FETCH_RECORDS_MAX: Final = 500
RETRY_SECONDS: Final = 2.0  # between attempts to reach a broker that is away
FRESHNESS_INTERVAL_SECONDS: Final = 3600.0  # of 24 h that a statement lasts: a day of broken publishing is noticed


def _keep_silent(_alert: Alert) -> None:
    """The alert callback of whoever has none."""


class Directory:
    """The directory as folded so far: a pure fold of records, whoever reads them."""

    def __init__(self, anchor: Anchor) -> None:
        self._anchor = anchor
        self._paths = PathCache()
        self.view = TrustView()
        self.statements: Mapping[KeyId, KeyStatement] = MappingProxyType({})
        self._latest: dict[KeyId, bytes] = {}  # the newest bytes per key, believed or not
        self._believed: dict[KeyId, bytes] = {}  # the newest bytes that did verify

    def take(self, record: Record) -> list[Alert]:
        """Fold one record; the alerts say what was refused and why."""
        try:
            if record.key is not None and record.key.startswith(b"key/"):
                return self._take_statement(record.key, record.value)
            before = self.view
            self.view = fold_directory(before, record.key, record.value, self._anchor)
        except (Refused, VerificationFailed) as error:
            return [Alert(error.code, f"{DIRECTORY}/{record.offset}", error.sentence)]
        if self.view.lists is not before.lists:
            self._take_list(before.newest if before.lists else None)
        return []

    def _take_list(self, before: TrustList | None) -> None:
        """Judge anew what a new list changes: a removed key's statement goes, one that came early counts at last."""
        known = {} if before is None else before.authorities
        same = {name for name, member in self.view.newest.authorities.items() if known.get(name) == member}
        stale = [
            kid for kid in self._latest if kid not in self.statements or self.statements[kid].authority not in same
        ]
        self._judge_all(stale)  # silently: a key that a later list drops is no incident

    def _take_statement(self, key: bytes, value: bytes | None) -> list[Alert]:
        kid = key_id(key.removeprefix(b"key/").decode("ascii", "replace"))
        if value is None:
            raise Refused("statement-removed", "A key statement was removed; statements stay for ever.")
        self._latest[kid] = value
        # A statement that comes before any list waits for it.
        return self._judge_all([kid]) if self.view.lists else []

    def _judge_all(self, kids: Sequence[KeyId]) -> list[Alert]:
        alerts: list[Alert] = []
        statements = dict(self.statements)
        for kid in kids:
            statement, refusals = self._judge(kid, self.view.newest)
            alerts += refusals
            statements.pop(kid, None)
            if statement is not None:
                statements[kid] = statement
        if statements != self.statements:
            self.statements = MappingProxyType(statements)
        return alerts

    def _judge(self, kid: KeyId, trust: TrustList) -> tuple[KeyStatement | None, list[Alert]]:
        """The newest statement that verifies: garbage under a key's name does not take the key away."""
        refusals: list[Alert] = []
        for data in dict.fromkeys(filter(None, (self._latest.get(kid), self._believed.get(kid)))):
            try:
                statement = read_key_statement(data, trust, paths=self._paths)
                if statement.key.id != kid:
                    raise VerificationFailed("statement-misplaced", "A key statement lies under another key's id.")
            except (Refused, VerificationFailed) as error:
                refusals.append(Alert(error.code, f"key/{kid}", error.sentence))
            else:
                self._believed[kid] = data
                return statement, refusals
        return None, refusals


class DirectoryFollower:
    """Reads ``hub.directory`` to its end, then follows it in a task until ``close``.

    ``alert`` is told of every record that was refused and of a broker that cannot be reached; it must not block.
    """

    def __init__(self, bus: Bus, anchor: Anchor, *, alert: Callable[[Alert], None] = _keep_silent) -> None:
        self._bus = bus
        self._alert = alert
        self._directory = Directory(anchor)
        self._reader: Reader | None = None
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    @property
    def view(self) -> TrustView:
        """The lists and the newest freshness statement, as of now."""
        return self._directory.view

    @property
    def statements(self) -> Mapping[KeyId, KeyStatement]:
        """The key statements that the newest list vouches for."""
        return self._directory.statements

    async def start(self) -> None:
        """Read to the end, then go on in the background. Raises as ``read_directory``."""
        reader = await self._bus.reader({PLACE: 0})
        try:
            async for record in read_to_end(reader, frozenset({PLACE})):
                self._take(record)
        except ComityError:
            await reader.close()
            raise
        self._reader = reader
        self._task = asyncio.create_task(self._follow(), name="directory")

    async def changed(self) -> None:
        """Wait for the next record that changes the view or the statements."""
        await self._changed.wait()

    async def close(self) -> None:
        """Stop following; the view stays readable."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._drop_reader()

    def _take(self, record: Record) -> None:
        before = self.view, self.statements
        for alert in self._directory.take(record):
            self._alert(alert)
        if self.view is not before[0] or self.statements is not before[1]:
            self._changed.set()
            self._changed = asyncio.Event()

    async def _follow(self) -> None:
        """Fetch for ever. A broker that is away makes the list stale in time, and then nothing is judged."""
        told = ""
        position = self._reader.position(PLACE) if self._reader is not None else 0
        while True:
            try:
                if self._reader is None:
                    self._reader = await self._bus.reader({PLACE: position})
                for record in await self._reader.fetch(wait_ms=FETCH_WAIT_MS, records_max=FETCH_RECORDS_MAX):
                    self._take(record)
                position = self._reader.position(PLACE)
                told = ""
            except ComityError as error:
                if error.code != told:
                    self._alert(Alert(error.code, DIRECTORY, error.sentence))
                told = error.code
                await self._drop_reader()
                await asyncio.sleep(RETRY_SECONDS)

    async def _drop_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            with contextlib.suppress(ComityError):
                await reader.close()


async def read_directory(bus: Bus, anchor: Anchor, *, alert: Callable[[Alert], None] = _keep_silent) -> Directory:
    """The directory as it is now, for whoever asks once.

    Raises ``Unreachable`` (also when its end is not reached: nothing is judged on half a directory), ``NotPermitted``,
    ``UsageError(topic-unknown)``.
    """
    directory = Directory(anchor)
    reader = await bus.reader({PLACE: 0})
    try:
        async for record in read_to_end(reader, frozenset({PLACE})):
            for told in directory.take(record):
                alert(told)
    finally:
        await reader.close()
    return directory


def trust_list_record(number: int, data: bytes) -> Outgoing:
    """The record of a signed list: each number has its own key, so that compaction loses none."""
    return Outgoing(DIRECTORY, b"tl/%d" % number, data)


def freshness_record(data: bytes) -> Outgoing:
    """The record of a signed freshness statement."""
    return Outgoing(DIRECTORY, FRESH_KEY, data)


def key_statement_record(key: KeyId, data: bytes) -> Outgoing:
    """The record of a signed key statement: keyed by ``kid``, or compaction would drop what archives need."""
    return Outgoing(DIRECTORY, f"key/{key}".encode(), data)


async def publish(bus: Bus, records: Sequence[Outgoing]) -> None:
    """Write records to ``hub.directory``, in order. Raises ``NotPermitted``, ``Unreachable``."""
    writer = await bus.writer()
    try:
        await writer.send(records)
    finally:
        await writer.close()


def sign_freshness(trust: TrustList, signers: Sequence[Signer], *, now_ms: int) -> Outgoing:
    """The record that says: this list is the newest one at ``now_ms``."""
    return freshness_record(encode_freshness(Freshness(trust.number, now_ms), trust.deployment, signers=signers))


async def freshness_loop(
    bus: Bus,
    signers: Sequence[Signer],
    *,
    follower: DirectoryFollower,
    clock: Clock,
    interval_seconds: float = FRESHNESS_INTERVAL_SECONDS,
    alert: Callable[[Alert], None] = _keep_silent,
) -> None:
    """Publish a freshness statement now, at every new list and every interval, until cancelled.

    A list that has expired gets none: its silence is what makes everybody hold. The newest list known to ``follower``
    (already started) is the one that is stated.
    """
    writer: Writer | None = None
    stated, told = 0, ""
    while True:
        try:
            newest = _unexpired(follower.view.newest, clock.now_ms())
            writer = writer or await bus.writer()
            await writer.send([sign_freshness(newest, signers, now_ms=clock.now_ms())])
            stated, told = newest.number, ""
        except ComityError as error:
            if error.code != told:
                alert(Alert(error.code, DIRECTORY, error.sentence))
            told = error.code
            await asyncio.sleep(RETRY_SECONDS)
            continue
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(interval_seconds):
                while follower.view.newest.number == stated:
                    await follower.changed()


def _unexpired(trust: TrustList, now_ms: int) -> TrustList:
    if now_ms > trust.next_update_ms:
        raise UsageError(
            "trust-list-expired", f"Trust list {trust.number} has expired; the secretariat must sign a new one."
        )
    return trust
