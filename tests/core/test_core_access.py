"""Who may do what: the matrix as a table, and every topic with its settings."""

from __future__ import annotations

from itertools import product

import pytest

from hub.core import access
from hub.core.access import Operation, Resource, check_access
from hub.core.ids import AuthorityId
from hub.core.limits import HINT_HEADER_BYTES_MAX, MANIFEST_JWS_BYTES_MAX, VALUE_BYTES_MAX
from hub.errors import NotPermitted

XA, XB = AuthorityId("xa-moj"), AuthorityId("xb-pgo")
SHARDS = 2
RULES = access.access_rules([XB, XA, XA], shards=SHARDS)
SPECS = {
    spec.name: spec for spec in access.topic_specs([XB, XA, XA], shards=SHARDS, ledger_partitions=6, replication=3)
}

R, W = Operation.READ, Operation.WRITE
TOPICS = (
    "outbox.xa-moj",
    "outbox.xb-pgo",
    "inbox.xa-moj",
    "inbox.xb-pgo",
    "hub.ledger",
    "hub.quarantine",
    "hub.directory",
    "hub.shards",
    "hub.other",
)
PRINCIPALS = (access.ROUTER, access.REGISTRAR, access.WATCH, access.DIRECTORY_PUBLISHER, XA, XB, "stranger", "")

# Everything that anybody but a super user may do to a topic.
ALLOWED = {
    ("router", "outbox.xa-moj", R),
    ("router", "outbox.xb-pgo", R),
    ("router", "inbox.xa-moj", W),
    ("router", "inbox.xb-pgo", W),
    ("router", "hub.ledger", W),
    ("router", "hub.quarantine", W),
    ("router", "hub.directory", R),
    ("router", "hub.shards", R),
    ("router", "hub.shards", W),
    ("registrar", "hub.ledger", R),
    ("registrar", "hub.directory", R),
    ("watch", "hub.ledger", R),
    ("watch", "hub.ledger", W),
    ("watch", "hub.directory", R),
    ("watch", "inbox.xa-moj", W),
    ("watch", "inbox.xb-pgo", W),
    ("directory", "hub.directory", R),
    ("directory", "hub.directory", W),
    ("xa-moj", "outbox.xa-moj", W),
    ("xa-moj", "inbox.xa-moj", R),
    ("xa-moj", "hub.directory", R),
    ("xb-pgo", "outbox.xb-pgo", W),
    ("xb-pgo", "inbox.xb-pgo", R),
    ("xb-pgo", "hub.directory", R),
}


def permitted(principal: str, resource: Resource, name: str, operation: Operation) -> bool:
    """Whether the rules let the act pass."""
    try:
        check_access(RULES, principal=principal, resource=resource, name=name, operation=operation)
    except NotPermitted as error:
        assert error.code == "access-denied"  # noqa: PT017  the other branch is as good
        return False
    return True


def test_topic_matrix() -> None:
    """Nobody may read or write a topic but as the table says."""
    acts = product(PRINCIPALS, TOPICS, (R, W))
    assert {act for act in acts if permitted(act[0], Resource.TOPIC, act[1], act[2])} == ALLOWED


def test_describe_follows_from_any_right() -> None:
    """Who may read or write a topic may learn that it exists; nobody else may."""
    for principal, name in product(PRINCIPALS, TOPICS):
        has_right = bool({(principal, name, R), (principal, name, W)} & ALLOWED)
        assert has_right is permitted(principal, Resource.TOPIC, name, Operation.DESCRIBE)


@pytest.mark.parametrize(
    ("principal", "resource", "name", "operation", "expected"),
    [
        ("router", Resource.TRANSACTIONAL_ID, "router-shard-1", W, True),
        ("router", Resource.TRANSACTIONAL_ID, "router-shard-2", W, False),  # there are two shards
        ("router", Resource.TRANSACTIONAL_ID, "router-shard-10", W, False),
        ("router", Resource.GROUP, "router-shard-0", R, True),
        ("router", Resource.GROUP, "router", R, True),
        ("xa-moj", Resource.TRANSACTIONAL_ID, "router-shard-0", W, False),
        ("xa-moj", Resource.GROUP, "router", R, False),
        ("registrar", Resource.GROUP, "registrar", R, True),
        ("watch", Resource.GROUP, "watch", R, True),
        ("watch", Resource.GROUP, "registrar", R, False),
        ("xa-moj", Resource.GROUP, "conn.xa-moj.batch", R, True),
        ("xa-moj", Resource.GROUP, "conn.xa-mojo.batch", R, False),  # a prefix ends in a dot
        ("xa-moj", Resource.GROUP, "conn.xb-pgo.batch", R, False),
        ("xa-moj", Resource.TOPIC, "conn.xa-moj.batch", R, False),
    ],
)
def test_groups_and_transactional_ids(
    principal: str, resource: Resource, name: str, operation: Operation, expected: bool
) -> None:
    """Groups and transactional ids belong to their one principal."""
    assert expected is permitted(principal, resource, name, operation)


@pytest.mark.parametrize("principal", [access.ADMIN, access.BROKER])
def test_super_users(principal: str) -> None:
    """The administrator and the broker itself may do everything."""
    assert permitted(principal, Resource.TOPIC, "hub.other", W)


def test_rules_are_sorted_and_prefixes_end_in_a_dot() -> None:
    """The plan compares equal however the authorities were listed; no prefix reaches into another name."""
    assert list(RULES) == sorted(set(RULES))
    assert access.access_rules([XA, XB], shards=SHARDS) == RULES
    assert {rule.name[-1] for rule in RULES if rule.prefixed} == {"."}


def test_topics() -> None:
    """The hub's topics have their partitions, an authority's have one; all stamp the log's time and lose nothing."""
    assert {name: spec.partitions for name, spec in SPECS.items()} == {
        "hub.ledger": 6,
        "hub.quarantine": 1,
        "hub.directory": 1,
        "hub.shards": SHARDS,
        "outbox.xa-moj": 1,
        "inbox.xa-moj": 1,
        "outbox.xb-pgo": 1,
        "inbox.xb-pgo": 1,
    }
    for spec in SPECS.values():
        assert (spec.replication, spec.config["min.insync.replicas"]) == (3, "2")
        assert spec.config["message.timestamp.type"] == "LogAppendTime"
        assert spec.config["unclean.leader.election.enable"] == "false"
    assert {name for name, spec in SPECS.items() if spec.compacted} == {"hub.directory", "hub.shards"}
    assert {spec.config["retention.ms"] for spec in SPECS.values() if not spec.compacted} == {"-1"}


def test_single_broker() -> None:
    """With one replica one must be in sync."""
    specs = access.topic_specs([], shards=1, ledger_partitions=1, replication=1)
    assert {spec.config["min.insync.replicas"] for spec in specs} == {"1"}


def test_every_allowed_record_fits() -> None:
    """A record at all limits of the envelope fits its outbox, and its copy fits the inbox."""
    largest = VALUE_BYTES_MAX + MANIFEST_JWS_BYTES_MAX + HINT_HEADER_BYTES_MAX
    assert largest < SPECS["outbox.xa-moj"].record_bytes_max <= SPECS["inbox.xa-moj"].record_bytes_max


def test_writers_names() -> None:
    """A shard's and a watch's names carry their numbers."""
    assert (access.shard_id(3), access.watch_id(4)) == ("router-shard-3", "watch-4")


def test_every_topics_segment_holds_its_largest_batch() -> None:
    """Kafka refuses a batch that is larger than a segment, so a long trust list must fit."""
    specs = access.topic_specs([AuthorityId("xa-moj")], shards=2, ledger_partitions=2, replication=1)
    default = 1024 * 1024 * 1024  # Kafka's own segment.bytes
    tight = [spec.name for spec in specs if int(spec.config.get("segment.bytes", default)) < spec.record_bytes_max]
    assert tight == []
