"""A deployment on a local Apache Kafka of its own, with an operating-system process for each part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from connectors.bootstrap import PORT_FILE, State
from connectors.settings import ENVIRONMENT_PREFIX
from connectors.staging.deployment import COUNTS, SCAN_MS, Deployment
from connectors.staging.processes import HUB_MODULE, Processes
from hub.adapters.files.founding import Counts
from hub.adapters.files.home import ClientFiles, Home
from hub.adapters.kafka.administration import KafkaAdministration
from hub.adapters.kafka.broker import LocalBroker, client_config, local_server
from hub.adapters.kafka.bus import KafkaBus
from hub.adapters.kafka.client_config import ClientConfig
from hub.adapters.kafka.server import NOTHING_MORE
from hub.adapters.kafka.timing import Timing
from hub.core.access import ADMIN, DIRECTORY_PUBLISHER, HUB_PRINCIPALS
from hub.core.ids import AuthorityId
from hub.errors import Unreachable
from hub.ports import Chance, Clock

STEP_MS: Final = 60_000  # the first record of each of a thousand topics makes the broker wait for the disk
FIRST_WORKER: Final = "1"  # its files and its process have the plain name


class Cluster:
    """A home folder, its broker, the processes on it, and a bus for each principal. Close it, whatever happened.

    ``quick`` and ``more`` as for ``LocalBroker``; ``environment`` is added to that of each process.
    """

    def __init__(
        self,
        root: Path,
        cache: Path,
        clock: Clock,
        chance: Chance,
        *,
        counts: Counts = COUNTS,
        scan_ms: int = SCAN_MS,
        quick: bool = True,
        environment: dict[str, str] | None = None,
        more: Mapping[str, str] = NOTHING_MORE,
    ) -> None:
        self.deployment = Deployment(root, clock, chance, counts=counts, scan_ms=scan_ms)
        self.processes = Processes(
            self.home.logs, {f"{ENVIRONMENT_PREFIX}SCAN_MS": str(scan_ms), **(environment or {})}
        )
        self._chance = chance
        self.broker = LocalBroker(self.home, cache=cache, quick=quick, more=more)
        self._buses: dict[str, KafkaBus] = {}
        self._states: dict[AuthorityId, State] = {}

    @property
    def home(self) -> Home:
        """The deployment's folder."""
        return self.deployment.home

    @property
    def administration(self) -> KafkaAdministration:
        """The cluster, as its administrator."""
        return KafkaAdministration(self.config(ADMIN))

    async def open(self) -> None:
        """Found the deployment, start the broker, publish the first trust list. Raises ``UsageError``, ``Unreachable``."""
        self.deployment.found()
        await self.broker.start(self._chance)
        await self.deployment.publish_first(self.bus(DIRECTORY_PUBLISHER), self.administration)

    def serve(
        self,
        name: str,
        *,
        worker: str = FIRST_WORKER,
        module: str = HUB_MODULE,
        environment: Mapping[str, str] = NOTHING_MORE,
    ) -> None:
        """Begin a process of the hub; several workers of one have a name each. The rest as for ``Processes.start``."""
        self._port_file(name, worker).unlink(missing_ok=True)
        arguments = ("serve", name, "--home", str(self.home.root), "--worker", worker)
        self.processes.start(process_name(name, worker), *arguments, module=module, environment=environment)

    async def served(self, name: str, *, worker: str = FIRST_WORKER) -> None:
        """Wait until a process of the hub does its work. Raises ``Unreachable``."""
        await self.processes.ready(process_name(name, worker), self._port_file(name, worker))

    async def metrics(self, name: str, *, worker: str = FIRST_WORKER) -> dict[str, float]:
        """What a process of the hub says of itself now, without the metrics that have labels. Raises ``Unreachable``."""
        return await self.processes.metrics(process_name(name, worker), self._port_file(name, worker))

    def kill(self, name: str, *, worker: str = FIRST_WORKER) -> None:
        """SIGKILL."""
        self.processes.kill(process_name(name, worker))

    async def enrol(self, authority: AuthorityId, name: str) -> State:
        """Enrol an authority and begin its connector."""
        bus = self.bus(DIRECTORY_PUBLISHER)
        state = await self.deployment.enrol(authority, name, bus=bus, administration=self.administration)
        self._states[authority] = state
        self.processes.start(authority, "connector", "run", authority, "--home", str(self.home.root))
        return state

    async def connected(self) -> None:
        """Wait until every connector does its work. Raises ``Unreachable``."""
        for authority, state in self._states.items():
            await self.processes.ready(authority, state.folder.root / PORT_FILE)

    def config(self, principal: str) -> ClientConfig:
        """How a principal of the hub, or an authority with a folder here, connects, with the files of its owner."""
        if principal in HUB_PRINCIPALS:
            return client_config(self.home, None, None, principal=principal)
        files: ClientFiles = self.home.state(AuthorityId(principal)).client
        return ClientConfig.load(local_server(self.home), files.properties)

    def bus(self, principal: str) -> KafkaBus:
        """The broker as this principal; one for each, closed with the cluster."""
        if principal not in self._buses:
            self._buses[principal] = KafkaBus(
                self.config(principal), client_id=f"staging-{principal}", timing=Timing(step_ms=STEP_MS)
            )
        return self._buses[principal]

    def process_ids(self) -> dict[str, int]:
        """The process id of each part, the broker included. Raises ``Unreachable`` when the broker is gone."""
        broker = self.broker.state().pid
        if broker is None:
            raise Unreachable("broker-ended", "The broker is gone; see its logs in the home folder.")
        return {"broker": broker, **self.processes.ids()}

    async def close(self) -> None:
        """Stop all processes, then the broker."""
        await self.processes.stop_all()
        for bus in self._buses.values():
            await bus.close()
        await self.broker.stop()

    def _port_file(self, name: str, worker: str) -> Path:
        return self.home.logs / f"{process_name(name, worker)}.port"


def process_name(name: str, worker: str) -> str:
    """What a worker's process is called here, and its log and port file."""
    return name if worker == FIRST_WORKER else f"{name}-{worker}"
