"""Ways to say to a broker what no client of ours would say."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record._crc32c import crc
from aiokafka.record.default_records import DefaultRecordBatchBuilder

_CRC_FROM = 21  # the checksum covers what follows it in a batch


class Forge:
    """Makes record batches of any bytes, and writes them as they are."""

    def __init__(self, client: AIOKafkaClient) -> None:
        self._client = client

    def batch(self, *records: tuple[bytes | None, bytes | None, list[Any]], compression: int = 0) -> bytearray:
        """A well-formed batch of (key, value, headers)."""
        builder = DefaultRecordBatchBuilder(
            magic=2,
            compression_type=compression,
            is_transactional=0,
            producer_id=-1,
            producer_epoch=-1,
            base_sequence=-1,
            batch_size=1 << 28,
        )
        for number, (key, value, headers) in enumerate(records):
            builder.append(number, 0, key, value, headers)
        return bytearray(builder.build())

    def replaced(self, batch: bytearray, old: bytes, new: bytes) -> bytearray:
        """The batch with other bytes in it, and a checksum that fits."""
        assert len(old) == len(new)
        at = batch.index(old)
        batch[at : at + len(old)] = new
        struct.pack_into(">I", batch, _CRC_FROM - 4, crc(bytes(batch[_CRC_FROM:])))
        return batch

    async def write(self, topic: str, batch: bytearray) -> int:
        """Write a batch; the broker's error code."""
        await self._client.set_topics([topic])
        request = ProduceRequest(
            required_acks=-1, timeout=8000, topics=[(topic, [(0, bytes(batch))])], transactional_id=None
        )
        answer = await self._client.send(self._client.get_random_node(), request)
        ((_, ((_, code, *_),)),) = answer.topics
        return int(code)


@pytest.fixture
async def forge(kafka) -> AsyncIterator[Callable[[str], Awaitable[Forge]]]:
    """A forge for a principal."""
    clients: list[AIOKafkaClient] = []

    async def make(principal: str) -> Forge:
        client = AIOKafkaClient(**kafka.config(principal).connection())
        await client.bootstrap()
        clients.append(client)
        return Forge(client)

    yield make
    for client in clients:
        await client.close()
