"""F5: shards move between workers under load: a third one joins and leaves, another is alone for a while."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Final

from tests.faults.doses import FULL, PULL_REQUEST, Dose
from tests.faults.lab import Lab
from tests.faults.workers import ROUTER, Member

NAME: Final = "F5"
TITLE: Final = "shards move: workers join and leave"
DOSES: Final[Mapping[str, Dose]] = {
    PULL_REQUEST: Dose(messages=3_600, rate=90, faults=5),
    FULL: Dose(messages=100_000, rate=100, faults=100),
}


async def run(lab: Lab, dose: Dose, chance: Random) -> Mapping[str, object]:
    """Each time a worker that was not there comes, works, and goes; the shards move twice."""
    for number in range(dose.faults):
        # A static member keeps its place for a session after it went: a new name each time, so that shards really move.
        guest = Member(ROUTER, f"guest-{number}")
        await lab.workers.join(guest)
        await lab.sleep(chance.uniform(0.5, 2.0))
        await lab.workers.leave(guest)
        await lab.routed_after("a worker left")
    return {"moves": 2 * dose.faults}
