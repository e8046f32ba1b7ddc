"""Administration of a cluster on kafka-python: topics, settings and access rules. Each call blocks: use a thread.

kafka-python raises little: refusals stand inside its answers, so that every answer is looked at here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ConfigResource,
    ConfigResourceType,
    KafkaAdminClient,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)
from kafka.errors import KafkaError, for_code

from hub.adapters.kafka import probe
from hub.adapters.kafka.client_config import ClientConfig
from hub.adapters.kafka.plan import ClusterState, Plan, StoredRule, StoredTopic
from hub.core.access import TopicSpec
from hub.errors import ComityError, NotPermitted, Unreachable
from hub.ports import BrokerIdentity

_REQUEST_MS: Final = 30_000
# The controller refuses an act of more than 10,000 metadata records; a topic takes about eight, a rule one.
TOPICS_AT_ONCE: Final = 500
RULES_AT_ONCE: Final = 2000
_VISIBLE_S: Final = 10.0  # a list of access rules right after their creation was once empty
_DENIED: Final = frozenset({"TopicAuthorizationFailedError", "ClusterAuthorizationFailedError"})


class KafkaAdmin:
    """A cluster, as a principal that may administer it. Close it, or use it in a ``with`` block."""

    def __init__(self, config: ClientConfig) -> None:
        """Connect. Not inside a running event loop. Raises ``Unreachable``, ``NotPermitted``, ``UsageError``."""
        asyncio.run(probe.check(config))
        with _translated():
            self._client = KafkaAdminClient(
                **config.connection(), client_id="comity-admin", request_timeout_ms=_REQUEST_MS
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go."""
        self._client.close()

    def identity(self) -> BrokerIdentity:
        """Kafka's version as its requests show it: at least this one. Raises ``Unreachable``."""
        with _translated():
            node = self._client.describe_cluster()["brokers"][0]["broker_id"]
            version = self._client.get_broker_version_data(node).broker_version
        return BrokerIdentity("Apache Kafka", ".".join(str(part) for part in version))

    def brokers(self) -> int:
        """How many brokers the cluster has. Raises ``Unreachable``."""
        with _translated():
            return len(self._client.describe_cluster()["brokers"])

    def state(self) -> ClusterState:
        """All topics with their settings, and all access rules. Raises ``Unreachable``, ``NotPermitted``."""
        return ClusterState(self._topics(), self._rules())

    def apply(self, plan: Plan) -> None:
        """Do what ``plan`` says, and wait until it can be seen. Raises ``Unreachable``, ``NotPermitted``, ``ComityError``.

        Permissions go before topics: whoever finds a topic may use it. Doing it again changes nothing.
        """
        self._allow(plan.allow)
        self._remove(plan.remove)
        self._create(plan.create)
        self._alter(plan.alter)
        self._await_rules(plan)

    def delete_topic(self, name: str) -> None:
        """Delete a topic with its records: for tests, and for a State that leaves. Raises ``ComityError``."""
        with _translated():
            self._client.delete_topics([name])

    # --- reading ----------------------------------------------------------------------------------

    def _topics(self) -> Mapping[str, StoredTopic]:
        with _translated():
            described = [each for each in self._client.describe_topics() if not each["is_internal"]]
        for each in described:
            _check_code(each["error_code"], each["name"])
        names = [str(each["name"]) for each in described]
        configs = self._configs(names) if names else {}
        return {
            each["name"]: StoredTopic(
                each["name"],
                len(each["partitions"]),
                len(each["partitions"][0]["replica_nodes"]),
                configs[each["name"]],
            )
            for each in described
        }

    def _configs(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        wanted = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        with _translated():
            found = self._client.describe_configs(wanted, config_filter="all").get("topic", {})
        silent = sorted(set(names) - {name for name, settings in found.items() if settings})
        if silent:
            raise NotPermitted("access-denied", f"The broker does not show the settings of {', '.join(silent)}.")
        return {name: {key: str(entry["value"]) for key, entry in settings.items()} for name, settings in found.items()}

    def _rules(self) -> frozenset[StoredRule]:
        everything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
        wanted = ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ANY, everything)
        with _translated():
            found, _ = self._client.describe_acls(wanted)
        return frozenset(
            StoredRule(
                each.principal,
                each.host,
                each.operation.name,
                each.permission_type.name,
                each.resource_pattern.resource_type.name,
                each.resource_pattern.resource_name,
                each.resource_pattern.pattern_type.name,
            )
            for each in found
        )

    # --- writing ----------------------------------------------------------------------------------

    def _create(self, specs: Sequence[TopicSpec]) -> None:
        for some in _pieces(specs, TOPICS_AT_ONCE):
            self._create_some(some)

    def _create_some(self, specs: Sequence[TopicSpec]) -> None:
        wanted = {
            spec.name: {
                "num_partitions": spec.partitions,
                "replication_factor": spec.replication,
                "configs": dict(spec.config),
            }
            for spec in specs
        }
        with _translated():
            answer = self._client.create_topics(wanted, raise_errors=False)
        for each in answer["topics"]:
            if each["error_code"] != _ALREADY_EXISTS:  # another one applied at the same time
                _check_code(each["error_code"], each["name"], each["error_message"])
        with _translated():
            self._client.wait_for_topics(list(wanted))

    def _alter(self, changes: Mapping[str, Mapping[str, str]]) -> None:
        if not changes:
            return
        wanted = [ConfigResource(ConfigResourceType.TOPIC, name, dict(values)) for name, values in changes.items()]
        with _translated():
            # Incremental: the older call would set back every setting that is not named.
            answer = self._client.alter_configs(wanted, raise_on_unknown=False, incremental=True)
        for name, said in answer.get("topic", {}).items():
            if said != "OK":
                raise ComityError("topic-not-altered", f"The broker refused settings of {name}: {said}.")

    def _allow(self, rules: Sequence[StoredRule]) -> None:
        for some in _pieces(rules, RULES_AT_ONCE):
            with _translated():
                answer = self._client.create_acls([_acl(rule) for rule in some])
            if answer["failed"]:
                raise _refused(answer["failed"][0], "access rules")

    def _remove(self, rules: Sequence[StoredRule]) -> None:
        if not rules:
            return
        with _translated():
            answer = self._client.delete_acls([_acl_filter(rule) for rule in rules])
        for _, _, error in answer:
            if error.errno != 0:
                raise _refused(error, "access rules")

    def _await_rules(self, plan: Plan) -> None:
        deadline = time.monotonic() + _VISIBLE_S
        while True:
            rules = self._rules()
            if rules.issuperset(plan.allow) and rules.isdisjoint(plan.remove):
                return
            if time.monotonic() > deadline:
                raise Unreachable("access-rules-late", "The broker does not show the new access rules yet; try again.")
            time.sleep(0.1)


_ALREADY_EXISTS: Final = 36
_Item = TypeVar("_Item")


def _pieces(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    """The items in pieces of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except KafkaError as error:
        raise _refused(type(error), str(error)) from error


def _check_code(code: int, subject: str, message: str | None = None) -> None:
    if code:
        raise _refused(for_code(code), f"{subject}: {message or 'no reason given'}")


def _refused(kind: type[Any], subject: str) -> ComityError:
    if kind.__name__ in _DENIED:
        return NotPermitted("access-denied", f"This principal may not administer the cluster ({subject}).")
    if getattr(kind, "retriable", False):
        return Unreachable("broker-silent", f"The broker did not answer ({kind.__name__}: {subject}).")
    return ComityError("broker-refused", f"The broker refused ({kind.__name__}: {subject}).")


def _acl(rule: StoredRule) -> ACL:
    return ACL(
        rule.principal,
        rule.host,
        ACLOperation[rule.operation],
        ACLPermissionType[rule.permission],
        ResourcePattern(ResourceType[rule.resource], rule.name, ACLResourcePatternType[rule.pattern]),
    )


def _acl_filter(rule: StoredRule) -> ACLFilter:
    return ACLFilter(
        rule.principal,
        rule.host,
        ACLOperation[rule.operation],
        ACLPermissionType[rule.permission],
        ResourcePatternFilter(ResourceType[rule.resource], rule.name, ACLResourcePatternType[rule.pattern]),
    )
