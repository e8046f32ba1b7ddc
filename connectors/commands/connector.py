"""``comity connector run``: the gateway in a State's own house."""

from __future__ import annotations

from typing import Annotated

import typer

from connectors.bootstrap import run_connector
from connectors.commands.state import HomeOption, StateOption, open_state
from hub.cli.app import Groups
from hub.cli.options import BootstrapServer, CommandConfig

AuthorityArgument = Annotated[
    str | None, typer.Argument(help="The authority, when its folder lies in the home folder.")
]


def register(app: typer.Typer, groups: Groups) -> None:  # noqa: ARG001 (every command module has this shape)
    """Add the command."""

    @groups["connector"].command(
        epilog="Example: comity connector run xa-moj. SIGTERM stops cleanly. /healthz, /readyz and /metrics are on the "
        "port in connector.port. Exit codes: 0 stopped; 2 settings or keys; 3 broker away; 4 not permitted; 5 the "
        "database or the trust list does not verify."
    )
    def run(  # noqa: PLR0917 (Typer passes options by name)
        authority: AuthorityArgument = None,
        state: StateOption = None,
        home: HomeOption = None,
        bootstrap_server: BootstrapServer = None,
        command_config: CommandConfig = None,
        health_port: Annotated[
            int | None, typer.Option("--health-port", min=0, max=65535, help="Port of the health server; 0: any.")
        ] = None,
    ) -> None:
        """Run an authority's connector: send what lies in out, put what comes into in, until it is stopped."""
        opened = open_state(
            state,
            authority,
            home,
            bootstrap_server=bootstrap_server,
            command_config=command_config.absolute() if command_config else None,
            health_port=health_port,
        )
        run_connector(opened)
