from __future__ import annotations

from dataclasses import replace

import pytest

from hub.core.clocks import Clock, ClockState, Flag
from hub.core.entries import Entry
from hub.core.limits import OPEN_CLOCKS_PER_PAIR_MAX
from hub.core.receipts import ClockIgnoredClaim, FlagClaim
from hub.core.timekeeping import Moves, WatchView, author_of, claim_entry, open_clocks_max, raise_due, watch

HOUR_MS = 3600 * 1000
PERCENTS = (50, 80)


def _fold(view: WatchView, *entries: Entry, open_max: int = 100) -> list[Moves]:
    moves = []
    for entry in entries:
        moved = watch(view, entry, partition=0, open_max=open_max)
        view.take(moved.clocks, partition=0)
        moves.append(moved)
    return moves


def _only(view: WatchView) -> Clock:
    (clock,) = view.clocks.values()
    return clock


def _flagged(moves: Moves) -> list[tuple[Flag, int]]:
    return [(claim.flag, claim.percent) for claim in moves.owed if isinstance(claim, FlagClaim)]


def _codes(moves: Moves) -> list[str]:
    return [claim.code for claim in moves.owed if isinstance(claim, ClockIgnoredClaim)]


@pytest.fixture
def request_entry(story):
    """A request that starts one clock of an hour."""
    return story.message("xa-moj>xb-pgo", "request", story.clock("start", due_in_ms=HOUR_MS))


def test_time_alone_warns_and_then_flags_once(request_entry):
    """The newest warning that is due, then overdue; the same instant again owes nothing."""
    view = WatchView()
    _fold(view, request_entry)
    clock = _only(view)
    warned = raise_due(clock, now_ms=clock.due_ms - 60_000, warn_percents=PERCENTS)
    late = raise_due(warned.clocks[0], now_ms=clock.due_ms, warn_percents=PERCENTS)
    again = raise_due(late.clocks[0], now_ms=clock.due_ms, warn_percents=PERCENTS)
    assert [_flagged(each) for each in (warned, late, again)] == [[(Flag.WARNING, 80)], [(Flag.OVERDUE, 100)], []]


def test_a_timely_stop_that_was_routed_late_lifts_the_flag(story, request_entry):
    """The log's time counts: overdue becomes met."""
    view = WatchView()
    _fold(view, request_entry)
    stop = story.message("xb-pgo>xa-moj", "response", story.clock("stop"), irt=request_entry)
    clock = _only(view)
    view.take(raise_due(clock, now_ms=clock.due_ms, warn_percents=PERCENTS).clocks, partition=0)
    (moves,) = _fold(view, stop)
    assert _flagged(moves) == [(Flag.MET, 100)]
    assert [stop.outbox.time_ms] == [claim.time_ms for claim in moves.owed]


def test_a_late_stop_whose_flag_was_not_raised_raises_it_first(story, request_entry):
    """Both sides get overdue and met-late, in this order."""
    view = WatchView()
    _fold(view, request_entry)
    story.now_ms += 2 * HOUR_MS
    (moves,) = _fold(view, story.message("xb-pgo>xa-moj", "ack", story.clock("stop"), irt=request_entry))
    assert _flagged(moves) == [(Flag.OVERDUE, 100), (Flag.MET_LATE, 100)]
    assert _only(view).due_ms == _only(view).overdue_due_ms


def test_a_late_stop_after_the_flag_says_met_late_only(story, request_entry):
    """One overdue per clock and due time."""
    view = WatchView()
    _fold(view, request_entry)
    clock = _only(view)
    view.take(raise_due(clock, now_ms=clock.due_ms, warn_percents=PERCENTS).clocks, partition=0)
    story.now_ms += 2 * HOUR_MS
    (moves,) = _fold(view, story.message("xb-pgo>xa-moj", "ack", story.clock("stop"), irt=request_entry))
    assert _flagged(moves) == [(Flag.MET_LATE, 100)]


def test_a_timely_stop_owes_nothing(story, request_entry):
    """No flag, no claim."""
    view = WatchView()
    _fold(view, request_entry)
    (moves,) = _fold(view, story.message("xb-pgo>xa-moj", "ack", story.clock("stop"), irt=request_entry))
    assert moves.owed == ()
    assert {key: count for key, count in view.open_clocks.items() if count} == {}


def test_an_operation_without_effect_is_told_to_both(story, request_entry):
    """The code says why; the same message in one batch may have several, each with its own id."""
    view = WatchView()
    _fold(view, request_entry)
    twice = story.message("xb-pgo>xa-moj", "request", story.clock("stop"), story.clock("stop"), story.clock("pause", 9))
    (moves,) = _fold(view, twice)
    assert _codes(moves) == ["clock-not-yours", "clock-not-yours", "clock-unknown"]
    assert len({claim.id for claim in moves.owed}) == 3


def test_clocks_of_third_parties_are_other_clocks(story, request_entry):
    """Whoever learns a thread can neither stop nor occupy the clocks of two others in it."""
    view = WatchView()
    stolen = story.message("xc-acc>xb-pgo", "request", story.clock("start", due_in_ms=HOUR_MS))
    stop = story.message("xc-acc>xa-moj", "ack", story.clock("stop"), irt=request_entry)
    moves = _fold(view, stolen, request_entry, stop)
    assert [_codes(each) for each in moves] == [[], [], ["clock-unknown"]]
    assert [clock.state for clock in view.clocks.values()] == [ClockState.RUNNING, ClockState.RUNNING]


def test_a_pair_cannot_open_clocks_without_end(story):
    """A start over the limit is ignored with a code; a stop makes room again; the other direction has its own."""
    view = WatchView()
    first = story.message("xa-moj>xb-pgo", "request", story.clock("start", 1, due_in_ms=HOUR_MS))
    two = (story.clock("start", 2, due_in_ms=HOUR_MS), story.clock("start", 3, due_in_ms=HOUR_MS))
    more = story.message("xa-moj>xb-pgo", "request", *two)
    back = story.message("xb-pgo>xa-moj", "request", story.clock("start", 4, due_in_ms=HOUR_MS))
    stop = story.message("xa-moj>xb-pgo", "request", story.clock("stop", 1))
    again = story.message("xa-moj>xb-pgo", "request", story.clock("start", 5, due_in_ms=HOUR_MS))
    moves = _fold(view, first, more, back, stop, again, open_max=2)
    assert [_codes(each) for each in moves] == [[], ["clock-too-many"], [], [], []]


def test_the_limit_is_shared_out_over_the_ledgers_partitions():
    """All partitions together stay below the limit per pair, and each has room for one."""
    assert open_clocks_max(8) == OPEN_CLOCKS_PER_PAIR_MAX // 8
    assert open_clocks_max(10 * OPEN_CLOCKS_PER_PAIR_MAX) == 1


def test_refusals_repeats_and_receipt_lists_move_no_clock(story, request_entry):
    """Only an accepted message of a thread speaks."""
    start = story.clock("start", 2, due_in_ms=HOUR_MS)
    silent = [
        replace(request_entry, code="expired"),
        replace(request_entry, repeat=True),
        story.message("xa-moj>xb-pgo", "receipt", start, thread=None),
        story.message("xa-moj>xb-pgo", "request", start, message=None),
    ]
    assert [author_of(entry) for entry in silent] == [None] * 4
    assert [Moves()] * 4 == _fold(WatchView(), *silent)


def test_only_the_side_that_owes_can_void_a_clock_by_refusing(story, request_entry):
    """A refusal of another's message, or by another, changes nothing."""
    view = WatchView()
    other = story.message("xa-moj>xb-pgo")
    _fold(
        view, request_entry, story.level("refused", request_entry, way="xa-moj>xb-pgo"), story.level("refused", other)
    )
    assert ClockState.RUNNING is _only(view).state
    _fold(view, story.level("delivered", request_entry), story.level("refused", request_entry))
    assert ClockState.VOID is _only(view).state


def test_a_stopped_clock_is_not_voided(story, request_entry):
    """What was answered stays answered."""
    view = WatchView()
    stop = story.message("xb-pgo>xa-moj", "ack", story.clock("stop"), irt=request_entry)
    moves = _fold(view, request_entry, stop, story.level("refused", request_entry))
    assert Moves() == moves[2]


def test_a_replay_learns_flags_from_the_ledger(story, request_entry):
    """A watch that lost its database owes nothing that the ledger has."""
    live = WatchView()
    _fold(live, request_entry)
    clock = _only(live)
    warning = raise_due(clock, now_ms=clock.due_ms - 1, warn_percents=PERCENTS)
    overdue = raise_due(warning.clocks[0], now_ms=clock.due_ms, warn_percents=PERCENTS)
    live.take(overdue.clocks, partition=0)
    told = [claim_entry(claim) for claim in (*warning.owed, *overdue.owed)]
    rebuilt = WatchView()
    moves = _fold(rebuilt, request_entry, *told, *told)
    assert _only(live) == _only(rebuilt)
    assert [entry.id for entry in told] * 2 == [id_ for each in moves for id_ in each.settled]


def test_a_replay_owes_the_lifting_that_the_ledger_lacks(story, request_entry):
    """Overdue is in the ledger after a timely stop, met is not: met is owed, once."""
    live = WatchView()
    _fold(live, request_entry)
    overdue = raise_due(_only(live), now_ms=_only(live).due_ms, warn_percents=PERCENTS)
    stop = story.message("xb-pgo>xa-moj", "ack", story.clock("stop"), irt=request_entry)
    rebuilt = WatchView()
    moves = _fold(rebuilt, request_entry, stop, claim_entry(overdue.owed[0]))
    assert _flagged(moves[2]) == [(Flag.MET, 100)]
    (met,) = moves[2].owed
    assert [Moves(settled=(met.id,))] == _fold(rebuilt, claim_entry(met))


def test_a_replay_learns_met_from_the_ledger(story, request_entry):
    """The watch's last word on a clock is kept."""
    live = WatchView()
    _fold(live, request_entry)
    overdue = raise_due(_only(live), now_ms=_only(live).due_ms, warn_percents=PERCENTS)
    live.take(overdue.clocks, partition=0)
    stop = story.message("xb-pgo>xa-moj", "ack", story.clock("stop"), irt=request_entry)
    (met,) = _fold(live, stop)
    rebuilt = WatchView()
    _fold(rebuilt, request_entry, stop, claim_entry(met.owed[0]))
    assert Flag.MET is _only(rebuilt).met


def test_a_warning_for_an_earlier_due_time_is_old(story, request_entry):
    """After an extension the shares count anew."""
    view = WatchView()
    _fold(view, request_entry)
    warning = raise_due(_only(view), now_ms=_only(view).due_ms - 1, warn_percents=PERCENTS)
    _fold(view, story.message("xa-moj>xb-pgo", "request", story.clock("extend", due_in_ms=3 * HOUR_MS)))
    _fold(view, claim_entry(warning.owed[0]))
    assert _only(view).warned == ()


def test_an_ignored_entry_and_an_unknown_clocks_flag_are_settled(story, request_entry):
    """What the ledger says was told is not told again, whatever is known of the clock."""
    view = WatchView()
    (moves,) = _fold(view, story.message("xa-moj>xb-pgo", "request", story.clock("stop")))
    _fold(view, request_entry)
    overdue = raise_due(_only(view), now_ms=_only(view).due_ms, warn_percents=PERCENTS)
    entries = [claim_entry(moves.owed[0]), claim_entry(overdue.owed[0])]
    assert [Moves(settled=(entry.id,)) for entry in entries] == _fold(WatchView(), *entries)
