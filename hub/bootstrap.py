"""The one composition root: settings in, running processes out."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from hub.adapters.clock import SystemClock
from hub.adapters.directory import DirectoryFollower, freshness_loop
from hub.adapters.files.keys import read_signers
from hub.adapters.files.owned import read
from hub.adapters.kafka.broker import client_config
from hub.adapters.kafka.bus import KafkaBus
from hub.adapters.kafka.client_config import ClientConfig
from hub.adapters.kafka.timing import Timing
from hub.core.authority import HubRole
from hub.envelope.trust import read_anchor
from hub.ports import Bus
from hub.settings import HubSettings
from hub.streams.heads import head_signer
from hub.streams.process import Process, run_process
from hub.streams.router import run_router

if TYPE_CHECKING:
    from hub.adapters.sql.engine import Engine


def kafka_config(settings: HubSettings, principal: str) -> ClientConfig:
    """The cluster of the settings, as a principal of the hub. Raises ``UsageError``."""
    return client_config(settings.folder, settings.bootstrap_server, settings.command_config, principal=principal)


def open_bus(settings: HubSettings, config: ClientConfig, principal: str) -> KafkaBus:
    """The bus on a cluster, with the time-outs of the settings."""
    timing = Timing(
        start_ms=settings.start_ms,
        step_ms=settings.step_ms,
        stop_ms=settings.stop_ms,
        session_ms=settings.session_ms,
        heartbeat_ms=settings.heartbeat_ms,
        transaction_ms=settings.transaction_ms,
    )
    return KafkaBus(config, client_id=f"{principal}-{settings.worker}", timing=timing)


async def router(process: Process, bus: Bus) -> None:
    """The router on ``bus``, until the process is asked to stop."""
    home = process.settings.folder
    directory = DirectoryFollower(bus, read_anchor(read(home.anchor)), alert=process.alert)
    signers = read_signers(home.role_keys(HubRole.ROUTER))
    try:
        await directory.start()
        await run_router(process, bus=bus, directory=directory, signers=signers, clock=SystemClock())
    finally:
        await directory.close()


async def directory(process: Process, bus: Bus) -> None:
    """Say every few hours that the newest trust list is fresh: without that, everybody holds after a day."""
    home = process.settings.folder
    follower = DirectoryFollower(bus, read_anchor(read(home.anchor)), alert=process.alert)
    signers = read_signers(home.role_keys(HubRole.FRESHNESS))
    try:
        await follower.start()
        process.not_ready = None
        saying = asyncio.create_task(
            freshness_loop(bus, signers, follower=follower, clock=SystemClock(), alert=process.alert)
        )
        stopping = asyncio.create_task(process.stopping.wait())
        await asyncio.wait({saying, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        saying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await saying
    finally:
        await follower.close()


async def registrar(process: Process, bus: Bus, kafka: ClientConfig | None = None) -> None:
    """The registrar: Faust on ``kafka``, or a plain loop on ``bus``."""
    from hub.streams import registrar as stream  # noqa: PLC0415 (Faust takes a second to import: not for the router)

    engine = _engine(process.settings)
    try:
        await stream.run(process, bus=bus, engine=engine, clock=SystemClock(), kafka=kafka)
    finally:
        engine.dispose()


async def watch(process: Process, bus: Bus, kafka: ClientConfig | None = None) -> None:
    """The watch: Faust on ``kafka``, or a plain loop on ``bus``."""
    from hub.streams import watch as stream  # noqa: PLC0415 (the same)

    sign = head_signer(read_signers(process.settings.folder.role_keys(HubRole.WATCH)), SystemClock())
    engine = _engine(process.settings)
    try:
        await stream.run(process, bus=bus, engine=engine, clock=SystemClock(), sign=sign, kafka=kafka)
    finally:
        engine.dispose()


def serve(name: str, settings: HubSettings) -> None:
    """Run one of ``PROCESSES`` on Kafka until SIGTERM. Raises what it ends with."""

    async def main(process: Process) -> None:
        config = kafka_config(settings, name)
        bus = open_bus(settings, config, name)
        try:
            if name in {"directory", "router"}:
                await {"directory": directory, "router": router}[name](process, bus)
            else:
                await {"registrar": registrar, "watch": watch}[name](process, bus, config)
        finally:
            await bus.close()

    run_process(name, settings, main)


def _engine(settings: HubSettings) -> Engine:
    """The case view's database. Raises ``UsageError``."""
    # The router has no database: SQLAlchemy and Alembic take a quarter of a second of its start.
    from hub.adapters.sql.engine import open_engine, sqlite_url  # noqa: PLC0415 (for the reason above)

    return open_engine(settings.database_url or sqlite_url(settings.folder.case_database))
