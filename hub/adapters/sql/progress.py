"""How far a process has read the ledger: next offsets, and the writers' numbers that show what was skipped.

All functions run inside the transaction that also saves what the records changed: state and offset move together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Delete, Select, Table, Update, bindparam, delete, func, select, update

from hub.core.entries import Logged
from hub.errors import VerificationFailed

WRITER_WINDOW: Final = 1024  # numbers of a writer that are remembered: more than a watch ever has under way


def after(taken: Sequence[Logged], next_offset: int) -> int:
    """The next offset once these records are taken."""
    return max([next_offset, *(logged.offset + 1 for logged in taken)])


@dataclass(frozen=True, slots=True)
class Progress:
    """One process's tables of offsets and numbers. ``fresh`` are the further columns of a new partition's row."""

    partitions: Table
    writers: Table
    fresh: tuple[tuple[str, Any], ...] = ()

    def next_offsets(self, connection: Connection, partitions: Iterable[int]) -> dict[int, int]:
        """The next offset to read per partition; 0 where nothing was read yet."""
        wanted = sorted(set(partitions))
        query = select(self.partitions).where(self.partitions.c.partition.in_(wanted))
        known = {row.partition: row.next_offset for row in connection.execute(query)}
        return {partition: known.get(partition, 0) for partition in wanted}

    def lock(self, connection: Connection, partition: int) -> int:
        """Lock the partition for this transaction, and return its next offset.

        SQLite's transaction holds the write lock already; PostgreSQL locks the row.
        """
        row = connection.execute(_locked(self.partitions), {"at": partition}).one_or_none()
        if row is not None:
            return int(row.next_offset)
        new = {"partition": partition, "next_offset": 0} | dict(self.fresh)
        # Two first transactions at once: the second fails with database-conflict, and the process starts again.
        connection.execute(self.partitions.insert(), new)
        return 0

    def new_records(
        self, connection: Connection, batch: Sequence[Logged], next_offset: int
    ) -> tuple[list[Logged], VerificationFailed | None]:
        """The records of a batch that were not taken yet, and what is wrong with the one after them.

        This is where a repeat is skipped. Codes: ``ledger-gap`` (a number is missing), ``ledger-fork`` (a number again
        with other bytes), ``ledger-repeat-old`` (a number that is no longer remembered). The caller commits what came
        before, so that the next offset is that of the bad record, and then raises.
        """
        last: dict[str, int] = {}
        fresh: list[Logged] = []
        wrong: VerificationFailed | None = None
        for logged in batch:
            if logged.offset < next_offset:
                continue
            writer = logged.record.writer
            if writer not in last:
                last[writer] = self._last(connection, logged.partition, writer)
            try:
                if self._is_next(connection, logged, last[writer]):
                    last[writer] += 1
                    fresh.append(logged)
            except VerificationFailed as error:
                wrong = error
                break
        for writer, n in last.items():
            self._forget(connection, batch[0].partition, writer, n - WRITER_WINDOW)
        return fresh, wrong

    def advance(self, connection: Connection, partition: int, next_offset: int) -> None:
        """Set the next offset."""
        connection.execute(_advanced(self.partitions), {"at": partition, "next": next_offset})

    def _last(self, connection: Connection, partition: int, writer: str) -> int:
        return connection.execute(last_number(self.writers), {"at": partition, "by": writer}).scalar() or 0

    def _is_next(self, connection: Connection, logged: Logged, last: int) -> bool:
        table, record = self.writers, logged.record
        where = f"{record.writer} in ledger partition {logged.partition} at offset {logged.offset}"
        if record.n > last + 1:
            raise VerificationFailed(
                "ledger-gap",
                f"Number {last + 1} of {where} is missing: {record.n} came.",
            )
        key = {"partition": logged.partition, "writer": record.writer, "n": record.n}
        if record.n == last + 1:
            connection.execute(table.insert(), key | {"digest": logged.digest})
            return True
        query = select(table.c.digest).where(*(table.c[name] == value for name, value in key.items()))
        digest = connection.execute(query).scalar()
        if digest is None:
            raise VerificationFailed(
                "ledger-repeat-old", f"Number {record.n} of {where} came again, too old to be compared."
            )
        if digest != logged.digest:
            raise VerificationFailed("ledger-fork", f"Number {record.n} of {where} came again with other bytes.")
        return False

    def _forget(self, connection: Connection, partition: int, writer: str, n: int) -> None:
        if n > 0:
            connection.execute(_forgotten(self.writers), {"at": partition, "by": writer, "until": n})


# Statements are made once: making one costs as much as executing it.


@cache
def _locked(table: Table) -> Select[Any]:
    return select(table).where(table.c.partition == bindparam("at")).with_for_update()


@cache
def _advanced(table: Table) -> Update:
    return update(table).where(table.c.partition == bindparam("at")).values(next_offset=bindparam("next"))


@cache
def last_number(table: Table) -> Select[Any]:
    """The last number of writer ``by`` in partition ``at``."""
    return select(func.max(table.c.n)).where(table.c.partition == bindparam("at"), table.c.writer == bindparam("by"))


@cache
def _forgotten(table: Table) -> Delete:
    of_writer = (table.c.partition == bindparam("at"), table.c.writer == bindparam("by"))
    return delete(table).where(*of_writer, table.c.n <= bindparam("until"))
