"""From authorities to a cluster that has exactly their topics and permissions: the plan, and carrying it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hub.adapters.kafka.admin import KafkaAdmin
from hub.adapters.kafka.plan import Plan, difference
from hub.core.access import TopicSpec, access_rules, topic_specs
from hub.core.ids import AuthorityId

REPLICATION_MAX: Final = 3  # one replica may be away while another is lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Who takes part, and the counts that were fixed at creation."""

    authorities: frozenset[AuthorityId]
    revoked: frozenset[AuthorityId] = frozenset()  # keep their topics, for ever, and are denied every act
    shards: int
    ledger_partitions: int

    def specs(self, replication: int) -> tuple[TopicSpec, ...]:
        """All topics."""
        return topic_specs(
            self.authorities | self.revoked,
            shards=self.shards,
            ledger_partitions=self.ledger_partitions,
            replication=replication,
        )


def plan(admin: KafkaAdmin, deployment: Deployment, *, replication: int | None = None) -> Plan:
    """What is missing or different; nothing is changed. Raises ``Unreachable``, ``NotPermitted``.

    ``replication`` is one replica per broker, up to three, unless told.
    """
    if replication is None:
        replication = min(REPLICATION_MAX, admin.brokers())
    return difference(
        admin.state(),
        deployment.specs(replication),
        access_rules(deployment.authorities - deployment.revoked, shards=deployment.shards),
        known=deployment.authorities | deployment.revoked,
        revoked=deployment.revoked,
    )


def apply_topics(admin: KafkaAdmin, deployment: Deployment, *, replication: int | None = None) -> Plan:
    """Carry out the plan, and return it. Doing it again changes nothing. Raises as ``plan`` and ``KafkaAdmin.apply``."""
    found = plan(admin, deployment, replication=replication)
    admin.apply(found)
    return found
