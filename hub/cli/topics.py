"""``comity topics plan|apply|describe``: topics, settings and access rules of a cluster, from code."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Final

import typer

from hub.adapters.clock import SystemClock
from hub.adapters.directory import read_directory
from hub.adapters.files.home import Home
from hub.adapters.files.lists import SecretariatFolder
from hub.adapters.kafka.admin import KafkaAdmin
from hub.adapters.kafka.broker import client_config
from hub.adapters.kafka.bus import KafkaBus
from hub.adapters.kafka.client_config import ClientConfig
from hub.adapters.kafka.deployment import Deployment, apply_topics
from hub.adapters.kafka.deployment import plan as make_plan
from hub.adapters.kafka.plan import Plan
from hub.cli.app import Groups
from hub.cli.options import DEFAULT_HOME, BootstrapServer, CommandConfig, HomeFolder, Output, OutputFormat
from hub.cli.output import emit, say
from hub.core.access import ADMIN
from hub.core.authority import Status, TrustList
from hub.core.ids import AuthorityId, authority_id
from hub.core.topics import DIRECTORY
from hub.envelope.trust import read_anchor, read_trust_list
from hub.errors import Refused, UsageError

_COLUMNS: Final = ("action", "resource", "detail")
_FINDINGS: Final = 1
_SHARDS: Final = 4
_LEDGER_PARTITIONS: Final = 4

Authorities = Annotated[
    list[str] | None,
    typer.Option("--authority", help="An authority beside those of the trust list, such as xa-moj. Repeatable."),
]
Shards = Annotated[int, typer.Option("--shards", min=1, max=64, help="Shards, while there is no trust list yet.")]
Partitions = Annotated[
    int,
    typer.Option("--ledger-partitions", min=1, max=64, help="Ledger partitions, while there is no trust list yet."),
]
Replication = Annotated[
    int | None,
    typer.Option("--replication", min=1, max=3, help="Replicas of a new topic. Default: one per broker, up to 3."),
]


_PLAN_EPILOG: Final = (
    "Example: comity topics plan --authority xd-moj. Exit codes: 0 nothing to do; 1 there are differences;"
    " 3 the broker cannot be reached; 4 not permitted."
)
_APPLY_EPILOG: Final = (
    "Example: comity topics apply. Exit codes: 0 the cluster is as it should be; 1 findings remain that"
    " need a person; 3 the broker cannot be reached; 4 not permitted."
)
_DESCRIBE_EPILOG: Final = (
    "Example: comity topics describe -o json. Exit codes: 3 the broker cannot be reached; 4 not permitted."
)


def register(app: typer.Typer, groups: Groups) -> None:  # noqa: ARG001 (every command module has this shape)
    """Add the commands."""
    group = groups["topics"]
    group.command(epilog=_PLAN_EPILOG)(plan)
    group.command(epilog=_APPLY_EPILOG)(apply)
    group.command(epilog=_DESCRIBE_EPILOG)(describe)


def plan(
    *,
    authority: Authorities = None,
    home: HomeFolder = DEFAULT_HOME,
    bootstrap_server: BootstrapServer = None,
    command_config: CommandConfig = None,
    shards: Shards = _SHARDS,
    ledger_partitions: Partitions = _LEDGER_PARTITIONS,
    replication: Replication = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Show how the cluster differs from what it should be. Changes nothing."""
    config = client_config(Home(home), bootstrap_server, command_config, principal=ADMIN)
    deployment = _deployment(Home(home), config, authority, shards, ledger_partitions)
    with KafkaAdmin(config) as admin:
        found = make_plan(admin, deployment, replication=replication)
    _show(found, output)
    if found.rows:
        raise typer.Exit(_FINDINGS)


def apply(
    *,
    authority: Authorities = None,
    home: HomeFolder = DEFAULT_HOME,
    bootstrap_server: BootstrapServer = None,
    command_config: CommandConfig = None,
    shards: Shards = _SHARDS,
    ledger_partitions: Partitions = _LEDGER_PARTITIONS,
    replication: Replication = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Make the cluster what it should be: topics, settings, access rules. Doing it again changes nothing."""
    config = client_config(Home(home), bootstrap_server, command_config, principal=ADMIN)
    deployment = _deployment(Home(home), config, authority, shards, ledger_partitions)
    with KafkaAdmin(config) as admin:
        done = apply_topics(admin, deployment, replication=replication)
    _show(done, output)
    if any(row["action"] == "look" for row in done.rows):
        raise typer.Exit(_FINDINGS)


def describe(
    home: HomeFolder = DEFAULT_HOME,
    bootstrap_server: BootstrapServer = None,
    command_config: CommandConfig = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """The topics and access rules that the cluster has."""
    with KafkaAdmin(client_config(Home(home), bootstrap_server, command_config, principal=ADMIN)) as admin:
        state = admin.state()
    rows: list[Mapping[str, str]] = [
        {
            "action": "topic",
            "resource": topic.name,
            "detail": f"{topic.partitions} x {topic.replication}, {topic.config['cleanup.policy']},"
            f" {topic.config['message.timestamp.type']}, retention.ms {topic.config['retention.ms']},"
            f" max.message.bytes {topic.config['max.message.bytes']},"
            f" compression.type {topic.config['compression.type']}",
        }
        for topic in sorted(state.topics.values(), key=lambda topic: topic.name)
    ]
    rows += [{"action": "rule", "resource": str(rule), "detail": ""} for rule in sorted(state.rules)]
    emit(rows, _COLUMNS, output)


def _show(found: Plan, output: OutputFormat) -> None:
    emit(found.rows, _COLUMNS, output)
    if not found.rows:
        say("The cluster is as it should be.")


def _deployment(
    home: Home, config: ClientConfig, named: list[str] | None, shards: int, ledger_partitions: int
) -> Deployment:
    """The trust list's authorities and counts, and the named authorities; without a list, the options."""
    more = frozenset(_named(name) for name in named or ())
    trust = _trust(home, config)
    if trust is None:
        return Deployment(authorities=more, shards=shards, ledger_partitions=ledger_partitions)
    now_ms = SystemClock().now_ms()
    revoked = {each.id for each in trust.authorities.values() if each.status_at(now_ms) is Status.REVOKED}
    return Deployment(
        authorities=frozenset(trust.authorities) | more,
        revoked=frozenset(revoked) - more,
        shards=trust.shards,
        ledger_partitions=trust.ledger_partitions,
    )


def _named(name: str) -> AuthorityId:
    try:
        return authority_id(name)
    except Refused as error:
        raise UsageError("authority-malformed", f"{name!r} is no authority id such as xa-moj.") from error


def _trust(home: Home, config: ClientConfig) -> TrustList | None:
    """The newest list: published, or still in the secretariat's folder (the topics come before the first publishing)."""
    if not home.anchor.is_file():
        return None
    anchor = read_anchor(home.anchor.read_bytes())
    signed = SecretariatFolder(home.secretariat).lists().values()
    lists = [read_trust_list(data, anchor) for data in signed]

    async def published() -> None:
        bus = KafkaBus(config, client_id="comity-topics")
        try:
            if DIRECTORY in await bus.partitions():
                lists.extend((await read_directory(bus, anchor)).view.lists.values())
        finally:
            await bus.close()

    asyncio.run(published())
    return max(lists, key=lambda each: each.number, default=None)
