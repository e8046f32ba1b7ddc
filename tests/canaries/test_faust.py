"""Facts 2, 3 and 4, and what Faust does after an error: why it routes nothing and acknowledges nothing here."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import faust
import pytest
from aiokafka.errors import UnsupportedCodecError
from faust.transport.consumer import Fetcher, TransactionManager
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, StreamT, TopicT
from faust.types.tuples import ConsumerMessage

from hub.core.access import REGISTRAR, WATCH, Operation, Resource, access_rules, check_access
from hub.core.ids import AuthorityId
from hub.core.topics import LEDGER, inbox, outbox
from hub.errors import NotPermitted
from hub.streams.faust_transport import HubConsumer, build_ledger_app, hub_consumer
from tests.canaries.ledger_app import SETTINGS, Steps

PLACE = TP("ledger", 0)
XA = AuthorityId("xa-moj")


@pytest.fixture
async def app(tmp_path: Path):
    """An app as Faust's documentation makes it; it connects to nothing."""
    made = faust.App("canary", broker="kafka://127.0.0.1:9", datadir=tmp_path, autodiscover=False)
    made.loop = asyncio.get_running_loop()
    made.flow_control.resume()
    yield made
    made.consumer._thread.thread_loop.close()


# --- fact 2 -----------------------------------------------------------------------------------------


async def test_canary_one_bad_batch_ends_a_worker(app) -> None:
    """What the client raises while it reads ends Faust's fetcher, and with it every topic of the worker.

    When this fails, Faust goes on: it may read more than the ledger.
    """

    async def drain(_fetcher: object) -> None:
        raise UnsupportedCodecError("zstd")

    app.consumer._drain_messages = drain
    fetcher = Fetcher(app)
    await fetcher.start()
    async with asyncio.timeout(5):
        while not fetcher.crashed:
            await asyncio.sleep(0.01)
    await fetcher.stop()
    assert isinstance(fetcher.crash_reason, UnsupportedCodecError)


async def test_our_faust_reads_nothing_that_an_authority_wrote() -> None:
    """The ledger alone is subscribed, and the broker lets neither registrar nor watch read an outbox or an inbox."""
    app = build_ledger_app(SETTINGS, Steps(), name="canary", failed=lambda _: None)
    assert {name for agent in app.agents.values() for name in agent.channel.topics} == {LEDGER}
    rules = access_rules([XA], shards=2)
    for principal in (REGISTRAR, WATCH):
        for topic in (outbox(XA), inbox(XA)):
            with pytest.raises(NotPermitted):
                check_access(rules, principal=principal, resource=Resource.TOPIC, name=topic, operation=Operation.READ)


# --- fact 3, and an error in an agent ---------------------------------------------------------------


async def test_canary_faust_commits_past_a_message_in_flight(app) -> None:
    """Issue 606: the next offset is committed although the one before it was not acknowledged.

    When this fails, Faust waits for it (pull request 707): ``acks=False`` is still needed for what stands below.
    """
    consumer = app.consumer
    consumer._committed_offset[PLACE] = 2585  # next to read: 2585 is in flight
    consumer._acked[PLACE] = [2586, 2587, 2588, 2589]
    assert consumer._new_offset(PLACE) == 2590


async def test_canary_faust_acknowledges_what_an_agent_failed_on(app) -> None:
    """An event whose agent raised is acknowledged all the same, so that its offset is committed.

    When this fails, an error may be left to Faust: the agent in build_ledger_app need not wait for ever.
    """
    assert await acknowledged(app, app.topic("ledger", value_type=bytes, value_serializer="raw")) == [7]


async def test_our_app_acknowledges_nothing() -> None:
    """Whatever an agent does, no offset of the ledger is ever committed: where to go on stands in SQL."""
    app = build_ledger_app(SETTINGS, Steps(), name="canary", failed=lambda _: None)
    app.loop = asyncio.get_running_loop()
    app.flow_control.resume()
    topic = app.agents["canary"].channel
    try:
        assert await acknowledged(app, topic) == []
        assert topic.acks is False
        assert "seek_to_committed" in vars(HubConsumer)
    finally:
        hub_consumer(app)._thread.thread_loop.close()


async def acknowledged(app: faust.App, topic: TopicT) -> list[int]:
    """The offsets that may be committed after a stream over ``topic`` raised at an event of offset 7."""
    app.topics.add(topic)
    await app.topics._update_indices()
    stream = app.stream(topic)
    place = TP(topic.get_topic_name(), 0)
    generation = app.consumer_generation_id
    message = ConsumerMessage(place.topic, 0, 7, 0.0, 0, [], None, b"v", None, tp=place, generation_id=generation)
    message.incref()
    app.consumer.track_message(message)
    await stream.channel.put(await topic.decode(message))
    with pytest.raises(ZeroDivisionError):
        await _fail(stream)
    return list(app.consumer._acked[place])


async def _fail(stream: StreamT) -> None:
    """An agent that raises."""
    events = aiter(stream)
    try:
        assert await anext(events) == b"v"
        raise ZeroDivisionError
    finally:
        await events.aclose()


# --- fact 4 -----------------------------------------------------------------------------------------


class Sent:
    """A producer that notes under which transactional id a record goes out."""

    def __init__(self) -> None:
        self.ids: list[str | None] = []

    async def send(self, *_: object, transactional_id: str | None = None) -> None:
        """Note it."""
        self.ids.append(transactional_id)


async def test_canary_faust_chooses_a_transaction_by_destination(app) -> None:
    """What was read from partition 0 and goes to partition 3 is written in the transaction of partition 3.

    When this fails, Faust's exactly_once may be atomic: read issues 177, 323, 440 and 517 again.
    """
    sent = Sent()
    app.assignor = SimpleNamespace(group_for_topic=lambda _: 0)
    consumer = SimpleNamespace(key_partition=lambda *_: 3)
    manager = TransactionManager(SimpleNamespace(app=app), consumer=consumer, producer=sent)  # type: ignore[arg-type]
    await manager.send("inbox", b"k", b"v", None, None, None, transactional_id="canary-0-0")
    assert sent.ids == ["canary-0-3"]


async def test_canary_faust_swallows_the_error_of_a_begin(app) -> None:
    """A transaction that could not begin is logged, and what follows is sent outside of any. When this fails, it raises."""

    class Refusing:
        async def begin_transaction(self) -> None:
            raise RuntimeError("no coordinator")

    producer = driver.Producer(app.transport)
    producer._transaction_producers["t"] = Refusing()  # type: ignore[assignment]
    producer._trn_locks["t"] = asyncio.Lock()
    producer._producer = SimpleNamespace()  # type: ignore[assignment]
    await producer.begin_transaction("t")


def test_our_router_has_no_faust() -> None:
    """Nothing that moves messages imports it: router, shard, gateway and their buses."""
    script = (
        "import sys, hub.streams.router, hub.adapters.kafka.bus, connectors.gateway.loops;"
        "sys.exit('faust' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
