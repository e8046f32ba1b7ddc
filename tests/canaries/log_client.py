"""The real aiokafka consumer on logs in memory: all of its own code but the sockets, so that its faults show without a broker."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import Fetcher

from hub.core.records import Place
from tests.bad_inputs.batches import offsets_in

Logs = Mapping[Place, list[bytes]]
"""Batches of each place as the broker stores them, with their offsets in them."""


class LogClient:
    """Stands for ``AIOKafkaClient``: answers fetches out of the logs. ``room`` cuts an answer as a small fetch size does."""

    _metadata_max_age_ms = 300_000

    def __init__(self, logs: Logs, *, room: int | None = None) -> None:
        self.logs = logs
        self.room = room
        self.fetches = 0
        self._loop = asyncio.get_running_loop()
        self.cluster = SimpleNamespace(
            leader_for_partition=lambda _: 0, broker_metadata=lambda _: object(), partitions_for_topic=lambda _: {0}
        )

    def set_topics(self, topics: Any) -> None:
        """Nothing to know."""

    async def close(self) -> None:
        """Nothing to close."""

    async def force_metadata_update(self) -> None:
        """Nothing to know."""

    async def send(self, node: int, request: Any, **_: Any) -> Any:
        """A fetch: the batches from the one on that holds the offset."""
        del node
        self.fetches += 1
        await asyncio.sleep(0.001)
        topics = [
            (topic, [self._partition(Place(topic, number), offset) for number, offset, _ in partitions])
            for topic, partitions in request.topics
        ]
        return SimpleNamespace(topics=topics, API_VERSION=4)

    def _partition(self, place: Place, offset: int) -> tuple[Any, ...]:
        stored = self.logs[place]
        end = max((last + 1 for _, last in map(offsets_in, stored)), default=0)
        data = b"".join(each for each in stored if offsets_in(each)[1] >= offset)
        return place.partition, 0, end, end, [], data if self.room is None else data[: self.room]


class NoCoordinator:
    """Stands for aiokafka's coordinator of a consumer without a group."""

    def check_errors(self) -> None:
        """There are none."""

    async def close(self) -> None:
        """Nothing to close."""


class Consumer:
    """A consumer that reads ``logs`` from their starts. Used as a context: ``async with Consumer(...) as consumer``."""

    def __init__(self, logs: Logs, *, room: int | None = None, **settings: Any) -> None:
        self._logs = logs
        self._room = room
        self._settings = settings

    async def __aenter__(self) -> AIOKafkaConsumer:
        self.client = LogClient(self._logs, room=self._room)
        consumer = AIOKafkaConsumer(**self._settings)
        await consumer._client.close()
        consumer._client = self.client
        consumer._coordinator = NoCoordinator()
        consumer._fetcher = Fetcher(
            self.client,
            consumer._subscription,
            isolation_level=consumer._isolation_level,
            auto_offset_reset=consumer._auto_offset_reset,
            check_crcs=consumer._check_crcs,
            max_partition_fetch_bytes=consumer._max_partition_fetch_bytes,
            fetcher_timeout=0.01,
            prefetch_backoff=0.001,
        )
        self._consumer = consumer
        return consumer

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()


def assign(consumer: AIOKafkaConsumer, logs: Logs) -> None:
    """Read every log from its start."""
    consumer.assign([TopicPartition(*place) for place in logs])
    for place in logs:
        consumer.seek(TopicPartition(*place), 0)
