"""Faults of the work itself, done to a whole hub on a real Kafka: steps, zombies, moves, repeats, poison."""

from __future__ import annotations

import pytest

from tests.faults.doses import PULL_REQUEST
from tests.faults.runner import faults

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(500)]


@pytest.mark.parametrize("name", ["F2", "F4", "F5", "F8", "F11"])
async def test_whatever_happens_to_the_work_nothing_is_lost_doubled_or_out_of_order(done, name: str) -> None:
    """The independent checker finds nothing wrong in what senders, topics and recipients saw."""
    result = await done(name)
    assert (result["lost"], result["duplicated"], result["reordered"], result["torn"]) == (0, 0, 0, 0)
    assert result["messages"] >= faults()[name].DOSES[PULL_REQUEST].messages * 0.95, "a resend is no message of its own"
