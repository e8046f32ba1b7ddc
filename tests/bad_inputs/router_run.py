"""Every bad record through the real router on the memory bus, one after the other, with a neighbour at work beside it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hub.core.authority import HubRole
from hub.core.ids import AuthorityId
from hub.core.records import Outgoing, Place, Position, Record
from hub.core.topics import inbox, outbox
from hub.envelope.certificates import PathCache
from hub.envelope.checking import judge
from hub.envelope.signers import SoftwareSigner, generate_signer
from hub.errors import ComityError
from hub.testing import FakeAuthority, FixedClock, MemoryBus, fake_trust_list
from tests.bad_inputs.cases import Case, Expected, Line, Outcome, Poison
from tests.bad_inputs.said import At, Said, holds_canary
from tests.bad_inputs.smith import Smith
from tests.flow.conftest import NOW_MS, Hub, World

WAIT_SECONDS: Final = 20.0
DAY_MS: Final = 24 * 3600 * 1000
MS_MAX: Final = 250.0  # the promise for one bad input
ATTACKER, NEIGHBOUR, RECIPIENT = AuthorityId("xa-moj"), AuthorityId("xc-acc"), AuthorityId("xb-pgo")
"""Attacker and neighbour share a shard of two, so that what stops one would stop the other."""
CURVES: Final = (AuthorityId("xd-ecc"), AuthorityId("xe-ecc"))  # attacker and recipient in suite S2, which has ECDSA


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a case. ``check_ms`` is the hub's check of it, ``routed_ms`` from the outbox to the ledger."""

    case: Line
    became: Expected
    check_ms: float
    routed_ms: float
    faults: tuple[str, ...] = ()

    @property
    def as_expected(self) -> bool:
        """Whether the table is right, and nobody else was harmed."""
        return self.became == self.case.expected and not self.faults


@dataclass(frozen=True, slots=True)
class Cast:
    """Who writes: an attacker for each kind of case, a neighbour, and the trust list that names them all."""

    world: World
    smiths: Mapping[str, Smith]
    neighbour: FakeAuthority


def make_cast() -> Cast:
    """Keys for everybody."""
    people = {name: FakeAuthority(name, now_ms=NOW_MS) for name in (ATTACKER, NEIGHBOUR, RECIPIENT)}
    people |= {name: FakeAuthority(name, now_ms=NOW_MS, suite="S2") for name in CURVES}
    spare = {name: _spare_keys(people[ATTACKER], name) for name in ("expired", "early", "revoked")}
    router = tuple(generate_signer(each) for each in ("Ed25519", "ML-DSA-65"))
    trust = fake_trust_list(
        people.values(), now_ms=NOW_MS, hub_keys={HubRole.ROUTER: tuple(signer.public for signer in router)}
    )
    plain = Smith(
        people[ATTACKER],
        RECIPIENT,
        trust=trust,
        now_ms=NOW_MS,
        spare=spare,
        others={"neighbour": people[NEIGHBOUR]},
    )
    ecdsa = Smith(people[CURVES[0]], CURVES[1], trust=trust, now_ms=NOW_MS)
    world = World({}, router, trust, FixedClock(NOW_MS))
    smiths = {**dict.fromkeys(("any", "others", "spare-keys"), plain), "ecdsa": ecdsa}
    return Cast(world, smiths, people[NEIGHBOUR])


_WINDOWS: Final = {  # from, until, revoked
    "expired": (NOW_MS - 2 * DAY_MS, NOW_MS - DAY_MS, None),
    "early": (NOW_MS + DAY_MS, NOW_MS + 2 * DAY_MS, None),
    "revoked": (NOW_MS - 2 * DAY_MS, NOW_MS + DAY_MS, NOW_MS - DAY_MS),
}


def _spare_keys(authority: FakeAuthority, name: str) -> tuple[SoftwareSigner, ...]:
    """Keys of the authority that the list names and that are not in force."""
    twin = FakeAuthority(authority.id, now_ms=NOW_MS)
    from_ms, until_ms, revoked_ms = _WINDOWS[name]
    keys = (replace(key, from_ms=from_ms, until_ms=until_ms, revoked_ms=revoked_ms) for key in twin.authority.signing)
    authority.authority = replace(authority.authority, signing=(*authority.authority.signing, *keys))
    return tuple(signer for signer, _ in twin.signers)


class RouterRun:
    """One router for all cases."""

    def __init__(self, cast: Cast, home: Path) -> None:
        self._cast = cast
        self._hub = Hub(cast.world, home)
        self._said = Said(cast.world.trust)
        self._next: dict[Place, int] = {}
        self._log = io.StringIO()
        self._loop_errors: list[str] = []

    async def run(self, cases: Iterable[Case]) -> list[Result]:
        """Every case, in order. Raises what ends the router."""
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self._loop_errors.append(str(context)))
        handler = logging.StreamHandler(self._log)
        logging.getLogger().addHandler(handler)
        try:
            with contextlib.redirect_stderr(self._log), contextlib.redirect_stdout(self._log):
                task = self._hub.work()
                results = [await self._one(case, task) for case in cases]
                await self._hub.leave()
        finally:
            logging.getLogger().removeHandler(handler)
            for _, left in self._hub.workers:
                left.cancel()
        return results

    async def _one(self, case: Case, router: asyncio.Task[None]) -> Result:
        smith = self._cast.smiths[case.cast]
        poison = case.forge(smith)
        own = outbox(smith.authority.id)
        check_ms = self._check(poison, own)
        for each in await self._send(*poison.before):
            await self._until((each.topic, each.offset), router)
        before_copies = self._copies_of(smith)
        begun = time.perf_counter()
        at = await self._send_poison(poison, own)
        if at is None:
            became, routed_ms = Expected(Outcome.BROKER, "record-too-large"), 0.0
        else:
            await self._until(at, router)
            routed_ms = (time.perf_counter() - begun) * 1000
            became = self._said.became(at)
            case.settle(smith, poison, became)
        after = await self._send(smith.good(), self._neighbours())
        for each in after:
            await self._until((each.topic, each.offset), router)
        faults = [*self._harm(after), *(self._said.contradictions(at) if at else ()), *self._traces()]
        copies = self._copies_of(smith) - before_copies - 1
        if copies != (became.outcome is Outcome.ACCEPTED):
            faults.append(f"{copies} copies")
        return Result(case, became, check_ms, routed_ms, tuple(faults))

    def _check(self, poison: Poison, topic: str) -> float:
        """How long the hub's check of the record takes, alone."""
        record = Record(topic, 0, 0, NOW_MS, poison.key, poison.value, poison.headers)
        begun = time.perf_counter()
        judge(record, self._cast.world.trust, paths=PathCache())
        return (time.perf_counter() - begun) * 1000

    def _neighbours(self) -> Outgoing:
        return self._cast.neighbour.letter(RECIPIENT, trust=self._cast.world.trust, now_ms=NOW_MS)

    async def _send(self, *outgoing: Outgoing) -> list[Position]:
        positions: list[Position] = []
        for each in outgoing:
            writer = await MemoryBus(self._hub.broker, each.topic.removeprefix("outbox.")).writer()
            positions += await writer.send([each])
        return positions

    async def _send_poison(self, poison: Poison, topic: str) -> At | None:
        try:
            (position,) = await self._send(poison.outgoing(topic))
        except ComityError as error:
            if error.code != "record-too-large":
                raise
            return None
        return position.topic, position.offset

    async def _until(self, at: At, router: asyncio.Task[None]) -> None:
        """Wait until a record is decided. Raises the router's error if it ended, ``TimeoutError`` if it stands."""
        async with asyncio.timeout(WAIT_SECONDS):
            while at not in self._said.decided:
                if router.done():
                    router.result()
                await self._hub.broker.wait(0.05)
                self._read()

    def _read(self) -> None:
        """Read what the hub wrote since the last time."""
        broker = self._hub.broker
        for topic, partitions in broker.topics().items():
            for place in (Place(topic, number) for number in range(partitions)):
                found, self._next[place] = broker.partition(place).committed(self._next.get(place, 0), 1 << 30)
                for record in found:
                    self._said.take(record)

    def _harm(self, after: Sequence[Position]) -> Iterator[str]:
        for who, each in zip(("the attacker's next", "the neighbour's next"), after, strict=True):
            if self._said.decided[each.topic, each.offset].code is not None:
                yield f"{who} was refused"

    def _traces(self) -> Iterator[str]:
        yield from (f"content in {place}" for place in self._said.leaks)
        self._said.leaks.clear()
        if holds_canary(self._log.getvalue().encode()):
            yield "content in a log"
        if "Traceback" in self._log.getvalue():
            yield "a traceback"
        self._log.seek(0)
        self._log.truncate()
        yield from (f"uncaught: {error}" for error in self._loop_errors)
        self._loop_errors.clear()

    def _copies_of(self, smith: Smith) -> int:
        self._read()
        return self._said.copies[inbox(smith.recipient), smith.authority.id]


async def run_through_router(cases: Iterable[Case], home: Path) -> list[Result]:
    """Every case through one router, with new keys."""
    return await RouterRun(make_cast(), home).run(cases)
