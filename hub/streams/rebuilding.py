"""The case view once more from the ledger alone: for an auditor, and after a database was lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hub import flow
from hub.adapters.sql.case_store import CaseStore
from hub.core.cases import CaseView, Changes
from hub.core.entries import Entry
from hub.core.records import Place
from hub.core.topics import LEDGER
from hub.errors import Unreachable
from hub.ports import Bus, Reader
from hub.streams.ledger_loop import count_partitions
from hub.streams.ledger_steps import BATCH_RECORDS_MAX, portions, take_logged

WAIT_MS: Final = 500
EMPTY_FETCHES_MAX: Final = 60  # one after the other: 30 s without a record


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was read: ``offsets`` are the next ones, per partition."""

    offsets: Mapping[int, int]
    records: int
    entries: int


async def rebuild(bus: Bus, store: CaseStore, until: Mapping[int, int] | None = None) -> Rebuilt:
    """Fold the ledger into ``store``, which must be empty, up to the offsets ``until``, else to its present ends.

    Raises ``UsageError(topic-unknown)``, ``Unreachable``, and ``VerificationFailed`` as the registrar does.
    """
    partitions = await count_partitions(bus)
    reader = await bus.reader({Place(LEDGER, partition): 0 for partition in range(partitions)})
    try:
        ends = {place.partition: end for place, end in (await reader.end_offsets()).items()}
        return await _fold(reader, store, dict(until) if until is not None else ends, partitions)
    finally:
        await reader.close()


async def _fold(reader: Reader, store: CaseStore, until: Mapping[int, int], partitions: int) -> Rebuilt:
    def step(view: CaseView, entry: Entry, partition: int) -> Changes:
        return flow.register(view, entry, partition=partition, ledger_partitions=partitions)

    records = entries = idle = 0
    left = {partition for partition, end in until.items() if end > 0}
    for partition in set(range(partitions)) - left:
        reader.pause(Place(LEDGER, partition))
    while left:
        fetched = await reader.fetch(wait_ms=WAIT_MS, records_max=BATCH_RECORDS_MAX)
        wanted = [record for record in fetched if record.offset < until[record.partition]]
        for portion in portions(wanted) if wanted else ():
            applied = take_logged(portion, lambda batch: store.apply(batch, step))
            if applied is not None:
                records, entries = records + applied.records, entries + len(applied.changes)
        for partition in [each for each in left if reader.position(Place(LEDGER, each)) >= until[each]]:
            left.discard(partition)
            reader.pause(Place(LEDGER, partition))
        idle = 0 if fetched else idle + 1
        if idle > EMPTY_FETCHES_MAX:
            raise Unreachable("read-stalled", "The broker stopped answering while the ledger was read.")
    return Rebuilt(store.next_offsets(range(partitions)), records, entries)
