"""The watch's work: clocks from the ledger, flags to both sides when they are due (DESIGN section 3, step 8).

The laws of this file: (1) flags are raised only after the ledger was read to the end that it had after the time was
read: a stop may lie there. While others write, that end is passed and not met: it is remembered with its time; (2) what
is sent was stored, signed and numbered, in one SQL transaction before; (3) those bytes are sent until every topic has
acknowledged them, and one topic that takes none stops no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Final, NamedTuple

from hub import flow
from hub.adapters.sql.watch_store import Stored, WatchStore
from hub.core.effects import Alert
from hub.core.emission import Chains, Emission
from hub.core.entries import Entry
from hub.core.records import Record
from hub.core.timekeeping import Moves, OwedClaim, WatchView
from hub.errors import ComityError
from hub.ports import Bus, Clock, Writer
from hub.streams.ledger_steps import Reach, take_logged

SEND_RECORDS_MAX: Final = 100  # bundles take up to some 200 KiB each
EMPTY: Final[Mapping[str, str]] = {}


class Goal(NamedTuple):
    """What was due at ``now_ms`` may be raised once the ledger is taken up to ``end``, its end after that time."""

    now_ms: int
    end: int


class WatchSteps:
    """Implements ``LedgerSteps`` with the watch's tables in SQL."""

    def __init__(
        self,
        store: WatchStore,
        *,
        bus: Bus,
        sign: flow.Sign,
        ledger_partitions: int,
        warn_percents: tuple[int, ...],
        clock: Clock,
        alert: Callable[[Alert], None],
    ) -> None:
        self._store = store
        self._bus = bus
        self._sign = sign
        self._ledger_partitions = ledger_partitions
        self._warn_percents = warn_percents
        self._clock = clock
        self._alert = alert
        self._writer: Writer | None = None
        self._goals: dict[int, Goal] = {}  # by partition
        self._refusing: dict[str, str] = {}  # topics that took nothing at the last attempt, and why

    def next_offsets(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Where the watch wants to read on."""
        return self._store.next_offsets(partitions)

    def take(self, records: Sequence[Record]) -> None:
        """Let the records move clocks, and note what both sides are owed for them."""
        take_logged(records, lambda batch: self._store.apply(batch, self._step))

    async def tick(self, partitions: Collection[int], reach: Reach) -> None:
        """Raise what is due in these partitions; send that, and whatever else was stored and not acknowledged."""
        refused = dict(self._refusing)
        for partition, now_ms in (await self._reached(partitions, reach)).items():
            due = partial(flow.fall_due, now_ms=now_ms, warn_percents=self._warn_percents)
            # A head at a time: of ten thousand flags the first need not wait for the last.
            while self._store.fire(partition, now_ms=now_ms, due=due, emit=partial(self._emit, now_ms)):
                await self._send(partitions)
                await asyncio.sleep(0)  # thousands at once leave room for the health server
        await self._send(partitions)
        if refused:
            await self._send_refused(partitions, refused)

    async def _reached(self, partitions: Collection[int], reach: Reach) -> dict[int, int]:
        """The partitions in which something is due, taken as far as law 1 asks for, and until when it was due."""
        now_ms = self._clock.now_ms()  # before the ends are asked for
        waiting = self._store.due_partitions(partitions, now_ms)
        self._goals = {partition: goal for partition, goal in self._goals.items() if partition in waiting}
        asked = [partition for partition in waiting if partition not in self._goals]
        if asked:
            ends = await reach.ends(asked)
            self._goals |= {partition: Goal(now_ms, end) for partition, end in ends.items()}
        taken = await reach.taken(self._goals) if self._goals else {}
        reached = [partition for partition, offset in taken.items() if offset >= self._goals[partition].end]
        return {partition: self._goals.pop(partition).now_ms for partition in reached}

    async def close(self) -> None:
        """Let the writer go, within a bounded time."""
        if self._writer is not None:
            await self._writer.close()

    def _step(self, view: WatchView, entry: Entry, partition: int) -> Moves:
        return flow.watch(view, entry, partition=partition, ledger_partitions=self._ledger_partitions)

    def _emit(self, now_ms: int, partition: int, claims: Sequence[OwedClaim], chains: Chains) -> Emission:
        return flow.emit(claims, chains, partition=partition, sign=self._sign, time_ms=now_ms)

    async def _send(self, partitions: Collection[int]) -> None:
        """Send what waits, all topics together; where one refuses, each by itself."""
        while stored := self._store.outgoing(partitions, SEND_RECORDS_MAX, without=self._refusing):
            if await self._send_some(stored) is not None:
                await self._send_apart(stored)

    async def _send_refused(self, partitions: Collection[int], refused: Mapping[str, str]) -> None:
        """Try again, last and apart, the topics that refused before: one that is silent takes the whole time-out."""
        self._refusing = {topic: code for topic, code in self._refusing.items() if topic not in refused}
        while stored := self._store.outgoing(partitions, SEND_RECORDS_MAX, without=self._refusing):
            await self._send_apart(stored, refused)

    async def _send_apart(self, stored: Sequence[Stored], before: Mapping[str, str] = EMPTY) -> None:
        for topic, group in groupby(sorted(stored, key=_topic), key=_topic):
            code = await self._send_some(list(group))
            if code is None:
                continue
            self._refusing[topic] = code
            if before.get(topic) != code:  # told once, not at every tick
                self._alert(Alert(code, topic, f"{topic} takes no records of the watch; they wait."))

    async def _send_some(self, stored: Sequence[Stored]) -> str | None:
        """Send records in order; the error's code if they were not all taken. What was is the same bytes again."""
        try:
            if self._writer is None:
                self._writer = await self._bus.writer()
            await self._writer.send([each.record for each in stored])
        except ComityError as error:
            await self._drop_writer()
            return error.code
        self._store.sent([each.number for each in stored])
        return None

    async def _drop_writer(self) -> None:
        """After an error a writer may hold records that it would send later, out of order: begin with a new one."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close()


def _topic(stored: Stored) -> str:
    return stored.record.topic
