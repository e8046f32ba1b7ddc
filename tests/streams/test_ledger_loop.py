from __future__ import annotations

import asyncio

import pytest

from hub.core.access import REGISTRAR, WATCH, access_rules
from hub.errors import UsageError, VerificationFailed
from hub.settings import HubSettings
from hub.streams import registrar, watch
from hub.streams.ledger_loop import count_partitions
from hub.streams.process import Process
from hub.testing import MemoryBroker, MemoryBus

HOUR_MS = 3600 * 1000


@pytest.fixture
def process(tmp_path):
    """A process that ticks every 10 ms."""
    return Process("registrar", HubSettings(home=tmp_path, tick_ms=10))


async def _until(process: Process, running, done) -> None:
    """Run a process until ``done()`` holds, then stop it cleanly."""
    task = asyncio.ensure_future(running)
    for _ in range(500):
        await asyncio.sleep(0.01)
        if task.done() or done():
            break
    process.stop()
    await task


async def test_the_registrar_follows_the_memory_bus(process, ledger, story, engine):
    """The same steps as on Kafka: the view has the case, the metrics have its latency and the overdue clock."""
    request = story.message("xa-moj>xb-pgo", "request", story.clock("start", due_in_ms=HOUR_MS))
    misfit = story.level("opened", request, way="xc-acc>xa-moj")
    ledger.write(request, story.level("delivered", request), misfit)
    ledger.clock.advance(2 * HOUR_MS)
    running = registrar.run(
        process, bus=MemoryBus(ledger.broker, REGISTRAR), engine=engine, clock=ledger.clock, kafka=None
    )
    shown = process.metrics.exposition
    await _until(process, running, lambda: b'comity_cases_overdue{authority="xb-pgo"' in shown())
    assert b'comity_ack_latency_seconds_count{level="delivered"} 1.0' in shown()
    assert b'comity_alerts_total{code="receipt-misfit"} 1.0' in shown()
    assert b"xb-pgo>xa-moj" not in shown()


async def test_the_watch_follows_the_memory_bus(process, ledger, story, engine, watching):
    """A flag goes to both inboxes as soon as the ledger is read to its end."""
    ledger.write(story.message("xa-moj>xb-pgo", "request", story.clock("start", due_in_ms=HOUR_MS)))
    ledger.clock.advance(2 * HOUR_MS)
    bus = MemoryBus(ledger.broker, WATCH)
    running = watch.run(process, bus=bus, engine=engine, clock=ledger.clock, sign=watching.sign, kafka=None)
    await _until(process, running, lambda: ledger.told("xb-pgo"))
    assert (ledger.told("xa-moj"), ledger.told("xb-pgo")) == (["overdue"], ["overdue"])


async def test_a_bad_record_ends_the_process(process, ledger, story, engine):
    """Nothing is skipped: the error goes to whoever runs the process."""
    ledger.numbers[0] = 5
    ledger.write(story.message("xa-moj>xb-pgo"))
    bus = MemoryBus(ledger.broker, REGISTRAR)
    with pytest.raises(VerificationFailed):
        await registrar.run(process, bus=bus, engine=engine, clock=ledger.clock, kafka=None)


async def test_a_missing_ledger_is_said_at_once(ledger):
    """Faust would start and wait for ever."""
    empty = MemoryBroker(ledger.clock, rules=access_rules([], shards=1))
    with pytest.raises(UsageError, match="comity topics"):
        await count_partitions(MemoryBus(empty, REGISTRAR))
