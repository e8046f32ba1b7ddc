"""The memory broker's topics and permissions, as the secretariat asks for them."""

from __future__ import annotations

from hub.adapters.memory.broker import MemoryBroker
from hub.core.access import access_rules, topic_specs
from hub.core.authority import TrustList
from hub.core.ids import AuthorityId


class MemoryAdministration:
    """Implements ``hub.adapters.secretariat.Administration``."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    async def apply(self, trust: TrustList, *, now_ms: int) -> None:
        """Make topics, and replace all permissions by those of the authorities that are not revoked."""
        self._apply(trust, denied=None, now_ms=now_ms)

    async def deny(self, authority: AuthorityId, *, trust: TrustList, now_ms: int) -> None:
        """Take all permissions of ``authority`` away."""
        self._apply(trust, denied=authority, now_ms=now_ms)

    def _apply(self, trust: TrustList, *, denied: AuthorityId | None, now_ms: int) -> None:
        specs = topic_specs(
            trust.authorities, shards=trust.shards, ledger_partitions=trust.ledger_partitions, replication=1
        )
        admitted = trust.authorities.keys() - trust.revoked(now_ms) - {denied}
        self._broker.apply(specs, access_rules(admitted, shards=trust.shards))
