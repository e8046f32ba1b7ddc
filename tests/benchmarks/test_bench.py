"""``comity bench router`` on a real Kafka, small: every figure is there, and nothing is lost. No time is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(200)]

FIELDS = {
    "messages",
    "messages_per_second",
    "latency_ms",
    "cpu_us_per_message",
    "baseline",
    "cpu_ratio",
    "suite",
    "batch_mean",
    "lost",
}


def test_a_small_run_gives_every_figure(kafka_cache: Path) -> None:
    """One turn of ours, the copy and the primitives; standard output is one object."""
    options = ("--messages", "200", "--rounds", "1", "--warm-up", "100", "--authorities", "4", "--shards", "2")
    run = subprocess.run(
        [sys.executable, "-m", "hub", "bench", "router", "--json", "--cache", str(kafka_cache), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    figures = json.loads(run.stdout)
    assert figures.keys() >= FIELDS
    assert (figures["messages"], figures["lost"], figures["suite"]) == (200, 0, "S1")
    assert figures["worker_shares"] == [1.0]
    assert figures["cpu_us_per_message"].keys() == {"all", "router", "broker", "broker_compiler"}
    assert figures["baseline"].keys() == {"crypto_us", "kafka_copy_us"}
    assert figures["copy"]["batch_mean"] == figures["batch_mean"] >= 1
    assert figures["cpu_ratio"] > 0
    assert figures["latency_ms"]["p99"] > 0
    assert "round 1" in run.stderr
