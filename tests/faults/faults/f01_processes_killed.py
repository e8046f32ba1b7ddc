"""F1: router, registrar and watch are killed at random points, and started again at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from random import Random
from typing import Final

from tests.faults.doses import FULL, PULL_REQUEST, Dose
from tests.faults.lab import Lab
from tests.faults.workers import ROUTER, Member

NAME: Final = "F1"
TITLE: Final = "router, registrar and watch are killed at random points"
DOSES: Final[Mapping[str, Dose]] = {
    PULL_REQUEST: Dose(messages=20_000, rate=260, faults=40),
    FULL: Dose(messages=100_000, rate=130, faults=300, registrars=2, watches=2),
}
ROUTERS_SHARE: Final = 0.65
EARLY_SHARE: Final = 0.2  # of kills that do not wait until the router has routed again
EARLY_SECONDS: Final = 2.5


async def run(lab: Lab, dose: Dose, chance: Random) -> Mapping[str, object]:
    """Kill until there were enough; a kill of a router waits until it has routed, so that each recovery is seen whole."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while (killed := lab.workers.kills.total()) < dose.faults:
        due = begun + (killed + chance.uniform(0.2, 1.8)) * dose.gap_seconds
        await lab.sleep(max(0.0, due - loop.time()))
        member = _victim(lab, chance)
        if member.kind == ROUTER:
            await lab.until_routed(f"{member.name} does not route", partial(lab.workers.has_routed, member))
        lab.workers.kill(member)
        if member.kind == ROUTER and chance.random() < EARLY_SHARE:
            await lab.sleep(chance.uniform(0, EARLY_SECONDS))
            lab.workers.kill(member)
    return {}


def _victim(lab: Lab, chance: Random) -> Member:
    routers, others = lab.routers, [member for member in lab.workers.members if member.kind != ROUTER]
    ready = [member for member in routers if lab.workers.has_routed(member)]
    return chance.choice((ready or routers) if chance.random() < ROUTERS_SHARE else others)
