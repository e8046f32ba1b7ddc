"""``comity case rebuild``: the case view once more, from the ledger alone, and whether the registrar's is the same."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from hub.adapters.kafka.broker import client_config
from hub.adapters.kafka.bus import KafkaBus
from hub.adapters.sql.case_store import CaseStore, Fingerprint
from hub.adapters.sql.engine import database_exists, open_engine, sqlite_url, upgrade
from hub.cli.app import Groups
from hub.cli.options import DEFAULT_HOME, BootstrapServer, CommandConfig, HomeFolder, Output, OutputFormat
from hub.cli.output import emit_one, say
from hub.core.access import REGISTRAR
from hub.errors import UsageError
from hub.ports import Bus
from hub.settings import HubSettings, load_settings

FINDINGS: Final = 1
EPILOG: Final = (
    "Example: comity case rebuild --into audit.db -o json. The new file is a case view like the registrar's: whoever "
    "lost that one starts the registrar anew, or puts this one in its place. Exit codes: 0 rebuilt, and the same as the "
    "registrar's where there is one; 1 it differs; 2 settings, or the file exists; 3 broker or database do not answer; "
    "4 not permitted; 5 a record of the ledger does not verify."
)


def register(app: typer.Typer, groups: Groups) -> None:  # noqa: ARG001 (every command module has this shape)
    """Add the command."""
    groups["case"].command(epilog=EPILOG)(rebuild)


def rebuild(
    *,
    into: Annotated[Path, typer.Option("--into", help="A SQLite file that does not exist yet.")],
    home: HomeFolder = DEFAULT_HOME,
    bootstrap_server: BootstrapServer = None,
    command_config: CommandConfig = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Fold the whole ledger into a new case view, as far as the registrar has read, and compare the two."""
    settings = load_settings(home=home, bootstrap_server=bootstrap_server, command_config=command_config)
    if into.exists():
        raise UsageError("file-exists", f"{into} exists; name a file that does not.")
    config = client_config(settings.folder, settings.bootstrap_server, settings.command_config, principal=REGISTRAR)
    live = _live(settings)

    async def run() -> Mapping[str, Any]:
        bus = KafkaBus(config, client_id="comity-case-rebuild")
        try:
            return await rebuilt(bus, into, live)
        finally:
            await bus.close()

    figures = asyncio.run(run())
    emit_one(figures, output)
    if figures["identical"] is False:
        say("The registrar's case view is not what the ledger says.")
        raise typer.Exit(FINDINGS)


async def rebuilt(bus: Bus, into: Path, live: Fingerprint | None) -> Mapping[str, Any]:
    """Rebuild into a new file and compare with ``live``; without it to the ledger's present ends. Raises as a rebuild does."""
    from hub.streams.rebuilding import rebuild as fold  # noqa: PLC0415 (only whoever rebuilds pays for the hub's loops)

    engine = open_engine(sqlite_url(into))
    try:
        upgrade(engine)
        store = CaseStore(engine)
        done = await fold(bus, store, live.offsets if live is not None else None)
        made = store.fingerprint()
    finally:
        engine.dispose()
    return {
        "records": done.records,
        "entries": done.entries,
        "cases": made.cases,
        "sha256": made.sha256,
        "registrar_sha256": None if live is None else live.sha256,
        "identical": None if live is None else made == live,
    }


def _live(settings: HubSettings) -> Fingerprint | None:
    """What the registrar's view says now; None where there is none."""
    engine = open_engine(settings.database_url or sqlite_url(settings.folder.case_database), read_only=True)
    try:
        return CaseStore(engine).fingerprint() if database_exists(engine) else None
    finally:
        engine.dispose()
