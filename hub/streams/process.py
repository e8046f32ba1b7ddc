"""What every process of the hub shares: logs, metrics, a health server, signals, a clean stop, an honest exit code."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any, Final, TypeAlias

import structlog
import uvloop

from hub.adapters.files.owned import make_folder, replace
from hub.adapters.garbage import collect_seldom
from hub.adapters.http import HealthServer
from hub.core.effects import Alert
from hub.errors import ComityError, OutcomeUnknown
from hub.settings import HubSettings
from hub.streams.metrics import Metrics

STOP_SECONDS: Final = 15.0  # a running transaction, the clients' stops; beyond it the process ends as it is
LIBRARY_LEVEL: Final = logging.WARNING  # libraries' own logs, below it silence

Main: TypeAlias = "Callable[[Process], Awaitable[None]]"


class Process:
    """A running process: ``router``, ``registrar`` or ``watch``. Its main function waits for ``stopping`` and returns."""

    def __init__(self, name: str, settings: HubSettings) -> None:
        self.name = name
        self.settings = settings
        self.metrics = Metrics(name, version=version("comity-hub"), worker=settings.worker)
        self.log: structlog.typing.FilteringBoundLogger = _logger(settings.log_level).bind(
            process=name, worker=settings.worker
        )
        self.stopping = asyncio.Event()
        self.not_ready: str | None = "starting"  # a code; None when the process does its work

    def alert(self, alert: Alert) -> None:
        """Tell the operator: one log line and one metric. Never content."""
        self.metrics.alerted(alert.code)
        self.log.warning(alert.code, subject=alert.subject, sentence=alert.sentence)

    def stop(self) -> None:
        """Ask for a clean stop."""
        self.not_ready = "stopping"
        self.stopping.set()

    async def run(self, main: Main) -> None:
        """Run ``main`` with the health server, until it ends. Raises what it raises.

        Raises ``OutcomeUnknown(stop-too-slow)`` when it has not ended ``STOP_SECONDS`` after it was asked to.
        """
        settings = self.settings
        health = HealthServer(not_ready=lambda: self.not_ready, metrics=self.metrics.exposition)
        port = await health.start(settings.health_host, settings.health_port(self.name))
        self._write_port(port)
        self.log.info("started", port=port)
        try:
            await self._supervised(main)
        except ComityError as error:
            self.log.error("ended", code=error.code, sentence=error.sentence, exit_code=error.exit_code)  # noqa: TRY400 (a traceback may hold a record)
            raise
        except Exception as error:
            # The place, not the values: an error's text may repeat what a record held.
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{last.filename}:{last.lineno}"
            self.log.error("internal", error=type(error).__name__, place=place, exit_code=70)  # noqa: TRY400 (the same)
            raise
        finally:
            await health.close()
        self.log.info("stopped")

    async def _supervised(self, main: Main) -> None:
        running = asyncio.ensure_future(main(self))
        stopping = asyncio.create_task(self.stopping.wait())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        done, _ = await asyncio.wait({running}, timeout=STOP_SECONDS)
        if not done:
            running.cancel()
            raise OutcomeUnknown("stop-too-slow", f"The {self.name} did not stop in {STOP_SECONDS:.0f} seconds.")
        await running

    def _write_port(self, port: int) -> None:
        """Where the health server listens, for whoever let the system choose: ``<home>/logs/<process>.port``.

        Further workers of a home folder have their name in it: ``router-2.port``.
        """
        folder = self.settings.folder.logs
        make_folder(folder)
        name = self.name if self.settings.worker == "1" else f"{self.name}-{self.settings.worker}"
        replace(folder / f"{name}.port", f"{port}\n".encode())


def run_process(name: str, settings: HubSettings, main: Main) -> None:
    """Run a process until SIGTERM or SIGINT, on uvloop. Raises what ``main`` raises: the command makes it an exit code."""
    _route_library_logs(settings.log_level)

    async def whole() -> None:
        process = Process(name, settings)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, process.stop)
        await process.run(main)

    collect_seldom()
    uvloop.run(whole())


def _processors() -> list[structlog.typing.Processor]:
    return [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.EventRenamer("message"),
    ]


def _logger(level: str) -> Any:  # noqa: ANN401 (structlog's own type of a lazy logger)
    return structlog.wrap_logger(
        structlog.WriteLogger(sys.stderr),
        processors=[*_processors(), structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )


def _route_library_logs(level: str) -> None:
    """Libraries log through ``logging``: the same JSON, at warning and above, without tracebacks' values."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_processors()[:2],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.EventRenamer("message"),
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(LIBRARY_LEVEL, logging.getLevelNamesMapping()[level.upper()]))
