"""``comity bench watch`` on a real Kafka, small: every figure is there, each flag came once. No time is judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.bench.case_view import CaseViews
from connectors.bench.figures import Progress
from connectors.bench.stage import Shape, opened
from connectors.bench.watch import Pace, Watching

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

PACE = Pace(idle_seconds=0.5, headway_ms=4_000, spread_ms=2_000, burst_headway_ms=5_000)
FIELDS = {
    "clocks",
    "due",
    "flags",
    "flags_once_per_side",
    "lateness_ms",
    "rss_mib_peak",
    "cpu_us_per_flag",
    "load_seconds",
    "burst",
    "restarts",
    "lost",
}


async def test_each_flag_comes_once_to_each_side_and_a_rebuilt_view_is_the_same(kafka_cache: Path) -> None:
    """While others write, all at once, and around a kill; then whole cases, lived and rebuilt, on the same ledger."""
    async with opened(Shape(authorities=4, ledger_partitions=2), kafka_cache) as stage:
        watch = await Watching(stage, Progress(), PACE).run(200, due=50, burst=700, kills=1)
        views = await CaseViews(stage, Progress()).run(100, kills=0)
    assert watch.keys() >= FIELDS
    assert (watch["lost"], watch["doubled"], watch["wrong"]) == (0, 0, 0)
    assert 50 <= watch["flags"] <= 150
    assert watch["flags_once_per_side"] is True
    assert watch["lateness_ms"].keys() == {"p50", "p95", "p99", "max"}
    assert views["identical"] is True
    assert views["entries"] > 400
