"""``comity bench e2e``: from one State's system to the other's and back, in turns with what it is compared with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

import typer

from connectors.bench.baseline import CopyLoop, Written, copied, copy_order
from connectors.bench.figures import Progress, per_message_us, percentiles, ratio, show, total
from connectors.bench.life import Shares, life_us, sample_us
from connectors.bench.options import CACHE, EXIT_CODES, Cache, Json, Rate, Shards
from connectors.bench.outcome import Inboxes, Outcome
from connectors.bench.stage import BROKER, ROUTER, Shape, Stage, opened
from connectors.bench.states import States, orders
from connectors.bench.traffic import Letter, publish
from connectors.bench.usage import Meter, Parts, frozen, on_all_cores, peaks_mib
from connectors.gateway.keyring import read_keyring
from hub.adapters.reading import read_to_end
from hub.cli.app import Groups
from hub.core.limits import MANIFEST_JWS_BYTES_MAX
from hub.core.records import JWS_HEADER, Outgoing, Place
from hub.core.topics import outbox
from hub.envelope import jws
from hub.envelope.manifest import decode
from hub.errors import Unreachable
from hub.ports import Reader, Writer

EPILOG: Final = f"Example: comity bench e2e --json. {EXIT_CODES} Minutes; leave the machine alone meanwhile."
ENVIRONMENT: Final = {"COMITY_SESSION_MS": "120000"}  # a worker is stopped while somebody else is measured
GATEWAYS: Final = "gateways"
CLIENT: Final = "client"
START_SECONDS: Final = 0.2  # until all States have their order
STALLED_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.25
FETCH_RECORDS_MAX: Final = 500
LEVELS: Final = ("accepted", "stored", "delivered", "opened")


def register(app: typer.Typer, groups: Groups) -> None:  # noqa: ARG001 (every command module has this shape)
    """Add the command."""
    groups["bench"].command(epilog=EPILOG)(e2e)


def e2e(  # noqa: PLR0917 (Typer passes options by name)
    messages: Annotated[int, typer.Option("--messages", min=4, help="How many, over all rounds.")] = 6_000,
    authorities: Annotated[int, typer.Option("--authorities", min=2, max=50, help="States, each a process.")] = 4,
    shards: Shards = 4,
    size: Annotated[int, typer.Option("--size", min=700, max=65_000, help="Bytes of a message's document.")] = 4096,
    rate: Rate = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Turns of ours, the copy, the primitives.")] = 3,
    warm_up: Annotated[int, typer.Option("--warm-up", min=1, help="Messages that come before, not counted.")] = 2_000,
    json: Json = False,
    cache: Cache = CACHE,
) -> None:
    """Measure the whole way: sealing, routing, opening, all receipts, with the CPU of all processes and the broker."""
    load = Load(messages=messages, rounds=min(rounds, messages), warm_up=warm_up, size=size, rate=rate)

    async def measured() -> Mapping[str, Any]:
        shape = Shape(authorities=authorities, shards=shards)
        async with opened(shape, cache.expanduser(), ENVIRONMENT) as stage:
            return await Measurement(stage, load, Progress()).run()

    figures = asyncio.run(measured())
    show(figures, json=json)
    if figures["lost"]:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is handed in: ``rate`` messages a second over all States, or all of a round at once."""

    messages: int
    rounds: int
    warm_up: int
    size: int
    rate: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one turn measured. CPU in seconds; ``waited_ms`` from when a message was due to each level."""

    messages: int
    seconds: float
    waited_ms: Mapping[str, Sequence[float]]
    lost: int
    ours: Mapping[str, float]
    copy: Mapping[str, float]
    crypto_us: Mapping[str, float]
    records: int  # messages and receipt lists
    transactions: int

    @property
    def ratio(self) -> float:
        """Of this turn alone."""
        ours, copy = (per_message_us(each, self.messages)["all"] for each in (self.ours, self.copy))
        return ratio(ours, copy, sum(self.crypto_us.values()))


class Measurement:
    """Rounds of ours, the copy, the primitives; the first one warms everything up and is thrown away."""

    def __init__(self, stage: Stage, load: Load, progress: Progress) -> None:
        self._stage = stage
        self._load = load
        self._progress = progress
        self._states = States(stage)
        self._inboxes = Inboxes(stage)
        self._copy = CopyLoop(stage)
        self._outboxes: Reader
        self._writer: Writer

    async def run(self) -> Mapping[str, Any]:
        """The figures. Raises ``Unreachable`` when a part ends or stands still."""
        stage, load = self._stage, self._load
        self._progress.tell(f"the broker runs; enrolling {stage.shape.authorities} States")
        try:
            await self._states.enrol()
            await stage.start_routers()
            await self._copy.start()
            await self._inboxes.open()
            self._writer = await stage.bus.writer()
            self._outboxes = await stage.bus.reader({Place(outbox(each), 0): 0 for each in self._states.names})
            self._progress.tell(f"warming up with {load.warm_up} messages")
            await self._round(load.warm_up, rate=None)
            rounds = []
            for number in range(load.rounds):
                rounds.append(await self._round(max(1, load.messages // load.rounds), rate=load.rate))
                self._progress.tell(_sentence(number + 1, rounds[-1]))
            memory = peaks_mib(self._parts())
            await self._inboxes.close()
        finally:
            await self._copy.close()
            await self._states.close()
        return self._figures(rounds, memory)

    # --- one turn ---------------------------------------------------------------------------------

    async def _round(self, count: int, *, rate: float | None) -> Round:
        outcome = Outcome()
        before = await self._sampled()
        seconds, waited, unfinished, ours = await self._exchanged(count, rate)
        letters = await self._letters()
        await self._inboxes.read(outcome, letters)
        written = await self._inboxes.written(outcome)
        with frozen([*self._parts()[ROUTER], *self._states.pids]):
            copy = await self._copied(letters, written)
        after = await self._sampled()
        shares = Shares(batch_mean=count / written.transactions, bundles_per_message=written.bundles[0] / count)
        return Round(
            messages=count,
            seconds=seconds,
            waited_ms=waited,
            lost=max(unfinished, outcome.lost(letters)),
            ours=ours,
            copy=copy,
            crypto_us=life_us([*before, *after], shares),
            records=len(letters),
            transactions=written.transactions,
        )

    async def _exchanged(
        self, count: int, rate: float | None
    ) -> tuple[float, dict[str, list[float]], int, dict[str, float]]:
        """Seconds until all is done, times to each level, how many did not reach all, CPU."""
        states = self._states
        await states.ask_all(orders(states.names, count, size=self._load.size))
        every_s = 0.0 if rate is None else len(states.names) / rate
        begin = time.monotonic() + START_SECONDS
        with frozen([self._copy.pid]):
            meter = Meter(self._parts())
            lines = {
                name: {"do": "go", "at": begin + number * every_s / len(states.names), "every_s": every_s}
                for number, name in enumerate(states.names)
            }
            await states.ask_all(lines)
            await self._until_opened(count)
            used = meter.lap()
        times: dict[str, dict[str, float]] = {name: {} for name in ("due", *LEVELS)}
        for each in (await states.tell_all({"do": "times"})).values():
            for name, found in each.items():
                times[name].update(found)
        waited = {
            level: [(times[level][key] - due) * 1000 for key, due in times["due"].items() if key in times[level]]
            for level in LEVELS
        }
        unfinished = max(count - len(waited[level]) for level in LEVELS)
        return max(times["opened"].values(), default=begin) - begin, waited, unfinished, used

    async def _until_opened(self, count: int) -> None:
        """Wait until every message has all its levels, or nothing moves any more. Raises ``Unreachable``."""
        done, before, moved = 0, -1, time.monotonic()
        while done < count:
            answers = (await self._states.tell_all({"do": "progress"})).values()
            problems = sorted({code for each in answers for code in each["problems"]})
            if problems:
                raise Unreachable("bench-refused", f"Messages failed: {', '.join(problems)}.")
            done = sum(each["opened"] for each in answers)
            if done != before:
                before, moved = done, time.monotonic()
            if time.monotonic() > moved + STALLED_SECONDS:
                self._progress.tell(f"nothing moves at {done} of {count} messages")
                return
            self._stage.cluster.processes.check()
            await asyncio.sleep(LOOK_SECONDS)

    async def _letters(self) -> list[Letter]:
        """All records that the States published since the last call, receipt lists too."""
        letters = []
        async for record in read_to_end(self._outboxes, records_max=FETCH_RECORDS_MAX):
            header = dict(record.headers)[JWS_HEADER]
            parsed = jws.parse(header, typ=jws.TYP_MANIFEST, bytes_max=MANIFEST_JWS_BYTES_MAX)
            manifest = decode(parsed.payload)
            sent = Outgoing(record.topic, record.key, record.value, record.headers)
            letters.append(Letter(manifest.sender, manifest.recipient, sent))
        return letters

    async def _copied(self, letters: Sequence[Letter], written: Written) -> dict[str, float]:
        """The same records in the same transactions through the copy loop; CPU seconds."""
        order = copy_order(letters, written, shards=self._stage.shape.shards)
        parts: Parts = {CLIENT: [self._copy.pid], BROKER: self._parts()[BROKER]}
        with frozen(parts[CLIENT]):
            await publish(self._writer, copied(letters))
            meter = Meter(parts)
        await self._copy.obey(order)
        return meter.lap()

    async def _sampled(self) -> list[dict[str, float]]:
        """The bare primitives, while nothing else runs."""
        keys = read_keyring(self._stage.cluster.home.state(self._states.names[0]).keys)
        with frozen([*self._parts()[ROUTER], *self._states.pids, self._copy.pid]):
            sample = partial(sample_us, keys, document_bytes=self._load.size, chance=self._stage.chance)
            return await asyncio.to_thread(on_all_cores, sample)

    # --- what came of it --------------------------------------------------------------------------

    def _parts(self) -> Parts:
        found = self._stage.parts()
        return {GATEWAYS: self._states.pids, ROUTER: found[ROUTER], BROKER: found[BROKER]}

    def _figures(self, rounds: Sequence[Round], memory: Mapping[str, int]) -> Mapping[str, Any]:
        shape, load = self._stage.shape, self._load
        messages = sum(each.messages for each in rounds)
        ours = per_message_us(total([each.ours for each in rounds]), messages)
        copy = per_message_us(total([each.copy for each in rounds]), messages)
        crypto = {
            step: round(sum(each.crypto_us[step] * each.messages for each in rounds) / messages, 1)
            for step in rounds[0].crypto_us
        }
        waited = {level: [span for each in rounds for span in each.waited_ms[level]] for level in LEVELS}
        whole = round(sum(crypto.values()), 1)
        return {
            "messages": messages,
            "messages_per_second": round(messages / sum(each.seconds for each in rounds), 1),
            "latency_ms": percentiles(waited["accepted"]),
            "stored_ms": percentiles(waited["stored"]),
            "delivered_ms": percentiles(waited["delivered"]),
            "opened_ms": percentiles(waited["opened"]),
            "cpu_us_per_message": ours,
            "baseline": {"crypto_us": whole, "kafka_copy_us": copy["all"]},
            "cpu_ratio": ratio(ours["all"], whole, copy["all"]),
            "suite": shape.suite,
            "batch_mean": round(sum(each.records for each in rounds) / sum(each.transactions for each in rounds), 1),
            "lost": sum(each.lost for each in rounds),
            "authorities": shape.authorities,
            "shards": shape.shards,
            "size_bytes": load.size,
            "rate": load.rate,
            "cpu_ratio_rounds": [each.ratio for each in rounds],
            "crypto_us": crypto,
            "copy_cpu_us_per_message": copy,
            "receipt_lists_per_message": round(sum(each.records for each in rounds) / messages - 1, 3),
            "memory_peak_mib": memory,
        }


def _sentence(number: int, each: Round) -> str:
    ours, copy = (per_message_us(used, each.messages) for used in (each.ours, each.copy))
    parts = ", ".join(f"{name} {used:.0f}" for name, used in ours.items() if name != "all")
    return (
        f"round {number}: {each.messages / each.seconds:.0f} messages/s; {ours['all']:.0f} us a message ({parts}), "
        f"cryptography {sum(each.crypto_us.values()):.0f}, copy {copy['all']:.0f}: {each.ratio:.2f}"
    )
