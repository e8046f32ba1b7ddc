"""What the ledger says, as values: one record per writer, partition and transaction, holding its entries in order.

Bytes and JSON names are in ``hub.wire.ledger``. Every entry of a thread lies in the thread's partition, so whatever
folds entries may depend on their order within a thread, and never on how partitions interleave (protocol section 4).
"""

from __future__ import annotations

from dataclasses import dataclass

from hub.core.clocks import Flag
from hub.core.ids import AuthorityId, ClockId, Digest, MessageId, ThreadId
from hub.core.manifest import ClockOperation, MessageType, ReceiptLevel
from hub.core.pairs import Pair
from hub.core.records import Position


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEntry:
    """What the router decided about one outbox record. All but the last block is None when no manifest could be read."""

    jws: Digest | None
    message: MessageId | None
    type: MessageType | None
    sender: AuthorityId | None
    recipient: AuthorityId | None
    thread: ThreadId | None  # None for a receipt list too
    in_reply_to: MessageId | None
    sequence: int | None
    clocks: tuple[ClockOperation, ...] = ()
    length: int | None = None  # bytes of the value
    attachments: int = 0  # how many, not which

    code: str | None = None  # None: accepted; else the reason of the refusal
    counted: bool  # whether the sequence number is used up
    repeat: bool = False  # decided before, and answered again with the same receipt: no new effect
    outbox: Position
    trust_list: int

    @property
    def accepted(self) -> bool:
        """Whether the message was routed."""
        return self.code is None


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelEntry:
    """What a recipient's connector said of one message, in an accepted receipt list."""

    level: ReceiptLevel
    message: MessageId
    thread: ThreadId
    pair: Pair  # of the receipt list: its sender is the recipient of the message
    why: str | None
    proof: Digest | None
    outbox: Position  # of the receipt list
    trust_list: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagEntry:
    """What the watch said of a clock, to both sides."""

    id: str
    flag: Flag
    percent: int
    pair: Pair  # who waits, on whom
    thread: ThreadId
    clock: ClockId
    message: MessageId  # that started the clock
    due_ms: int
    time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoredEntry:
    """A clock operation without effect, as the watch told both sides."""

    id: str
    pair: Pair  # author and the other side of the message that carried it
    thread: ThreadId
    clock: ClockId
    message: MessageId
    code: str
    time_ms: int


Entry = MessageEntry | LevelEntry | FlagEntry | IgnoredEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRecord:
    """One record of ``hub.ledger``: the ``n``-th (from 1) of this writer in this partition."""

    writer: str  # router-shard-0, watch-3
    n: int
    time_ms: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Logged:
    """A ledger record as it was read; ``digest`` is of the value's bytes: a repeat of a number must be the same bytes."""

    partition: int
    offset: int
    digest: Digest
    record: LedgerRecord
