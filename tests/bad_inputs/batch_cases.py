"""Set B3 as only raw bytes can say it, on a real Kafka: batches, codecs, checksums, formats, offsets, times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from hub.core.access import OUTBOX_RECORD_BYTES_MAX
from tests.bad_inputs import batches
from tests.bad_inputs.batches import GZIP, LZ4, SNAPPY, ZSTD, batch, encoded, record
from tests.bad_inputs.cases import ACCEPTED, Case, Expected, Outcome, Poison, refused
from tests.bad_inputs.record_cases import NAME, good_poison
from tests.bad_inputs.smith import Smith

MIB: Final = 1024 * 1024
MANY: Final = 10_000
CODECS: Final = {"gzip": GZIP, "snappy": SNAPPY, "lz4": LZ4, "zstd": ZSTD}
BOMB_BYTES: Final = {GZIP: 64 * MIB, SNAPPY: 8 * MIB, LZ4: 64 * MIB, ZSTD: 64 * MIB}
_NO_MANIFEST: Final = refused("manifest-missing")


def batch_cases() -> Iterator[Case]:
    """All of them. The one that stops its outbox is the last."""
    yield from _codecs()
    yield from _headers()
    yield from _times()
    yield from _counts()
    yield from _formats()
    yield from _lengths()
    yield from _sizes()
    partition = "in partition 1, which the topic does not have"
    yield _case("partition-1", "a valid record", partition, _broker("UNKNOWN_TOPIC_OR_PARTITION"), _plain, partition=1)
    yield _case(
        "offsets-doubled",
        "offset deltas 0, 5, 2",
        "a plain batch with a right checksum",
        Expected(Outcome.SET_ASIDE, "offsets-not-rising"),
        _false_offsets,
        count=3,
    )


def _case(
    name: str,
    what: str,
    made: str,
    expected: Expected,
    make: Callable[[Poison], bytes],
    *,
    count: int = 1,
    partition: int = 0,
) -> Case:
    def poison(smith: Smith) -> Poison:
        good = good_poison(smith)
        return Poison(headers=good.headers, batch=make(good), count=count, partition=partition)

    return Case(id=f"B3-batch-{name}", set="B3", what=what, made=made, expected=expected, make=poison)


def _broker(code: str) -> Expected:
    return Expected(Outcome.BROKER, code)


def _record(good: Poison, *more: tuple[bytes | None, bytes | None], time_delta: int = 0) -> bytes:
    """The next valid message as a record's bytes, with foreign headers behind its own."""
    return record(good.key, good.value, [*encoded(good.headers), *more], time_delta=time_delta)


def _codecs() -> Iterator[Case]:
    unpacked = "a valid record, packed; the topic unpacks"
    for name, codec in CODECS.items():
        yield _case(name, f"{name}, whether or not a reader has it", unpacked, ACCEPTED, _packed(codec))
    for name, codec in CODECS.items():
        what = f"a {name} bomb of {BOMB_BYTES[codec] // MIB} MiB"
        yield _case(f"{name}-bomb", what, "one record of zeros, packed", _broker("MESSAGE_TOO_LARGE"), _bomb(codec))
        yield _case(
            f"{name}-broken",
            f"{name} that is none",
            "random bytes under the codec's number",
            _broker("UNKNOWN_SERVER_ERROR"),
            _broken(codec),
        )
    for codec in (5, 6, 7):
        yield _case(
            f"codec-{codec}",
            f"codec number {codec}, which does not exist",
            "a valid record",
            _broker("UNKNOWN_SERVER_ERROR"),
            _as_codec(codec),
        )
    twice = "gzip that says its length is another"
    yield _case("gzip-count", twice, "one record packed, two counted", _broker("INVALID_RECORD"), _packed_count)


def _packed(codec: int) -> Callable[[Poison], bytes]:
    return lambda good: batch([b""], payload=batches.compressed(_record(good), codec), attributes=codec)


def _packed_count(good: Poison) -> bytes:
    return batch([b"", b""], payload=batches.compressed(_record(good), GZIP), attributes=GZIP)


def _bomb(codec: int) -> Callable[[Poison], bytes]:
    return lambda _: batch([b""], payload=batches.bomb(codec, BOMB_BYTES[codec]), attributes=codec)


def _broken(codec: int) -> Callable[[Poison], bytes]:
    return lambda _: batch([b""], payload=NAME * 20, attributes=codec)


def _as_codec(codec: int) -> Callable[[Poison], bytes]:
    return lambda good: batch([_record(good)], attributes=codec)


def _headers() -> Iterator[Case]:
    made = "a valid record with one header more"
    foreign = refused("header-not-allowed")
    names = {
        "utf8": ("a header name that is no UTF-8", b"\xff\xfe\x00\x80"),
        "utf8-cut": ("a header name whose last letter is cut", b"ce_id\xe2\x82"),
        "surrogate": ("a lone surrogate in a header name", b"\xed\xa0\x80"),
        "empty": ("an empty header name", b""),
        "hub": ("`comity-hub`", b"comity-hub"),
    }
    for name, (what, spelled) in names.items():
        yield _case(f"header-{name}", what, made, foreign, _with_header(spelled))
    yield _case(
        "headers-10000",
        "10,000 headers",
        "a valid record with them",
        foreign,
        lambda good: batch([_record(good, *[(b"x", None)] * MANY)]),
    )
    yield _case(
        "headers-doubled", "`comity-jws` twice", "a valid record with it", refused("manifest-doubled"), _doubled
    )
    between = "a header name that is no UTF-8, between two records with good ones"
    yield _case("header-utf8-between", between, "three records without a manifest", _NO_MANIFEST, _between, count=3)
    nameless = "a header whose name has length -1"
    yield _case("header-name-null", nameless, "a valid record with it", _broker("INVALID_RECORD"), _nameless)


def _with_header(name: bytes) -> Callable[[Poison], bytes]:
    return lambda good: batch([_record(good, (name, NAME))])


def _doubled(good: Poison) -> bytes:
    return batch([_record(good, *encoded(good.headers))])


def _between(_: Poison) -> bytes:
    names = (b"good", b"\xff\xfe\x00\x80", b"good")
    return batch([record(b"k", NAME, [(name, NAME)], delta=delta) for delta, name in enumerate(names)])


def _nameless(good: Poison) -> bytes:
    return batch([record(good.key, good.value, [(None, NAME)])])


def _times() -> Iterator[Case]:
    made = "a valid record; the log stamps its own time"
    for name, what, time_ms in (
        ("minus-1", "time -1", -1),
        ("1999", "a time in 1999", 946_000_000_000),
        ("2-63", "time 2^63 - 1", 2**63 - 1),
        ("minus-2-63", "time -2^63", -(2**63)),
    ):
        yield _case(f"time-{name}", what, made, ACCEPTED, _at(time_ms))
    yield _case(
        "time-delta", "a time delta of 2^62", made, ACCEPTED, lambda good: batch([_record(good, time_delta=2**62)])
    )


def _at(time_ms: int) -> Callable[[Poison], bytes]:
    return lambda good: batch([_record(good)], time_ms=time_ms)


def _counts() -> Iterator[Case]:
    many = "each a key and a value"
    yield _case(
        "records-10000",
        "10,000 records",
        many,
        _NO_MANIFEST,
        lambda _: batch([record(b"k", NAME, delta=number) for number in range(MANY)]),
        count=MANY,
    )
    yield _case(
        "records-null",
        "three records with neither key nor value",
        "a plain batch",
        _NO_MANIFEST,
        lambda _: batch([record(None, None, delta=number) for number in range(3)]),
        count=3,
    )
    plain = "a valid record in a batch that says otherwise"
    invalid = _broker("INVALID_RECORD")
    yield _case(
        "count-0", "0 records counted", plain, invalid, lambda good: batch([_record(good)], count=0, last_delta=0)
    )
    yield _case("count-2", "2 records counted", plain, invalid, lambda good: batch([_record(good)], count=2))
    yield _case(
        "count-negative",
        "-1 records counted",
        plain,
        invalid,
        lambda good: batch([_record(good)], count=-1, last_delta=0),
    )
    yield _case(
        "last-delta",
        "a last offset delta of 2^31 - 1",
        plain,
        invalid,
        lambda good: batch([_record(good)], last_delta=2**31 - 1),
    )
    yield _case("empty", "no record at all", "a batch's head alone", invalid, lambda _: batch([]))
    yield _case(
        "twice", "two batches in one request", "two valid ones", invalid, lambda good: batch([_record(good)]) * 2
    )
    yield _case("base", "base offset 1,000,000", plain, invalid, lambda good: batch([_record(good)], base=1_000_000))
    yield _case(
        "producer",
        "an invented producer id",
        plain,
        ACCEPTED,
        lambda good: batch([_record(good)], producer=(4_711, 0, 0)),
    )


def _formats() -> Iterator[Case]:
    invalid = _broker("INVALID_RECORD")
    yield _case(
        "crc",
        "a wrong checksum",
        "a valid record",
        _broker("CORRUPT_MESSAGE"),
        lambda good: batch([_record(good)], checksum=0),
    )
    yield _case(
        "cut",
        "the last ten bytes are missing",
        "a valid record",
        invalid,
        lambda good: batch([_record(good)])[:-10],
    )
    yield _case("garbage", "random bytes", "as a batch", _broker("CORRUPT_MESSAGE"), lambda _: NAME * 20)
    yield _case("magic-0", "format 0", "a key and a value", invalid, lambda _: batches.legacy(b"k", NAME, magic=0))
    yield _case("magic-1", "format 1", "a key and a value", invalid, lambda _: batches.legacy(b"k", NAME, magic=1))
    yield _case(
        "magic-3",
        "format 3, which does not exist",
        "a valid record",
        _broker("CORRUPT_MESSAGE"),
        lambda good: batch([_record(good)], magic=3),
    )
    control = record(b"\x00\x00\x00\x01", b"\x00\x00\x00\x00\x00\x00")
    yield _case(
        "control",
        "a commit marker by a client",
        "a control batch",
        _broker("TRANSACTIONAL_ID_AUTHORIZATION_FAILED"),
        lambda _: batch([control], attributes=batches.CONTROL | batches.TRANSACTIONAL, producer=(1, 0, -1)),
    )
    yield _case(
        "control-plain",
        "an abort marker by a client",
        "a control batch outside a transaction",
        invalid,
        lambda _: batch([record(b"\x00\x00\x00\x00", b"")], attributes=batches.CONTROL),
    )
    yield _case(
        "transactional",
        "a record of a transaction that nobody began",
        "a valid record",
        _broker("TRANSACTIONAL_ID_AUTHORIZATION_FAILED"),
        lambda good: batch([_record(good)], attributes=batches.TRANSACTIONAL, producer=(1, 0, 0)),
    )


def _lengths() -> Iterator[Case]:
    invalid = _broker("INVALID_RECORD")
    lengths = {
        "value-length": b"\x00\x00\x00" + batches.varint(-1) + batches.varint(1 << 30),
        "key-length": b"\x00\x00\x00" + batches.varint(1 << 30),
    }
    for name, body in lengths.items():
        yield _case(
            name, "a length that leaves the record", "a record's bytes", invalid, _raw(batches.varint(len(body)) + body)
        )
    negative = b"\x00\x00\x00" + batches.varint(-5) + batches.varint(-7) + b"\x00"
    below = _raw(batches.varint(len(negative)) + negative)
    what = "key and value lengths below -1, read as null"
    yield _case("lengths-negative", what, "a record's bytes", _NO_MANIFEST, below)
    yield _case(
        "varint",
        "a length whose number never ends",
        "a record's bytes",
        _broker("UNKNOWN_SERVER_ERROR"),
        _raw(b"\xff" * 20),
    )


def _raw(record_bytes: bytes) -> Callable[[Poison], bytes]:
    return lambda _: batch([record_bytes])


def _sizes() -> Iterator[Case]:
    made = "one record without a manifest"
    yield _case("largest", "exactly max.message.bytes", made, refused("value-too-large"), lambda _: _sized(0))
    yield _case("largest-1", "max.message.bytes and one", made, _broker("MESSAGE_TOO_LARGE"), lambda _: _sized(1))
    yield _case(
        "key-64-kib",
        "a key of 64 KiB",
        "on a valid record",
        refused("key-too-large"),
        lambda good: batch([record(NAME.ljust(64 * 1024), b"", encoded(good.headers))]),
    )


def _plain(good: Poison) -> bytes:
    return batch([_record(good)])


def _sized(more: int) -> bytes:
    """Batch head and lengths take what a small batch shows; a larger length takes as many bytes."""
    frame = len(batch([record(b"k", bytes(MIB))])) - MIB
    return batch([record(b"k", NAME.ljust(OUTBOX_RECORD_BYTES_MAX - frame + more))])


def _false_offsets(_: Poison) -> bytes:
    return batch([record(b"k", NAME, delta=delta) for delta in (0, 5, 2)])


def writer_cases() -> Iterator[Case]:
    """What our own writer is asked to send, and does not."""
    made = "through our own writer"
    large = "max.message.bytes and more in one record"
    yield _written("large", large, made, "record-too-large", Poison(b"k", NAME.ljust(OUTBOX_RECORD_BYTES_MAX)))
    yield _written(
        "partition", "a partition that does not exist", made, "topic-unknown", Poison(b"k", NAME, partition=1)
    )


def _written(name: str, what: str, made: str, code: str, poison: Poison) -> Case:
    expected = Expected(Outcome.PRODUCER, code)
    return Case(id=f"B3-writer-{name}", set="B3", what=what, made=made, expected=expected, make=lambda _: poison)
