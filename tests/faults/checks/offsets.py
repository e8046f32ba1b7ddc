"""I8: offsets and numbers. One value for each offset, nothing passed over, nothing backwards, writers count 1, 2, 3."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.checks.history import FINAL, Reads
from tests.faults.checks.index import Index
from tests.faults.checks.model import Found, Kind


def one_value_per_offset(index: Index, found: Found) -> None:
    """A live reader and the final one read the same record at the same offset."""
    for reader, place, reads, final in _beside_the_final(index):
        for offset, record in zip(reads.offsets, reads.records, strict=True):
            if final.get(offset, record) != record:
                found.add(
                    Kind.INCONSISTENT_OFFSET, f"{place}/{offset}", f"{reader} read another record here than the end."
                )


def nothing_aborted(index: Index, found: Found) -> None:
    """What a live reader read is there at the end."""
    for reader, place, reads, final in _beside_the_final(index):
        for offset in reads.offsets:
            if offset not in final:
                found.add(Kind.ABORTED_READ, f"{place}/{offset}", f"{reader} read a record that is not there.")


def nothing_skipped(index: Index, found: Found) -> None:
    """Between its first and its last record a live reader read all that the end has there."""
    for reader, place, reads, final in _beside_the_final(index):
        read = set(reads.offsets)
        low, high = min(read), max(read)
        for offset in final:
            if low < offset < high and offset not in read:
                found.add(Kind.SKIP, f"{reader} {place}/{offset}", "The reader passed over this record.")


def offsets_rise(index: Index, found: Found) -> None:
    """No reader goes back or reads an offset again."""
    for (reader, topic, partition), reads in index.seen.reads.items():
        last = -1
        for offset in reads.offsets:
            if offset <= last:
                subject = f"{reader} {topic}/{partition}/{offset}"
                found.add(Kind.NONMONOTONIC, subject, f"The reader had read {last} before.")
            last = offset


def numbers_run(index: Index, found: Found) -> None:
    """The bundles of a writer in an inbox, and its records in a ledger partition, are numbered 1, 2, 3."""
    for (topic, partition, writer), said in index.seen.numbers.items():
        known: dict[int, str] = {}
        last = 0
        for n, record in said:
            subject = f"{topic}/{partition} {writer} {n}"
            if n in known:
                kind = Kind.DUPLICATE if known[n] == record else Kind.COUNTER_FORK
                found.add(kind, subject, "The writer used this number before.")
            elif n != last + 1:
                found.add(Kind.COUNTER_GAP, subject, f"The writer's number before this one is {last}.")
            known[n] = record
            last = n


def _beside_the_final(index: Index) -> Iterator[tuple[str, str, Reads, dict[int, int]]]:
    """Each live reader's partition, with what the final reader found there."""
    for (reader, topic, partition), reads in index.seen.reads.items():
        if reader != FINAL:
            final = index.seen.reads.get((FINAL, topic, partition), Reads())
            yield reader, f"{topic}/{partition}", reads, dict(zip(final.offsets, final.records, strict=True))
