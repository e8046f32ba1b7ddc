"""Reading the ledger to the steps by a plain loop on ``hub.ports.Bus``: for the memory bus, which Faust cannot read."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Final

from hub.core.records import Place
from hub.core.topics import LEDGER
from hub.errors import UsageError
from hub.ports import Bus, Reader
from hub.streams.ledger_steps import BATCH_RECORDS_MAX, LedgerSteps, portions
from hub.streams.process import Process

WAIT_MS_MAX: Final = 100  # for records, so that a stop is noticed


async def count_partitions(bus: Bus) -> int:
    """The number of partitions of ``hub.ledger``: a missing topic is told before anything waits for it.

    Raises ``UsageError(topic-unknown)``, ``Unreachable``.
    """
    count = (await bus.partitions()).get(LEDGER)
    if not count:
        raise UsageError("topic-unknown", f"There is no topic {LEDGER} that we may read; see comity topics plan.")
    return count


async def follow_ledger(process: Process, bus: Bus, steps: LedgerSteps, *, partitions: int) -> None:
    """Read all partitions until the process stops. Raises what the steps and the reader raise."""
    offsets = steps.next_offsets(range(partitions))
    reader = await bus.reader({Place(LEDGER, partition): offset for partition, offset in offsets.items()})
    tick_seconds = process.settings.tick_ms / 1000
    loop = asyncio.get_running_loop()
    next_tick = loop.time()

    process.not_ready = None
    try:
        while not process.stopping.is_set():
            records = await reader.fetch(
                wait_ms=min(WAIT_MS_MAX, process.settings.tick_ms), records_max=BATCH_RECORDS_MAX
            )
            for portion in portions(records) if records else ():
                steps.take(portion)
                await asyncio.sleep(0)  # a backlog leaves room for the health server
            if loop.time() >= next_tick:
                next_tick = loop.time() + tick_seconds
                await steps.tick(range(partitions), _Reach(reader))
    finally:
        await reader.close()


class _Reach:
    """Implements ``Reach``: whatever was fetched was taken before the next fetch, so positions tell."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def ends(self, partitions: Collection[int]) -> Mapping[int, int]:
        ends = await self._reader.end_offsets()
        return {partition: ends[Place(LEDGER, partition)] for partition in partitions}

    async def taken(self, partitions: Collection[int]) -> Mapping[int, int]:
        return {partition: self._reader.position(Place(LEDGER, partition)) for partition in partitions}
