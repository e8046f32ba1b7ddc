"""What the checker speaks in: kinds of anomalies, the anomalies, and one small record for each thing that was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeAlias

Line: TypeAlias = dict[str, Any]
Spot: TypeAlias = tuple[str, int]
"""Where an outbox record lies: topic and offset. An outbox has one partition."""

KEPT_PER_KIND: Final = 200  # anomalies that are told one by one; the rest are counted only


class Kind(StrEnum):
    """What can be wrong with a history, in Jepsen's words where it has one."""

    LOST_WRITE = "lost-write"  # acknowledged, and nothing came of it
    DUPLICATE = "duplicate"  # once submitted, twice there
    CONTRADICTION = "contradiction"  # two parts of the hub say different things of one record
    UNEXPECTED_OUTCOME = "unexpected-outcome"  # accepted or refused against what its sender made it for
    UNDRAINED = "undrained"  # the run ended before the hub had finished
    PHANTOM = "phantom"  # there, and nobody submitted it
    PHANTOM_DELIVERY = "phantom-delivery"  # delivered, and it lies in no inbox
    ALTERED_BYTES = "altered-bytes"  # the key, a header or the value is another
    GAP = "gap"  # a number is missing, and no gap claim covers it
    REORDER = "reorder"  # a later number, or a copy, came before an earlier one, or its claim
    FOREIGN_INBOX = "foreign-inbox"  # something for one authority lies with another
    DOUBLE_RECEIPT = "double-receipt"  # more receipts than records, or two different ones under one id
    DOUBLE_LEVEL = "double-level"  # one level of one message twice
    LEVEL_OUT_OF_ORDER = "level-out-of-order"  # a level before the one below it
    MISSING_FLAG = "missing-flag"  # a clock ran out and one side was not told
    FALSE_FLAG = "false-flag"  # a flag that the clock does not owe
    DOUBLE_FLAG = "double-flag"  # one flag twice on one side
    INCONSISTENT_OFFSET = "inconsistent-offset"  # one offset, two values
    ABORTED_READ = "aborted-read"  # read, and it was never committed
    SKIP = "skip"  # a reader passed over a committed record
    NONMONOTONIC = "nonmonotonic"  # a reader went back
    COUNTER_GAP = "counter-gap"  # a writer's numbers do not run 1, 2, 3
    COUNTER_FORK = "counter-fork"  # one number of a writer, two records
    CANARY = "canary"  # plaintext where none may be
    TORN = "torn"  # of what one transaction writes, a part


INVARIANTS: Final[dict[Kind, str]] = {
    Kind.LOST_WRITE: "I1",
    Kind.DUPLICATE: "I1",
    Kind.CONTRADICTION: "I1",
    Kind.UNEXPECTED_OUTCOME: "I1",
    Kind.UNDRAINED: "I1",
    Kind.PHANTOM: "I2",
    Kind.PHANTOM_DELIVERY: "I2",
    Kind.ALTERED_BYTES: "I2",
    Kind.GAP: "I3",
    Kind.REORDER: "I3",
    Kind.FOREIGN_INBOX: "I4",
    Kind.DOUBLE_RECEIPT: "I5",
    Kind.DOUBLE_LEVEL: "I5",
    Kind.LEVEL_OUT_OF_ORDER: "I5",
    Kind.MISSING_FLAG: "I6",
    Kind.FALSE_FLAG: "I6",
    Kind.DOUBLE_FLAG: "I6",
    Kind.INCONSISTENT_OFFSET: "I8",
    Kind.ABORTED_READ: "I8",
    Kind.SKIP: "I8",
    Kind.NONMONOTONIC: "I8",
    Kind.COUNTER_GAP: "I8",
    Kind.COUNTER_FORK: "I8",
    Kind.CANARY: "I9",
    Kind.TORN: "torn",
}
"""The invariant that a kind breaks."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One thing that is wrong: what, with which message or place, and a sentence for people."""

    kind: Kind
    invariant: str
    subject: str
    sentence: str


class Unreadable(ValueError):
    """The history is not in the format: nothing can be said of it."""


@dataclass(slots=True)
class Found:
    """Anomalies as the checks find them; one for each kind and subject."""

    anomalies: list[Anomaly] = field(default_factory=list)
    counts: Counter[Kind] = field(default_factory=Counter)
    _known: set[tuple[Kind, str]] = field(default_factory=set)

    def add(self, kind: Kind, subject: str, sentence: str) -> None:
        """Note an anomaly, unless this kind was noted of this subject."""
        if (kind, subject) in self._known:
            return
        self._known.add((kind, subject))
        self.counts[kind] += 1
        if self.counts[kind] <= KEPT_PER_KIND:
            self.anomalies.append(Anomaly(kind, INVARIANTS[kind], subject, sentence))


class Submission(NamedTuple):
    """One attempt of a sender."""

    op: int
    outcome: str
    sender: str
    recipient: str
    id: str | None
    seq: int | None
    jws: str | None
    digest: str | None
    kind: str
    thread: str | None
    topic: str
    offset: int | None
    clock: Line | None
    references: Sequence[Line]
    expect: str | None

    @property
    def subject(self) -> str:
        """How an anomaly names it."""
        return f"op {self.op} {self.sender}>{self.recipient} {self.seq}"


class Sent(NamedTuple):
    """An outbox record, as the final reader found it."""

    topic: str
    offset: int
    time_ms: int
    record: str
    jws: str | None
    digest: str | None

    @property
    def spot(self) -> Spot:
        """Where it lies."""
        return self.topic, self.offset

    @property
    def subject(self) -> str:
        """How an anomaly names it."""
        return f"{self.topic}/{self.offset}"


class Copy(NamedTuple):
    """A copy in an inbox."""

    topic: str
    offset: int
    record: str
    id: str
    sender: str
    recipient: str
    seq: int
    jws: str
    digest: str

    @property
    def subject(self) -> str:
        """How an anomaly names it."""
        return f"{self.topic}/{self.offset} {self.sender}>{self.recipient} {self.seq}"


class Receipt(NamedTuple):
    """A receipt claim in the inbox ``topic``, about the outbox record at ``spot``."""

    topic: str
    offset: int
    id: str
    jws: str | None
    code: str | None  # None: accepted
    counted: bool
    spot: Spot


class Notice(NamedTuple):
    """A routed or gap claim in the inbox ``topic``, about the outbox record at ``spot``."""

    topic: str
    offset: int
    jws: str
    spot: Spot
    code: str | None  # of a gap


class Entry(NamedTuple):
    """What the ledger says of the outbox record at ``spot``; ``place`` is where in the ledger."""

    place: tuple[int, int, int]  # partition, offset, index
    time_ms: int  # when the ledger's log took it
    jws: str | None
    code: str | None  # None: accepted
    counted: bool
    repeat: bool
    spot: Spot


class Level(NamedTuple):
    """What the ledger says of a message ``id``, by the receipt list at ``spot``."""

    place: tuple[int, int, int]
    level: str
    id: str
    spot: Spot


class Flag(NamedTuple):
    """A flag on one side: ``where`` is an inbox's topic, or the ledger's."""

    where: str
    id: str
    flag: str
    percent: int
    thread: str
    clock: str
    due_ms: int
    time_ms: int


class Quarantined(NamedTuple):
    """A quarantine record about the outbox record at ``spot``."""

    spot: Spot
    code: str


class Delivery(NamedTuple):
    """What a recipient took over from its inbox."""

    recipient: str
    sender: str
    id: str
    seq: int
    digest: str
    offset: int

    @property
    def subject(self) -> str:
        """How an anomaly names it."""
        return f"{self.sender}>{self.recipient} {self.seq} {self.id}"
