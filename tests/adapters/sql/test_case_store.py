from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import Engine

from hub.adapters.sql.case_reading import cases_by_prefix, latest_cases, waiting_cases
from hub.adapters.sql.case_store import CaseStore
from hub.adapters.sql.engine import open_engine, sqlite_url, transaction
from hub.core.cases import CaseView, Changes, register
from hub.core.clocks import Flag
from hub.core.entries import Entry, IgnoredEntry, Logged
from hub.core.ids import AuthorityId
from hub.core.pairs import Pair
from hub.core.timekeeping import claim_entry, flag_claim
from hub.errors import VerificationFailed

ROUTER = "router-shard-0"
HOUR_MS = 3600 * 1000


def step(view: CaseView, entry: Entry, partition: int) -> Changes:
    """The registrar's step, with room for two open clocks a pair."""
    return register(view, entry, partition=partition, open_max=2)


@pytest.fixture
def store(engine: Engine) -> CaseStore:
    """An empty case view."""
    return CaseStore(engine)


@pytest.fixture
def history(story) -> list[Logged]:
    """A case with everything in it, and a second one; one ledger record per entry."""
    clocks = [story.clock("start", number, due_in_ms=5000) for number in (1, 2, 3)]
    request = story.message("xa-moj>xb-pgo", "request", *clocks)
    view = CaseView()
    view.take(step(view, request, 0), partition=0)
    running = next(iter(view.clocks.values()))
    flags = [claim_entry(flag_claim(running, Flag.OVERDUE, 100, time_ms=running.due_ms)) for _ in range(2)]
    answer = story.message("xb-pgo>xa-moj", "response", story.clock("stop", 1), irt=request)
    entries: list[Entry] = [
        request,
        story.level("delivered", request),
        story.level("opened", request),
        *flags,
        answer,
        story.level("refused", answer, why="cannot-decrypt"),
        story.message("xa-moj>xb-pgo", code="expired"),
        story.message("xa-moj>xb-pgo", code="sender-mismatch", owner="xc-acc"),
        story.message("xa-moj>xb-pgo", "receipt", thread=None),
        story.message("xa-moj>xc-acc", "request", story.clock("start", 9, due_in_ms=HOUR_MS), thread=2),
        story.level("refused", story.message("xa-moj>xc-acc", thread=2), why="cannot-decrypt"),
    ]
    ignored = IgnoredEntry(
        id="00000000-0000-8000-8000-000000000001",
        pair=Pair(AuthorityId("xb-pgo"), AuthorityId("xa-moj")),
        thread=story.thread(1),
        clock=story.clock("stop").clock,
        message=answer.message,
        code="clock-unknown",
        time_ms=story.now_ms,
    )
    entries += [ignored, story.message("xa-moj>xb-pgo", code="jws-malformed", sender=None, recipient=None)]
    return [story.record(ROUTER, n, entry) for n, entry in enumerate(entries, start=1)]


def exported(store: CaseStore) -> bytes:
    """The canonical export."""
    return b"".join(store.export())


def test_the_stored_view_is_the_folded_view(engine: Engine, store: CaseStore, history: list[Logged]):
    """What was saved in pieces and loaded again is what one fold in memory gives."""
    for logged in history:
        store.apply([logged], step)
    view = CaseView()
    for logged in history:
        for entry in logged.record.entries:
            view.take(step(view, entry, 0), partition=0)
    with transaction(engine) as connection:
        cases = latest_cases(connection, 10)
    assert {case.head for case in cases} == set(view.heads.values())
    assert {message for case in cases for message in case.messages} == set(view.messages.values())
    assert {clock for case in cases for clock in case.clocks} == set(view.clocks.values())
    assert {flag for case in cases for flag in case.flags} == set(view.flags.values())
    assert {refusal for case in cases for refusal in case.refusals} == set(view.refusals.values())
    assert {ignored for case in cases for ignored in case.ignored} == set(view.ignored.values())


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_rebuild_gives_the_same_bytes(
    store: CaseStore, history: list[Logged], tmp_path: Path, empty_database: Path, size: int
):
    """Whatever the batches, whatever came twice."""
    store.apply(history, step)
    second = open_engine(sqlite_url(shutil.copy(empty_database, tmp_path / "second.db")))
    rebuilt = CaseStore(second)
    for start in range(0, len(history), size):
        rebuilt.apply(history[max(0, start - 1) : start + size], step)
    assert exported(store) == exported(rebuilt)
    assert exported(store).count(b"\n") > 4
    second.dispose()


def test_records_that_were_taken_change_nothing(store: CaseStore, history: list[Logged]):
    """At least once is enough: the decision to skip is made in the transaction."""
    first = store.apply(history, step)
    before = exported(store)
    again = store.apply(history, step)
    assert (len(history), 0) == (first.records, again.records)
    assert before == exported(store)
    assert {0: len(history), 1: 0} == store.next_offsets([0, 1])


def test_a_missing_number_stops_before_it(store: CaseStore, story):
    """What came before it is saved, the next offset is that of the record after the gap."""
    records = [story.record(ROUTER, n, story.message("xa-moj>xb-pgo"), offset=n) for n in (1, 2, 4)]
    with pytest.raises(VerificationFailed) as caught:
        store.apply(records, step)
    assert (caught.value.code, store.next_offsets([0])) == ("ledger-gap", {0: 3})
    with pytest.raises(VerificationFailed):
        store.apply(records[2:], step)
    assert store.next_offsets([0]) == {0: 3}


def test_the_first_number_must_be_one(store: CaseStore, story):
    """A log that begins later than its writer is truncated."""
    with pytest.raises(VerificationFailed) as caught:
        store.apply([story.record(ROUTER, 2, story.message("xa-moj>xb-pgo"))], step)
    assert (caught.value.code, store.next_offsets([0])) == ("ledger-gap", {0: 0})


def test_a_number_again_with_equal_bytes_is_skipped(store: CaseStore, story):
    """The watch sends its bytes until they are acknowledged: a repeat is no second flag."""
    record = story.record("watch-0", 1, story.message("xa-moj>xb-pgo"))
    store.apply([record], step)
    before = exported(store)
    repeat = Logged(0, 5, record.digest, record.record)
    assert (store.apply([repeat], step).records, store.next_offsets([0])[0]) == (0, 6)
    assert before == exported(store)


def test_a_number_again_with_other_bytes_is_a_fork(store: CaseStore, story):
    """Two writers under one name, or a rewritten log: nothing is taken from there on."""
    store.apply([story.record("watch-0", 1, story.message("xa-moj>xb-pgo"))], step)
    other = story.record("watch-0", 1, story.message("xa-moj>xb-pgo"), offset=1)
    with pytest.raises(VerificationFailed) as caught:
        store.apply([other], step)
    assert (caught.value.code, store.next_offsets([0])) == ("ledger-fork", {0: 1})


def test_a_number_too_old_to_compare_is_an_error(store: CaseStore, story, monkeypatch: pytest.MonkeyPatch):
    """Nothing is believed unseen."""
    monkeypatch.setattr("hub.adapters.sql.progress.WRITER_WINDOW", 1)
    records = [story.record(ROUTER, n, story.message("xa-moj>xb-pgo")) for n in (1, 2)]
    store.apply(records, step)
    with pytest.raises(VerificationFailed) as caught:
        store.apply([Logged(0, 2, records[0].digest, records[0].record)], step)
    assert caught.value.code == "ledger-repeat-old"


def test_an_error_in_the_step_leaves_nothing_behind(store: CaseStore, history: list[Logged]):
    """State and offset move together, or not at all."""

    def broken(view: CaseView, entry: Entry, partition: int) -> Changes:
        raise RuntimeError

    before = exported(store)
    with pytest.raises(RuntimeError):
        store.apply(history, broken)
    assert (before, {0: 0}) == (exported(store), store.next_offsets([0]))


def test_cases_are_found_by_prefix_and_by_what_waits(engine: Engine, store: CaseStore, history: list[Logged]):
    """The open clock of each case decides; a due time narrows it down."""
    store.apply(history, step)
    with transaction(engine) as connection:
        by_prefix = cases_by_prefix(connection, "0" * 31, 10)
        waiting = list(waiting_cases(connection))
        due = list(waiting_cases(connection, due_before_ms=history[0].record.time_ms + 60_000))
    assert [int(case.head.key.thread, 16) for case in by_prefix] == [1, 2]
    assert sorted(int(case.head.key.thread, 16) for case in waiting) == [1, 2]
    assert [int(case.head.key.thread, 16) for case in due] == [1]


def test_overdue_clocks_are_counted_by_who_owes(store: CaseStore, history: list[Logged]):
    """One of the first case's clocks still runs past its due time; the second case's is not due."""
    store.apply(history, step)
    assert store.overdue_counts(history[0].record.time_ms + 60_000) == {("xb-pgo", "reply"): 1}


def test_partitions_are_counted_apart(store: CaseStore, story):
    """Numbers, offsets and open clocks belong to one partition."""
    for partition in (0, 1):
        clocks = [story.clock("start", number, due_in_ms=HOUR_MS) for number in (1, 2)]
        entry = story.message("xa-moj>xb-pgo", "request", *clocks, thread=partition + 1)
        done = store.apply([story.record(ROUTER, 1, entry, partition=partition)], step)
        assert [len(changes.clocks) for changes in done.changes] == [2]
    assert store.next_offsets([0, 1]) == {0: 1, 1: 1}
    assert store.next_offsets([7]) == {7: 0}
