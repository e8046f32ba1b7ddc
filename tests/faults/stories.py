"""Clean histories out of a seed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any, Final

from tests.faults.checks.history import History
from tests.faults.scenes import SCENES
from tests.faults.town import Town

Line = dict[str, Any]
UNREADABLE: Final = "unreadable"


@dataclass(slots=True)
class Story:
    """A history in memory. Whoever plants something changes its lists."""

    senders: list[Line]
    topics: list[Line]
    recipients: list[Line]
    facts: Line

    @property
    def history(self) -> History:
        """What the checker reads."""
        return History(self.senders, self.topics, self.recipients, self.facts)


def clean(seed: int, needed: str | None = None) -> Story:
    """A clean story, with a scene that is ``needed`` and some others. A seed gives an equal one, each call a new one."""
    return Story(**json.loads(_told(seed, needed)))


@lru_cache(maxsize=3000)
def _told(seed: int, needed: str | None) -> str:
    chance = Random(f"{seed} {needed}")
    names = chance.sample(sorted(SCENES), chance.randint(2, 4))
    if needed in SCENES:
        names.append(str(needed))
    unreadable = needed == UNREADABLE or chance.random() < 0.2
    return json.dumps(Town(chance).tell((SCENES[name] for name in names), unreadable=unreadable))
