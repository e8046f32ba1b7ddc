"""The logs of the in-memory broker: entries with offsets, transactions that hide or drop them, and markers."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from hub.core.access import TopicSpec
from hub.core.records import Headers, Outgoing, Place, Position, Record
from hub.errors import ComityError

_RECORD_OVERHEAD_BYTES = 61 + 24  # a batch header of format 2, and a record's length fields
_HEADER_OVERHEAD_BYTES = 6


class Outcome(Enum):
    """Of a transaction."""

    OPEN = auto()
    COMMITTED = auto()
    ABORTED = auto()


@dataclass(eq=False, slots=True)
class Transaction:
    """What one transactional id has under way. ``epoch`` tells an owner from the one that fenced it."""

    id: str
    epoch: int
    outcome: Outcome = Outcome.OPEN
    places: set[Place] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Entry:
    record: Record | None  # None: a marker, which takes an offset and is never read
    transaction: Transaction | None


class Partition:
    """One partition's log. Offsets are dense: markers and aborted records keep theirs."""

    def __init__(self, spec: TopicSpec, partition: int) -> None:
        self.spec = spec
        self.place = Place(spec.name, partition)
        self._entries: list[_Entry] = []
        self._open: dict[Transaction, int] = {}  # the first offset of each open transaction

    @property
    def end(self) -> int:
        """The offset that the next record gets."""
        return len(self._entries)

    @property
    def decided(self) -> int:
        """Kafka's last stable offset: the first record of an open transaction, else the end."""
        return min(self._open.values(), default=self.end)

    def append(self, outgoing: Outgoing, *, time_ms: int, transaction: Transaction | None) -> Position:
        """Store a record. Raises ``ComityError`` (``record-too-large``, ``record-refused``)."""
        if _size(outgoing) > self.spec.record_bytes_max:
            raise ComityError("record-too-large", f"A record is larger than {self.spec.name} takes.")
        if self.spec.compacted and outgoing.key is None:
            raise ComityError("record-refused", f"{self.spec.name} is compacted: a record needs a key.")
        if transaction is not None:
            self._open.setdefault(transaction, self.end)
        position = Position(*self.place, self.end, time_ms)
        headers: Headers = tuple((name, bytes(value)) for name, value in outgoing.headers)
        record = Record(*position[:4], outgoing.key, outgoing.value, headers)
        self._entries.append(_Entry(record, transaction))
        return position

    def mark(self, transaction: Transaction) -> None:
        """Store the marker that ends a transaction here, and with it what an older one of the same id left open."""
        for each in [each for each in self._open if each.id == transaction.id]:
            each.outcome = transaction.outcome
            del self._open[each]
        self._entries.append(_Entry(None, transaction))

    def committed(self, offset: int, count: int) -> tuple[list[Record], int]:
        """At most ``count`` committed records from ``offset`` on, and the offset to go on from."""
        found: list[Record] = []
        end = self.decided
        while offset < end and len(found) < count:
            entry = self._entries[offset]
            aborted = entry.transaction is not None and entry.transaction.outcome is Outcome.ABORTED
            if entry.record is not None and not aborted:
                found.append(entry.record)
            offset += 1
        while offset < end and self._entries[offset].record is None:
            offset += 1  # as aiokafka: the markers after the last record are passed with it
        return found, offset


def _size(outgoing: Outgoing) -> int:
    headers = sum(len(name.encode()) + len(value) + _HEADER_OVERHEAD_BYTES for name, value in outgoing.headers)
    return _RECORD_OVERHEAD_BYTES + len(outgoing.key or b"") + len(outgoing.value or b"") + headers
