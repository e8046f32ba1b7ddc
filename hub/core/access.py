"""Which topics there are, with which settings, and who may do what (faults-and-threats section 4): data, no client.

The broker's administration, the in-memory broker and the tests all read these values. Deny by default: what no rule
allows is refused. Rules for an authority are literal; a prefix always ends in a dot, since ``inbox.ng`` is also a
prefix of ``inbox.ngo``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hub.core.ids import AuthorityId
from hub.core.limits import HINT_HEADER_BYTES_MAX, MANIFEST_JWS_BYTES_MAX, VALUE_BYTES_MAX
from hub.core.topics import DIRECTORY, LEDGER, QUARANTINE, SHARDS, inbox, outbox
from hub.errors import NotPermitted

ADMIN: Final = "admin"
BROKER: Final = "broker-1"
ROUTER: Final = "router"
REGISTRAR: Final = "registrar"
WATCH: Final = "watch"
DIRECTORY_PUBLISHER: Final = "directory"

HUB_PRINCIPALS: Final = (ADMIN, BROKER, ROUTER, REGISTRAR, WATCH, DIRECTORY_PUBLISHER)
SUPER_USERS: Final = frozenset({ADMIN, BROKER})  # as in the broker's super.users

SHARDS_GROUP: Final = "router"  # its members share the partitions of hub.shards
REGISTRAR_GROUP: Final = "registrar"
WATCH_GROUP: Final = "watch"

# Room for the record key, the header names, the batch's own header and its length fields.
_SLACK_BYTES: Final = 16 * 1024
OUTBOX_RECORD_BYTES_MAX: Final = VALUE_BYTES_MAX + MANIFEST_JWS_BYTES_MAX + HINT_HEADER_BYTES_MAX + _SLACK_BYTES
# At least the outbox's: a copy has the same bytes. More, since bundles of a large batch lie here too.
INBOX_RECORD_BYTES_MAX: Final = 2 * 1024 * 1024
LEDGER_RECORD_BYTES_MAX: Final = 2 * 1024 * 1024
DIRECTORY_RECORD_BYTES_MAX: Final = 8 * 1024 * 1024  # a trust list takes about 5 KiB an authority; there are 200 States


def shard_id(shard: int) -> str:
    """``router-shard-3``: the transactional id of a shard, the group of its source offsets, its name as a writer."""
    return f"router-shard-{shard}"


def watch_id(partition: int) -> str:
    """``watch-3``: the watch's name as a writer for a ledger partition."""
    return f"watch-{partition}"


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it must be. ``config`` has Kafka's names and only what we decide; the rest is the broker's default."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]

    @property
    def record_bytes_max(self) -> int:
        """The largest batch, in bytes, that the topic takes."""
        return int(self.config["max.message.bytes"])

    @property
    def compacted(self) -> bool:
        """Whether the topic keeps the last value of each key only; such a topic takes no record without a key."""
        return self.config["cleanup.policy"] == "compact"


class Resource(StrEnum):
    """What a rule is about."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactional-id"


class Operation(StrEnum):
    """What may be done. READ and WRITE let a principal describe as well, as in Kafka."""

    READ = "read"
    WRITE = "write"
    DESCRIBE = "describe"


@dataclass(frozen=True, slots=True, order=True)
class AccessRule:
    """``principal`` may do ``operation`` on ``name``, or on every name that starts with it."""

    principal: str
    resource: Resource
    name: str
    operation: Operation
    prefixed: bool = False

    def covers(self, *, principal: str, resource: Resource, name: str, operation: Operation) -> bool:
        """Whether this rule allows that act."""
        named = name.startswith(self.name) if self.prefixed else name == self.name
        implied = operation is self.operation or operation is Operation.DESCRIBE
        return self.principal == principal and self.resource is resource and named and implied


def check_access(
    rules: Iterable[AccessRule], *, principal: str, resource: Resource, name: str, operation: Operation
) -> None:
    """Pass if a rule allows the act or the principal is a super user. Raises ``NotPermitted``."""
    if principal in SUPER_USERS:
        return
    if not any(rule.covers(principal=principal, resource=resource, name=name, operation=operation) for rule in rules):
        raise NotPermitted("access-denied", f"{principal} may not {operation} {resource} {name}.")


def topic_specs(
    authorities: Iterable[AuthorityId], *, shards: int, ledger_partitions: int, replication: int
) -> tuple[TopicSpec, ...]:
    """All topics of a deployment: the hub's own first, then two for each authority, in the order of their ids."""
    hub = (
        _spec(LEDGER, ledger_partitions, replication, LEDGER_RECORD_BYTES_MAX, _KEPT),
        _spec(QUARANTINE, 1, replication, LEDGER_RECORD_BYTES_MAX, _KEPT),
        _spec(DIRECTORY, 1, replication, DIRECTORY_RECORD_BYTES_MAX, _compacted(DIRECTORY_RECORD_BYTES_MAX)),
        _spec(SHARDS, shards, replication, LEDGER_RECORD_BYTES_MAX, _compacted(LEDGER_RECORD_BYTES_MAX)),
    )
    return hub + tuple(
        spec for authority in sorted(set(authorities)) for spec in authority_topics(authority, replication=replication)
    )


def authority_topics(authority: AuthorityId, *, replication: int) -> tuple[TopicSpec, ...]:
    """Outbox and inbox of one authority: one partition each, so that a pair's order is the log's order."""
    # uncompressed: the broker unpacks what a client compressed, and so refuses zip bombs and false offsets
    # before a reader meets them (kafka.md section 6).
    unpacked = {**_KEPT, "compression.type": "uncompressed"}
    return (
        _spec(outbox(authority), 1, replication, OUTBOX_RECORD_BYTES_MAX, unpacked),
        _spec(inbox(authority), 1, replication, INBOX_RECORD_BYTES_MAX, _KEPT),
    )


def access_rules(authorities: Iterable[AuthorityId], *, shards: int) -> tuple[AccessRule, ...]:
    """Every permission of a deployment, sorted. Whoever is not named here may do nothing."""
    rules = [*_router_rules(shards), *_follower_rules(), *_directory_rules()]
    for authority in authorities:
        rules.extend(authority_rules(authority))
    return tuple(sorted(set(rules)))


def authority_rules(authority: AuthorityId) -> tuple[AccessRule, ...]:
    """What an authority's connector may do: nothing on any other's topics, not even learn that they exist."""
    return (
        AccessRule(authority, Resource.TOPIC, outbox(authority), Operation.WRITE),
        AccessRule(authority, Resource.TOPIC, inbox(authority), Operation.READ),
        AccessRule(authority, Resource.TOPIC, DIRECTORY, Operation.READ),
        # For connectors of other make that keep their place in Kafka; ours keeps it in its own database.
        AccessRule(authority, Resource.GROUP, f"conn.{authority}.", Operation.READ, prefixed=True),
    )


def _router_rules(shards: int) -> list[AccessRule]:
    topic = Resource.TOPIC
    rules = [
        AccessRule(ROUTER, topic, "outbox.", Operation.READ, prefixed=True),
        AccessRule(ROUTER, topic, "inbox.", Operation.WRITE, prefixed=True),
        AccessRule(ROUTER, topic, DIRECTORY, Operation.READ),
        AccessRule(ROUTER, topic, SHARDS, Operation.READ),
        AccessRule(ROUTER, topic, SHARDS, Operation.WRITE),
        AccessRule(ROUTER, topic, LEDGER, Operation.WRITE),
        AccessRule(ROUTER, topic, QUARANTINE, Operation.WRITE),
        AccessRule(ROUTER, Resource.GROUP, SHARDS_GROUP, Operation.READ),
    ]
    # No prefix is possible here (router-shard-1 is one of router-shard-10): one literal rule per shard.
    for shard in range(shards):
        rules.append(AccessRule(ROUTER, Resource.GROUP, shard_id(shard), Operation.READ))
        rules.append(AccessRule(ROUTER, Resource.TRANSACTIONAL_ID, shard_id(shard), Operation.WRITE))
    return rules


def _follower_rules() -> list[AccessRule]:
    topic = Resource.TOPIC
    return [
        AccessRule(REGISTRAR, topic, LEDGER, Operation.READ),
        AccessRule(REGISTRAR, topic, DIRECTORY, Operation.READ),
        AccessRule(REGISTRAR, Resource.GROUP, REGISTRAR_GROUP, Operation.READ),
        AccessRule(WATCH, topic, LEDGER, Operation.READ),
        AccessRule(WATCH, topic, LEDGER, Operation.WRITE),
        AccessRule(WATCH, topic, DIRECTORY, Operation.READ),
        AccessRule(WATCH, topic, "inbox.", Operation.WRITE, prefixed=True),
        AccessRule(WATCH, Resource.GROUP, WATCH_GROUP, Operation.READ),
    ]


def _directory_rules() -> list[AccessRule]:
    return [
        AccessRule(DIRECTORY_PUBLISHER, Resource.TOPIC, DIRECTORY, Operation.READ),
        AccessRule(DIRECTORY_PUBLISHER, Resource.TOPIC, DIRECTORY, Operation.WRITE),
    ]


_KEPT: Final[Mapping[str, str]] = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",  # erasure is a lawful act, not a time-out (protocol section 2)
    "retention.bytes": "-1",
}


def _compacted(record_bytes_max: int) -> Mapping[str, str]:
    """Small segments: only closed ones are compacted, and take-over reads what is left.

    Yet a segment must hold the largest batch: Kafka refuses one that does not fit, whatever max.message.bytes says.
    """
    return {
        "cleanup.policy": "compact",
        "segment.bytes": str(record_bytes_max),
        "segment.ms": str(60 * 60 * 1000),
        "min.cleanable.dirty.ratio": "0.1",
    }


def _spec(name: str, partitions: int, replication: int, record_bytes_max: int, config: Mapping[str, str]) -> TopicSpec:
    common = {
        "message.timestamp.type": "LogAppendTime",  # the sender's clock never decides
        "max.message.bytes": str(record_bytes_max),
        "min.insync.replicas": str(max(1, replication - 1)),
        "unclean.leader.election.enable": "false",
    }
    return TopicSpec(name, partitions, replication, {**config, **common})
