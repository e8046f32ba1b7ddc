"""F4: a router sleeps for longer than its session; another takes its shards; the sleeper wakes, and must be fenced."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Final

from tests.faults.doses import FULL, PULL_REQUEST, Dose
from tests.faults.lab import Lab

NAME: Final = "F4"
TITLE: Final = "a router sleeps through its session, is replaced, and wakes"
SLEEP_SECONDS: Final = 12.0  # twice the session time-out
AWAKE_SECONDS: Final = 6.0  # for what it had in hand to be tried, refused, and taken up again by its new owner
DOSES: Final[Mapping[str, Dose]] = {
    PULL_REQUEST: Dose(messages=6_000, rate=75, faults=5),
    FULL: Dose(messages=120_000, rate=65, faults=100),
}


async def run(lab: Lab, dose: Dose, chance: Random) -> Mapping[str, object]:
    """Freeze a router that routes, wait until the other one routes for both, and let it wake."""
    for _ in range(dose.faults):
        victim = chance.choice(lab.routers)
        await lab.until_routed(f"{victim.name} does not route", lambda victim=victim: lab.workers.has_routed(victim))
        await lab.sleep(chance.uniform(0, 0.5))
        lab.workers.freeze(victim)
        await lab.sleep(SLEEP_SECONDS)
        lab.workers.thaw(victim)
        await lab.sleep(AWAKE_SECONDS / 2)
        await lab.routed_after("a zombie woke")
        await lab.sleep(AWAKE_SECONDS / 2)
    return {"zombies": dose.faults}
