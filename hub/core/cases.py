"""The case view: what the ledger says of each case, as a fold (protocol sections 3 and 4). Metadata only.

The laws of this file: (1) state is keyed by thread, or is a sum: how partitions interleave changes nothing; (2) the
same entries give the same view, whoever folds them and however often it was interrupted; (3) a record that is not
authentic leaves no trace in a case, only in a count of its topic's owner; (4) a late answer is recorded as late.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from hub.core.clocks import Clock, ClockState
from hub.core.effects import Alert
from hub.core.entries import Entry, FlagEntry, IgnoredEntry, LevelEntry, MessageEntry
from hub.core.ids import AuthorityId, Digest, MessageId, ThreadId
from hub.core.manifest import MessageType, ReceiptLevel
from hub.core.pairs import Pair
from hub.core.receipts import Level
from hub.core.records import Position
from hub.core.refusals import REASONS
from hub.core.timekeeping import (
    ClockKey,
    Moves,
    OpenKey,
    learn,
    operate,
    parties,
    refused_by_recipient,
    take_clocks,
)
from hub.core.topics import outbox_owner

NOBODY: Final = AuthorityId("")  # the recipient in the count of refusals whose manifest cannot be believed
REPLY_LEVELS: Final[dict[MessageType, Level]] = {
    MessageType.ACK: Level.ACKNOWLEDGED,
    MessageType.RESPONSE: Level.ANSWERED,
}
_AUTHENTIC_STEPS: Final = frozenset("efgh")  # the checks after the signatures: the sender did say this


class CaseKey(NamedTuple):
    """A case: its thread and the two parties in alphabetical order."""

    thread: ThreadId
    parties: Pair


class MessageKey(NamedTuple):
    """A message of a case."""

    case: CaseKey
    message: MessageId


@dataclass(frozen=True, slots=True)
class CaseHead:
    """When the first and the last thing happened in a case (log time)."""

    key: CaseKey
    opened_ms: int
    updated_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseMessage:
    """An accepted message, and what its recipient's connector said of it. Later levels follow from other messages."""

    thread: ThreadId
    pair: Pair
    message: MessageId
    type: MessageType
    in_reply_to: MessageId | None
    sequence: int
    length: int
    attachments: int
    jws: Digest
    outbox_offset: int
    accepted_ms: int
    delivered_ms: int | None = None
    opened_ms: int | None = None
    refused_ms: int | None = None
    why: str | None = None

    @property
    def key(self) -> MessageKey:
        """What it is found by."""
        return MessageKey(CaseKey(self.thread, parties(self.pair)), self.message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A message that the hub refused although its sender did sign it."""

    thread: ThreadId
    pair: Pair
    message: MessageId
    code: str
    counted: bool
    outbox: Position


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums of a pair, over all its threads."""

    accepted: int = 0
    refused: int = 0
    repeated: int = 0
    receipts: int = 0  # receipt lists
    misfits: int = 0  # receipts that fit no message: ignored


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What an entry changes: new values of what it touches, and what an operator should know."""

    heads: tuple[CaseHead, ...] = ()
    messages: tuple[CaseMessage, ...] = ()
    clocks: tuple[Clock, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    flags: tuple[FlagEntry, ...] = ()
    ignored: tuple[IgnoredEntry, ...] = ()
    tallies: tuple[tuple[Pair, Tally], ...] = ()
    alerts: tuple[Alert, ...] = ()
    reached: tuple[tuple[Level, int], ...] = ()  # levels of other messages, milliseconds after acceptance


@dataclass(slots=True)
class CaseView:
    """The part of the view that some entries touch, or all of it. ``take`` is the only way in which it changes."""

    heads: dict[CaseKey, CaseHead] = field(default_factory=dict)
    messages: dict[MessageKey, CaseMessage] = field(default_factory=dict)
    clocks: dict[ClockKey, Clock] = field(default_factory=dict)
    open_clocks: dict[OpenKey, int] = field(default_factory=dict)
    refusals: dict[tuple[str, int], Refusal] = field(default_factory=dict)
    flags: dict[str, FlagEntry] = field(default_factory=dict)
    ignored: dict[str, IgnoredEntry] = field(default_factory=dict)
    tallies: dict[Pair, Tally] = field(default_factory=dict)

    def take(self, changes: Changes, *, partition: int) -> None:
        """Put the new values in place, and count open clocks again."""
        self.heads.update({head.key: head for head in changes.heads})
        self.messages.update({message.key: message for message in changes.messages})
        take_clocks(self.clocks, self.open_clocks, changes.clocks, partition=partition)
        self.refusals.update({(each.outbox.topic, each.outbox.offset): each for each in changes.refusals})
        self.flags.update({flag.id: flag for flag in changes.flags})
        self.ignored.update({each.id: each for each in changes.ignored})
        self.tallies.update(changes.tallies)


def register(view: CaseView, entry: Entry, *, partition: int, open_max: int) -> Changes:
    """What an entry of ledger partition ``partition`` changes. ``view`` holds whatever it names, where it exists."""
    match entry:
        case MessageEntry():
            return _message(view, entry, partition=partition, open_max=open_max)
        case LevelEntry():
            return _level(view, entry)
        case FlagEntry():
            key = CaseKey(entry.thread, parties(entry.pair))
            clock = view.clocks.get(ClockKey(entry.thread, key.parties, entry.clock))
            moves = learn(entry, clock) if clock is not None else Moves()
            return Changes(heads=_touched(view, key, entry.time_ms), flags=(entry,), clocks=moves.clocks)
    key = CaseKey(entry.thread, parties(entry.pair))
    return Changes(heads=_touched(view, key, entry.time_ms), ignored=(entry,))


def _touched(view: CaseView, key: CaseKey, time_ms: int) -> tuple[CaseHead, ...]:
    head = view.heads.get(key)
    if head is None:
        return (CaseHead(key, time_ms, time_ms),)
    return (CaseHead(key, min(head.opened_ms, time_ms), max(head.updated_ms, time_ms)),)


def _message(view: CaseView, entry: MessageEntry, *, partition: int, open_max: int) -> Changes:
    if not entry.accepted:
        return _refused(view, entry)
    if entry.sender is None or entry.recipient is None or entry.message is None or entry.jws is None:
        return Changes(alerts=(_misfit(entry, "entry-incomplete", "An accepted message lacks its manifest's values."),))
    pair = Pair(entry.sender, entry.recipient)
    tally = view.tallies.get(pair, Tally())
    if entry.repeat:
        return Changes(tallies=((pair, replace(tally, repeated=tally.repeated + 1)),))
    if entry.thread is None or entry.type is None:
        return Changes(tallies=((pair, replace(tally, receipts=tally.receipts + 1)),))
    message = CaseMessage(
        thread=entry.thread,
        pair=pair,
        message=entry.message,
        type=entry.type,
        in_reply_to=entry.in_reply_to,
        sequence=entry.sequence or 0,
        length=entry.length or 0,
        attachments=entry.attachments,
        jws=entry.jws,
        outbox_offset=entry.outbox.offset,
        accepted_ms=entry.outbox.time_ms,
    )
    key = message.key
    doubled = key in view.messages
    alert = _misfit(entry, "message-doubled", "An id was accepted twice in a case; the first message stands.")
    moves = operate(entry, view.clocks, view.open_clocks, partition=partition, open_max=open_max)
    return Changes(
        heads=_touched(view, key.case, entry.outbox.time_ms),
        messages=() if doubled else (message,),
        clocks=moves.clocks,
        tallies=((pair, replace(tally, accepted=tally.accepted + 1)),),
        alerts=(alert,) if doubled else (),
        reached=() if doubled else _reached_by_reply(view, message),
    )


def _reached_by_reply(view: CaseView, reply: CaseMessage) -> tuple[tuple[Level, int], ...]:
    level = REPLY_LEVELS.get(reply.type)
    if level is None or reply.in_reply_to is None:
        return ()
    message = view.messages.get(MessageKey(reply.key.case, reply.in_reply_to))
    if message is None or message.pair != Pair(reply.pair.recipient, reply.pair.sender):
        return ()
    return ((level, reply.accepted_ms - message.accepted_ms),)


def _refused(view: CaseView, entry: MessageEntry) -> Changes:
    reason = REASONS.get(entry.code or "")
    authentic = reason is not None and reason.step in _AUTHENTIC_STEPS
    if not authentic or entry.sender is None or entry.recipient is None:
        # A stranger can put any names into a manifest: only the topic's owner is sure.
        pair = Pair(outbox_owner(entry.outbox.topic), NOBODY)
        tally = view.tallies.get(pair, Tally())
        return Changes(tallies=((pair, replace(tally, refused=tally.refused + 1)),))
    pair = Pair(entry.sender, entry.recipient)
    tally = view.tallies.get(pair, Tally())
    if entry.repeat:
        return Changes(tallies=((pair, replace(tally, repeated=tally.repeated + 1)),))
    counted = ((pair, replace(tally, refused=tally.refused + 1)),)
    if entry.thread is None or entry.message is None:
        return Changes(tallies=counted)
    refusal = Refusal(
        thread=entry.thread,
        pair=pair,
        message=entry.message,
        code=entry.code or "",
        counted=entry.counted,
        outbox=entry.outbox,
    )
    head = _touched(view, CaseKey(entry.thread, parties(pair)), entry.outbox.time_ms)
    return Changes(heads=head, refusals=(refusal,), tallies=counted)


def _level(view: CaseView, entry: LevelEntry) -> Changes:
    case = CaseKey(entry.thread, parties(entry.pair))
    message = view.messages.get(MessageKey(case, entry.message))
    # Protocol 3: id, thread and pair must fit; only the recipient of a message can say what became of it.
    if message is None or message.pair != Pair(entry.pair.recipient, entry.pair.sender):
        tally = view.tallies.get(entry.pair, Tally())
        alert = Alert("receipt-misfit", entry.pair.sender, "A receipt fits no message of its thread; it was ignored.")
        return Changes(tallies=((entry.pair, replace(tally, misfits=tally.misfits + 1)),), alerts=(alert,))
    time_ms = entry.outbox.time_ms
    heads = _touched(view, case, time_ms)
    match entry.level:
        case ReceiptLevel.DELIVERED if message.delivered_ms is None:
            reached = ((Level.DELIVERED, time_ms - message.accepted_ms),)
            return Changes(heads=heads, messages=(replace(message, delivered_ms=time_ms),), reached=reached)
        case ReceiptLevel.OPENED if message.opened_ms is None:
            reached = ((Level.OPENED, time_ms - message.accepted_ms),)
            return Changes(heads=heads, messages=(replace(message, opened_ms=time_ms),), reached=reached)
        case ReceiptLevel.REFUSED if message.refused_ms is None:
            moves = refused_by_recipient(entry, view.clocks)
            refused = replace(message, refused_ms=time_ms, why=entry.why)
            return Changes(heads=heads, messages=(refused,), clocks=moves.clocks)
        case _:
            return Changes()  # the same level again: the first time stands


def _misfit(entry: MessageEntry, code: str, sentence: str) -> Alert:
    return Alert(code, f"{entry.outbox.topic}/{entry.outbox.offset}", sentence)


# --- reading a case -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A whole case, each part in the order of its times."""

    head: CaseHead
    messages: tuple[CaseMessage, ...]
    clocks: tuple[Clock, ...]
    refusals: tuple[Refusal, ...]
    flags: tuple[FlagEntry, ...]
    ignored: tuple[IgnoredEntry, ...]

    def overdue(self, now_ms: int) -> tuple[Clock, ...]:
        """The clocks that run past their due time."""
        return tuple(clock for clock in self.clocks if clock.state is ClockState.RUNNING and now_ms >= clock.due_ms)


class ReplyKey(NamedTuple):
    """A kind of reply to a message, from its recipient."""

    message: MessageId
    type: MessageType
    pair: Pair  # of the reply


def reply_times(messages: Iterable[CaseMessage]) -> dict[ReplyKey, int]:
    """When each message of a case was first replied to, by kind of reply.

    A reply that the other side's connector refused is none: nobody could read it.
    """
    times: dict[ReplyKey, int] = {}
    for reply in messages:
        if reply.in_reply_to is None or reply.refused_ms is not None:
            continue
        key = ReplyKey(reply.in_reply_to, reply.type, reply.pair)
        times[key] = min(reply.accepted_ms, times.get(key, reply.accepted_ms))
    return times


def levels(message: CaseMessage, replies: Mapping[ReplyKey, int]) -> dict[Level, int]:
    """The levels of acknowledgement that a message reached, in order, with the log's times.

    The recipient's ``ack`` to it acknowledges it, its ``response`` answers it. ``replies`` are those of its case.
    """
    back = Pair(message.pair.recipient, message.pair.sender)
    times: dict[Level, int | None] = {
        Level.ACCEPTED: message.accepted_ms,
        Level.DELIVERED: message.delivered_ms,
        Level.OPENED: message.opened_ms,
        Level.ACKNOWLEDGED: replies.get(ReplyKey(message.message, MessageType.ACK, back)),
        Level.ANSWERED: replies.get(ReplyKey(message.message, MessageType.RESPONSE, back)),
    }
    return {level: time_ms for level, time_ms in times.items() if time_ms is not None}
