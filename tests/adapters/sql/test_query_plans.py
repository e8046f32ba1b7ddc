"""How SQLite finds rows: a process that holds a million clocks must not read all of them for one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, event

from hub import flow
from hub.adapters.sql.case_reading import all_cases, cases_by_prefix, latest_cases, waiting_cases
from hub.adapters.sql.case_store import CaseStore
from hub.adapters.sql.engine import reading
from hub.adapters.sql.watch_store import WatchStore
from hub.core.entries import Logged

HOUR_MS = 3600 * 1000
PERCENTS = (50, 80)
# A list of what is sought, an order that ends after the first rows, whatever is open, a table that is small.
BY_NATURE = re.compile(r"SCAN (anon_\d+ VIRTUAL|.* USING INDEX (case_heads_updated|case_clocks_open)$|case_tallies$)")


@pytest.fixture
def plans(engine: Engine) -> Iterator[dict[str, list[str]]]:
    """What SQLite says of each statement that is executed, before it is."""
    found: dict[str, list[str]] = {}

    def executes(_c: Any, cursor: Any, statement: str, parameters: Any, _x: Any, many: bool) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            ask = cursor.connection.cursor()
            ask.execute(f"EXPLAIN QUERY PLAN {statement}", parameters[0] if many else parameters)
            found[statement] = [row[3] for row in ask]

    event.listen(engine, "before_cursor_execute", executes)
    yield found
    event.remove(engine, "before_cursor_execute", executes)


@pytest.fixture
def records(story) -> list[Logged]:
    """Three cases with clocks; an answer and a refusal of one."""
    requests = [
        story.message("xa-moj>xb-pgo", "request", story.clock("start", due_in_ms=HOUR_MS), thread=thread)
        for thread in range(1, 4)
    ]
    answer = story.message("xb-pgo>xa-moj", "response", story.clock("stop"), irt=requests[0], thread=1)
    levels = [
        story.level("refused", requests[1], why="cannot-decrypt"),
        story.level("refused", requests[2], why="cannot-decrypt", way="xc-acc>xa-moj"),
    ]
    refused = story.message("xa-moj>xb-pgo", code="expired")
    return [story.record("router-shard-0", 1, *requests, answer, *levels, refused)]


def scans(plans: dict[str, list[str]]) -> dict[str, list[str]]:
    """The statements that read a whole table."""
    whole = {
        statement: [step for step in plan if step.startswith("SCAN") and BY_NATURE.match(step) is None]
        for statement, plan in plans.items()
    }
    return {statement: steps for statement, steps in whole.items() if steps}


def test_the_watch_finds_all_its_rows_by_an_index(engine: Engine, plans, records):
    """Folding, looking what is due, raising, sending: none reads a table from its beginning."""
    store = WatchStore(engine, warn_percents=PERCENTS)
    store.apply(records, lambda view, entry, _: flow.watch(view, entry, partition=0, ledger_partitions=1))
    late_ms = records[0].record.time_ms + 9 * HOUR_MS
    assert store.due_partitions([0, 1, 2], late_ms) == [0]
    due = partial(flow.fall_due, now_ms=late_ms, warn_percents=PERCENTS)
    emit = lambda partition, claims, chains: flow.emit(  # noqa: E731 (the order of the store's arguments)
        claims, chains, partition=partition, sign=bytes, time_ms=late_ms
    )
    assert store.fire(0, now_ms=late_ms, due=due, emit=emit) == 1
    store.sent([stored.number for stored in store.outgoing([0, 1], 10, without=["inbox.xb-pgo"])])
    assert len(plans) > 10
    assert scans(plans) == {}


def test_the_registrar_finds_all_its_rows_by_an_index(engine: Engine, plans, records):
    """Folding, counting what is overdue, listing, searching, exporting."""
    store = CaseStore(engine)
    store.apply(records, lambda view, entry, _: flow.register(view, entry, partition=0, ledger_partitions=1))
    assert store.overdue_counts(records[0].record.time_ms + 9 * HOUR_MS) == {("xb-pgo", "reply"): 1}
    with reading(engine) as connection:
        found = [
            list(all_cases(connection)),
            latest_cases(connection, 10),
            cases_by_prefix(connection, "0" * 31, 10),
            list(waiting_cases(connection)),
            list(waiting_cases(connection, due_before_ms=records[0].record.time_ms + 9 * HOUR_MS)),
        ]
    assert [len(cases) for cases in found] == [3, 3, 3, 1, 1]
    assert len(b"".join(store.export())) > 0
    assert scans(plans) == {}


def test_a_batch_is_one_transaction_however_many_entries_it_has(engine: Engine, story):
    """The disk is waited for once: clocks, claims, numbers and offset together."""
    commits: list[Any] = []

    def commit(connection: Any) -> None:
        commits.append(connection)

    event.listen(engine, "commit", commit)
    requests = [
        story.message("xa-moj>xb-pgo", "request", story.clock("start", due_in_ms=HOUR_MS), thread=thread)
        for thread in range(50)
    ]
    batch = [story.record("router-shard-0", n, *requests[n * 10 - 10 : n * 10]) for n in range(1, 6)]
    watch, registrar = WatchStore(engine, warn_percents=PERCENTS), CaseStore(engine)
    watch.apply(batch, lambda view, entry, _: flow.watch(view, entry, partition=0, ledger_partitions=1))
    registrar.apply(batch, lambda view, entry, _: flow.register(view, entry, partition=0, ledger_partitions=1))
    assert len(commits) == 2
    assert watch.due_partitions([0], story.now_ms + HOUR_MS) == [0]
    assert registrar.fingerprint().cases == 50
