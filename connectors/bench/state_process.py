"""One State of ``comity bench e2e``: its connector as a process of its own, with a national system that only counts.

The connector is the real one, on its own database and keys. Its national system keeps everything in memory, since the
folder's flushes to the disk would be most of what is measured. The benchmark tells it what to do line by line::

    {"do": "prepare", "to": ["xb-0002", ...], "bytes": 4096}     documents, one for each entry of ``to``
    {"do": "go", "at": 1234.5, "every_s": 0.04}                  hand them in: all at once, or one after the other
    {"do": "progress"}                                           {"opened": 17}: how many of ours have all levels
    {"do": "times"}                                              {"due": {...}, "accepted": {...}, ...}; forgets them

Times are seconds of the machine's monotonic clock, which is one for all processes; keys are message ids.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import uvloop

from connectors.bootstrap import ConnectorProcess, State, route_library_logs
from connectors.ports import (
    Confirmation,
    Correspondent,
    Delivery,
    FileContent,
    HandIn,
    Notice,
    Problem,
    Step,
    Unusable,
)
from connectors.settings import ConnectorSettings
from hub.adapters.clock import SystemChance, SystemClock
from hub.adapters.files.home import Home
from hub.adapters.garbage import collect_seldom
from hub.adapters.kafka.bus import KafkaBus
from hub.core.ids import AuthorityId, sha256, uuid7
from hub.core.manifest import MessageType, Priority
from hub.core.times import format_time
from hub.envelope.strict_json import JsonObject, dump

HAND_INS_PER_SCAN_MAX: Final = 200  # as the folder
LINE_BYTES_MAX: Final = 64 * 1024 * 1024
_LEVELS: Final = (Step.ACCEPTED, Step.DELIVERED, Step.OPENED)


class CountingSystem:
    """Implements ``connectors.ports.NationalSystem``: hand-ins wait in memory, what comes is noted with its time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, HandIn] = {}
        self._times: dict[str, dict[str, float]] = {}
        self._problems: list[str] = []
        self._wake: Callable[[], None] = _nobody
        self.forget()

    def forget(self) -> None:
        """Drop all that was noted."""
        with self._lock:
            self._times = {name: {} for name in ("due", "stored", *_LEVELS)}
            self._problems = []

    def hand_in(self, hand_in: HandIn, due: float) -> None:
        """A message of ours waits from now on; it was due at ``due``."""
        with self._lock:
            self._times["due"][hand_in.key] = due
            self._waiting[hand_in.key] = hand_in
        self._wake()

    def progress(self) -> Mapping[str, Any]:
        """How many of our messages have reached all levels, and what failed."""
        with self._lock:
            return {"opened": len(self._times[Step.OPENED]), "problems": self._problems}

    def times(self) -> Mapping[str, Mapping[str, float]]:
        """When each message reached what."""
        with self._lock:
            return {name: dict(times) for name, times in self._times.items()}

    def watch(self, wake: Callable[[], None]) -> None:
        """Each hand-in wakes the gateway."""
        self._wake = wake

    def outgoing(self) -> Sequence[HandIn | Unusable]:
        """What waits, oldest first."""
        with self._lock:
            return list(self._waiting.values())[:HAND_INS_PER_SCAN_MAX]

    def waits(self, key: str) -> bool:
        """Whether it was not taken yet."""
        return key in self._waiting

    def content(self, hand_in: HandIn, number: int) -> Iterator[bytes]:
        """Hand-ins have no files here."""
        raise NotImplementedError

    def taken(self, key: str) -> None:
        """It does not wait any more."""
        with self._lock:
            self._waiting.pop(key, None)

    def deliver(self, delivery: Delivery, content: FileContent) -> None:  # noqa: ARG002 (no files)
        """A message came."""
        self._note("stored", delivery.message)

    def confirm(self, confirmation: Confirmation) -> None:
        """A message of ours reached a level."""
        if confirmation.step in _LEVELS:
            self._note(confirmation.step, confirmation.key)

    def problem(self, problem: Problem) -> None:
        """A message of ours failed."""
        with self._lock:
            self._problems.append(problem.code)

    def notify(self, notice: Notice) -> None:
        """Nothing is awaited."""

    def announce(self, correspondents: Sequence[Correspondent]) -> None:
        """Nobody reads it."""

    def _note(self, what: str, key: str) -> None:
        with self._lock:
            self._times[what].setdefault(key, time.monotonic())


def _nobody() -> None:
    """The gateway does not run yet."""


class Driver:
    """Carries out the lines."""

    def __init__(self, me: AuthorityId, system: CountingSystem) -> None:
        self._me = me
        self._system = system
        self._clock = SystemClock()
        self._chance = SystemChance()
        self._prepared: list[HandIn] = []
        self._going: set[asyncio.Task[None]] = set()

    async def obey(self, line: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer to one line."""
        match line["do"]:
            case "prepare":
                self._prepared = [self._made(AuthorityId(to), line["bytes"]) for to in line["to"]]
                return {"prepared": len(self._prepared)}
            case "go":
                task = asyncio.create_task(self._go(line["at"], line["every_s"]))
                self._going.add(task)
                task.add_done_callback(self._going.discard)
                return {}
            case "progress":
                return self._system.progress()
            case _:
                times = self._system.times()
                self._system.forget()
                return times

    async def _go(self, begin: float, every_s: float) -> None:
        for number, hand_in in enumerate(self._prepared):
            due = begin + number * every_s
            pause = due - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            self._system.hand_in(hand_in, due)

    def _made(self, recipient: AuthorityId, size: int) -> HandIn:
        now_ms = self._clock.now_ms()
        document = _document(now_ms, self._me, size)
        return HandIn(
            key=uuid7(now_ms, self._chance.bytes(10)),
            digest=sha256(document),
            type=MessageType.REQUEST,
            recipient=recipient,
            thread=None,
            in_reply_to=None,
            priority=Priority.NORMAL,
            clocks=(),
            document=document,
            files=(),
        )


def _document(now_ms: int, authority: AuthorityId, size: int) -> bytes:
    """A request of exactly ``size`` bytes, or as short as one can be."""
    members: JsonObject = {
        "event": "mla.request.submitted",
        "version": 1,
        "legal_basis": "UNCAC article 46",
        "occurred_at": format_time(now_ms),
        "requesting_authority": {"name": authority, "contact": None},
        "subject_matter": "A benchmark",
        "nature": "investigation",
        "conducting_authority": {"name": "J", "functions": "investigation"},
        "summary_of_facts": "",
        "assistance_types": ["f"],
        "assistance_sought": "records",
        "purpose": "To see how fast this goes.",
        "language": "en",
        "reference": f"{authority}/1",
    }
    members["summary_of_facts"] = "facts" + "." * (size - len(dump(members)) - len("facts"))
    return dump(members)


async def _whole(home: Home, authority: AuthorityId) -> None:
    state = State(home.state(authority), ConnectorSettings(), home)
    system = CountingSystem()
    process, driver = ConnectorProcess(state, system), Driver(authority, system)
    bus = KafkaBus(state.kafka(), client_id=f"connector-{authority}")
    lines = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    running = asyncio.create_task(process.run(bus))
    running.add_done_callback(lambda _: lines.feed_eof())
    try:
        while line := await lines.readline():
            sys.stdout.write(json.dumps(await driver.obey(json.loads(line))) + "\n")
            sys.stdout.flush()
        process.stop()
        await running
    finally:
        await bus.close()


if __name__ == "__main__":
    route_library_logs()
    collect_seldom()
    uvloop.run(_whole(Home(Path(sys.argv[1])), AuthorityId(sys.argv[2])))
