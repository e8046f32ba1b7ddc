"""The watch's process: clocks follow the ledger, flags go to both sides (DESIGN section 3, step 8)."""

from __future__ import annotations

from hub.adapters.kafka.client_config import ClientConfig
from hub.adapters.sql.engine import Engine, upgrade
from hub.adapters.sql.watch_store import WatchStore
from hub.core.access import WATCH_GROUP
from hub.flow import Sign
from hub.ports import Bus, Clock
from hub.streams.faust_runner import FaustRunner
from hub.streams.faust_transport import Failed, FaustSettings, LedgerApp, build_ledger_app, faust_settings
from hub.streams.ledger_loop import count_partitions, follow_ledger
from hub.streams.ledger_steps import LedgerSteps
from hub.streams.process import Process
from hub.streams.watch_steps import WatchSteps


def build_app(settings: FaustSettings, steps: LedgerSteps, *, failed: Failed) -> LedgerApp:
    """The watch's Faust app: it only reads, flags go out by ``hub.ports.Writer``. Connects to nothing yet."""
    return build_ledger_app(settings, steps, name=WATCH_GROUP, failed=failed)


async def run(
    process: Process, *, bus: Bus, engine: Engine, clock: Clock, sign: Sign, kafka: ClientConfig | None
) -> None:
    """Work until the process stops; without ``kafka`` a plain loop reads ``bus``. Raises the first error."""
    upgrade(engine)
    partitions = await count_partitions(bus)
    warn_percents = process.settings.warn_percents
    steps = WatchSteps(
        WatchStore(engine, warn_percents=warn_percents),
        bus=bus,
        sign=sign,
        ledger_partitions=partitions,
        warn_percents=warn_percents,
        clock=clock,
        alert=process.alert,
    )
    try:
        if kafka is None:
            await follow_ledger(process, bus, steps, partitions=partitions)
            return
        settings = faust_settings(process.settings, kafka, group=WATCH_GROUP)
        await FaustRunner(process, lambda failed: build_app(settings, steps, failed=failed), steps).run()
    finally:
        await steps.close()
