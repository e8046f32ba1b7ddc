"""The hub's processes under test: killed and started again at once, kept alive as a supervisor would, listened to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from connectors.staging.cluster import Cluster, process_name
from hub.errors import NotPermitted, Unreachable, UsageError, VerificationFailed
from hub.streams.supervisor import BACK_OFF_SECONDS_FIRST, BACK_OFF_SECONDS_MAX, STEADY_SECONDS

ROUTER: Final = "router"
REGISTRAR: Final = "registrar"
WATCH: Final = "watch"
LOOK_SECONDS: Final = 0.1
NEVER_ENDS_WITH: Final = frozenset({0, 1, *(each.exit_code for each in (UsageError, NotPermitted, VerificationFailed))})
"""Exit codes that no fault of a broker or a kill explains: nobody asked for a stop, and no rule or file is wrong."""


class Member(NamedTuple):
    """A process of the hub."""

    kind: str
    worker: str

    @property
    def name(self) -> str:
        """What it is called in logs."""
        return process_name(self.kind, self.worker)


@dataclass(slots=True)
class Life:
    """One process from its start on. Times are the loop's, in seconds."""

    started: float
    routed: float | None = None  # a router's first message


class Workers:
    """All processes. ``recoveries``: seconds from the start of a killed router to the first message that it routed."""

    def __init__(self, cluster: Cluster, *, module: str) -> None:
        self._cluster = cluster
        self._module = module
        self._lives: dict[Member, Life] = {}
        self._back_off: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._frozen: set[Member] = set()
        self.kills: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()  # processes that ended by themselves: "router 70"
        self.recoveries: list[float] = []

    async def start(self, *members: Member) -> None:
        """Start processes, and wait until each does its work. Raises ``Unreachable``."""
        for member in members:
            self._begin(member)
        for member in members:
            await self._cluster.served(member.kind, worker=member.worker)
        for member in members:
            if member.kind == ROUTER and self._lives[member].routed is None:
                self._spawn(self._first_routed(member, self._lives[member], counts=False))

    def keep(self) -> None:
        """From now on start again whatever ends by itself."""
        self._spawn(self._keep())

    def check(self) -> None:
        """Raise what a task of ours raised."""
        for task in [each for each in self._tasks if each.done()]:
            self._tasks.discard(task)
            task.result()

    def kill(self, member: Member) -> None:
        """SIGKILL, and start it again at once."""
        if not self.is_running(member):
            return  # it ended by itself an instant ago; its keeper starts it again
        self.kills[member.kind] += 1
        self._cluster.kill(member.kind, worker=member.worker)
        self._begin(member)
        if member.kind == ROUTER:
            self._spawn(self._first_routed(member, self._lives[member], counts=True))

    def forgive(self) -> None:
        """Start again at once what ended until now: a fault that lets a process end by itself means it."""
        self._back_off.clear()

    async def join(self, member: Member) -> None:
        """Another worker comes. Raises ``Unreachable`` when it does not work in time."""
        await self.start(member)

    async def leave(self, member: Member) -> None:
        """A worker stops cleanly and stays away. Raises ``Unreachable`` when it does not end."""
        self._lives.pop(member, None)
        await self._cluster.processes.stop(member.name)

    def freeze(self, member: Member) -> None:
        """SIGSTOP: it does nothing, and does not know it."""
        self._frozen.add(member)
        os.kill(self.pid(member), signal.SIGSTOP)

    def thaw(self, member: Member) -> None:
        """SIGCONT."""
        os.kill(self.pid(member), signal.SIGCONT)
        self._frozen.discard(member)

    def pid(self, member: Member) -> int:
        """Its process id. Raises ``KeyError`` when it does not run."""
        return self._cluster.processes.ids()[member.name]

    def is_running(self, member: Member) -> bool:
        """Whether it was started and has not ended by itself."""
        return member.name in self._cluster.processes.ids()

    def has_routed(self, member: Member) -> bool:
        """Whether a router has routed since it was started."""
        return member in self._lives and self._lives[member].routed is not None

    @property
    def members(self) -> list[Member]:
        """Those that are meant to run."""
        return list(self._lives)

    async def close(self) -> None:
        """Stop looking after them, and stop them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for member in set(self._frozen):
            self.thaw(member)
        await self._cluster.processes.stop_all()

    # --- what they say ----------------------------------------------------------------------------

    def said(self, logs: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Every line of every log that is JSON, with the process's name."""
        for path in sorted(logs.glob("*.log")):
            for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError):
                    yield path.stem, json.loads(text)

    # --- tasks ------------------------------------------------------------------------------------

    def _begin(self, member: Member) -> None:
        module = self._module if member.kind == ROUTER else "hub"
        self._cluster.serve(member.kind, worker=member.worker, module=module)
        self._lives[member] = Life(asyncio.get_running_loop().time())

    def _spawn(self, work: Any) -> None:
        self._tasks.add(asyncio.create_task(work))

    async def _first_routed(self, member: Member, life: Life, *, counts: bool) -> None:
        """Ask the process itself, through its metrics, until it has routed or another one took its place."""
        loop = asyncio.get_running_loop()
        while self._lives.get(member) is life:
            with contextlib.suppress(Unreachable, KeyError):
                metrics = await self._cluster.metrics(member.kind, worker=member.worker)
                if metrics["comity_events_accepted_total"] > 0 and self._lives.get(member) is life:
                    life.routed = loop.time()
                    if counts:
                        self.recoveries.append(life.routed - life.started)
                    return
            await asyncio.sleep(LOOK_SECONDS)

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            for name, code in self._cluster.processes.ended().items():
                member = next((each for each in self._lives if each.name == name), None)
                if member is None:
                    continue
                self.ends[f"{member.kind} {code}"] += 1
                lived = loop.time() - self._lives[member].started
                back_off = BACK_OFF_SECONDS_FIRST if lived > STEADY_SECONDS else self._next_back_off(name)
                self._back_off[name] = back_off
                self._spawn(self._revive(member, back_off))
            await asyncio.sleep(LOOK_SECONDS)

    def _next_back_off(self, name: str) -> float:
        return min(self._back_off.get(name, BACK_OFF_SECONDS_FIRST / 2) * 2, BACK_OFF_SECONDS_MAX)

    async def _revive(self, member: Member, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if member in self._lives and not self.is_running(member):
            self._begin(member)
            if member.kind == ROUTER:
                await self._first_routed(member, self._lives[member], counts=False)
