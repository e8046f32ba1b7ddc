"""Raw batches and our own writer against a real Kafka: what is stored becomes what the table says, and harms nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bad_inputs.kafka_run import Cluster, run_through_kafka
from tests.bad_inputs.table import kafka_cases

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


async def test_bad_batches(kafka: Cluster, tmp_path: Path) -> None:
    """One broker, one router, every batch: the neighbour's next letter passes after each, and beside the one that stops."""
    results = await run_through_kafka(kafka_cases(), kafka, tmp_path)
    wrong = {each.case.id: (str(each.became), *each.faults) for each in results if not each.as_expected}
    assert wrong == {}, "\n".join(map(str, wrong.items()))
