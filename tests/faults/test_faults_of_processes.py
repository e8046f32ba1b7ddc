"""Faults of processes and of the broker, done to a whole hub on a real Kafka; ``make faults`` gives the full doses."""

from __future__ import annotations

import pytest

from tests.faults.doses import PULL_REQUEST
from tests.faults.runner import faults

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(500)]


@pytest.mark.parametrize("name", ["F1", "F3", "F14"])
async def test_whoever_dies_nothing_is_lost_doubled_or_out_of_order(done, name: str) -> None:
    """The independent checker finds nothing wrong in what senders, topics and recipients saw."""
    result = await done(name)
    assert (result["lost"], result["duplicated"], result["reordered"], result["torn"]) == (0, 0, 0, 0)
    assert result["messages"] >= faults()[name].DOSES[PULL_REQUEST].messages * 0.95, "a resend is no message of its own"


def test_every_fault_is_in_a_dose_of_a_pull_request() -> None:
    """None is left to the full doses alone, which run when somebody asks for them."""
    assert all(PULL_REQUEST in fault.DOSES for fault in faults().values())
