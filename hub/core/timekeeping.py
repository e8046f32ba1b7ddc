"""The ledger's entries moving clocks: one fold for the registrar's view and for the watch's duties.

The laws of this file: (1) clocks are kept apart by thread and by the two parties, so that a third party that learns a
thread can neither move nor occupy a clock in it; (2) the number of open clocks is bounded per pair and ledger
partition, so that the fold depends on the order within a partition only; (3) a flag is settled when the ledger has it:
a fold from the beginning owes exactly the flags that the ledger lacks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from hub.core.clocks import Author, Clock, ClockState, Flag, Ignored, apply, due_flags, raised, void
from hub.core.entries import Entry, FlagEntry, IgnoredEntry, LevelEntry, MessageEntry
from hub.core.ids import ClockId, ThreadId, derived_id
from hub.core.limits import OPEN_CLOCKS_PER_PAIR_MAX
from hub.core.manifest import ClockVerb, ReceiptLevel
from hub.core.pairs import Pair
from hub.core.receipts import ClockIgnoredClaim, FlagClaim

OPEN_STATES: Final = frozenset({ClockState.RUNNING, ClockState.PAUSED})


class ClockKey(NamedTuple):
    """What a clock is found by: its thread, the two parties in alphabetical order, its id."""

    thread: ThreadId
    parties: Pair
    clock: ClockId


class OpenKey(NamedTuple):
    """What open clocks are counted by: the ledger partition, who waits on whom."""

    partition: int
    pair: Pair


OwedClaim = FlagClaim | ClockIgnoredClaim


@dataclass(frozen=True, slots=True)
class Moves:
    """What an entry did: the clocks as they are now, the claims that both sides are owed, in order.

    ``settled`` are the ids of claims that the ledger has: they are owed no more.
    """

    clocks: tuple[Clock, ...] = ()
    owed: tuple[OwedClaim, ...] = ()
    settled: tuple[str, ...] = ()


@dataclass(slots=True)
class WatchView:
    """The clocks that some entries touch, or all of them. ``take`` is the only way in which it changes."""

    clocks: dict[ClockKey, Clock] = field(default_factory=dict)
    open_clocks: dict[OpenKey, int] = field(default_factory=dict)

    def take(self, moved: Iterable[Clock], *, partition: int) -> None:
        """Put moved clocks in place, and correct the numbers of open ones."""
        take_clocks(self.clocks, self.open_clocks, moved, partition=partition)


def watch(view: WatchView, entry: Entry, *, partition: int, open_max: int) -> Moves:
    """What an entry of ledger partition ``partition`` means for the watch. ``view`` holds the clocks that it names."""
    match entry:
        case MessageEntry():
            return operate(entry, view.clocks, view.open_clocks, partition=partition, open_max=open_max)
        case LevelEntry():
            return refused_by_recipient(entry, view.clocks) if entry.level is ReceiptLevel.REFUSED else Moves()
        case FlagEntry():
            clock = view.clocks.get(ClockKey(entry.thread, parties(entry.pair), entry.clock))
            moves = learn(entry, clock) if clock is not None else Moves()
            return replace(moves, settled=(entry.id,))
    return Moves(settled=(entry.id,))


def take_clocks(
    clocks: dict[ClockKey, Clock], open_clocks: dict[OpenKey, int], moved: Iterable[Clock], *, partition: int
) -> None:
    """Put moved clocks in place, and correct the number of open ones of their pairs in this partition."""
    for clock in moved:
        before = clocks.get(clock_key(clock))
        was_open = before is not None and before.state in OPEN_STATES
        change = (clock.state in OPEN_STATES) - was_open
        if change:
            key = OpenKey(partition, clock.pair)
            open_clocks[key] = open_clocks.get(key, 0) + change
        clocks[clock_key(clock)] = clock


def parties(pair: Pair) -> Pair:
    """The two authorities of a pair, in alphabetical order: both directions of a case have the same."""
    return pair if pair.sender <= pair.recipient else Pair(pair.recipient, pair.sender)


def clock_key(clock: Clock) -> ClockKey:
    """The key of a clock."""
    return ClockKey(clock.thread, parties(clock.pair), clock.id)


def open_clocks_max(ledger_partitions: int) -> int:
    """How many open clocks a pair may have in one ledger partition, so that all stay below the limit per pair."""
    return max(1, OPEN_CLOCKS_PER_PAIR_MAX // ledger_partitions)


def author_of(entry: MessageEntry) -> Author | None:
    """Who speaks in an accepted message of a thread; None for refusals, repeats and receipt lists: they move nothing."""
    if not entry.accepted or entry.repeat:
        return None
    if entry.sender is None or entry.recipient is None or entry.thread is None:
        return None
    if entry.message is None or entry.type is None:
        return None
    return Author(
        authority=entry.sender,
        other=entry.recipient,
        thread=entry.thread,
        message=entry.message,
        type=entry.type,
        in_reply_to=entry.in_reply_to,
        time_ms=entry.outbox.time_ms,
    )


def operate(
    entry: MessageEntry,
    clocks: Mapping[ClockKey, Clock],
    open_clocks: Mapping[OpenKey, int],
    *,
    partition: int,
    open_max: int,
) -> Moves:
    """Perform the clock operations of a message. ``clocks`` holds those that it names, where they exist.

    Adds the code ``clock-too-many`` to those of ``hub.core.clocks.apply``: a start over ``open_max``.
    """
    author = author_of(entry)
    if author is None:
        return Moves()
    pair = Pair(author.authority, author.other)
    started = open_clocks.get(OpenKey(partition, pair), 0)
    moved: dict[ClockKey, Clock] = {}
    owed: list[OwedClaim] = []
    for index, operation in enumerate(entry.clocks):
        key = ClockKey(author.thread, parties(pair), operation.clock)
        before = moved.get(key, clocks.get(key))
        after = apply(before, operation, author)
        if isinstance(after, Clock) and operation.verb is ClockVerb.START:
            if started >= open_max:
                after = Ignored(operation.clock, "clock-too-many")
            else:
                started += 1
        if isinstance(after, Ignored):
            owed.append(_ignored_claim(after, author, index))
            continue
        after, flags = _stopped(after) if operation.verb is ClockVerb.STOP else (after, ())
        moved[key] = after
        owed.extend(flags)
    return Moves(tuple(moved.values()), tuple(owed))


def _stopped(clock: Clock) -> tuple[Clock, tuple[FlagClaim, ...]]:
    """A late stop whose overdue flag was not raised yet raises it first: both sides see why the answer is late."""
    time_ms = clock.stopped_ms if clock.stopped_ms is not None else clock.due_ms
    if clock.met is None:
        return clock, ()
    met = flag_claim(clock, clock.met, 100, time_ms=time_ms)
    if clock.met is Flag.MET_LATE and clock.overdue_due_ms != clock.due_ms:
        return raised(clock, Flag.OVERDUE, 100), (flag_claim(clock, Flag.OVERDUE, 100, time_ms=time_ms), met)
    return clock, (met,)


def refused_by_recipient(entry: LevelEntry, clocks: Mapping[ClockKey, Clock]) -> Moves:
    """Void the clocks that a message started whose recipient's connector refused it (protocol 1.9).

    ``clocks`` holds those that the message started. Only the side that owes the reply can have refused it.
    """
    voided = [
        void(clock, entry.message)
        for clock in clocks.values()
        if clock.starter == entry.message
        and clock.thread == entry.thread
        and clock.pair == Pair(entry.pair.recipient, entry.pair.sender)
        and clock.state in OPEN_STATES
    ]
    return Moves(tuple(voided))


def learn(entry: FlagEntry, clock: Clock) -> Moves:
    """The clock after the ledger said that a flag was raised; twice is the same as once.

    An overdue flag that the ledger has after a timely stop owes its lifting.
    """
    if entry.flag is Flag.WARNING:
        if entry.due_ms != clock.due_ms or entry.percent in clock.warned:
            return Moves()
        return Moves((raised(clock, Flag.WARNING, entry.percent),))
    if entry.flag is not Flag.OVERDUE:
        return Moves() if clock.met is entry.flag else Moves((replace(clock, met=entry.flag),))
    flagged = replace(clock, overdue_due_ms=entry.due_ms)
    if clock.state is ClockState.STOPPED and clock.met is None and entry.due_ms == clock.due_ms:
        lifted, owed = _stopped(replace(flagged, met=Flag.MET))
        return Moves((lifted,), owed)
    return Moves() if flagged == clock else Moves((flagged,))


def raise_due(clock: Clock, *, now_ms: int, warn_percents: tuple[int, ...]) -> Moves:
    """The flags that time alone owes: a warning, or overdue."""
    owed: list[OwedClaim] = []
    for flag, percent in due_flags(clock, now_ms=now_ms, warn_percents=warn_percents):
        owed.append(flag_claim(clock, flag, percent, time_ms=now_ms))
        clock = raised(clock, flag, percent)
    return Moves((clock,), tuple(owed))


def flag_claim(clock: Clock, flag: Flag, percent: int, *, time_ms: int) -> FlagClaim:
    """The claim of a flag; its id comes from the clock, the flag and the due time, so that a repeat is the same."""
    return FlagClaim(
        id=derived_id("flag", str(clock.pair), clock.thread, clock.id, flag, percent, clock.due_ms),
        flag=flag,
        percent=percent,
        pair=clock.pair,
        thread=clock.thread,
        clock=clock.id,
        kind=clock.kind,
        message=clock.starter,
        due_ms=clock.due_ms,
        time_ms=time_ms,
    )


def claim_entry(claim: OwedClaim) -> FlagEntry | IgnoredEntry:
    """The claim as the ledger's entry."""
    if isinstance(claim, FlagClaim):
        return FlagEntry(
            id=claim.id,
            flag=claim.flag,
            percent=claim.percent,
            pair=claim.pair,
            thread=claim.thread,
            clock=claim.clock,
            message=claim.message,
            due_ms=claim.due_ms,
            time_ms=claim.time_ms,
        )
    return IgnoredEntry(
        id=claim.id,
        pair=claim.pair,
        thread=claim.thread,
        clock=claim.clock,
        message=claim.message,
        code=claim.code,
        time_ms=claim.time_ms,
    )


def _ignored_claim(ignored: Ignored, author: Author, index: int) -> ClockIgnoredClaim:
    pair = Pair(author.authority, author.other)
    return ClockIgnoredClaim(
        id=derived_id("clk-ignored", str(pair), author.thread, ignored.clock, author.message, ignored.code, index),
        pair=pair,
        thread=author.thread,
        clock=ignored.clock,
        message=author.message,
        code=ignored.code,
        time_ms=author.time_ms,
    )
