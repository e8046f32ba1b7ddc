"""The gateway's shells: they do what the other modules decide, and wait. Crash-only: every loop starts from the store.

::

    national system ─▶ hand-ins ─▶ files to the object store ─▶ sealing ─▶ publish ─▶ outbox.<me>
    national system ◀─ results  ◀─ hand over ◀────────────────── receive ◀────────── inbox.<me>

An error of the family is told once and tried again later; anything else is a fault of ours and ends the process.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from connectors.gateway.drafts import KeptDraft, StoredObject
from connectors.gateway.handover import HandOver, Ready, tell
from connectors.gateway.inbox import IncomingMessage
from connectors.gateway.objects import ObjectStore
from connectors.gateway.receiving import Receiver
from connectors.gateway.sending import Sender
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
RETRY_SECONDS: Final = 2.0
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
        self._to_send = asyncio.Event()  # something may be sealed or published
        self._to_hand_over = asyncio.Event()
        self._to_tell = asyncio.Event()
        self._told: dict[str, str] = {}

    def stop(self) -> None:
        """Ask for a clean stop: running steps end, nothing new begins."""
        self._stopping.set()
        for event in (self._to_send, self._to_hand_over, self._to_tell):
            event.set()

    async def run(self) -> None:
        """All loops, until ``stop``. Raises what is no error of the family, as an ``ExceptionGroup``."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat(self.scan, None, self._parts.scan_seconds), name="hand-ins")
            group.create_task(self._receive_for_ever(), name="receive")
            group.create_task(self._repeat(self.hand_over, self._to_hand_over, TICK_SECONDS), name="hand-over")
            group.create_task(self._repeat(self.tell, self._to_tell, TICK_SECONDS), name="results")
            group.create_task(self._send_for_ever(), name="send")
            trust = group.create_task(self._follow_trust(), name="trust")
            await self._stopping.wait()
            trust.cancel()

    async def _repeat(self, work: Callable[[], Awaitable[None]], wake: asyncio.Event | None, seconds: float) -> None:
        while not self._stopping.is_set():
            with self._told_once(work.__name__):
                await work()
            await _wait(wake or self._stopping, seconds)
            if wake is not None:
                wake.clear()

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

    async def scan(self) -> None:
        """Take in what the national system hands in, and upload its files."""
        parts = self._parts
        first: ComityError | None = None
        for each in await asyncio.to_thread(parts.system.outgoing):
            if self._stopping.is_set():
                return
            if isinstance(each, Unusable):
                await self._reject(each.key, each.code, each.sentence)
                continue
            try:
                await self._take(each)
            except UsageError as error:
                await self._reject(each.key, error.code, error.sentence)
            except ComityError as error:  # the object store is away: a hand-in without files need not wait for it
                first = first or error
        for message in parts.sender.lost_drafts(parts.system.waits):
            parts.alert(Alert("hand-in-vanished", message, "A hand-in was taken away before its files were read."))
            self._to_tell.set()
        if first is not None:
            raise first

    async def _take(self, hand_in: HandIn) -> None:
        parts = self._parts
        draft = parts.sender.take(hand_in, now_ms=parts.clock.now_ms())
        if draft is not None:
            try:
                objects = [
                    await asyncio.to_thread(self._upload, hand_in, draft, n + 1) for n in range(len(draft.files))
                ]
            except UsageError as error:
                parts.sender.unusable(draft, error.code, error.sentence)
                self._to_tell.set()
                await asyncio.to_thread(parts.system.taken, hand_in.key)
                return
            parts.sender.uploaded(replace(draft, objects=tuple(objects)))
        await asyncio.to_thread(parts.system.taken, hand_in.key)
        self._to_send.set()

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
            await _wait(self._to_send, TICK_SECONDS)
            self._to_send.clear()
        await _close(writer)

    def seal(self) -> None:
        """Seal what may be sealed, receipts first."""
        parts = self._parts
        alerts = parts.sender.seal_waiting(parts.follower.view, parts.follower.statements, now_ms=parts.clock.now_ms())
        for alert in alerts:
            self._alert_once(f"seal {alert.subject}", alert)
        if not alerts:
            self._told = {subject: code for subject, code in self._told.items() if not subject.startswith("seal ")}
        self._to_tell.set()

    async def publish(self, writer: Writer) -> bool:
        """Publish sealed bytes that wait, or wait again; False when there were none."""
        parcels = self._parts.sender.to_publish(now_ms=self._parts.clock.now_ms())
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
                for record in records:
                    await self._take_record(record)
                    if self._stopping.is_set():
                        return
        finally:
            with contextlib.suppress(ComityError):
                await reader.close()

    async def _take_record(self, record: Record) -> None:
        parts = self._parts
        while not self._stopping.is_set():
            try:
                alerts = parts.receiver.take(record, parts.follower.view, now_ms=parts.clock.now_ms())
            except Held as held:
                self._alert_once("trust", Alert(held.code, parts.me, held.sentence))
                await _wait(self._stopping, RETRY_SECONDS)
                continue
            self._told.pop("trust", None)
            for alert in alerts:
                parts.alert(alert)
            self._wake()
            return

    def _wake(self) -> None:
        for event in (self._to_send, self._to_hand_over, self._to_tell):
            event.set()

    async def hand_over(self) -> None:
        """Hand stored messages over, in each pair's order; a pair whose store does not answer holds up nobody else."""
        waiting_pairs: set[AuthorityId] = set()
        first: ComityError | None = None
        for message in self._parts.handover.waiting():
            if self._stopping.is_set() or message.sender in waiting_pairs:
                continue
            try:
                moved = await self._hand_over_one(message)
            except ComityError as error:
                first = first or error
                moved = False
            if not moved:
                waiting_pairs.add(message.sender)
        if first is not None:
            raise first

    async def _hand_over_one(self, message: IncomingMessage) -> bool:
        handover, system = self._parts.handover, self._parts.system
        ready: Ready = handover.prepare(message)
        try:
            await asyncio.to_thread(system.deliver, ready.delivery, ready.content)
        except Refused as error:
            self._parts.alert(Alert(error.code, message.id, "A message's files do not verify."))
            moved = handover.failed(message, ready.manifest, error)
        else:
            handover.done(ready)
            moved = True
        self._to_send.set()
        self._to_tell.set()
        return moved

    async def tell(self) -> None:
        """Tell the national system every result; one that it cannot take holds up nothing but itself."""
        first: ComityError | None = None
        for result in self._parts.handover.untold():
            if self._stopping.is_set():
                return
            try:
                await asyncio.to_thread(tell, self._parts.system, self._parts.handover.news(result))
            except ComityError as error:
                first = first or error
            else:
                self._parts.handover.told(result)
        if first is not None:
            raise first

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


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def _close(writer: Writer | None) -> None:
    if writer is not None:
        with contextlib.suppress(ComityError):
            await writer.close()
