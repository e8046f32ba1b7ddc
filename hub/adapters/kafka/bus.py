"""Kafka as one principal. Implements ``hub.ports.Bus`` on aiokafka; the rules are in the router reference, section 3."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeVar

from aiokafka import AIOKafkaConsumer

from hub.adapters.kafka import lifecycle
from hub.adapters.kafka.bounded import install_bounded_gzip
from hub.adapters.kafka.client_config import ClientConfig
from hub.adapters.kafka.membership import KafkaMembership
from hub.adapters.kafka.metadata import Metadata
from hub.adapters.kafka.reader import KafkaReader
from hub.adapters.kafka.timing import Timing
from hub.adapters.kafka.writer import KafkaTransactionalWriter, KafkaWriter, start_transactional
from hub.core.records import Place


class _Closable(Protocol):
    async def close(self) -> None: ...


_Kept = TypeVar("_Kept", bound=_Closable)

FETCH_BYTES_MAX: Final = 16 * 1024 * 1024  # of one answer
PARTITION_FETCH_BYTES_MAX: Final = 2 * 1024 * 1024  # of one partition in it; a larger batch still comes, alone


def consumer_settings(config: ClientConfig, client_id: str, timing: Timing) -> dict[str, Any]:
    """The settings of every consumer, each set by name: aiokafka's defaults commit by themselves and read aborted records."""
    return {
        **config.connection(),
        "client_id": client_id,
        "enable_auto_commit": False,
        "auto_offset_reset": "none",
        "isolation_level": "read_committed",
        "check_crcs": True,
        "fetch_min_bytes": 1,
        "fetch_max_wait_ms": timing.fetch_wait_ms,
        "fetch_max_bytes": FETCH_BYTES_MAX,
        "max_partition_fetch_bytes": PARTITION_FETCH_BYTES_MAX,
        "request_timeout_ms": timing.step_ms,
        "retry_backoff_ms": timing.retry_backoff_ms,
    }


class KafkaBus:
    """A cluster, as the principal of ``config``."""

    def __init__(self, config: ClientConfig, *, client_id: str, timing: Timing | None = None) -> None:
        self._config = config
        self._client_id = client_id
        self._timing = timing or Timing()
        self._metadata = Metadata(config, client_id, self._timing)
        self._opened: list[_Closable] = []

    async def reader(self, start: Mapping[Place, int]) -> KafkaReader:
        """Read these places from these offsets on. Raises ``Unreachable``, ``NotPermitted``, ``UsageError``."""
        install_bounded_gzip()
        settings = consumer_settings(self._config, self._client_id, self._timing)
        consumer = AIOKafkaConsumer(**settings, group_id=None)
        await lifecycle.start(consumer, self._config, self._timing)
        reader = KafkaReader(consumer, self._metadata, self._timing)
        try:
            await reader.assign(start)
        except BaseException:
            await reader.close()
            raise
        return self._kept(reader)

    async def writer(self) -> KafkaWriter:
        """An idempotent writer. Raises ``Unreachable``."""
        writer = KafkaWriter(self._config, self._metadata, self._client_id, self._timing)
        await writer.started()
        return self._kept(writer)

    async def transactional_writer(self, transactional_id: str) -> KafkaTransactionalWriter:
        """The one writer of ``transactional_id``; older ones are fenced. Raises ``Unreachable``, ``NotPermitted``."""
        return self._kept(
            await start_transactional(self._config, self._metadata, self._client_id, self._timing, transactional_id)
        )

    async def membership(
        self, group: str, topic: str, *, instance: str, on_revoked: Callable[[frozenset[int]], None]
    ) -> KafkaMembership:
        """Join ``group`` as the static member ``instance``. Raises ``NotPermitted``, ``Unreachable``, ``UsageError``."""
        await self._metadata.require([Place(topic, 0)])
        settings = consumer_settings(self._config, self._client_id, self._timing)
        consumer = AIOKafkaConsumer(
            **{**settings, "auto_offset_reset": "earliest"},  # never read: paused as soon as assigned
            group_id=group,
            group_instance_id=instance,
            session_timeout_ms=self._timing.session_ms,
            heartbeat_interval_ms=self._timing.heartbeat_ms,
        )
        await lifecycle.start(consumer, self._config, self._timing)
        membership = KafkaMembership(consumer, topic, self._timing, on_revoked)
        await membership.join()
        return self._kept(membership)

    async def partitions(self) -> Mapping[str, int]:
        """The topics that this principal may see, with their numbers of partitions. Raises ``Unreachable``."""
        return await self._metadata.partitions()

    async def close(self) -> None:
        """Close what was not closed, the newest first."""
        while self._opened:
            await self._opened.pop().close()
        await self._metadata.close()

    def _kept(self, opened: _Kept) -> _Kept:
        self._opened.append(opened)
        return opened
