"""Raw batches into an outbox on a real Kafka, and the real router behind it: what the broker takes, and what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from aiokafka.client import AIOKafkaClient

from hub.adapters.clock import SystemClock
from hub.adapters.kafka.bus import KafkaBus
from hub.adapters.kafka.client_config import ClientConfig
from hub.core.access import ADMIN, ROUTER
from hub.core.authority import HubRole
from hub.core.ids import AuthorityId
from hub.core.records import Outgoing, Place, Position
from hub.core.topics import LEDGER, QUARANTINE, inbox, outbox
from hub.envelope.signers import generate_signer
from hub.errors import ComityError
from hub.ports import Reader
from hub.settings import HubSettings
from hub.streams.process import Process
from hub.streams.router import run_router
from hub.testing import FakeAuthority, fake_trust_list
from tests.bad_inputs.batches import write
from tests.bad_inputs.cases import Case, Expected, Outcome, Poison
from tests.bad_inputs.router_run import Result
from tests.bad_inputs.said import At, Said, holds_canary
from tests.bad_inputs.smith import Smith
from tests.flow.conftest import World

WAIT_SECONDS: Final = 30.0
SETTLE_SECONDS: Final = 5.0  # between the first and the last record of a transaction
BROKER_CODES: Final = {
    -1: "UNKNOWN_SERVER_ERROR",
    2: "CORRUPT_MESSAGE",
    3: "UNKNOWN_TOPIC_OR_PARTITION",
    10: "MESSAGE_TOO_LARGE",
    53: "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    87: "INVALID_RECORD",
}
"""Kafka's names, as its documentation has them."""
NEIGHBOURS: Final = 200  # letters that pass beside a broken outbox
NAMES: Final = tuple(AuthorityId(name) for name in ("xa-b3", "xb-b3", "xc-b3", "xf-b3"))
ATTACKER, RECIPIENT, NEIGHBOUR, STOPPED = NAMES
"""All on one shard of two. ``STOPPED`` sends what stops its outbox."""


class Cluster(Protocol):
    """A real Kafka (``tests.conftest.KafkaCluster``)."""

    shards: int
    ledger_partitions: int

    def config(self, principal: str) -> ClientConfig:
        """How ``principal`` connects."""
        ...

    def bus(self, principal: str) -> KafkaBus:
        """The cluster, as ``principal``."""
        ...

    def prepare(self, authorities: Sequence[str]) -> None:
        """Make topics and permissions."""
        ...


class KafkaRun:
    """One router for all cases. Use it by ``kafka_run``."""

    def __init__(self, cluster: Cluster, home: Path) -> None:
        now_ms = SystemClock().now_ms()
        self._cluster, self._home = cluster, home
        self._people = {name: FakeAuthority(name, now_ms=now_ms) for name in NAMES}
        self._keys = tuple(generate_signer(each) for each in ("Ed25519", "ML-DSA-65"))
        trust = fake_trust_list(
            self._people.values(),
            now_ms=now_ms,
            shards=cluster.shards,
            ledger_partitions=cluster.ledger_partitions,
            hub_keys={HubRole.ROUTER: tuple(signer.public for signer in self._keys)},
        )
        self._trust = trust
        self._said = Said(trust)
        self._clients: dict[AuthorityId, AIOKafkaClient] = {}
        self._buses: dict[str, KafkaBus] = {}
        self.log = io.StringIO()

    async def open(self) -> None:
        """Topics, the router, and somebody who reads all that it says."""
        await asyncio.to_thread(self._cluster.prepare, NAMES)
        for name in (ATTACKER, STOPPED):
            client = AIOKafkaClient(**self._cluster.config(name).connection())
            await client.bootstrap()
            self._clients[name] = client
        self._reader = await self._from_end()
        world = World({}, self._keys, self._trust, SystemClock(), freshness_ms=SystemClock().now_ms())  # type: ignore[arg-type]  # any clock
        self._process = Process("router", HubSettings(home=self._home, worker="b3"))
        self._router = asyncio.create_task(
            run_router(self._process, bus=self._bus(ROUTER), directory=world, signers=self._keys, clock=SystemClock())
        )

    async def close(self) -> None:
        """Stop everything. Raises what ended the router."""
        self._process.stop()
        try:
            await self._router
        finally:
            for client in self._clients.values():
                await client.close()
            for bus in self._buses.values():
                await bus.close()

    def smith(self, name: AuthorityId) -> Smith:
        """An attacker."""
        return Smith(self._people[name], RECIPIENT, trust=self._trust, now_ms=SystemClock().now_ms())

    async def one(self, case: Case) -> Result:
        """Send a poison, then good letters of the attacker and a neighbour, and wait for all that was stored."""
        stops = case.expected.outcome is Outcome.SET_ASIDE
        smith = self.smith(STOPPED if stops else ATTACKER)
        poison = case.forge(smith)
        begun = time.perf_counter()
        refusal, places = await self._send(poison, smith)
        if stops:
            after = await self._publish([self._letter(NEIGHBOUR) for _ in range(NEIGHBOURS)])
            refusal, places = refusal or await self._set_aside(places), places[:1]
        for at in places:
            await self._until(at)
        became = refusal or self._alike(places)
        routed_ms = (time.perf_counter() - begun) * 1000
        if not stops:
            case.settle(smith, poison, became)
            after = await self._publish([self._letter(smith.authority.id), self._letter(NEIGHBOUR)])
        faults = await self._contradictions(places)
        for position in after:
            at = position.topic, position.offset
            await self._until(at)
            if self._said.became(at).outcome is not Outcome.ACCEPTED:
                faults.append(f"{at} was not accepted")
        return Result(case, became, 0.0, routed_ms, (*faults, *self._traces()))

    async def _send(self, poison: Poison, smith: Smith) -> tuple[Expected | None, list[At]]:
        """The refusal of broker or writer, or the places where the records lie."""
        topic = outbox(smith.authority.id)
        if poison.batch is None:
            try:
                ((_, _, offset, _),) = await self._publish([poison.outgoing(topic)])
            except ComityError as error:
                return Expected(Outcome.PRODUCER, error.code), []
            return None, [(topic, offset)]
        answer = await write(self._clients[smith.authority.id], topic, poison.batch, partition=poison.partition)
        if answer.code:
            return Expected(Outcome.BROKER, BROKER_CODES[answer.code]), []
        return None, [(topic, answer.offset + number) for number in range(poison.count)]

    async def _publish(self, letters: Sequence[Outgoing]) -> list[Position]:
        positions: list[Position] = []
        for topic in dict.fromkeys(letter.topic for letter in letters):
            writer = await self._bus(topic.removeprefix("outbox.")).writer()
            positions += await writer.send([each for each in letters if each.topic == topic])
        return positions

    def _letter(self, name: AuthorityId) -> Outgoing:
        return self._people[name].letter(RECIPIENT, trust=self._trust, now_ms=SystemClock().now_ms())

    def _alike(self, places: Sequence[At]) -> Expected:
        """What became of all records of a batch. Raises ``ValueError`` when it was not the same."""
        (became,) = {self._said.became(at) for at in places}
        return became

    async def _set_aside(self, places: Sequence[At]) -> Expected:
        """The code in quarantine of the first place that cannot be read."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                found = [code for at, code in self._said.quarantined.items() if at in places[1:]]
                if found:
                    return Expected(Outcome.SET_ASIDE, found[0])
                await self._follow()

    async def _until(self, at: At) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while at not in self._said.decided:
                await self._follow()

    async def _contradictions(self, places: Sequence[At]) -> list[str]:
        """What the hub says against itself of these records, once all of the transaction was read."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                while any(self._said.contradictions(at) for at in places[-1:]):
                    await self._follow()
        return [fault for at in places for fault in self._said.contradictions(at)]

    async def _follow(self) -> None:
        """Read on in what the hub says. Raises the router's error if it ended."""
        if self._router.done():
            self._router.result()
        for record in await self._reader.fetch(wait_ms=100, records_max=1000):
            self._said.take(record)

    async def _from_end(self) -> Reader:
        """A reader of ledger, quarantine and inboxes from where they end now: other tests wrote before."""
        places = [Place(LEDGER, number) for number in range(self._cluster.ledger_partitions)]
        places += [Place(QUARANTINE, 0), *(Place(inbox(name), 0) for name in NAMES)]
        reader = await self._bus(ADMIN).reader(dict.fromkeys(places, 0))
        for place, end in (await reader.end_offsets()).items():
            reader.seek(place, end)
        return reader

    def _bus(self, principal: str) -> KafkaBus:
        return self._buses.setdefault(principal, self._cluster.bus(principal))

    def _traces(self) -> Iterator[str]:
        yield from (f"content in {place}" for place in self._said.leaks)
        self._said.leaks.clear()
        said = self.log.getvalue()
        if holds_canary(said.encode()):
            yield "content in a log"
        if "Traceback" in said:
            yield "a traceback"
        self.log.seek(0)
        self.log.truncate()


async def run_through_kafka(cases: Sequence[Case], cluster: Cluster, home: Path) -> list[Result]:
    """Every case through one router on the cluster. The one that stops its outbox must be the last."""
    run = KafkaRun(cluster, home)
    handler = logging.StreamHandler(run.log)
    logging.getLogger().addHandler(handler)
    try:
        with contextlib.redirect_stderr(run.log):
            await run.open()
            try:
                return [await run.one(case) for case in cases]
            finally:
                await run.close()
    finally:
        logging.getLogger().removeHandler(handler)
