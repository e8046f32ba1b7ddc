"""What a run found: one object for programs, and a dated page for people."""

from __future__ import annotations

import json
import platform
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from hub.adapters.kafka.artifacts import KAFKA_VERSION
from hub.core.times import format_time

ROOT: Final = Path(__file__).parents[2]
REPORTS: Final = ROOT / "docs" / "reports"
ANOMALIES_TOLD: Final = 40
_MACHINE: Final = re.compile(r"/[^ ]*/(?=site-packages/)|" + re.escape(f"{ROOT}/"))  # where code lies on this machine


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The value that ``percent`` of all do not exceed, to the hundredth; None of none."""
    ordered = sorted(values)
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))], 2)


def replay(result: Mapping[str, Any], options: Sequence[str] = ()) -> str:
    """The command that does the same run again."""
    words = ["python", "-m", "tests.faults", "run", str(result["fault"]), "--dose", str(result["dose"])]
    return shlex.join([*words, *options, "--seed", str(result["seed"])])


def write_page(result: Mapping[str, Any], title: str, *, now_ms: int, command: str) -> Path:
    """Write ``docs/reports/<fault>-<dose>-<date>.md``. Returns where it lies."""
    date = format_time(now_ms)[:10]
    path = REPORTS / f"{result['fault']}-{result['dose']}-{date}.md"
    REPORTS.mkdir(parents=True, exist_ok=True)
    anomalies = [_MACHINE.sub("", each) for each in result.get("anomalies", ())]
    figures = {name: value for name, value in result.items() if name != "anomalies"}
    text = [
        f"# {result['fault']}, {title}: {result['dose']} dose of {date}",
        "",
        f"`{command}`",
        "",
        _versions(),
        "",
        "```json",
        json.dumps(figures, indent=1),
        "```",
        "",
        "No anomalies." if not anomalies else f"{len(anomalies)} anomalies:",
        *(f"- {each}" for each in anomalies),
    ]
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return path


def _versions() -> str:
    return (
        f"Apache Kafka {KAFKA_VERSION}, one broker, TLS and access rules on; Python {platform.python_version()}, "
        f"aiokafka {version('aiokafka')}, faust-streaming {version('faust-streaming')}, cryptography "
        f"{version('cryptography')}; commit {_commit()}."
    )


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"
