"""One shard of the router at work: take over, then fetch, check, route and commit, for as long as it is ours.

Crash-only: nothing that a transaction did not commit is kept. Every error ends the shard; whether it is begun anew or
the process ends is for ``hub.streams.router`` to say.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, TypeVar

from hub.adapters.reading import read_to_end
from hub.core.access import shard_id
from hub.core.authority import TrustList, TrustView
from hub.core.effects import Alert
from hub.core.ids import AuthorityId, slot
from hub.core.limits import TOUCHED_PARTITIONS_MAX
from hub.core.receipts import Level
from hub.core.records import Outgoing, Place, Record
from hub.core.shard import ShardState
from hub.core.topics import LEDGER, QUARANTINE, SHARDS, inbox, is_inbox, outbox, outbox_owner
from hub.envelope.certificates import PathCache
from hub.envelope.checking import Judged
from hub.errors import ComityError, Held, NotPermitted, PartitionBroken, UsageError
from hub.flow import Checked, Routing, Sign, check, quarantine_place, route
from hub.ports import Bus, Clock, Reader, TransactionalWriter
from hub.streams.holds import Cause, Holds
from hub.streams.metrics import Metrics, RouterMetrics
from hub.wire.shards import decode_state

FETCH_WAIT_MS: Final = 200  # how long an idle shard sleeps in one call
FETCH_RECORDS_MAX: Final = 100  # of one outbox at a time, so that a long one does not fill the batch
HELD_SECONDS: Final = 0.5  # without a fresh trust list: until the next look
TOPICS_SECONDS: Final = 2.0  # while topics are missing: until the next look
CHUNK_RECORDS: Final = 25  # some 10 ms in a thread of ``compute``, so that shards take turns

T = TypeVar("T")


class Directory(Protocol):
    """The trust lists, as they come in (``hub.adapters.directory.DirectoryFollower``)."""

    @property
    def view(self) -> TrustView:
        """All lists and the newest freshness statement, as of now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all shards of a worker share."""

    bus: Bus
    directory: Directory
    clock: Clock
    sign: Sign
    paths: PathCache
    alert: Callable[[Alert], None]
    compute: Executor
    metrics: Metrics
    router_metrics: RouterMetrics
    batch_messages_max: int
    batch_bytes_max: int


class Aborted(ComityError):
    """A transaction was surely aborted: begin this shard anew; the others go on."""


class Shard:
    """Shard ``number``, from take-over to the end. ``holds`` outlives it."""

    def __init__(self, number: int, around: Surroundings, holds: Holds) -> None:
        self.number = number
        self.progress = asyncio.get_running_loop().time()  # when it last did something, for the watchdog
        self.ready = False
        self._around = around
        self._holds = holds
        self._state = ShardState()
        self._writer: TransactionalWriter | None = None
        self._reader: Reader | None = None
        self._owners: frozenset[AuthorityId] = frozenset()
        self._paused: set[AuthorityId] = set()
        self._missing: frozenset[AuthorityId] = frozenset()
        self._left: list[Judged] = []  # judged by the list in force, did not fit into the last transaction
        self._looked = 0.0
        self._list_number = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; the running transaction is finished. Raises every error of the bus, ``Aborted``."""
        try:
            await self._take_over()
            while not stop.is_set():
                self.progress = self._now()
                try:
                    trust = self._around.directory.view.fresh(self._around.clock.now_ms())
                except Held:
                    # Nothing is judged and nothing refused (protocol section 5); the router's readiness says why.
                    await asyncio.sleep(HELD_SECONDS)
                    continue
                await self._follow(trust)
                self._resume_due()
                records = await self._gather()
                if records or self._left:
                    await self._work(records, trust)
        finally:
            await self._close()

    # --- take-over and topics ---------------------------------------------------------------------

    async def _take_over(self) -> None:
        """The order of router rule 1: fence the old owner first, then read what it left, then read on."""
        self._writer = await self._around.bus.transactional_writer(shard_id(self.number))
        changelog = await self._around.bus.reader({Place(SHARDS, self.number): 0})
        try:
            if await changelog.undecided():
                await self._end_what_hangs()
            self._state = decode_state([record async for record in read_to_end(changelog)])
        finally:
            await changelog.close()
        self._reader = await self._around.bus.reader({})
        self.ready = True

    async def _end_what_hangs(self) -> None:
        """Abort what the old owner left open, where the broker lost sight of it when it was fenced.

        Only this shard writes to its changelog, and every routing transaction does: if nothing hangs there, nothing
        hangs. Else the next transaction's marker would commit the old records too. The changelog comes last, so that
        whoever takes over after a crash in here begins again.
        """
        topics = await self._around.bus.partitions()
        written = [each for each in topics if is_inbox(each) or each in {LEDGER, QUARANTINE}]
        places = [Place(topic, partition) for topic in written for partition in range(topics[topic])]
        for start in range(0, len(places), TOUCHED_PARTITIONS_MAX):
            await self._writing().void([_nothing(each) for each in places[start : start + TOUCHED_PARTITIONS_MAX]])
        await self._writing().void([_nothing(Place(SHARDS, self.number))])
        self._around.alert(
            Alert("transaction-hung", f"shard {self.number}", "The broker had left a transaction open; it was aborted.")
        )

    async def _follow(self, trust: TrustList) -> None:
        """Take new authorities up, and look for topics that are missing. No restart is needed."""
        if trust.number == self._list_number and not (self._missing and self._now() >= self._looked + TOPICS_SECONDS):
            return
        if trust.number != self._list_number:
            self._holds.new_list()
            self._read_again({outbox_owner(each.record.topic) for each in self._left})
        topics = await self._around.bus.partitions()
        self._looked, self._list_number = self._now(), trust.number
        self._missing = frozenset(each for each in trust.authorities if inbox(each) not in topics)
        owners = frozenset(
            each for each in trust.authorities if slot(each, trust.shards) == self.number and outbox(each) in topics
        )
        if owners != self._owners:
            start = {_place(owner): self._state.next_offset(owner) for owner in sorted(owners)}
            self._owners, self._paused = owners, set()
            try:
                await self._reading().assign(start)
            except UsageError as error:
                # A topic went away since we looked: a restart of this shard looks again.
                raise Aborted(error.code, error.sentence) from error

    def _resume_due(self) -> None:
        now = self._now()
        for owner in self._owners:
            waiting = self._holds.waiting(owner, now=now)
            if waiting and owner not in self._paused:
                self._reading().pause(_place(owner))
                self._paused.add(owner)
            elif not waiting and owner in self._paused:
                self._paused.discard(owner)
                self._reading().seek(_place(owner), self._state.next_offset(owner))
                self._reading().resume(_place(owner))
        self._around.router_metrics.waits(self._holds.causes(now=now))

    # --- fetch and check --------------------------------------------------------------------------

    async def _gather(self) -> list[Record]:
        """What waits, up to the limits of a batch; an idle shard sleeps in the first call only."""
        found: list[Record] = []
        size = sum(len(each.record.value or b"") for each in self._left)
        wait_ms = 0 if self._left else FETCH_WAIT_MS
        room = self._around.batch_messages_max - len(self._left)
        while len(found) < room and size < self._around.batch_bytes_max:
            most = min(FETCH_RECORDS_MAX, room - len(found))
            try:
                records = await self._reading().fetch(wait_ms=wait_ms, records_max=most)
            except PartitionBroken as broken:
                await self._set_aside(broken)
                break
            if not records:
                break
            found.extend(records)
            size += sum(len(record.value or b"") for record in records)
            wait_ms = 0
        return found

    async def _set_aside(self, broken: PartitionBroken) -> None:
        """An outbox that cannot be read waits, is told of, and harms its owner only (router rule 7)."""
        owner = outbox_owner(broken.topic)
        self._hold(owner, Cause.BROKEN)
        if (owner, broken.offset) not in self._holds.told:
            self._around.alert(Alert(broken.code, f"{broken.topic}/{broken.offset}", broken.sentence))
            await self._writing().transact(
                [quarantine_place(broken, time_ms=self._around.clock.now_ms())], {}, shard_id(self.number)
            )
            self._holds.told.add((owner, broken.offset))

    async def _check(self, records: Sequence[Record], trust: TrustList) -> Checked:
        """Judge beside the event loop: the signatures' checks let other threads run."""
        parts = await asyncio.gather(
            *(
                self._compute(partial(check, records[start : start + CHUNK_RECORDS], trust, paths=self._around.paths))
                for start in range(0, len(records), CHUNK_RECORDS)
            )
        )
        judged: list[Judged] = []
        held: dict[AuthorityId, Held] = {}
        for part in parts:
            judged.extend(each for each in part.judged if outbox_owner(each.record.topic) not in held)
            held = {**part.held, **held}
        return Checked(tuple(judged), held)

    # --- route ------------------------------------------------------------------------------------

    async def _work(self, records: Sequence[Record], trust: TrustList) -> None:
        checked = await self._check(records, trust)
        judged = [*self._left, *checked.judged]
        alone = [each for each in judged if outbox_owner(each.record.topic) in self._holds.alone]
        together = [each for each in judged if outbox_owner(each.record.topic) not in self._holds.alone]
        full = await self._transact(together, trust)
        stuck: set[AuthorityId] = set()
        for each in alone:
            owner = outbox_owner(each.record.topic)
            if owner not in stuck:
                await self._transact([each], trust)
            if self._state.next_offset(owner) <= each.record.offset:
                stuck.add(owner)  # what follows it in its outbox waits with it
        for owner, reason in checked.held.items():
            self._around.alert(Alert(reason.code, owner, reason.sentence))
            self._hold(owner, Cause.TRUST)
        # What did not fit comes first next time; whatever else was not committed is read again.
        full -= self._paused
        self._left = [each for each in judged if self._is_left(each, full)]
        self._read_again({outbox_owner(each.record.topic) for each in judged} - full - self._paused)

    def _is_left(self, judged: Judged, full: frozenset[AuthorityId]) -> bool:
        owner = outbox_owner(judged.record.topic)
        return owner in full and judged.record.offset >= self._state.next_offset(owner)

    def _read_again(self, owners: Iterable[AuthorityId]) -> None:
        """Go back to what is not committed. Only where something is not: a seek throws away what was fetched ahead."""
        again = set(owners)
        self._left = [each for each in self._left if outbox_owner(each.record.topic) not in again]
        for owner in again:
            offset = self._state.next_offset(owner)
            if self._reading().position(_place(owner)) != offset:
                self._reading().seek(_place(owner), offset)

    async def _transact(self, batch: Sequence[Judged], trust: TrustList) -> frozenset[AuthorityId]:
        """Decide and commit a batch, then try the outboxes that wait for a bad inbox, if it is time.

        Returns the outboxes with messages that did not fit.
        """
        if not batch:
            return frozenset()
        bad = self._holds.bad_inboxes() | self._missing
        routing = await self._commit(batch, trust, bad)
        for owner, needed in routing.blocked.items():
            if not needed & self._missing and self._holds.may_probe(needed, now=self._now()):
                reached = self._state.next_offset(owner)
                behind = (each for each in batch if each.record.topic == outbox(owner))
                probe = next(each for each in behind if each.record.offset >= reached)
                await self._commit([probe], trust, self._missing)
            else:
                self._hold(owner, Cause.INBOX)
        return routing.full

    async def _commit(self, batch: Sequence[Judged], trust: TrustList, bad: frozenset[AuthorityId]) -> Routing:
        routing = await self._compute(
            partial(route, batch, self._state, shard=self.number, trust=trust, sign=self._around.sign, bad_inboxes=bad)
        )
        if routing.decisions:
            begun = self._now()
            await self._write(routing)
            self._state = routing.state
            self._holds.committed(routing.decisions)
            self._count(routing, self._now() - begun)
        return routing

    async def _write(self, routing: Routing) -> None:
        try:
            await self._writing().transact(routing.records, routing.offsets, shard_id(self.number))
        except ComityError as error:
            if not surely_aborted(error):
                raise
            too_large = error.code == "record-too-large"
            self._holds.aborted(routing.decisions, too_large=too_large, now=self._now())
            for each in sorted(self._holds.bad_inboxes()):
                self._around.alert(
                    Alert("inbox-bad", inbox(each), "This inbox could not be written; its senders wait.")
                )
            raise Aborted(error.code, error.sentence) from error

    def _count(self, routing: Routing, seconds: float) -> None:
        now_ms = self._around.clock.now_ms()
        refused = Counter(each.code for each in routing.decisions if each.code is not None and each.repeat is None)
        accepted = [each for each in routing.decisions if each.accepted]
        self._around.router_metrics.routed(
            accepted=len(accepted),
            refused=refused,
            repeated=sum(each.repeat is not None for each in routing.decisions),
            seconds=seconds,
        )
        spans_ms = [now_ms - each.record.time_ms for each in accepted]
        self._around.metrics.acknowledged(Level.ACCEPTED, spans_ms)
        for alert in routing.alerts:
            self._around.alert(alert)

    # --- small things -----------------------------------------------------------------------------

    def _hold(self, owner: AuthorityId, cause: Cause) -> None:
        self._holds.wait(owner, cause, now=self._now())
        self._paused.add(owner)
        self._reading().pause(_place(owner))

    async def _compute(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._around.compute, work)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _reading(self) -> Reader:
        if self._reader is None:
            raise RuntimeError("the shard was not taken over")
        return self._reader

    def _writing(self) -> TransactionalWriter:
        if self._writer is None:
            raise RuntimeError("the shard was not taken over")
        return self._writer

    async def _close(self) -> None:
        """The writer first: what it left open hides other writers' records from readers."""
        self.ready = False
        if self._writer is not None:
            await self._writer.close()
        if self._reader is not None:
            await self._reader.close()


def surely_aborted(error: ComityError) -> bool:
    """Whether a failed transaction certainly left nothing behind, so that this shard alone may begin anew (rule 5)."""
    return isinstance(error, NotPermitted | UsageError) or error.code == "record-too-large"


def _nothing(place: Place) -> Outgoing:
    """A record that is aborted."""
    return Outgoing(place.topic, b"void", b"", partition=place.partition)


def _place(owner: AuthorityId) -> Place:
    return Place(outbox(owner), 0)
