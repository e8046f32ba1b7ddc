"""What the watch says next: its chains, and the records that carry signed claims on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hub.core.records import Outgoing
from hub.core.shard import Numbered


@dataclass(frozen=True, slots=True)
class Chains:
    """Where the watch's writer of one ledger partition stands. Numbers count only when they are stored."""

    ledger_n: int  # of its last record in the ledger partition
    head: Numbered  # of its signed heads
    inboxes: Mapping[str, Numbered]  # of its bundles, per inbox topic


@dataclass(frozen=True, slots=True)
class Emission:
    """Claims as signed bytes that are sent until they are acknowledged, and the chains after them."""

    records: tuple[Outgoing, ...]
    chains: Chains
