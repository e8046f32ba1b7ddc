"""Clocks on the business reply: signed operations move them, flags are derived and reversible (protocol section 4).

The laws of this file: (1) the starter may do everything; the other side may pause and resume, and may stop only by an
acknowledgement or response to the starting message; (2) anything else has no effect and is reported as ignored;
(3) overdue is a flag beside the state, never a state: a stop in time that was routed late turns it into ``met``,
a late one into ``met-late``; (4) the time that counts is the log's, an argument here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from hub.core.ids import AuthorityId, ClockId, MessageId, ThreadId
from hub.core.manifest import ClockKind, ClockOperation, ClockVerb, MessageType
from hub.core.pairs import Pair


class ClockState(StrEnum):
    """Where a clock stands."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    VOID = "void"  # the message that started it was refused by the recipient (protocol 1.9)


class Flag(StrEnum):
    """What the watch says of a clock, to both sides."""

    WARNING = "warning"
    OVERDUE = "overdue"
    MET = "met"  # the flag was wrong: the stop was in time, and routed late
    MET_LATE = "met-late"


TRANSITIONS: Final[dict[tuple[ClockState, ClockVerb], ClockState]] = {
    (ClockState.RUNNING, ClockVerb.PAUSE): ClockState.PAUSED,
    (ClockState.RUNNING, ClockVerb.EXTEND): ClockState.RUNNING,
    (ClockState.RUNNING, ClockVerb.STOP): ClockState.STOPPED,
    (ClockState.PAUSED, ClockVerb.RESUME): ClockState.RUNNING,
    (ClockState.PAUSED, ClockVerb.EXTEND): ClockState.PAUSED,
    (ClockState.PAUSED, ClockVerb.STOP): ClockState.STOPPED,
}
"""The one lifecycle table: (state, operation) -> state. A pair that is not here has no effect."""


@dataclass(frozen=True, slots=True)
class Clock:
    """One clock of a pair's thread. ``pair.sender`` started it and waits; ``pair.recipient`` owes the reply."""

    pair: Pair
    thread: ThreadId
    id: ClockId
    kind: ClockKind
    starter: MessageId
    started_ms: int
    due_ms: int
    state: ClockState = ClockState.RUNNING
    stopped_ms: int | None = None  # since when it does not run: stopped, or paused (log time)
    warned: tuple[int, ...] = ()  # shares of the time, in percent, that a warning went out for
    overdue_due_ms: int | None = None  # the due time that the overdue flag was raised for
    met: Flag | None = None


@dataclass(frozen=True, slots=True)
class Author:
    """The message that carries an operation: who, in answer to what, and the log's time of its outbox record."""

    authority: AuthorityId
    other: AuthorityId
    thread: ThreadId
    message: MessageId
    type: MessageType
    in_reply_to: MessageId | None
    time_ms: int


@dataclass(frozen=True, slots=True)
class Ignored:
    """An operation without effect; both sides get a signed ``clk-ignored`` with this code."""

    clock: ClockId
    code: str


def apply(clock: Clock | None, operation: ClockOperation, author: Author) -> Clock | Ignored:
    """The clock after a signed operation, or why it has no effect.

    ``clock`` is the clock of this id in the thread, or None. Codes: ``clock-exists``, ``clock-unknown``,
    ``clock-kind-differs``, ``clock-not-yours``, ``clock-state`` (not possible in its state).
    """
    if operation.verb is ClockVerb.START:
        return Ignored(operation.clock, "clock-exists") if clock else _start(operation, author)
    if clock is None or {*clock.pair} != {author.authority, author.other}:
        return Ignored(operation.clock, "clock-unknown")
    if operation.kind is not clock.kind:
        return Ignored(operation.clock, "clock-kind-differs")
    if not _allowed(clock, operation.verb, author):
        return Ignored(operation.clock, "clock-not-yours")
    state = TRANSITIONS.get((clock.state, operation.verb))
    if state is None:
        return Ignored(operation.clock, "clock-state")
    if operation.verb is ClockVerb.STOP:
        return _stop(clock, author.time_ms)
    if operation.verb is ClockVerb.PAUSE:
        return replace(clock, state=state, stopped_ms=author.time_ms)
    due_ms = clock.due_ms if operation.due_ms is None else operation.due_ms
    return replace(
        clock,
        state=state,
        due_ms=due_ms,
        stopped_ms=clock.stopped_ms if state is ClockState.PAUSED else None,
        warned=clock.warned if due_ms == clock.due_ms else (),
    )


def _start(operation: ClockOperation, author: Author) -> Clock:
    if operation.due_ms is None:
        raise ValueError("a start without a due time passed the manifest's grammar")
    pair = Pair(author.authority, author.other)
    return Clock(
        pair=pair,
        thread=author.thread,
        id=operation.clock,
        kind=operation.kind,
        starter=author.message,
        started_ms=author.time_ms,
        due_ms=operation.due_ms,
    )


def _allowed(clock: Clock, verb: ClockVerb, author: Author) -> bool:
    if author.authority == clock.pair.sender:
        return True
    if verb is ClockVerb.STOP:
        answers = author.type in {MessageType.ACK, MessageType.RESPONSE}
        return answers and author.in_reply_to == clock.starter
    return verb in {ClockVerb.PAUSE, ClockVerb.RESUME}


def _stop(clock: Clock, time_ms: int) -> Clock:
    # A pause keeps an answer in time only if it came in time: else who owes could pause an overdue clock and answer.
    ran_until_ms = time_ms if clock.stopped_ms is None else clock.stopped_ms
    late = ran_until_ms > clock.due_ms
    met = Flag.MET_LATE if late else Flag.MET if clock.overdue_due_ms == clock.due_ms else None
    return replace(clock, state=ClockState.STOPPED, stopped_ms=time_ms, met=met)


def void(clock: Clock, message: MessageId) -> Clock:
    """The clock after the recipient's connector refused ``message``: void if that message started it."""
    if clock.starter != message or clock.state is ClockState.STOPPED:
        return clock
    return replace(clock, state=ClockState.VOID)


def due_flags(clock: Clock, *, now_ms: int, warn_percents: tuple[int, ...]) -> tuple[tuple[Flag, int], ...]:
    """The flags that are owed at ``now_ms`` and were not raised: ``(warning, percent)`` or ``(overdue, 100)``.

    Only the newest warning is owed when several shares of the time have passed (a hub that was down does not nag).
    """
    if clock.state is not ClockState.RUNNING:
        return ()
    if now_ms >= clock.due_ms:
        return () if clock.overdue_due_ms == clock.due_ms else ((Flag.OVERDUE, 100),)
    span = clock.due_ms - clock.started_ms
    passed = [percent for percent in sorted(warn_percents) if now_ms >= clock.started_ms + span * percent // 100]
    if not passed or passed[-1] <= max(clock.warned, default=0):
        return ()
    return ((Flag.WARNING, passed[-1]),)


def raised(clock: Clock, flag: Flag, percent: int) -> Clock:
    """The clock after a flag was raised."""
    if flag is Flag.WARNING:
        return replace(clock, warned=(*clock.warned, percent))
    if flag is Flag.OVERDUE:
        return replace(clock, overdue_due_ms=clock.due_ms)
    return clock


def next_check_ms(clock: Clock, warn_percents: tuple[int, ...]) -> int | None:
    """The next instant at which ``due_flags`` can change, for an index; None when never."""
    if clock.state is not ClockState.RUNNING or clock.overdue_due_ms == clock.due_ms:
        return None
    span = clock.due_ms - clock.started_ms
    ahead = [p for p in sorted(warn_percents) if p > max(clock.warned, default=0)]
    return min([clock.started_ms + span * p // 100 for p in ahead] + [clock.due_ms])
