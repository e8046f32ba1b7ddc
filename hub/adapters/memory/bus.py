"""One principal's access to the in-memory broker. Implements ``hub.ports.Bus``; ``fail_next`` plants faults in pairs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

from hub.adapters.memory.broker import MemoryBroker
from hub.adapters.memory.groups import Member
from hub.adapters.memory.log import Transaction
from hub.core.access import Operation, Resource
from hub.core.records import Outgoing, Place, Position, Record
from hub.errors import ComityError, NotPermitted, OutcomeUnknown, PartitionBroken, Unreachable


class Fault(StrEnum):
    """The two things that may lie behind an answer that never came."""

    LOST = "lost"  # nothing was done
    STORED = "stored"  # it was done, and only the answer was lost


class MemoryBus:
    """The broker, as ``principal``."""

    def __init__(self, broker: MemoryBroker, principal: str) -> None:
        self._broker = broker
        self._principal = principal
        self._faults: list[Fault] = []

    def fail_next(self, fault: str) -> None:
        """Let the next ``send`` or ``transact`` of this bus fail: ``"lost"`` before, ``"stored"`` after its effect."""
        self._faults.append(Fault(fault))

    async def reader(self, start: Mapping[Place, int]) -> MemoryReader:
        """Read these places from these offsets on. Raises ``UsageError``, ``NotPermitted``."""
        reader = MemoryReader(self._broker, self._principal)
        await reader.assign(start)
        return reader

    async def writer(self) -> MemoryWriter:
        """A plain writer."""
        return MemoryWriter(self._broker, self._principal, self._faults)

    async def transactional_writer(self, transactional_id: str) -> MemoryTransactionalWriter:
        """The one writer of ``transactional_id``; older ones are fenced. Raises ``NotPermitted``."""
        self._broker.check(self._principal, Resource.TRANSACTIONAL_ID, transactional_id, Operation.WRITE)
        epoch = self._broker.take_over(transactional_id)
        return MemoryTransactionalWriter(self._broker, self._principal, self._faults, transactional_id, epoch)

    async def membership(
        self, group: str, topic: str, *, instance: str, on_revoked: Callable[[frozenset[int]], None]
    ) -> Member:
        """Join ``group``. Raises ``UsageError``, ``NotPermitted``."""
        self._broker.check(self._principal, Resource.GROUP, group, Operation.READ)
        self._broker.check(self._principal, Resource.TOPIC, topic, Operation.READ)
        return self._broker.group(group, topic).join(instance, on_revoked)

    async def partitions(self) -> Mapping[str, int]:
        """The topics that this principal may see, with their numbers of partitions."""
        return {name: count for name, count in sorted(self._broker.topics().items()) if self._may_see(name)}

    async def close(self) -> None:
        """Nothing is held open here."""

    def _may_see(self, topic: str) -> bool:
        try:
            self._broker.check(self._principal, Resource.TOPIC, topic, Operation.DESCRIBE)
        except NotPermitted:
            return False
        return True


class MemoryReader:
    """Implements ``hub.ports.Reader``: committed records only, one partition at a time, in turn."""

    def __init__(self, broker: MemoryBroker, principal: str) -> None:
        self._broker = broker
        self._principal = principal
        self._positions: dict[Place, int] = {}
        self._paused: set[Place] = set()

    async def assign(self, start: Mapping[Place, int]) -> None:
        """Replace the assignment. Raises ``UsageError(topic-unknown)``, ``NotPermitted``."""
        for place in start:
            self._broker.check(self._principal, Resource.TOPIC, place.topic, Operation.READ)
            self._broker.partition(place)
        self._positions = dict(start)
        self._paused = set()

    async def fetch(self, *, wait_ms: int, records_max: int) -> Sequence[Record]:
        """Records of one place, or nothing when ``wait_ms`` passed. Raises ``PartitionBroken``, ``NotPermitted``."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_ms / 1000
        while True:
            for place in list(self._positions):
                records = [] if place in self._paused else self._take(place, records_max)
                if records:
                    # The place goes to the end of the queue, so that a busy one does not starve the others.
                    self._positions[place] = self._positions.pop(place)
                    return records
            remaining = deadline - loop.time()
            if remaining <= 0:
                await asyncio.sleep(0)
                return []
            await self._broker.wait(remaining)

    def seek(self, place: Place, offset: int) -> None:
        """Read on from ``offset``."""
        self._positions[place] = offset

    def position(self, place: Place) -> int:
        """The offset that is read next."""
        return self._positions[place]

    def pause(self, place: Place) -> None:
        """Fetch nothing from ``place`` until ``resume``."""
        self._paused.add(place)

    def resume(self, place: Place) -> None:
        """Fetch from ``place`` again."""
        self._paused.discard(place)

    async def end_offsets(self) -> Mapping[Place, int]:
        """The first offset of an open transaction, else the log's end, per assigned place."""
        return {place: self._broker.partition(place).decided for place in self._positions}

    async def undecided(self) -> frozenset[Place]:
        """The assigned places that hold records of an open transaction."""
        partitions = (self._broker.partition(place) for place in self._positions)
        return frozenset(each.place for each in partitions if each.decided < each.end)

    async def close(self) -> None:
        """Forget the assignment."""
        self._positions = {}

    def _take(self, place: Place, records_max: int) -> list[Record]:
        self._broker.check(self._principal, Resource.TOPIC, place.topic, Operation.READ)
        partition = self._broker.partition(place)
        position = self._positions[place]
        if not 0 <= position <= partition.end:
            raise _broken("offset-out-of-range", place, position)
        records, following = partition.committed(position, records_max)
        broken_at = self._broker.broken_at(place)
        if broken_at is not None and following > broken_at:
            records = [record for record in records if record.offset < broken_at]
            if not records:
                raise _broken("record-unreadable", place, position)
            following = records[-1].offset + 1
        self._positions[place] = following
        return records


def _broken(code: str, place: Place, offset: int) -> PartitionBroken:
    sentence = f"{place.topic} partition {place.partition} cannot be read at offset {offset}."
    return PartitionBroken(code, sentence, topic=place.topic, partition=place.partition, offset=offset)


class MemoryWriter:
    """Implements ``hub.ports.Writer``."""

    def __init__(self, broker: MemoryBroker, principal: str, faults: list[Fault]) -> None:
        self._broker = broker
        self._principal = principal
        self._faults = faults

    async def send(self, records: Sequence[Outgoing]) -> Sequence[Position]:
        """Write all, in order. Raises ``NotPermitted``, ``UsageError``, ``ComityError``; ``Unreachable`` when planted."""
        await asyncio.sleep(0)
        fault = self._faults.pop(0) if self._faults else None
        if fault is Fault.LOST:
            raise Unreachable("broker-silent", "The broker did not answer (planted: lost).")
        positions = [self._broker.append(self._principal, record) for record in records]
        if fault is Fault.STORED:
            raise Unreachable("broker-silent", "The broker did not answer (planted: stored).")
        return positions

    async def close(self) -> None:
        """Nothing is held open here."""


class MemoryTransactionalWriter:
    """Implements ``hub.ports.TransactionalWriter``."""

    def __init__(
        self, broker: MemoryBroker, principal: str, faults: list[Fault], transactional_id: str, epoch: int
    ) -> None:
        self._broker = broker
        self._principal = principal
        self._faults = faults
        self._id = transactional_id
        self._epoch = epoch
        self._usable = True
        self._transaction: Transaction | None = None

    async def transact(self, records: Sequence[Outgoing], offsets: Mapping[Place, int], group: str) -> None:
        """Write all records and commit ``offsets``, or neither. Any error makes this writer unusable."""
        if not self._usable:
            raise OutcomeUnknown("writer-unusable", "This writer failed before; make a new one with the same id.")
        self._usable = False  # until all went well: a cancelled call leaves its transaction open, as a killed process
        fault = self._faults.pop(0) if self._faults else None
        self._transaction = transaction = self._broker.begin(self._id, self._epoch)
        try:
            for record in records:
                self._broker.append(self._principal, record, transaction)
                await asyncio.sleep(0)
            if fault is Fault.LOST:
                raise OutcomeUnknown("commit-unknown", "The broker did not answer the commit (planted: lost).")
            self._broker.commit(self._principal, transaction, offsets, group)
        except OutcomeUnknown:
            raise
        except ComityError:
            self._broker.abort(transaction)
            raise
        if fault is Fault.STORED:
            raise OutcomeUnknown("commit-unknown", "The broker did not answer the commit (planted: stored).")
        self._usable = True

    async def void(self, records: Sequence[Outgoing]) -> None:
        """Write records and abort them. Raises ``Fenced``, ``NotPermitted``, ``UsageError``."""
        transaction = self._broker.begin(self._id, self._epoch)
        try:
            for record in records:
                self._broker.append(self._principal, record, transaction)
        finally:
            self._broker.abort(transaction)

    async def close(self) -> None:
        """Abort what this writer left open."""
        await asyncio.sleep(0)
        self._usable = False
        if self._transaction is not None:
            self._broker.abort(self._transaction)
