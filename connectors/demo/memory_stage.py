"""The story without Kafka: the same gateways, router steps, registrar and watch in this process, on the memory bus."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from connectors.bootstrap import State, opened_gateway
from connectors.staging.deployment import Deployment
from hub import bootstrap
from hub.adapters.files.home import Home
from hub.adapters.memory.administration import MemoryAdministration
from hub.adapters.memory.broker import MemoryBroker
from hub.adapters.memory.bus import MemoryBus
from hub.core.access import DIRECTORY_PUBLISHER
from hub.core.effects import Alert
from hub.core.ids import AuthorityId, KeyId
from hub.errors import Unreachable
from hub.ports import BrokerIdentity, Bus, Chance, Clock
from hub.settings import load_settings
from hub.streams.process import Process

MAINS: Final[dict[str, Callable[[Process, Bus], Awaitable[None]]]] = {
    "directory": bootstrap.directory,
    "router": bootstrap.router,
    "registrar": bootstrap.registrar,
    "watch": bootstrap.watch,
}


class MemoryStage:
    """Implements ``Stage``. A killed router is a task that is cancelled in the middle of what it does."""

    def __init__(self, root: Path, clock: Clock, chance: Chance) -> None:
        self._deployment = Deployment(root, clock, chance)
        self._broker = MemoryBroker(clock)
        self._administration = MemoryAdministration(self._broker)
        self._settings = load_settings(home=root, log_level="error")
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def home(self) -> Home:
        """The deployment's folder."""
        return self._deployment.home

    async def open(self) -> BrokerIdentity:
        """Found the deployment and start the hub's parts."""
        self._deployment.found()
        await self._deployment.publish_first(self.bus(DIRECTORY_PUBLISHER), self._administration)
        for name in MAINS:
            self._serve(name)
        return self._broker.identity

    async def enrol(self, authority: AuthorityId, name: str) -> State:
        """Enrol an authority and start its gateway."""
        bus = self.bus(DIRECTORY_PUBLISHER)
        state = await self._deployment.enrol(authority, name, bus=bus, administration=self._administration)
        self._tasks[authority] = asyncio.create_task(self._connect(state), name=authority)
        return state

    async def ready(self) -> None:
        """Let every part begin."""
        await asyncio.sleep(0)
        self.check_alive()

    async def revoke_key(self, authority: AuthorityId, key: KeyId) -> int:
        """Revoke a signing key."""
        bus = self.bus(DIRECTORY_PUBLISHER)
        return await self._deployment.revoke_key(authority, key, bus=bus, administration=self._administration)

    async def kill_router(self) -> None:
        """Cancel its task."""
        await _cancelled(self._tasks.pop("router"))

    async def start_router(self) -> None:
        """Start it again."""
        self._serve("router")

    def bus(self, principal: str) -> Bus:
        """The memory broker as this principal."""
        return MemoryBus(self._broker, principal)

    def check_alive(self) -> None:
        """Raise when a part has ended by itself."""
        for name, task in self._tasks.items():
            if task.done():
                reason = None if task.cancelled() else task.exception()
                raise Unreachable("process-ended", f"{name} ended by itself ({type(reason).__name__}).") from reason

    def hints(self) -> Sequence[str]:
        """The folders that stay; the bus is gone when this process ends."""
        return (f"comity case list --home {self.home.root}", f"comity inbox --as xb-pgo --home {self.home.root}")

    async def close(self) -> None:
        """Stop all parts."""
        for name in reversed(list(self._tasks)):
            await _cancelled(self._tasks.pop(name))

    def _serve(self, name: str) -> None:
        main = MAINS[name]
        process = Process(name, self._settings)
        self._tasks[name] = asyncio.create_task(process.run(lambda p: main(p, self.bus(name))), name=name)

    async def _connect(self, state: State) -> None:
        bus = self.bus(state.folder.authority)
        async with opened_gateway(state, bus, alert=_keep_silent) as (gateway, _):
            await gateway.run()


def _keep_silent(_alert: Alert) -> None:
    """The story tells what happens; a real connector logs and counts its alerts."""


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task
