"""Options that several benchmarks share, spelt once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from hub.core.limits import VALUE_BYTES_MAX

CACHE: Final = Path("~/.cache/comity")


class Suite(StrEnum):
    """What authorities sign with."""

    S1 = "S1"
    S2 = "S2"


Authorities = Annotated[int, typer.Option("--authorities", min=2, max=1500, help="How many write to each other.")]
Shards = Annotated[int, typer.Option("--shards", min=1, max=64, help="Into how many the router's work is cut.")]
Size = Annotated[int, typer.Option("--size", min=1, max=VALUE_BYTES_MAX, help="Bytes of a message's sealed body.")]
Rate = Annotated[
    float | None, typer.Option("--rate", min=0.1, help="Messages a second. Default: all at once, a backlog.")
]
SuiteOption = Annotated[Suite, typer.Option("--suite", help="What they sign with.")]
Workers = Annotated[int, typer.Option("--workers", min=1, max=16, help="Router processes, which share the shards.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, nothing else.")]
Cache = Annotated[Path, typer.Option("--cache", envvar="COMITY_CACHE", help="Folder that keeps Apache Kafka's jars.")]
EXIT_CODES: Final = (
    "Exit codes: 0 measured; 1 a message was lost; 2 no Java, Maven, or a port; 3 a part did not answer."
)
