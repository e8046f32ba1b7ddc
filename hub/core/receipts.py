"""What the hub says, as claims (schemas/receipts.md): the leaves of a signed tree, each standing alone when cut out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hub.core.clocks import Flag
from hub.core.ids import ClockId, Digest, MessageId, ThreadId
from hub.core.manifest import ClockKind
from hub.core.pairs import Pair
from hub.core.records import Position


class Level(StrEnum):
    """Levels of acknowledgement, in order. ``accepted`` is the hub's and never an acknowledgement by the authority."""

    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    OPENED = "opened"
    ACKNOWLEDGED = "acknowledged"
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class ChainClaim:
    """The first claim of every bundle: the ``n``-th of this writer for this inbox, after the bundle of hash ``prev``.

    ``count`` claims follow it, so that none can be cut off the end of a bundle whose path still leads to the root.
    """

    inbox: str
    n: int
    prev: Digest | None
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptClaim:
    """What the hub decided about one outbox record; to the owner of the topic."""

    id: str  # derived from topic, offset and JWS hash: a repeated run makes the same
    outbox: Position
    jws: Digest | None  # None when the record had no single comity-jws header
    message: MessageId | None  # None when the manifest could not be read
    thread: ThreadId | None
    code: str | None  # None: accepted; else the reason of the refusal
    counted: bool  # whether the sequence number is used up
    expected: tuple[int, Digest | None] | None  # (seq, prev) to seal with, for a refusal with a known pair
    trust_list: int

    @property
    def accepted(self) -> bool:
        """Whether the message was routed."""
        return self.code is None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedClaim:
    """The values at which the recipient judges a copy (protocol 1.7); to the recipient."""

    jws: Digest
    outbox: Position
    trust_list: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GapClaim:
    """A counted refusal, told to the recipient with the whole refused JWS, so that it can go on (protocol 1.6)."""

    jws_text: str
    outbox: Position
    code: str
    trust_list: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagClaim:
    """A warning, an overdue flag, or its lifting; to both sides."""

    id: str  # derived from pair, thread, clock, flag, percent and due time
    flag: Flag
    percent: int
    pair: Pair  # who waits, on whom
    thread: ThreadId
    clock: ClockId
    kind: ClockKind
    message: MessageId  # that started the clock
    due_ms: int
    time_ms: int  # when the flag was raised; for met and met-late when the stop was logged


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockIgnoredClaim:
    """A clock operation without effect; to both sides."""

    id: str
    pair: Pair  # author and the other side of the message that carried it
    thread: ThreadId
    clock: ClockId
    message: MessageId
    code: str
    time_ms: int


Claim = ChainClaim | ReceiptClaim | RoutedClaim | GapClaim | FlagClaim | ClockIgnoredClaim
