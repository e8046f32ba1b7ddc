"""Options that many commands share, spelt once. Kafka's own words where Kafka has them (KIP-1147)."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class OutputFormat(StrEnum):
    """What goes to standard output; everything else goes to standard error."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


Output = Annotated[
    OutputFormat,
    typer.Option("--output", "-o", help="How to write the data: table, json, jsonl or csv."),
]
HomeFolder = Annotated[
    Path,
    typer.Option(
        "--home",
        envvar="COMITY_HOME",
        help="Folder of this deployment: hub, secretariat, States, local broker.",
    ),
]
BootstrapServer = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-server",
        envvar="COMITY_BOOTSTRAP_SERVER",
        help="host:port of the Kafka cluster. Default: the local broker of the home folder.",
    ),
]
CommandConfig = Annotated[
    Path | None,
    typer.Option(
        "--command-config",
        envvar="COMITY_COMMAND_CONFIG",
        help="Kafka client properties (security.protocol, ssl.*). Default: those in the home folder.",
    ),
]

DEFAULT_HOME = Path("comity-home")
