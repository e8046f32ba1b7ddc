"""The registrar's store: the case view and the next offsets, saved together; reading and exporting it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, func, select

from hub.adapters.sql import tables
from hub.adapters.sql.case_reading import all_cases, open_clocks
from hub.adapters.sql.case_rows import (
    FLAGS,
    HEADS,
    IGNORED,
    MESSAGES,
    OPEN_CLOCKS,
    PROGRESS,
    REFUSALS,
    TALLIES,
    clocks_shelf,
)
from hub.adapters.sql.engine import reading, transaction
from hub.adapters.sql.progress import after
from hub.adapters.sql.shelves import clocks_by_starter
from hub.core.case_document import export_lines
from hub.core.cases import NOBODY, CaseKey, CaseView, Changes, MessageKey
from hub.core.clocks import ClockState
from hub.core.entries import Entry, FlagEntry, LevelEntry, Logged, MessageEntry
from hub.core.ids import AuthorityId, MessageId, ThreadId
from hub.core.manifest import ReceiptLevel
from hub.core.pairs import Pair
from hub.core.timekeeping import ClockKey, OpenKey, parties
from hub.core.topics import outbox_owner

Step = Callable[[CaseView, Entry, int], Changes]
"""What an entry of a ledger partition changes."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What a batch did: for metrics and alerts."""

    next_offset: int
    records: int  # those that were new
    changes: tuple[Changes, ...]  # one for each of their entries


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a case view says, and of how much of the ledger: next offsets per partition, hexadecimal SHA-256 of the export."""

    offsets: Mapping[int, int]
    cases: int
    sha256: str


@dataclass(slots=True)
class Touched:
    """The keys that entries name: what must be loaded before they are folded."""

    heads: set[CaseKey] = field(default_factory=set)
    messages: set[MessageKey] = field(default_factory=set)
    clocks: set[ClockKey] = field(default_factory=set)
    starters: set[tuple[ThreadId, MessageId]] = field(default_factory=set)
    refusals: set[tuple[str, int]] = field(default_factory=set)
    flags: set[str] = field(default_factory=set)
    ignored: set[str] = field(default_factory=set)
    pairs: set[Pair] = field(default_factory=set)

    def add(self, entry: Entry) -> None:
        """Note what ``entry`` names."""
        if isinstance(entry, MessageEntry):
            self._add_message(entry)
            return
        case = CaseKey(entry.thread, parties(entry.pair))
        self.heads.add(case)
        self.pairs.add(entry.pair)
        if isinstance(entry, LevelEntry):
            self.messages.add(MessageKey(case, entry.message))
            if entry.level is ReceiptLevel.REFUSED:
                self.starters.add((entry.thread, entry.message))
        elif isinstance(entry, FlagEntry):
            self.flags.add(entry.id)
            self.clocks.add(ClockKey(case.thread, case.parties, entry.clock))
        else:
            self.ignored.add(entry.id)

    def _add_message(self, entry: MessageEntry) -> None:
        self.pairs.add(Pair(outbox_owner(entry.outbox.topic), NOBODY))
        if entry.sender is None or entry.recipient is None:
            return
        pair = Pair(entry.sender, entry.recipient)
        self.pairs.add(pair)
        if entry.thread is None or entry.message is None:
            return
        case = CaseKey(entry.thread, parties(pair))
        self.heads.add(case)
        self.messages.add(MessageKey(case, entry.message))
        if entry.in_reply_to is not None:
            self.messages.add(MessageKey(case, entry.in_reply_to))
        self.refusals.add((entry.outbox.topic, entry.outbox.offset))
        self.clocks.update(ClockKey(case.thread, case.parties, operation.clock) for operation in entry.clocks)


class CaseStore:
    """The case view in SQL."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def next_offsets(self, partitions: Iterable[int]) -> dict[int, int]:
        """Where to read on, per ledger partition. Raises ``Unreachable``."""
        with reading(self._engine) as connection:
            return PROGRESS.next_offsets(connection, partitions)

    def apply(self, batch: Sequence[Logged], step: Step) -> Applied:
        """Fold records of ONE partition, in rising offsets, and save state and next offset in one transaction.

        Records that were taken before change nothing. Raises ``VerificationFailed`` for a gap or a fork of a writer,
        after everything before it was saved: the next offset is then that of the bad record. Raises ``Unreachable``.
        """
        partition = batch[0].partition
        with transaction(self._engine) as connection:
            next_offset = PROGRESS.lock(connection, partition)
            fresh, wrong = PROGRESS.new_records(connection, batch, next_offset)
            changes = _fold(connection, partition, [e for logged in fresh for e in logged.record.entries], step)
            next_offset = after(fresh if wrong is not None else batch, next_offset)
            PROGRESS.advance(connection, partition, next_offset)
        if wrong is not None:
            raise wrong
        return Applied(next_offset, len(fresh), changes)

    def overdue_counts(self, now_ms: int) -> dict[tuple[AuthorityId, str], int]:
        """How many clocks run past their due time, by who owes the reply and by kind. Raises ``Unreachable``."""
        clocks = tables.case_clocks.c
        columns: list[Any] = [clocks.recipient, clocks.kind, func.count()]
        running = clocks.state == ClockState.RUNNING.value
        query = select(*columns).where(open_clocks(), running, clocks.due_ms <= now_ms)
        with reading(self._engine) as connection:
            rows = connection.execute(query.group_by(clocks.recipient, clocks.kind)).all()
        return {(AuthorityId(owes), kind): count for owes, kind, count in rows}

    def export(self) -> Iterator[bytes]:
        """The canonical export: the same ledger always gives the same bytes. Raises ``Unreachable``."""
        with reading(self._engine) as connection:
            yield from _lines(connection)

    def fingerprint(self) -> Fingerprint:
        """Offsets and digest of one state of the view, whatever is written meanwhile. Raises ``Unreachable``."""
        digest, lines = hashlib.sha256(), 0
        with reading(self._engine) as connection:
            offsets = {row.partition: row.next_offset for row in connection.execute(select(tables.case_partitions))}
            pairs = connection.execute(select(func.count()).select_from(tables.case_tallies)).scalar() or 0
            for line in _lines(connection):
                digest.update(line)
                lines += 1
        return Fingerprint(offsets, lines - 1 - pairs, digest.hexdigest())  # but for the version's line


def _lines(connection: Connection) -> Iterator[bytes]:
    tallies = dict(TALLIES.read(row) for row in connection.execute(select(tables.case_tallies)))
    yield from export_lines(all_cases(connection), tallies)


def _fold(connection: Connection, partition: int, entries: Sequence[Entry], step: Step) -> tuple[Changes, ...]:
    touched = Touched()
    for entry in entries:
        touched.add(entry)
    clocks = clocks_shelf(partition)
    both_ways = [OpenKey(partition, each) for pair in touched.pairs for each in (pair, Pair(*reversed(pair)))]
    loaded = CaseView(
        heads=HEADS.load(connection, touched.heads),
        messages=MESSAGES.load(connection, touched.messages),
        clocks=clocks.load(connection, touched.clocks)
        | clocks_by_starter(connection, tables.case_clocks, touched.starters),
        open_clocks=OPEN_CLOCKS.load(connection, both_ways),
        refusals=REFUSALS.load(connection, touched.refusals),
        flags=FLAGS.load(connection, touched.flags),
        ignored=IGNORED.load(connection, touched.ignored),
        tallies=TALLIES.load(connection, touched.pairs),
    )
    view = CaseView(
        heads=dict(loaded.heads),
        messages=dict(loaded.messages),
        clocks=dict(loaded.clocks),
        open_clocks=dict(loaded.open_clocks),
        refusals=dict(loaded.refusals),
        flags=dict(loaded.flags),
        ignored=dict(loaded.ignored),
        tallies=dict(loaded.tallies),
    )
    done: list[Changes] = []
    for entry in entries:
        changes = step(view, entry, partition)
        view.take(changes, partition=partition)
        done.append(changes)
    HEADS.save(connection, loaded.heads, view.heads)
    MESSAGES.save(connection, loaded.messages, view.messages)
    clocks.save(connection, loaded.clocks, view.clocks)
    OPEN_CLOCKS.save(connection, loaded.open_clocks, view.open_clocks)
    REFUSALS.save(connection, loaded.refusals, view.refusals)
    FLAGS.save(connection, loaded.flags, view.flags)
    IGNORED.save(connection, loaded.ignored, view.ignored)
    TALLIES.save(connection, loaded.tallies, view.tallies)
    return tuple(done)
