"""A deployment that faults are done to: a broker of its own with TLS and access rules, authorities that write, workers.

A fault is a module of ``tests.faults.faults`` with ``NAME``, ``TITLE``, ``DOSES`` and::

    async def run(lab: Lab, dose: Dose, chance: Random) -> Mapping[str, object]

which is called when the hub works and messages flow, and returns figures of its own for the report. It may use

==============================  ======================================================================================
``lab.workers``                 ``members``, ``kill(member)`` (and start at once), ``freeze``, ``thaw``, ``join``, ``leave``
``lab.broker``                  the ``LocalBroker``: ``kill()``, ``stop()``, and ``lab.start_broker()``
``lab.sleep(seconds)``          wait, and raise what broke in the lab meanwhile
``lab.routed_after(...)``       wait until the hub routes again
``lab.until_routed(...)``       wait for what only a message brings about
``lab.traffic``                 ``submit(number, sign)``: a letter beside the planned ones; ``recent(number)``
``lab.told(line)``              the line of a submission that the fault made by itself (``tests.faults.lines.submission``)
``lab.progress``                what the hub still owes, as live readers see it
``lab.anomaly(sentence)``       what is wrong beside the checker's findings
``lab.history``                 the files of the run
==============================  ======================================================================================

``async with opened(dose, seed=..., folder=..., cache=...) as lab`` gives a lab whose hub works; ``await lab.drained()``
waits for the end, ``await lab.closed_history(facts)`` stops everything and leaves a whole history in ``folder``.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

from connectors.staging.cluster import Cluster
from hub.adapters.clock import SystemChance, SystemClock
from hub.adapters.files.clients import write_client
from hub.adapters.files.founding import Counts
from hub.adapters.files.transport import TransportAuthority
from hub.adapters.kafka.broker import LocalBroker
from hub.adapters.secretariat import Secretariat, publish_all
from hub.core.access import ADMIN, DIRECTORY_PUBLISHER
from hub.core.authority import TrustList
from hub.core.ids import AuthorityId
from hub.core.topics import LEDGER, QUARANTINE, inbox, outbox
from hub.envelope import pki
from hub.testing import FakeAuthority
from tests.faults import lines
from tests.faults.authors import Author
from tests.faults.doses import Dose
from tests.faults.historian import History, LiveReader, read_all
from tests.faults.lines import Line
from tests.faults.plan import LIVE, plan
from tests.faults.progress import Progress
from tests.faults.traffic import Traffic, neighbour_of
from tests.faults.workers import REGISTRAR, ROUTER, WATCH, Member, Workers

COUNTS: Final = Counts(shards=4, ledger_partitions=4)
ROOT: Final = Path(__file__).parents[2]
DRAIN_SECONDS_MAX: Final = 120.0
ROUTED_SECONDS_MAX: Final = 120.0
LOOK_SECONDS: Final = 0.1
MORE_SECONDS: Final = 0.25  # between messages that nobody planned: each shard gets one every second or two
CALM_SECONDS: Final = 1.5  # without anything owed; the watch looks at its clocks twice a second


class Lab:
    """A running deployment. Times are the loop's in seconds, or the log's in milliseconds."""

    def __init__(self, cluster: Cluster, dose: Dose, chance: Random, history: History) -> None:
        self.cluster = cluster
        self.dose = dose
        self.history = history
        self.clock = SystemClock()
        self.progress = Progress()
        self.anomalies: list[str] = []
        self.workers = Workers(cluster, module=dose.module)
        self.authors: list[Author] = []
        self.trust: TrustList
        self._traffic: Traffic | None = None
        self._chance = chance
        self._readers: list[LiveReader] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._began = self._ended = 0.0

    # --- for faults -------------------------------------------------------------------------------

    @property
    def broker(self) -> LocalBroker:
        """The broker."""
        return self.cluster.broker

    @property
    def traffic(self) -> Traffic:
        """What authorities send. Raises ``RuntimeError`` before the lab is open."""
        if self._traffic is None:
            raise RuntimeError("the lab is not open")
        return self._traffic

    async def start_broker(self) -> None:
        """Start the broker again, and wait until it answers. Raises ``Unreachable``."""
        await self.broker.start(SystemChance())

    @property
    def routers(self) -> list[Member]:
        """The routers that are meant to run."""
        return [member for member in self.workers.members if member.kind == ROUTER]

    @property
    def is_sending(self) -> bool:
        """Whether planned messages are still to be sent."""
        return not self._tasks[0].done()

    def check(self) -> None:
        """Raise what broke in the lab itself."""
        self.workers.check()
        for task in self._tasks:
            if task.done():
                task.result()

    async def sleep(self, seconds: float) -> None:
        """Wait, and raise what breaks in the lab meanwhile."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            self.check()
            await asyncio.sleep(min(left, LOOK_SECONDS))

    async def until(self, what: str, holds: Callable[[], bool], seconds: float = ROUTED_SECONDS_MAX) -> float:
        """Wait until something holds, and return how long it took; an anomaly when it does not in time."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while not holds():
            if loop.time() - begun > seconds:
                self.anomaly(f"{what}: not in {seconds:.0f} s")
                break
            await self.sleep(LOOK_SECONDS)
        return loop.time() - begun

    async def until_routed(self, what: str, holds: Callable[[], bool]) -> float:
        """As ``until``, for what only a message brings about: some are sent, since all that was planned may be through."""
        sending = asyncio.create_task(self._send_some())
        try:
            return await self.until(what, holds)
        finally:
            sending.cancel()

    async def routed_after(self, what: str) -> float:
        """Wait until the ledger takes a message that it has not now, and return how long it took."""
        before = self.progress.routed
        return await self.until_routed(f"no message was routed after {what}", lambda: self.progress.routed > before)

    async def _send_some(self) -> None:
        while True:
            number = self._chance.randrange(len(self.authors))
            recipient = neighbour_of(self.authors, number, LIVE)
            self.traffic.submit(number, partial(self.authors[number].plain, recipient))
            await asyncio.sleep(MORE_SECONDS)

    def anomaly(self, sentence: str) -> None:
        """Note something that is wrong."""
        self.anomalies.append(sentence)

    # --- the run ----------------------------------------------------------------------------------

    async def open(self) -> None:
        """Found the deployment, start broker and workers, and let messages flow. Raises ``Unreachable``, ``UsageError``."""
        self.cluster.deployment.found()
        fakes = await asyncio.to_thread(self._admit)
        self.authors = [Author(fake, self.trust, self.clock, Random(self._chance.random())) for fake in fakes]
        self._traffic = Traffic(
            self.authors,
            plan(self.dose, self._chance),
            bus=self.cluster.bus,
            clock=self.clock,
            chance=self._chance,
            told=self.told,
        )
        await self.broker.start(SystemChance())
        await self.cluster.administration.apply(self.trust, now_ms=self.clock.now_ms())
        secretariat, freshness = Secretariat.open(self.cluster.home), self.cluster.deployment.freshness()
        bus = self.cluster.bus(DIRECTORY_PUBLISHER)
        await publish_all(bus, secretariat, freshness, now_ms=self.clock.now_ms())
        await self.workers.start(*self._first_members())
        self.workers.keep()
        config = self.cluster.config(ADMIN)
        ledger = [(LEDGER, partition) for partition in range(COUNTS.ledger_partitions)]
        inboxes = [(inbox(author.id), 0) for author in self.authors]
        self._readers = [LiveReader(config, places, self.history, self._read) for places in (inboxes, ledger)]
        self._began = asyncio.get_running_loop().time()
        self._tasks = [asyncio.create_task(work) for work in (self._traffic.run(), *(r.run() for r in self._readers))]

    async def drained(self) -> bool:
        """Wait until the hub owes nothing any more. Returns False, with an anomaly, when it does not come so far."""
        loop = asyncio.get_running_loop()
        while self.is_sending:
            await self.sleep(LOOK_SECONDS)
        calm = since = loop.time()
        while loop.time() - calm < CALM_SECONDS:
            await self.sleep(LOOK_SECONDS)
            self.traffic.check()
            owed = self.progress.owed() or (None if self.traffic.is_quiet else "answers are not sent")
            if owed is not None:
                calm = loop.time()
            if loop.time() - since > DRAIN_SECONDS_MAX:
                self.anomaly(f"after {DRAIN_SECONDS_MAX:.0f} s {owed}")
                break
        self._ended = loop.time()
        return self._ended - since < DRAIN_SECONDS_MAX

    @property
    def seconds(self) -> float:
        """From the first message to the end of the last one's way."""
        return self._ended - self._began

    async def closed_history(self, facts: Mapping[str, object], *, drained: bool) -> None:
        """Stop everything but the broker, read all topics, and write the facts."""
        flags_until_ms = min(self.progress.last_due_ms, self.clock.now_ms())
        await self.close()
        names = [author.id for author in self.authors]
        places = [(topic(name), 0) for topic in (outbox, inbox) for name in names]
        places += [(LEDGER, partition) for partition in range(COUNTS.ledger_partitions)]
        await read_all(self.cluster.config(ADMIN), [*places, (QUARANTINE, 0)], self.history)
        said = {"drained": drained, "ended_ms": self.clock.now_ms(), "flags_until_ms": flags_until_ms}
        self.history.facts({**facts, **said})
        self.history.close()

    async def close(self) -> None:
        """Stop senders, live readers and workers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._traffic is not None:
            await self._traffic.close()
        await self.workers.close()

    def _first_members(self) -> list[Member]:
        counts = {ROUTER: self.dose.routers, REGISTRAR: self.dose.registrars, WATCH: self.dose.watches}
        return [Member(kind, str(number)) for kind, many in counts.items() for number in range(1, many + 1)]

    def _admit(self) -> list[FakeAuthority]:
        """Keys, Kafka certificates and a signed list of all authorities, before there is a broker to tell it to."""
        now_ms, home = self.clock.now_ms(), self.cluster.home
        names = [AuthorityId(f"xa-{number:04d}") for number in range(1, self.dose.authorities + 1)]
        fakes = [FakeAuthority(name, now_ms=now_ms) for name in names]
        secretariat, transport = Secretariat.open(home), TransportAuthority.load(home.transport_ca)
        newest = secretariat.newest()
        admitted = {fake.id: fake.authority for fake in fakes}
        self.trust = secretariat.sign(replace(newest, number=newest.number + 1, authorities=admitted))
        for name in names:
            files, key = home.state(name).client, pki.generate_transport_key()
            certificate = transport.issue(name, pki.transport_public(key), now_ms=now_ms, chance=SystemChance())
            files.folder.mkdir(parents=True)
            write_client(files, key_pem=key, certificate_pem=certificate, ca_pem=transport.certificate_pem)
        return fakes

    def told(self, line: Line) -> None:
        """Write a submission down, and wait for its outcome at the end if the broker acknowledged it."""
        self.history.write("senders", line)
        if line["outcome"] == "ok":
            self.progress.submitted(line)

    def _read(self, line: Line, record: Any) -> None:
        self.progress.read(line)
        if line["kind"] != "copy":
            return
        said = lines.manifest(record.headers)
        if said["typ"] != "receipt":
            self.history.write("recipients", lines.delivery(line))
            self.traffic.delivered(AuthorityId(line["topic"].removeprefix(lines.INBOX)), said)


@asynccontextmanager
async def opened(dose: Dose, *, seed: int, folder: Path, cache: Path) -> AsyncIterator[Lab]:
    """A lab whose hub works and whose messages flow. The history goes to ``folder``, the processes' logs beside it.

    Raises ``UsageError`` (no Java), ``Unreachable``.
    """
    root = Path(tempfile.mkdtemp(prefix="comity-faults-"))
    environment = {**dose.environment, "PYTHONPATH": str(ROOT)}
    cluster = Cluster(
        root, cache, SystemClock(), SystemChance(), counts=COUNTS, environment=environment, more=dose.broker
    )
    lab = Lab(cluster, dose, Random(seed), History(folder))
    try:
        await lab.open()
        yield lab
    finally:
        await lab.close()
        await cluster.close()
        await asyncio.to_thread(_keep_logs, cluster, folder)
        await asyncio.to_thread(shutil.rmtree, root, ignore_errors=True)


def _keep_logs(cluster: Cluster, folder: Path) -> None:
    for logs in (cluster.home.logs, cluster.broker.logs):
        if logs.exists():
            shutil.copytree(logs, folder / "logs", dirs_exist_ok=True)
