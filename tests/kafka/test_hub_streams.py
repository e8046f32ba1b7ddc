"""The whole hub on a real Kafka, process by process: a routed message's clock runs out while its watchers are killed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from connectors.staging.processes import Processes
from hub.adapters.clock import SystemChance, SystemClock
from hub.adapters.files.clients import write_client
from hub.adapters.files.founding import Counts, found
from hub.adapters.files.home import ClientFiles, Home
from hub.adapters.files.keys import read_signers
from hub.adapters.files.transport import TransportAuthority
from hub.adapters.kafka.administration import KafkaAdministration
from hub.adapters.kafka.broker import LocalBroker, client_config
from hub.adapters.kafka.bus import KafkaBus
from hub.adapters.kafka.client_config import ClientConfig
from hub.adapters.reading import read_to_end
from hub.adapters.secretariat import Secretariat, publish_all
from hub.adapters.sql.case_store import CaseStore
from hub.adapters.sql.engine import open_engine, sqlite_url
from hub.core.access import ADMIN, DIRECTORY_PUBLISHER, REGISTRAR
from hub.core.authority import HubRole, TrustList
from hub.core.entries import MessageEntry
from hub.core.ids import AuthorityId, ClockId
from hub.core.manifest import ClockKind, ClockOperation, ClockVerb, MessageType
from hub.core.receipts import Claim, FlagClaim
from hub.core.records import HUB_HEADER, Outgoing, Place, Record
from hub.core.secretariat import LIST_VALID_MS, admit
from hub.core.topics import LEDGER, inbox
from hub.envelope import pki
from hub.envelope.receipts import HeadCache, read_bundle
from hub.streams.ledger_steps import logged
from hub.testing import FakeAuthority

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

COUNTS = Counts(shards=2, ledger_partitions=2)
NAMES = (AuthorityId("xa-moj"), AuthorityId("xb-pgo"))
SERVED = ("router", "registrar", "watch")
FOLLOWERS = ("registrar", "watch")
CLOCK = ClockId("c" * 16)
DUE_SECONDS = 3
WAIT_SECONDS = 60


class Hub:
    """A deployment on a broker of its own: a process for each part, and two authorities whose bodies nobody can open."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.clock = SystemClock()
        self.processes = Processes(home.logs, {})
        self.authorities = {name: FakeAuthority(name, now_ms=self.clock.now_ms()) for name in NAMES}
        self.trust: TrustList
        self._heads = HeadCache()

    async def publish(self) -> None:
        """Topics and permissions of both authorities, their Kafka certificates, and a signed list that names them."""
        secretariat, now_ms = Secretariat.open(self.home), self.clock.now_ms()
        self.trust = secretariat.newest()
        for each in self.authorities.values():
            self.trust = admit(self.trust, each.authority, now_ms=now_ms, next_update_ms=now_ms + LIST_VALID_MS)
            secretariat.sign(self.trust)
            self._issue(self._files(each.id), now_ms)
        administration = KafkaAdministration(client_config(self.home, None, None, principal=ADMIN))
        await administration.apply(self.trust, now_ms=now_ms)
        freshness = read_signers(self.home.role_keys(HubRole.FRESHNESS))
        bus = self._bus(DIRECTORY_PUBLISHER)
        await publish_all(bus, secretariat, freshness, now_ms=now_ms)
        await bus.close()

    async def start(self, *names: str) -> None:
        """Start processes, and wait until each does its work."""
        ports = {name: self.home.logs / f"{name}.port" for name in names}
        for name, port in ports.items():
            port.unlink(missing_ok=True)
            self.processes.start(name, "serve", name, "--home", str(self.home.root))
        for name, port in ports.items():
            await self.processes.ready(name, port)

    def kill(self, *names: str) -> None:
        """SIGKILL."""
        for name in names:
            self.processes.kill(name)

    async def send(self, letter: Outgoing) -> None:
        """Write a record as the owner of its outbox."""
        bus = self._bus(letter.topic.removeprefix("outbox."))
        writer = await bus.writer()
        await writer.send([letter])
        await writer.close()
        await bus.close()

    async def claims(self, authority: AuthorityId) -> list[Claim]:
        """What an authority reads in its inbox with its own certificate: every bundle checked, each once."""
        topic = inbox(authority)
        records = await self._read(authority, Place(topic, 0))
        values = dict.fromkeys(each.value or b"" for each in records if HUB_HEADER in dict(each.headers))
        bundles = [read_bundle(value, inbox=topic, trust=self.trust, heads=self._heads) for value in values]
        return [claim for bundle in bundles for claim in bundle.claims]

    async def flags(self) -> list[Counter[str]]:
        """How often each flag came to each side."""
        claims = [await self.claims(name) for name in NAMES]
        return [Counter(claim.flag.value for claim in each if isinstance(claim, FlagClaim)) for each in claims]

    async def routed(self) -> list[MessageEntry]:
        """The messages in the ledger."""
        places = [Place(LEDGER, partition) for partition in range(COUNTS.ledger_partitions)]
        entries = [entry for each in await self._read(REGISTRAR, *places) for entry in logged(each).record.entries]
        return [entry for entry in entries if isinstance(entry, MessageEntry)]

    def overdue(self) -> int:
        """How many clocks run past their due time in the case view."""
        engine = open_engine(sqlite_url(self.home.case_database))
        counts = CaseStore(engine).overdue_counts(self.clock.now_ms())
        engine.dispose()
        return sum(counts.values())

    async def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Wait for a state of the case view."""
        for _ in range(WAIT_SECONDS * 2):
            self.processes.check()
            if holds():
                return
            await asyncio.sleep(0.5)
        raise AssertionError(what)

    async def until_flag(self, flag: str) -> list[Counter[str]]:
        """Wait until both sides have a flag; all flags then."""
        for _ in range(WAIT_SECONDS):
            self.processes.check()
            flags = await self.flags()
            if all(flag in each for each in flags):
                return flags
            await asyncio.sleep(0.5)
        raise AssertionError((flag, flags))

    def _files(self, principal: str) -> ClientFiles:
        if principal in NAMES:
            return self.home.state(AuthorityId(principal)).client
        return self.home.client(principal)

    def _issue(self, files: ClientFiles, now_ms: int) -> None:
        transport = TransportAuthority.load(self.home.transport_ca)
        key = pki.generate_transport_key()
        certificate = transport.issue(files.principal, pki.transport_public(key), now_ms=now_ms, chance=SystemChance())
        files.folder.mkdir(parents=True)
        write_client(files, key_pem=key, certificate_pem=certificate, ca_pem=transport.certificate_pem)

    def _bus(self, principal: str) -> KafkaBus:
        server = client_config(self.home, None, None, principal=ADMIN).bootstrap_server
        return KafkaBus(ClientConfig.load(server, self._files(principal).properties), client_id=f"test-{principal}")

    async def _read(self, principal: str, *places: Place) -> list[Record]:
        bus = self._bus(principal)
        reader = await bus.reader(dict.fromkeys(places, 0))
        found = [record async for record in read_to_end(reader)]
        await reader.close()
        await bus.close()
        return found


@pytest.fixture
async def hub(tmp_path: Path, kafka_cache: Path) -> AsyncIterator[Hub]:
    """A broker of its own, the trust list in it, every process at work."""
    home = Home(tmp_path / "home")
    found(home, COUNTS, now_ms=SystemClock().now_ms(), chance=SystemChance())
    broker = LocalBroker(home, cache=kafka_cache)
    await broker.start(SystemChance())
    hub = Hub(home)
    try:
        await hub.publish()
        await hub.start(*SERVED)
        yield hub
    finally:
        await hub.processes.stop_all()
        await broker.stop()


async def test_a_routed_clock_is_overdue_once_whoever_is_killed(hub: Hub) -> None:
    """Watch and registrar die before the due time and after it: one flag a side, then met late, and the view agrees."""
    xa, xb = (hub.authorities[name] for name in NAMES)
    now_ms = hub.clock.now_ms()
    due_ms = (now_ms // 1000 + DUE_SECONDS) * 1000
    start = ClockOperation(ClockVerb.START, CLOCK, ClockKind.REPLY, due_ms)
    await hub.send(xa.letter(xb.id, trust=hub.trust, now_ms=now_ms, clocks=[start]))
    hub.kill(*FOLLOWERS)
    await hub.start(*FOLLOWERS)
    flags = await hub.until_flag("overdue")
    assert [each["overdue"] for each in flags] == [1, 1]
    (request,) = await hub.routed()
    assert (request.code, request.clocks) == (None, (start,))
    await hub.until("the case view counts the clock", lambda: hub.overdue() == 1)

    hub.kill(*FOLLOWERS)
    await hub.start(*FOLLOWERS)
    answer = xb.letter(
        xa.id,
        trust=hub.trust,
        now_ms=hub.clock.now_ms(),
        kind=MessageType.RESPONSE,
        thread=request.thread,
        in_reply_to=request.message,
        clocks=[ClockOperation(ClockVerb.STOP, CLOCK, ClockKind.REPLY)],
    )
    await hub.send(answer)
    hub.kill("router", "watch")
    await hub.start("router", "watch")
    flags = await hub.until_flag("met-late")
    assert [(each["overdue"], each["met-late"]) for each in flags] == [(1, 1), (1, 1)]
    await hub.until("the case view knows the answer", lambda: hub.overdue() == 0)
