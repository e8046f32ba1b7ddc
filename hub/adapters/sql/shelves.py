"""Values of the core as rows: one shelf per table that knows how to load a few and how to save what changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Insert,
    Integer,
    Row,
    Select,
    Table,
    Text,
    Update,
    bindparam,
    cast,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from hub.core.clocks import Clock, ClockState, Flag
from hub.core.ids import AuthorityId, ClockId, MessageId, ThreadId
from hub.core.manifest import ClockKind
from hub.core.pairs import Pair
from hub.core.timekeeping import ClockKey, OpenKey, clock_key

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Shelf(Generic[K, V]):
    """A table of values ``V`` found by keys ``K``; ``place`` gives a key's columns in the primary key's order."""

    table: Table
    place: Callable[[K], tuple[Any, ...]]
    write: Callable[[K, V], Mapping[str, Any]]  # the other columns
    read: Callable[[Row[Any]], tuple[K, V]]

    def load(self, connection: Connection, keys: Iterable[K]) -> dict[K, V]:
        """The values of these keys, where they exist."""
        places = [self.place(key) for key in dict.fromkeys(keys)]
        return dict(map(self.read, rows_at(connection, tuple(self.table.primary_key.columns), places)))

    def at(self, key: K) -> dict[str, Any]:
        """What ``row_update`` finds the row of a key by."""
        names = (f"at_{column.name}" for column in self.table.primary_key.columns)
        return dict(zip(names, self.place(key), strict=True))

    def save(self, connection: Connection, before: Mapping[K, V], after: Mapping[K, V]) -> None:
        """Insert what is new since ``before`` was loaded, update what differs."""
        names = [column.name for column in self.table.primary_key.columns]
        new = [
            dict(zip(names, self.place(key), strict=True)) | dict(self.write(key, value))
            for key, value in after.items()
            if key not in before
        ]
        if new:
            connection.execute(_insert(self.table), new)
        changed = [
            self.at(key) | dict(self.write(key, value))
            for key, value in after.items()
            if key in before and before[key] != value
        ]
        if changed:
            connection.execute(row_update(self.table, tuple(changed[0])), changed)


def rows_at(
    connection: Connection, columns: tuple[Column[Any], ...], places: Iterable[tuple[Any, ...]]
) -> Iterable[Row[Any]]:
    """The rows whose ``columns`` have one of these values, by the index on them, however many there are."""
    found = json.dumps(list(places))
    return connection.execute(_at(columns, connection.dialect.name), {"places": found}) if found != "[]" else ()


@cache
def _at(columns: tuple[Column[Any], ...], dialect: str) -> Select[Any]:
    """One statement for any number of places: they come as one parameter.

    SQLite reads a whole table for ``(a, b, c, d) IN (VALUES ...)``: it guesses 25 values for each of the columns.
    """
    places = bindparam("places", type_=Text)
    if dialect == "sqlite":
        each = func.json_each(places).table_valued("value")
        values: list[ColumnElement[Any]] = [
            func.json_extract(each.c.value, f"$[{number}]") for number in range(len(columns))
        ]
    else:
        each = func.jsonb_array_elements(cast(places, JSONB)).table_valued("value")
        values = [
            cast(each.c.value.op("->>")(number), column.type if isinstance(column.type, Integer) else Text)
            for number, column in enumerate(columns)
        ]
    table = columns[0].table
    matches = [column == value for column, value in zip(columns, values, strict=True)]
    return select(table).select_from(each).where(*matches)


# Statements are made once: making one costs as much as executing it.


@cache
def _insert(table: Table) -> Insert:
    return table.insert()


@cache
def row_update(table: Table, names: tuple[str, ...]) -> Update:
    """The row of a key, whose columns are given as ``at_...``, gets the other names' values."""
    matches = [column == bindparam(f"at_{column.name}") for column in table.primary_key.columns]
    values: dict[str, Any] = {name: bindparam(name) for name in names if not name.startswith("at_")}
    return table.update().where(*matches).values(values)


def chunks(items: Iterable[K], size: int) -> Iterator[list[K]]:
    """The items in lists of at most ``size``."""
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some


def case_columns(thread: ThreadId, parties: Pair) -> dict[str, Any]:
    """The columns that name a case."""
    return {"thread": thread, "first_party": parties.sender, "second_party": parties.recipient}


def row_pair(row: Row[Any]) -> Pair:
    """The columns ``sender`` and ``recipient``."""
    return Pair(AuthorityId(row.sender), AuthorityId(row.recipient))


def row_parties(row: Row[Any]) -> Pair:
    """The columns ``first_party`` and ``second_party``."""
    return Pair(AuthorityId(row.first_party), AuthorityId(row.second_party))


def clock_columns(clock: Clock) -> dict[str, Any]:
    """A clock's columns, but for key and partition."""
    return {
        "sender": clock.pair.sender,
        "recipient": clock.pair.recipient,
        "kind": clock.kind.value,
        "starter": clock.starter,
        "started_ms": clock.started_ms,
        "due_ms": clock.due_ms,
        "state": clock.state.value,
        "stopped_ms": clock.stopped_ms,
        "warned": ",".join(str(percent) for percent in clock.warned),
        "overdue_due_ms": clock.overdue_due_ms,
        "met": clock.met.value if clock.met is not None else None,
    }


def row_clock(row: Row[Any]) -> tuple[ClockKey, Clock]:
    """A clock and its key from a row."""
    clock = Clock(
        pair=row_pair(row),
        thread=ThreadId(row.thread),
        id=ClockId(row.clock),
        kind=ClockKind(row.kind),
        starter=MessageId(row.starter),
        started_ms=row.started_ms,
        due_ms=row.due_ms,
        state=ClockState(row.state),
        stopped_ms=row.stopped_ms,
        warned=tuple(int(percent) for percent in row.warned.split(",") if percent),
        overdue_due_ms=row.overdue_due_ms,
        met=Flag(row.met) if row.met is not None else None,
    )
    return clock_key(clock), clock


def clock_place(key: ClockKey) -> tuple[Any, ...]:
    """A clock's primary key."""
    return (key.thread, *key.parties, key.clock)


def clocks_by_starter(
    connection: Connection, table: Table, starters: Iterable[tuple[ThreadId, MessageId]]
) -> dict[ClockKey, Clock]:
    """The clocks that these messages started: at most 8 each."""
    rows = rows_at(connection, (table.c.thread, table.c.starter), dict.fromkeys(starters))
    return dict(map(row_clock, rows))


def open_clocks_shelf(table: Table) -> Shelf[OpenKey, int]:
    """The numbers of open clocks."""
    return Shelf(
        table,
        place=lambda key: (key.partition, *key.pair),
        write=lambda _key, count: {"open": count},
        read=lambda row: (OpenKey(row.partition, row_pair(row)), row.open),
    )
