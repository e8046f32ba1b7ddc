"""How much of a fault a run gives to the hub, and on which deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

PULL_REQUEST: Final = "pr"
FULL: Final = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dose:
    """What all faults have in common. A fault with numbers of its own makes a subclass."""

    messages: int  # that authorities send by themselves; answers and receipt lists come on top
    rate: float  # of them a second
    faults: int  # how often
    authorities: int = 20
    routers: int = 2
    registrars: int = 1
    watches: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)  # of every process of the hub
    module: str = "hub"  # that ``python -m`` runs as a router
    broker: Mapping[str, str] = field(default_factory=dict)  # server properties beside the hub's

    @property
    def seconds(self) -> float:
        """How long the authorities send."""
        return self.messages / self.rate

    @property
    def gap_seconds(self) -> float:
        """Between two faults, on average, so that all fall into the traffic."""
        return self.seconds / (self.faults + 1)

    def scaled(self, messages: int) -> Self:
        """The same with another number of messages, and as many faults for each of them (one at least)."""
        return replace(self, messages=messages, faults=max(1, round(self.faults * messages / self.messages)))
