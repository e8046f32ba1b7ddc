"""One seed, one run: a scheduler that lets whoever it draws act once, and kills at any point between two effects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from hub.core.topics import SHARDS as SHARDS_TOPIC
from tests.faults import lines
from tests.faults.checker import Anomaly, check
from tests.faults.checks.history import History
from tests.sim.actors import (
    Actor,
    CaseBase,
    WatchBase,
    Written,
    registrar,
    router,
    sender,
    watch,
)
from tests.sim.log import Fenced, Log
from tests.sim.world import NAMES, SHARDS, SILENT_DUE_MS, World

STEPS_MAX: Final = 20_000
CRASH_SHARE: Final = 0.04  # of acts, after which the actor is dead
WAKE_SHARE: Final = 0.1  # of acts while a zombie sleeps
ZOMBIE_SHARE: Final = 0.3  # of a router's deaths: it only sleeps, while another one takes over
DONE_MS: Final = 6 * SILENT_DUE_MS  # by then everything fell due that ever will


@dataclass(slots=True)
class Bugs:
    """What is planted, to see that it is found."""

    forgets: bool = False  # a new owner starts from nothing
    fences: bool = True  # the broker refuses an old owner


@dataclass(slots=True)
class Outcome:
    """What a run came to. ``trace``: who did what, in order."""

    seed: int
    steps: int
    crashes: int
    anomalies: list[str]
    trace: list[str] = field(default_factory=list)


class Simulation:
    """A hub of two shards, a registrar, a watch, three senders, and chance."""

    def __init__(self, world: World, seed: int, bugs: Bugs | None = None) -> None:
        bugs = bugs or Bugs()
        self.chance = Random(seed)
        self.seed = seed
        self.world = world
        self.log = Log(self.chance, fences=bugs.fences)
        self.cases, self.clocks, self.written = CaseBase(), WatchBase(), Written()
        self.crashes = 0
        self.trace: list[str] = []
        self._begin: dict[str, Callable[[], Actor]] = {
            **{
                f"router-{shard}": lambda shard=shard: router(shard, world, self.log, self.chance, forgets=bugs.forgets)
                for shard in range(SHARDS)
            },
            **{
                f"sender {name}": lambda name=name: sender(name, world, self.log, self.chance, self.written)
                for name in NAMES
            },
            "registrar": lambda: registrar(self.cases, self.log, self.chance),
            "watch": lambda: watch(self.clocks, world, self.log),
        }
        self._acting = {name: begin() for name, begin in self._begin.items()}
        self._zombies: list[tuple[str, Actor]] = []

    def run(self) -> Outcome:
        """Act under faults until everything is written, then in peace until nothing is left to do."""
        steps = 0
        while steps < STEPS_MAX and self._is_writing():
            steps += 1
            self._step(faults=True)
        self._wake_all()
        calm_since = self._progress()
        quiet = 0
        while steps < STEPS_MAX and not (quiet > 40 * len(self._begin) and self.log.now_ms > DONE_MS + self._born_ms):
            steps += 1
            self._step(faults=False)
            progress = self._progress()
            quiet = quiet + 1 if progress == calm_since else 0
            calm_since = progress
        return Outcome(self.seed, steps, self.crashes, self._judged(steps), self.trace)

    @property
    def _born_ms(self) -> int:
        return self.world.trust.issued_ms

    def _is_writing(self) -> bool:
        return any(self.written.next[name] < len(self.world.scripts[name]) for name in NAMES)

    def _progress(self) -> int:
        return self.log.size + sum(self.cases.place.next.values()) + sum(self.clocks.place.next.values())

    def _step(self, *, faults: bool) -> None:
        self.log.pass_time()
        if self._zombies and self.chance.random() < WAKE_SHARE:
            self._wake(self._zombies.pop(0))
            return
        name = self.chance.choice(list(self._acting))
        self._act(name, self._acting[name])
        if faults and self.chance.random() < CRASH_SHARE:
            self._crash(name)

    def _act(self, name: str, actor: Actor) -> None:
        try:
            did = next(actor)
        except StopIteration:
            del self._acting[name]
            did = "is done"
        except Fenced:
            did = "is fenced"
            self._acting[name] = self._begin[name]()
        self.trace.append(f"{self.log.now_ms} {name} {did}")

    def _crash(self, name: str) -> None:
        self.crashes += 1
        self.trace.append(f"{self.log.now_ms} {name} dies")
        if name.startswith("router") and self.chance.random() < ZOMBIE_SHARE:
            self._zombies.append((name, self._acting[name]))
        self._acting[name] = self._begin[name]()

    def _wake(self, zombie: tuple[str, Actor]) -> None:
        """Let an old owner go on where it slept, until it is fenced or has acted some more."""
        name, actor = zombie
        for _ in range(self.chance.randint(1, 8)):
            try:
                self.trace.append(f"{self.log.now_ms} {name}, a zombie, {next(actor)}")
            except Fenced:
                self.trace.append(f"{self.log.now_ms} {name}, a zombie, is fenced")
                return

    def _wake_all(self) -> None:
        while self._zombies:
            self._wake(self._zombies.pop())

    def _judged(self, steps: int) -> list[str]:
        found = [] if steps < STEPS_MAX else [f"not done after {STEPS_MAX} steps"]
        records = [record for record in self.log.all() if record.topic != SHARDS_TOPIC]
        topics = [
            lines.read(
                "final",
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                time_ms=record.time_ms,
                key=record.key,
                headers=record.headers,
                value=record.value,
            )
            for record in records
        ]
        taken = [
            lines.delivery(line)
            for line, record in zip(topics, records, strict=True)
            if line["kind"] == "copy" and lines.manifest(record.headers)["typ"] != "receipt"
        ]
        facts = {
            "fault": "simulation",
            "seed": self.seed,
            "drained": True,
            "ended_ms": self.log.now_ms,
            "flags_until_ms": self._born_ms + DONE_MS // 2,
        }
        report = check(History(self.written.lines, topics, taken, facts))
        found += [_said(each) for each in report.anomalies]
        plain = CaseBase()
        for partition in plain.place.next:
            while partition in plain.place.ready(self.log):
                plain.take(self.log, partition)
        if plain.view != self.cases.view:
            found.append("the case view is not what a plain fold of the ledger gives")
        return found


def _said(anomaly: Anomaly) -> str:
    return f"{anomaly.invariant} {anomaly.kind}: {anomaly.subject}: {anomaly.sentence}"
