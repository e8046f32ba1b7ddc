"""Facts 1, 9 and aiokafka's issue 1173: what reading does when a batch is bad, and that it does not hurt our reader."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import RecordTooLargeError, UnsupportedCodecError
from aiokafka.record import _crecords
from aiokafka.record import default_records as plain

from hub.adapters.kafka.bounded import UNPACKED_BYTES_MAX, install_bounded_gzip
from hub.adapters.kafka.bus import PARTITION_FETCH_BYTES_MAX, consumer_settings
from hub.adapters.kafka.reader import KafkaReader
from hub.adapters.kafka.timing import Timing
from hub.core.access import INBOX_RECORD_BYTES_MAX, OUTBOX_RECORD_BYTES_MAX
from hub.core.records import Place
from hub.errors import PartitionBroken
from tests.bad_inputs.batches import GZIP, ZSTD, batch, bomb, compressed, record
from tests.canaries.log_client import Consumer, assign

GOOD = tuple(Place(f"outbox.x{letter}-good", 0) for letter in "abcd")
BAD = Place("outbox.xe-bad", 0)
MESSAGES = 300
STAMPED = 0x08  # the broker's time


class Everything:
    """Stands for ``Metadata``: every topic is there."""

    async def require(self, places: object) -> None:
        """It is."""


def letters() -> list[bytes]:
    """Good records, ten in a batch."""
    return [
        batch([record(b"k", b"%d" % (base + n), delta=n) for n in range(10)], base=base, attributes=STAMPED)
        for base in range(0, MESSAGES, 10)
    ]


def logs(bad: bytes) -> dict[Place, list[bytes]]:
    """Four good outboxes, and one that begins with ``bad``."""
    return {**{place: letters() for place in GOOD}, BAD: [bad]}


def codec(name: int) -> bytes:
    """A batch of one good record in a codec."""
    return batch([b""], payload=compressed(record(b"k", b"v"), name), attributes=name | STAMPED)


BATCHES: dict[str, Callable[[], bytes]] = {
    "zstd": lambda: codec(ZSTD),
    "gzip-bomb": lambda: batch([b""], payload=bomb(GZIP, 2 * UNPACKED_BYTES_MAX), attributes=GZIP | STAMPED),
    "gzip-broken": lambda: batch([b""], payload=b"no gzip", attributes=GZIP | STAMPED),
    "checksum": lambda: batch([record(b"k", b"v")], attributes=STAMPED, checksum=1),
    "cut-record": lambda: batch([b"\x7f"], attributes=STAMPED),
}


async def ours(client_config, bad: bytes) -> tuple[dict[str, list[int]], list[PartitionBroken]]:
    """Our reader on the same logs, until it has read the good ones and met the bad one."""
    got: dict[str, list[int]] = {place.topic: [] for place in GOOD}
    broken: list[PartitionBroken] = []
    written = logs(bad)
    settings = consumer_settings(client_config, "canary", Timing(fetch_wait_ms=20))
    async with Consumer(written, **settings, group_id=None) as consumer:
        reader = KafkaReader(consumer, Everything(), Timing())  # type: ignore[arg-type]  # what it asks of metadata
        await reader.assign(dict.fromkeys(written, 0))
        async with asyncio.timeout(20):
            while sum(map(len, got.values())) < MESSAGES * len(GOOD) or not broken:
                try:
                    for each in await reader.fetch(wait_ms=20, records_max=100):
                        got[each.topic].append(each.offset)
                except PartitionBroken as error:
                    broken.append(error)
                    reader.pause(Place(error.topic, error.partition))
    return got, broken


@pytest.mark.parametrize("name", BATCHES)
async def test_our_reader_loses_nothing(client_config, name: str) -> None:
    """Whatever one outbox holds, every record of the others is read once and in order, and the bad place is named."""
    install_bounded_gzip()
    got, broken = await ours(client_config, BATCHES[name]())
    assert got == {place.topic: list(range(MESSAGES)) for place in GOOD}
    assert [(error.topic, error.offset, error.code) for error in broken] == [(BAD.topic, 0, "record-unreadable")]


async def test_canary_getmany_throws_away_what_it_drained() -> None:
    """Fact 1: ``getmany`` drains the good partitions, raises at the bad one, and nobody ever gets what it drained.

    When this fails, aiokafka has mended it: KafkaReader's one-record-first reading can be dropped.
    """
    written = logs(BATCHES["zstd"]())
    async with Consumer(written) as consumer:
        assign(consumer, written)
        fetched = consumer._fetcher._records
        async with asyncio.timeout(10):
            while len(fetched) < len(written):
                await asyncio.sleep(0.01)
        # Fetches arrive in the order of chance; here the bad one is last.
        bad = TopicPartition(*BAD)
        fetched[bad] = fetched.pop(bad)
        with pytest.raises(UnsupportedCodecError):
            await consumer.getmany(timeout_ms=2000, max_records=MESSAGES * len(GOOD) + 1)
        positions = [await consumer.position(TopicPartition(*place)) for place in GOOD]
    assert positions == [MESSAGES] * len(GOOD), "aiokafka's getmany keeps what it drained: see KafkaReader.fetch"


def test_canary_zstd_needs_a_library_that_we_do_not_ship() -> None:
    """Facts 1 and 2: without cramjam one legal zstd record makes a reader raise. When this fails, cramjam is installed."""
    from aiokafka.record.memory_records import MemoryRecords

    found = MemoryRecords(codec(ZSTD)).next_batch()
    with pytest.raises(UnsupportedCodecError):
        list(found)


async def test_canary_a_record_beyond_the_fetch_size_is_stepped_over() -> None:
    """Issue 1173: a batch that does not fit moves the position by one, as if it had been read.

    When this fails, aiokafka has mended it: the translation of RecordTooLargeError in KafkaReader can go.
    """
    written = {BAD: [batch([record(b"k", bytes(1000))], attributes=STAMPED)]}
    async with Consumer(written, room=100) as consumer:
        assign(consumer, written)
        with pytest.raises(RecordTooLargeError):
            await consumer.getmany(timeout_ms=2000)
        assert await consumer.position(TopicPartition(*BAD)) == 1, "aiokafka stays at the record: see KafkaReader"


async def test_canary_async_for_steps_over_a_record_and_only_logs(caplog: pytest.LogCaptureFixture) -> None:
    """Issue 1173 again: in ``async for`` the loss is not even raised. When this fails, it is; we use ``getmany`` anyway."""
    large, small = record(b"k", bytes(1000)), record(b"k", b"next")
    written = {BAD: [batch([large], attributes=STAMPED), batch([small], base=1, attributes=STAMPED)]}
    async with Consumer(written, room=100) as consumer:
        assign(consumer, written)
        async with asyncio.timeout(5):
            first = await anext(aiter(consumer))
    assert (first.offset, first.value) == (1, b"next")
    assert "error in consumer iterator" in caplog.text


async def test_our_reader_stays_at_a_record_beyond_the_fetch_size(client_config) -> None:
    """The place is broken at the record's own offset; when it fits later, it is read."""
    written = {BAD: [batch([record(b"k", b"v" * 1000)], attributes=STAMPED)]}
    settings = consumer_settings(client_config, "canary", Timing(fetch_wait_ms=20))
    context = Consumer(written, room=100, **settings, group_id=None)
    async with context as consumer:
        reader = KafkaReader(consumer, Everything(), Timing())  # type: ignore[arg-type]  # as above
        await reader.assign({BAD: 0})
        with pytest.raises(PartitionBroken) as caught:
            await reader.fetch(wait_ms=2000, records_max=10)
        assert (caught.value.code, caught.value.offset) == ("record-unreadable", 0)
        context.client.room = None
        async with asyncio.timeout(5):
            while not (found := await reader.fetch(wait_ms=100, records_max=10)):
                pass
    assert [(each.offset, each.value) for each in found] == [(0, b"v" * 1000)]


def crowded() -> dict[Place, list[bytes]]:
    """One outbox with a batch of 10,000 records; its neighbours are still empty."""
    crowd = batch([record(b"k", b"v", delta=n) for n in range(10_000)], attributes=STAMPED)
    return {BAD: [crowd], **{place: [] for place in GOOD}}


async def arrive(written: dict[Place, list[bytes]]) -> None:
    """The neighbours write, and the client has fetched it."""
    for place in GOOD:
        written[place] += letters()[:1]
    await asyncio.sleep(0.1)


async def test_canary_a_long_partition_goes_first() -> None:
    """Aiokafka gives the same partition until it is drained: whoever fills an outbox makes its neighbours wait.

    When this fails, it takes turns: KafkaReader need not put a place last.
    """
    written = crowded()
    served: list[str] = []
    async with Consumer(written) as consumer:
        assign(consumer, written)
        for number in range(20):
            if number == 2:
                await arrive(written)
            served += [tp.topic for tp in await consumer.getmany(timeout_ms=1000, max_records=100)]
    assert served == [BAD.topic] * 20


async def test_our_reader_takes_turns(client_config) -> None:
    """Every outbox that has something is served before one is served again, however much it holds."""
    written = crowded()
    settings = consumer_settings(client_config, "canary", Timing(fetch_wait_ms=20))
    served: list[str] = []
    async with Consumer(written, **settings, group_id=None) as consumer:
        reader = KafkaReader(consumer, Everything(), Timing())  # type: ignore[arg-type]  # what it asks of metadata
        await reader.assign(dict.fromkeys(written, 0))
        for number in range(10):
            if number == 2:
                await arrive(written)
            found = await reader.fetch(wait_ms=1000, records_max=100)
            served.append(found[0].topic)
    assert served[:2] == [BAD.topic] * 2
    assert {place.topic for place in GOOD} < set(served[2:7])


def test_our_fetch_size_is_the_largest_record() -> None:
    """So no record of a topic that we read is stepped over: a fetch takes what an inbox or an outbox can hold."""
    assert max(INBOX_RECORD_BYTES_MAX, OUTBOX_RECORD_BYTES_MAX) <= PARTITION_FETCH_BYTES_MAX


def test_canary_aiokafka_unpacks_without_a_limit() -> None:
    """Fact 9: its own ``gzip_decode`` gives all that a batch unpacks to.

    When this fails, aiokafka has a limit: ``hub.adapters.kafka.bounded`` can be dropped.
    """
    from aiokafka.codec import gzip_decode

    assert len(gzip_decode(gzip.compress(bytes(4 * UNPACKED_BYTES_MAX)))) == 4 * UNPACKED_BYTES_MAX


def test_our_reader_unpacks_up_to_a_limit() -> None:
    """A batch of the limit is unpacked, one byte more raises, several members in one stream count together."""
    install_bounded_gzip()
    install_bounded_gzip()
    for module in (_crecords.default_records, plain):
        unpack = module.gzip_decode
        assert unpack(gzip.compress(bytes(UNPACKED_BYTES_MAX))) == bytes(UNPACKED_BYTES_MAX)
        for data in (
            gzip.compress(bytes(UNPACKED_BYTES_MAX + 1)),
            gzip.compress(bytes(UNPACKED_BYTES_MAX)) + gzip.compress(b"1"),
        ):
            with pytest.raises(ValueError, match="unpacks"):
                unpack(data)
        with pytest.raises(ValueError, match=r"."):
            unpack(b"no gzip")
