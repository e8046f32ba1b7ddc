"""``comity bench watch``: how late flags are with many open clocks, what the watch costs, a case view made twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from connectors.bench.case_view import CaseViews
from connectors.bench.clocks import LedgerWriter, Requests, Started, open_for_years, owed
from connectors.bench.figures import MICROSECONDS, Progress, percentiles, show
from connectors.bench.flags import FlagKey, Flags, overdue_only
from connectors.bench.options import CACHE, EXIT_CODES, Authorities, Cache, Json
from connectors.bench.stage import Shape, Stage, opened
from connectors.bench.usage import Meter, peaks_mib
from hub.adapters.sql.engine import open_engine, sqlite_url
from hub.adapters.sql.watch_store import WatchStore
from hub.cli.app import Groups
from hub.core.access import ROUTER, WATCH
from hub.core.ids import ClockId
from hub.errors import Unreachable
from hub.settings import HubSettings

EPILOG: Final = (
    "Example: comity bench watch --clocks 1000000 --json. Exit codes: 0 measured; 1 a flag was lost, doubled or wrong, or a"
    f" rebuilt view differs; {EXIT_CODES.split('; ', 1)[1]} A million clocks take ten minutes."
)
LOAD_SLICE: Final = 20_000  # clocks that are made ahead of the broker
KILLED_DUE: Final = 200  # clocks that fall due around each kill
TRAFFIC_SECONDS: Final = 0.05  # between transactions of others meanwhile, as a router under load makes them
LOOK_SECONDS: Final = 0.5
STALLED_SECONDS: Final = 120.0
PERCENTS: Final[tuple[int, ...]] = HubSettings.model_fields["warn_percents"].default
PER_CENT: Final = 100
DAY_MS: Final = 24 * 3600 * 1000


def register(app: typer.Typer, groups: Groups) -> None:  # noqa: ARG001 (every command module has this shape)
    """Add the command."""
    groups["bench"].command(epilog=EPILOG)(watch)


def watch(  # noqa: PLR0917 (Typer passes options by name)
    clocks: Annotated[int, typer.Option("--clocks", min=1, help="How many are open and not due.")] = 10_000,
    due: Annotated[int, typer.Option("--due", min=1, help="How many more fall due, one after the other.")] = 1_000,
    burst: Annotated[int, typer.Option("--burst", min=1, help="How many more fall due in the same second.")] = 10_000,
    kills: Annotated[int, typer.Option("--kills", min=0, help="How often the watch is killed, clocks due.")] = 3,
    cases: Annotated[int, typer.Option("--cases", min=0, help="Cases of the view that is built twice.")] = 10_000,
    authorities: Authorities = 20,
    json: Json = False,
    cache: Cache = CACHE,
) -> None:
    """Measure the watch: how late its flags are, its memory and CPU, its restarts; and a case view, lived and rebuilt."""
    progress = Progress()

    async def measured() -> Mapping[str, Any]:
        async with opened(Shape(authorities=authorities), cache.expanduser()) as stage:
            figures = await Watching(stage, progress).run(clocks, due=due, burst=burst, kills=kills)
        if not cases:
            return figures
        async with opened(Shape(authorities=authorities), cache.expanduser()) as stage:
            return {**figures, "rebuild": await CaseViews(stage, progress).run(cases)}

    figures = asyncio.run(measured())
    show(figures, json=json)
    if not figures["flags_once_per_side"] or not figures.get("rebuild", {}).get("identical", True):
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How time is divided: from a clock's start to its due time, and over how long the clocks of a part fall due."""

    idle_seconds: float = 10.0
    headway_ms: int = 10_000  # the first warning comes half-way
    spread_ms: int = 20_000
    burst_headway_ms: int = 30_000


class Watching:
    """One watch, over a ledger that is written as routers write it."""

    def __init__(self, stage: Stage, progress: Progress, pace: Pace | None = None) -> None:
        self._stage = stage
        self._progress = progress
        self._pace = pace or Pace()
        self._started: dict[ClockId, Started] = {}  # those that fall due
        self._requests: Requests
        self._writer: LedgerWriter
        self._flags: Flags
        self._following: asyncio.Task[None]
        self._peak_mib = 0

    async def run(self, clocks: int, *, due: int, burst: int, kills: int) -> Mapping[str, Any]:
        """The figures. Raises ``Unreachable`` when the watch ends or stands still."""
        stage = self._stage
        await stage.admit_fakes()
        stage.cluster.serve(WATCH)
        await stage.cluster.served(WATCH)
        self._requests = Requests(list(stage.fakes))
        self._writer = self._ledger(0)
        await self._writer.open()
        self._flags = Flags(stage.bus, stage.trust)
        await self._flags.open()
        ended = asyncio.Event()
        self._following = asyncio.create_task(self._flags.follow(until=ended))
        try:
            loaded = await self._load(clocks)
            figures = {
                "clocks": clocks,
                "due": due,
                **loaded,
                "idle_cpu_percent": await self._idle(),
                **await self._spread(due),
                **await self._burst(burst),
                "restarts": await self._restarts(kills),
            }
        finally:
            ended.set()
            await self._following
            await self._writer.close()
        return {**figures, **self._judged(), "rss_mib_peak": self._peak(), "authorities": len(stage.fakes)}

    async def _load(self, clocks: int) -> Mapping[str, Any]:
        """Write the clocks that stay open, and wait until the watch has them."""
        loop, meter, begun_ms = asyncio.get_running_loop(), self._meter(), self._stage.clock.now_ms()
        begun, some = loop.time(), []
        for entry in open_for_years(self._requests, clocks, begun_ms):
            some.append(entry)
            if len(some) == LOAD_SLICE:
                await self._writer.write(some)
                some = []
        await self._writer.write(some)
        self._progress.tell(f"{clocks} clocks are in the ledger")
        await self._held(clocks)
        seconds = loop.time() - begun
        self._progress.tell(f"the watch has them after {seconds:.1f} s")
        cpu_us = meter.lap()[WATCH] / clocks * MICROSECONDS
        return {"load_seconds": round(seconds, 1), "load_cpu_us_per_clock": round(cpu_us, 1)}

    async def _held(self, clocks: int) -> None:
        """Wait until the watch's database has this many open clocks. Raises ``Unreachable`` when it stands still."""
        engine = open_engine(sqlite_url(self._stage.cluster.home.case_database), read_only=True)
        store = WatchStore(engine, warn_percents=PERCENTS)
        loop = asyncio.get_running_loop()
        held, moved = -1, loop.time()
        try:
            while held < clocks:
                found = store.open_clocks()
                held, moved = (found, loop.time()) if found != held else (held, moved)
                self._look(moved)
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            engine.dispose()

    async def _idle(self) -> float:
        """What looking at its clocks costs while none is due, in percent of a core."""
        meter = self._meter()
        await asyncio.sleep(self._pace.idle_seconds)
        return round(meter.lap()[WATCH] / self._pace.idle_seconds * PER_CENT, 1)

    async def _spread(self, due: int) -> Mapping[str, Any]:
        """Clocks that fall due one after the other, while others write to the ledger all the time."""
        now_ms = self._stage.clock.now_ms()
        self._progress.tell(f"{due} clocks fall due")
        loop, meter = asyncio.get_running_loop(), self._meter()
        begun = loop.time()
        async with self._traffic():
            started = await self._start(self._due_from(now_ms + self._pace.headway_ms, due), now_ms)
            await self._told(overdue_only(started.values()))
        wanted = owed(started, PERCENTS)
        return {
            "flags": sum(key in self._flags.seen for key in wanted),
            "lateness_ms": self._lateness(wanted),
            "busy_cpu_percent": round(meter.lap()[WATCH] / (loop.time() - begun) * PER_CENT, 1),
        }

    async def _burst(self, burst: int) -> Mapping[str, Any]:
        """Clocks that all fall due at the same instant. Their last warning is owed as soon as they are read."""
        now_ms = self._stage.clock.now_ms()
        self._progress.tell(f"{burst} clocks fall due at once")
        meter = self._meter()
        started = await self._start([now_ms + self._pace.burst_headway_ms] * burst, now_ms - DAY_MS)
        await self._told(overdue_only(started.values()))
        flags = sum(key in self._flags.seen for key in owed(started, PERCENTS))
        cpu_us = meter.lap()[WATCH] / flags * MICROSECONDS
        late = self._lateness(overdue_only(started.values()))
        return {"cpu_us_per_flag": round(cpu_us, 1), "burst": {"clocks": burst, "lateness_ms": late}}

    async def _restarts(self, kills: int) -> Mapping[str, Any]:
        """Kill the watch while clocks fall due, and start it at once: when it is ready, and when a flag comes again."""
        cluster, clock, loop = self._stage.cluster, self._stage.clock, asyncio.get_running_loop()
        ready: list[float] = []
        late: list[float] = []
        for number in range(1, kills + 1):
            now_ms = clock.now_ms()
            started = await self._start(self._due_from(now_ms + self._pace.headway_ms // 2, KILLED_DUE), now_ms)
            # Some flags are out by then, others fall due while it is down.
            await asyncio.sleep(self._pace.headway_ms / 1000)
            self._peak()
            cluster.kill(WATCH)
            begun = loop.time()
            cluster.serve(WATCH)
            await cluster.served(WATCH)
            ready.append(loop.time() - begun)
            wanted = overdue_only(started.values())
            await self._told(wanted)
            late.extend(self._flags.late_ms(wanted))
            self._progress.tell(f"kill {number}: ready after {ready[-1]:.1f} s")
        return {
            "kills": kills,
            "start_to_ready_s": percentiles(ready, percents=(50, 95)),
            "lateness_ms": percentiles(late) | {"max": max(late, default=None)},
        }

    def _judged(self) -> Mapping[str, Any]:
        """Each overdue flag once on each side, none doubled, none of a clock that is not due."""
        overdue = overdue_only(self._started.values())
        lost = sum(2 - len(self._flags.seen.get(key, {})) for key in overdue)
        wrong = sum(clock not in self._started for clock, _, _ in self._flags.seen)
        doubled = self._flags.doubled.total()
        return {
            "flags_once_per_side": not (lost or wrong or doubled),
            "lost": lost,
            "doubled": doubled,
            "wrong": wrong,
            "repeated_bundles": self._flags.repeated_bundles,
        }

    def _due_from(self, first_ms: int, count: int) -> list[int]:
        return [first_ms + self._pace.spread_ms * number // count for number in range(count)]

    async def _start(self, due_ms: Sequence[int], started_ms: int) -> Mapping[ClockId, Started]:
        """Write requests with these clocks."""
        made = [self._requests.start(started_ms, each) for each in due_ms]
        started = {each.clock: each for _, each in made}
        self._started |= started
        await self._writer.write([entry for entry, _ in made])
        return started

    async def _told(self, wanted: Mapping[FlagKey, int]) -> None:
        """Wait until both sides have all these flags. Raises ``Unreachable`` when none comes for long.

        Of warnings only the newest is owed when the watch comes late, so that nobody waits for each of them.
        """
        loop = asyncio.get_running_loop()
        seen, moved = -1, loop.time()
        last_ms = max(wanted.values())
        while not self._flags.complete(wanted):
            found = sum(len(self._flags.seen.get(key, ())) for key in wanted)
            if found != seen or self._stage.clock.now_ms() < last_ms:
                seen, moved = found, loop.time()
            self._look(moved)
            await asyncio.sleep(LOOK_SECONDS)

    def _look(self, moved: float) -> None:
        self._stage.cluster.processes.check()
        if self._following.done():
            self._following.result()
        if asyncio.get_running_loop().time() - moved > STALLED_SECONDS:
            raise Unreachable("bench-stalled", "The watch stands still.")

    @asynccontextmanager
    async def _traffic(self) -> AsyncIterator[None]:
        """Requests without clocks meanwhile, one in each transaction."""
        writer, ended = self._ledger(1), asyncio.Event()
        requests = Requests(list(reversed(self._stage.fakes)))
        await writer.open()

        async def write() -> None:
            while not ended.is_set():
                await writer.write([requests.next(self._stage.clock.now_ms())])
                await asyncio.sleep(TRAFFIC_SECONDS)

        writing = asyncio.create_task(write())
        try:
            yield
        finally:
            ended.set()
            await writing
            await writer.close()

    def _lateness(self, wanted: Mapping[FlagKey, int]) -> Mapping[str, float | None]:
        late = self._flags.late_ms(wanted)
        return percentiles(late) | {"max": max(late)}

    def _ledger(self, shard: int) -> LedgerWriter:
        stage = self._stage
        partitions = stage.shape.ledger_partitions
        return LedgerWriter(stage.cluster.bus(ROUTER), shard=shard, partitions=partitions, now_ms=stage.clock.now_ms)

    def _meter(self) -> Meter:
        self._peak()
        return Meter({WATCH: [self._stage.cluster.process_ids()[WATCH]]})

    def _peak(self) -> int:
        """The most memory that any of the watch's processes has held so far, in MiB."""
        now = peaks_mib({WATCH: [self._stage.cluster.process_ids()[WATCH]]})[WATCH]
        self._peak_mib = max(self._peak_mib, now)
        return self._peak_mib
