"""A bad input as data: which set of the threat reference it is of, what it is, how it is made, what must become of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hub.core.records import Headers, Outgoing
from hub.core.refusals import REASONS
from tests.bad_inputs.smith import Smith


class Outcome(StrEnum):
    """What may become of a bad input, in the words of the table."""

    ACCEPTED = "accepted"  # bad to look at, and allowed
    REPEATED = "repeated"  # the answer of the first time again, no second copy
    REFUSED = "refused"  # by the hub, with a code in a signed receipt, and a quarantine record
    SET_ASIDE = "set aside"  # the place cannot be read: a quarantine record, the outbox waits
    BROKER = "refused by the broker"  # it is stored nowhere
    PRODUCER = "refused by the producer"  # our writer does not send it
    RECIPIENT = "refused by the recipient"  # the hub cannot see it; the gateway's receipt list says so


@dataclass(frozen=True, slots=True)
class Expected:
    """An outcome, with its code where it has one."""

    outcome: Outcome
    code: str | None = None

    def __str__(self) -> str:
        return f"{self.outcome} `{self.code}`" if self.code else str(self.outcome)

    @property
    def counted(self) -> bool:
        """Whether the poison takes a number in its pair's chain."""
        if self.outcome is Outcome.REFUSED:
            return REASONS[self.code or ""].counted
        return self.outcome is Outcome.ACCEPTED


ACCEPTED = Expected(Outcome.ACCEPTED)
REPEATED = Expected(Outcome.REPEATED)


def refused(code: str) -> Expected:
    """Refused by the hub with ``code``."""
    return Expected(Outcome.REFUSED, code)


@dataclass(frozen=True, slots=True)
class Poison:
    """A bad record for an outbox, or a raw ``batch`` with ``count`` of them. ``before`` are good letters that it follows."""

    key: bytes | None = None
    value: bytes | None = None
    headers: Headers = ()
    batch: bytes | None = None
    count: int = 1
    partition: int = 0
    before: tuple[Outgoing, ...] = ()

    def outgoing(self, topic: str) -> Outgoing:
        """The record, for ``topic``."""
        return Outgoing(topic, self.key, self.value, self.headers, self.partition)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table."""

    id: str
    set: str
    what: str
    made: str
    expected: Expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Case(Line):
    """What a record or a batch in an outbox can show. ``cast`` names the attacker that it needs: ``any``, ``others`` (with a neighbour), ``spare-keys``, ``ecdsa``."""

    make: Callable[[Smith], Poison]
    cast: str = "any"

    def forge(self, smith: Smith) -> Poison:
        """The poison for the place in the chain where ``smith`` stands; a counted one moves the chain on."""
        poison = self.make(smith)
        if self.expected.counted:
            smith.count(poison.headers)
        return poison

    def settle(self, smith: Smith, poison: Poison, became: Expected) -> None:
        """Let the chain go on behind a surprise too, so that one wrong line of the table is one failure."""
        if became.counted and not self.expected.counted:
            smith.count(poison.headers)
        elif self.expected.counted and not became.counted:
            smith.uncount()


Make = Callable[[Smith], Poison]
Members = dict[str, Any]
