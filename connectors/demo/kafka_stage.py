"""The story on a real Apache Kafka: the local broker, and an operating-system process for each part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from connectors.bootstrap import PORT_FILE, State
from connectors.demo.processes import Processes
from connectors.demo.stage import SCAN_MS, Deployment
from connectors.settings import ENVIRONMENT_PREFIX
from hub.adapters.files.home import Home
from hub.adapters.kafka.administration import KafkaAdministration
from hub.adapters.kafka.artifacts import KAFKA_VERSION
from hub.adapters.kafka.broker import LocalBroker, client_config
from hub.adapters.kafka.bus import KafkaBus
from hub.core.access import ADMIN, DIRECTORY_PUBLISHER
from hub.core.ids import AuthorityId, KeyId
from hub.ports import BrokerIdentity, Bus, Chance, Clock
from hub.settings import PROCESSES

ROUTER: Final = "router"
SERVED: Final = PROCESSES


class KafkaStage:
    """Implements ``Stage``."""

    def __init__(self, root: Path, cache: Path, clock: Clock, chance: Chance) -> None:
        self._deployment = Deployment(root, clock, chance)
        self._chance = chance
        self._broker = LocalBroker(self.home, cache=cache)
        self._processes = Processes(self.home.logs, {f"{ENVIRONMENT_PREFIX}SCAN_MS": str(SCAN_MS)})
        self._buses: dict[str, KafkaBus] = {}
        self._states: dict[AuthorityId, State] = {}

    @property
    def home(self) -> Home:
        """The deployment's folder."""
        return self._deployment.home

    async def open(self) -> BrokerIdentity:
        """Found the deployment, start the broker, begin the hub's processes."""
        self._deployment.found()
        await self._broker.start(self._chance)
        await self._deployment.publish_first(self.bus(DIRECTORY_PUBLISHER), self._administration())
        for name in SERVED:
            self._serve(name)
        return BrokerIdentity("Apache Kafka", KAFKA_VERSION)

    async def enrol(self, authority: AuthorityId, name: str) -> State:
        """Enrol an authority and begin its connector."""
        bus = self.bus(DIRECTORY_PUBLISHER)
        state = await self._deployment.enrol(authority, name, bus=bus, administration=self._administration())
        self._states[authority] = state
        self._processes.start(authority, "connector", "run", authority, "--home", str(self.home.root))
        return state

    async def ready(self) -> None:
        """Wait for every process, all at once."""
        for name in SERVED:
            await self._processes.ready(name, self.home.logs / f"{name}.port")
        for authority, state in self._states.items():
            await self._processes.ready(authority, state.folder.root / PORT_FILE)

    async def revoke_key(self, authority: AuthorityId, key: KeyId) -> int:
        """Revoke a signing key."""
        bus = self.bus(DIRECTORY_PUBLISHER)
        return await self._deployment.revoke_key(authority, key, bus=bus, administration=self._administration())

    async def kill_router(self) -> None:
        """SIGKILL."""
        self._processes.kill(ROUTER)
        (self.home.logs / f"{ROUTER}.port").unlink(missing_ok=True)

    async def start_router(self) -> None:
        """Start it again, and wait until it owns its shards."""
        self._serve(ROUTER)
        await self._processes.ready(ROUTER, self.home.logs / f"{ROUTER}.port")

    def bus(self, principal: str) -> Bus:
        """The cluster as this principal, with the files of its owner."""
        if principal not in self._buses:
            state = self._states.get(AuthorityId(principal))
            config = state.kafka() if state else client_config(self.home, None, None, principal=principal)
            self._buses[principal] = KafkaBus(config, client_id=f"demo-{principal}")
        return self._buses[principal]

    def processes(self) -> Mapping[str, int]:
        """The process id of each part but the broker."""
        return self._processes.ids()

    def check_alive(self) -> None:
        """Raise when a process has ended by itself."""
        self._processes.check()

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
        await self._processes.stop_all()
        for bus in self._buses.values():
            await bus.close()
        await self._broker.stop()

    def _administration(self) -> KafkaAdministration:
        return KafkaAdministration(client_config(self.home, None, None, principal=ADMIN))

    def _serve(self, name: str) -> None:
        self._processes.start(name, "serve", name, "--home", str(self.home.root))
