"""The connectors' one composition root: a State's folder and its settings in, a running gateway out."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
import uvloop
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from connectors.folder.system import FolderSystem
from connectors.gateway import inbox, outbox
from connectors.gateway.handover import HandOver
from connectors.gateway.keyring import read_keyring
from connectors.gateway.loops import Gateway, Parts
from connectors.gateway.objects import open_objects
from connectors.gateway.opened import OpenedMessages
from connectors.gateway.receiving import Receiver
from connectors.gateway.sealing import Sealer
from connectors.gateway.sending import Sender
from connectors.gateway.store import Store, open_store
from connectors.ports import NationalSystem
from connectors.settings import ConnectorSettings
from hub.adapters.clock import SystemChance, SystemClock
from hub.adapters.directory import DirectoryFollower
from hub.adapters.files.home import Home, StateFolder
from hub.adapters.files.owned import read, replace
from hub.adapters.garbage import collect_seldom
from hub.adapters.http import HealthServer
from hub.adapters.kafka.broker import local_server
from hub.adapters.kafka.bus import KafkaBus
from hub.adapters.kafka.client_config import ClientConfig
from hub.core.effects import Alert
from hub.envelope.trust import read_anchor
from hub.errors import UsageError
from hub.ports import Bus, Chance, Clock

RECEIPTS_WAIT_MS: Final = 250  # for others to the same peer: a list of 32 costs as much as a list of one
HOUR_MS: Final = 3_600_000
PORT_FILE: Final = "connector.port"


@dataclass(frozen=True, slots=True)
class State:
    """A State's folder, its settings, and the home folder that it lies in, if any (demonstration and tests)."""

    folder: StateFolder
    settings: ConnectorSettings
    home: Home | None

    @property
    def exchange(self) -> Path:
        """The folder contract's root."""
        return self.folder.root / self.settings.exchange

    @property
    def objects(self) -> str:
        """Where attachments lie. Raises ``UsageError(objects-missing)``."""
        if self.settings.objects is not None:
            url = self.settings.objects
            return url if "://" in url else str(self.folder.root / url)
        if self.home is None:
            raise UsageError(
                "objects-missing",
                f"Set objects in {self.folder.settings}: the object store that all authorities share.",
            )
        return str(self.home.objects)

    def kafka(self) -> ClientConfig:
        """The cluster, as this authority. Raises ``UsageError``."""
        given = self.settings.command_config
        properties = self.folder.client.properties if given is None else self.folder.root / given
        server = self.settings.bootstrap_server
        if server is None and given is None and self.home is not None:
            server = local_server(self.home)
        return ClientConfig.load(server, properties)


@asynccontextmanager
async def opened_gateway(
    state: State,
    bus: Bus,
    *,
    alert: Callable[[Alert], None],
    clock: Clock | None = None,
    chance: Chance | None = None,
    system: NationalSystem | None = None,
) -> AsyncIterator[tuple[Gateway, Store]]:
    """The gateway of a State on ``bus``, ready to run; its ``system`` is the exchange folder unless another is given.

    Raises ``UsageError``, ``VerificationFailed``, ``Unreachable``.
    """
    clock, chance = clock or SystemClock(), chance or SystemChance()
    folder, me = state.folder, state.folder.authority
    keys = read_keyring(folder.keys)
    system = _exchange(state) if system is None else system
    objects = open_objects(state.objects)
    store = open_store(folder.database, authority=me, key=keys.storage, chance=chance)
    follower = DirectoryFollower(bus, read_anchor(read(folder.anchor)), alert=alert)
    try:
        await follower.start()
        sealer = Sealer(me, keys, chance=chance, valid_for_ms=state.settings.valid_hours * HOUR_MS)
        opened = OpenedMessages()
        parts = Parts(
            me=me,
            bus=bus,
            follower=follower,
            sender=Sender(store, me=me, sealer=sealer, chance=chance, receipts_wait_ms=RECEIPTS_WAIT_MS),
            receiver=Receiver(store, me=me, sealer=sealer, opened=opened),
            handover=HandOver(store, me=me, sealer=sealer, opened=opened, read_object=objects.get),
            objects=objects,
            system=system,
            clock=clock,
            chance=chance,
            alert=alert,
            scan_seconds=state.settings.scan_ms / 1000,
        )
        yield Gateway(parts), store
    finally:
        await follower.close()
        store.close()


def _exchange(state: State) -> FolderSystem:
    system = FolderSystem(state.exchange)
    system.prepare()
    return system


class ConnectorProcess:
    """``comity connector run``: one authority's gateway with logs, metrics, a health server and a clean stop.

    ``system`` as for ``opened_gateway``.
    """

    def __init__(self, state: State, system: NationalSystem | None = None) -> None:
        self._state = state
        self._system = system
        self._log = _logger(state.settings.log_level).bind(process="connector", authority=state.folder.authority)
        self._registry = CollectorRegistry()
        self._alerts = Counter("comity_alerts", "What an operator should look at.", ["code"], registry=self._registry)
        self._messages = Gauge(
            "comity_connector_messages", "Messages by way and state.", ["way", "state"], registry=self._registry
        )
        self._stopping = asyncio.Event()
        self._store: Store | None = None
        self._not_ready: str | None = "starting"

    def alert(self, alert: Alert) -> None:
        """Tell the operator: one log line and one metric. Never content."""
        self._alerts.labels(alert.code).inc()
        self._log.warning(alert.code, subject=alert.subject, sentence=alert.sentence)

    def stop(self) -> None:
        """Ask for a clean stop."""
        self._not_ready = "stopping"
        self._stopping.set()

    async def run(self, bus: Bus) -> None:
        """Run until ``stop``. Raises what the gateway raises."""
        settings = self._state.settings
        health = HealthServer(not_ready=lambda: self._not_ready, metrics=self._exposition)
        port = await health.start(settings.health_host, settings.health_port)
        replace(self._state.folder.root / PORT_FILE, f"{port}\n".encode())
        self._log.info("started", port=port)
        try:
            async with opened_gateway(self._state, bus, alert=self.alert, system=self._system) as (gateway, store):
                self._store = store
                self._not_ready = None
                running = asyncio.create_task(gateway.run())
                stopping = asyncio.create_task(self._stopping.wait())
                await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
                stopping.cancel()
                gateway.stop()
                await running
        except Exception as error:
            _log_end(self._log, error)
            raise
        finally:
            self._store = None
            await health.close()
        self._log.info("stopped")

    def _exposition(self) -> bytes:
        if self._store is not None:
            with self._store.transaction() as connection:
                ways = {"out": outbox.counts(connection), "in": inbox.counts(connection)}
            for way, counts in ways.items():
                for name, count in counts.items():
                    self._messages.labels(way, name).set(count)
        return generate_latest(self._registry)


def run_connector(state: State) -> None:
    """Run a State's connector on Kafka until SIGTERM or SIGINT. Raises what it ends with."""
    route_library_logs()

    async def whole() -> None:
        process = ConnectorProcess(state)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, process.stop)
        bus = KafkaBus(state.kafka(), client_id=f"connector-{state.folder.authority}")
        try:
            await process.run(bus)
        finally:
            await bus.close()

    collect_seldom()
    uvloop.run(whole())


def _log_end(log: Any, error: Exception) -> None:  # noqa: ANN401 (structlog's own type of a lazy logger)
    """The place, not the values: an error's text may repeat what a message held."""
    inner: BaseException = error
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    last = traceback.extract_tb(inner.__traceback__)[-1]
    log.error("ended", error=type(inner).__name__, place=f"{last.filename}:{last.lineno}")


def _logger(level: str) -> Any:  # noqa: ANN401 (the same)
    return structlog.wrap_logger(
        structlog.WriteLogger(sys.stderr),
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )


def route_library_logs() -> None:
    """Libraries' own logs: warnings and above, as JSON like ours."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.EventRenamer("message"),
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
