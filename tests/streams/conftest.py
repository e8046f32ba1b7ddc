"""A ledger on the memory bus, a watch with its own keys, and databases that survive it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from hub.adapters.sql.engine import open_engine, sqlite_url
from hub.adapters.sql.watch_store import WatchStore
from hub.core.access import WATCH, access_rules, topic_specs
from hub.core.authority import HubRole, PublicKey, TrustList
from hub.core.effects import Alert
from hub.core.entries import Entry, LedgerRecord
from hub.core.ids import AuthorityId, sha256
from hub.core.records import Outgoing, Record
from hub.core.topics import LEDGER, inbox
from hub.envelope.receipts import Bundle, HeadCache, read_bundle
from hub.envelope.signers import generate_signer
from hub.ports import Bus
from hub.streams.faust_transport import FaustSettings
from hub.streams.heads import head_signer
from hub.streams.watch_steps import WatchSteps
from hub.testing import FixedClock, MemoryBroker, MemoryBus
from hub.wire.ledger import encode_ledger

AUTHORITIES = tuple(AuthorityId(name) for name in ("xa-moj", "xb-pgo", "xc-acc"))
PARTITIONS = 2
PERCENTS = (50, 80)


@dataclass
class Ledger:
    """``hub.ledger`` and the inboxes on a memory broker; writes entries as the router does, in order."""

    broker: MemoryBroker
    clock: FixedClock
    trust: TrustList
    numbers: dict[int, int] = field(default_factory=dict)

    def write(self, *entries: Entry, partition: int = 0) -> None:
        """One ledger record of the router's."""
        n = self.numbers[partition] = self.numbers.get(partition, 0) + 1
        record = LedgerRecord(writer="router-shard-0", n=n, time_ms=self.clock.now_ms(), entries=entries)
        self.broker.append("admin", Outgoing(LEDGER, None, encode_ledger(record), partition=partition))

    def records(self, partition: int = 0) -> list[Record]:
        """What a reader of the partition gets."""
        return [record for record in self.broker.records(LEDGER) if record.partition == partition]

    def bundles(self, authority: str) -> list[Bundle]:
        """The bundles in an inbox, each checked against the watch's key."""
        topic, heads = inbox(AuthorityId(authority)), HeadCache()
        return [
            read_bundle(record.value or b"", inbox=topic, trust=self.trust, heads=heads)
            for record in self.broker.records(topic)
        ]

    def told(self, authority: str) -> list[str]:
        """The flags and codes in an inbox, each bundle once, in order."""
        claims = [claim for bundle in dict.fromkeys(self.bundles(authority)) for claim in bundle.claims]
        return [str(getattr(claim, "flag", None) or getattr(claim, "code", None)) for claim in claims]


@dataclass
class Watching:
    """A watch and whoever restarts it: ``run`` takes the ledger and ticks once."""

    ledger: Ledger
    engine: Engine
    sign: Callable[[bytes], bytes]
    alerts: list[Alert] = field(default_factory=list)

    def start(self, bus: Bus | None = None, engine: Engine | None = None) -> WatchSteps:
        """A new process on the same database."""
        return WatchSteps(
            WatchStore(engine or self.engine, warn_percents=PERCENTS),
            bus=bus or MemoryBus(self.ledger.broker, WATCH),
            sign=self.sign,
            ledger_partitions=PARTITIONS,
            warn_percents=PERCENTS,
            clock=self.ledger.clock,
            alert=self.alerts.append,
        )

    async def run(self, steps: WatchSteps, *, ahead: int = 0) -> None:
        """Take what is new in every partition, then tick; ``ahead``: how many records others have written by then."""
        for partition in range(PARTITIONS):
            records = self.ledger.records(partition)
            if records:
                steps.take(records)
        await steps.tick(range(PARTITIONS), Taken(self.ledger, ahead))


@dataclass
class Taken:
    """All that was there was taken, and ``ahead`` more records are there by now. Implements ``Reach``."""

    ledger: Ledger
    ahead: int

    async def ends(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Behind the records that others write."""
        return {partition: len(self.ledger.records(partition)) + self.ahead for partition in partitions}

    async def taken(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Behind the records of the ledger."""
        return {partition: len(self.ledger.records(partition)) for partition in partitions}


@pytest.fixture(scope="session")
def watch_keys() -> tuple[Any, ...]:
    """The role's keys, Ed25519 and ML-DSA-65."""
    return generate_signer("Ed25519"), generate_signer("ML-DSA-65")


@pytest.fixture
def ledger(story, watch_keys) -> Ledger:
    """An empty deployment at the story's time."""
    clock = FixedClock(story.now_ms)
    specs = topic_specs(AUTHORITIES, shards=1, ledger_partitions=PARTITIONS, replication=1)
    public = tuple(PublicKey(key.key, key.algorithm, key.public.public) for key in watch_keys)
    trust = TrustList(
        deployment=sha256(b"test"),
        number=1,
        issued_ms=0,
        next_update_ms=story.now_ms,
        shards=1,
        ledger_partitions=PARTITIONS,
        authorities={},
        hub_keys={HubRole.WATCH: public},
    )
    return Ledger(MemoryBroker(clock, specs=specs, rules=access_rules(AUTHORITIES, shards=1)), clock, trust)


@pytest.fixture
def engine(tmp_path: Path, empty_database: Path) -> Iterator[Engine]:
    """A SQLite file with all tables."""
    engine = open_engine(sqlite_url(Path(shutil.copy(empty_database, tmp_path / "cases.db"))))
    yield engine
    engine.dispose()


@pytest.fixture
def watching(ledger: Ledger, engine: Engine, watch_keys) -> Watching:
    """A watch that was never started."""
    return Watching(ledger, engine, head_signer(watch_keys, ledger.clock))


@pytest.fixture
def faust_settings() -> FaustSettings:
    """Of an app that is never started."""
    return FaustSettings(
        group="registrar",
        client_id="registrar-1",
        bootstrap_server="127.0.0.1:9",
        ssl_context=None,
        session_ms=6000,
        heartbeat_ms=2000,
        step_ms=8000,
        record_bytes_max=2 * 1024 * 1024,
        data_folder=Path("never-made"),  # no app is started here
    )
