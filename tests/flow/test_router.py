"""The running router on the memory bus: nothing lost, nothing twice, whoever crashes, comes or goes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from hub.core.records import Outgoing, Place
from hub.errors import OutcomeUnknown
from hub.streams import holds, router, shard
from hub.testing import Fault, MemoryBus


@pytest.fixture(autouse=True)
def _quick(monkeypatch) -> None:
    """Waits of a busy hub are waits of a test."""
    monkeypatch.setattr(holds, "BACK_OFF_SECONDS_FIRST", 0.05)
    monkeypatch.setattr(shard, "FETCH_WAIT_MS", 20)
    monkeypatch.setattr(shard, "HELD_SECONDS", 0.02)
    monkeypatch.setattr(shard, "TOPICS_SECONDS", 0.05)
    monkeypatch.setattr(router, "LOOK_SECONDS", 0.02)


class CountingBus(MemoryBus):
    """Fails the ``number``-th transaction: lost before, or stored and its answer lost."""

    number, fault = 0, Fault.LOST

    async def transactional_writer(self, transactional_id: str):
        """A writer that counts."""
        writer = await super().transactional_writer(transactional_id)
        transact = writer.transact

        async def counted(records, offsets, group) -> None:
            self.number -= 1
            if self.number == 0:
                self.fail_next(self.fault)
            await transact(records, offsets, group)

        writer.transact = counted
        return writer


async def test_messages_cross_the_hub(hub, world, letters) -> None:
    """What was sent is delivered once, in order, receipted, and the offsets are committed with it."""
    await hub.send(*letters(12))
    hub.work()
    await hub.decided(12)
    assert {entry.code for entry in hub.entries()} == {None}
    hub.check_exactly_once()
    async with asyncio.timeout(20):  # it looks at itself at every tick
        while hub.process.not_ready is not None:
            await asyncio.sleep(0.01)
    await hub.leave()
    offsets = {**hub.broker.committed_offsets("router-shard-0"), **hub.broker.committed_offsets("router-shard-1")}
    assert offsets == {Place(f"outbox.{name}", 0): 4 for name in world.authors}


async def test_next_worker_goes_on_where_the_last_stopped(hub, world, letters) -> None:
    """State lies in the broker: a new worker continues chains, bundles and numbers."""
    for _ in range(3):
        await hub.send(*letters(3))
        hub.work()
        await hub.decided(3)
        await hub.leave()
        await hub.send(*letters(3))
    hub.work()
    await hub.decided(18)
    hub.check_exactly_once()


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("number", range(1, 6))
async def test_crash_at_each_transaction_loses_and_doubles_nothing(hub, world, number, fault, letters) -> None:
    """An unknown outcome ends the worker; the next one finds out what happened, whichever it was."""
    await hub.send(*letters(9))
    bus = CountingBus(hub.broker, "router")
    bus.number, bus.fault = number, fault
    with pytest.raises(OutcomeUnknown):
        await hub.work(bus=bus, batch_messages_max=2)
    hub.work()
    await hub.decided(9)
    hub.check_exactly_once()


async def test_kill_in_the_middle_loses_and_doubles_nothing(hub, world, letters) -> None:
    """Workers that are cut off anywhere, again and again, leave every message decided once."""
    batch = letters(24)
    for number in range(6):
        await hub.send(*batch[number * 4 : number * 4 + 4])
        task = hub.work(batch_messages_max=1)
        await asyncio.sleep(0.02 + 0.01 * number)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    hub.work()
    await hub.decided(24)
    hub.check_exactly_once()


async def test_repeat_and_refusals_disturb_nobody(hub, world, xa, xb, xc) -> None:
    """A record again, a flipped byte, a stolen record: each gets its answer, the others pass."""
    good = xa.letter(xb.id)
    flipped = xa.publish(xa.manifest(xb.id), keep=False, value=b"[]")
    stolen = replace(good, topic="outbox.xc-acc")
    await hub.send(good, good, flipped, stolen, xc.letter(xa.id), xa.letter(xb.id))
    hub.work()
    await hub.decided(6)
    assert hub.codes() == [
        "outbox.xa-moj/0 accepted",
        "outbox.xa-moj/1 accepted",
        "outbox.xa-moj/2 length-mismatch",
        "outbox.xa-moj/3 accepted",
        "outbox.xc-acc/0 sender-mismatch",
        "outbox.xc-acc/1 accepted",
    ]
    hub.check_exactly_once()


@pytest.mark.parametrize("number", [0, 1])
async def test_what_the_broker_left_open_is_aborted(hub, world, letters, number) -> None:
    """A transaction that was ended without a marker hides what follows; the next marker must not commit it."""
    await hub.send(*letters(6))
    hub.work()
    await hub.decided(6)
    await hub.leave()
    owner = f"router-shard-{number}"
    transaction = hub.broker.begin(owner, hub.broker.take_over(owner))
    for topic, partition in (("hub.shards", number), ("hub.ledger", 0), ("inbox.xa-moj", 0)):
        hub.broker.append("router", Outgoing(topic, b"torn", b"torn", partition=partition), transaction)
    hub.broker.lose_markers(owner)
    await hub.send(*letters(6))
    hub.work()
    await hub.decided(12)
    hub.check_exactly_once()
    assert all(record.value != b"torn" for record in hub.broker.records("inbox.xa-moj"))
