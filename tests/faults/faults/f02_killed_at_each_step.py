"""F2: a router is killed at each named step of its work."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Final

from tests.faults.doses import FULL, PULL_REQUEST, Dose
from tests.faults.lab import Lab
from tests.faults.report import percentile
from tests.faults.worker import STEPS, TAKE_OVER, arm, is_armed

NAME: Final = "F2"
TITLE: Final = "a router is killed at each of twelve steps"
MODULE: Final = "tests.faults.worker"
DOSES: Final[Mapping[str, Dose]] = {
    PULL_REQUEST: Dose(messages=5_000, rate=70, faults=len(STEPS), module=MODULE),
    FULL: Dose(messages=80_000, rate=70, faults=25 * len(STEPS), module=MODULE),
}


async def run(lab: Lab, dose: Dose, chance: Random) -> Mapping[str, object]:
    """Arm a step, wait until somebody dies of it, and until messages are routed again."""
    home, recoveries = lab.cluster.home.root, []
    steps = [step for step in STEPS for _ in range(dose.faults // len(STEPS))]
    chance.shuffle(steps)
    for step in steps:
        lab.workers.forgive()
        died = lab.workers.ends.total()
        arm(home, step)
        if step in TAKE_OVER:
            lab.workers.kill(chance.choice(lab.routers))
        await lab.until_routed(f"nobody passed {step}", lambda: not is_armed(home))
        await lab.until("nobody died", lambda died=died: lab.workers.ends.total() > died)
        recoveries.append(await lab.routed_after(f"a death at {step}"))
    return {
        "kills": lab.workers.kills.total() + len(steps),
        "steps": dict.fromkeys(STEPS, dose.faults // len(STEPS)),
        "routed_again_seconds_p95": percentile(recoveries, 95),
    }
