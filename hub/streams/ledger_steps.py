"""What registrar and watch do with the ledger, whoever reads it to them: Faust on Kafka, a plain loop in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from hub.core.entries import Logged
from hub.core.ids import sha256
from hub.core.records import Record
from hub.errors import VerificationFailed
from hub.wire.ledger import decode_ledger

BATCH_RECORDS_MAX: Final = 100  # ledger records in one SQL transaction; each may hold hundreds of entries

AtEnd = Callable[[Collection[int]], Awaitable[Collection[int]]]
"""Which of these ledger partitions are read, and taken, to the end that they have now."""

T = TypeVar("T")


class LedgerSteps(Protocol):
    """The work of one process. Its state and its next offsets lie in SQL, and are the only truth."""

    def next_offsets(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Where to read on."""
        ...

    def take(self, records: Sequence[Record]) -> None:
        """Take records of ONE partition, in rising offsets; those that were taken before change nothing.

        Raises whatever is wrong, with the next offset right before the bad record: the process then ends.
        """
        ...

    async def tick(self, partitions: Collection[int], at_end: AtEnd) -> None:
        """What time asks for, for the partitions that are ours."""
        ...


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
