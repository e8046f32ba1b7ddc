"""A rebalance that follows on another, while the followers of the ledger seek: F1 met it once in three hundred kills."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import IllegalStateError
from faust.types import TP

from hub.core.topics import LEDGER
from hub.streams import registrar
from hub.streams.faust_transport import Reading, hub_consumer


@pytest.fixture
async def thread(faust_settings):
    """The consumer's thread of an app that is never started."""
    app = registrar.build_app(faust_settings, None, failed=[].append)
    app.loop = asyncio.get_running_loop()
    made = hub_consumer(app)._thread
    yield made
    made.thread_loop.close()


class Assigned:
    """A client that the group gave one partition, and takes it away ``when`` a position is asked for."""

    def __init__(self, *, taken_away: bool = False) -> None:
        self.taken_away = taken_away
        self.sought: dict[TP, int] = {}

    def assignment(self):
        """What it has."""
        return {TP(LEDGER, 0)}

    def seek(self, tp, offset):
        """As the client: an error for what it has not."""
        if tp not in self.assignment():
            raise IllegalStateError(f"No current assignment for partition {tp}")
        self.sought[tp] = offset

    async def position(self, tp):
        """As the client."""
        if self.taken_away:
            raise IllegalStateError(f"Partition {tp} is not assigned")
        return self.sought[tp]


@pytest.mark.parametrize("taken_away", [False, True])
async def test_a_partition_that_is_taken_away_while_it_is_sought_ends_nothing(thread, taken_away: bool):
    """The next assignment seeks anew, and what is still ours is sought."""
    client = Assigned(taken_away=taken_away)
    thread._consumer = client
    await thread._seek_wait(client, {TP(LEDGER, 1): 7, TP(LEDGER, 0): 5})
    assert client.sought == {TP(LEDGER, 0): 5}
    assert thread.after_record == {TP(LEDGER, 0): 5}
    readings = await thread._readings([TP(LEDGER, 0), TP(LEDGER, 1)])
    assert readings == ({} if taken_away else {TP(LEDGER, 0): Reading(5, 5)})
