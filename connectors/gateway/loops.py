"""The gateway's shells: they do what the other modules decide, and wait. Crash-only: every loop starts from the store.

::

    national system ─▶ hand-ins ─▶ files to the object store ─▶ sealing ─▶ publish ─▶ outbox.<me>
    national system ◀─ results  ◀─ hand over ◀────────────────── receive ◀────────── inbox.<me>

Each loop works as soon as something wakes it, in batches of what waits, and looks again from time to time, since whoever
wakes it may have been killed. An error of the family is told once and tried again later; anything else is a fault of ours and ends the process.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from connectors.gateway.drafts import KeptDraft, StoredObject
from connectors.gateway.handover import HandOver, Ready, deliver, tell
from connectors.gateway.objects import ObjectStore
from connectors.gateway.receiving import Receiver
from connectors.gateway.sending import Parcel, Sender
from connectors.ports import Correspondent, HandIn, NationalSystem, Problem, Unusable
from connectors.seal.attachments import encrypt_stream, object_name
from connectors.seal.content import ATTACHMENT_KEY_BYTES
from hub.adapters.directory import DirectoryFollower
from hub.core.effects import Alert
from hub.core.ids import AuthorityId
from hub.core.records import Place, Record
from hub.core.topics import inbox as inbox_topic
from hub.errors import ComityError, Held, Refused, UsageError
from hub.ports import Bus, Chance, Clock, Writer

SCAN_SECONDS: Final = 1.0  # the rescan of the national system is the truth
TICK_SECONDS: Final = 1.0  # how often what waits for a time is looked at
TICK_MS: Final = 1_000
RETRY_SECONDS: Final = 2.0
HAND_INS_AT_ONCE: Final = 100
FETCH_WAIT_MS: Final = 500
FETCH_RECORDS_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a gateway is made of; ``connectors.bootstrap`` puts it together."""

    me: AuthorityId
    bus: Bus
    follower: DirectoryFollower  # started
    sender: Sender
    receiver: Receiver
    handover: HandOver
    objects: ObjectStore
    system: NationalSystem
    clock: Clock
    chance: Chance
    alert: Callable[[Alert], None]
    scan_seconds: float = SCAN_SECONDS


class Gateway:
    """One authority's gateway: ``run`` until ``stop``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._stopping = asyncio.Event()
        self._to_scan = asyncio.Event()  # the national system says that something waits
        self._to_send = asyncio.Event()  # something may be sealed or published
        self._to_hand_over = asyncio.Event()
        self._to_tell = asyncio.Event()
        self._told: dict[str, str] = {}
        self._listed: set[str] = set()  # by the last scan
        self._sealed: list[Parcel] = []  # to be published now
        self._looked_ms = 0  # when for bytes that wait for their receipt too long
        self._again_seconds = TICK_SECONDS  # when receipts that wait for company are due

    def stop(self) -> None:
        """Ask for a clean stop: running steps end, nothing new begins."""
        self._stopping.set()
        self._to_scan.set()
        self._wake()

    async def run(self) -> None:
        """All loops, until ``stop``. Raises what is no error of the family, as an ``ExceptionGroup``."""
        loop = asyncio.get_running_loop()
        self._parts.system.watch(lambda: _set_soon(loop, self._to_scan))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat(self.scan, self._to_scan, self._parts.scan_seconds), name="hand-ins")
            group.create_task(self._receive_for_ever(), name="receive")
            group.create_task(self._repeat(self.hand_over, self._to_hand_over, TICK_SECONDS), name="hand-over")
            group.create_task(self._repeat(self.tell, self._to_tell, TICK_SECONDS), name="results")
            group.create_task(self._send_for_ever(), name="send")
            trust = group.create_task(self._follow_trust(), name="trust")
            await self._stopping.wait()
            trust.cancel()

    async def _repeat(self, work: Callable[[], Awaitable[bool]], wake: asyncio.Event, seconds: float) -> None:
        """Work while there is more of it, then when woken."""
        while not self._stopping.is_set():
            wake.clear()
            more = False
            with self._told_once(work.__name__):
                more = await work()
            if not more:
                await _wait(wake, seconds)

    @contextlib.contextmanager
    def _told_once(self, subject: str) -> Iterator[None]:
        """An error of the family is told when it begins, and again when another one takes its place."""
        try:
            yield
        except ComityError as error:
            self._alert_once(subject, Alert(error.code, subject, error.sentence))
        else:
            self._told.pop(subject, None)

    def _alert_once(self, subject: str, alert: Alert) -> None:
        if self._told.get(subject) != alert.code:
            self._parts.alert(alert)
        self._told[subject] = alert.code

    # --- out ------------------------------------------------------------------------------------

    async def scan(self) -> bool:
        """Take in what the national system hands in, and upload its files. True when there may be more."""
        parts = self._parts
        found = await asyncio.to_thread(parts.system.outgoing)
        before, self._listed = self._listed, {each.key for each in found}
        hand_ins = [each for each in found if isinstance(each, HandIn)]
        for each in found:
            if isinstance(each, Unusable):
                await self._reject(each.key, each.code, each.sentence)
        first: ComityError | None = None
        for start in range(0, len(hand_ins), HAND_INS_AT_ONCE):
            if self._stopping.is_set():
                return False
            try:
                await self._take(hand_ins[start : start + HAND_INS_AT_ONCE])
            except ComityError as error:  # the object store is away: a hand-in without files need not wait for it
                first = first or error
        for message in parts.sender.lost_drafts(parts.system.waits):
            parts.alert(Alert("hand-in-vanished", message, "A hand-in was taken away before its files were read."))
            self._to_tell.set()
        if first is not None:
            raise first
        return not self._listed <= before  # what stays listed is no reason to look again at once

    async def _take(self, hand_ins: Sequence[HandIn]) -> None:
        """Keep hand-ins, and those without files are done. Raises the first error of an object store, after all."""
        parts = self._parts
        outcomes = parts.sender.take(hand_ins, now_ms=parts.clock.now_ms())
        pairs = list(zip(hand_ins, outcomes, strict=True))
        whole = [hand_in.key for hand_in, outcome in pairs if outcome is None]
        if whole:
            await asyncio.to_thread(_all_taken, parts.system, whole)
            self._to_send.set()
        first: ComityError | None = None
        for hand_in, outcome in pairs:
            if isinstance(outcome, UsageError):
                await self._reject(hand_in.key, outcome.code, outcome.sentence)
            elif outcome is not None and not self._stopping.is_set():
                try:
                    await self._take_files(hand_in, outcome)
                except ComityError as error:
                    first = first or error
        if first is not None:
            raise first

    async def _take_files(self, hand_in: HandIn, draft: KeptDraft) -> None:
        parts = self._parts
        try:
            objects = [await asyncio.to_thread(self._upload, hand_in, draft, n + 1) for n in range(len(draft.files))]
        except UsageError as error:
            parts.sender.unusable(draft, error.code, error.sentence)
            self._to_tell.set()
        else:
            parts.sender.uploaded(replace(draft, objects=tuple(objects)))
            self._to_send.set()
        await asyncio.to_thread(parts.system.taken, hand_in.key)

    def _upload(self, hand_in: HandIn, draft: KeptDraft, number: int) -> StoredObject:
        parts, file = self._parts, draft.files[number - 1]
        key = parts.chance.bytes(ATTACHMENT_KEY_BYTES)
        uri = object_name(parts.me, parts.chance)
        content = parts.system.content(hand_in, number)
        stream = encrypt_stream(content, key=key, message=draft.id, number=number)
        parts.objects.put(uri, stream)
        reference = stream.sealed(name=file.name, media_type=file.media_type, uri=uri).reference
        return StoredObject(uri, reference.length, reference.digest, key)

    async def _reject(self, key: str, code: str, sentence: str) -> None:
        self._parts.alert(Alert(code, self._parts.me, "A hand-in cannot become a message; failed/ says why."))
        problem = Problem(key=key, code=code, sentence=sentence)
        await asyncio.to_thread(self._parts.system.problem, problem)

    async def _send_for_ever(self) -> None:
        writer: Writer | None = None
        while not self._stopping.is_set():
            self._to_send.clear()
            try:
                self.seal()
                writer = writer or await self._parts.bus.writer()
                while await self.publish(writer):
                    self.seal()
                self._told.pop("send", None)
            except ComityError as error:
                self._alert_once("send", Alert(error.code, self._parts.me, error.sentence))
                await _close(writer)
                writer = None
                await _wait(self._stopping, RETRY_SECONDS)
            await _wait(self._to_send, self._again_seconds)
        await _close(writer)

    def seal(self) -> None:
        """Seal what may be sealed, up to a batch, for ``publish``."""
        parts = self._parts
        batch = parts.sender.seal_waiting(parts.follower.view, parts.follower.statements, now_ms=parts.clock.now_ms())
        self._sealed += batch.parcels
        self._again_seconds = TICK_SECONDS if batch.again_in_ms is None else min(TICK_SECONDS, batch.again_in_ms / 1000)
        for alert in batch.alerts:
            self._alert_once(f"seal {alert.subject}", alert)
        if not batch.alerts:
            self._told = {subject: code for subject, code in self._told.items() if not subject.startswith("seal ")}
        if batch.failed:
            self._to_tell.set()

    async def publish(self, writer: Writer) -> bool:
        """Publish what was sealed, and from time to time what waits for its receipt too long; False when nothing did."""
        now_ms = self._parts.clock.now_ms()
        parcels, self._sealed = self._sealed, []
        if not parcels or now_ms - self._looked_ms >= TICK_MS:
            self._looked_ms = now_ms
            parcels = [*self._parts.sender.to_publish(now_ms=now_ms), *parcels]
        if parcels:
            positions = await writer.send([parcel.record for parcel in parcels])
            self._parts.sender.published(
                [(parcel, position.offset) for parcel, position in zip(parcels, positions, strict=True)]
            )
        return bool(parcels)

    # --- in -------------------------------------------------------------------------------------

    async def _receive_for_ever(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._receive()
            except ComityError as error:
                self._alert_once("receive", Alert(error.code, self._parts.me, error.sentence))
                await _wait(self._stopping, RETRY_SECONDS)

    async def _receive(self) -> None:
        parts = self._parts
        place = Place(inbox_topic(parts.me), 0)
        reader = await parts.bus.reader({place: parts.receiver.next_offset()})
        try:
            while not self._stopping.is_set():
                records = await reader.fetch(wait_ms=FETCH_WAIT_MS, records_max=FETCH_RECORDS_MAX)
                self._told.pop("receive", None)
                while records and not self._stopping.is_set():
                    records = records[await self._take_records(records) :]
        finally:
            with contextlib.suppress(ComityError):
                await reader.close()

    async def _take_records(self, records: Sequence[Record]) -> int:
        """Store what can be stored; how many that were. Waits when the first of them has to wait for a trust list."""
        parts = self._parts
        try:
            taken = parts.receiver.take(records, parts.follower.view, now_ms=parts.clock.now_ms())
        except Held as held:
            self._alert_once("trust", Alert(held.code, parts.me, held.sentence))
            await _wait(self._stopping, RETRY_SECONDS)
            return 0
        self._told.pop("trust", None)
        for alert in taken.alerts:
            parts.alert(alert)
        self._wake()
        return taken.count

    def _wake(self) -> None:
        for event in (self._to_send, self._to_hand_over, self._to_tell):
            event.set()

    async def hand_over(self) -> bool:
        """Hand stored messages over, in each pair's order; a pair whose store does not answer holds up nobody else.

        True when there may be more.
        """
        held_up: set[AuthorityId] = set()
        errors: list[ComityError] = []
        batch: list[Ready] = []
        waiting = self._parts.handover.waiting()
        for message in waiting:
            if self._stopping.is_set() or message.sender in held_up:
                continue
            try:
                ready = self._parts.handover.prepare(message)
            except ComityError as error:
                errors.append(error)
                held_up.add(message.sender)
                continue
            if ready.has_files:  # alone, for it may take long
                await self._hand_over(batch, held_up, errors)
                batch = []
                if message.sender not in held_up:
                    await self._hand_over([ready], held_up, errors)
            else:
                batch.append(ready)
        await self._hand_over(batch, held_up, errors)
        if errors:
            raise errors[0]
        return bool(waiting) and not held_up

    async def _hand_over(self, batch: Sequence[Ready], held_up: set[AuthorityId], errors: list[ComityError]) -> None:
        if not batch:
            return
        handover = self._parts.handover
        outcomes = await asyncio.to_thread(deliver, self._parts.system, batch)
        handover.done([ready for ready, outcome in zip(batch, outcomes, strict=True) if outcome is None])
        for ready, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Refused):
                self._parts.alert(Alert(outcome.code, ready.message.id, "A message's files do not verify."))
                moved = handover.failed(ready, outcome)
            else:
                moved = outcome is None
                errors += [] if outcome is None else [outcome]
            if not moved:
                held_up.add(ready.message.sender)
        self._to_send.set()
        self._to_tell.set()

    async def tell(self) -> bool:
        """Tell the national system every result; one that it cannot take holds up nothing but itself.

        True when there may be more.
        """
        news = self._parts.handover.untold()
        if not news:
            return False
        told, error = await asyncio.to_thread(tell, self._parts.system, news)
        self._parts.handover.told(told)
        if error is not None:
            raise error
        return True

    # --- trust ----------------------------------------------------------------------------------

    async def _follow_trust(self) -> None:
        """Each new list: judge anew what did not verify, tell the national system whom it can write to."""
        announced = 0
        while True:
            number = max(self._parts.follower.view.lists, default=0)
            with self._told_once("announce"):
                if number != announced:
                    await asyncio.to_thread(self._parts.system.announce, self._correspondents())
                    announced = number
            with self._told_once("judge-again"):
                view, now_ms = self._parts.follower.view, self._parts.clock.now_ms()
                for alert in self._parts.receiver.judge_again(view, now_ms=now_ms):
                    self._parts.alert(alert)
            self._wake()
            await self._parts.follower.changed()

    def _correspondents(self) -> list[Correspondent]:
        now_ms = self._parts.clock.now_ms()
        lists = self._parts.follower.view.lists
        known = lists[max(lists)].authorities.values() if lists else ()
        return [
            Correspondent(each.id, each.name, each.status_at(now_ms).value)
            for each in known
            if each.id != self._parts.me
        ]


def _all_taken(system: NationalSystem, keys: Sequence[str]) -> None:
    for key in keys:
        system.taken(key)


def _set_soon(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    """Set it, from any thread; nothing once the loop has ended."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(event.set)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def _close(writer: Writer | None) -> None:
    if writer is not None:
        with contextlib.suppress(ComityError):
            await writer.close()
