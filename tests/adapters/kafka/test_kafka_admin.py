"""Administration in pieces that a cluster takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hub.adapters.kafka.admin import RULES_AT_ONCE, TOPICS_AT_ONCE, KafkaAdmin
from hub.adapters.kafka.plan import Plan, stored_form
from hub.core.access import access_rules, topic_specs
from hub.core.ids import AuthorityId

METADATA_RECORDS_MAX = 10_000  # Kafka's MAX_RECORDS_PER_USER_OP


class Cluster:
    """An administrator's connection that counts what one request asks for."""

    def __init__(self) -> None:
        self.topics: list[int] = []
        self.rules: list[int] = []
        self.records: list[int] = []
        self.known: list[Any] = []

    def create_topics(self, wanted: Mapping[str, Mapping[str, Any]], *, raise_errors: bool) -> Mapping[str, Any]:
        """Create all of a request."""
        assert not raise_errors
        self.topics.append(len(wanted))
        self.records.append(sum(1 + each["num_partitions"] + len(each["configs"]) for each in wanted.values()))
        return {"topics": [{"name": name, "error_code": 0, "error_message": None} for name in wanted]}

    def wait_for_topics(self, names: Sequence[str]) -> None:
        """They are there."""

    def create_acls(self, wanted: Sequence[Any]) -> Mapping[str, Any]:
        """Allow all of a request."""
        self.rules.append(len(wanted))
        self.known.extend(wanted)
        return {"failed": []}

    def describe_acls(self, wanted: Any) -> tuple[list[Any], None]:  # noqa: ARG002 (the real one takes a filter)
        """What was allowed."""
        return self.known, None


def test_a_thousand_authorities_are_made_in_pieces() -> None:
    """No request asks for more metadata records than Kafka's controller takes at once."""
    names = [AuthorityId(f"xa-{number:04d}") for number in range(1000)]
    specs = topic_specs(names, shards=4, ledger_partitions=4, replication=1)
    rules = tuple(stored_form(rule) for rule in access_rules(names, shards=4))
    admin, cluster = KafkaAdmin.__new__(KafkaAdmin), Cluster()
    admin._client = cluster
    admin.apply(Plan(create=specs, alter={}, allow=rules, remove=(), rows=()))
    assert (sum(cluster.topics), sum(cluster.rules)) == (2004, len(rules))
    assert max(cluster.topics) <= TOPICS_AT_ONCE
    assert max(cluster.records) < METADATA_RECORDS_MAX
    assert max(cluster.rules) <= RULES_AT_ONCE
