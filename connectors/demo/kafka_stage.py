"""The story on a real Apache Kafka: the local broker, and an operating-system process for each part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from connectors.bootstrap import State
from connectors.staging.cluster import Cluster
from hub.adapters.files.home import Home
from hub.adapters.kafka.artifacts import KAFKA_VERSION
from hub.core.access import DIRECTORY_PUBLISHER
from hub.core.ids import AuthorityId, KeyId
from hub.ports import BrokerIdentity, Bus, Chance, Clock
from hub.settings import PROCESSES

ROUTER: Final = "router"
SERVED: Final = PROCESSES


class KafkaStage:
    """Implements ``Stage``."""

    def __init__(self, root: Path, cache: Path, clock: Clock, chance: Chance) -> None:
        self._cluster = Cluster(root, cache, clock, chance)

    @property
    def home(self) -> Home:
        """The deployment's folder."""
        return self._cluster.home

    async def open(self) -> BrokerIdentity:
        """Found the deployment, start the broker, begin the hub's processes."""
        await self._cluster.open()
        for name in SERVED:
            self._cluster.serve(name)
        return BrokerIdentity("Apache Kafka", KAFKA_VERSION)

    async def enrol(self, authority: AuthorityId, name: str) -> State:
        """Enrol an authority and begin its connector."""
        return await self._cluster.enrol(authority, name)

    async def ready(self) -> None:
        """Wait for every process, all at once."""
        for name in SERVED:
            await self._cluster.served(name)
        await self._cluster.connected()

    async def revoke_key(self, authority: AuthorityId, key: KeyId) -> int:
        """Revoke a signing key."""
        cluster = self._cluster
        bus = cluster.bus(DIRECTORY_PUBLISHER)
        return await cluster.deployment.revoke_key(authority, key, bus=bus, administration=cluster.administration)

    async def kill_router(self) -> None:
        """SIGKILL."""
        self._cluster.kill(ROUTER)

    async def start_router(self) -> None:
        """Start it again, and wait until it owns its shards."""
        self._cluster.serve(ROUTER)
        await self._cluster.served(ROUTER)

    def bus(self, principal: str) -> Bus:
        """The cluster as this principal, with the files of its owner."""
        return self._cluster.bus(principal)

    def processes(self) -> Mapping[str, int]:
        """The process id of each part but the broker."""
        return self._cluster.processes.ids()

    def check_alive(self) -> None:
        """Raise when a process has ended by itself."""
        self._cluster.processes.check()

    def hints(self) -> Sequence[str]:
        """Commands on the running deployment."""
        home = f"--home {self.home.root}"
        return (
            f"comity case list {home}",
            f"comity case overdue {home}",
            f"comity inbox --as xb-pgo {home}",
            f"comity authority list {home}",
            f"comity topics describe {home}",
            f"comity broker logs {home}",
        )

    async def close(self) -> None:
        """Stop all processes, then the broker."""
        await self._cluster.close()
