"""Faults done to a whole hub on a real Kafka, in the dose of a pull request; ``make faults`` gives the full ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.doses import PULL_REQUEST
from tests.faults.report import replay
from tests.faults.runner import faults, run

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]
SEED = 4


@pytest.mark.parametrize("name", list(faults()))
async def test_nothing_is_lost_nothing_comes_twice_and_all_in_order(
    name: str, tmp_path: Path, kafka_cache: Path
) -> None:
    """The independent checker finds nothing wrong in what senders, topics and recipients saw."""
    fault = faults()[name]
    dose = fault.DOSES[PULL_REQUEST]
    result = await run(fault, PULL_REQUEST, dose, seed=SEED, folder=tmp_path, cache=kafka_cache)
    assert "anomalies" not in result, f"{json.dumps(result, indent=1)}\n{replay(result)}"
    assert (result["lost"], result["duplicated"], result["reordered"], result["torn"]) == (0, 0, 0, 0)
    assert result["messages"] >= dose.messages * 0.95, "resends are no messages of their own"
