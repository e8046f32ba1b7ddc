"""What is written is what is read: bytes, order, offsets, times, sizes."""

from __future__ import annotations

import time
from typing import Any

import pytest

from hub.adapters.reading import read_to_end
from hub.core.access import OUTBOX_RECORD_BYTES_MAX
from hub.core.limits import MANIFEST_JWS_BYTES_MAX, VALUE_BYTES_MAX
from hub.core.records import Outgoing, Place
from hub.errors import ComityError, PartitionBroken, UsageError

HEADERS = (("comity-jws", b"\x00\xff"), ("ce_id", b""), ("ce_id", b"twice"))


def _letter(world: Any, text: str) -> Outgoing:
    return Outgoing(world.outbox.topic, b"key", text.encode())


async def test_bytes_survive(world):
    """Key, value and headers are read as they were written, order and doubled names included."""
    writer = await world.bus(world.xa).writer()
    await writer.send([Outgoing(world.outbox.topic, b"\x00k", b"\xffv", HEADERS)])
    (record,) = await world.read(await world.bus("router").reader({world.outbox: 0}), 1)
    assert (record.key, record.value, record.headers) == (b"\x00k", b"\xffv", HEADERS)


async def test_null_key(world):
    """A record without a key stays without one."""
    writer = await world.bus(world.xa).writer()
    await writer.send([Outgoing(world.outbox.topic, None, b"v")])
    (record,) = await world.read(await world.bus("router").reader({world.outbox: 0}), 1)
    assert record.key is None


async def test_positions_are_those_read(world):
    """``send`` tells the offset and the broker's time of each record, in order."""
    writer = await world.bus(world.xa).writer()
    sent = [*await writer.send([_letter(world, "a"), _letter(world, "b")]), *await writer.send([_letter(world, "c")])]
    found = await world.read(await world.bus("router").reader({world.outbox: 0}), 3)
    assert sent == [(record.topic, record.partition, record.offset, record.time_ms) for record in found]
    assert [position.offset for position in sent] == [0, 1, 2]
    assert [record.value for record in found] == [b"a", b"b", b"c"]


async def test_time_is_the_brokers(world):
    """The broker stamps the time."""
    writer = await world.bus(world.xa).writer()
    (position,) = await writer.send([_letter(world, "a")])
    clock = getattr(getattr(world, "broker", None), "_clock", None)
    now_ms = clock.now_ms() if clock else time.time_ns() // 1_000_000  # noqa: TID251 (the broker's own clock)
    assert abs(now_ms - position.time_ms) < 10_000


async def test_largest_message_fits(world):
    """The largest value with the largest manifest is stored, and can be copied to an inbox."""
    headers = (("comity-jws", b"j" * MANIFEST_JWS_BYTES_MAX),)
    largest = Outgoing(world.outbox.topic, b"k" * 64, b"v" * VALUE_BYTES_MAX, headers)
    await (await world.bus(world.xa).writer()).send([largest])
    (record,) = await world.read(await world.bus("router").reader({world.outbox: 0}), 1)
    writer = await world.bus("router").transactional_writer(world.shard)
    await writer.transact([Outgoing(world.inbox.topic, record.key, record.value, record.headers)], {}, world.shard)
    (copy,) = await world.read(await world.bus(world.xb).reader({world.inbox: 0}), 1)
    assert (record.value, record.headers) == (copy.value, copy.headers)


async def test_too_large_is_refused_alone(world):
    """A record over the topic's limit is refused; the writer goes on."""
    writer = await world.bus(world.xa).writer()
    with pytest.raises(ComityError) as caught:
        await writer.send([Outgoing(world.outbox.topic, b"k", b"v" * OUTBOX_RECORD_BYTES_MAX)])
    assert caught.value.code == "record-too-large"
    (position,) = await writer.send([_letter(world, "small")])
    assert position.offset == 0


async def test_compacted_topic_needs_keys(world):
    """A record without a key is refused by a compacted topic."""
    writer = await world.bus("directory").writer()
    with pytest.raises(ComityError) as caught:
        await writer.send([Outgoing("hub.directory", None, b"v")])
    assert caught.value.code == "record-refused"


async def test_one_partition_at_a_time(world):
    """``fetch`` returns records of one partition, at most as many as asked, and comes to every partition."""
    places = (Place("hub.ledger", 0), Place("hub.ledger", 1))
    watch = world.bus("watch")
    reader = await watch.reader(dict.fromkeys(places, 0))
    await reader.assign(await reader.end_offsets())
    await (await watch.writer()).send([Outgoing("hub.ledger", None, b"v", partition=n % 2) for n in range(6)])
    fetched = [await reader.fetch(wait_ms=2000, records_max=2) for _ in range(4)]
    assert all(len({record.place for record in batch}) <= 1 and len(batch) <= 2 for batch in fetched)
    assert set(places) == {record.place for batch in fetched for record in batch}


async def test_nothing_after_the_wait(world):
    """``fetch`` gives nothing when nothing came in time."""
    reader = await world.bus("router").reader({world.outbox: 0})
    assert not await reader.fetch(wait_ms=50, records_max=10)


async def test_no_places(world):
    """A reader of nothing reads nothing."""
    reader = await world.bus("router").reader({})
    assert not await reader.fetch(wait_ms=10, records_max=10)
    assert dict(await reader.end_offsets()) == {}


async def test_seek_back(world):
    """After ``seek`` the same records come again."""
    await (await world.bus(world.xa).writer()).send([_letter(world, "a"), _letter(world, "b")])
    reader = await world.bus("router").reader({world.outbox: 0})
    first = await world.read(reader, 2)
    reader.seek(world.outbox, 1)
    assert reader.position(world.outbox) == 1
    assert first[1:] == await world.read(reader, 1)


async def test_paused_place_gives_nothing(world):
    """A paused place gives nothing, and all of it after ``resume``."""
    writer = await world.bus(world.xa).writer()
    await writer.send([_letter(world, "a")])
    reader = await world.bus("router").reader({world.outbox: 0})
    await world.read(reader, 1)
    reader.pause(world.outbox)
    await writer.send([_letter(world, "b")])
    assert not await reader.fetch(wait_ms=world.quiet_ms, records_max=10)
    reader.resume(world.outbox)
    assert [record.value for record in await world.read(reader, 1)] == [b"b"]


async def test_assign_replaces(world):
    """``assign`` forgets the places before."""
    await (await world.bus(world.xa).writer()).send([_letter(world, "a")])
    reader = await world.bus("router").reader({world.outbox: 0})
    await reader.assign({Place(f"outbox.{world.xb}", 0): 0})
    assert not await reader.fetch(wait_ms=world.quiet_ms, records_max=10)
    await reader.assign({world.outbox: 0})
    assert len(await world.read(reader, 1)) == 1


async def test_offset_out_of_range(world):
    """A place that cannot be read at its offset breaks alone."""
    await (await world.bus(world.xa).writer()).send([_letter(world, "a")])
    router = world.bus("router")
    other = Place(f"outbox.{world.xb}", 0)
    reader = await router.reader({world.outbox: 0, other: 99})
    found, broken = [], None
    for _ in range(30):
        try:
            found += await reader.fetch(wait_ms=200, records_max=10)
        except PartitionBroken as error:
            broken = error
            reader.pause(other)
        if found and broken:
            break
    assert broken is not None
    assert ("offset-out-of-range", other, 99) == (broken.code, (broken.topic, broken.partition), broken.offset)
    assert [record.value for record in found] == [b"a"]


async def test_unknown_topic(world):
    """A topic that does not exist is named at once, to a principal that might see it."""
    with pytest.raises(UsageError) as caught:
        await world.bus("router").reader({Place("outbox.xz-nowhere", 0): 0})
    assert caught.value.code == "topic-unknown"
    with pytest.raises(UsageError) as caught:
        await world.bus("router").reader({Place(world.outbox.topic, 7): 0})
    assert caught.value.code == "topic-unknown"


async def test_write_to_unknown_topic(world):
    """Writing to a topic that does not exist is refused before anything is written."""
    writer = await world.bus("router").transactional_writer(world.shard)
    with pytest.raises(UsageError) as caught:
        await writer.transact([Outgoing("inbox.xz-nowhere", None, b"v")], {}, world.shard)
    assert caught.value.code == "topic-unknown"


async def test_read_to_end(world):
    """``read_to_end`` gives everything and ends, though the last offset is a transaction's marker."""
    writer = await world.bus("router").transactional_writer(world.shard)
    await writer.transact([Outgoing(world.inbox.topic, None, b"1")], {}, world.shard)
    await writer.transact([Outgoing(world.inbox.topic, None, b"2")], {}, world.shard)
    reader = await world.bus(world.xb).reader({world.inbox: 0})
    assert [record.value async for record in read_to_end(reader)] == [b"1", b"2"]
    assert {world.inbox: 4} == dict(await reader.end_offsets())
    assert reader.position(world.inbox) == 4
