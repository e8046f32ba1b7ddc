"""A real cluster's topics and permissions, as the secretariat asks for them."""

from __future__ import annotations

import asyncio

from hub.adapters.kafka.admin import KafkaAdmin
from hub.adapters.kafka.client_config import ClientConfig
from hub.adapters.kafka.deployment import Deployment, apply_topics
from hub.adapters.kafka.plan import Plan, denials
from hub.core.authority import TrustList
from hub.core.ids import AuthorityId


class KafkaAdministration:
    """Implements ``hub.adapters.secretariat.Administration``: one connection per call, in a thread."""

    def __init__(self, config: ClientConfig) -> None:
        self._config = config

    async def apply(self, trust: TrustList, *, now_ms: int) -> None:
        """Make what is missing, take from revoked authorities what they may. Raises ``Unreachable``, ``NotPermitted``."""
        deployment = deployment_of(trust, now_ms=now_ms)

        def act() -> None:
            with KafkaAdmin(self._config) as admin:
                apply_topics(admin, deployment)

        await asyncio.to_thread(act)

    async def deny(self, authority: AuthorityId, *, trust: TrustList, now_ms: int) -> None:  # noqa: ARG002 (the port)
        """Deny everything to a principal: Kafka asks denials first. Raises ``Unreachable``, ``NotPermitted``."""
        plan = Plan(create=(), alter={}, allow=tuple(sorted(denials(authority))), remove=(), rows=())

        def act() -> None:
            with KafkaAdmin(self._config) as admin:
                admin.apply(plan)

        await asyncio.to_thread(act)


def deployment_of(trust: TrustList, *, now_ms: int) -> Deployment:
    """Whose topics and permissions the list asks for."""
    revoked = trust.revoked(now_ms)
    return Deployment(
        authorities=frozenset(trust.authorities) - revoked,
        revoked=revoked,
        shards=trust.shards,
        ledger_partitions=trust.ledger_partitions,
    )
