"""Running a Faust app in our own loop: bounded start and stop, errors that end the process, ticks, a look at progress.

Faust waits for ever where an access rule is missing or a peer is silent, and lives on with a dead agent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

from hub.errors import ComityError, Unreachable
from hub.streams.faust_transport import Failed, LedgerApp, hub_consumer
from hub.streams.ledger_steps import LedgerSteps
from hub.streams.process import Process

STALL_SECONDS: Final = 30.0  # of waiting, though records are here: Faust dropped one and does not read it again

Build = Callable[[Failed], LedgerApp]


class FaustRunner:
    """One run of one app. ``build`` gets the function that an agent hands its error to."""

    def __init__(self, process: Process, build: Build, steps: LedgerSteps) -> None:
        self._process = process
        self._steps = steps
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._app = build(self._fail)
        self._stalled: dict[int, tuple[int, float]] = {}  # per partition: next offset, how long the agent had waited

    async def run(self) -> None:
        """Work until the process is asked to stop. Raises the first error of agent, consumer or tick."""
        settings = self._process.settings
        try:
            await self._bounded(self._app.start(), settings.start_ms / 1000, "ledger-start")
            while not self._process.stopping.is_set():
                self._look()
                consumer = hub_consumer(self._app)
                ours = {tp.partition for tp in consumer.assignment()}
                self._process.not_ready = None if ours else "no-partition"
                if ours:
                    await self._steps.tick(ours, consumer)
                await self._pause(settings.tick_ms / 1000)
        finally:
            with contextlib.suppress(Unreachable):  # the process ends in any case
                await self._bounded(self._app.stop(), settings.stop_ms / 1000, "ledger-stop")
            self._failure.cancel()

    def _fail(self, error: BaseException) -> None:
        if not self._failure.done():
            self._failure.set_exception(error)

    async def _bounded(self, act: Awaitable[object], seconds: float, code: str) -> None:
        """Wait for ``act``, but neither for ever nor past an error. A task that hangs is left: the process ends."""
        task = asyncio.ensure_future(act)
        waits: set[asyncio.Future[Any]] = {task, self._failure} if code == "ledger-start" else {task}
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if code == "ledger-start" and self._failure.done():
            self._failure.result()
        if not task.done():
            raise Unreachable(
                code,
                f"The reader of the ledger did not answer in {seconds:.0f} s: is the broker up, may we read topic and group?",
            )
        task.result()

    def _look(self) -> None:
        """Raise what went wrong since the last look."""
        if self._failure.done():
            self._failure.result()
        if self._app.crashed:
            reason = self._app.crash_reason
            if isinstance(reason, ComityError):
                raise reason
            raise Unreachable("ledger-reader", f"The reader of the ledger ended ({type(reason).__name__}).") from reason
        # In a backlog a partition may stand for long, since it is others' turn: only waiting counts.
        waited = self._app.waited_seconds(asyncio.get_running_loop().time())
        behind = hub_consumer(self._app).behind()
        stood = self._stalled
        self._stalled = {
            partition: stood[partition] if stood.get(partition, (-1, 0.0))[0] == taken else (taken, waited)
            for partition, (taken, _) in behind.items()
        }
        for partition, (taken, since) in self._stalled.items():
            if waited - since > STALL_SECONDS:
                raise Unreachable(
                    "ledger-stalled", f"Ledger partition {partition} stands at {taken} though there is more."
                )

    async def _pause(self, seconds: float) -> None:
        stopping = asyncio.ensure_future(self._process.stopping.wait())
        waits: set[asyncio.Future[Any]] = {stopping, self._failure}
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
