"""F8: the same bytes again and again, and other bytes under an id that is taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final

from hub.core.ids import AuthorityId, MessageId
from tests.faults import lines
from tests.faults.authors import Letter
from tests.faults.doses import FULL, PULL_REQUEST, Dose
from tests.faults.lab import Lab

NAME: Final = "F8"
TITLE: Final = "submissions are doubled, and ids are used for other texts"
BURST: Final = 10  # that come together
WAIT_SECONDS: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class AgainDose(Dose):
    """``faults`` in all: so many of them are conflicts, the others are repeats."""

    conflicts: int


DOSES: Final[Mapping[str, AgainDose]] = {
    PULL_REQUEST: AgainDose(messages=4_500, rate=100, faults=1_100, conflicts=100),
    FULL: AgainDose(messages=40_000, rate=100, faults=11_000, conflicts=1_000),
}


async def run(lab: Lab, dose: AgainDose, chance: Random) -> Mapping[str, object]:
    """Draw a letter that the broker took not long ago, and send it again, or another one under its id."""
    kinds = ["conflict"] * dose.conflicts + ["repeat"] * (dose.faults - dose.conflicts)
    chance.shuffle(kinds)
    numbers = range(len(lab.authors))
    await lab.until("nobody has sent anything", lambda: all(lab.traffic.recent(each) for each in numbers))
    for start in range(0, len(kinds), BURST):
        await lab.sleep(min(WAIT_SECONDS, dose.gap_seconds * BURST))
        for kind in kinds[start : start + BURST]:
            number = chance.choice(numbers)
            letter = chance.choice(lab.traffic.recent(number))
            if kind == "repeat":
                lab.traffic.submit(number, partial(Letter, letter.record, "repeat"))
            else:
                said = lines.manifest(letter.record.headers)
                forge = partial(lab.authors[number].conflicting, AuthorityId(said["to"][0]), MessageId(said["id"]))
                lab.traffic.submit(number, forge)
    return {"repeats": kinds.count("repeat"), "conflicts": kinds.count("conflict")}
