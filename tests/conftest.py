"""What every test may ask for: the public test vectors, read where they lie; entries of a ledger; a real Kafka."""

from __future__ import annotations

import asyncio
import inspect
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from hub.adapters.clock import SystemChance, SystemClock
from hub.adapters.files.clients import write_client
from hub.adapters.files.home import ClientFiles, Home
from hub.adapters.kafka.broker import LocalBroker
from hub.adapters.kafka.bus import KafkaBus
from hub.adapters.kafka.client_config import ClientConfig
from hub.adapters.kafka.timing import Timing
from hub.core.access import BROKER, HUB_PRINCIPALS
from hub.core.entries import Entry, LedgerRecord, LevelEntry, Logged, MessageEntry
from hub.core.ids import AuthorityId, ClockId, MessageId, ThreadId, sha256, uuid7
from hub.core.manifest import ClockKind, ClockOperation, ClockVerb, MessageType, ReceiptLevel
from hub.core.pairs import Pair
from hub.core.records import Position
from hub.envelope import pki

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of public test vectors: ``COMITY_VECTORS``, else ``shared/vectors`` beside the repository."""
    folder = Path(os.environ.get("COMITY_VECTORS", ROOT.parent / "shared" / "vectors"))
    if not folder.is_dir():
        pytest.skip(f"the public test vectors are not at {folder}; set COMITY_VECTORS to their folder")
    return folder


@pytest.fixture(scope="session", autouse=True)
def no_power_cut() -> Iterator[None]:
    """No test pulls the plug, so none waits for the disk: thousands of ``fsync`` take seconds. Programs that tests start wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


class Story:
    """Ledger entries as router and watch write them: counted ids, and a log that adds one second at each entry."""

    def __init__(self) -> None:
        self.now_ms = 1_795_600_800_000  # 2026-11-25T10:00:00Z
        self._drawn = 0
        self._offsets: Counter[str] = Counter()

    def thread(self, number: int) -> ThreadId:
        """The number as a thread."""
        return ThreadId(f"{number:032x}")

    def clock(self, verb: str, number: int = 1, kind: str = "reply", *, due_in_ms: int | None = None) -> ClockOperation:
        """An operation on clock ``number``; ``due_in_ms`` counts from now."""
        due_ms = None if due_in_ms is None else self.now_ms + due_in_ms
        return ClockOperation(ClockVerb(verb), ClockId(f"{number:016x}"), ClockKind(kind), due_ms)

    def message(
        self,
        way: str,
        kind: str = "request",
        *clocks: ClockOperation,
        thread: int | None = 1,
        irt: MessageEntry | None = None,
        owner: str | None = None,
        **changed: Any,
    ) -> MessageEntry:
        """An entry for ``"xa-moj>xb-pgo"``; ``owner`` is the topic's owner if another, ``changed`` any field."""
        sender, recipient = way.split(">")
        position = self._position(owner or sender)
        values: dict[str, Any] = {
            "jws": sha256(f"{position}".encode()),
            "message": uuid7(self.now_ms, self._drawn.to_bytes(10, "big")),
            "type": MessageType(kind),
            "sender": AuthorityId(sender),
            "recipient": AuthorityId(recipient),
            "thread": None if thread is None else self.thread(thread),
            "in_reply_to": None if irt is None else irt.message,
            "sequence": position.offset + 1,
            "clocks": clocks,
            "length": 4096,
            "counted": True,
            "outbox": position,
            "trust_list": 1,
        }
        return MessageEntry(**(values | changed))

    def level(self, level: str, message: MessageEntry, *, way: str | None = None, why: str | None = None) -> LevelEntry:
        """What the recipient of ``message`` says of it; ``way`` is the receipt list's, if another."""
        sender, recipient = way.split(">") if way else (str(message.recipient), str(message.sender))
        return LevelEntry(
            level=ReceiptLevel(level),
            message=MessageId(str(message.message)),
            thread=ThreadId(str(message.thread)),
            pair=Pair(AuthorityId(sender), AuthorityId(recipient)),
            why=why,
            proof=None,
            outbox=self._position(sender),
            trust_list=1,
        )

    def record(self, writer: str, n: int, *entries: Entry, partition: int = 0, offset: int | None = None) -> Logged:
        """A ledger record; its offset is ``n - 1`` unless told."""
        record = LedgerRecord(writer=writer, n=n, time_ms=self.now_ms, entries=entries)
        return Logged(partition, n - 1 if offset is None else offset, sha256(repr(record).encode()), record)

    def _position(self, owner: str) -> Position:
        self.now_ms += 1000
        self._drawn += 1
        self._offsets[owner] += 1
        return Position(f"outbox.{owner}", 0, self._offsets[owner] - 1, self.now_ms)


@pytest.fixture
def story() -> Story:
    """Entries of a ledger, told one after the other."""
    return Story()


class KafkaCluster:
    """A real Kafka, and client files for every principal of the hub and of the authorities that tests make up."""

    shards = 2
    ledger_partitions = 2

    def __init__(self, bootstrap_server: str, folder: Path, ca: pki.CertificateAuthority | None) -> None:
        self.bootstrap_server = bootstrap_server
        self._folder = folder
        self._ca = ca

    def config(self, principal: str) -> ClientConfig:
        """How ``principal`` connects; its certificate is made when it is needed."""
        files = ClientFiles(self._folder, principal)
        if not files.properties.exists():
            if self._ca is None:
                pytest.skip(f"{files.properties} is missing: the cluster's owner must issue it")
            issue_client(files, self._ca)
        return ClientConfig.load(self.bootstrap_server, files.properties)

    def bus(self, principal: str, *, timing: Timing | None = None) -> KafkaBus:
        """The cluster, as ``principal``."""
        return KafkaBus(self.config(principal), client_id=f"test-{principal}", timing=timing)

    def prepare(self, authorities: Iterable[str]) -> None:
        """Make the topics and permissions of these authorities. It blocks: use a thread in asynchronous tests."""
        from hub.adapters.kafka.admin import KafkaAdmin  # half a second that the default tests need not pay
        from hub.adapters.kafka.deployment import Deployment, apply_topics

        deployment = Deployment(
            authorities=frozenset(AuthorityId(name) for name in authorities),
            shards=self.shards,
            ledger_partitions=self.ledger_partitions,
        )
        with KafkaAdmin(self.config("admin")) as admin:
            apply_topics(admin, deployment)


def issue_client(files: ClientFiles, ca: pki.CertificateAuthority, *, server: bool = False) -> None:
    """A principal's key, certificate and properties, as ``comity init`` and ``comity authority enrol`` write them."""
    now_ms, chance = SystemClock().now_ms(), SystemChance()
    validity = pki.Validity(
        serial=pki.serial_number(chance.bytes(pki.SERIAL_BYTES)), from_ms=now_ms - 60_000, until_ms=now_ms + 86_400_000
    )
    key = pki.generate_transport_key()
    names = ("localhost", "127.0.0.1") if server else ()
    certificate = pki.issue_transport_certificate(
        ca, files.principal, pki.transport_public(key), validity, server_names=names
    )
    files.folder.mkdir(parents=True, exist_ok=True)
    write_client(
        files,
        key_pem=key,
        certificate_pem=pki.certificate_pem(certificate),
        ca_pem=pki.certificate_pem(ca.certificate),
    )


def broker_home(folder: Path) -> tuple[Home, pki.CertificateAuthority]:
    """A home folder with what a local broker needs, and the transport CA behind it."""
    now_ms = SystemClock().now_ms()
    validity = pki.Validity(serial=1, from_ms=now_ms - 60_000, until_ms=now_ms + 86_400_000)
    ca = pki.make_transport_ca("comity-test-transport", validity)
    home = Home(folder)
    for principal in HUB_PRINCIPALS:
        issue_client(home.client(principal), ca, server=principal == BROKER)
    return home, ca


def pytest_addoption(parser: pytest.Parser) -> None:
    """Kafka's own words for a cluster of one's own."""
    parser.addoption("--bootstrap-server", help="host:port of a Kafka for the tests marked kafka; else a local one")
    parser.addoption(
        "--command-config",
        type=Path,
        help="the admin's client properties; those of other principals lie beside it, as <principal>.properties",
    )


@pytest.fixture
def test_home(tmp_path: Path) -> Callable[[], tuple[Home, pki.CertificateAuthority]]:
    """Makes home folders, each with a transport CA of its own."""
    numbers = count()
    return lambda: broker_home(tmp_path / f"home-{next(numbers)}")


@pytest.fixture
def client_config(test_home) -> ClientConfig:
    """Client files that load, for a cluster that is not there."""
    return ClientConfig.load("127.0.0.1:1", test_home()[0].client("router").properties)


@pytest.fixture(scope="session")
def kafka_cache() -> Path:
    """Where Apache Kafka's jars are kept; skips when there is neither Java nor Maven to use them."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} here: install Java 17 and Maven, or name a cluster with --bootstrap-server")
    return Path(os.environ.get("COMITY_CACHE", "~/.cache/comity")).expanduser()


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """A real Kafka for the whole run: the named cluster, else a local broker from the official jars."""
    named, config = request.config.getoption("--bootstrap-server"), request.config.getoption("--command-config")
    if named is not None:
        if config is None:
            pytest.fail("--bootstrap-server needs --command-config: Comity has no plain connection")
        yield KafkaCluster(named, config.parent, None)
        return
    cache: Path = request.getfixturevalue("kafka_cache")
    home, ca = broker_home(tmp_path_factory.mktemp("kafka-home"))
    broker = LocalBroker(home, cache=cache)
    with ThreadPoolExecutor(1) as thread:  # an asynchronous test may be what asks for this fixture first
        state = thread.submit(asyncio.run, broker.start(SystemChance())).result()
    yield KafkaCluster(str(state.bootstrap_server), home.client("admin").folder, ca)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, broker.stop()).result()


@pytest.fixture
async def no_connections_left() -> AsyncIterator[None]:
    """Ends what aiokafka was still opening when it was stopped: Python would blame it on whatever test comes later."""
    yield
    loop: Any = asyncio.get_running_loop()
    # Asyncio lists its transports nowhere in public, and who opened these has forgotten them.
    for transport in list(loop._transports.values()):
        transport.abort()
    await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def nothing_left_open(request: pytest.FixtureRequest) -> None:
    """On a real Kafka, each test closes its connections with its loop."""
    if request.node.get_closest_marker("kafka") and inspect.iscoroutinefunction(request.function):
        request.getfixturevalue("no_connections_left")


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables and no row: copied, it is a fresh database in a millisecond."""
    from hub.adapters.sql.engine import open_engine, sqlite_url, upgrade

    path = tmp_path_factory.mktemp("database") / "cases.db"
    engine = open_engine(sqlite_url(path))
    upgrade(engine)
    engine.dispose()
    return path
