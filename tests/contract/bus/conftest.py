"""The two buses of the contract suite: in memory always, on a real Kafka under the marker ``kafka``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import count
from typing import Any, Protocol

import pytest
from aiokafka import AIOKafkaProducer

from hub.adapters.kafka.timing import Timing
from hub.adapters.kafka.writer import discard, producer_settings
from hub.core.access import access_rules, topic_specs
from hub.core.ids import AuthorityId
from hub.core.records import Outgoing, Place, Record
from hub.ports import Bus, Reader
from hub.testing import FixedClock, MemoryBroker, MemoryBus

NOW_MS = 1_795_600_800_000
_NUMBERS = count(1)


class OpenTransaction(Protocol):
    """A transaction that its owner left open, as a killed process does."""

    async def abandon(self) -> None:
        """Let go without an end."""
        ...


class World:
    """One broker with two authorities that no other test uses."""

    quiet_ms: int  # how long to wait for what must not come

    def __init__(self) -> None:
        number = next(_NUMBERS)
        self.xa = AuthorityId(f"xa-t{number:04d}")
        self.xb = AuthorityId(f"xb-t{number:04d}")
        self.shard = f"router-shard-{number % 2}"
        self._buses: list[Bus] = []

    @property
    def outbox(self) -> Place:
        """Of the first authority."""
        return Place(f"outbox.{self.xa}", 0)

    @property
    def inbox(self) -> Place:
        """Of the second authority."""
        return Place(f"inbox.{self.xb}", 0)

    def bus(self, principal: str) -> Bus:
        """The broker, as ``principal``; closed after the test."""
        bus = self.make_bus(principal)
        self._buses.append(bus)
        return bus

    def make_bus(self, principal: str) -> Bus:
        """The broker, as ``principal``."""
        raise NotImplementedError

    async def open_transaction(self, transactional_id: str, records: Sequence[Outgoing]) -> OpenTransaction:
        """Write ``records`` as the router, in a transaction that stays open."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close every bus."""
        for bus in self._buses:
            await bus.close()

    async def read(self, reader: Reader, number: int) -> list[Record]:
        """The next ``number`` records, within 10 seconds."""
        found: list[Record] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                while len(found) < number:
                    found += await reader.fetch(wait_ms=100, records_max=500)
        return found

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` holds, for at most 20 seconds."""
        for _ in range(400):
            if condition():
                return
            await asyncio.sleep(0.05)
        pytest.fail("the condition did not come true within 20 seconds")


class MemoryWorld(World):
    """The broker in memory."""

    quiet_ms = 20  # a record is there at once, or never

    def __init__(self) -> None:
        super().__init__()
        authorities = (self.xa, self.xb)
        self.broker = MemoryBroker(
            FixedClock(NOW_MS),
            specs=topic_specs(authorities, shards=2, ledger_partitions=2, replication=1),
            rules=access_rules(authorities, shards=2),
        )

    def make_bus(self, principal: str) -> Bus:
        """A bus in memory."""
        return MemoryBus(self.broker, principal)

    async def open_transaction(self, transactional_id: str, records: Sequence[Outgoing]) -> OpenTransaction:
        """Begin and append, no more."""
        transaction = self.broker.begin(transactional_id, self.broker.take_over(transactional_id))
        for record in records:
            self.broker.append("router", record, transaction)
        return _Nothing()


class _Nothing:
    async def abandon(self) -> None:
        """Nothing is held open in memory."""


class KafkaWorld(World):
    """A real Kafka."""

    quiet_ms = 500

    def __init__(self, cluster: Any) -> None:
        super().__init__()
        self._cluster = cluster

    def make_bus(self, principal: str) -> Bus:
        """A bus on Kafka."""
        bus: Bus = self._cluster.bus(principal)
        return bus

    async def open_transaction(self, transactional_id: str, records: Sequence[Outgoing]) -> OpenTransaction:
        """A producer of aiokafka's own, in the middle of its transaction."""
        settings = producer_settings(self._cluster.config("router"), "test-open", Timing())
        producer = AIOKafkaProducer(**settings, transactional_id=transactional_id, transaction_timeout_ms=60_000)
        await producer.start()
        await producer.begin_transaction()
        for record in records:
            await producer.send_and_wait(record.topic, value=record.value, partition=record.partition)
        return _Producer(producer)


class _Producer:
    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def abandon(self) -> None:
        await discard(self._producer, Timing())


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A broker with two authorities of its own."""
    if request.param == "memory":
        made: World = MemoryWorld()
    else:
        cluster = request.getfixturevalue("kafka")
        made = KafkaWorld(cluster)
        await asyncio.to_thread(cluster.prepare, (made.xa, made.xb))
    yield made
    await made.close()
