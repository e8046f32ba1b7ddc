"""The broker dies, or is not heard, in the dose of a pull request; ``make faults`` gives the full doses."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(500)]


@pytest.mark.parametrize("name", ["F3", "F14"])
async def test_without_a_broker_nothing_is_lost_doubled_or_out_of_order(done, name: str) -> None:
    """Killed, restarted, away, silent: when it is back, everything goes on."""
    await done(name)
