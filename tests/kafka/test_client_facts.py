"""Facts about aiokafka that our adapter stands on: when one changes, a test here says so first."""

from __future__ import annotations

import asyncio
import inspect

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.errors import KafkaError
from aiokafka.producer import sender
from aiokafka.producer.transaction_manager import TransactionManager

from hub.adapters.kafka.bus import consumer_settings
from hub.adapters.kafka.once import ONCE_HANDLERS, install_send_once
from hub.adapters.kafka.timing import Timing
from hub.adapters.kafka.writer import BATCH_BYTES_MAX, discard, producer_settings
from hub.core.records import Outgoing, Place
from hub.errors import NotPermitted


def test_patched_names_exist():
    """The four handlers inherit ``do`` from one base, call what we call, and we replace them all, once."""
    names = ("AddPartitionsToTxnHandler", "AddOffsetsToTxnHandler", "TxnOffsetCommitHandler", "EndTxnHandler")
    assert [handler.__name__ for handler in ONCE_HANDLERS] == list(names)
    for handler in ONCE_HANDLERS:
        assert {"create_request", "handle_response", "group"} <= set(dir(handler))
    assert "self._sender.client.send(node_id, req, group=self.group)" in inspect.getsource(sender.BaseHandler.do)
    install_send_once()
    install_send_once()
    assert all(handler.do is not sender.BaseHandler.do for handler in ONCE_HANDLERS)
    assert sender.InitPIDHandler.do is sender.BaseHandler.do
    assert len([each for each in sender.log.filters if "MarkerNoise" in type(each).__name__]) == 1


def test_private_names_exist():
    """What the adapter reads inside aiokafka, for want of a public way, is still there."""
    assert hasattr(Fetcher, "error_future")
    assert hasattr(sender.Sender, "sender_task")
    assert hasattr(TransactionManager, "wait_for_transaction_end")
    source = inspect.getsource(AIOKafkaConsumer)
    assert all(f"self.{name} = " in source for name in ("_client", "_fetcher", "_subscription"))
    assert "self._sender = Sender(" in inspect.getsource(AIOKafkaProducer)


async def test_consumer_settings(client_config):
    """Nothing is committed by itself, nothing aborted is read, no position is made up: read back from the client."""
    consumer = AIOKafkaConsumer(**consumer_settings(client_config, "t", Timing()), group_id=None)
    assert consumer._enable_auto_commit is False
    assert consumer._auto_offset_reset == "none"
    assert consumer._isolation_level == "read_committed"
    assert consumer._check_crcs is True
    assert consumer._request_timeout_ms == 8000
    assert consumer._client._security_protocol == "SSL"
    await consumer.stop()


async def test_producer_settings(client_config):
    """All replicas acknowledge, the writer is idempotent, batches are large: read back from the client."""
    producer = AIOKafkaProducer(**producer_settings(client_config, "t", Timing()), transactional_id="x")
    assert producer._sender._acks == -1
    assert producer._txn_manager is not None
    assert producer._message_accumulator._batch_size == BATCH_BYTES_MAX
    assert producer._compression_type is None
    assert producer._request_timeout_ms == 8000
    await producer.stop()


@pytest.mark.kafka
async def test_aiokafka_commits_aborted_work(kafka):
    """The bug is still there: after a denied topic, aiokafka's next transaction commits the one before.

    When this fails, aiokafka has mended it; our writer stays safe either way (contract suite, transactions).
    """
    await asyncio.to_thread(kafka.prepare, ("xa-bug", "xb-bug"))
    producer = AIOKafkaProducer(
        **producer_settings(kafka.config("router"), "bug", Timing()), transactional_id="router-shard-0"
    )
    await producer.start()

    async def denied() -> None:
        async with producer.transaction():
            await producer.send_and_wait("inbox.xb-bug", b"aborted")
            await producer.send_and_wait("outbox.xb-bug", b"denied")

    with pytest.raises(KafkaError):
        await denied()
    async with producer.transaction():
        await producer.send_and_wait("inbox.xb-bug", b"committed")
    bus = kafka.bus("xb-bug")
    reader = await bus.reader({Place("inbox.xb-bug", 0): 0})
    found = []
    for _ in range(10):
        found += [record.value for record in await reader.fetch(wait_ms=300, records_max=10)]
    await discard(producer, Timing())
    await bus.close()
    assert found == [b"aborted", b"committed"]


@pytest.mark.kafka
async def test_our_writer_is_not_used_again(kafka):
    """The same order of events through our writer: the aborted record never appears."""
    await asyncio.to_thread(kafka.prepare, ("xa-safe", "xb-safe"))
    router = kafka.bus("router")
    writer = await router.transactional_writer("router-shard-0")
    await writer.transact([Outgoing("inbox.xb-safe", None, b"warm")], {}, "router-shard-0")
    with pytest.raises(NotPermitted):
        await writer.transact(
            [Outgoing("inbox.xb-safe", None, b"aborted"), Outgoing("outbox.xb-safe", None, b"denied")],
            {},
            "router-shard-0",
        )
    again = await router.transactional_writer("router-shard-0")
    await again.transact([Outgoing("inbox.xb-safe", None, b"committed")], {}, "router-shard-0")
    bus = kafka.bus("xb-safe")
    reader = await bus.reader({Place("inbox.xb-safe", 0): 0})
    found = []
    for _ in range(5):
        found += [record.value for record in await reader.fetch(wait_ms=300, records_max=10)]
    await router.close()
    await bus.close()
    assert found == [b"warm", b"committed"]
