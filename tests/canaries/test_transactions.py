"""Facts 5, 6 and 7 and the transactions of aiokafka: what our writer stands on, and that it is safe either way."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaError, RequestTimedOutError
from aiokafka.producer import sender
from aiokafka.producer.sender import EndTxnHandler
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    InitProducerIdRequest,
    TxnOffsetCommitRequest,
)

from hub.adapters.kafka.once import ONCE_HANDLERS, install_send_once
from hub.adapters.kafka.timing import Timing
from hub.adapters.kafka.writer import discard, producer_settings
from hub.core.records import Outgoing, Place
from hub.errors import NotPermitted
from hub.ports import Reader


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
    assert "self._records = collections.OrderedDict()" in inspect.getsource(Fetcher)
    assert hasattr(sender.Sender, "sender_task")
    assert hasattr(TransactionManager, "wait_for_transaction_end")
    source = inspect.getsource(AIOKafkaConsumer)
    assert all(f"self.{name} = " in source for name in ("_client", "_fetcher", "_subscription"))
    assert "self._sender = Sender(" in inspect.getsource(AIOKafkaProducer)
    assert list(inspect.signature(AIOKafkaClient.send).parameters)[:3] == ["self", "node_id", "request"]
    assert "self.cluster = " in inspect.getsource(AIOKafkaClient)
    assert hasattr(ClusterMetadata, "leader_for_partition")
    assert list(inspect.signature(OffsetRequest).parameters) == ["replica_id", "isolation_level", "topics"]
    assert list(inspect.signature(FetchRequest).parameters)[:4] == [
        "max_wait_time",
        "min_bytes",
        "max_bytes",
        "isolation_level",
    ]


class Silent:
    """Stands for a client whose broker does the work and whose answers are lost; then it answers."""

    def __init__(self) -> None:
        self.sent = 0

    async def send(self, *_: object, **__: object) -> object:
        """Once nothing, then an answer."""
        self.sent += 1
        if self.sent == 1:
            raise RequestTimedOutError
        return SimpleNamespace(error_code=0)


def end_handler(client: Silent) -> EndTxnHandler:
    """What sends EndTxn, on a sender that is not there."""
    manager = SimpleNamespace(transactional_id="t", producer_id=1, producer_epoch=0, complete_transaction=lambda: None)
    made = SimpleNamespace(client=client, _retry_backoff=0.001, _txn_manager=manager, _coordinator_dead=lambda _: None)
    return EndTxnHandler(made, True)


async def test_canary_aiokafka_sends_end_txn_again() -> None:
    """Fact 6: after a lost answer it asks to be called again, with the same epoch; a late twin commits half of the next.

    When this fails, aiokafka gives up instead: ``hub.adapters.kafka.once`` can be dropped.
    """
    client = Silent()
    handler = end_handler(client)
    assert await sender.BaseHandler.do(handler, 0) is False, "aiokafka no longer sends EndTxn again"
    assert await sender.BaseHandler.do(handler, 0) is True
    assert client.sent == 2


async def test_our_end_txn_is_sent_once() -> None:
    """The lost answer raises, and the writer with it: nobody knows what happened, so nothing is asked again."""
    install_send_once()
    client = Silent()
    with pytest.raises(RequestTimedOutError):
        await end_handler(client).do(0)
    assert client.sent == 1


def test_canary_aiokafka_speaks_old_transactions() -> None:
    """Fact 5: no fencing by group generation (KIP-447), no epoch for each transaction (KIP-890 part 2).

    When this fails, a newer version is spoken: read router rules 1 and 4 again, fencing may come from the broker.
    """
    newest = {
        each.__name__: each._CLASSES[-1].API_VERSION
        for each in (
            InitProducerIdRequest,
            AddPartitionsToTxnRequest,
            AddOffsetsToTxnRequest,
            EndTxnRequest,
            TxnOffsetCommitRequest,
        )
    }
    assert set(newest.values()) == {0}, newest


def test_canary_offsets_are_asked_for_before_the_listener() -> None:
    """Fact 7: a rebalance starts to fetch committed offsets before the listener runs, and swallows what that raises.

    When this fails, fencing in the listener may be safe. Ours reads outboxes without a group, and seeks.
    """
    source = inspect.getsource(GroupCoordinator._on_join_complete)
    assert source.index("start_commit_offsets_refresh_task") < source.index("on_partitions_assigned")
    assert "except Exception" in source


DENIED: dict[str, Callable[[AIOKafkaProducer], Awaitable[object]]] = {
    "topic": lambda producer: producer.send_and_wait("outbox.xb-bug", b"denied"),
    "group": lambda producer: producer.send_offsets_to_transaction({TopicPartition("outbox.xa-bug", 0): 1}, "nobody"),
}


@pytest.mark.kafka
@pytest.mark.parametrize("denied", DENIED)
async def test_canary_aiokafka_commits_aborted_work(kafka, denied: str) -> None:
    """After a denied topic or group ``async with transaction()`` raises and aborts nothing: the next one commits it all.

    When this fails, aiokafka has mended it; our writer stays safe either way.
    """
    await asyncio.to_thread(kafka.prepare, ("xa-bug", "xb-bug"))
    producer = AIOKafkaProducer(
        **producer_settings(kafka.config("router"), "bug", Timing()), transactional_id="router-shard-0"
    )
    bus = kafka.bus("xb-bug")
    reader = await bus.reader({Place("inbox.xb-bug", 0): 0})
    reader.seek(Place("inbox.xb-bug", 0), (await reader.end_offsets())[Place("inbox.xb-bug", 0)])
    await producer.start()

    async def refused() -> None:
        async with producer.transaction():
            await producer.send_and_wait("inbox.xb-bug", b"aborted")
            await DENIED[denied](producer)

    with pytest.raises(KafkaError):
        await refused()
    async with producer.transaction():
        await producer.send_and_wait("inbox.xb-bug", b"committed")
    found = await values(reader, until=b"committed")
    await discard(producer, Timing())
    await bus.close()
    assert found == [b"aborted", b"committed"], "aiokafka aborts: KafkaTransactionalWriter may be used again"


@pytest.mark.kafka
@pytest.mark.parametrize("denied", DENIED)
async def test_our_writer_is_not_used_again(kafka, denied: str) -> None:
    """The same order of events through our writer: the aborted record never appears."""
    await asyncio.to_thread(kafka.prepare, ("xa-safe", "xb-safe"))
    router = kafka.bus("router")
    writer = await router.transactional_writer("router-shard-0")
    bus = kafka.bus("xb-safe")
    reader = await bus.reader({Place("inbox.xb-safe", 0): 0})
    reader.seek(Place("inbox.xb-safe", 0), (await reader.end_offsets())[Place("inbox.xb-safe", 0)])
    await writer.transact([Outgoing("inbox.xb-safe", None, b"warm")], {}, "router-shard-0")
    records = [Outgoing("inbox.xb-safe", None, b"aborted"), Outgoing("outbox.xb-safe", None, b"denied")]
    if denied == "topic":
        doomed = writer.transact(records, {}, "router-shard-0")
    else:
        doomed = writer.transact(records[:1], {Place("outbox.xa-safe", 0): 1}, "nobody")
    with pytest.raises(NotPermitted):
        await doomed
    again = await router.transactional_writer("router-shard-0")
    await again.transact([Outgoing("inbox.xb-safe", None, b"committed")], {}, "router-shard-0")
    found = await values(reader, until=b"committed")
    await router.close()
    await bus.close()
    assert found == [b"warm", b"committed"]


async def values(reader: Reader, *, until: bytes) -> list[bytes | None]:
    """What is read until a value comes."""
    found: list[bytes | None] = []
    async with asyncio.timeout(20):
        while until not in found:
            found += [record.value for record in await reader.fetch(wait_ms=300, records_max=10)]
    return found
