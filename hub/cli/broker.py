"""``comity broker start|stop|status|logs``: a local Apache Kafka for one machine."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hub.adapters.clock import SystemChance
from hub.adapters.files.home import Home
from hub.adapters.kafka.artifacts import KAFKA_VERSION
from hub.adapters.kafka.broker import BrokerState, LocalBroker
from hub.cli.app import Groups
from hub.cli.options import DEFAULT_HOME, HomeFolder, Output, OutputFormat
from hub.cli.output import emit_one, say

_NOT_RUNNING = 3

Cache = Annotated[
    Path,
    typer.Option("--cache", envvar="COMITY_CACHE", help="Folder that keeps Apache Kafka's jars for all deployments."),
]
_DEFAULT_CACHE = Path("~/.cache/comity")


class LogName(StrEnum):
    """Which log of the broker."""

    SERVER = "server"
    DENIALS = "denials"
    CONSOLE = "console"


def register(app: typer.Typer, groups: Groups) -> None:  # noqa: ARG001 (every command module has this shape)
    """Add the commands."""
    group = groups["broker"]

    @group.command(
        epilog="Example: comity broker start --home /srv/comity. Exit codes: 2 no Java, a port taken, no certificates;"
        " 3 Maven cannot fetch, or the broker does not come up; 5 a jar has a wrong checksum."
    )
    def start(
        home: HomeFolder = DEFAULT_HOME,
        cache: Cache = _DEFAULT_CACHE,
        port: Annotated[
            int | None,
            typer.Option("--port", min=1, max=65535, help="Port on 127.0.0.1; remembered. Default: a free one, once."),
        ] = None,
    ) -> None:
        """Start Apache Kafka on this machine, with TLS and access rules. Fetches it once; needs Java 17 or later."""
        state = asyncio.run(_broker(home, cache).start(SystemChance(), port=port))
        say(f"Apache Kafka {KAFKA_VERSION} listens on {state.bootstrap_server} (process {state.pid}).")

    @group.command(epilog="Example: comity broker stop. Exit codes: 0 also when none runs; 3 it does not stop.")
    def stop(home: HomeFolder = DEFAULT_HOME, cache: Cache = _DEFAULT_CACHE) -> None:
        """Stop the local broker cleanly. Its data stay."""
        say("Stopped." if asyncio.run(_broker(home, cache).stop()) else "No local broker runs.")

    @group.command(epilog="Example: comity broker status -o json. Exit codes: 0 it runs; 3 it does not.")
    def status(
        home: HomeFolder = DEFAULT_HOME, cache: Cache = _DEFAULT_CACHE, output: Output = OutputFormat.TABLE
    ) -> None:
        """Whether the local broker runs, where it listens, where its data lie."""
        state = _broker(home, cache).state()
        emit_one(_row(state), output)
        if not state.running:
            raise typer.Exit(_NOT_RUNNING)

    @group.command(epilog="Example: comity broker logs --log denials --lines 20. Exit codes: 2 no such log yet.")
    def logs(
        home: HomeFolder = DEFAULT_HOME,
        cache: Cache = _DEFAULT_CACHE,
        log: Annotated[
            LogName,
            typer.Option("--log", help="server; denials: who was refused what; console: what Java said at its start."),
        ] = LogName.SERVER,
        lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=10_000, help="How many, from the end.")] = 50,
    ) -> None:
        """The last lines of the local broker's logs."""
        for line in _broker(home, cache).log_lines(log.value, lines):
            typer.echo(line)


def _broker(home: Path, cache: Path) -> LocalBroker:
    return LocalBroker(Home(home), cache=cache.expanduser())


def _row(state: BrokerState) -> dict[str, str | int | bool | None]:
    return {
        "running": state.running,
        "name": "Apache Kafka",
        "version": KAFKA_VERSION,
        "bootstrap_server": state.bootstrap_server,
        "pid": state.pid,
        "cluster_id": state.cluster_id,
        "data": str(state.data.absolute()),
    }
