"""What one routing transaction will hold, gathered decision by decision, within the limits of a transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from hub.core.access import INBOX_RECORD_BYTES_MAX
from hub.core.authority import TrustList
from hub.core.entries import Entry
from hub.core.ids import AuthorityId
from hub.core.limits import BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, TOUCHED_PARTITIONS_MAX
from hub.core.manifest import Manifest
from hub.core.pairs import Chain, Pair, advance
from hub.core.receipts import Claim
from hub.core.routing import Decision, ledger_partition, notice, receipt
from hub.core.shard import Counters, ShardState

# Half of what an inbox takes: claims are JSON texts within JSON, which costs a little more than their bytes.
BUNDLE_BYTES_MAX: Final = INBOX_RECORD_BYTES_MAX // 2
CLAIM_BYTES: Final = 1024  # the most that a claim takes, the JWS in a gap notice aside
OWN_PARTITIONS: Final = 2  # hub.shards and hub.quarantine


@dataclass(slots=True)
class Plan:
    """The transaction so far. ``add`` is the only way in which it grows."""

    state: ShardState
    trust: TrustList
    decisions: list[Decision] = field(default_factory=list)
    chains: dict[Pair, Chain] = field(default_factory=dict)
    offsets: dict[AuthorityId, int] = field(default_factory=dict)
    claims: dict[AuthorityId, list[Claim]] = field(default_factory=dict)
    claim_bytes: dict[AuthorityId, int] = field(default_factory=dict)
    ledgers: dict[int, list[Entry]] = field(default_factory=dict)
    copied_bytes: int = 0

    def chain(self, manifest: Manifest | None) -> Chain:
        """The chain of a manifest's pair, as it stands in this transaction; an empty one for no manifest."""
        if manifest is None:
            return Chain()
        pair = Pair(manifest.sender, manifest.recipient)
        return self.chains.get(pair) or self.state.chains.get(pair) or Chain()

    def fits(self, decision: Decision) -> bool:
        """Whether the transaction stays within its limits with this decision. The first one always fits."""
        if not self.decisions:
            return True
        bundle_bytes = max(self.claim_bytes.get(each, 0) for each in decision.inboxes) + _claim_bytes(decision)
        return (
            len(self.decisions) < BATCH_MESSAGES_MAX
            and self._touched(decision) <= TOUCHED_PARTITIONS_MAX
            and bundle_bytes <= BUNDLE_BYTES_MAX
            and self.copied_bytes + _copied_bytes(decision) <= BATCH_BYTES_MAX
        )

    def add(self, decision: Decision) -> None:
        """Take a decision in: the claims, the ledger's entries, the pair's new place, the outbox's next offset."""
        self.decisions.append(decision)
        self.offsets[decision.owner] = decision.record.offset + 1
        self.copied_bytes += _copied_bytes(decision)
        self._claim(decision.owner, receipt(decision), CLAIM_BYTES)
        if decision.recipient is not None:
            self._claim(decision.recipient, notice(decision), _claim_bytes(decision))
        manifest, link = decision.manifest, decision.link
        if manifest is not None and link is not None:
            self.chains[Pair(manifest.sender, manifest.recipient)] = advance(self.chain(manifest), link)
        for entry in decision.entries:
            self.ledgers.setdefault(self._partition(entry), []).append(entry)

    @property
    def time_ms(self) -> int:
        """The time of the transaction's records: the newest that the log gave to one of its messages."""
        return max(decision.record.time_ms for decision in self.decisions)

    @property
    def counters(self) -> Counters:
        """The shard's sums after this transaction."""
        before = self.state.counters
        repeated = sum(decision.repeat is not None for decision in self.decisions)
        accepted = sum(decision.accepted for decision in self.decisions)
        refused = len(self.decisions) - accepted - repeated
        return Counters(before.accepted + accepted, before.refused + refused, before.repeated + repeated)

    def _touched(self, decision: Decision) -> int:
        """How many partitions the transaction writes to with this decision; at most so many, while that is far off."""
        before = len(self.claims) + len(self.ledgers) + OWN_PARTITIONS
        most = before + len(decision.inboxes) + len(decision.entries)
        if most <= TOUCHED_PARTITIONS_MAX:
            return most
        partitions = {self._partition(entry) for entry in decision.entries}
        return before + len(decision.inboxes - self.claims.keys()) + len(partitions - self.ledgers.keys())

    def _partition(self, entry: Entry) -> int:
        return ledger_partition(entry, self.trust.ledger_partitions)

    def _claim(self, authority: AuthorityId, claim: Claim, size: int) -> None:
        self.claims.setdefault(authority, []).append(claim)
        self.claim_bytes[authority] = self.claim_bytes.get(authority, 0) + size


def _claim_bytes(decision: Decision) -> int:
    """The most that a claim of this decision takes: a gap notice carries the whole refused JWS."""
    is_gap = decision.recipient is not None and decision.code is not None
    return CLAIM_BYTES + (len(decision.jws_bytes or b"") if is_gap else 0)


def _copied_bytes(decision: Decision) -> int:
    """What the copy for the recipient takes."""
    if not decision.accepted:
        return 0
    return len(decision.record.value or b"") + sum(len(value) for _, value in decision.record.headers)
