"""Who acts in a simulation. Each is a generator that yields between any two effects: there it may wait, or die.

What an actor must not forget when it dies is in the log, or in the object that it is given (its database).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final

from hub import flow
from hub.core.cases import CaseView
from hub.core.emission import Chains
from hub.core.entries import Entry
from hub.core.ids import AuthorityId, MessageId, slot
from hub.core.records import Outgoing, Place
from hub.core.shard import Numbered, ShardState
from hub.core.timekeeping import OwedClaim, WatchView
from hub.core.topics import LEDGER, SHARDS, inbox, outbox
from hub.wire.shards import decode_state
from tests.faults import lines
from tests.sim.log import Log
from tests.sim.world import LEDGER_PARTITIONS, NAMES, World
from tests.sim.world import SHARDS as SHARD_COUNT

Actor = Iterator[str]
"""Each yield says what was just done."""

LOST_SHARE: Final = 0.08  # of writes: nothing is stored
UNHEARD_SHARE: Final = 0.12  # of writes: stored, and the acknowledgement is lost
BATCH_MAX: Final = 6
PERCENTS: Final = (50, 80)


@dataclass(slots=True)
class Written:
    """What senders know of their own letters: the next one of each, and a line for each attempt."""

    next: dict[AuthorityId, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    again: dict[AuthorityId, bool] = field(default_factory=lambda: dict.fromkeys(NAMES, False))
    lines: list[lines.Line] = field(default_factory=list)


def sender(name: AuthorityId, world: World, log: Log, chance: Random, written: Written) -> Actor:
    """Write a script, each letter until it is acknowledged."""
    script = world.scripts[name]
    while (number := written.next[name]) < len(script):
        step = script[number]
        if step.after is not None and (arrived := _arrived(log, name, step.after)) is not True:
            if arrived is False:
                written.next[name] += 1
            yield "waits"
            continue
        drawn = chance.random()
        offset = None if drawn < LOST_SHARE else log.append(step.letter.record)
        heard = offset is not None and drawn >= LOST_SHARE + UNHEARD_SHARE
        _note(step.letter.record, step.letter.expect, written, name, log, offset if heard else None)
        written.again[name] = not heard
        if heard:
            written.next[name] += 1
        yield "wrote" if heard else "wrote, and does not know"


def _arrived(log: Log, name: AuthorityId, message: MessageId) -> bool | None:
    """Whether a message lies in the inbox; False when it was refused and never will; None when it is on its way."""
    for record in log.read(Place(inbox(name), 0)):
        if lines.jws_digest(record.headers) is not None and lines.manifest(record.headers)["id"] == message:
            return True
    for partition in range(LEDGER_PARTITIONS):
        for offset in range(log.end(Place(LEDGER, partition))):
            for entry in log.ledger(partition, offset).record.entries:
                if getattr(entry, "code", None) is not None and getattr(entry, "message", None) == message:
                    return False if getattr(entry, "counted", False) else None
    return None


def _note(
    record: Outgoing, expect: str | None, written: Written, name: AuthorityId, log: Log, offset: int | None
) -> None:
    unsure = written.again[name] and expect == "accept"
    written.lines.append(
        lines.submission(
            op=len(written.lines),
            outcome="info" if offset is None else "ok",
            expect=None if unsure else expect,
            topic=record.topic,
            headers=record.headers,
            value=record.value,
            offset=offset,
            begun_ms=log.now_ms,
            ended_ms=log.now_ms,
        )
    )


def router(shard: int, world: World, log: Log, chance: Random, *, forgets: bool = False) -> Actor:
    """One owner of a shard, from its take-over on. Raises ``Fenced`` when another one came. ``forgets``: a planted bug."""
    epoch = log.take_over(shard)
    yield "fenced the one before"
    state = ShardState() if forgets else decode_state(log.read(Place(SHARDS, shard)))
    yield "read its state"
    owners = [name for name in NAMES if slot(name, SHARD_COUNT) == shard]
    while True:
        records = [
            record
            for name in chance.sample(owners, len(owners))
            for record in log.read(Place(outbox(name), 0), state.next_offset(name))[: chance.randint(0, BATCH_MAX)]
        ]
        yield "read"
        if not records:
            continue
        judged = [world.judge(record) for record in records]
        yield "checked"
        routing = flow.route(judged, state, shard=shard, trust=world.trust, sign=world.sign)
        yield "decided"
        log.transact(shard, epoch, routing.records)
        yield "committed, and does not know"
        state = routing.state
        yield "knows"


@dataclass(slots=True)
class LedgerPlace:
    """How far a follower of the ledger is, by partition: where, and the last number of each writer."""

    next: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(LEDGER_PARTITIONS), 0))
    numbers: dict[tuple[int, str], int] = field(default_factory=dict)

    def entries(self, log: Log, partition: int) -> list[Entry]:
        """The entries of the next record, none of a repeated one; the place moves behind it."""
        record = log.ledger(partition, self.next[partition])
        self.next[partition] += 1
        key = (partition, record.record.writer)
        if record.record.n <= self.numbers.get(key, 0):
            return []
        self.numbers[key] = record.record.n
        return list(record.record.entries)

    def ready(self, log: Log) -> list[int]:
        """The partitions with something to read."""
        return [each for each in self.next if self.next[each] < log.end(Place(LEDGER, each))]


@dataclass(slots=True)
class CaseBase:
    """The registrar's database: its view and its place move together."""

    place: LedgerPlace = field(default_factory=LedgerPlace)
    view: CaseView = field(default_factory=CaseView)

    def take(self, log: Log, partition: int) -> None:
        """Fold the next record."""
        for entry in self.place.entries(log, partition):
            changes = flow.register(self.view, entry, partition=partition, ledger_partitions=LEDGER_PARTITIONS)
            self.view.take(changes, partition=partition)


def registrar(base: CaseBase, log: Log, chance: Random) -> Actor:
    """Fold whatever partition has something."""
    while True:
        ready = base.place.ready(log)
        if ready:
            base.take(log, chance.choice(ready))
        yield "folded"


@dataclass(slots=True)
class WatchBase:
    """The watch's database."""

    place: LedgerPlace = field(default_factory=LedgerPlace)
    views: dict[int, WatchView] = field(default_factory=lambda: {p: WatchView() for p in range(LEDGER_PARTITIONS)})
    owed: dict[int, list[OwedClaim]] = field(default_factory=lambda: {p: [] for p in range(LEDGER_PARTITIONS)})
    known: set[str] = field(default_factory=set)  # claims that were owed or raised before
    chains: dict[int, Chains] = field(
        default_factory=lambda: {p: Chains(0, Numbered(), {}) for p in range(LEDGER_PARTITIONS)}
    )
    outgoing: list[Outgoing] = field(default_factory=list)

    def take(self, log: Log, partition: int) -> None:
        """Fold the next record."""
        for entry in self.place.entries(log, partition):
            view = self.views[partition]
            moves = flow.watch(view, entry, partition=partition, ledger_partitions=LEDGER_PARTITIONS)
            view.take(moves.clocks, partition=partition)
            self.owed[partition] = [each for each in self.owed[partition] if each.id not in moves.settled]
            self.owed[partition] += [each for each in moves.owed if each.id not in self.known]
            self.known |= {*moves.settled, *(each.id for each in moves.owed)}

    def fire(self, partition: int, now_ms: int, sign: Callable[[bytes], bytes]) -> None:
        """Raise what is due, and store it signed and numbered."""
        claims, self.owed[partition] = self.owed[partition], []
        view = self.views[partition]
        for clock in list(view.clocks.values()):
            moves = flow.fall_due(clock, now_ms=now_ms, warn_percents=PERCENTS)
            view.take(moves.clocks, partition=partition)
            claims += [each for each in moves.owed if each.id not in self.known]
            self.known |= {each.id for each in moves.owed}
        if claims:
            emission = flow.emit(claims, self.chains[partition], partition=partition, sign=sign, time_ms=now_ms)
            chains = emission.chains
            self.chains[partition] = Chains(
                chains.ledger_n, chains.head, {**self.chains[partition].inboxes, **chains.inboxes}
            )
            self.outgoing += emission.records


def watch(base: WatchBase, world: World, log: Log) -> Actor:
    """Fold to the end that the ledger had after the time was read, raise what was due then, send until acknowledged."""
    while True:
        now_ms = log.now_ms
        yield "read the time"
        ends = {partition: log.end(Place(LEDGER, partition)) for partition in range(LEDGER_PARTITIONS)}
        for partition, end in ends.items():
            while base.place.next[partition] < end:
                base.take(log, partition)
                yield "folded"
            base.fire(partition, now_ms, world.sign)
            yield "stored what is due"
        while base.outgoing:
            log.append(base.outgoing[0])
            yield "sent, and does not know"
            del base.outgoing[0]
            yield "knows"
