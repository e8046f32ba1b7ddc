"""A case view, lived by a registrar that is killed meanwhile, and rebuilt from the ledger: the same bytes?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from connectors.bench.clocks import LedgerWriter, Requests
from connectors.bench.figures import MICROSECONDS, Progress
from connectors.bench.stage import Stage
from connectors.bench.usage import Meter, peaks_mib
from hub.adapters.sql.case_store import CaseStore
from hub.adapters.sql.engine import open_engine, sqlite_url
from hub.cli.rebuild import rebuilt
from hub.core.access import REGISTRAR, ROUTER
from hub.core.entries import Entry, LevelEntry, MessageEntry
from hub.core.ids import sha256, uuid7
from hub.core.manifest import ClockOperation, ClockVerb, MessageType, ReceiptLevel
from hub.core.pairs import Pair
from hub.core.records import Place, Position
from hub.core.topics import LEDGER, outbox
from hub.errors import Unreachable

CASES_PER_SLICE: Final = 1_000
KILLS: Final = 3
SHARD: Final = 2  # whose name the cases are written under
DAY_MS: Final = 24 * 3600 * 1000
LOOK_SECONDS: Final = 0.5
STALLED_SECONDS: Final = 120.0

T = TypeVar("T")


class CaseViews:
    """One registrar over a ledger of whole cases."""

    def __init__(self, stage: Stage, progress: Progress) -> None:
        self._stage = stage
        self._progress = progress

    async def run(self, cases: int, *, kills: int = KILLS) -> Mapping[str, Any]:
        """The figures. Raises ``Unreachable`` when the registrar ends or stands still."""
        stage, cluster, loop = self._stage, self._stage.cluster, asyncio.get_running_loop()
        if not stage.fakes:
            await stage.admit_fakes()
        cluster.serve(REGISTRAR)
        await cluster.served(REGISTRAR)
        begun = loop.time()
        entries, cpu = await self._live(cases, kills)
        lived = loop.time() - begun
        self._progress.tell(f"the registrar has {cases} cases after {lived:.1f} s")
        engine = open_engine(sqlite_url(cluster.home.case_database), read_only=True)
        live = await asyncio.to_thread(CaseStore(engine).fingerprint)
        engine.dispose()
        begun = loop.time()
        again = await rebuilt(cluster.bus(REGISTRAR), cluster.home.root / "rebuilt.db", live)
        seconds = loop.time() - begun
        self._progress.tell(f"rebuilt in {seconds:.1f} s")
        return {
            "cases": cases,
            "entries": entries,
            "kills": kills,
            "live_seconds": round(lived, 1),
            "live_cpu_us_per_entry": round(cpu / entries * MICROSECONDS, 1),
            "rebuild_seconds": round(seconds, 1),
            "rebuild_us_per_entry": round(seconds / entries * MICROSECONDS, 1),
            "rss_mib_peak": peaks_mib({REGISTRAR: [cluster.process_ids()[REGISTRAR]]})[REGISTRAR],
            "identical": again["identical"],
        }

    async def _live(self, cases: int, kills: int) -> tuple[int, float]:
        """Write the cases, killing the registrar between, and wait until it has them: (entries, seconds of its CPU)."""
        cluster = self._stage.cluster
        partitions = self._stage.shape.ledger_partitions
        writer = LedgerWriter(cluster.bus(ROUTER), shard=SHARD, partitions=partitions, now_ms=self._stage.clock.now_ms)
        await writer.open()
        requests = Requests(list(self._stage.fakes))
        slices = range(0, cases, CASES_PER_SLICE)
        killed = {slices[len(slices) * number // (kills + 1)] for number in range(1, kills + 1)}
        entries, cpu, meter = 0, 0.0, self._meter()
        for start in slices:
            now_ms = self._stage.clock.now_ms()
            some = [each for _ in range(min(CASES_PER_SLICE, cases - start)) for each in whole_case(requests, now_ms)]
            await writer.write(some)
            entries += len(some)
            if start in killed:
                cpu += meter.lap()[REGISTRAR]
                cluster.kill(REGISTRAR)
                cluster.serve(REGISTRAR)
                await cluster.served(REGISTRAR)
                meter = self._meter()
        await writer.close()
        await self._taken()
        return entries, cpu + meter.lap()[REGISTRAR]

    async def _taken(self) -> None:
        """Wait until the registrar's database has the whole ledger. Raises ``Unreachable`` when it stands still."""
        cluster, loop = self._stage.cluster, asyncio.get_running_loop()
        partitions = range(self._stage.shape.ledger_partitions)
        reader = await cluster.bus(REGISTRAR).reader({Place(LEDGER, partition): 0 for partition in partitions})
        ends = {place.partition: end for place, end in (await reader.end_offsets()).items()}
        await reader.close()
        engine = open_engine(sqlite_url(cluster.home.case_database), read_only=True)
        before: Mapping[int, int] = {}
        moved = loop.time()
        try:
            while True:
                taken = CaseStore(engine).next_offsets(partitions)
                if all(taken[partition] >= end - 1 for partition, end in ends.items()):  # a marker is at the end
                    return
                before, moved = (taken, loop.time()) if taken != before else (before, moved)
                cluster.processes.check()
                if loop.time() - moved > STALLED_SECONDS:
                    raise Unreachable("bench-stalled", "The registrar stands still.")
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            engine.dispose()

    def _meter(self) -> Meter:
        return Meter({REGISTRAR: [self._stage.cluster.process_ids()[REGISTRAR]]})


def whole_case(requests: Requests, now_ms: int) -> Iterator[Entry]:
    """A request with a clock, taken over and opened, acknowledged, answered in time; every third one stays open."""
    request, started = requests.start(now_ms, now_ms + DAY_MS)
    yield request
    for number, level in enumerate((ReceiptLevel.DELIVERED, ReceiptLevel.OPENED), start=1):
        yield _level(request, level, now_ms + number)
    yield _reply(request, MessageType.ACK, now_ms + 3)
    if request.outbox.offset % 3:
        stop = ClockOperation(ClockVerb.STOP, started.clock, request.clocks[0].kind, None)
        yield _reply(request, MessageType.RESPONSE, now_ms + 4, stop)


def _level(request: MessageEntry, level: ReceiptLevel, time_ms: int) -> LevelEntry:
    back = _back(request)
    return LevelEntry(
        level=level,
        message=_known(request.message),
        thread=_known(request.thread),
        pair=back,
        why=None,
        proof=None,
        outbox=Position(outbox(back.sender), 0, request.outbox.offset, time_ms),
        trust_list=1,
    )


def _reply(request: MessageEntry, kind: MessageType, time_ms: int, *clocks: ClockOperation) -> MessageEntry:
    back = _back(request)
    jws = sha256(f"{request.message} {kind}".encode())
    return replace(
        request,
        jws=jws,
        message=uuid7(time_ms, jws.encode()),
        type=kind,
        sender=back.sender,
        recipient=back.recipient,
        in_reply_to=request.message,
        clocks=clocks,
        outbox=Position(outbox(back.sender), 0, request.outbox.offset, time_ms),
    )


def _back(request: MessageEntry) -> Pair:
    return Pair(_known(request.recipient), _known(request.sender))


def _known(value: T | None) -> T:
    if value is None:
        raise ValueError("a request was made without its names")
    return value
