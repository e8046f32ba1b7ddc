"""Records that come again, or are none, in the dose of a pull request; ``make faults`` gives the full doses."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(500)]


@pytest.mark.parametrize("name", ["F8", "F11"])
async def test_whatever_a_record_is_nothing_is_lost_doubled_or_out_of_order(done, name: str) -> None:
    """Repeats and other texts under one id, an outbox full of poison: the answer is the same, and nobody else loses anything."""
    await done(name)
