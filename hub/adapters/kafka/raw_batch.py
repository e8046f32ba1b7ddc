r"""Reading one record batch (format 2) whatever bytes its header names are.

Kafka stores any bytes as a header's name; aiokafka raises on those that are no UTF-8, and its whole partition stands
still. Here such a name becomes visible text (``\xff``), which no allow-list has, so that the record is refused and the
next one is read. Format: Kafka's documentation, "Record Batch" and "Record".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from hub.core.records import Place, Record

_HEAD: Final = struct.Struct(">qiibIhiqqqhii")  # base offset .. record count
_FORMAT: Final = 2  # magic
_LENGTH_FROM: Final = 12  # the batch's length counts from after itself
_COMPRESSION: Final = 0x07
_LOG_APPEND_TIME: Final = 0x08
_TRANSACTIONAL_OR_CONTROL: Final = 0x30
_VARINT_BITS_MAX: Final = 63


def records_at(data: bytes, place: Place, offset: int) -> list[Record]:
    """The records from ``offset`` on in the batch that holds it, of a fetched run of batches.

    Raises ``ValueError`` for anything that is not a plain, uncompressed batch stamped by the broker.
    """
    start = 0
    while start + _HEAD.size <= len(data):
        base, length, _, magic, _, attributes, last_delta, _, time_ms, *_, count = _HEAD.unpack_from(data, start)
        end = start + _LENGTH_FROM + length
        if base + last_delta >= offset:
            if (
                magic != _FORMAT
                or attributes & (_COMPRESSION | _TRANSACTIONAL_OR_CONTROL)
                or not attributes & _LOG_APPEND_TIME
            ):
                raise ValueError("not a plain batch")
            if end > len(data):
                raise ValueError("cut off")
            cursor = _Cursor(data, start + _HEAD.size, end)
            found = [_record(cursor, place, base, time_ms) for _ in range(count)]
            wanted = [record for record in found if record.offset >= offset]
            if not wanted:
                raise ValueError("the offset was removed")
            return wanted
        start = end
    raise ValueError("no batch holds the offset")


class _Cursor:
    """A position in a batch that never leaves it."""

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self._data = data
        self._at = start
        self._end = end

    def take(self, count: int) -> bytes:
        if count < 0 or self._at + count > self._end:
            raise ValueError("a length leaves the batch")
        self._at += count
        return self._data[self._at - count : self._at]

    def varint(self) -> int:
        """A zigzag varint."""
        number = 0
        for shift in range(0, _VARINT_BITS_MAX + 1, 7):
            (byte,) = self.take(1)
            number |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return (number >> 1) ^ -(number & 1)
        raise ValueError("a number is too long")

    def optional(self) -> bytes | None:
        length = self.varint()
        return None if length < 0 else self.take(length)


def _record(cursor: _Cursor, place: Place, base: int, time_ms: int) -> Record:
    length = cursor.varint()
    inner = _Cursor(cursor.take(length), 0, length)
    inner.take(1)  # attributes: none are defined
    inner.varint()  # the time that the client sent: the broker's counts
    offset = base + inner.varint()
    key, value = inner.optional(), inner.optional()
    headers = tuple(_headers(inner))
    return Record(*place, offset, time_ms, key, value, headers)


def _headers(cursor: _Cursor) -> Iterator[tuple[str, bytes]]:
    for _ in range(cursor.varint()):
        name = (cursor.optional() or b"").decode("utf-8", "backslashreplace")
        yield name, cursor.optional() or b""
