from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.core.case_document import case_document, export_lines
from hub.core.cases import NOBODY, Case, CaseKey, CaseView, Changes, Tally, levels, register, reply_times
from hub.core.clocks import ClockState, Flag
from hub.core.entries import Entry, IgnoredEntry
from hub.core.ids import AuthorityId
from hub.core.pairs import Pair
from hub.core.receipts import Level
from hub.core.timekeeping import claim_entry, flag_claim, parties

XA, XB = AuthorityId("xa-moj"), AuthorityId("xb-pgo")
DAY_MS = 24 * 3600 * 1000


def _fold(*entries: Entry, view: CaseView | None = None, partition: int = 0) -> tuple[CaseView, list[Changes]]:
    view = view or CaseView()
    done = []
    for entry in entries:
        changes = register(view, entry, partition=partition, open_max=100)
        view.take(changes, partition=partition)
        done.append(changes)
    return view, done


def _whole(view: CaseView) -> list[Case]:
    def of(key: CaseKey, values: Any) -> tuple[Any, ...]:
        return tuple(each for each in values if (each.thread, parties(each.pair)) == key)

    return [
        Case(
            head=view.heads[key],
            messages=of(key, view.messages.values()),
            clocks=of(key, view.clocks.values()),
            refusals=of(key, view.refusals.values()),
            flags=of(key, view.flags.values()),
            ignored=of(key, view.ignored.values()),
        )
        for key in sorted(view.heads)
    ]


def test_levels_follow_from_receipts_acknowledgement_and_answer(story):
    """Each level has the log's time of what says it, in order."""
    request = story.message("xa-moj>xb-pgo")
    delivered = story.level("delivered", request)
    opened = story.level("opened", request)
    ack = story.message("xb-pgo>xa-moj", "ack", irt=request)
    answer = story.message("xb-pgo>xa-moj", "response", irt=request)
    second = story.message("xb-pgo>xa-moj", "response", irt=request)
    view, _ = _fold(request, delivered, opened, ack, answer, second)
    (case,) = _whole(view)
    expected = {
        Level.ACCEPTED: request.outbox.time_ms,
        Level.DELIVERED: delivered.outbox.time_ms,
        Level.OPENED: opened.outbox.time_ms,
        Level.ACKNOWLEDGED: ack.outbox.time_ms,
        Level.ANSWERED: answer.outbox.time_ms,
    }
    assert expected == levels(case.messages[0], reply_times(case.messages))
    assert list(expected) == list(levels(case.messages[0], reply_times(case.messages)))


def test_the_time_to_each_level_is_told(story):
    """For the histogram of latencies: a receipt, an acknowledgement, an answer; nothing for what fits no message."""
    request = story.message("xa-moj>xb-pgo")
    told = [
        request,
        story.level("delivered", request),
        story.level("opened", request),
        story.message("xb-pgo>xa-moj", "ack", irt=request),
        story.message("xb-pgo>xa-moj", "response", irt=request),
        story.message("xb-pgo>xa-moj", "response"),
        story.message("xa-moj>xb-pgo", "ack", irt=request),
        story.message("xb-pgo>xa-moj", "ack", irt=story.message("xa-moj>xb-pgo")),
    ]
    _, changes = _fold(*told)
    levels_told = [Level.DELIVERED, Level.OPENED, Level.ACKNOWLEDGED, Level.ANSWERED]
    expected = [((level, 1000 * (n + 1)),) for n, level in enumerate(levels_told)]
    assert [each.reached for each in changes] == [(), *expected, (), (), ()]


def test_the_first_time_of_a_level_stands(story):
    """A receipt that comes again does not move the time."""
    request = story.message("xa-moj>xb-pgo")
    first = story.level("delivered", request)
    view, changes = _fold(request, first, story.level("delivered", request))
    assert Changes() == changes[2]
    assert [first.outbox.time_ms] == [message.delivered_ms for message in view.messages.values()]


@pytest.mark.parametrize("way", ["xa-moj>xb-pgo", "xc-acc>xa-moj"])
def test_a_receipt_of_anyone_but_the_recipient_is_ignored(story, way):
    """Only the recipient of a message can say what became of it; another's word is counted and told."""
    request = story.message("xa-moj>xb-pgo")
    view, changes = _fold(request, story.level("delivered", request, way=way))
    assert [alert.code for alert in changes[1].alerts] == ["receipt-misfit"]
    assert [message.delivered_ms for message in view.messages.values()] == [None]
    assert view.tallies[Pair(*map(AuthorityId, way.split(">")))].misfits == 1


def test_a_reply_that_could_not_be_opened_answers_nothing(story):
    """A response that the requesting side refused does not count as an answer, and shows as refused with its reason."""
    request = story.message("xa-moj>xb-pgo")
    answer = story.message("xb-pgo>xa-moj", "response", irt=request)
    refused = story.level("refused", answer, why="cannot-decrypt")
    view, _ = _fold(request, answer, refused)
    (case,) = _whole(view)
    assert Level.ANSWERED not in levels(case.messages[0], reply_times(case.messages))
    assert [each["why"] for each in case_document(case)["messages"] if each["refused"]] == ["cannot-decrypt"]


def test_a_refusal_by_the_recipient_voids_the_clocks_that_the_message_started(story):
    """Clocks of other messages run on."""
    first = story.message("xa-moj>xb-pgo", "request", story.clock("start", 1, due_in_ms=DAY_MS))
    second = story.message("xa-moj>xb-pgo", "request", story.clock("start", 2, due_in_ms=DAY_MS))
    view, _ = _fold(first, second, story.level("refused", first, why="cannot-decrypt"))
    assert [clock.state for clock in view.clocks.values()] == [ClockState.VOID, ClockState.RUNNING]
    assert list(view.open_clocks.values()) == [1]


def test_a_late_answer_is_recorded_as_late(story):
    """It stops the clock, is kept, and the case says that it came late."""
    request = story.message("xa-moj>xb-pgo", "request", story.clock("start", due_in_ms=5000))
    story.now_ms += 60_000
    answer = story.message("xb-pgo>xa-moj", "response", story.clock("stop"), irt=request)
    view, _ = _fold(request, answer)
    (case,) = _whole(view)
    assert [clock.met for clock in case.clocks] == [Flag.MET_LATE]
    assert case_document(case)["messages"][0]["answered"] is not None


def test_flags_of_the_watch_are_kept_and_mark_the_clock(story):
    """A warning, then overdue: both in the case, and the clock knows for which due time."""
    request = story.message("xa-moj>xb-pgo", "request", story.clock("start", due_in_ms=5000))
    view, _ = _fold(request)
    (clock,) = view.clocks.values()
    warning = claim_entry(flag_claim(clock, Flag.WARNING, 50, time_ms=clock.due_ms - 1))
    overdue = claim_entry(flag_claim(clock, Flag.OVERDUE, 100, time_ms=clock.due_ms))
    _fold(warning, overdue, view=view)
    (clock,) = view.clocks.values()
    assert ((50,), clock.due_ms) == (clock.warned, clock.overdue_due_ms)
    assert [flag["flag"] for flag in case_document(_whole(view)[0])["flags"]] == ["warning", "overdue"]
    assert (clock,) == _whole(view)[0].overdue(clock.due_ms)
    assert _whole(view)[0].overdue(clock.due_ms - 1) == ()


def test_a_flag_of_an_unknown_clock_is_kept(story):
    """The watch's word stands even when the view has no such clock (it was over the limit)."""
    request = story.message("xa-moj>xb-pgo", "request", story.clock("start", due_in_ms=5000))
    (clock,) = _fold(request)[0].clocks.values()
    flag = claim_entry(flag_claim(clock, Flag.OVERDUE, 100, time_ms=clock.due_ms))
    view, _ = _fold(flag)
    assert ([], [flag]) == (list(view.clocks), list(view.flags.values()))


def test_an_ignored_operation_is_kept(story):
    """What both sides were told is in the case."""
    request = story.message("xa-moj>xb-pgo")
    ignored = IgnoredEntry(
        id="00000000-0000-8000-8000-000000000001",
        pair=Pair(XA, XB),
        thread=story.thread(1),
        clock=story.clock("stop").clock,
        message=request.message,
        code="clock-unknown",
        time_ms=story.now_ms,
    )
    view, _ = _fold(request, ignored)
    assert [each["code"] for each in case_document(_whole(view)[0])["ignored"]] == ["clock-unknown"]


def test_a_strangers_record_leaves_no_trace_in_a_case(story):
    """Another's manifest in one's own outbox counts against the topic's owner, and the case does not see it."""
    request = story.message("xa-moj>xb-pgo")
    replayed = story.message("xa-moj>xb-pgo", owner="xc-acc", code="sender-mismatch", counted=False)
    nameless = story.message("xa-moj>xb-pgo", code="jws-malformed", counted=False, sender=None, recipient=None)
    view, _ = _fold(request, replayed, nameless)
    assert (view.refusals, len(view.heads)) == ({}, 1)
    assert Tally(refused=1) == view.tallies[Pair(AuthorityId("xc-acc"), NOBODY)]
    assert Tally(refused=1) == view.tallies[Pair(XA, NOBODY)]


def test_an_authentic_refusal_stands_in_its_case(story):
    """An expired message shows in its thread once; a refused receipt list has none and is only counted."""
    expired = story.message("xa-moj>xb-pgo", code="expired")
    threadless = story.message("xa-moj>xb-pgo", "receipt", code="expired", thread=None)
    view, _ = _fold(expired, threadless, replace(expired, repeat=True))
    assert [refusal["code"] for refusal in case_document(_whole(view)[0])["refusals"]] == ["expired"]
    assert view.tallies[Pair(XA, XB)] == Tally(refused=2, repeated=1)


def test_repeats_and_receipt_lists_are_counted_only(story):
    """Neither opens a case."""
    request = story.message("xa-moj>xb-pgo", repeat=True)
    receipts = story.message("xa-moj>xb-pgo", "receipt", thread=None)
    view, _ = _fold(request, receipts)
    assert view.heads == {}
    assert Tally(repeated=1, receipts=1) == view.tallies[Pair(XA, XB)]


def test_an_id_twice_in_a_case_keeps_the_first_message(story):
    """A second message under one id is told to the operator; recipients deliver each id once."""
    request = story.message("xa-moj>xb-pgo")
    again = story.message("xa-moj>xb-pgo", message=request.message)
    view, changes = _fold(request, again)
    assert [alert.code for alert in changes[1].alerts] == ["message-doubled"]
    assert [request.jws] == [message.jws for message in view.messages.values()]


def test_an_accepted_entry_without_its_values_is_told(story):
    """The router never writes such an entry; if it did, nothing is guessed."""
    _, changes = _fold(story.message("xa-moj>xb-pgo", sender=None))
    assert [alert.code for alert in changes[0].alerts] == ["entry-incomplete"]


def _history(story, lanes: int) -> list[list[Entry]]:
    """For each partition the entries of some threads, all between the same authorities."""
    told: list[list[Entry]] = []
    for lane in range(lanes):
        entries: list[Entry] = []
        for thread in (10 * lane + 1, 10 * lane + 2):
            start = story.clock("start", due_in_ms=60_000)
            request = story.message("xa-moj>xb-pgo", "request", start, thread=thread)
            answer = story.message("xb-pgo>xa-moj", "response", story.clock("stop"), irt=request, thread=thread)
            lost = story.message("xb-pgo>xa-moj", code="expired", thread=thread)
            entries += [request, story.level("delivered", request), lost, answer, story.level("opened", answer)]
            entries.append(story.level("opened", request, way="xc-acc>xa-moj"))
        told.append(entries)
    return told


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_view_does_not_depend_on_how_partitions_interleave(story, data):
    """Any interleaving of the partitions' entries gives the same canonical export."""
    lanes = _history(story, 3)
    plain = CaseView()
    for partition, entries in enumerate(lanes):
        _fold(*entries, view=plain, partition=partition)
    turns = [partition for partition, entries in enumerate(lanes) for _ in entries]
    mixed = CaseView()
    queues = [iter(entries) for entries in lanes]
    for partition in data.draw(st.permutations(turns)):
        _fold(next(queues[partition]), view=mixed, partition=partition)
    assert list(export_lines(iter(_whole(plain)), plain.tallies)) == list(
        export_lines(iter(_whole(mixed)), mixed.tallies)
    )
    assert plain.open_clocks == mixed.open_clocks
