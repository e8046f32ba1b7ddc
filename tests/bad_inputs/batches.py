"""Record batches of any bytes, right or wrong, and compressed data that unpacks to far more: what no client would send.

Formats: Kafka's documentation, "Record Batch" and "Record"; RFC 8878 (Zstandard); the LZ4 frame and block formats; the
Snappy format description. No codec library is needed to write them: a literal is a literal in each.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record._crc32c import crc

from hub.core.records import Headers

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
TRANSACTIONAL, CONTROL = 0x10, 0x20
_HEAD: Final = struct.Struct(">qiibIhiqqqhii")  # base offset .. record count
_LENGTH_FROM: Final = 12
_CRC_FROM: Final = 21
_LZ4_BLOCK: Final = 64 * 1024
_ZSTD_BLOCK: Final = 128 * 1024


def varint(number: int) -> bytes:
    """A zigzag varint."""
    rest, out = (number << 1) ^ (number >> 63), bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*out, rest])


def bytes_or_null(value: bytes | None) -> bytes:
    """A length and the bytes; -1 for null."""
    return varint(-1) if value is None else varint(len(value)) + value


def record(
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[bytes | None, bytes | None]] = (),
    *,
    delta: int = 0,
    time_delta: int = 0,
) -> bytes:
    """One record. Header names are bytes: Kafka does not look at them."""
    listed = list(headers)
    body = (
        b"\x00" + varint(time_delta) + varint(delta) + bytes_or_null(key) + bytes_or_null(value) + varint(len(listed))
    )
    body += b"".join(bytes_or_null(name) + bytes_or_null(content) for name, content in listed)
    return varint(len(body)) + body


def encoded(headers: Headers) -> list[tuple[bytes | None, bytes | None]]:
    """Headers of ours, as bytes."""
    return [(name.encode(), value) for name, value in headers]


def batch(
    records: Sequence[bytes],
    *,
    payload: bytes | None = None,
    attributes: int = 0,
    magic: int = 2,
    count: int | None = None,
    last_delta: int | None = None,
    base: int = 0,
    time_ms: int = 0,
    producer: tuple[int, int, int] = (-1, -1, -1),
    checksum: int | None = None,
) -> bytes:
    """A batch of format 2. ``payload`` stands for the records when it is given, compressed or not."""
    body = b"".join(records) if payload is None else payload
    number = len(records) if count is None else count
    last = number - 1 if last_delta is None else last_delta
    length = _HEAD.size - _LENGTH_FROM + len(body)
    head = _HEAD.pack(base, length, -1, magic, 0, attributes, last, time_ms, time_ms, *producer, number)
    data = bytearray(head + body)
    struct.pack_into(">I", data, _CRC_FROM - 4, crc(bytes(data[_CRC_FROM:])) if checksum is None else checksum)
    return bytes(data)


def legacy(key: bytes, value: bytes, *, magic: int) -> bytes:
    """A message set of format 0 or 1, as clients before 2017 sent."""
    body = struct.pack(">bb", magic, 0) + (struct.pack(">q", 0) if magic else b"")
    body += struct.pack(">i", len(key)) + key + struct.pack(">i", len(value)) + value
    message = struct.pack(">I", zlib.crc32(body)) + body
    return struct.pack(">qi", 0, len(message)) + message


def compressed(payload: bytes, codec: int) -> bytes:
    """The payload in a frame of the codec, not a byte shorter but for gzip."""
    if codec == GZIP:
        return gzip.compress(payload)
    if codec == SNAPPY:
        return _unsigned(len(payload)) + _snappy_literal(payload)
    if codec == LZ4:
        blocks = [payload[start : start + _LZ4_BLOCK] for start in range(0, len(payload), _LZ4_BLOCK)]
        return _lz4_frame([struct.pack("<I", len(each) | 1 << 31) + each for each in blocks])
    blocks = [payload[start : start + _ZSTD_BLOCK] for start in range(0, len(payload), _ZSTD_BLOCK)]
    return _zstd_frame([(0, len(each), each) for each in blocks])


def bomb(codec: int, size: int) -> bytes:
    """A compressed payload: one record whose value is ``size`` zeros."""
    body = b"\x00\x00\x00" + bytes_or_null(b"k") + varint(size)
    front = varint(len(body) + size + 1) + body
    zeros = size + 1  # the last one counts no header
    if codec == GZIP:
        return gzip.compress(front + bytes(zeros))
    if codec == SNAPPY:
        return _unsigned(len(front) + zeros) + _snappy_literal(front + b"\x00") + _snappy_copies(zeros - 1)
    if codec == LZ4:
        blocks = [struct.pack("<I", len(front) | 1 << 31) + front]
        blocks += [_lz4_zeros(min(_LZ4_BLOCK, zeros - start)) for start in range(0, zeros, _LZ4_BLOCK)]
        return _lz4_frame(blocks)
    runs = [min(_ZSTD_BLOCK, zeros - start) for start in range(0, zeros, _ZSTD_BLOCK)]
    return _zstd_frame([(0, len(front), front), *((1, run, b"\x00") for run in runs)])


class Answer(NamedTuple):
    """The broker's: ``code`` is 0 when it stored the batch, from ``offset`` on."""

    code: int
    offset: int


async def write(client: AIOKafkaClient, topic: str, data: bytes, *, partition: int = 0) -> Answer:
    """Write a batch as it is."""
    await client.set_topics([topic])
    topics = [(topic, [(partition, data)])]
    request = ProduceRequest(required_acks=-1, timeout=8000, topics=topics, transactional_id=None)
    answer = await client.send(client.get_random_node(), request)
    ((_, ((_, code, offset, *_),)),) = answer.topics
    return Answer(code, offset)


def _unsigned(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _snappy_literal(data: bytes) -> bytes:
    return bytes([63 << 2]) + struct.pack("<I", len(data) - 1) + data


def _snappy_copies(count: int) -> bytes:
    """The last byte again, ``count`` times."""
    full, rest = divmod(count, 64)
    copies = bytes([63 << 2 | 2, 1, 0]) * full
    return copies + (bytes([rest - 1 << 2 | 2, 1, 0]) if rest else b"")


def _lz4_frame(blocks: Sequence[bytes]) -> bytes:
    head = (
        b"\x04\x22\x4d\x18\x60\x40\x82"  # independent blocks of 64 KiB, no checksums; the last byte is the head's own
    )
    return head + b"".join(blocks) + bytes(4)


def _lz4_zeros(count: int) -> bytes:
    """A block of zeros: one, a match that repeats it, and the five literals that a block must end with."""
    if count < 32:
        return struct.pack("<I", count | 1 << 31) + bytes(count)
    full, rest = divmod(count - 1 - 5 - 4 - 15, 255)
    data = b"\x1f\x00\x01\x00" + b"\xff" * full + bytes([rest]) + b"\x50" + bytes(5)
    return struct.pack("<I", len(data)) + data


def _zstd_frame(blocks: Sequence[tuple[int, int, bytes]]) -> bytes:
    """Blocks of (kind, size, content): kind 0 is raw, 1 one byte ``size`` times. The window is 8 MiB."""
    data = b"\x28\xb5\x2f\xfd\x00\x68"
    for number, (kind, size, content) in enumerate(blocks):
        last = number == len(blocks) - 1
        data += (size << 3 | kind << 1 | last).to_bytes(3, "little") + content
    return data


def offsets_in(data: bytes) -> tuple[int, int]:
    """The first and the last offset that a batch says it holds."""
    base, _, _, _, _, _, last_delta, *_ = _HEAD.unpack_from(data)
    return base, base + last_delta
