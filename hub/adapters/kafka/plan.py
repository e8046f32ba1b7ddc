"""What a cluster has, what it should have, and the difference: values and comparisons, no client.

``apply`` only ever adds: topics, settings, permissions. It takes permissions away from principals that it knows (the
hub's, the authorities', revoked ones too), never from others, and it deletes no topic: what else looks wrong becomes
a finding for a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from hub.core.access import HUB_PRINCIPALS, AccessRule, Resource, TopicSpec

_RESOURCES: Final[Mapping[Resource, str]] = {
    Resource.TOPIC: "TOPIC",
    Resource.GROUP: "GROUP",
    Resource.TRANSACTIONAL_ID: "TRANSACTIONAL_ID",
}
_OUR_NAMES: Final = ("outbox.", "inbox.", "hub.", "conn.", "router", "registrar", "watch")


@dataclass(frozen=True, slots=True)
class StoredTopic:
    """A topic as the cluster has it; ``config`` holds effective values, defaults included."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


class StoredRule(NamedTuple):
    """An access rule as the cluster has it, in Kafka's words."""

    principal: str
    host: str
    operation: str
    permission: str
    resource: str
    name: str
    pattern: str

    def __str__(self) -> str:
        """As a person reads it."""
        host = "" if self.host == "*" else f" from {self.host}"
        name = f"{self.name}*" if self.pattern == "PREFIXED" else self.name
        return f"{self.permission} {self.principal} {self.operation} {self.resource} {name}{host}"


@dataclass(frozen=True, slots=True)
class ClusterState:
    """All that a plan is compared with."""

    topics: Mapping[str, StoredTopic]
    rules: frozenset[StoredRule]


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``apply`` will do, and what it leaves to a person."""

    create: tuple[TopicSpec, ...]
    alter: Mapping[str, Mapping[str, str]]  # topic -> setting -> wanted value
    allow: tuple[StoredRule, ...]
    remove: tuple[StoredRule, ...]
    rows: tuple[Mapping[str, str], ...]  # action, resource, detail: one per difference

    @property
    def empty(self) -> bool:
        """Whether ``apply`` has nothing to do; findings may remain."""
        return not (self.create or self.alter or self.allow or self.remove)


def stored_form(rule: AccessRule) -> StoredRule:
    """The rule as Kafka stores it."""
    return StoredRule(
        principal=f"User:{rule.principal}",
        host="*",
        operation=rule.operation.upper(),
        permission="ALLOW",
        resource=_RESOURCES[rule.resource],
        name=rule.name,
        pattern="PREFIXED" if rule.prefixed else "LITERAL",
    )


def denials(principal: str) -> frozenset[StoredRule]:
    """Rules that refuse a principal every act, whatever else allows it: Kafka asks denials first."""
    return frozenset(
        StoredRule(f"User:{principal}", "*", "ALL", "DENY", resource, "*", "LITERAL")
        for resource in _RESOURCES.values()
    )


def difference(
    state: ClusterState,
    specs: Iterable[TopicSpec],
    rules: Iterable[AccessRule],
    *,
    known: Iterable[str],
    revoked: Iterable[str] = (),
) -> Plan:
    """The plan from ``state`` to ``specs`` and ``rules``.

    ``known`` are the authorities whose surplus permissions are taken away. Those who are ``revoked`` are denied all.
    """
    create: list[TopicSpec] = []
    alter: dict[str, Mapping[str, str]] = {}
    rows: list[Mapping[str, str]] = []
    for spec in specs:
        stored = state.topics.get(spec.name)
        if stored is None:
            create.append(spec)
            rows.append(_row("create", f"topic {spec.name}", f"{spec.partitions} x {spec.replication}"))
            continue
        changes = {name: value for name, value in spec.config.items() if stored.config.get(name) != value}
        if changes:
            alter[spec.name] = changes
            for name, value in changes.items():
                rows.append(_row("alter", f"topic {spec.name}", f"{name}: {stored.config.get(name)} -> {value}"))
        rows.extend(_shape_findings(stored, spec))
    wanted = {stored_form(rule) for rule in rules}.union(*(denials(name) for name in revoked))
    allow = tuple(sorted(wanted - state.rules))
    principals = {f"User:{name}" for name in (*HUB_PRINCIPALS, *known)}
    surplus = sorted(state.rules - wanted)
    remove = tuple(rule for rule in surplus if rule.principal in principals and rule.permission == "ALLOW")
    rows.extend(_row(rule.permission.lower(), str(rule), "") for rule in allow)
    rows.extend(_row("remove", str(rule), "no rule of the matrix") for rule in remove)
    rows.extend(
        _row("look", str(rule), "not of this matrix; left as it is")
        for rule in surplus
        if rule not in remove and _touches_ours(rule)
    )
    return Plan(tuple(create), alter, allow, remove, tuple(rows))


def _shape_findings(stored: StoredTopic, spec: TopicSpec) -> list[Mapping[str, str]]:
    """Differences that nobody may repair by a command."""
    rows: list[Mapping[str, str]] = []
    if stored.partitions != spec.partitions:
        # Which partition a thread or a shard is in was fixed at creation (protocol section 2).
        detail = f"partitions: {stored.partitions}, not {spec.partitions}; the count is fixed at creation"
        rows.append(_row("look", f"topic {spec.name}", detail))
    if stored.replication < spec.replication:
        detail = f"replicas: {stored.replication}, not {spec.replication}; reassign partitions with Kafka's tools"
        rows.append(_row("look", f"topic {spec.name}", detail))
    return rows


def _touches_ours(rule: StoredRule) -> bool:
    wild = rule.name == "*" or (rule.pattern == "PREFIXED" and any(name.startswith(rule.name) for name in _OUR_NAMES))
    return wild or rule.name.startswith(_OUR_NAMES)


def _row(action: str, resource: str, detail: str) -> Mapping[str, str]:
    return {"action": action, "resource": resource, "detail": detail}
