"""``python -m tests.faults run F1 --dose pr``: do a fault to a hub at work, and tell whether it kept its promise.

Exit codes: 0 clean; 1 something was lost, doubled, reordered, torn, or otherwise wrong; 2 no Java, or no such fault;
3 the lab could not be set up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hub.adapters.clock import SystemClock
from hub.errors import ComityError
from tests.faults.doses import FULL, PULL_REQUEST
from tests.faults.report import replay, write_page
from tests.faults.runner import faults, run_in_folder

CACHE = Path(os.environ.get("COMITY_CACHE", "~/.cache/comity"))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns the exit code."""
    chosen = _parser().parse_args(arguments)
    if chosen.command == "list":
        for name, fault in faults().items():
            doses = "; ".join(
                f"{dose}: {each.faults} in {each.messages} messages" for dose, each in fault.DOSES.items()
            )
            sys.stdout.write(f"{name:<4} {fault.TITLE} ({doses})\n")
        return 0
    try:
        return _run(chosen)
    except ComityError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Do faults to a hub at work.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the faults and their doses")
    run = commands.add_parser("run", help="do one")
    run.add_argument("fault", choices=list(faults()))
    run.add_argument("--dose", choices=(PULL_REQUEST, FULL), default=PULL_REQUEST)
    run.add_argument("--seed", type=int, help="of the traffic and of the moments; drawn unless told")
    run.add_argument("--messages", type=int, help="a smaller dose, with as many faults for each message")
    run.add_argument("--json", action="store_true", help="one JSON object on standard output, nothing else")
    run.add_argument("--report", action="store_true", help="write a dated page to docs/reports")
    return parser


def _run(chosen: argparse.Namespace) -> int:
    fault, now_ms = faults()[chosen.fault], SystemClock().now_ms()
    dose = fault.DOSES[chosen.dose]
    if chosen.messages is not None:
        dose = dose.scaled(chosen.messages)
    seed = now_ms % 1_000_000 if chosen.seed is None else chosen.seed
    result, folder = asyncio.run(run_in_folder(fault, chosen.dose, dose, seed=seed, cache=CACHE.expanduser()))
    command = replay(result, () if chosen.messages is None else ("--messages", str(chosen.messages)))
    if chosen.report:
        write_page(result, fault.TITLE, now_ms=SystemClock().now_ms(), command=command)
    _show(result, as_json=chosen.json)
    if "anomalies" in result:
        sys.stderr.write(f"History and logs are in {folder}. Again: {command}\n")
        return 1
    return 0


def _show(result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(result) + "\n")
        return
    for name, value in result.items():
        if name != "anomalies":
            sys.stdout.write(f"{name:<22} {value}\n")
    for each in result.get("anomalies", ()):
        sys.stdout.write(f"anomaly: {each}\n")


if __name__ == "__main__":
    sys.exit(main())
