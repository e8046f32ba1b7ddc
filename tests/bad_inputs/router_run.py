"""Every bad record through the real router on the memory bus, one after the other, with a neighbour at work beside it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hub.core.authority import HubRole
from hub.core.entries import MessageEntry
from hub.core.ids import AuthorityId, Digest
from hub.core.receipts import ReceiptClaim
from hub.core.records import HUB_HEADER, Outgoing, Place, Position, Record
from hub.core.topics import LEDGER, QUARANTINE, inbox, outbox
from hub.envelope.certificates import PathCache
from hub.envelope.checking import judge
from hub.envelope.receipts import HeadCache, read_bundle
from hub.envelope.signers import SoftwareSigner, generate_signer
from hub.errors import ComityError
from hub.testing import FakeAuthority, FixedClock, MemoryBroker, MemoryBus, fake_trust_list
from hub.wire.ledger import decode_ledger
from hub.wire.quarantine import decode_quarantine
from tests.bad_inputs.cases import Case, Expected, Outcome, Poison
from tests.bad_inputs.smith import CANARY, Smith, jws_payload
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

    case: Case
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


def spellings(text: str) -> list[bytes]:
    """The text as it stands, and in base64 at its three alignments without the ends."""
    coded = [base64.b64encode(b"x" * shift + text.encode())[4:-4] for shift in range(3)]
    return [text.encode(), text.encode("utf-16-le"), *coded]


_NEEDLES: Final = spellings(CANARY)


def holds_canary(data: bytes) -> bool:
    """Whether something of a poison's content is in what the hub said."""
    return any(needle in data for needle in _NEEDLES)


class Said:
    """All that the hub wrote so far, read on from where it was: decisions, signed receipts, quarantine, copies."""

    def __init__(self, broker: MemoryBroker, world: World) -> None:
        self._broker, self._world = broker, world
        self._next: dict[Place, int] = {}
        self._heads = HeadCache()
        self.decided: dict[tuple[str, int], MessageEntry] = {}
        self.receipts: dict[tuple[str, int], ReceiptClaim] = {}
        self.told: Counter[Digest | None] = Counter()
        self.quarantined: dict[tuple[str, int], str] = {}
        self.copies: dict[str, list[Record]] = {}
        self.leaks: list[str] = []

    def read(self) -> None:
        """Read what is new."""
        for topic, partitions in self._broker.topics().items():
            for number in range(partitions):
                for record in self._new(Place(topic, number)):
                    self._take(record)

    def _new(self, place: Place) -> list[Record]:
        found, self._next[place] = self._broker.partition(place).committed(self._next.get(place, 0), 1 << 30)
        return found

    def _take(self, record: Record) -> None:
        if record.topic.startswith("outbox."):
            return
        own = record.topic.startswith("hub.") or HUB_HEADER in dict(record.headers)
        if own and holds_canary(record.value or b""):
            self.leaks.append(f"{record.topic}/{record.partition}/{record.offset}")
        if record.topic == LEDGER:
            entries = decode_ledger(record.value or b"").entries
            found = [entry for entry in entries if isinstance(entry, MessageEntry)]
            self.decided |= {(entry.outbox.topic, entry.outbox.offset): entry for entry in found}
        elif record.topic == QUARANTINE:
            model = decode_quarantine(record.value or b"")
            self.quarantined[model.topic, model.offset] = model.code
        elif record.topic.startswith("inbox."):
            self._take_inbox(record, bundle=own)

    def _take_inbox(self, record: Record, *, bundle: bool) -> None:
        if not bundle:
            self.copies.setdefault(record.topic, []).append(record)
            return
        read = read_bundle(record.value or b"", inbox=record.topic, trust=self._world.trust, heads=self._heads)
        receipts = [claim for claim in read.claims if isinstance(claim, ReceiptClaim)]
        self.receipts |= {(claim.outbox.topic, claim.outbox.offset): claim for claim in receipts}
        self.told.update(claim.jws for claim in receipts)


class RouterRun:
    """One router for all cases."""

    def __init__(self, cast: Cast, home: Path) -> None:
        self._cast = cast
        self._hub = Hub(cast.world, home)
        self._said = Said(self._hub.broker, cast.world)
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
            became = self._became(at)
            self._follow(smith, poison, became, case)
        after = await self._send(smith.good(), self._neighbours())
        for each in after:
            await self._until((each.topic, each.offset), router)
        faults = [*self._harm(after), *(self._told(at, became) if at else ()), *self._traces()]
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

    async def _send_poison(self, poison: Poison, topic: str) -> tuple[str, int] | None:
        try:
            (position,) = await self._send(poison.outgoing(topic))
        except ComityError as error:
            if error.code != "record-too-large":
                raise
            return None
        return position.topic, position.offset

    async def _until(self, at: tuple[str, int], router: asyncio.Task[None]) -> None:
        """Wait until a record is decided. Raises the router's error if it ended, ``TimeoutError`` if it stands."""
        async with asyncio.timeout(WAIT_SECONDS):
            while at not in self._said.decided:
                if router.done():
                    router.result()
                await self._hub.broker.wait(0.05)
                self._said.read()

    def _became(self, at: tuple[str, int]) -> Expected:
        entry = self._said.decided[at]
        if entry.repeat:
            return Expected(Outcome.REPEATED)
        return Expected(Outcome.ACCEPTED) if entry.code is None else Expected(Outcome.REFUSED, entry.code)

    def _follow(self, smith: Smith, poison: Poison, became: Expected, case: Case) -> None:
        """The chain goes on behind a surprise too, so that one wrong line of the table is one failure."""
        if became.counted and not case.expected.counted:
            smith.count(poison.headers)
        elif case.expected.counted and not became.counted:
            smith.uncount()

    def _harm(self, after: Sequence[Position]) -> Iterator[str]:
        for who, each in zip(("the attacker's next", "the neighbour's next"), after, strict=True):
            if self._said.decided[each.topic, each.offset].code is not None:
                yield f"{who} was refused"

    def _told(self, at: tuple[str, int], became: Expected) -> Iterator[str]:
        """The signed receipt and the quarantine record must say what the ledger says."""
        receipt = self._said.receipts.get(at)
        if became.outcome is Outcome.REPEATED:
            if self._said.told[self._said.decided[at].jws] != 2:
                yield "the receipt was not given again"
        elif receipt is None or receipt.code != became.code:
            yield "no signed receipt that says so"
        elif receipt.counted != became.counted:
            yield "the receipt counts otherwise"
        if self._said.quarantined.get(at) != (became.code if became.outcome is Outcome.REFUSED else None):
            yield f"quarantine says {self._said.quarantined.get(at)}"

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
        self._said.read()
        return len([each for each in self._said.copies.get(inbox(smith.recipient), ()) if self._is_of(each, smith)])

    @staticmethod
    def _is_of(copy: Record, smith: Smith) -> bool:
        return bool(jws_payload(dict(copy.headers)["comity-jws"])["from"] == smith.authority.id)


async def run_through_router(cases: Iterable[Case], home: Path) -> list[Result]:
    """Every case through one router, with new keys."""
    return await RouterRun(make_cast(), home).run(cases)
