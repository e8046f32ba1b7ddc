"""Transactions: all or nothing, hidden while open, one owner per id."""

from __future__ import annotations

import pytest

from hub.core.access import INBOX_RECORD_BYTES_MAX
from hub.core.records import Outgoing, Place
from hub.errors import ComityError, Fenced, NotPermitted, OutcomeUnknown


def _to(place: Place, text: str) -> Outgoing:
    return Outgoing(place.topic, None, text.encode(), partition=place.partition)


async def test_all_become_visible(world):
    """Records of several topics and the offsets of a group are committed together."""
    own = Place(f"inbox.{world.xa}", 0)
    await (await world.bus(world.xa).writer()).send([Outgoing(world.outbox.topic, b"k", b"v")])
    writer = await world.bus("router").transactional_writer(world.shard)
    await writer.transact([_to(world.inbox, "copy"), _to(own, "receipt")], {world.outbox: 1}, world.shard)
    (copy,) = await world.read(await world.bus(world.xb).reader({world.inbox: 0}), 1)
    (receipt,) = await world.read(await world.bus(world.xa).reader({own: 0}), 1)
    assert (copy.value, receipt.value) == (b"copy", b"receipt")


async def test_offsets_alone(world):
    """A transaction may hold offsets and no record, or nothing at all."""
    await (await world.bus(world.xa).writer()).send([Outgoing(world.outbox.topic, b"k", b"v")])
    writer = await world.bus("router").transactional_writer(world.shard)
    await writer.transact([], {world.outbox: 1}, world.shard)
    await writer.transact([], {}, world.shard)
    await writer.transact([_to(world.inbox, "after")], {}, world.shard)
    assert len(await world.read(await world.bus(world.xb).reader({world.inbox: 0}), 1)) == 1


async def test_many_in_a_row(world):
    """Transactions of one writer keep their order."""
    writer = await world.bus("router").transactional_writer(world.shard)
    for number in range(5):
        await writer.transact([_to(world.inbox, f"{number}-{part}") for part in range(3)], {}, world.shard)
    found = await world.read(await world.bus(world.xb).reader({world.inbox: 0}), 15)
    assert [f"{number}-{part}".encode() for number in range(5) for part in range(3)] == [each.value for each in found]


async def test_more_than_a_batch_for_one_partition(world):
    """A transaction of several MiB for one topic comes whole and in order, and so does what lies between for another."""
    own = Place(f"inbox.{world.xa}", 0)
    writer = await world.bus("router").transactional_writer(world.shard)
    texts = [f"{number:04d}" + "." * 200_000 for number in range(18)]
    records = [_to(own if number % 6 == 0 else world.inbox, text) for number, text in enumerate(texts)]
    await writer.transact(records, {}, world.shard)
    await writer.transact([_to(own, "after"), _to(world.inbox, "after")], {}, world.shard)
    for place, owner in ((own, world.xa), (world.inbox, world.xb)):
        wanted = [record.value for record in records if record.topic == place.topic] + [b"after"]
        found = await world.read(await world.bus(owner).reader({place: 0}), len(wanted))
        assert wanted == [record.value for record in found]


async def test_open_is_hidden(world):
    """An open transaction hides its records and all that come after them; a take-over ends it."""
    opened = await world.open_transaction(world.shard, [_to(world.inbox, "open")])
    other = "router-shard-1" if world.shard == "router-shard-0" else "router-shard-0"
    later = await world.bus("router").transactional_writer(other)
    await later.transact([_to(world.inbox, "later")], {}, other)
    reader = await world.bus(world.xb).reader({world.inbox: 0})
    assert not await reader.fetch(wait_ms=world.quiet_ms, records_max=10)
    assert {world.inbox: 0} == dict(await reader.end_offsets())
    await world.bus("router").transactional_writer(world.shard)
    assert [record.value for record in await world.read(reader, 1)] == [b"later"]
    await opened.abandon()


async def test_second_owner_fences_the_first(world):
    """Making a writer with the same id fences the older one, which stays unusable."""
    first = await world.bus("router").transactional_writer(world.shard)
    await first.transact([_to(world.inbox, "first")], {}, world.shard)
    second = await world.bus("router").transactional_writer(world.shard)
    with pytest.raises(Fenced):
        await first.transact([_to(world.inbox, "zombie")], {}, world.shard)
    with pytest.raises(OutcomeUnknown):
        await first.transact([_to(world.inbox, "zombie")], {}, world.shard)
    await second.transact([_to(world.inbox, "second")], {}, world.shard)
    found = await world.read(await world.bus(world.xb).reader({world.inbox: 0}), 2)
    assert [record.value for record in found] == [b"first", b"second"]


async def test_too_large_leaves_nothing(world):
    """A record that is too large takes the whole transaction with it, and a new writer goes on."""
    writer = await world.bus("router").transactional_writer(world.shard)
    large = Outgoing(world.inbox.topic, None, b"v" * (INBOX_RECORD_BYTES_MAX + 1))
    with pytest.raises(ComityError) as caught:
        await writer.transact([_to(world.inbox, "small"), large], {}, world.shard)
    assert caught.value.code == "record-too-large"
    again = await world.bus("router").transactional_writer(world.shard)
    await again.transact([_to(world.inbox, "again")], {}, world.shard)
    found = await world.read(await world.bus(world.xb).reader({world.inbox: 0}), 1)
    assert [record.value for record in found] == [b"again"]


async def test_denied_topic_leaves_nothing(world):
    """A topic that may not be written takes the whole transaction with it: the planted bug of aiokafka does not show."""
    writer = await world.bus("router").transactional_writer(world.shard)
    with pytest.raises(NotPermitted):
        await writer.transact([_to(world.inbox, "good"), _to(world.outbox, "denied")], {}, world.shard)
    again = await world.bus("router").transactional_writer(world.shard)
    await again.transact([_to(world.inbox, "again")], {}, world.shard)
    found = await world.read(await world.bus(world.xb).reader({world.inbox: 0}), 1)
    assert [record.value for record in found] == [b"again"]


async def test_denied_group_leaves_nothing(world):
    """A group that may not be used takes the whole transaction with it."""
    writer = await world.bus("router").transactional_writer(world.shard)
    await writer.transact([_to(world.inbox, "before")], {}, world.shard)
    with pytest.raises(NotPermitted):
        await writer.transact([_to(world.inbox, "lost")], {world.outbox: 1}, "registrar")
    again = await world.bus("router").transactional_writer(world.shard)
    await again.transact([_to(world.inbox, "again")], {}, world.shard)
    found = await world.read(await world.bus(world.xb).reader({world.inbox: 0}), 2)
    assert [record.value for record in found] == [b"before", b"again"]


async def test_open_transaction_is_seen_until_its_owner_is_fenced(world):
    """A place with an open transaction is undecided, and no other; what a new owner voids nobody reads."""
    opened = await world.open_transaction(world.shard, [_to(world.inbox, "open")])
    reader = await world.bus(world.xb).reader({world.inbox: 0})
    assert await reader.undecided() == {world.inbox}
    writer = await world.bus("router").transactional_writer(world.shard)
    assert await reader.undecided() == frozenset()
    await writer.void([_to(world.inbox, "void")])
    await writer.transact([_to(world.inbox, "after")], {}, world.shard)
    assert [record.value for record in await world.read(reader, 1)] == [b"after"]
    await opened.abandon()
