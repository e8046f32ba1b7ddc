"""The benchmarks' arithmetic, orders and tables: what is measured is divided, counted and shown as the document says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from functools import partial
from pathlib import Path

import pytest

from connectors.bench.baseline import Primitives, Written, copied, copy_order, crypto_us, primitives
from connectors.bench.figures import per_message_us, percentiles, ratio, show, total
from connectors.bench.outcome import Outcome
from connectors.bench.traffic import Letter
from connectors.bench.usage import Meter, cpu_seconds, frozen, on_all_cores, peaks_mib
from hub.core.ids import AuthorityId, slot
from hub.envelope.signers import generate_signer
from hub.errors import Unreachable
from hub.testing import FakeAuthority, fake_trust_list
from tests.benchmarks import sampled, tables
from tests.benchmarks.growth import nice, plot

NOW_MS = 1_795_600_800_000
NAMES = (AuthorityId("xa-moj"), AuthorityId("xb-pgo"))
DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"


def test_percentiles_are_values_that_were_seen() -> None:
    """The nearest rank, and nothing invented when nothing was seen."""
    assert percentiles([3.0, 1.0, 2.0, 4.0]) == {"p50": 2.0, "p95": 4.0, "p99": 4.0}
    assert percentiles(range(1, 101)) == {"p50": 50, "p95": 95, "p99": 99}
    assert percentiles([], percents=(50,)) == {"p50": None}


def test_cpu_is_shared_among_the_messages() -> None:
    """Seconds of several laps become microseconds a message, in all and by part."""
    seconds = total([{"router": 0.5, "broker": 0.1}, {"router": 0.3, "broker": 0.1}])
    assert per_message_us(seconds, 1000) == {"all": 1000.0, "router": 800.0, "broker": 200.0}
    seconds = total([{"broker": 0.2, "broker_compiler": 0.1}, {"broker": 0.2}])
    assert per_message_us(seconds, 1000) == {"all": 400.0, "broker": 400.0, "broker_compiler": 100.0}


def test_ratio_is_ours_over_the_sum_of_the_baselines() -> None:
    """Both baselines stand below the line."""
    assert ratio(700.0, 300.0, 200.0) == 1.4


def test_figures_are_one_json_object_or_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Nested figures become a line each for a person, one object for a program."""
    figures = {"messages": 3, "baseline": {"crypto_us": 1.5}, "cpu_ratio_rounds": [1.2, 1.3]}
    show(figures, json=True)
    assert (
        capsys.readouterr().out == '{"messages": 3, "baseline": {"crypto_us": 1.5}, "cpu_ratio_rounds": [1.2, 1.3]}\n'
    )
    show(figures, json=False)
    said = capsys.readouterr().out
    assert "baseline crypto_us" in said
    assert "1.2, 1.3" in said


@pytest.fixture(scope="module")
def letters() -> list[Letter]:
    """Three signed messages, two of them from the first authority."""
    fakes = {name: FakeAuthority(name, now_ms=NOW_MS) for name in NAMES}
    trust = fake_trust_list(fakes.values(), now_ms=NOW_MS)
    ways = [(NAMES[0], NAMES[1]), (NAMES[1], NAMES[0]), (NAMES[0], NAMES[1])]
    return [Letter(a, b, fakes[a].letter(b, trust=trust, now_ms=NOW_MS)) for a, b in ways]


def test_the_copy_does_as_many_of_everything(letters: list[Letter]) -> None:
    """The order has the router's batches, its records a transaction with their bytes, and where each record goes."""
    shard = slot(NAMES[0], 2)
    written = Written(batches={shard: [1], 1 - shard: []}, bundles=(2, 3000), ledger=(2, 1000), shards=(5, 500))
    order = copy_order(letters, written, shards=2)
    sent = [sum(slot(each.sender, 2) == number for each in letters) for number in (0, 1)]
    assert [sum(batches) for batches in order["batches"]] == sent  # one left over is copied too
    assert order["batches"][shard][0] == 1
    assert order["routes"]["copy.out.xa-moj"] == ["copy.in.xb-pgo"] * 2
    assert order["bundle_bytes"] == 1500
    assert order["extras"][0] == {"topic": "copy.ledger", "count": 2, "bytes": 500}
    assert [each.topic for each in copied(letters)] == ["copy.out.xa-moj", "copy.out.xb-pgo", "copy.out.xa-moj"]
    assert [each.value for each in copied(letters)] == [each.record.value for each in letters]


def test_cryptography_alone_costs_something() -> None:
    """Each signature is verified in the measured time: a message that does not verify raises."""
    fakes = [FakeAuthority(name, now_ms=NOW_MS) for name in NAMES]
    trust = fake_trust_list(fakes, now_ms=NOW_MS)
    letter = Letter(*NAMES, fakes[0].letter(NAMES[1], trust=trust, now_ms=NOW_MS))
    signers = [generate_signer(name) for name in ("Ed25519", "ML-DSA-65")]
    found = on_all_cores(partial(primitives, [letter] * 20, trust, head_signers=signers, time_ms=NOW_MS))
    assert len(found) == os.cpu_count()
    assert all(each.message_us > 0 and each.head_us > 0 for each in found)


def test_a_message_has_its_share_of_a_head() -> None:
    """The means of the samples, the head's divided among its batch."""
    assert crypto_us([Primitives(300, 1500), Primitives(400, 2500)], batch_mean=20) == 350 + 2000 / 20


def test_a_message_is_lost_unless_it_came_out_exactly_once(letters: list[Letter]) -> None:
    """Neither a missing receipt, nor a missing copy, nor a second one is forgiven."""
    outcome = Outcome()
    for letter in letters:
        outcome.accepted[letter.jws] += 1
        outcome.copies[letter.jws] += 1
    assert outcome.lost(letters) == 0
    outcome.copies[letters[0].jws] += 1
    outcome.accepted[letters[1].jws] -= 1
    outcome.copies[letters[2].jws] -= 1
    assert outcome.lost(letters) == 3


def test_a_meter_counts_what_a_process_works() -> None:
    """Work of this process is seen, by part."""
    parts = {"me": [os.getpid()], "nobody": []}
    meter = Meter(parts)
    while cpu_seconds(os.getpid()) < meter._at["me"].whole + 0.05:
        sum(range(10_000))
    lap = meter.lap()
    assert lap["me"] > 0.04
    assert lap["nobody"] == 0
    assert peaks_mib({"me": [os.getpid()]})["me"] > 1


def test_a_compiler_is_a_part_of_its_own() -> None:
    """What a JVM compiles is not what a message costs: it is counted apart, from its thread's name."""
    code = """
import pathlib, threading, time
def compile():
    pathlib.Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text("C2 CompilerThread0")
    while time.thread_time() < 0.3:
        pass
    print("compiled", flush=True)
    time.sleep(60)  # a thread that ended can no longer be read; the process is killed as soon as it was
print("begun", flush=True)
threading.Thread(target=compile).start()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        meter = Meter({"jvm": [process.pid]})
        process.stdout.readline()
        lap = meter.lap()
        process.kill()
    assert lap["broker_compiler"] > 0.2
    assert lap["jvm"] < 0.1


def test_a_process_that_ended_is_no_zero() -> None:
    """Its CPU time is unknown, which ends the benchmark."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with pytest.raises(Unreachable):
        cpu_seconds(gone.pid)


def test_frozen_processes_stand_still_and_go_on() -> None:
    """Stopped inside, at work again behind, an error inside or not."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])

    def state() -> str:
        time.sleep(0.05)
        return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]

    try:
        with frozen([process.pid]):
            assert state() == "T"
        assert state() != "T"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_samples_are_sorted_into_areas() -> None:
    """Only a router at work counts; the innermost frame that a row names decides."""
    process = 'process 1:"python -m hub serve router --worker 1"'
    lines = [
        f"{process};check (hub/flow.py:85);judge (hub/envelope/checking.py:89);verify (hub/envelope/suites.py:1) 30",
        f"{process};main (hub/__main__.py:8);run (hub/streams/process.py:9);send (aiokafka/producer/producer.py:1) 10",
        f"{process};main (hub/__main__.py:8);find (importlib/x.py:1) 99",
        f"{process};_worker (concurrent/futures/thread.py:81) 99",
        'process 1:"python -m hub bench router";verify (hub/envelope/suites.py:1) 99',
    ]
    assert sampled.by_area(lines) == {"signatures: verify": 0.75, "Kafka client: produce": 0.25}


def test_the_document_takes_every_table() -> None:
    """Each table has its place in docs/performance.md, and writing it twice changes nothing."""
    text = DOCUMENT.read_text()
    for name in (*tables.TABLES, "machine"):
        assert f"<!-- measured: {name} -->" in text
    once = tables.written(text, {}, machine="a machine")
    assert tables.written(once, {}, machine="a machine") == once
    assert tables.NONE in once


def test_the_plot_is_a_drawing() -> None:
    """Well-formed SVG with a line and a name for each series, and a round number on top."""
    drawn = ET.fromstring(plot({"router": [(20, 900), (1000, 4100)], "broker": [(20, 200)]}, title="T", x="x", y="us"))  # noqa: S314 (our own)
    texts = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"T", "router", "broker", "20", "1000", "5000"} <= set(texts)
    assert (nice(4100), nice(0.7), nice(1000)) == (5000, 1, 1000)
