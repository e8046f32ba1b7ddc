from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from faust.types import TP

from hub.adapters.kafka.client_config import ClientConfig
from hub.core.topics import LEDGER
from hub.errors import ComityError, Unreachable, VerificationFailed
from hub.settings import HubSettings
from hub.streams import faust_runner, registrar, watch
from hub.streams.faust_runner import FaustRunner
from hub.streams.faust_transport import (
    BoundedThread,
    HubConsumer,
    Reading,
    check_log,
    faust_settings,
    hub_consumer,
)
from hub.streams.process import Process


class Taken:
    """Steps that note what they are given; the next offsets are after what was taken. Implements ``LedgerSteps``."""

    def __init__(self, error: Exception | None = None) -> None:
        self.offsets: dict[int, int] = {}
        self.values: list[bytes | None] = []
        self.batches: list[int] = []
        self.ticks = 0
        self._error = error

    def next_offsets(self, partitions):
        """After the last record of each."""
        return {partition: self.offsets.get(partition, 0) for partition in partitions}

    def take(self, records):
        """Note them, or fail."""
        if self._error is not None:
            raise self._error
        self.values += [record.value for record in records]
        self.batches.append(len(records))
        self.offsets[records[0].partition] = records[-1].offset + 1

    async def tick(self, _partitions, _reach):
        """Count."""
        self.ticks += 1


@pytest.fixture
def build(faust_settings):
    """Make fresh apps in the running loop, without a broker; their threads' loops are closed at the end."""
    made = []

    def built(steps: Taken, failures: list[BaseException] | None = None, module=registrar):
        app = module.build_app(faust_settings, steps, failed=(failures if failures is not None else []).append)
        app.loop = asyncio.get_running_loop()
        app.flow_control.resume()
        made.append(hub_consumer(app)._thread)
        return app

    yield built
    for thread in made:
        thread.thread_loop.close()


async def feed(app, name: str, *records: tuple[int, int, bytes]) -> None:
    """Hand (partition, offset, value) to the agent as Faust would."""
    async with app.agents[name].test_context() as agent:
        channel = agent.stream().channel
        for partition, offset, value in records:
            message = agent.to_message(None, value, partition=partition, offset=offset)
            await channel.put(await channel.decode(message))
        await asyncio.sleep(0.1)


def fetched(app, *records: tuple[int, int]) -> None:
    """What the consumer's thread notes of records (partition, offset) that it fetched one after the other."""
    thread = hub_consumer(app)._thread
    for partition, offset in records:
        place = TP(LEDGER, partition)
        follows = thread.follows.setdefault(place, {})
        follows[offset] = thread.after_record.get(place, 0)
        thread.after_record[place] = offset + 1


@pytest.mark.parametrize(("module", "name"), [(registrar, "registrar"), (watch, "watch")])
async def test_a_batch_goes_to_the_steps_partition_by_partition(build, module, name):
    """In the log's order within each."""
    steps = Taken()
    app = build(steps, module=module)
    fetched(app, (0, 0), (1, 0), (0, 1))
    await feed(app, name, (0, 0, b"a"), (1, 0, b"x"), (0, 1, b"b"))
    assert sorted(steps.values) == [b"a", b"b", b"x"]
    assert steps.values.index(b"a") < steps.values.index(b"b")
    assert steps.offsets == {0: 2, 1: 1}


async def test_an_error_goes_to_the_runner_and_nothing_is_taken_after_it(build):
    """Faust would acknowledge the record, restart the agent and go on behind it."""
    failures: list[BaseException] = []
    error = VerificationFailed("ledger-gap", "A number is missing.")
    steps = Taken(error)
    app = build(steps, failures)
    fetched(app, (0, 0), (0, 1))
    await feed(app, "registrar", (0, 0, b"a"))
    assert (failures, steps.values) == ([error], [])


async def test_what_lies_behind_a_hole_is_not_taken(build):
    """Around a rebalance Faust drops records and reads them again: what came before them waits for that."""
    steps = Taken()
    app = build(steps)
    fetched(app, (0, 0), (0, 1), (0, 2))
    await feed(app, "registrar", (0, 0, b"a"), (0, 2, b"c"))
    assert (steps.values, steps.offsets) == ([b"a"], {0: 1})


async def test_a_jump_over_markers_is_no_hole(build):
    """Offsets of transaction markers are never handed over."""
    steps = Taken()
    app = build(steps)
    fetched(app, (0, 0), (0, 7))
    await feed(app, "registrar", (0, 0, b"a"), (0, 7, b"b"))
    assert steps.values == [b"a", b"b"]


class Log:
    """A consumer's thread as the consumer asks it: what the broker has."""

    def __init__(self, *, start: int = 0, end: int = 10, position: int = 10, after_record: int = 8) -> None:
        self.start, self.end = start, end
        self.after_record = {TP(LEDGER, 0): after_record}
        self.follows: dict[TP, dict[int, int]] = {}
        self._position = position
        self.sought: dict[TP, int] = {}

    def assignment(self):
        """One partition of the ledger, and another topic's."""
        return {TP(LEDGER, 0), TP("other", 0)}

    async def earliest_offsets(self, *places):
        """Where the log starts."""
        return dict.fromkeys(places, self.start)

    async def highwaters(self, *places):
        """Where it ends."""
        return dict.fromkeys(places, self.end)

    async def seek_wait(self, offsets):
        """Note where to."""
        self.sought = dict(offsets)

    async def ends(self, _places):
        """Where it ends now."""
        return {TP(LEDGER, 0): self.end}

    async def readings(self, _places):
        """How far it was read."""
        return {TP(LEDGER, 0): Reading(self._position, self.after_record[TP(LEDGER, 0)])}


async def _consumer(build, log: Log, taken: int, failures: list[BaseException] | None = None) -> HubConsumer:
    steps = Taken()
    steps.offsets[0] = taken
    consumer = hub_consumer(build(steps, failures))
    consumer._thread = log  # type: ignore[assignment]
    return consumer


async def test_reading_starts_where_the_database_says(build):
    """Whatever the group has committed."""
    log = Log()
    consumer = await _consumer(build, log, 5)
    assert await consumer.seek_to_committed() == {TP(LEDGER, 0): 5}
    assert log.sought == {TP(LEDGER, 0): 5}


async def test_a_truncated_log_is_an_error_never_a_jump(build):
    """The runner gets it, and Faust waits for ever instead of reading on."""
    failures: list[BaseException] = []
    consumer = await _consumer(build, Log(start=6), 5, failures)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(consumer.seek_to_committed(), 0.05)
    assert [error.code for error in failures if isinstance(error, ComityError)] == ["ledger-truncated"]


@pytest.mark.parametrize(("offset", "code"), [(5, "ledger-truncated"), (11, "ledger-shorter"), (6, None), (10, None)])
def test_the_log_must_hold_what_is_read_next(offset: int, code: str | None):
    """A log that ends before our offset is another or an older one."""
    if code is None:
        check_log(TP(LEDGER, 0), offset, start=6, end=10)
        return
    with pytest.raises(VerificationFailed) as caught:
        check_log(TP(LEDGER, 0), offset, start=6, end=10)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("log", "taken", "expected"),
    [
        (Log(position=10, after_record=8), 8, 10),  # two markers behind the last record
        (Log(position=10, after_record=8), 7, 7),  # a record is still on its way to the steps
    ],
)
async def test_markers_count_as_taken_once_no_record_is_under_way(build, log: Log, taken: int, expected: int):
    """A partition whose last offsets are markers is at its end all the same."""
    consumer = await _consumer(build, log, taken)
    assert (await consumer.ends([0]), await consumer.taken([0])) == ({0: 10}, {0: expected})
    assert consumer.behind() == ({0: (taken, 8)} if taken < 8 else {})


async def test_a_backlog_is_taken_in_small_transactions(build, monkeypatch: pytest.MonkeyPatch):
    """Another process that writes to the same database waits for no longer than one."""
    monkeypatch.setattr("hub.streams.ledger_steps.TRANSACTION_BYTES_MAX", 3)
    steps = Taken()
    app = build(steps)
    values = [b"a", b"bb", b"cccc", b"d"]
    fetched(app, *((0, offset) for offset in range(4)))
    await feed(app, "registrar", *((0, offset, value) for offset, value in enumerate(values)))
    assert (steps.values, steps.batches) == (values, [2, 1, 1])


def test_a_silent_peers_thread_holds_nothing_up(monkeypatch: pytest.MonkeyPatch):
    """Neither the loop, longer than a limit, nor the process."""
    monkeypatch.setattr("hub.streams.faust_transport.THREAD_STOP_SECONDS", 0.01)
    forever = threading.Event()
    thread = BoundedThread(SimpleNamespace(_start_thread=forever.wait))
    thread.start()
    thread.stop()
    assert (thread.is_alive(), thread.daemon) == (True, True)
    forever.set()
    thread.join(5)


class Frozen:
    """An app that does what a test says. Stands for ``LedgerApp`` in the runner."""

    def __init__(self, *, hangs: bool = False, crash: Exception | None = None) -> None:
        self.consumer = self
        self.stopped = 0
        self.moves: dict[int, tuple[int, int]] = {}
        self.partitions = {TP(LEDGER, 0)}
        self.works = False
        self.crashed, self.crash_reason = crash is not None, crash
        self._hangs = hangs

    async def start(self):
        """At once, or never."""
        if self._hangs:
            await asyncio.Event().wait()

    async def stop(self):
        """At once."""
        self.stopped += 1

    def assignment(self):
        """What is ours."""
        return self.partitions

    def behind(self):
        """What is on its way."""
        return self.moves

    def waited_seconds(self, now: float) -> float:
        """As long as the test says that it has nothing to do."""
        return 0.0 if self.works else now


@pytest.fixture
def process(tmp_path: Path) -> Process:
    """A process with short limits."""
    return Process("registrar", HubSettings(home=tmp_path, tick_ms=5, start_ms=50, stop_ms=50))


@pytest.fixture
def run(process: Process, monkeypatch: pytest.MonkeyPatch):
    """Run a frozen app; ``kept`` gets the runner's ``failed``."""
    monkeypatch.setattr(faust_runner, "hub_consumer", lambda app: app)

    def running(app: Frozen, steps: Taken, kept: list | None = None):
        def build_it(failed):
            if kept is not None:
                kept.append(failed)
            return app

        return FaustRunner(process, build_it, steps).run()

    return running


async def test_the_runner_ticks_until_it_is_stopped(process: Process, run):
    """Ready as soon as a partition is ours; stopped cleanly."""
    app, steps = Frozen(), Taken()
    task = asyncio.ensure_future(run(app, steps))
    await asyncio.sleep(0.05)
    assert (process.not_ready, steps.ticks > 1) == (None, True)
    app.partitions = set()
    await asyncio.sleep(0.05)
    assert process.not_ready == "no-partition"
    process.stop()
    await task
    assert app.stopped == 1


async def test_a_start_that_hangs_ends_the_process(run):
    """A missing access rule makes Faust wait for ever."""
    with pytest.raises(Unreachable) as caught:
        await run(Frozen(hangs=True), Taken())
    assert caught.value.code == "ledger-start"


@pytest.mark.parametrize("hangs", [True, False])
async def test_an_agents_error_ends_the_process(run, hangs: bool):
    """While it starts as well as later; the first error counts."""
    kept: list = []
    task = asyncio.ensure_future(run(Frozen(hangs=hangs), Taken(), kept))
    await asyncio.sleep(0.01)
    kept[0](VerificationFailed("ledger-fork", "Other bytes."))
    kept[0](VerificationFailed("ledger-gap", "Later."))
    with pytest.raises(VerificationFailed) as caught:
        await task
    assert caught.value.code == "ledger-fork"


@pytest.mark.parametrize(
    ("reason", "code"), [(RuntimeError("inside"), "ledger-reader"), (Unreachable("away", "Away."), "away")]
)
async def test_a_crash_of_faust_ends_the_process(run, reason: Exception, code: str):
    """A dead reader is never a quiet one."""
    with pytest.raises(Unreachable) as caught:
        await run(Frozen(crash=reason), Taken())
    assert caught.value.code == code


async def test_records_that_are_never_taken_end_the_process(run, monkeypatch: pytest.MonkeyPatch):
    """Faust dropped one and does not read it again: a new process reads it from the database's offset."""
    monkeypatch.setattr(faust_runner, "STALL_SECONDS", 0.02)
    app = Frozen()
    app.moves = {0: (5, 8)}
    with pytest.raises(Unreachable) as caught:
        await run(app, Taken())
    assert caught.value.code == "ledger-stalled"


async def test_a_partition_that_waits_for_its_turn_in_a_backlog_is_no_stall(
    process: Process, run, monkeypatch: pytest.MonkeyPatch
):
    """While the agent works for others, nothing is lost yet: a large backlog ends no process."""
    monkeypatch.setattr(faust_runner, "STALL_SECONDS", 0.02)
    app = Frozen()
    app.moves, app.works = {0: (5, 8)}, True
    task = asyncio.ensure_future(run(app, Taken()))
    await asyncio.sleep(0.1)
    process.stop()
    await task
    assert app.stopped == 1


async def test_an_agents_waiting_is_counted_apart_from_its_work(build):
    """From one batch to the next."""
    app = build(Taken())
    app.waits(10.0)
    assert app.waited_seconds(13.0) == 3.0
    app.works(14.0)
    assert app.waited_seconds(20.0) == 4.0
    app.waits(20.0)
    assert app.waited_seconds(21.0) == 5.0


def test_the_apps_settings_come_from_the_hubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The worker's name in the client id, the time-outs that held under kills."""
    monkeypatch.setattr(ClientConfig, "ssl_context", lambda _self: None)
    config = ClientConfig("127.0.0.1:9092,127.0.0.1:9093", tmp_path / "k", tmp_path / "t")
    made = faust_settings(HubSettings(home=tmp_path, worker="b"), config, group="watch")
    assert (made.group, made.client_id, made.session_ms) == ("watch", "watch-b", 6000)
