"""Which topics a principal may see, asked before anything is assigned or written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from aiokafka.client import AIOKafkaClient

from hub.adapters.kafka import lifecycle
from hub.adapters.kafka.client_config import ClientConfig
from hub.adapters.kafka.timing import Timing
from hub.core.records import Place
from hub.errors import NotPermitted, Unreachable, UsageError


class Metadata:
    """One connection for look-ups, shared by the readers and writers of a bus."""

    def __init__(self, config: ClientConfig, client_id: str, timing: Timing) -> None:
        self._config = config
        self._client_id = client_id
        self._timing = timing
        self._client: AIOKafkaClient | None = None
        # One look-up at a time: what a client knows of topics is what was asked last, by whomever.
        self._asking = asyncio.Lock()

    async def partitions(self) -> Mapping[str, int]:
        """All topics that may be seen, with their numbers of partitions. Raises ``Unreachable``."""
        async with self._asking:
            client = await self._connected()
            cluster = await lifecycle.step(client.fetch_all_metadata(), self._timing.step_s, "the list of topics")
        return {
            topic: len(cluster.partitions_for_topic(topic) or ())
            for topic in sorted(cluster.topics(exclude_internal_topics=True))
            if not topic.startswith("__")
        }

    async def require(self, places: Iterable[Place]) -> None:
        """Pass if all places exist. Raises ``UsageError(topic-unknown)``, ``NotPermitted``, ``Unreachable``."""
        wanted = set(places)
        if wanted:
            async with self._asking:
                await self._require(await self._connected(), wanted)

    async def _require(self, client: AIOKafkaClient, wanted: set[Place]) -> None:
        client.set_topics([])
        updated = await lifecycle.step(
            client.set_topics(sorted({place.topic for place in wanted})), self._timing.step_s, "the wanted topics"
        )
        if not updated:
            raise Unreachable("broker-silent", "The broker did not answer: the wanted topics.")
        denied = sorted(client.cluster.unauthorized_topics & {place.topic for place in wanted})
        if denied:
            raise NotPermitted("access-denied", f"The broker denies access to {', '.join(denied)}.")
        for place in sorted(wanted):
            if place.partition not in (client.cluster.partitions_for_topic(place.topic) or ()):
                raise UsageError(
                    "topic-unknown", f"There is no topic {place.topic} with a partition {place.partition}."
                )

    async def close(self) -> None:
        """Let go, within the stop time-out."""
        client, self._client = self._client, None
        if client is not None:
            await lifecycle.bounded(client.close(), self._timing.stop_s)

    async def _connected(self) -> AIOKafkaClient:
        if self._client is None:
            connection = _Connection(
                AIOKafkaClient(
                    **self._config.connection(),
                    client_id=self._client_id,
                    request_timeout_ms=self._timing.step_ms,
                    retry_backoff_ms=self._timing.retry_backoff_ms,
                )
            )
            await lifecycle.start(connection, self._config, self._timing)
            self._client = connection.client
        return self._client


class _Connection:
    """A bare client, started and stopped as consumers and producers are."""

    def __init__(self, client: AIOKafkaClient) -> None:
        self.client = client

    async def start(self) -> None:
        await self.client.bootstrap()

    async def stop(self) -> None:
        await self.client.close()
