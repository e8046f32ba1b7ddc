"""``comity bench e2e`` on a real Kafka, small: every figure is there, and nothing is lost. No time is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.bench.states import orders
from hub.core.ids import AuthorityId

FIELDS = {
    "messages",
    "messages_per_second",
    "latency_ms",
    "stored_ms",
    "delivered_ms",
    "cpu_us_per_message",
    "baseline",
    "cpu_ratio",
    "suite",
    "batch_mean",
    "lost",
}


@pytest.mark.kafka
@pytest.mark.timeout(200)
def test_a_small_run_gives_every_figure(kafka_cache: Path) -> None:
    """Two States at a steady rate: one turn of ours, the copy and the primitives; standard output is one object."""
    options = ("--messages", "60", "--rate", "30", "--rounds", "1", "--warm-up", "40", "--authorities", "2")
    run = subprocess.run(
        [sys.executable, "-m", "hub", "bench", "e2e", "--json", "--cache", str(kafka_cache), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    figures = json.loads(run.stdout)
    assert figures.keys() >= FIELDS
    assert (figures["messages"], figures["lost"], figures["suite"]) == (60, 0, "S1")
    assert figures["cpu_us_per_message"].keys() == {"all", "gateways", "router", "broker", "broker_compiler"}
    assert figures["baseline"].keys() == {"crypto_us", "kafka_copy_us"}
    assert figures["crypto_us"].keys() == {"seal", "hub", "open", "lists", "heads"}
    assert figures["cpu_ratio"] > 0
    assert 0 < figures["latency_ms"]["p50"] <= figures["latency_ms"]["p99"]
    assert "round 1" in run.stderr


def test_everybody_writes_to_everybody() -> None:
    """Message k comes from State k, and each State goes through all others; nobody writes to itself."""
    names = [AuthorityId(f"xa-000{number}") for number in (1, 2, 3)]
    lines = orders(names, 12, size=4096)
    assert {name: len(line["to"]) for name, line in lines.items()} == dict.fromkeys(names, 4)
    assert all(set(line["to"]) == set(names) - {name} for name, line in lines.items())
