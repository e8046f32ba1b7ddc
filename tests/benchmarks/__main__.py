"""``make bench``: run the benchmarks, keep their figures, and write the tables of docs/performance.md.

``python -m tests.benchmarks`` runs all, about a quarter of an hour on a quiet machine; with names only those (the
run with a million clocks must be named); with ``--tables`` none, and writes the tables from what was measured before.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hub.adapters.clock import SystemClock
from hub.adapters.kafka.artifacts import KAFKA_VERSION
from hub.core.times import format_time
from tests.benchmarks.growth import plot
from tests.benchmarks.sampled import profile
from tests.benchmarks.tables import CLOCKS, SHAPES, SIZES, Figures, written

DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"
FOLDER = DOCUMENT.parent / "performance"
MEASURED = FOLDER / "measured.jsonl"
GROWTH = FOLDER / "growth.svg"
LATENESS = FOLDER / "lateness.svg"
SHORT = ("--messages", "4000", "--rounds", "2", "--warm-up", "3000")
BRIEF = ("--messages", "1500", "--rounds", "1", "--warm-up", "2000")
LARGE = ("--messages", "1000", "--rounds", "1", "--warm-up", "1000")  # a thousand authorities: one message each

RUNS: Mapping[str, Sequence[str]] = {
    "router": ("router", "--messages", "20000"),
    "router-100": ("router", "--messages", "1000", "--rate", "100", "--rounds", "1"),
    "e2e": ("e2e",),
    "start": ("start", "--kills", "12"),
    "watch": ("watch", "--kills", "2", "--cases", "2000"),
    **{run: ("watch", f"--clocks={many}", "--cases=0") for many, run in CLOCKS.items() if run != "watch"},
    "rebuild": ("watch", "--clocks=1", "--due=1", "--burst=1", "--kills=0", "--cases=100000"),
    **{
        f"shards-{many}x{workers}": ("router", f"--shards={many}", f"--workers={workers}", *SHORT)
        for many, workers in SHAPES
    },
    SIZES[200]: ("router", "--authorities=200", *SHORT),
    SIZES[1000]: ("router", "--authorities=1000", *LARGE),
}
PROFILE = "profile"
LONG = frozenset({*CLOCKS.values(), "rebuild"} - {"watch"})  # only when named


def main(arguments: Sequence[str]) -> int:
    """Returns 1 when a run failed; the figures of the others are kept."""
    parser = argparse.ArgumentParser(description="Run the benchmarks and write docs/performance.md.")
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help=f"of {', '.join((*RUNS, PROFILE))}; all but {', '.join(LONG)} unless named",
    )
    parser.add_argument("--tables", action="store_true", help="measure nothing")
    given = parser.parse_args(arguments)
    every = [name for name in (*RUNS, PROFILE) if name not in LONG]
    names = [] if given.tables else given.runs or every
    failed = [name for name in names if not measure(name)]
    write()
    if failed:
        sys.stderr.write(f"not measured: {', '.join(failed)}\n")
    return 1 if failed else 0


def measure(name: str) -> bool:
    """Run one benchmark and keep its figures. Returns whether there are any."""
    sys.stderr.write(f"--- {name}\n")
    try:
        figures = profile(*BRIEF) if name == PROFILE else _run(RUNS[name])
    except (subprocess.CalledProcessError, ValueError) as error:
        sys.stderr.write(f"{name} failed: {error}\n")
        return False
    lines = {**_lines(), name: {"run": name, "at": format_time(SystemClock().now_ms()), "figures": figures}}
    FOLDER.mkdir(exist_ok=True)
    MEASURED.write_text("".join(json.dumps(line) + "\n" for line in lines.values()))
    return True


def write() -> None:
    """Write the tables and the plot from what was measured."""
    lines = _lines()
    measured: dict[str, Figures] = {name: line["figures"] for name, line in lines.items()}
    newest = max((line["at"] for line in lines.values()), default="never")
    machine = (
        f"Measured until {newest[:10]} on {os.cpu_count()} cores, Python {platform.python_version()}, cryptography "
        f"{version('cryptography')}, aiokafka {version('aiokafka')}, Apache Kafka {KAFKA_VERSION}, TLS 1.3."
    )
    DOCUMENT.write_text(written(DOCUMENT.read_text(), measured, machine=machine))
    grown = [(many, measured[run]) for many, run in SIZES.items() if run in measured]
    if grown:
        series = {
            "router": [(many, each["cpu_us_per_message"]["router"]) for many, each in grown],
            "broker": [(many, each["cpu_us_per_message"]["broker"]) for many, each in grown],
            "copy, with broker": [(many, each["copy"]["cpu_us_per_message"]["all"]) for many, each in grown],
        }
        title = "CPU of a message by the number of authorities, backlog"
        GROWTH.write_text(plot(series, title=title, x="authorities", y="us"))
    watched = [(many, measured[run]) for many, run in CLOCKS.items() if run in measured]
    if watched:
        late = {
            "one by one, p99": [(many, each["lateness_ms"]["p99"]) for many, each in watched],
            "10,000 at once, last": [(many, each["burst"]["lateness_ms"]["max"]) for many, each in watched],
        }
        LATENESS.write_text(plot(late, title="Lateness of flags by the number of open clocks", x="open clocks", y="ms"))


def _lines() -> dict[str, dict[str, Any]]:
    if not MEASURED.exists():
        return {}
    return {line["run"]: line for line in map(json.loads, MEASURED.read_text().splitlines())}


def _run(arguments: Sequence[str]) -> Figures:
    """Raises ``CalledProcessError``; a run that lost messages has figures, which say so."""
    done = subprocess.run(
        [sys.executable, "-m", "hub", "bench", *arguments, "--json"], stdout=subprocess.PIPE, text=True, check=False
    )
    if not done.stdout.strip():
        done.check_returncode()
    figures: Figures = json.loads(done.stdout)
    return figures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
