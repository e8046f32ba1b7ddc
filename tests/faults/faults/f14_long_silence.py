"""F14: nobody writes for longer than the broker remembers producers and transactional ids."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from random import Random
from typing import Final

from tests.faults.doses import FULL, PULL_REQUEST, Dose
from tests.faults.lab import Lab
from tests.faults.plan import LIVE
from tests.faults.traffic import neighbour_of

NAME: Final = "F14"
TITLE: Final = "the broker forgets who wrote, since nobody did for long"
SILENT_SECONDS: Final = 15.0
FORGETFUL: Final = {
    "producer.id.expiration.ms": "10000",
    "producer.id.expiration.check.interval.ms": "1000",
    "transactional.id.expiration.ms": "10000",
    "transaction.remove.expired.transaction.cleanup.interval.ms": "1000",
}
DOSES: Final[Mapping[str, Dose]] = {
    PULL_REQUEST: Dose(messages=500, rate=100, faults=1, broker=FORGETFUL),
    FULL: Dose(messages=500, rate=100, faults=20, broker=FORGETFUL),
}


async def run(lab: Lab, dose: Dose, chance: Random) -> Mapping[str, object]:
    """Silence, then one letter of each authority: all at once, so that every shard wakes."""
    del chance
    waits: list[float] = []
    for _ in range(dose.faults):
        await lab.until("letters are still sent", lambda: not lab.is_sending and lab.traffic.is_quiet)
        await lab.until("the hub still owes something", lambda: lab.progress.owed() is None)
        await lab.sleep(SILENT_SECONDS)
        before = lab.progress.routed
        for number, author in enumerate(lab.authors):
            recipient = neighbour_of(lab.authors, number, LIVE)
            lab.traffic.submit(number, partial(author.plain, recipient))
        wanted = before + len(lab.authors)
        waits.append(
            await lab.until("not all first letters are routed", lambda wanted=wanted: lab.progress.routed >= wanted)
        )
    return {
        "silences": dose.faults,
        "silent_seconds": SILENT_SECONDS,
        "first_letters_seconds_max": round(max(waits), 2),
    }
