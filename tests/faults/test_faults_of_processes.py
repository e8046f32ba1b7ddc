"""The hub's processes die, in the dose of a pull request on a real Kafka; ``make faults`` gives the full dose."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(500)]


async def test_whoever_dies_nothing_is_lost_doubled_or_out_of_order(done) -> None:
    """At least forty kills of router, registrar and watch over 20,000 messages of twenty authorities."""
    result = await done("F1")
    assert result["kills"] >= 40
    assert (result["authorities"], result["messages"] >= 20_000) == (20, True)
