"""Our own reading of a batch whose header names aiokafka cannot read: what Kafka stores, or an error, whatever the bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.adapters.kafka.raw_batch import records_at
from hub.core.records import Place
from tests.bad_inputs.batches import CONTROL, GZIP, TRANSACTIONAL, batch, record

LOG_APPEND_TIME = 0x08
PLACE = Place("outbox.xa-moj", 0)
RECORDS = [
    record(b"k", b"0", [(b"good", b"h")]),
    record(None, None, [(b"\xff\xfe\x00\x80", None), (b"", b"")], delta=1),
    record(b"", b"2", delta=2, time_delta=2**62),
]


def stored(**changes: Any) -> bytes:
    """The three records as Kafka keeps them, from offset 7 on."""
    return batch(RECORDS, attributes=changes.pop("attributes", LOG_APPEND_TIME), base=7, time_ms=1000, **changes)


def test_names_become_visible_text() -> None:
    """A name that is no UTF-8 is read as text that no allow-list has; keys, values and the log's time as they are."""
    found = records_at(stored(), PLACE, 7)
    assert [(each.offset, each.time_ms, each.key, each.value) for each in found] == [
        (7, 1000, b"k", b"0"),
        (8, 1000, None, None),
        (9, 1000, b"", b"2"),
    ]
    assert found[1].headers == (("\\xff\\xfe\x00\\x80", b""), ("", b""))


def test_reading_begins_inside_a_later_batch() -> None:
    """A fetch gives whole batches: what lies before the offset is passed over."""
    later = batch([record(b"k", b"10")], attributes=LOG_APPEND_TIME, base=10, time_ms=2000)
    assert [each.offset for each in records_at(stored() + later, PLACE, 9)] == [9]
    assert [each.value for each in records_at(stored() + later, PLACE, 10)] == [b"10"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        stored()[:-1],
        stored(magic=1),
        stored(attributes=0),
        stored(attributes=LOG_APPEND_TIME | GZIP),
        stored(attributes=LOG_APPEND_TIME | CONTROL),
        stored(attributes=LOG_APPEND_TIME | TRANSACTIONAL),
        stored(count=4),
        batch([b"\xff" * 20], attributes=LOG_APPEND_TIME, base=7),
        batch([record(b"k", b"v", delta=-7)], attributes=LOG_APPEND_TIME, base=7),
    ],
    ids=["empty", "cut", "format", "client-time", "packed", "control", "transaction", "count", "varint", "offset"],
)
def test_anything_else_is_an_error(data: bytes) -> None:
    """Only a plain batch that the broker stamped is read: its partition is set aside."""
    with pytest.raises(ValueError, match=r"."):
        records_at(data, PLACE, 7)


@settings(max_examples=200)
@given(st.binary(max_size=120), st.integers(0, 100))
def test_any_bytes_end(noise: bytes, at: int) -> None:
    """Noise in a batch gives records or a ValueError, and never another error."""
    data = bytearray(stored())
    start = 61 + at % (len(data) - 61)
    data[start : start + len(noise)] = noise
    try:
        records_at(bytes(data), PLACE, 7)
    except ValueError:
        return
