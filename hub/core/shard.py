"""What a shard of the router knows: it lies in one partition of ``hub.shards`` and moves with the messages, atomically."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from hub.core.ids import AuthorityId, Digest
from hub.core.pairs import Chain, Pair


class Numbered(NamedTuple):
    """Where a numbered chain of the hub stands: the last number, and the hash of what had it."""

    n: int = 0
    prev: Digest | None = None


@dataclass(frozen=True, slots=True)
class Counters:
    """Sums over the life of a shard."""

    accepted: int = 0
    refused: int = 0
    repeated: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardState:
    """The whole state of a shard, or, as a change, the parts that one transaction touches with their new values."""

    head: Numbered = field(default_factory=Numbered)  # of the signed heads
    counters: Counters = field(default_factory=Counters)
    chains: Mapping[Pair, Chain] = field(default_factory=dict)
    offsets: Mapping[AuthorityId, int] = field(default_factory=dict)  # of each outbox: what is read next
    bundles: Mapping[AuthorityId, Numbered] = field(default_factory=dict)  # of each inbox
    ledgers: Mapping[int, int] = field(default_factory=dict)  # of each ledger partition: the last record's number

    def after(self, change: ShardState) -> ShardState:
        """The state once the transaction with ``change`` is committed."""
        return ShardState(
            head=change.head,
            counters=change.counters,
            chains={**self.chains, **change.chains},
            offsets={**self.offsets, **change.offsets},
            bundles={**self.bundles, **change.bundles},
            ledgers={**self.ledgers, **change.ledgers},
        )

    def next_offset(self, owner: AuthorityId) -> int:
        """Where the outbox of ``owner`` is read on: 0 for one that was never read, since nothing in it ever expires."""
        return self.offsets.get(owner, 0)
