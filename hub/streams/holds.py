"""Which outboxes wait, why and until when: one bad inbox, one unreadable place stops nobody else (router rule 6).

It outlives the restarts of its shard: after a transaction that was surely aborted, everything else is read anew. Times
are seconds of a clock that never goes back (the event loop's).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from hub.core.ids import AuthorityId
from hub.core.routing import Decision

BACK_OFF_SECONDS_FIRST: Final = 1.0
BACK_OFF_SECONDS_MAX: Final = 60.0


class Cause(StrEnum):
    """Why an outbox waits: a label of a metric."""

    TRUST = "trust"  # its next record was signed under a list that is still to come
    INBOX = "inbox"  # its next record needs an inbox that cannot be written
    SIZE = "size"  # its next record is larger than an inbox takes
    BROKEN = "broken"  # it cannot be read at its position


@dataclass(frozen=True, slots=True)
class Wait:
    """Until when, and how long the last pause was."""

    cause: Cause
    until: float
    seconds: float


@dataclass(slots=True)
class Holds:
    """What one shard remembers of troubles."""

    outboxes: dict[AuthorityId, Wait] = field(default_factory=dict)
    inboxes: dict[AuthorityId, Wait] = field(default_factory=dict)
    alone: dict[AuthorityId, int] = field(default_factory=dict)  # outbox -> offset up to which each record goes alone
    good: set[AuthorityId] = field(default_factory=set)  # inboxes that took a record since they were last in doubt
    told: set[tuple[AuthorityId, int]] = field(default_factory=set)  # unreadable places that quarantine knows

    def wait(self, owner: AuthorityId, cause: Cause, *, now: float) -> None:
        """Let an outbox wait, longer each time that it waits for the same cause."""
        self.outboxes[owner] = _longer(self.outboxes.get(owner), cause, now)

    def waiting(self, owner: AuthorityId, *, now: float) -> bool:
        """Whether the outbox is to be left alone now."""
        wait = self.outboxes.get(owner)
        return wait is not None and now < wait.until

    def bad_inboxes(self) -> frozenset[AuthorityId]:
        """The inboxes that failed, until a record went through."""
        return frozenset(self.inboxes)

    def may_probe(self, inboxes: Iterable[AuthorityId], *, now: float) -> bool:
        """Whether it is time to try these inboxes again, with one record alone."""
        return all(self.inboxes[each].until <= now for each in inboxes if each in self.inboxes)

    def committed(self, decisions: Sequence[Decision]) -> None:
        """A transaction went through: its outboxes and inboxes are in order."""
        inboxes = frozenset[AuthorityId]().union(*(decision.inboxes for decision in decisions))
        offsets = {decision.owner: decision.record.offset for decision in decisions}  # the last of each outbox
        self.good |= inboxes
        for each in self.inboxes.keys() & inboxes:
            del self.inboxes[each]
        for owner, offset in offsets.items():
            self.outboxes.pop(owner, None)
            if self.alone.get(owner, -1) <= offset:
                self.alone.pop(owner, None)

    def aborted(self, decisions: tuple[Decision, ...], *, too_large: bool, now: float) -> None:
        """A transaction was surely aborted. Of several records nobody knows which one failed: each goes alone next.

        Of one record the inboxes that are not known to be good are to blame; when all were good, all are in doubt.
        """
        if len(decisions) != 1:
            for decision in decisions:
                self.alone[decision.owner] = max(self.alone.get(decision.owner, -1), decision.record.offset)
            return
        (decision,) = decisions
        self.alone[decision.owner] = max(self.alone.get(decision.owner, -1), decision.record.offset)
        if too_large:
            self.wait(decision.owner, Cause.SIZE, now=now)
            return
        for each in decision.inboxes - self.good or decision.inboxes:
            self.inboxes[each] = _longer(self.inboxes.get(each), Cause.INBOX, now)
            self.good.discard(each)

    def new_list(self) -> None:
        """Another trust list is here: what waited for one may be judged."""
        self.outboxes = {owner: wait for owner, wait in self.outboxes.items() if wait.cause is not Cause.TRUST}

    def causes(self, *, now: float) -> Mapping[str, int]:
        """How many outboxes wait now, by cause."""
        counts = dict.fromkeys((cause.value for cause in Cause), 0)
        for wait in self.outboxes.values():
            counts[wait.cause.value] += now < wait.until
        return counts


def _longer(before: Wait | None, cause: Cause, now: float) -> Wait:
    again = before is not None and before.cause is cause
    seconds = min(before.seconds * 2, BACK_OFF_SECONDS_MAX) if again and before else BACK_OFF_SECONDS_FIRST
    return Wait(cause, now + seconds, seconds)
