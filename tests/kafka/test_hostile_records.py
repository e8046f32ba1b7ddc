"""What an authority may write into its outbox, and what a reader makes of it: never harm to others."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from hub.core.access import OUTBOX_RECORD_BYTES_MAX
from hub.core.records import Outgoing, Place
from hub.errors import PartitionBroken

pytestmark = pytest.mark.kafka

_MESSAGE_TOO_LARGE, _UNKNOWN = 10, -1


async def _read(reader, number, *, clean=True):
    """Records and broken places, until ``number`` records came or 10 seconds passed."""
    found, broken = [], []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10):
            while len(found) < number or not (broken or clean):
                try:
                    found += await reader.fetch(wait_ms=200, records_max=100)
                except PartitionBroken as error:
                    broken.append((error.code, error.topic))
                    reader.pause(Place(error.topic, error.partition))
    return found, broken


async def test_header_names_of_any_bytes(kafka, forge):
    """A header name that is no UTF-8 is read as visible text, and the records around it are read."""
    await asyncio.to_thread(kafka.prepare, ("xa-bytes",))
    topic, maker = "outbox.xa-bytes", await forge("xa-bytes")
    poison = maker.batch(*[(b"k", b"%d" % n, [("XXXX", b"h")]) for n in range(3)])
    second = poison.index(b"XXXX", poison.index(b"XXXX") + 1)
    poison[second : second + 4] = b"YYYY"
    codes = [
        await maker.write(topic, maker.batch((b"k", b"before", []))),
        await maker.write(topic, maker.replaced(poison, b"YYYY", b"\xff\xfe\x00\x80")),
        await maker.write(topic, maker.batch((b"k", b"after", [("n", None)]))),
    ]
    assert codes == [0, 0, 0]
    bus = kafka.bus("router")
    found, broken = await _read(await bus.reader({Place(topic, 0): 0}), 5)
    await bus.close()
    assert broken == []
    assert [record.value for record in found] == [b"before", b"0", b"1", b"2", b"after"]
    assert found[2].headers == (("\\xff\\xfe\x00\\x80", b"h"),)
    assert found[4].headers == (("n", b""),)
    assert len({record.time_ms for record in found}) <= 3


async def test_a_broken_partition_harms_its_owner_only(kafka, forge):
    """A place whose offsets do not rise breaks; every record of the other places is read, once."""
    names = ("xa-good", "xb-good", "xc-broken")
    await asyncio.to_thread(kafka.prepare, names)
    for name in names[:2]:
        bus = kafka.bus(name)
        await (await bus.writer()).send([Outgoing(f"outbox.{name}", b"k", b"%d" % n) for n in range(500)])
        await bus.close()
    maker = await forge("xc-broken")
    # A false offset delta (5 instead of 1): Kafka stores an uncompressed batch as it is.
    batch = maker.batch((b"k", b"one", []), (b"k", b"two", []), (b"k", b"three", []))
    delta = batch.index(b"two") - 4
    assert batch[delta] == 1 << 1
    batch[delta] = 5 << 1
    assert await maker.write("outbox.xc-broken", maker.replaced(batch, b"three", b"three")) == 0
    bus = kafka.bus("router")
    found, broken = await _read(await bus.reader({Place(f"outbox.{name}", 0): 0 for name in names}), 1001, clean=False)
    await bus.close()
    assert broken == [("offsets-not-rising", "outbox.xc-broken")]
    assert [record.value for record in found if record.topic == "outbox.xc-broken"] == [b"one"]
    for name in names[:2]:
        values = [record.value for record in found if record.topic == f"outbox.{name}"]
        assert values == [b"%d" % n for n in range(500)]


async def test_any_key_and_value(kafka, forge):
    """Null keys and values, empty and doubled header names, a thousand headers: all are read as they are."""
    await asyncio.to_thread(kafka.prepare, ("xa-any",))
    maker = await forge("xa-any")
    batch = maker.batch((None, None, [("", b"x"), ("", b"y")]), (b"", b"", [("h", b"")] * 1000))
    assert await maker.write("outbox.xa-any", batch) == 0
    bus = kafka.bus("router")
    found, broken = await _read(await bus.reader({Place("outbox.xa-any", 0): 0}), 2)
    await bus.close()
    assert broken == []
    assert [(record.key, record.value, len(record.headers)) for record in found] == [(None, None, 2), (b"", b"", 1000)]


async def test_compressed_records_are_unpacked_by_the_broker(kafka, forge):
    """A compressed batch arrives uncompressed, and one that unpacks to more than a message is refused or small."""
    await asyncio.to_thread(kafka.prepare, ("xa-zip",))
    maker = await forge("xa-zip")
    assert await maker.write("outbox.xa-zip", maker.batch((b"k", b"zipped", []), compression=1)) == 0
    bomb = maker.batch((b"k", bytes(8 * OUTBOX_RECORD_BYTES_MAX), []), compression=1)
    assert len(bomb) < OUTBOX_RECORD_BYTES_MAX // 50
    assert await maker.write("outbox.xa-zip", bomb) in {_MESSAGE_TOO_LARGE, _UNKNOWN}
    bus = kafka.bus("router")
    reader = await bus.reader({Place("outbox.xa-zip", 0): 0})
    found, broken = await _read(reader, 1)
    assert ([record.value for record in found], broken) == ([b"zipped"], [])
    assert dict(await reader.end_offsets()) == {Place("outbox.xa-zip", 0): 1}
    await bus.close()
