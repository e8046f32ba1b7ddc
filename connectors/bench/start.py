"""``comity bench start``: how long after a kill a router that is started again routes its first message, under traffic."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from connectors.bench.figures import Progress, percentiles, show
from connectors.bench.options import CACHE, EXIT_CODES, Authorities, Cache, Json, Shards
from connectors.bench.outcome import Inboxes, Outcome
from connectors.bench.stage import ROUTER, Shape, Stage, opened
from connectors.bench.traffic import Letter, Traffic, publish_steadily
from hub.cli.app import Groups
from hub.errors import Unreachable
from hub.ports import Writer

EPILOG: Final = f"Example: comity bench start --kills 20 --json. {EXIT_CODES} About 6 s a kill."
MESSAGE_BYTES: Final = 4096
SETTLE_SECONDS: Final = 2.0  # of undisturbed traffic between a first message and the next kill
FIRST_SECONDS_MAX: Final = 120.0
DRAIN_SECONDS_MAX: Final = 60.0
LOOK_SECONDS: Final = 0.02
PERCENTS: Final = (50, 95)


def register(app: typer.Typer, groups: Groups) -> None:  # noqa: ARG001 (every command module has this shape)
    """Add the command."""
    groups["bench"].command(epilog=EPILOG)(start)


def start(  # noqa: PLR0917 (Typer passes options by name)
    kills: Annotated[int, typer.Option("--kills", min=1, help="How often the router is killed and started.")] = 20,
    authorities: Authorities = 20,
    shards: Shards = 4,
    rate: Annotated[float, typer.Option("--rate", min=1, help="Messages a second meanwhile.")] = 50.0,
    json: Json = False,
    cache: Cache = CACHE,
) -> None:
    """Kill the router under traffic, start it at once, and measure when its first message is routed."""

    async def measured() -> Mapping[str, Any]:
        async with opened(Shape(authorities=authorities, shards=shards), cache.expanduser()) as stage:
            return await Restarts(stage, rate, Progress()).run(kills)

    figures = asyncio.run(measured())
    show(figures, json=json)
    if figures["lost"]:
        raise typer.Exit(1)


class Restarts:
    """One worker that is killed again and again, while messages come at ``rate`` a second."""

    def __init__(self, stage: Stage, rate: float, progress: Progress) -> None:
        self._stage = stage
        self._rate = rate
        self._progress = progress
        self._outcome = Outcome()
        self._letters: list[Letter] = []
        self._following: asyncio.Task[None]

    async def run(self, kills: int) -> Mapping[str, Any]:
        """The figures. Raises ``Unreachable`` when nothing is routed any more."""
        stage, loop = self._stage, asyncio.get_running_loop()
        await stage.admit_fakes()
        await stage.start_routers()
        inboxes, writer = Inboxes(stage), await stage.bus.writer()
        await inboxes.open()
        ended, quiet = asyncio.Event(), asyncio.Event()
        self._following = asyncio.create_task(inboxes.follow(self._outcome, until=ended))
        sending = asyncio.create_task(self._send(writer, quiet))
        await self._first_after(stage.clock.now_ms())
        spans: list[tuple[float, float]] = []
        begun = loop.time()
        for number in range(1, kills + 1):
            await asyncio.sleep(SETTLE_SECONDS)
            spans.append(await self._restart())
            self._progress.tell(f"kill {number}: first message {spans[-1][0]:.2f} s after the start")
        seconds = loop.time() - begun
        quiet.set()
        await sending
        await self._drain()
        ended.set()
        await self._following
        await inboxes.close()
        return self._figures(spans, seconds)

    async def _send(self, writer: Writer, quiet: asyncio.Event) -> None:
        """A second's messages after the other; the next ones are signed meanwhile."""
        traffic, count = Traffic(self._stage, size=MESSAGE_BYTES), max(1, round(self._rate))
        signing = asyncio.create_task(asyncio.to_thread(traffic.sign, count))
        while not quiet.is_set():
            letters = await signing
            signing = asyncio.create_task(asyncio.to_thread(traffic.sign, count))
            self._letters.extend(letters)
            await publish_steadily(writer, [each.record for each in letters], rate=self._rate)
        await signing

    async def _restart(self) -> tuple[float, float]:
        """Seconds from the start, and from the kill, to the first message that the new process routed."""
        loop, cluster = asyncio.get_running_loop(), self._stage.cluster
        killed, killed_ms = loop.time(), self._stage.clock.now_ms()
        cluster.kill(ROUTER)
        started = loop.time()
        cluster.serve(ROUTER)
        seen = await self._first_after(killed_ms)
        return seen - started, seen - killed

    async def _first_after(self, time_ms: int) -> float:
        """When we had the first bundle that the log took after ``time_ms``; the loop's clock."""
        outcome, loop = self._outcome, asyncio.get_running_loop()
        deadline = loop.time() + FIRST_SECONDS_MAX
        while loop.time() < deadline:
            self._stage.cluster.processes.check()
            if self._following.done():
                self._following.result()
            if outcome.last_ms > time_ms:
                later = [outcome.seen_s[jws] for jws, at_ms in outcome.accepted_ms.items() if at_ms > time_ms]
                if later:
                    return min(later)
            await asyncio.sleep(LOOK_SECONDS)
        raise Unreachable("bench-stalled", "The router routed nothing after it was started.")

    async def _drain(self) -> None:
        """Wait until all that was sent came out, or was clearly lost."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DRAIN_SECONDS_MAX
        while self._outcome.lost(self._letters) and loop.time() < deadline:  # noqa: ASYNC110 (a reader of Kafka fills it)
            await asyncio.sleep(SETTLE_SECONDS)

    def _figures(self, spans: Sequence[tuple[float, float]], seconds: float) -> Mapping[str, Any]:
        from_start, from_kill = ([span[index] for span in spans] for index in (0, 1))
        return {
            "kills": len(spans),
            "start_to_first_s": percentiles(from_start, percents=PERCENTS),
            "kill_to_first_s": percentiles(from_kill, percents=PERCENTS),
            "messages": len(self._letters),
            "lost": self._outcome.lost(self._letters),
            "seconds": round(seconds, 1),
            "authorities": self._stage.shape.authorities,
            "shards": self._stage.shape.shards,
            "rate": self._rate,
        }
