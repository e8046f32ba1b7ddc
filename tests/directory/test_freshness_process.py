"""``comity serve directory``: the process that says that the newest trust list is fresh."""

from __future__ import annotations

import asyncio
from pathlib import Path

from connectors.staging.deployment import Deployment
from hub import bootstrap
from hub.adapters.clock import SystemChance, SystemClock
from hub.adapters.directory import read_directory
from hub.adapters.memory.administration import MemoryAdministration
from hub.adapters.memory.broker import MemoryBroker
from hub.adapters.memory.bus import MemoryBus
from hub.core.access import DIRECTORY_PUBLISHER
from hub.envelope.trust import read_anchor
from hub.settings import load_settings
from hub.streams.process import Process


async def test_it_states_freshness_when_it_starts_and_stops_cleanly(tmp_path: Path) -> None:
    """A newer statement than the secretariat's own is on hub.directory, and a stop ends the process."""
    clock = SystemClock()
    broker = MemoryBroker(clock)
    deployment = Deployment(tmp_path / "home", clock, SystemChance())
    deployment.found()
    bus = MemoryBus(broker, DIRECTORY_PUBLISHER)
    await deployment.publish_first(bus, MemoryAdministration(broker))
    anchor = read_anchor(deployment.home.anchor.read_bytes())
    before = (await read_directory(bus, anchor)).view.freshness
    process = Process("directory", load_settings(home=deployment.home.root, log_level="error"))
    running = asyncio.create_task(process.run(lambda p: bootstrap.directory(p, bus)))
    async with asyncio.timeout(10):
        while (after := (await read_directory(bus, anchor)).view.freshness) == before:
            await asyncio.sleep(0.02)
        process.stop()
        await running
    assert before is not None
    assert after is not None
    assert after.number == before.number
    assert after.time_ms > before.time_ms
