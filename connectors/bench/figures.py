"""What a benchmark prints: one object of figures, as JSON or as a table; progress goes to standard error."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from connectors.bench.usage import COMPILER
from hub.cli.options import OutputFormat
from hub.cli.output import emit, emit_one, say

MICROSECONDS: Final = 1_000_000
PERCENTS: Final = (50, 95, 99)


def percentiles(values: Sequence[float], *, percents: Sequence[int] = PERCENTS) -> dict[str, float | None]:
    """``p50``, ``p95``, ...: the nearest rank, so that each is a value that was seen. None when nothing was."""
    ordered = sorted(values)
    return {
        f"p{percent}": round(ordered[math.ceil(percent / 100 * len(ordered)) - 1], 2) if ordered else None
        for percent in percents
    }


def per_message_us(cpu_seconds: Mapping[str, float], messages: int) -> dict[str, float]:
    """CPU microseconds a message: in all, and by part. A JVM's compiler is shown, and not in the sum: see ``Meter``."""
    us = {name: seconds / messages * MICROSECONDS for name, seconds in cpu_seconds.items()}
    whole = sum(each for name, each in us.items() if name != COMPILER)
    return {"all": round(whole, 1), **{name: round(each, 1) for name, each in us.items()}}


def total(laps: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The sum of several laps, part by part."""
    names = dict.fromkeys(name for lap in laps for name in lap)
    return {name: sum(lap.get(name, 0.0) for lap in laps) for name in names}


def ratio(ours_us: float, *baselines_us: float) -> float:
    """Ours over the sum of the baselines."""
    return round(ours_us / sum(baselines_us), 3)


def show(figures: Mapping[str, Any], *, json: bool) -> None:
    """Write the figures to standard output: one JSON object, or a table with a line for each number."""
    if json:
        emit_one(figures, OutputFormat.JSONL)
        return
    rows = [{"figure": name, "value": value} for name, value in flat(figures)]
    emit(rows, ["figure", "value"], OutputFormat.TABLE)


def flat(figures: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The figures line by line: a nested one has the names above it before its own."""
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{name} ")
        else:
            yield f"{above}{name}", ", ".join(map(str, value)) if isinstance(value, list) else value


class Progress:
    """Lines on standard error, with the seconds since the beginning."""

    def __init__(self) -> None:
        self._begin = time.monotonic()

    def tell(self, what: str) -> None:
        """One line."""
        say(f"{time.monotonic() - self._begin:6.1f} s  {what}")
