"""What authorities will send and when, out of a seed: a ring in which each writes to the three behind it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from tests.faults.doses import Dose

NEIGHBOURS: Final = 3  # whom each authority writes to: 20 authorities make 60 pairs
LIVE: Final = 3  # the neighbour whose letters are signed when they are sent; those to the others may be signed before
RECEIPTED: Final = 1  # the neighbour that says of each letter that it was delivered
AGAIN_SHARE: Final = 0.01
LIVE_SHARE: Final = 0.2
SPECIAL: Final = (("clock", 0.10), ("misplaced", 0.025), ("expired", 0.025))  # shares of the live letters
DUE_MS: Final = (3_000, 8_000)
LATE_MS: Final = 2_500
SOON_MS: Final = 0
ANSWERED_SHARE: Final = 0.45
ANSWERED_LATE_SHARE: Final = 0.1


class Kind(StrEnum):
    """What to send."""

    PLAIN = "plain"
    AGAIN = "again"  # the bytes of a letter before
    CLOCK = "clock"
    MISPLACED = "misplaced"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Order:
    """One letter of a sender: ``at_s`` seconds after the beginning, to the ``neighbour``-th behind it in the ring."""

    at_s: float
    neighbour: int
    kind: Kind
    due_in_ms: int = 0
    answer_ms: int | None = None  # how long after its delivery its clock is stopped; None: never

    @property
    def is_early(self) -> bool:
        """Whether it may be signed long before it is sent."""
        return self.kind is Kind.PLAIN and self.neighbour != LIVE


def plan(dose: Dose, chance: Random) -> list[list[Order]]:
    """The orders of each authority, in their order."""
    orders: list[list[Order]] = [[] for _ in range(dose.authorities)]
    for number in range(dose.messages):
        sender = chance.randrange(dose.authorities)
        orders[sender].append(_order(number / dose.rate, chance))
    return orders


def _order(at_s: float, chance: Random) -> Order:
    neighbour = LIVE if chance.random() < LIVE_SHARE else chance.choice([1, 2])
    if chance.random() < AGAIN_SHARE:
        return Order(at_s, neighbour, Kind.AGAIN)
    if neighbour != LIVE:
        return Order(at_s, neighbour, Kind.PLAIN)
    drawn = chance.random()
    for name, share in SPECIAL:
        if drawn < share:
            return _special(at_s, Kind(name), chance)
        drawn -= share
    return Order(at_s, LIVE, Kind.PLAIN)


def _special(at_s: float, kind: Kind, chance: Random) -> Order:
    if kind is not Kind.CLOCK:
        return Order(at_s, LIVE, kind)
    due_in_ms, drawn = chance.randint(*DUE_MS), chance.random()
    answer_ms = None
    if drawn < ANSWERED_SHARE:
        answer_ms = SOON_MS
    elif drawn < ANSWERED_SHARE + ANSWERED_LATE_SHARE:
        answer_ms = due_in_ms + LATE_MS
    return Order(at_s, LIVE, kind, due_in_ms=due_in_ms, answer_ms=answer_ms)
