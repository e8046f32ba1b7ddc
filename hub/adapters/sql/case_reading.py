"""Reading whole cases from the case view, a page at a time: for ``comity case`` and for the export."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Row, Select, Table, bindparam, select

from hub.adapters.sql import tables
from hub.adapters.sql.case_rows import FLAGS, HEADS, IGNORED, MESSAGES, REFUSALS
from hub.adapters.sql.shelves import row_clock, row_parties
from hub.core.cases import Case, CaseHead, CaseKey
from hub.core.ids import ThreadId
from hub.core.timekeeping import clock_key

V = TypeVar("V")

CASES_PER_QUERY: Final = 100
_AFTER_DIGITS: Final = "g"  # no hexadecimal digit: behind all threads that begin so
_HEADS: Final = tables.case_heads
_CLOCKS: Final = tables.case_clocks


def all_cases(connection: Connection) -> Iterator[Case]:
    """Every case, in the order of threads."""
    after = ""
    while True:
        query = select(_HEADS.c.thread).where(_HEADS.c.thread > after).distinct().order_by(_HEADS.c.thread)
        threads = connection.execute(query.limit(CASES_PER_QUERY)).scalars().all()
        if not threads:
            return
        yield from cases_of(connection, select(_HEADS).where(_HEADS.c.thread.in_(threads)))
        after = threads[-1]


def latest_cases(connection: Connection, limit: int) -> list[Case]:
    """The ``limit`` cases in which something happened last, newest first."""
    query = select(_HEADS).order_by(_HEADS.c.updated_ms.desc(), _HEADS.c.thread).limit(limit)
    return sorted(cases_of(connection, query), key=lambda case: (-case.head.updated_ms, case.head.key))


def cases_by_prefix(connection: Connection, prefix: str, limit: int) -> list[Case]:
    """The cases whose thread starts with ``prefix`` (hexadecimal digits), in the order of threads."""
    query = select(_HEADS).where(_HEADS.c.thread.between(prefix, prefix + _AFTER_DIGITS))  # LIKE would read all
    return list(cases_of(connection, query.order_by(_HEADS.c.thread).limit(limit)))


def waiting_cases(connection: Connection, *, due_before_ms: int | None = None) -> Iterator[Case]:
    """The cases with an open clock, or with one that is due at ``due_before_ms``; page by page."""
    columns: list[Column[Any]] = [_CLOCKS.c.thread, _CLOCKS.c.first_party, _CLOCKS.c.second_party]
    query: Select[Any] = select(*columns).where(open_clocks())
    if due_before_ms is not None:
        query = query.where(_CLOCKS.c.due_ms <= due_before_ms)
    # Not DISTINCT in SQL: for that SQLite reads all clocks in the order of their keys.
    keys = list(dict.fromkeys(CaseKey(ThreadId(row.thread), row_parties(row)) for row in connection.execute(query)))
    for start in range(0, len(keys), CASES_PER_QUERY):
        heads = HEADS.load(connection, keys[start : start + CASES_PER_QUERY])
        yield from _whole(connection, list(heads.values()))


def open_clocks() -> ColumnElement[bool]:
    """The condition that a clock is open, spelt as its index spells it."""
    return _CLOCKS.c.state.in_(bindparam("open", tables.OPEN_STATES, expanding=True, literal_execute=True))


def cases_of(connection: Connection, heads: Select[Any]) -> Iterator[Case]:
    """The whole cases of the heads that a query finds, in the order of their keys."""
    found = [HEADS.read(row)[1] for row in connection.execute(heads)]
    for start in range(0, len(found), CASES_PER_QUERY):
        yield from _whole(connection, found[start : start + CASES_PER_QUERY])


def _whole(connection: Connection, heads: Sequence[CaseHead]) -> Iterator[Case]:
    threads = sorted({head.key.thread for head in heads})
    messages = _by_case(connection, MESSAGES.table, threads, MESSAGES.read)
    clocks = _by_case(connection, _CLOCKS, threads, row_clock)
    refusals = _by_case(connection, REFUSALS.table, threads, REFUSALS.read)
    flags = _by_case(connection, FLAGS.table, threads, FLAGS.read)
    ignored = _by_case(connection, IGNORED.table, threads, IGNORED.read)
    for head in sorted(heads, key=lambda head: head.key):
        yield Case(
            head=head,
            # The last part of each order is unique, so that the order never depends on the database.
            messages=tuple(sorted(messages[head.key], key=lambda each: (each.accepted_ms, each.message))),
            clocks=tuple(sorted(clocks[head.key], key=lambda each: (each.started_ms, clock_key(each)))),
            refusals=tuple(sorted(refusals[head.key], key=lambda each: (each.outbox.time_ms, each.outbox))),
            flags=tuple(sorted(flags[head.key], key=lambda each: (each.time_ms, each.id))),
            ignored=tuple(sorted(ignored[head.key], key=lambda each: (each.time_ms, each.id))),
        )


def _by_case(
    connection: Connection, table: Table, threads: Sequence[ThreadId], read: Callable[[Row[Any]], tuple[Any, V]]
) -> defaultdict[CaseKey, list[V]]:
    found: defaultdict[CaseKey, list[V]] = defaultdict(list)
    for row in connection.execute(select(table).where(table.c.thread.in_(threads))):
        found[CaseKey(ThreadId(row.thread), row_parties(row))].append(read(row)[1])
    return found
