"""Gateways on the memory bus, driven step by step, each of which can be killed around every effect."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connectors.folder.desk import Desk
from connectors.folder.system import FolderSystem
from connectors.gateway.handover import HandOver
from connectors.gateway.keyring import Keyring
from connectors.gateway.loops import Gateway, Parts
from connectors.gateway.objects import open_objects
from connectors.gateway.opened import OpenedMessages
from connectors.gateway.receiving import Receiver
from connectors.gateway.sealing import Sealer
from connectors.gateway.sending import Sender
from connectors.gateway.store import Store, open_store
from connectors.ports import HandIn
from hub.adapters.clock import SystemChance
from hub.core.effects import Alert
from hub.core.ids import AuthorityId, Digest
from hub.core.manifest import MessageType, Priority
from hub.core.records import Record
from hub.core.times import parse_time
from hub.core.topics import inbox
from hub.testing import FixedClock, MemoryBus

NOW_MS = parse_time("2026-11-25T09:00:00Z")
XA, XB = AuthorityId("xa-moj"), AuthorityId("xb-pgo")


class Crash(BaseException):
    """The process is killed here."""


class Killer:
    """Kills at the ``at``-th effect, before or after it; paired, since a broker may have stored what it did not confirm."""

    def __init__(self) -> None:
        self.at = -1
        self.after = False
        self.count = 0

    @contextmanager
    def effect(self) -> Iterator[None]:
        """Around one effect."""
        now = self.count
        self.count += 1
        if now == self.at and not self.after:
            raise Crash
        yield
        if now == self.at and self.after:
            raise Crash


class MortalStore(Store):
    """A store that may be killed around each of its transactions."""

    killer: Killer

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """One durable transaction."""
        with self.killer.effect(), super().transaction() as connection:
            yield connection


def mortal(target: object, killer: Killer, *names: str) -> None:
    """Make methods of ``target`` effects that may be killed around."""
    for name in names:
        method = getattr(target, name)

        def killed(*args: Any, _method: Any = method) -> Any:
            with killer.effect():
                return _method(*args)

        setattr(target, name, killed)


class Station:
    """One authority's gateway on the memory bus, driven step by step by the test."""

    def __init__(self, name: AuthorityId, root: Path, keyring: Keyring, hub: Any, document: bytes) -> None:
        self.name = name
        self.root = root / name
        self.objects = root / "objects"  # of all
        self.trust = hub.trust
        self.broker = hub.broker
        self.keyring = keyring
        self.document = document
        self.clock = FixedClock(NOW_MS)
        self.alerts: list[Alert] = []
        self.killer = Killer()
        self.bus = MemoryBus(hub.broker, name)
        self.start()

    def start(self) -> None:
        """A new process on the same folder."""
        chance = SystemChance()
        opened = open_store(self.root / "connector.db", authority=self.name, key=self.keyring.storage, chance=chance)
        store = MortalStore(opened._engine, opened.vault)
        store.killer = self.killer
        system = FolderSystem(self.root / "exchange")
        system.prepare()
        objects = open_objects(str(self.objects))
        mortal(system, self.killer, "taken", "deliver", "confirm", "problem", "notify")
        mortal(objects, self.killer, "put")
        sealer = Sealer(self.name, self.keyring, chance=chance)
        self.sender = Sender(store, me=self.name, sealer=sealer, chance=chance)
        opened = OpenedMessages()
        self.receiver = Receiver(store, me=self.name, sealer=sealer, opened=opened)
        self.store = store
        self.gateway = Gateway(
            Parts(
                me=self.name,
                bus=self.bus,
                follower=self.trust,  # type: ignore[arg-type]  # it shows what a follower shows
                sender=self.sender,
                receiver=self.receiver,
                handover=HandOver(store, me=self.name, sealer=sealer, opened=opened, read_object=objects.get),
                objects=objects,
                system=system,
                clock=self.clock,
                chance=chance,
                alert=self.alerts.append,
            )
        )

    @property
    def desk(self) -> Desk:
        """The national side of its exchange folder."""
        return Desk(self.root / "exchange")

    @property
    def codes(self) -> list[str]:
        """The codes of all alerts so far."""
        return [alert.code for alert in self.alerts]

    async def send(self) -> None:
        """Take hand-ins, seal, publish."""
        await self.gateway.scan()
        self.gateway.seal()
        writer = await self.bus.writer()
        with self.killer.effect():
            await self.gateway.publish(writer)

    def records(self) -> list[Record]:
        """Everything in its inbox."""
        return self.broker.records(inbox(self.name))

    def receive(self) -> None:
        """Read the inbox from where the store stands."""
        records = self.records()[self.receiver.next_offset() :]
        while records:
            taken = self.receiver.take(records, self.trust.view, now_ms=self.clock.now_ms())
            self.alerts += taken.alerts
            records = records[taken.count :]

    async def step(self) -> None:
        """All loops once."""
        await self.send()
        self.receive()
        await self.gateway.hand_over()
        await self.gateway.tell()
        await self.send()

    def hand_in(self, key: str, to: AuthorityId, *, files: list[Path] | None = None, **changes: Any) -> None:
        """Put a hand-in into ``out``."""
        values: dict[str, Any] = {
            "type": MessageType.REQUEST,
            "thread": None,
            "in_reply_to": None,
            "priority": Priority.NORMAL,
            "clocks": (),
            "document": self.document,
        }
        values |= changes
        self.desk.hand_in(HandIn(key=key, digest=Digest(""), recipient=to, files=(), **values), files or [])

    def levels(self, key: str) -> list[str]:
        """The levels that are told of a hand-in."""
        known = ("accepted", "delivered", "opened", "acknowledged", "answered")
        return [level for level in known if self.desk.confirmation(key, level) is not None]

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """What the database says."""
        with self.store.transaction() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(statement)]


@dataclass
class Net:
    """The whole world of a test."""

    hub: Any
    trust: Any
    stations: dict[AuthorityId, Station]

    async def settle(self, rounds: int = 6) -> None:
        """Let everybody work until nothing moves."""
        for _ in range(rounds):
            before = self.moved()
            for station in self.stations.values():
                await station.step()
            self.hub.route()
            if self.moved() == before:
                return

    def moved(self) -> list[int]:
        """How long every topic is, and how much is told."""
        ends = [len(self.hub.broker.records(topic)) for topic in sorted(self.hub.broker.topics())]
        read = [station.receiver.next_offset() for station in self.stations.values()]
        return [*ends, *read]

    def advance(self, span_ms: int) -> None:
        """Let time pass for everybody."""
        for station in self.stations.values():
            station.clock.advance(span_ms)


@pytest.fixture
def net(keys: Any, hub: Any, documents: dict[str, bytes], tmp_path: Path) -> Iterator[Net]:
    """Two States, xa-moj and xb-pgo, at work; xc-acc is in the trust list."""
    stations = {
        name: Station(name, tmp_path, keys.members[name].keyring, hub, documents["request"]) for name in (XA, XB)
    }
    made = Net(hub, hub.trust, stations)
    yield made
    for station in made.stations.values():
        station.store.close()


@pytest.fixture
def xa(net: Net) -> Station:
    """The asking side."""
    return net.stations[XA]


@pytest.fixture
def xb(net: Net) -> Station:
    """The asked side."""
    return net.stations[XB]
