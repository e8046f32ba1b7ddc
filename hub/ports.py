"""What the hub asks of the world. Adapters implement these; tests and the demo use the in-memory ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hub.core.records import Outgoing, Place, Position, Record
from hub.core.signing import Signer

__all__ = [
    "BrokerIdentity",
    "Bus",
    "Chance",
    "Clock",
    "Membership",
    "Reader",
    "Signer",
    "TransactionalWriter",
    "Writer",
]


class Clock(Protocol):
    """The time of day. Only shells ask it; the core gets times as arguments."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""
        ...


class Chance(Protocol):
    """Randomness fit for keys."""

    def bytes(self, count: int) -> bytes:
        """``count`` random bytes."""
        ...


class Reader(Protocol):
    """A consumer with assigned partitions and its own positions; never a group subscription, never auto-commit."""

    async def fetch(self, *, wait_ms: int, records_max: int) -> Sequence[Record]:
        """Records of ONE partition in rising offsets, or nothing when ``wait_ms`` passed.

        Raises ``PartitionBroken`` for a partition that cannot be read at its position; the others are not touched.
        """
        ...

    def seek(self, place: Place, offset: int) -> None:
        """Read on from ``offset``."""
        ...

    def position(self, place: Place) -> int:
        """The offset that is read next.

        It moves past aborted records and transaction markers too, once ``fetch`` has met them: a place is read to its
        end when its position reaches ``end_offsets`` (``hub.adapters.reading.read_to_end``).
        """
        ...

    def pause(self, place: Place) -> None:
        """Fetch nothing from ``place`` until ``resume``."""
        ...

    def resume(self, place: Place) -> None:
        """Fetch from ``place`` again."""
        ...

    async def assign(self, start: Mapping[Place, int]) -> None:
        """Replace the assignment: each place is read from its offset on. Raises ``UsageError(topic-unknown)``, ``NotPermitted``."""
        ...

    async def end_offsets(self) -> Mapping[Place, int]:
        """The offset up to which everything is decided, per assigned place.

        It is the first offset of an open transaction, else the log's end. Transaction markers take offsets, so that
        the last readable record may lie further back.
        """
        ...

    async def undecided(self) -> frozenset[Place]:
        """The assigned places that hold records of an open transaction, which hide themselves and all behind them."""
        ...

    async def close(self) -> None:
        """Let go, within a bounded time."""
        ...


class Writer(Protocol):
    """An idempotent producer without transactions."""

    async def send(self, records: Sequence[Outgoing]) -> Sequence[Position]:
        """Write all, in order per partition, acknowledged by all in-sync replicas.

        Raises ``NotPermitted``, ``Unreachable``, ``ComityError(record-too-large)``; what was written before stays.
        """
        ...

    async def close(self) -> None:
        """Let go, within a bounded time."""
        ...


class TransactionalWriter(Protocol):
    """The one producer of a transactional id; making it fences every older one."""

    async def transact(self, records: Sequence[Outgoing], offsets: Mapping[Place, int], group: str) -> None:
        """Write all records and commit ``offsets`` of ``group`` in one transaction.

        Raises ``Fenced``; ``NotPermitted`` or ``ComityError(record-too-large)`` after the transaction was surely
        aborted (the writer is unusable then: make a new one); ``OutcomeUnknown`` for anything else.
        """
        ...

    async def void(self, records: Sequence[Outgoing]) -> None:
        """Write records and abort them: what an older owner of the id left open in their places ends with them.

        Raises as ``transact``.
        """
        ...

    async def close(self) -> None:
        """Let go, within a bounded time."""
        ...


class Membership(Protocol):
    """A share of a topic's partitions among the members of a group (Kafka's consumer group protocol)."""

    def owned(self) -> frozenset[int]:
        """The partitions that are ours now."""
        ...

    async def close(self) -> None:
        """Leave the group, within a bounded time."""
        ...


class Bus(Protocol):
    """A broker, as one principal."""

    async def reader(self, start: Mapping[Place, int]) -> Reader:
        """Read these places from these offsets on, committed records only. Raises ``Unreachable``, ``NotPermitted``."""
        ...

    async def writer(self) -> Writer:
        """Raises ``Unreachable``."""
        ...

    async def transactional_writer(self, transactional_id: str) -> TransactionalWriter:
        """Raises ``Unreachable``, ``NotPermitted``."""
        ...

    async def membership(
        self, group: str, topic: str, *, instance: str, on_revoked: Callable[[frozenset[int]], None]
    ) -> Membership:
        """Join ``group``; ``on_revoked`` is called before partitions move away, and when membership is lost."""
        ...

    async def partitions(self) -> Mapping[str, int]:
        """The topics that this principal may see, with their numbers of partitions."""
        ...

    async def close(self) -> None:
        """Close what was not closed."""
        ...


@dataclass(frozen=True, slots=True)
class BrokerIdentity:
    """What a broker says of itself."""

    name: str
    version: str
