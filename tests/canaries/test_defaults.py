"""Fact 8: the libraries' defaults lose records or show aborted ones; ours are set by name and read back from the client.

The canaries fail when a default becomes safe: the name can then leave our settings, if both versions are known to be safe.
"""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import aiokafka
import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from hub.adapters.kafka.bus import consumer_settings
from hub.adapters.kafka.timing import Timing
from hub.adapters.kafka.writer import BATCH_BYTES_MAX, producer_settings
from hub.core.access import LEDGER_RECORD_BYTES_MAX
from hub.streams.faust_transport import build_ledger_app, hub_consumer
from tests.canaries.ledger_app import SETTINGS, Steps

CONSUMER = {
    "enable_auto_commit": True,
    "auto_offset_reset": "latest",
    "isolation_level": "read_uncommitted",
    "max_partition_fetch_bytes": 1024 * 1024,
    "session_timeout_ms": 10_000,
}
PRODUCER = {"acks": 1, "enable_idempotence": False, "transaction_timeout_ms": 60_000, "max_batch_size": 16 * 1024}


@pytest.mark.parametrize(("client", "unsafe"), [(AIOKafkaConsumer, CONSUMER), (AIOKafkaProducer, PRODUCER)])
def test_canary_aiokafkas_defaults(client: type, unsafe: dict[str, object]) -> None:
    """It commits by itself, reads aborted records, acknowledges early, and a transaction outlives its owner's session."""
    defaults = {name: each.default for name, each in inspect.signature(client.__init__).parameters.items()}
    found = {name: defaults[name] for name in unsafe}
    if "acks" in found:
        found["acks"] = found["acks"] if isinstance(found["acks"], int) else 1  # "not set" means 1 without idempotence
    assert found == unsafe, "a default changed: look whether its line in consumer_settings or producer_settings can go"


async def test_our_consumers_settings(client_config) -> None:
    """Nothing is committed by itself, nothing aborted is read, no position is made up."""
    settings = consumer_settings(client_config, "t", Timing())
    assert CONSUMER.keys() - settings.keys() == {"session_timeout_ms"}  # without a group there is no session
    consumer = AIOKafkaConsumer(**settings, group_id=None)
    assert consumer._enable_auto_commit is False
    assert consumer._auto_offset_reset == "none"
    assert consumer._isolation_level == "read_committed"
    assert consumer._check_crcs is True
    assert consumer._request_timeout_ms == 8000
    assert consumer._client._security_protocol == "SSL"
    await consumer.stop()


async def test_our_producers_settings(client_config) -> None:
    """All replicas acknowledge, the writer is idempotent, batches are large, a transaction ends within its owner's time."""
    timing = Timing()
    producer = AIOKafkaProducer(
        **producer_settings(client_config, "t", timing),
        transactional_id="x",
        transaction_timeout_ms=timing.transaction_ms,
    )
    assert producer._sender._acks == -1
    assert producer._txn_manager is not None
    assert producer._message_accumulator._batch_size == BATCH_BYTES_MAX
    assert producer._compression_type is None
    assert producer._request_timeout_ms == 8000
    assert producer._txn_manager.transaction_timeout_ms == 10_000
    await producer.stop()


async def test_canary_fausts_defaults(tmp_path: Path) -> None:
    """A web server with the tables' data, a topic and a producer of its own, fetches below our largest record."""
    app = faust.App("canary", broker="kafka://127.0.0.1:9", datadir=tmp_path, autodiscover=False)
    found = (app.conf.web_enabled, app.conf.topic_disable_leader, app.conf.topic_allow_declare)
    assert found == (True, False, True), "a default changed: see build_ledger_app"
    assert app.conf.consumer_max_fetch_size < LEDGER_RECORD_BYTES_MAX


async def test_canary_faust_reads_aborted_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it is to be exactly once, Faust reads uncommitted records, and no setting changes that.

    When this fails, look for a setting: HubThread._create_worker_consumer may go.
    """
    given: dict[str, object] = {}
    monkeypatch.setattr(aiokafka, "AIOKafkaConsumer", lambda **arguments: given.update(arguments))
    app = faust.App("canary", broker="kafka://127.0.0.1:9", datadir=tmp_path, autodiscover=False)
    app.loop = asyncio.get_running_loop()
    thread = app.consumer._thread
    try:
        thread._create_worker_consumer(app.transport)
    finally:
        thread.thread_loop.close()
    assert given["isolation_level"] == "read_uncommitted"
    assert not any("isolation" in name for name in app.conf.SETTINGS)


async def test_our_faust_reads_committed_records_and_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch and the registrar see no aborted record, whatever Faust's default is."""
    given: dict[str, object] = {}
    monkeypatch.setattr(aiokafka, "AIOKafkaConsumer", lambda **arguments: given.update(arguments))
    app = build_ledger_app(SETTINGS, Steps(), name="canary", failed=lambda _: None)
    app.loop = asyncio.get_running_loop()
    thread = hub_consumer(app)._thread
    try:
        thread._create_worker_consumer(app.transport)
    finally:
        thread.thread_loop.close()
    assert (given["isolation_level"], given["enable_auto_commit"]) == ("read_committed", False)
    assert given["max_partition_fetch_bytes"] >= LEDGER_RECORD_BYTES_MAX
    assert given["partition_assignment_strategy"] == [RoundRobinPartitionAssignor]
    assert (given["session_timeout_ms"], given["group_instance_id"]) == (SETTINGS.session_ms, SETTINGS.client_id)
    assert (app.conf.web_enabled, app.conf.topic_disable_leader, app.conf.topic_allow_declare) == (False, True, False)
    assert "Producer" not in [type(service).__name__ for service in app.boot_strategy.server()]
