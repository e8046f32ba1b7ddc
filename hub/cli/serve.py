"""``comity serve directory|router|registrar|watch|all``: the hub's processes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from hub.cli.app import Groups
from hub.cli.options import BootstrapServer, CommandConfig
from hub.cli.output import say
from hub.errors import UsageError
from hub.settings import PROCESSES, HubSettings, load_settings


class Served(StrEnum):
    """What to run."""

    DIRECTORY = "directory"
    ROUTER = "router"
    REGISTRAR = "registrar"
    WATCH = "watch"
    ALL = "all"


EPILOG: Final = (
    "Example: comity serve all --home /srv/comity. SIGTERM stops cleanly. /healthz, /readyz and /metrics are on a port "
    "that stands in <home>/logs/<process>.port. Exit codes: 0 stopped; 2 settings or files; 3 broker away; 4 not "
    "permitted; 5 a record of the hub does not verify; 70 an outcome is unknown: start it again (all does so itself)."
)

Home = Annotated[
    Path | None,
    typer.Option("--home", help="Folder of this deployment. Default: COMITY_HOME, else comity-home."),
]


def register(app: typer.Typer, groups: Groups) -> None:  # noqa: ARG001 (every command module has this shape)
    """Add the command."""

    @app.command(epilog=EPILOG)
    def serve(  # noqa: PLR0917 (Typer passes options by name)
        process: Annotated[Served, typer.Argument(help="Which process; all runs the four and starts them again.")],
        home: Home = None,
        bootstrap_server: BootstrapServer = None,
        command_config: CommandConfig = None,
        worker: Annotated[
            str | None,
            typer.Option("--worker", help="Name of this worker, kept over restarts; each of several has its own."),
        ] = None,
        health_port: Annotated[
            int | None,
            typer.Option("--health-port", min=0, max=65535, help="Port of /healthz, /readyz, /metrics; 0: any."),
        ] = None,
        log_level: Annotated[str | None, typer.Option("--log-level", help="debug, info, warning or error.")] = None,
    ) -> None:
        """Run a process of the hub: directory (says that the trust list is fresh), router, registrar, watch, or all of them."""
        arguments = {
            "home": home,
            "bootstrap_server": bootstrap_server,
            "command_config": command_config,
            "worker": worker,
            "log_level": log_level,
        }
        if process is Served.ALL:
            _serve_all(load_settings(**arguments), arguments, health_port)
            return
        settings = load_settings(**arguments, **{f"health_port_{process.value}": health_port})
        from hub import bootstrap  # noqa: PLC0415 (only whoever serves pays for the whole hub)

        bootstrap.serve(process.value, settings)


def _serve_all(settings: HubSettings, arguments: Mapping[str, object], health_port: int | None) -> None:
    if settings.command_config is not None or health_port is not None:
        raise UsageError(
            "option-per-process",
            "Each process has its own client files and health port: leave --command-config and --health-port out, "
            "or serve each process by itself.",
        )
    from hub.streams.supervisor import supervise  # noqa: PLC0415 (the same)

    options = [
        text
        for name, value in arguments.items()
        if value is not None
        for text in (f"--{name.replace('_', '-')}", str(value))
    ]
    commands = {name: [sys.executable, "-m", "hub", "serve", name, *options] for name in PROCESSES}
    asyncio.run(supervise(commands, say=say))
