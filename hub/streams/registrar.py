"""The registrar's process: the case view follows the ledger (DESIGN section 3, step 7)."""

from __future__ import annotations

from hub.adapters.kafka.client_config import ClientConfig
from hub.adapters.sql.case_store import CaseStore
from hub.adapters.sql.engine import Engine, upgrade
from hub.core.access import REGISTRAR_GROUP
from hub.ports import Bus, Clock
from hub.streams.faust_runner import FaustRunner
from hub.streams.faust_transport import Failed, FaustSettings, LedgerApp, build_ledger_app, faust_settings
from hub.streams.ledger_loop import count_partitions, follow_ledger
from hub.streams.ledger_steps import LedgerSteps
from hub.streams.process import Process
from hub.streams.registrar_steps import RegistrarSteps


def build_app(settings: FaustSettings, steps: LedgerSteps, *, failed: Failed) -> LedgerApp:
    """The registrar's Faust app. Connects to nothing yet."""
    return build_ledger_app(settings, steps, name=REGISTRAR_GROUP, failed=failed)


async def run(process: Process, *, bus: Bus, engine: Engine, clock: Clock, kafka: ClientConfig | None) -> None:
    """Work until the process stops; without ``kafka`` a plain loop reads ``bus``. Raises the first error."""
    upgrade(engine)
    partitions = await count_partitions(bus)
    steps = RegistrarSteps(
        CaseStore(engine),
        ledger_partitions=partitions,
        clock=clock,
        metrics=process.metrics,
        alert=process.alert,
    )
    if kafka is None:
        await follow_ledger(process, bus, steps, partitions=partitions)
        return
    settings = faust_settings(process.settings, kafka, group=REGISTRAR_GROUP)
    await FaustRunner(process, lambda failed: build_app(settings, steps, failed=failed), steps).run()
