"""``comity bench router``: the router with a backlog or at a steady rate, in turns with what it is compared with."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

import typer

from connectors.bench.baseline import CopyLoop, Primitives, Written, copied, copy_order, crypto_us, primitives
from connectors.bench.figures import Progress, per_message_us, percentiles, ratio, show, total
from connectors.bench.options import (
    CACHE,
    EXIT_CODES,
    Authorities,
    Cache,
    Json,
    Rate,
    Shards,
    Size,
    Suite,
    SuiteOption,
    Workers,
)
from connectors.bench.outcome import Inboxes, Outcome
from connectors.bench.stage import BROKER, ROUTER, Shape, Stage, opened
from connectors.bench.traffic import Letter, Traffic, publish, publish_steadily
from connectors.bench.usage import Meter, Parts, frozen, on_all_cores, peaks_mib
from hub.adapters.files.keys import read_signers
from hub.cli.app import Groups
from hub.core.authority import HubRole
from hub.core.records import Outgoing, Place
from hub.errors import Unreachable
from hub.ports import Reader, Signer, Writer

EPILOG: Final = (
    f"Example: comity bench router --messages 10000 --authorities 20 --json. {EXIT_CODES} "
    "Several minutes; leave the machine alone meanwhile."
)
ENVIRONMENT: Final = {
    "COMITY_SESSION_MS": "120000",  # a worker is stopped while somebody else is measured
    "COMITY_STEP_MS": "60000",  # the first records of hundreds of topics make the broker wait for the disk
    "COMITY_TRANSACTION_MS": "60000",
}
STALLED_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.5  # each look costs the router some milliseconds
CLIENT: Final = "client"


def register(app: typer.Typer, groups: Groups) -> None:  # noqa: ARG001 (every command module has this shape)
    """Add the command."""
    groups["bench"].command(epilog=EPILOG)(router)


def router(  # noqa: PLR0917 (Typer passes options by name)
    messages: Annotated[int, typer.Option("--messages", min=10, help="How many, over all rounds.")] = 20_000,
    authorities: Authorities = 20,
    shards: Shards = 4,
    workers: Workers = 1,
    size: Size = 4096,
    rate: Rate = None,
    suite: SuiteOption = Suite.S1,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Turns of ours, the copy, the primitives.")] = 5,
    warm_up: Annotated[
        int, typer.Option("--warm-up", min=1, help="Messages that warm the broker up, not counted.")
    ] = 6_000,
    json: Json = False,
    cache: Cache = CACHE,
) -> None:
    """Measure the router: messages a second, latency, CPU, and the CPU's ratio to cryptography and a plain copy."""
    shape = Shape(authorities=authorities, shards=shards, workers=workers, suite=suite.value)
    load = Load(messages=messages, rounds=min(rounds, messages), warm_up=warm_up, size=size, rate=rate)

    async def measured() -> Mapping[str, Any]:
        async with opened(shape, cache.expanduser(), ENVIRONMENT) as stage:
            return await Measurement(stage, load, Progress()).run()

    figures = asyncio.run(measured())
    show(figures, json=json)
    if figures["lost"]:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is sent: ``rate`` messages a second, or all of a round at once."""

    messages: int
    rounds: int
    warm_up: int
    size: int
    rate: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one turn measured. CPU in seconds; the copy's batches from its own answer."""

    messages: int
    seconds: float
    latencies_ms: Sequence[float]
    lost: int
    ours: Mapping[str, float]
    copy: Mapping[str, float]
    crypto_us: float
    transactions: int
    copy_transactions: int

    @property
    def ratio(self) -> float:
        """Of this turn alone."""
        return ratio(*(per_message_us(each, self.messages)["all"] for each in (self.ours, self.copy)), self.crypto_us)


class Measurement:
    """Rounds of ours, the copy, the primitives; the first one warms everything up and is thrown away."""

    def __init__(self, stage: Stage, load: Load, progress: Progress) -> None:
        self._stage = stage
        self._load = load
        self._progress = progress
        self._traffic: Traffic
        self._inboxes = Inboxes(stage)
        self._copy = CopyLoop(stage)
        self._signers: Sequence[Signer] = read_signers(stage.cluster.home.role_keys(HubRole.ROUTER))
        self._writer: Writer
        self._routed = 0

    async def run(self) -> Mapping[str, Any]:
        """The figures. Raises ``Unreachable`` when a part ends or stands still."""
        stage, load = self._stage, self._load
        self._progress.tell(f"the broker runs; making {stage.shape.authorities} authorities and their topics")
        await stage.admit_fakes()
        self._traffic = Traffic(stage, size=load.size)
        self._writer = await stage.bus.writer()
        await self._copy.start()
        try:
            await stage.start_routers()
            await self._inboxes.open()
            share = max(1, load.messages // load.rounds)
            self._progress.tell(f"warming up with {load.warm_up} messages")
            await self._round(load.warm_up, rate=None)
            rounds = []
            for number in range(load.rounds):
                rounds.append(await self._round(share, rate=load.rate))
                self._progress.tell(_sentence(number + 1, rounds[-1]))
            memory = peaks_mib(self._parts())
            by_worker = await stage.accepted()
            await self._inboxes.close()
        finally:
            await self._copy.close()
        return self._figures(rounds, memory, by_worker)

    async def _round(self, count: int, *, rate: float | None) -> Round:
        """One turn."""
        letters = await asyncio.to_thread(self._traffic.sign, count)
        before = await self._sampled(letters)
        if rate is None:
            outcome, latencies, seconds, ours = await self._backlog(letters)
        else:
            outcome, latencies, seconds, ours = await self._steady(letters, rate)
        written = await self._inboxes.written(outcome)
        copy, transactions = await self._copied(letters, written, rate)
        after = await self._sampled(letters)
        return Round(
            messages=count,
            seconds=seconds,
            latencies_ms=latencies,
            lost=outcome.lost(letters),
            ours=ours,
            copy=copy,
            crypto_us=crypto_us([*before, *after], batch_mean=written.batch_mean),
            transactions=written.transactions,
            copy_transactions=transactions,
        )

    async def _sampled(self, letters: Sequence[Letter]) -> list[Primitives]:
        """The bare primitives, while nothing else runs."""
        sample = partial(
            primitives, letters, self._stage.trust, head_signers=self._signers, time_ms=self._stage.clock.now_ms()
        )
        with frozen([*self._parts()[ROUTER], self._copy.pid]):
            return await asyncio.to_thread(on_all_cores, sample)

    # --- ours -------------------------------------------------------------------------------------

    async def _backlog(self, letters: Sequence[Letter]) -> tuple[Outcome, list[float], float, dict[str, float]]:
        """All messages wait in their outboxes before the router goes on."""
        outcome, parts = Outcome(), self._parts()
        with frozen([self._copy.pid]):
            with frozen(parts[ROUTER]):
                await publish(self._writer, [each.record for each in letters])
                meter, begun_ms = Meter(parts), self._stage.clock.now_ms()
            await self._until_routed(len(letters))
            used = meter.lap()
        await self._inboxes.read(outcome, letters)
        return outcome, outcome.waited_ms(letters), (outcome.last_ms - begun_ms) / 1000, used

    async def _steady(
        self, letters: Sequence[Letter], rate: float
    ) -> tuple[Outcome, list[float], float, dict[str, float]]:
        """Messages come one by one; the latency counts from when each was due to when we have its ``accepted``."""
        outcome, ended, loop = Outcome(), asyncio.Event(), asyncio.get_running_loop()
        with frozen([self._copy.pid]):
            following = asyncio.create_task(self._inboxes.follow(outcome, until=ended))
            meter, begun = Meter(self._parts()), loop.time()
            due = await publish_steadily(self._writer, [each.record for each in letters], rate=rate)
            await self._until_routed(len(letters))
            used, seconds = meter.lap(), loop.time() - begun
            ended.set()
            await following
        await self._inboxes.read(outcome, letters)
        times = zip(letters, due, strict=True)
        waited = [(outcome.seen_s[each.jws] - when) * 1000 for each, when in times if each.jws in outcome.seen_s]
        return outcome, waited, seconds, used

    async def _until_routed(self, count: int) -> None:
        """Wait until the workers have counted these messages too."""
        goal, before, loop = self._routed + count, -1, asyncio.get_running_loop()
        moved = loop.time()
        while (now := sum(await self._stage.accepted())) < goal:
            if now != before:
                before, moved = now, loop.time()
            if loop.time() > moved + STALLED_SECONDS:
                raise Unreachable("bench-stalled", f"The router stands still at {now} of {goal} messages.")
            await asyncio.sleep(LOOK_SECONDS)
        self._routed = now

    # --- the copy ---------------------------------------------------------------------------------

    async def _copied(
        self, letters: Sequence[Letter], written: Written, rate: float | None
    ) -> tuple[dict[str, float], int]:
        """The same records through the copy loop, in the same way; CPU seconds, and its transactions."""
        order, records = copy_order(letters, written, shards=self._stage.shape.shards), copied(letters)
        parts: Parts = {CLIENT: [self._copy.pid], BROKER: self._parts()[BROKER]}
        with frozen(self._parts()[ROUTER]):
            if rate is not None:
                return await self._copied_steadily(order, records, parts, rate)
            with frozen(parts[CLIENT]):
                await publish(self._writer, records)
                meter = Meter(parts)
            answer = await self._copy.obey(order)
            return meter.lap(), answer["transactions"]

    async def _copied_steadily(
        self, order: Mapping[str, Any], records: Sequence[Outgoing], parts: Parts, rate: float
    ) -> tuple[dict[str, float], int]:
        ended = asyncio.Event()
        reader = await self._stage.bus.reader({Place(each, 0): 0 for each in self._copy.targets})
        following = asyncio.create_task(_drop(reader, ended))
        meter = Meter(parts)
        answering = asyncio.create_task(self._copy.obey(order))
        await publish_steadily(self._writer, records, rate=rate)
        answer = await answering
        used = meter.lap()
        ended.set()
        await following
        await reader.close()
        return used, answer["transactions"]

    # --- what came of it --------------------------------------------------------------------------

    def _parts(self) -> Parts:
        found = self._stage.parts()
        return {name: found[name] for name in (ROUTER, BROKER)}

    def _figures(
        self, rounds: Sequence[Round], memory: Mapping[str, int], by_worker: Sequence[int]
    ) -> Mapping[str, Any]:
        shape, load = self._stage.shape, self._load
        messages = sum(each.messages for each in rounds)
        ours = per_message_us(total([each.ours for each in rounds]), messages)
        copy = per_message_us(total([each.copy for each in rounds]), messages)
        crypto = sum(each.crypto_us * each.messages for each in rounds) / messages
        return {
            "messages": messages,
            "messages_per_second": round(messages / sum(each.seconds for each in rounds), 1),
            "latency_ms": percentiles([span for each in rounds for span in each.latencies_ms]),
            "cpu_us_per_message": ours,
            "baseline": {"crypto_us": round(crypto, 1), "kafka_copy_us": copy["all"]},
            "cpu_ratio": ratio(ours["all"], crypto, copy["all"]),
            "suite": shape.suite,
            "batch_mean": round(messages / sum(each.transactions for each in rounds), 1),
            "lost": sum(each.lost for each in rounds),
            "authorities": shape.authorities,
            "shards": shape.shards,
            "workers": shape.workers,
            "worker_shares": [round(each / sum(by_worker), 2) for each in by_worker],
            "size_bytes": load.size,
            "rate": load.rate,
            "cpu_ratio_rounds": [each.ratio for each in rounds],
            "copy": {
                "cpu_us_per_message": copy,
                "batch_mean": round(messages / sum(each.copy_transactions for each in rounds), 1),
            },
            "memory_peak_mib": memory,
        }


def _sentence(number: int, each: Round) -> str:
    ours, copy = (per_message_us(used, each.messages)["all"] for used in (each.ours, each.copy))
    return (
        f"round {number}: {each.messages / each.seconds:.0f} messages/s; {ours:.0f} us a message, "
        f"cryptography {each.crypto_us:.0f}, copy {copy:.0f}: {each.ratio:.2f}"
    )


async def _drop(reader: Reader, ended: asyncio.Event) -> None:
    """Read as a recipient does, and look at nothing."""
    while not ended.is_set():
        await reader.fetch(wait_ms=100, records_max=500)
