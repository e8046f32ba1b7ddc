"""What the broker in memory has beyond Kafka: faults in pairs, places that break, topics that go."""

from __future__ import annotations

import pytest

from hub.core.access import access_rules, topic_specs
from hub.core.ids import AuthorityId
from hub.core.records import Outgoing, Place
from hub.errors import OutcomeUnknown, PartitionBroken, Unreachable, UsageError
from hub.testing import CountedChance, FixedClock, MemoryBroker, MemoryBus

XA, XB = AuthorityId("xa-moj"), AuthorityId("xb-pgo")
OUTBOX, INBOX = Place("outbox.xa-moj", 0), Place("inbox.xb-pgo", 0)


@pytest.fixture
def broker() -> MemoryBroker:
    """A broker with two authorities."""
    specs = topic_specs((XA, XB), shards=2, ledger_partitions=2, replication=1)
    return MemoryBroker(FixedClock(1_000), specs=specs, rules=access_rules((XA, XB), shards=2))


def _letter(text: str) -> Outgoing:
    return Outgoing(OUTBOX.topic, b"k", text.encode())


@pytest.mark.parametrize(("fault", "stored"), [("lost", []), ("stored", [b"a"])])
async def test_send_fails(broker, fault, stored):
    """After a failed ``send`` the record is there or not, and the next one succeeds."""
    bus = MemoryBus(broker, XA)
    bus.fail_next(fault)
    writer = await bus.writer()
    with pytest.raises(Unreachable):
        await writer.send([_letter("a")])
    assert [record.value for record in broker.records(OUTBOX.topic)] == stored
    await writer.send([_letter("b")])
    assert [record.value for record in broker.records(OUTBOX.topic)] == [*stored, b"b"]


@pytest.mark.parametrize(("fault", "stored", "offset"), [("lost", [], None), ("stored", [b"a"], 1)])
async def test_transact_fails(broker, fault, stored, offset):
    """After a failed ``transact`` records and offsets are there or not, together; the writer is done."""
    await (await MemoryBus(broker, XA).writer()).send([_letter("a")])
    bus = MemoryBus(broker, "router")
    writer = await bus.transactional_writer("router-shard-0")
    bus.fail_next(fault)
    with pytest.raises(OutcomeUnknown):
        await writer.transact([Outgoing(INBOX.topic, None, b"a")], {OUTBOX: 1}, "router-shard-0")
    with pytest.raises(OutcomeUnknown):
        await writer.transact([], {}, "router-shard-0")
    await bus.transactional_writer("router-shard-0")
    assert [record.value for record in broker.records(INBOX.topic)] == stored
    assert broker.committed_offsets("router-shard-0").get(OUTBOX) == offset


async def test_close_aborts(broker):
    """A closed writer leaves nothing open that would hide other records."""
    bus = MemoryBus(broker, "router")
    writer = await bus.transactional_writer("router-shard-0")
    bus.fail_next("lost")
    with pytest.raises(OutcomeUnknown):
        await writer.transact([Outgoing(INBOX.topic, None, b"a")], {}, "router-shard-0")
    assert broker.partition(INBOX).decided == 0
    await writer.close()
    assert broker.partition(INBOX).decided == 2


async def test_broken_place(broker):
    """A place that breaks gives what comes before, then fails until it is repaired; others go on."""
    await (await MemoryBus(broker, XA).writer()).send([_letter("a"), _letter("b")])
    await (await MemoryBus(broker, XB).writer()).send([Outgoing("outbox.xb-pgo", b"k", b"other")])
    broker.break_at(OUTBOX, 1)
    reader = await MemoryBus(broker, "router").reader({OUTBOX: 0})
    assert [record.value for record in await reader.fetch(wait_ms=0, records_max=10)] == [b"a"]
    with pytest.raises(PartitionBroken) as caught:
        await reader.fetch(wait_ms=0, records_max=10)
    assert (caught.value.code, caught.value.topic, caught.value.offset) == ("record-unreadable", OUTBOX.topic, 1)
    broker.repair(OUTBOX)
    assert [record.value for record in await reader.fetch(wait_ms=0, records_max=10)] == [b"b"]


async def test_deleted_topic(broker):
    """A deleted topic is unknown to readers and writers."""
    broker.delete_topic(INBOX.topic)
    writer = await MemoryBus(broker, "router").transactional_writer("router-shard-0")
    with pytest.raises(UsageError):
        await writer.transact([Outgoing(INBOX.topic, None, b"a")], {}, "router-shard-0")
    with pytest.raises(UsageError):
        await MemoryBus(broker, XB).reader({INBOX: 0})


async def test_rules_are_replaced(broker):
    """``apply`` adds topics, keeps records and replaces permissions: an authority joins without a restart."""
    xc = AuthorityId("xc-acc")
    await (await MemoryBus(broker, XA).writer()).send([_letter("a")])
    broker.apply(topic_specs((xc,), shards=2, ledger_partitions=2, replication=1), access_rules((XA, XB, xc), shards=2))
    await (await MemoryBus(broker, xc).writer()).send([Outgoing("outbox.xc-acc", b"k", b"v")])
    assert len(broker.records(OUTBOX.topic)) == 1
    assert broker.identity.name == "memory"


def test_clock_and_chance():
    """The clock moves when it is told; chance differs at each draw and repeats from its start."""
    clock = FixedClock(5)
    clock.advance(7)
    assert clock.now_ms() == 12
    first, second = CountedChance(), CountedChance()
    drawn = [first.bytes(16), first.bytes(16), first.bytes(0)]
    assert drawn == [second.bytes(16), second.bytes(16), b""]
    assert drawn[0] != drawn[1]
    assert len(CountedChance().bytes(4)) == 4
