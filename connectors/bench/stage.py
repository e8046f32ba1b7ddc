"""A deployment to measure: a broker of its own whose JVM gets warm, authorities with real keys, workers as processes."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from connectors.staging.cluster import Cluster
from hub.adapters.clock import SystemChance, SystemClock
from hub.adapters.files.founding import Counts
from hub.adapters.secretariat import Secretariat, publish_all
from hub.cli.output import say
from hub.core.access import ADMIN, DIRECTORY_PUBLISHER
from hub.core.authority import TrustList
from hub.core.ids import AuthorityId
from hub.errors import ComityError, Unreachable
from hub.ports import Bus
from hub.testing import FakeAuthority

ROUTER: Final = "router"
BROKER: Final = "broker"
SHARED_SECONDS_MAX: Final = 60.0
LOOK_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How large a deployment is."""

    authorities: int
    shards: int = 4
    workers: int = 1
    ledger_partitions: int = 4
    suite: str = "S1"


class Stage:
    """A running deployment. ``fakes`` are its authorities after ``admit_fakes``; real ones are enrolled on ``cluster``."""

    def __init__(self, cluster: Cluster, shape: Shape) -> None:
        self.cluster = cluster
        self.shape = shape
        self.clock = SystemClock()
        self.chance = SystemChance()
        self.fakes: dict[AuthorityId, FakeAuthority] = {}
        self.trust: TrustList

    @property
    def workers(self) -> list[str]:
        """The routers' names as workers."""
        return [str(number) for number in range(1, self.shape.workers + 1)]

    @property
    def bus(self) -> Bus:
        """The broker as its administrator, who may write to each outbox and read each inbox."""
        return self.cluster.bus(ADMIN)

    async def admit_fakes(self) -> None:
        """Make the authorities' keys, topics and permissions, and one trust list that names them all."""
        now_ms = self.clock.now_ms()
        names = [AuthorityId(f"xa-{number:04d}") for number in range(1, self.shape.authorities + 1)]
        suite = self.shape.suite
        made = await asyncio.to_thread(lambda: [FakeAuthority(each, now_ms=now_ms, suite=suite) for each in names])
        self.fakes = {each.id: each for each in made}
        secretariat = Secretariat.open(self.cluster.home)
        newest = secretariat.newest()
        admitted = {each.id: each.authority for each in made}
        self.trust = secretariat.sign(replace(newest, number=newest.number + 1, authorities=admitted))
        await self.cluster.administration.apply(self.trust, now_ms=now_ms)
        freshness = self.cluster.deployment.freshness()
        await publish_all(self.cluster.bus(DIRECTORY_PUBLISHER), secretariat, freshness, now_ms=now_ms)

    async def start_routers(self) -> None:
        """Begin all workers, and wait until they share the shards. Raises ``Unreachable``."""
        for worker in self.workers:
            self.cluster.serve(ROUTER, worker=worker)
        for worker in self.workers:
            await self.cluster.served(ROUTER, worker=worker)
        for _ in range(int(SHARED_SECONDS_MAX / LOOK_SECONDS)):
            owned = [(await self.metrics(worker)).get("comity_shards_owned", 0) for worker in self.workers]
            if sum(owned) == self.shape.shards and (min(owned) > 0 or self.shape.shards < self.shape.workers):
                break
            await asyncio.sleep(LOOK_SECONDS)
        else:
            raise Unreachable("shards-not-shared", "The workers did not share the shards in time.")
        for worker in self.workers:
            await self.cluster.served(ROUTER, worker=worker)

    async def metrics(self, worker: str) -> dict[str, float]:
        """What a router says of itself now, without the metrics that have labels. Raises ``Unreachable``."""
        return await self.cluster.metrics(ROUTER, worker=worker)

    async def accepted(self) -> list[int]:
        """How many messages each worker has routed since it started."""
        return [int((await self.metrics(worker))["comity_events_accepted_total"]) for worker in self.workers]

    def parts(self) -> dict[str, Sequence[int]]:
        """The process ids of the broker and of each kind of process; several workers are one part."""
        found: dict[str, list[int]] = {}
        for name, pid in self.cluster.process_ids().items():
            found.setdefault(ROUTER if name.startswith(f"{ROUTER}-") else name, []).append(pid)
        return dict(found)


@asynccontextmanager
async def opened(shape: Shape, cache: Path, environment: dict[str, str] | None = None) -> AsyncIterator[Stage]:
    """A deployment in a temporary folder, with its broker running and nothing else yet; all is gone afterwards.

    After an error the logs are kept, and their folder is told. ``environment`` is added to that of each process. Raises ``UsageError``, ``Unreachable``.
    """
    root = Path(tempfile.mkdtemp(prefix="comity-bench-"))
    counts = Counts(shards=shape.shards, ledger_partitions=shape.ledger_partitions)
    cluster = Cluster(root, cache, SystemClock(), SystemChance(), counts=counts, quick=False, environment=environment)
    try:
        await cluster.open()
        yield Stage(cluster, shape)
    except ComityError:
        kept = tempfile.mkdtemp(prefix="comity-bench-logs-")
        if cluster.home.logs.exists():
            shutil.copytree(cluster.home.logs, kept, dirs_exist_ok=True)
        say(f"The logs are kept in {kept}.")
        raise
    finally:
        await cluster.close()
        await asyncio.to_thread(shutil.rmtree, root, ignore_errors=True)
