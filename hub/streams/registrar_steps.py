"""The registrar's work: ledger records into the case view; metrics of what became of messages (DESIGN section 3, step 7)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from hub import flow
from hub.adapters.sql.case_store import Applied, CaseStore
from hub.core.cases import CaseView, Changes
from hub.core.effects import Alert
from hub.core.entries import Entry
from hub.core.records import Record
from hub.ports import Clock
from hub.streams.ledger_steps import Reach, take_logged
from hub.streams.metrics import Metrics

OVERDUE_MS: Final = 15_000  # how often overdue clocks are counted: no oftener than a scrape


class RegistrarSteps:
    """Implements ``LedgerSteps`` with the case view in SQL."""

    def __init__(
        self,
        store: CaseStore,
        *,
        ledger_partitions: int,
        clock: Clock,
        metrics: Metrics,
        alert: Callable[[Alert], None],
    ) -> None:
        self._store = store
        self._ledger_partitions = ledger_partitions
        self._clock = clock
        self._metrics = metrics
        self._alert = alert
        self._counted_ms = 0

    def next_offsets(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Where the case view wants to read on."""
        return self._store.next_offsets(partitions)

    def take(self, records: Sequence[Record]) -> None:
        """Fold the records into the case view."""
        applied = take_logged(records, lambda batch: self._store.apply(batch, self._step))
        if applied is not None:
            self._tell(applied)

    async def tick(self, partitions: Collection[int], reach: Reach) -> None:  # noqa: ARG002 (counts need no end)
        """Count the clocks that run past their due time, in all partitions: any worker sees the whole view."""
        now_ms = self._clock.now_ms()
        if now_ms - self._counted_ms >= OVERDUE_MS:
            self._counted_ms = now_ms
            self._metrics.overdue(self._store.overdue_counts(now_ms))

    def _step(self, view: CaseView, entry: Entry, partition: int) -> Changes:
        return flow.register(view, entry, partition=partition, ledger_partitions=self._ledger_partitions)

    def _tell(self, applied: Applied) -> None:
        for changes in applied.changes:
            for alert in changes.alerts:
                self._alert(alert)
            for level, span_ms in changes.reached:
                self._metrics.acknowledged(level, [span_ms])
