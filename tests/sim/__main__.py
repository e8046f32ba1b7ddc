"""``python -m tests.sim run --seeds 2000``: many runs of the hub's core under chance, each told by its seed.

Exit codes: 0 clean; 1 a seed found something; the command that plays it again is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import Final

from tests.sim.simulation import Simulation
from tests.sim.world import make_world

TOLD_EVERY: Final = 250


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    run = parser.add_subparsers(required=True).add_parser("run", help="run seeds")
    run.add_argument("--seeds", type=int, default=2_000, help="how many")
    run.add_argument("--from", type=int, default=0, dest="first", help="the first one")
    run.add_argument("--trace", action="store_true", help="print who did what")
    run.add_argument("--json", action="store_true", help="one JSON object on standard output, nothing else")
    chosen = parser.parse_args(arguments)
    begun, world = time.monotonic(), make_world()
    steps = crashes = 0
    failed: dict[int, list[str]] = {}
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        outcome = Simulation(world, seed).run()
        steps, crashes = steps + outcome.steps, crashes + outcome.crashes
        if chosen.trace:
            sys.stderr.write("\n".join(outcome.trace) + "\n")
        if outcome.anomalies:
            failed[seed] = outcome.anomalies
            sys.stderr.write(f"python -m tests.sim run --from {seed} --seeds 1 --trace\n")
        if (seed - chosen.first) % TOLD_EVERY == TOLD_EVERY - 1:
            sys.stderr.write(f"{seed - chosen.first + 1} seeds, {crashes} crashes, {len(failed)} failed\n")
    result = {
        "seeds": chosen.seeds,
        "steps": steps,
        "crashes": crashes,
        "failed": {str(seed): found[:10] for seed, found in failed.items()},
        "seconds": round(time.monotonic() - begun, 1),
    }
    sys.stdout.write(json.dumps(result, indent=None if chosen.json else 1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
