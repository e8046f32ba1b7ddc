"""What registrar and watch do with the ledger, whoever reads it to them: Faust on Kafka, a plain loop in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from hub.core.entries import Logged
from hub.core.ids import sha256
from hub.core.records import Record
from hub.errors import VerificationFailed
from hub.wire.ledger import decode_ledger

BATCH_RECORDS_MAX: Final = 100  # ledger records in one batch; each may hold hundreds of entries
TRANSACTION_BYTES_MAX: Final = 128 * 1024  # of values in one SQL transaction: some 250 entries take 50 ms

T = TypeVar("T")


class Reach(Protocol):
    """How far the ledger goes, and how far it was taken. A partition of which that is not known is left out."""

    async def ends(self, partitions: Collection[int]) -> Mapping[int, int]:
        """The end that each partition has now; whatever lies below it is decided."""
        ...

    async def taken(self, partitions: Collection[int]) -> Mapping[int, int]:
        """The offset below which nothing is left to take, in each partition."""
        ...


class LedgerSteps(Protocol):
    """The work of one process. Its state and its next offsets lie in SQL, and are the only truth."""

    def next_offsets(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Where to read on."""
        ...

    def take(self, records: Sequence[Record]) -> None:
        """Take records of ONE partition, in one SQL transaction, in rising offsets; those that were taken before change nothing.

        Raises whatever is wrong, with the next offset right before the bad record: the process then ends.
        """
        ...

    async def tick(self, partitions: Collection[int], reach: Reach) -> None:
        """What time asks for, for the partitions that are ours."""
        ...


def portions(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """A batch cut for one SQL transaction each: another process that writes waits for no longer than one."""
    start = size = 0
    for end, record in enumerate(records):
        length = len(record.value or b"")
        if end > start and size + length > TRANSACTION_BYTES_MAX:
            yield records[start:end]
            start, size = end, 0
        size += length
    yield records[start:]


def take_logged(records: Sequence[Record], apply: Callable[[Sequence[Logged]], T]) -> T | None:
    """Read records and apply them; what comes before a malformed one is applied before the error is raised."""
    batch: list[Logged] = []
    wrong: VerificationFailed | None = None
    for record in records:
        try:
            batch.append(logged(record))
        except VerificationFailed as error:
            wrong = error
            break
    done = apply(batch) if batch else None
    if wrong is not None:
        raise wrong
    return done


def logged(record: Record) -> Logged:
    """A ledger record from its bytes. Raises ``VerificationFailed``."""
    if record.value is None:
        raise VerificationFailed("record-malformed", "A ledger record has no value.")
    return Logged(record.partition, record.offset, sha256(record.value), decode_ledger(record.value))
