"""Clocks: every cell of (state, operation), who may do what, lateness, flags."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from hub.core.clocks import (
    TRANSITIONS,
    Author,
    Clock,
    ClockState,
    Flag,
    Ignored,
    apply,
    due_flags,
    next_check_ms,
    raised,
    void,
)
from hub.core.ids import AuthorityId, ClockId, MessageId, ThreadId, uuid7
from hub.core.manifest import ClockKind, ClockOperation, ClockVerb, MessageType
from hub.core.pairs import Pair

XA, XB, XC = AuthorityId("xa-moj"), AuthorityId("xb-pgo"), AuthorityId("xc-acc")
THREAD = ThreadId("3f" * 16)
CLOCK = ClockId("c1" * 8)
REQUEST = uuid7(1, bytes(10))
OTHER_MESSAGE = uuid7(2, bytes(10))
STARTED, DUE, NEW_DUE = 1_000, 11_000, 21_000
IGNORED = "ignored"

S, V = ClockState, ClockVerb
CELLS = {
    (S.RUNNING, V.START): "clock-exists",
    (S.RUNNING, V.STOP): S.STOPPED,
    (S.RUNNING, V.PAUSE): S.PAUSED,
    (S.RUNNING, V.RESUME): "clock-state",
    (S.RUNNING, V.EXTEND): S.RUNNING,
    (S.PAUSED, V.START): "clock-exists",
    (S.PAUSED, V.STOP): S.STOPPED,
    (S.PAUSED, V.PAUSE): "clock-state",
    (S.PAUSED, V.RESUME): S.RUNNING,
    (S.PAUSED, V.EXTEND): S.PAUSED,
    (S.STOPPED, V.START): "clock-exists",
    (S.STOPPED, V.STOP): "clock-state",
    (S.STOPPED, V.PAUSE): "clock-state",
    (S.STOPPED, V.RESUME): "clock-state",
    (S.STOPPED, V.EXTEND): "clock-state",
    (S.VOID, V.START): "clock-exists",
    (S.VOID, V.STOP): "clock-state",
    (S.VOID, V.PAUSE): "clock-state",
    (S.VOID, V.RESUME): "clock-state",
    (S.VOID, V.EXTEND): "clock-state",
}


def clock(**changes: Any) -> Clock:
    """A clock that xa started against xb."""
    started = Clock(
        pair=Pair(XA, XB),
        thread=THREAD,
        id=CLOCK,
        kind=ClockKind.REPLY,
        starter=REQUEST,
        started_ms=STARTED,
        due_ms=DUE,
    )
    return replace(started, **changes)


def operation(verb: ClockVerb, due_ms: int | None = None, kind: ClockKind = ClockKind.REPLY) -> ClockOperation:
    """An operation on the clock."""
    return ClockOperation(verb, CLOCK, kind, due_ms)


def starter(time_ms: int = 5_000) -> Author:
    """A later message of xa."""
    return Author(XA, XB, THREAD, OTHER_MESSAGE, MessageType.REQUEST, None, time_ms)


def answerer(
    time_ms: int = 5_000, kind: MessageType = MessageType.RESPONSE, answers: MessageId | None = REQUEST
) -> Author:
    """A message of xb."""
    return Author(XB, XA, THREAD, OTHER_MESSAGE, kind, answers, time_ms)


def test_every_cell_is_named() -> None:
    """The table of this test has a cell for every state and operation, and no transition is outside it."""
    assert set(product(ClockState, ClockVerb)) == set(CELLS)
    assert {cell: state for cell, state in CELLS.items() if isinstance(state, ClockState)} == TRANSITIONS


@pytest.mark.parametrize(("cell", "expected"), CELLS.items(), ids=lambda value: "-".join(value) if value else "")
def test_cell(cell: tuple[ClockState, ClockVerb], expected: str) -> None:
    """The starter's operation leads to the state of its cell, or is ignored with the cell's code."""
    state, verb = cell
    due_ms = NEW_DUE if verb in {V.START, V.EXTEND} else None
    after = apply(clock(state=state), operation(verb, due_ms), starter())
    assert expected == (after.code if isinstance(after, Ignored) else after.state)


def test_start_makes_a_clock_of_its_author() -> None:
    """A start makes the author wait and the other side owe, from the log's time on."""
    author = Author(XA, XB, THREAD, REQUEST, MessageType.REQUEST, None, STARTED)
    assert clock() == apply(None, operation(V.START, DUE), author)


def test_start_without_due_is_a_fault_of_ours() -> None:
    """The grammar lets no start without a due time through, so one here is a programming error."""
    with pytest.raises(ValueError, match="grammar"):
        apply(None, operation(V.START), starter())


@pytest.mark.parametrize("verb", [verb for verb in ClockVerb if verb is not V.START])
def test_unknown_clock_is_ignored(verb: ClockVerb) -> None:
    """An operation on a clock that nobody started has no effect."""
    assert Ignored(CLOCK, "clock-unknown") == apply(None, operation(verb, NEW_DUE), starter())


def test_third_party_does_not_know_the_clock() -> None:
    """An authority outside the pair cannot touch a clock, whether it writes to one side or not."""
    third = Author(XC, XA, THREAD, OTHER_MESSAGE, MessageType.RESPONSE, REQUEST, 5_000)
    assert Ignored(CLOCK, "clock-unknown") == apply(clock(), operation(V.STOP), third)


def test_kind_must_be_the_clocks() -> None:
    """An operation that names another kind has no effect."""
    changed = operation(V.STOP, kind=ClockKind.ACK)
    assert Ignored(CLOCK, "clock-kind-differs") == apply(clock(), changed, starter())


@pytest.mark.parametrize(
    ("verb", "state", "author", "expected"),
    [
        (V.PAUSE, S.RUNNING, answerer(kind=MessageType.REQUEST, answers=None), S.PAUSED),
        (V.RESUME, S.PAUSED, answerer(kind=MessageType.REQUEST, answers=None), S.RUNNING),
        (V.EXTEND, S.RUNNING, answerer(), "clock-not-yours"),
        (V.STOP, S.RUNNING, answerer(kind=MessageType.RESPONSE), S.STOPPED),
        (V.STOP, S.RUNNING, answerer(kind=MessageType.ACK), S.STOPPED),
        (V.STOP, S.RUNNING, answerer(kind=MessageType.REQUEST), "clock-not-yours"),
        (V.STOP, S.RUNNING, answerer(answers=None), "clock-not-yours"),
        (V.STOP, S.RUNNING, answerer(answers=OTHER_MESSAGE), "clock-not-yours"),
    ],
)
def test_other_side(verb: ClockVerb, state: ClockState, author: Author, expected: str) -> None:
    """The other side may pause and resume, and stop only by an answer to the starting message."""
    due_ms = NEW_DUE if verb is V.EXTEND else None
    after = apply(clock(state=state), operation(verb, due_ms), author)
    assert expected == (after.code if isinstance(after, Ignored) else after.state)


def test_extend_moves_the_due_time_and_warns_anew() -> None:
    """A new due time forgets the warnings of the old one; the same due time does not."""
    warned = clock(warned=(50,))
    assert clock(due_ms=NEW_DUE) == apply(warned, operation(V.EXTEND, NEW_DUE), starter())
    assert warned == apply(warned, operation(V.EXTEND, DUE), starter())


def test_resume_may_move_the_due_time() -> None:
    """A resume without a due time keeps the old one, with one takes the new one."""
    paused = clock(state=S.PAUSED, stopped_ms=4_000)
    assert clock() == apply(paused, operation(V.RESUME), starter())
    assert clock(due_ms=NEW_DUE) == apply(paused, operation(V.RESUME, NEW_DUE), starter())


def test_extend_of_a_paused_clock_keeps_the_pause() -> None:
    """An extension while paused changes the due time and nothing else."""
    paused = clock(state=S.PAUSED, stopped_ms=4_000)
    assert replace(paused, due_ms=NEW_DUE) == apply(paused, operation(V.EXTEND, NEW_DUE), starter())


@pytest.mark.parametrize(
    ("before", "time_ms", "met"),
    [
        (clock(), DUE - 1, None),
        (clock(), DUE, None),
        (clock(), DUE + 1, Flag.MET_LATE),
        (clock(overdue_due_ms=DUE), DUE, Flag.MET),  # in time, routed after the flag
        (clock(overdue_due_ms=DUE), DUE + 1, Flag.MET_LATE),
        (clock(due_ms=NEW_DUE, overdue_due_ms=DUE), DUE + 1, None),  # extended since it was flagged
    ],
)
def test_stop_is_judged_at_the_logs_time(before: Clock, time_ms: int, met: Flag | None) -> None:
    """A stop is late after the due time only, and lifts a flag that was raised for the same due time."""
    after = apply(before, operation(V.STOP), answerer(time_ms))
    assert replace(before, state=S.STOPPED, stopped_ms=time_ms, met=met) == after


@pytest.mark.parametrize(
    ("paused_ms", "flagged", "met"),
    [
        (DUE - 1, None, None),
        (DUE, DUE, Flag.MET),  # the pause came in time, and was routed after the flag
        (DUE + 1, DUE, Flag.MET_LATE),
        (DUE + 1, None, Flag.MET_LATE),
    ],
)
def test_pausing_an_overdue_clock_does_not_make_the_answer_timely(
    paused_ms: int, flagged: int | None, met: Flag | None
) -> None:
    """A stop while paused is late exactly when the pause came after the due time."""
    paused = apply(clock(overdue_due_ms=flagged), operation(V.PAUSE), answerer(paused_ms, answers=None))
    assert isinstance(paused, Clock)
    stopped = apply(paused, operation(V.STOP), answerer(DUE + 9_000))
    assert isinstance(stopped, Clock)
    assert met == stopped.met


def test_late_after_a_pause_that_ended() -> None:
    """A pause that ended does not count: the running clock's due time does."""
    paused = apply(clock(), operation(V.PAUSE), starter(2_000))
    assert isinstance(paused, Clock)
    resumed = apply(paused, operation(V.RESUME, NEW_DUE), starter(3_000))
    assert isinstance(resumed, Clock)
    stopped = apply(resumed, operation(V.STOP), answerer(NEW_DUE + 1))
    assert isinstance(stopped, Clock)
    assert stopped.met == Flag.MET_LATE


def test_void_touches_only_clocks_of_the_message() -> None:
    """A message that its recipient refused voids the clocks that it started, unless they were stopped."""
    assert clock(state=S.VOID) == void(clock(), REQUEST)
    assert clock() == void(clock(), OTHER_MESSAGE)
    assert clock(state=S.STOPPED) == void(clock(state=S.STOPPED), REQUEST)


@pytest.mark.parametrize(
    ("before", "now_ms", "owed"),
    [
        (clock(), STARTED, ()),
        (clock(), 5_999, ()),
        (clock(), 6_000, ((Flag.WARNING, 50),)),
        (clock(warned=(50,)), 6_000, ()),
        (clock(warned=(50,)), 9_000, ((Flag.WARNING, 80),)),
        (clock(), 9_000, ((Flag.WARNING, 80),)),  # the hub was down: the newest only
        (clock(warned=(80,)), 9_000, ()),
        (clock(), DUE - 1, ((Flag.WARNING, 80),)),
        (clock(warned=(50, 80)), DUE, ((Flag.OVERDUE, 100),)),
        (clock(overdue_due_ms=DUE), DUE + 1, ()),
        (clock(due_ms=NEW_DUE, overdue_due_ms=DUE), NEW_DUE, ((Flag.OVERDUE, 100),)),
        (clock(state=S.PAUSED), NEW_DUE, ()),
        (clock(state=S.STOPPED), NEW_DUE, ()),
        (clock(state=S.VOID), NEW_DUE, ()),
    ],
)
def test_due_flags(before: Clock, now_ms: int, owed: tuple[tuple[Flag, int], ...]) -> None:
    """A running clock owes its newest warning, then one overdue flag for each due time."""
    assert owed == due_flags(before, now_ms=now_ms, warn_percents=(80, 50))


def test_a_raised_flag_is_owed_no_more() -> None:
    """Raising what is owed leaves nothing owed at the same instant; lifting flags changes nothing."""
    for now_ms in (6_000, DUE):
        ((flag, percent),) = due_flags(clock(), now_ms=now_ms, warn_percents=(50, 80))
        assert due_flags(raised(clock(), flag, percent), now_ms=now_ms, warn_percents=(50, 80)) == ()
    assert clock() == raised(clock(), Flag.MET, 100)


@pytest.mark.parametrize(
    ("before", "instant"),
    [
        (clock(), 6_000),
        (clock(warned=(50,)), 9_000),
        (clock(warned=(50, 80)), DUE),
        (clock(overdue_due_ms=DUE), None),
        (clock(state=S.PAUSED), None),
    ],
)
def test_next_check(before: Clock, instant: int | None) -> None:
    """Between now and the next check nothing is owed; at it something is."""
    assert instant == next_check_ms(before, (80, 50))
    if instant is not None:
        assert due_flags(before, now_ms=instant - 1, warn_percents=(50, 80)) == ()
        assert due_flags(before, now_ms=instant, warn_percents=(50, 80)) != ()
