"""An app of ours without a broker."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from hub.core.access import LEDGER_RECORD_BYTES_MAX
from hub.core.records import Record
from hub.streams.faust_transport import FaustSettings

SETTINGS: Final = FaustSettings(
    group="canary",
    client_id="canary-1",
    bootstrap_server="127.0.0.1:9",
    ssl_context=None,
    session_ms=6000,
    heartbeat_ms=2000,
    step_ms=8000,
    record_bytes_max=LEDGER_RECORD_BYTES_MAX,
    data_folder=Path("never-made"),
)


class Steps:
    """Takes what it is given. Implements ``hub.streams.ledger_steps.LedgerSteps``."""

    def __init__(self) -> None:
        self.offsets: dict[int, int] = {}

    def next_offsets(self, partitions: Iterable[int]) -> Mapping[int, int]:
        """After the last record of each."""
        return {partition: self.offsets.get(partition, 0) for partition in partitions}

    def take(self, records: Sequence[Record]) -> None:
        """Note how far."""
        self.offsets[records[0].partition] = records[-1].offset + 1

    async def tick(self, partitions: Collection[int], at_end: object) -> None:
        """Nothing is due."""
