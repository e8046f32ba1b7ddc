"""Registrar and watch as processes of their own on a real Kafka, killed again and again."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hub.adapters.clock import SystemChance, SystemClock
from hub.adapters.files.home import Home
from hub.adapters.files.keys import write_signers
from hub.adapters.kafka.admin import KafkaAdmin
from hub.adapters.kafka.broker import LocalBroker, client_config
from hub.adapters.kafka.bus import KafkaBus
from hub.adapters.kafka.deployment import Deployment, apply_topics
from hub.adapters.reading import read_to_end
from hub.adapters.sql.case_store import CaseStore
from hub.adapters.sql.engine import open_engine, sqlite_url
from hub.adapters.sql.watch_store import WatchStore
from hub.core.authority import HubRole, PublicKey, TrustList
from hub.core.cases import register
from hub.core.entries import LedgerRecord
from hub.core.ids import AuthorityId, sha256
from hub.core.records import Outgoing, Place, Record
from hub.core.timekeeping import open_clocks_max
from hub.core.topics import LEDGER, inbox
from hub.envelope.receipts import HeadCache, read_bundle
from hub.envelope.signers import generate_signer
from hub.streams.ledger_steps import logged
from hub.wire.ledger import encode_ledger

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]

PARTITIONS = 2
WRITER = "router-shard-0"
AUTHORITIES = ("xa-moj", "xb-pgo")
TRANSACTIONS, CASES_EACH = 40, 5
KILLS = 8
WAIT_SECONDS = 90
PAST_MS = 3 * 3600 * 1000


class Followers:
    """Worker processes of registrar and watch, which a test kills and starts again."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._running: dict[tuple[str, str], subprocess.Popen[bytes]] = {}
        self._log = (home.root / "followers.log").open("ab")

    def start(self, name: str, worker: str) -> None:
        """Start a worker."""
        command = [sys.executable, "-m", "hub", "serve", name, "--home", str(self._home.root), "--worker", worker]
        self._running[name, worker] = subprocess.Popen(command, stderr=self._log)

    def kill_and_restart(self, chance: random.Random) -> None:
        """SIGKILL one of them."""
        key = chance.choice(sorted(self._running))
        self._running[key].kill()
        self._running[key].wait(10)
        self.start(*key)

    def dead(self) -> list[tuple[str, int]]:
        """Those that ended by themselves, with their exit codes."""
        return [(name, each.returncode) for (name, _), each in self._running.items() if each.poll() is not None]

    def stop(self) -> list[int]:
        """SIGTERM all; their exit codes."""
        for each in self._running.values():
            each.send_signal(signal.SIGTERM)
        codes = [each.wait(30) for each in self._running.values()]
        self._log.close()
        return codes

    def end(self) -> None:
        """Kill what a failed test left."""
        for each in self._running.values():
            each.kill()
            each.wait(10)


@pytest.fixture
async def deployment(test_home, kafka_cache):
    """A broker of its own with two authorities, the watch's keys, and its trust list."""
    home, _ = test_home()
    signers = (generate_signer("Ed25519"), generate_signer("ML-DSA-65"))
    write_signers(home.role_keys(HubRole.WATCH), signers)
    broker = LocalBroker(home, cache=kafka_cache)
    await broker.start(SystemChance())

    def prepare() -> None:
        with KafkaAdmin(client_config(home, None, None, principal="admin")) as admin:
            authorities = frozenset(AuthorityId(name) for name in AUTHORITIES)
            apply_topics(admin, Deployment(authorities=authorities, shards=1, ledger_partitions=PARTITIONS))

    await asyncio.to_thread(prepare)
    trust = TrustList(
        deployment=sha256(b"test"),
        number=1,
        issued_ms=0,
        next_update_ms=0,
        shards=1,
        ledger_partitions=PARTITIONS,
        authorities={},
        hub_keys={HubRole.WATCH: tuple(PublicKey(key.key, key.algorithm, key.public.public) for key in signers)},
    )
    yield home, trust
    await broker.stop()


def _bus(home: Home, principal: str) -> KafkaBus:
    return KafkaBus(client_config(home, None, None, principal=principal), client_id=f"test-{principal}")


async def _write(home: Home, story: Any, chance: random.Random, followers: Followers) -> int:
    """Cases whose clocks are due already, every other one answered in time; the number of those that are not."""
    bus = _bus(home, "router")
    writer = await bus.transactional_writer(WRITER)
    numbers: Counter[int] = Counter()
    thread = unanswered = 0
    for _ in range(TRANSACTIONS):
        lanes: dict[int, list[Any]] = {}
        for _ in range(CASES_EACH):
            thread += 1
            start = story.clock("start", due_in_ms=600_000)
            request = story.message("xa-moj>xb-pgo", "request", start, thread=thread)
            entries = lanes.setdefault(thread % PARTITIONS, [])
            entries += [request, story.level("delivered", request)]
            if thread % 2:
                unanswered += 1
            else:
                stop = story.clock("stop")
                entries.append(story.message("xb-pgo>xa-moj", "response", stop, irt=request, thread=thread))
        records = []
        for partition, entries in lanes.items():
            numbers[partition] += 1
            record = LedgerRecord(writer=WRITER, n=numbers[partition], time_ms=story.now_ms, entries=tuple(entries))
            records.append(Outgoing(LEDGER, None, encode_ledger(record), partition=partition))
        await writer.transact(records, {}, WRITER)
        await asyncio.sleep(0.2)
        if chance.random() < KILLS / TRANSACTIONS:
            followers.kill_and_restart(chance)
    await writer.close()
    await bus.close()
    return unanswered


async def _read(home: Home, principal: str, *places: Place) -> list[Record]:
    bus = _bus(home, principal)
    reader = await bus.reader(dict.fromkeys(places, 0))
    found = [record async for record in read_to_end(reader)]
    await reader.close()
    await bus.close()
    return found


async def _settled(home: Home, followers: Followers, unanswered: int) -> list[Record]:
    """Wait until every flag is in the ledger and both databases have read it; the ledger then."""
    engine = open_engine(sqlite_url(home.case_database))
    stores = (CaseStore(engine), WatchStore(engine, warn_percents=()))
    places = [Place(LEDGER, partition) for partition in range(PARTITIONS)]
    for _ in range(WAIT_SECONDS):
        assert followers.dead() == []
        ledger = await _read(home, "registrar", *places)
        flags = [record for record in ledger if logged(record).record.writer.startswith("watch-")]
        raised = sum(len(logged(record).record.entries) for record in flags)
        ends = {partition: max(r.offset + 1 for r in ledger if r.partition == partition) for partition in range(2)}
        if raised >= unanswered and all(store.next_offsets(ends) == ends for store in stores):
            engine.dispose()
            return ledger
        await asyncio.sleep(1)
    raise AssertionError("not settled")


async def test_kills_change_neither_the_view_nor_the_flags(deployment, story, tmp_path: Path, empty_database: Path):
    """The case view is a plain fold of the ledger, byte for byte; each overdue flag came once to each side, in chains."""
    home, trust = deployment
    story.now_ms = SystemClock().now_ms() - PAST_MS
    chance = random.Random(7)
    followers = Followers(home)
    try:
        for name in ("registrar", "watch"):
            for worker in ("1", "2"):
                followers.start(name, worker)
        unanswered = await _write(home, story, chance, followers)
        ledger = await _settled(home, followers, unanswered)
        assert followers.stop() == [0] * 4
    finally:
        followers.end()

    plain = CaseStore(open_engine(sqlite_url(Path(shutil.copy(empty_database, tmp_path / "plain.db")))))
    for record in sorted(ledger, key=lambda record: (record.partition, record.offset)):
        plain.apply(
            [logged(record)],
            lambda view, entry, partition: register(
                view, entry, partition=partition, open_max=open_clocks_max(PARTITIONS)
            ),
        )
    lived = CaseStore(open_engine(sqlite_url(home.case_database)))
    assert list(lived.export()) == list(plain.export())
    audit = ["case", "rebuild", "--home", str(home.root), "--into", str(tmp_path / "audit.db"), "-o", "json"]
    command = [sys.executable, "-m", "hub", *audit]
    run = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert (run.returncode, json.loads(run.stdout)["identical"]) == (0, True), run.stderr

    for authority in AUTHORITIES:
        topic, heads = inbox(AuthorityId(authority)), HeadCache()
        values = dict.fromkeys(record.value or b"" for record in await _read(home, "admin", Place(topic, 0)))
        bundles = [read_bundle(value, inbox=topic, trust=trust, heads=heads) for value in values]
        for writer in {bundle.writer for bundle in bundles}:
            chain = [bundle for bundle in bundles if bundle.writer == writer]
            assert [bundle.chain.n for bundle in chain] == list(range(1, len(chain) + 1))
            assert [bundle.chain.prev for bundle in chain[1:]] == [bundle.digest for bundle in chain[:-1]]
        told = Counter((claim.thread, claim.flag) for bundle in bundles for claim in bundle.claims)
        assert (len(told), set(told.values())) == (unanswered, {1})
