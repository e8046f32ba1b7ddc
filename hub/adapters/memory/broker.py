"""The in-memory broker: topics, permissions, transactions with fencing, committed offsets, groups.

It keeps Kafka's observable rules (the contract suite in ``tests/contract/bus`` runs against both): a transaction is
hidden from readers until it is committed, its markers take offsets, a second owner of a transactional id fences the
first and aborts what it left open, the broker stamps the time, and what no rule allows is refused alike for topics
that exist and topics that do not. Compaction is not imitated: a compacted topic keeps every record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from hub.adapters.memory.groups import Group
from hub.adapters.memory.log import Outcome, Partition, Transaction
from hub.core.access import AccessRule, Operation, Resource, TopicSpec, check_access
from hub.core.records import Outgoing, Place, Position, Record
from hub.errors import Fenced, UsageError
from hub.ports import BrokerIdentity, Clock


class MemoryBroker:
    """One broker. Every ``MemoryBus`` on it acts as one principal."""

    def __init__(self, clock: Clock, *, specs: Iterable[TopicSpec] = (), rules: Iterable[AccessRule] = ()) -> None:
        self._clock = clock
        self._partitions: dict[Place, Partition] = {}
        self._rules: frozenset[AccessRule] = frozenset()
        self._losing: set[str] = set()  # ids whose next markers are lost
        self._open: dict[str, Transaction] = {}
        self._epochs: dict[str, int] = {}
        self._offsets: dict[tuple[str, Place], int] = {}
        self._groups: dict[tuple[str, str], Group] = {}
        self._waiting: set[asyncio.Future[None]] = set()
        self._broken: dict[Place, int] = {}
        self.apply(specs, rules)

    @property
    def identity(self) -> BrokerIdentity:
        """What the demo says of its broker."""
        return BrokerIdentity("memory", "1")

    # --- administration ---------------------------------------------------------------------------

    def apply(self, specs: Iterable[TopicSpec], rules: Iterable[AccessRule]) -> None:
        """Make the topics that are missing, set the settings of all, and replace every access rule."""
        for spec in specs:
            for number in range(spec.partitions):
                partition = self._partitions.setdefault(Place(spec.name, number), Partition(spec, number))
                partition.spec = spec
        self._rules = frozenset(rules)

    def delete_topic(self, name: str) -> None:
        """Delete a topic and its records."""
        for place in [place for place in self._partitions if place.topic == name]:
            del self._partitions[place]

    def break_at(self, place: Place, offset: int) -> None:
        """Let reading ``place`` at ``offset`` or after fail, as a record does that no client can decode."""
        self._broken[place] = offset

    def lose_markers(self, transactional_id: str) -> None:
        """Let the next take-over end the open transaction and write no marker, as Kafka does while no leader is known."""
        self._losing.add(transactional_id)

    def repair(self, place: Place) -> None:
        """Undo ``break_at``."""
        self._broken.pop(place, None)

    def records(self, topic: str) -> list[Record]:
        """All committed records of a topic, partition by partition: for counts and for tests."""
        found: list[Record] = []
        for place, partition in sorted(self._partitions.items()):
            if place.topic == topic:
                found.extend(partition.committed(0, partition.end)[0])
        return found

    def committed_offsets(self, group: str) -> Mapping[Place, int]:
        """The offsets that ``group`` committed."""
        return {place: offset for (name, place), offset in self._offsets.items() if name == group}

    # --- what a bus asks --------------------------------------------------------------------------

    def check(self, principal: str, resource: Resource, name: str, operation: Operation) -> None:
        """Raises ``NotPermitted``."""
        check_access(self._rules, principal=principal, resource=resource, name=name, operation=operation)

    def partition(self, place: Place) -> Partition:
        """The log of ``place``. Raises ``UsageError``."""
        if place not in self._partitions:
            raise UsageError("topic-unknown", f"There is no topic {place.topic} with a partition {place.partition}.")
        return self._partitions[place]

    def topics(self) -> Mapping[str, int]:
        """All topics, with their numbers of partitions."""
        counts: dict[str, int] = {}
        for place in self._partitions:
            counts[place.topic] = counts.get(place.topic, 0) + 1
        return counts

    def broken_at(self, place: Place) -> int | None:
        """Where reading fails, if it does."""
        return self._broken.get(place)

    def append(self, principal: str, outgoing: Outgoing, transaction: Transaction | None = None) -> Position:
        """Store one record. Raises ``NotPermitted``, ``UsageError``, ``ComityError``, ``Fenced``."""
        self.check(principal, Resource.TOPIC, outgoing.topic, Operation.WRITE)
        partition = self.partition(Place(outgoing.topic, outgoing.partition))
        if transaction is not None:
            self._check_owner(transaction)
        position = partition.append(outgoing, time_ms=self._clock.now_ms(), transaction=transaction)
        if transaction is None:
            self.wake()
        else:
            transaction.places.add(partition.place)
        return position

    # --- transactions -----------------------------------------------------------------------------

    def take_over(self, transactional_id: str) -> int:
        """A new owner: fences older ones and aborts what they left open. Returns the owner's epoch."""
        self._epochs[transactional_id] = self._epochs.get(transactional_id, -1) + 1
        left_open = self._open.get(transactional_id)
        if transactional_id in self._losing:
            self._losing.discard(transactional_id)
            self._open.pop(transactional_id, None)
        elif left_open is not None:
            self._finish(left_open, Outcome.ABORTED)
        return self._epochs[transactional_id]

    def begin(self, transactional_id: str, epoch: int) -> Transaction:
        """Open a transaction. Raises ``Fenced``."""
        transaction = Transaction(transactional_id, epoch)
        self._check_owner(transaction)
        self._open[transactional_id] = transaction
        return transaction

    def commit(self, principal: str, transaction: Transaction, offsets: Mapping[Place, int], group: str) -> None:
        """Make records and offsets visible together. Raises ``Fenced``, ``NotPermitted``."""
        self._check_owner(transaction)
        if offsets:
            self.check(principal, Resource.GROUP, group, Operation.READ)
        for place in offsets:
            self.check(principal, Resource.TOPIC, place.topic, Operation.READ)
        for place, offset in offsets.items():
            self._offsets[group, place] = offset
        self._finish(transaction, Outcome.COMMITTED)

    def abort(self, transaction: Transaction) -> None:
        """Drop the transaction's records. Nothing happens when a new owner did so already."""
        if transaction.outcome is Outcome.OPEN:
            self._finish(transaction, Outcome.ABORTED)

    def _check_owner(self, transaction: Transaction) -> None:
        if self._epochs.get(transaction.id) != transaction.epoch:
            raise Fenced("fenced", f"Another process took over the transactional id {transaction.id}.")

    def _finish(self, transaction: Transaction, outcome: Outcome) -> None:
        transaction.outcome = outcome
        for place in sorted(transaction.places & self._partitions.keys()):
            self._partitions[place].mark(transaction)
        del self._open[transaction.id]
        self.wake()

    # --- groups and waiting -----------------------------------------------------------------------

    def group(self, name: str, topic: str) -> Group:
        """The group ``name`` on ``topic``. Raises ``UsageError`` for a topic that does not exist."""
        self.partition(Place(topic, 0))
        return self._groups.setdefault((name, topic), Group(self.topics()[topic]))

    def wake(self) -> None:
        """Something became readable: let waiting readers look again."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self, seconds: float) -> None:
        """Until something becomes readable, or ``seconds`` passed."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await asyncio.wait([future], timeout=seconds)
        finally:
            self._waiting.discard(future)
