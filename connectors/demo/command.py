"""``comity demo``."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from connectors.demo.kafka_stage import KafkaStage
from connectors.demo.memory_stage import MemoryStage
from connectors.demo.narration import Narration
from connectors.demo.stage import Stage
from connectors.demo.story import Story
from hub.adapters.clock import SystemChance, SystemClock
from hub.adapters.kafka.artifacts import java
from hub.cli.app import Groups
from hub.cli.options import OutputFormat
from hub.cli.output import emit, emit_one
from hub.errors import UsageError


class BusKind(StrEnum):
    """Where the story is played."""

    KAFKA = "kafka"
    MEMORY = "memory"


EPILOG: Final = (
    "Example: comity demo --json. Exit codes: 0 all as expected; 1 something was not; 2 no Java, Maven, or a port; "
    "3 a part of the hub ended or did not answer. Without Java the in-memory bus is used, and said."
)


def register(app: typer.Typer, groups: Groups) -> None:  # noqa: ARG001 (every command module has this shape)
    """Add the command."""
    app.command(epilog=EPILOG)(demo)


def demo(
    bus: Annotated[BusKind | None, typer.Option("--bus", help="kafka or memory. Default: kafka where Java is.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running, and say what to try next.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output, nothing else.")] = False,
    cache: Annotated[
        Path, typer.Option("--cache", envvar="COMITY_CACHE", help="Folder that keeps Apache Kafka's jars.")
    ] = Path("~/.cache/comity"),
) -> None:
    """Play a small history between three fictional authorities, and count what came of it."""
    narration = Narration(sys.stderr if json else sys.stdout)
    kind = bus or _available(narration)
    root = Path(tempfile.mkdtemp(prefix="comity-demo-"))
    # What libraries say of refused connections and denials belongs into a log, not into the story.
    logging.getLogger().addHandler(logging.FileHandler(root / "demo.log"))
    clock, chance = SystemClock(), SystemChance()
    stage: Stage = (
        KafkaStage(root, cache.expanduser(), clock, chance)
        if kind is BusKind.KAFKA
        else MemoryStage(root, clock, chance)
    )
    kept = False
    try:
        result = asyncio.run(_play(stage, narration, keep=keep))
        kept = keep
    finally:
        if not kept:
            shutil.rmtree(root, ignore_errors=True)
    _report(result, narration, json=json)
    if narration.failures:
        raise typer.Exit(1)


def _available(narration: Narration) -> BusKind:
    try:
        java()
    except UsageError as error:
        narration.tell("comity", f"{error.sentence} The story is played on the in-memory bus instead.")
        return BusKind.MEMORY
    return BusKind.KAFKA


async def _play(stage: Stage, narration: Narration, *, keep: bool) -> Mapping[str, Any]:
    clock, chance = SystemClock(), SystemChance()
    interrupted = asyncio.current_task()
    if interrupted is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, interrupted.cancel)
    try:
        narration.chapter("The hub starts")
        identity = await stage.open()
        narration.tell("broker", f"{identity.name} {identity.version} answers")
        tally = await Story(stage, narration, clock, chance).play()
        result = {
            **tally.counts(),
            "broker": {"name": identity.name, "version": identity.version},
            "seconds": round(narration.seconds, 1),
        }
        if keep:
            await _wait_for_person(stage, narration)
    finally:
        await stage.close()
    return result


async def _wait_for_person(stage: Stage, narration: Narration) -> None:
    narration.chapter("Everything runs until Ctrl-C. Try, in another terminal:")
    for hint in stage.hints():
        narration.tell("", hint)
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


def _report(result: Mapping[str, Any], narration: Narration, *, json: bool) -> None:
    if json:
        emit_one(result, OutputFormat.JSONL)
        return
    narration.chapter("What came of it, counted from the topics and the connectors' stores")
    rows = [{"count": name, "value": value} for name, value in result.items() if not isinstance(value, dict)]
    emit(rows, ["count", "value"], OutputFormat.TABLE)
    narration.chapter("All as expected." if not narration.failures else f"{len(narration.failures)} not as expected.")
