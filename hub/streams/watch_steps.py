"""The watch's work: clocks from the ledger, flags to both sides when they are due (DESIGN section 3, step 8).

The laws of this file: (1) flags are raised only after the ledger was read to the end that it had after the time was
read: a stop may lie there; (2) what is sent was stored, signed and numbered, in one SQL transaction before; (3) those
bytes are sent until every topic has acknowledged them, and one topic that takes none stops no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Final

from hub import flow
from hub.adapters.sql.watch_store import Stored, WatchStore
from hub.core.effects import Alert
from hub.core.emission import Chains, Emission
from hub.core.entries import Entry
from hub.core.records import Record
from hub.core.timekeeping import Moves, OwedClaim, WatchView
from hub.errors import ComityError
from hub.ports import Bus, Clock, Writer
from hub.streams.ledger_steps import AtEnd, take_logged

SEND_RECORDS_MAX: Final = 100  # bundles take up to some 200 KiB each


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
        self._refusing: dict[str, str] = {}  # topics that took nothing at the last attempt, and why

    def next_offsets(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Where the watch wants to read on."""
        return self._store.next_offsets(partitions)

    def take(self, records: Sequence[Record]) -> None:
        """Let the records move clocks, and note what both sides are owed for them."""
        take_logged(records, lambda batch: self._store.apply(batch, self._step))

    async def tick(self, partitions: Collection[int], at_end: AtEnd) -> None:
        """Raise what is due in these partitions, then send whatever was stored and not acknowledged."""
        now_ms = self._clock.now_ms()  # before the ends are asked for: see law 1
        waiting = self._store.due_partitions(partitions, now_ms)
        for partition in await at_end(waiting) if waiting else ():
            due = partial(flow.fall_due, now_ms=now_ms, warn_percents=self._warn_percents)
            raised = 1
            while raised:
                raised = self._store.fire(partition, now_ms=now_ms, due=due, emit=partial(self._emit, now_ms))
                await asyncio.sleep(0)  # thousands at once leave room for the health server
        await self._send(partitions)

    async def close(self) -> None:
        """Let the writer go, within a bounded time."""
        if self._writer is not None:
            await self._writer.close()

    def _step(self, view: WatchView, entry: Entry, partition: int) -> Moves:
        return flow.watch(view, entry, partition=partition, ledger_partitions=self._ledger_partitions)

    def _emit(self, now_ms: int, partition: int, claims: Sequence[OwedClaim], chains: Chains) -> Emission:
        return flow.emit(claims, chains, partition=partition, sign=self._sign, time_ms=now_ms)

    async def _send(self, partitions: Collection[int]) -> None:
        refusing: dict[str, str] = {}
        while stored := self._store.outgoing(partitions, SEND_RECORDS_MAX, without=refusing):
            for topic, group in groupby(sorted(stored, key=_topic), key=_topic):
                code = await self._send_to(list(group))
                if code is not None:
                    refusing[topic] = code
        for topic, code in refusing.items():
            if self._refusing.get(topic) != code:  # told once, not at every tick
                self._alert(Alert(code, topic, f"{topic} takes no records of the watch; they wait."))
        self._refusing = refusing

    async def _send_to(self, stored: Sequence[Stored]) -> str | None:
        """Send one topic's records in order; the error's code if it did not take them all."""
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
