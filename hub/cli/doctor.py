"""``comity doctor``: whether a deployment is well, and what to do where it is not. Looks only; changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer

from hub.adapters.clock import SystemClock
from hub.adapters.directory import FRESHNESS_INTERVAL_SECONDS, Directory, read_directory
from hub.adapters.files.checkup import Finding, Result, examine_files
from hub.adapters.files.home import Home
from hub.adapters.files.owned import read
from hub.adapters.kafka import probe
from hub.adapters.kafka.admin import KafkaAdmin
from hub.adapters.kafka.administration import deployment_of
from hub.adapters.kafka.artifacts import JAVA_MAJOR_MIN, java
from hub.adapters.kafka.broker import client_config
from hub.adapters.kafka.bus import KafkaBus
from hub.adapters.kafka.client_config import ClientConfig
from hub.adapters.kafka.deployment import plan
from hub.adapters.secretariat import Secretariat
from hub.cli.app import Groups
from hub.cli.options import DEFAULT_HOME, BootstrapServer, CommandConfig, HomeFolder, Output, OutputFormat
from hub.cli.output import emit, say
from hub.core.access import ADMIN, DIRECTORY_PUBLISHER
from hub.core.authority import TrustView
from hub.core.effects import Alert
from hub.core.times import format_time
from hub.envelope.trust import read_anchor
from hub.errors import ComityError, Held

COLUMNS: Final = ("result", "check", "detail", "remedy")
FINDINGS: Final = 1
# Three statements missed: whoever publishes them is down, and there are hours left before everybody holds.
FRESHNESS_WARN_MS: Final = int(3 * FRESHNESS_INTERVAL_SECONDS * 1000)
_EPILOG: Final = (
    "Example: comity doctor --home /srv/comity -o json. Exit codes: 0 nothing failed, warnings at most; 1 something"
    " failed; 2 usage. A broker that is away is a finding (1)."
)


@dataclass(frozen=True, slots=True)
class _Cluster:
    """Which cluster to look at, as which principals."""

    home: Home
    bootstrap_server: str | None
    command_config: Path | None

    @property
    def is_local(self) -> bool:
        """Whether it is the local broker of the home folder, which needs Java."""
        return self.bootstrap_server is None and self.command_config is None

    def config(self, principal: str) -> ClientConfig:
        """How ``principal`` connects. Raises ``UsageError``."""
        return client_config(self.home, self.bootstrap_server, self.command_config, principal=principal)


def register(app: typer.Typer, groups: Groups) -> None:  # noqa: ARG001 (every command module has this shape)
    """Add the command."""
    app.command(epilog=_EPILOG)(doctor)


def doctor(
    home: HomeFolder = DEFAULT_HOME,
    bootstrap_server: BootstrapServer = None,
    command_config: CommandConfig = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Look at files, keys, dates, clock, Java, broker, topics and trust list: ok, warn or fail, and what to do."""
    cluster = _Cluster(Home(home), bootstrap_server, command_config)
    now_ms = SystemClock().now_ms()
    findings = [*examine_files(cluster.home, now_ms=now_ms), _java(cluster), *_examine_cluster(cluster, now_ms)]
    rows = [
        {"result": each.result.value, "check": each.check, "detail": each.detail, "remedy": each.remedy}
        for each in findings
    ]
    emit(rows, COLUMNS, output)
    failed = sum(each.result is Result.FAIL for each in findings)
    warned = sum(each.result is Result.WARN for each in findings)
    say(f"{len(findings)} checks: {failed} failed, {warned} to look at soon.")
    if failed:
        raise typer.Exit(FINDINGS)


def examine_directory(view: TrustView, own: TrustView, *, now_ms: int, refused: int = 0) -> Iterator[Finding]:
    """What ``hub.directory`` says against the secretariat's own lists (``own``, empty where there are none).

    ``refused`` counts its records that did not verify.
    """
    if refused:
        yield Finding(
            "directory",
            Result.WARN,
            f"{refused} records on hub.directory do not verify; nobody believes them",
            "find out who wrote them: only the principal directory may",
        )
    known = max(own.lists, default=0)
    if max(view.lists, default=0) < known:
        what = f"the secretariat signed list {known}, hub.directory does not have it"
        yield Finding("published list", Result.FAIL, what, "comity authority publish")
        return
    try:
        newest = view.fresh(now_ms)
    except Held as error:
        remedy = "comity authority renew" if error.code == "trust-list-expired" else "comity authority publish"
        yield Finding("published list", Result.FAIL, error.sentence, remedy)
        return
    stated_ms = now_ms if view.freshness is None else view.freshness.time_ms
    detail = f"list {newest.number}, stated as the newest at {format_time(stated_ms)}"
    if now_ms - stated_ms > FRESHNESS_WARN_MS:
        yield Finding("published list", Result.WARN, detail, "comity authority publish, before it is 24 hours old")
    else:
        yield Finding("published list", Result.OK, detail)


def _java(cluster: _Cluster) -> Finding:
    if not cluster.is_local:
        return Finding("java", Result.OK, "not needed for a cluster of your own")
    try:
        return Finding("java", Result.OK, f"{java()} is Java {JAVA_MAJOR_MIN} or later")
    except ComityError as error:
        return _failed("java", error, f"install Java {JAVA_MAJOR_MIN} or later")


def _examine_cluster(cluster: _Cluster, now_ms: int) -> Iterator[Finding]:
    """Broker, topics with their permissions, published trust list; what cannot be looked at is a finding too."""
    start = f"comity broker start --home {cluster.home.root}" if cluster.is_local else "ask whoever runs the cluster"
    try:
        config = cluster.config(ADMIN)
        asyncio.run(probe.check(config))
    except ComityError as error:
        yield _failed("broker", error, start)
        for check in ("topics", "published list"):
            yield Finding(check, Result.WARN, "not looked at, since the broker does not answer", start)
        return
    yield Finding("broker", Result.OK, f"{config.bootstrap_server} answers")
    try:
        own = Secretariat.open(cluster.home).view()
    except ComityError:
        return  # told by examine_files: without anchor and lists nothing of the cluster can be judged
    try:
        directory, refused = asyncio.run(_published(cluster))
    except ComityError as error:
        yield _topics(config, own, now_ms)
        yield _failed("published list", error, "comity topics apply, then comity authority publish")
        return
    yield _topics(config, directory.view if directory.view.lists else own, now_ms)
    yield from examine_directory(directory.view, own, now_ms=now_ms, refused=refused)


def _topics(config: ClientConfig, view: TrustView, now_ms: int) -> Finding:
    try:
        with KafkaAdmin(config) as admin:
            found = plan(admin, deployment_of(view.newest, now_ms=now_ms))
    except ComityError as error:
        return _failed("topics", error, "see comity topics plan")
    rows = found.rows
    if not rows:
        return Finding("topics", Result.OK, "topics, settings and permissions are as they should be")
    detail = f"{len(rows)} differences, the first: {rows[0]['action']} {rows[0]['resource']}"
    remedy = "comity topics plan, and look: a person must judge" if found.empty else "comity topics plan, then apply"
    return Finding("topics", Result.FAIL, detail, remedy)


async def _published(cluster: _Cluster) -> tuple[Directory, int]:
    """The directory, and how many of its records did not verify."""
    anchor = read_anchor(read(cluster.home.anchor))
    alerts: list[Alert] = []
    bus = KafkaBus(cluster.config(DIRECTORY_PUBLISHER), client_id="comity-doctor")
    try:
        directory = await read_directory(bus, anchor, alert=alerts.append)
    finally:
        await bus.close()
    return directory, len(alerts)


def _failed(check: str, error: ComityError, remedy: str) -> Finding:
    return Finding(check, Result.FAIL, error.sentence, remedy)
