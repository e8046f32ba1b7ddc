"""``comity init``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hub.adapters.clock import SystemChance, SystemClock
from hub.adapters.files.founding import Counts, found, is_founded
from hub.adapters.files.home import Home
from hub.adapters.secretariat import Secretariat
from hub.cli.app import Groups
from hub.cli.options import DEFAULT_HOME, HomeFolder, Output, OutputFormat
from hub.cli.output import emit_one, say
from hub.core.authority import TrustList
from hub.core.times import format_time
from hub.errors import UsageError

SHARDS = 4
LEDGER_PARTITIONS = 4
COUNT_MAX = 64  # each shard is a transactional id and a writer of its own


def register(app: typer.Typer, groups: Groups) -> None:  # noqa: ARG001 (every command module has this shape)
    """Add the command."""

    @app.command(epilog="Example: comity init --home ./comity-home --shards 4")
    def init(
        home: HomeFolder = DEFAULT_HOME,
        shards: Annotated[
            int | None,
            typer.Option(min=1, max=COUNT_MAX, help=f"Shards of the router, fixed for ever. Default: {SHARDS}."),
        ] = None,
        ledger_partitions: Annotated[
            int | None,
            typer.Option(
                min=1, max=COUNT_MAX, help=f"Partitions of hub.ledger, fixed for ever. Default: {LEDGER_PARTITIONS}."
            ),
        ] = None,
        output: Output = OutputFormat.TABLE,
    ) -> None:
        """Make a deployment's home folder: certificates, keys of the hub, a demonstration secretariat, trust list 1.

        Nothing is ever overwritten. On a folder that is a deployment already this changes nothing, says so and ends with
        0, unless --shards or --ledger-partitions ask for what the deployment has not (2). A folder that is half made is
        refused (2).
        """
        folder = Home(home)
        if is_founded(folder):
            trust = _existing(folder, shards, ledger_partitions)
            say(f"{home} is a deployment already; nothing was changed.")
        else:
            counts = Counts(shards=shards or SHARDS, ledger_partitions=ledger_partitions or LEDGER_PARTITIONS)
            trust = found(folder, counts, now_ms=SystemClock().now_ms(), chance=SystemChance())
            say("Made. The secretariat's keys lie beside the hub's: fit for a demonstration only.")
        emit_one(_row(folder, trust), output)


def _existing(home: Home, shards: int | None, ledger_partitions: int | None) -> TrustList:
    trust = Secretariat.open(home).newest()
    if (shards or trust.shards, ledger_partitions or trust.ledger_partitions) != (
        trust.shards,
        trust.ledger_partitions,
    ):
        raise UsageError(
            "home-differs",
            f"{home.root} was made with {trust.shards} shards and {trust.ledger_partitions} ledger partitions;"
            " these never change.",
        )
    return trust


def _row(home: Home, trust: TrustList) -> dict[str, Any]:
    return {
        "home": str(home.root),
        "deployment": trust.deployment,
        "trust_list": trust.number,
        "next_update": format_time(trust.next_update_ms),
        "shards": trust.shards,
        "ledger_partitions": trust.ledger_partitions,
        "anchor": str(home.anchor),
    }
