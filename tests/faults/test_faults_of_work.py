"""The work itself is cut, held and moved, in the dose of a pull request; ``make faults`` gives the full doses."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(500)]


@pytest.mark.parametrize("name", ["F2", "F4", "F5"])
async def test_wherever_work_stops_nothing_is_lost_doubled_or_out_of_order(done, name: str) -> None:
    """Killed at each step, asleep past its session, shards that move: the one that goes on does the rest, once."""
    await done(name)
