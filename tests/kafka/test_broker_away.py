"""A broker that goes away: every wait ends, and work goes on when it is back."""

from __future__ import annotations

import asyncio

import pytest

from hub.adapters.clock import SystemChance
from hub.adapters.kafka.admin import KafkaAdmin
from hub.adapters.kafka.broker import LocalBroker, client_config
from hub.adapters.kafka.bus import KafkaBus
from hub.adapters.kafka.deployment import Deployment, apply_topics
from hub.adapters.kafka.timing import Timing
from hub.core.ids import AuthorityId
from hub.core.records import Outgoing, Place
from hub.errors import OutcomeUnknown, Unreachable

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

TIMING = Timing(start_ms=5_000, step_ms=2_000, stop_ms=1_000)
LETTER = Outgoing("hub.ledger", None, b"v")


async def test_broker_stops_and_comes_back(test_home, kafka_cache):
    """While the broker is away calls fail in bounded time; afterwards writer and reader go on by themselves."""
    home, _ = test_home()
    broker = LocalBroker(home, cache=kafka_cache)
    await broker.start(SystemChance())

    def prepare() -> None:
        with KafkaAdmin(client_config(home, None, None, principal="admin")) as admin:
            deployment = Deployment(authorities=frozenset({AuthorityId("xa-moj")}), shards=1, ledger_partitions=1)
            apply_topics(admin, deployment)

    await asyncio.to_thread(prepare)
    watch = KafkaBus(client_config(home, None, None, principal="watch"), client_id="t", timing=TIMING)
    router = KafkaBus(client_config(home, None, None, principal="router"), client_id="t", timing=TIMING)
    writer = await watch.writer()
    reader = await watch.reader({Place("hub.ledger", 0): 0})
    shard = await router.transactional_writer("router-shard-0")
    await writer.send([LETTER])
    assert await broker.stop()

    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(Unreachable):
        await writer.send([LETTER])
    with pytest.raises(OutcomeUnknown):
        await shard.transact([LETTER], {}, "router-shard-0")
    with pytest.raises(Unreachable) as caught:
        await router.transactional_writer("router-shard-0")
    assert caught.value.code == "broker-down"
    assert loop.time() - began < 20

    await broker.start(SystemChance())
    await writer.send([LETTER])
    again = await router.transactional_writer("router-shard-0")
    await again.transact([LETTER], {}, "router-shard-0")
    found = []
    for _ in range(30):
        found += await reader.fetch(wait_ms=500, records_max=10)
        if len(found) >= 3:
            break
    await watch.close()
    await router.close()
    await broker.stop()
    assert [record.value for record in found] == [b"v"] * 3
