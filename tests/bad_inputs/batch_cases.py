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
    yield from _sizes()
    yield _case(
        "offsets-doubled",
        "offset deltas 0, 5, 2",
        "a plain batch with a right checksum",
        Expected(Outcome.SET_ASIDE, "offsets-not-rising"),
        _false_offsets,
    )


def _case(name: str, what: str, made: str, expected: Expected, make: Callable[[Smith], bytes]) -> Case:
    def poison(smith: Smith) -> Poison:
        return Poison(headers=good_poison(smith).headers, batch=make(smith))

    return Case(id=f"B3-batch-{name}", set="B3", what=what, made=made, expected=expected, make=poison)


def _broker(code: str) -> Expected:
    return Expected(Outcome.BROKER, code)


def _good(smith: Smith, *more: tuple[bytes, bytes | None], time_delta: int = 0) -> bytes:
    """The next valid message as a record's bytes, with foreign headers behind its own."""
    good = good_poison(smith)
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


def _packed(codec: int) -> Callable[[Smith], bytes]:
    return lambda smith: batch([b""], payload=batches.compressed(_good(smith), codec), attributes=codec)


def _packed_count(smith: Smith) -> bytes:
    return batch([b"", b""], payload=batches.compressed(_good(smith), GZIP), attributes=GZIP)


def _bomb(codec: int) -> Callable[[Smith], bytes]:
    return lambda _: batch([b""], payload=batches.bomb(codec, BOMB_BYTES[codec]), attributes=codec)


def _broken(codec: int) -> Callable[[Smith], bytes]:
    return lambda _: batch([b""], payload=NAME * 20, attributes=codec)


def _as_codec(codec: int) -> Callable[[Smith], bytes]:
    return lambda smith: batch([_good(smith)], attributes=codec)


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
        lambda smith: batch([_good(smith, *[(b"x", None)] * MANY)]),
    )
    yield _case(
        "headers-doubled", "`comity-jws` twice", "a valid record with it", refused("manifest-doubled"), _doubled
    )
    yield _case(
        "header-name-null",
        "a header name of length -1",
        made,
        _broker("INVALID_RECORD"),
        lambda smith: batch([_good_header_null(smith)]),
    )


def _with_header(name: bytes) -> Callable[[Smith], bytes]:
    return lambda smith: batch([_good(smith, (name, NAME))])


def _doubled(smith: Smith) -> bytes:
    return batch([_good(smith, *encoded(good_poison(smith).headers))])


def _good_header_null(smith: Smith) -> bytes:
    good = good_poison(smith)
    return record(good.key, good.value, [(None, NAME)])  # type: ignore[list-item]  # what no client writes


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
        "time-delta", "a time delta of 2^62", made, ACCEPTED, lambda smith: batch([_good(smith, time_delta=2**62)])
    )


def _at(time_ms: int) -> Callable[[Smith], bytes]:
    return lambda smith: batch([_good(smith)], time_ms=time_ms)


def _counts() -> Iterator[Case]:
    many = "each a key and a value"
    yield _case(
        "records-10000",
        "10,000 records",
        many,
        _NO_MANIFEST,
        lambda _: batch([record(b"k", NAME, delta=number) for number in range(MANY)]),
    )
    yield _case(
        "records-null",
        "three records with neither key nor value",
        "a plain batch",
        _NO_MANIFEST,
        lambda _: batch([record(None, None, delta=number) for number in range(3)]),
    )
    plain = "a valid record in a batch that says otherwise"
    invalid = _broker("INVALID_RECORD")
    yield _case(
        "count-0", "0 records counted", plain, invalid, lambda smith: batch([_good(smith)], count=0, last_delta=0)
    )
    yield _case("count-2", "2 records counted", plain, invalid, lambda smith: batch([_good(smith)], count=2))
    yield _case(
        "count-negative",
        "-1 records counted",
        plain,
        invalid,
        lambda smith: batch([_good(smith)], count=-1, last_delta=0),
    )
    yield _case(
        "last-delta",
        "a last offset delta of 2^31 - 1",
        plain,
        invalid,
        lambda smith: batch([_good(smith)], last_delta=2**31 - 1),
    )
    yield _case("empty", "no record at all", "a batch's head alone", invalid, lambda _: batch([]))
    yield _case(
        "twice", "two batches in one request", "two valid ones", invalid, lambda smith: batch([_good(smith)]) * 2
    )
    yield _case("base", "base offset 1,000,000", plain, ACCEPTED, lambda smith: batch([_good(smith)], base=1_000_000))
    yield _case(
        "producer",
        "an invented producer id",
        plain,
        ACCEPTED,
        lambda smith: batch([_good(smith)], producer=(4_711, 0, 0)),
    )


def _formats() -> Iterator[Case]:
    invalid = _broker("INVALID_RECORD")
    yield _case(
        "crc",
        "a wrong checksum",
        "a valid record",
        _broker("CORRUPT_MESSAGE"),
        lambda smith: batch([_good(smith)], checksum=0),
    )
    yield _case(
        "cut",
        "the last ten bytes are missing",
        "a valid record",
        _broker("CORRUPT_MESSAGE"),
        lambda smith: batch([_good(smith)])[:-10],
    )
    yield _case("garbage", "random bytes", "as a batch", _broker("CORRUPT_MESSAGE"), lambda _: NAME * 20)
    yield _case("magic-0", "format 0", "a key and a value", invalid, lambda _: batches.legacy(b"k", NAME, magic=0))
    yield _case("magic-1", "format 1", "a key and a value", invalid, lambda _: batches.legacy(b"k", NAME, magic=1))
    yield _case(
        "magic-3",
        "format 3, which does not exist",
        "a valid record",
        _broker("CORRUPT_MESSAGE"),
        lambda smith: batch([_good(smith)], magic=3),
    )
    control = record(b"\x00\x00\x00\x01", b"\x00\x00\x00\x00\x00\x00")
    yield _case(
        "control",
        "a commit marker by a client",
        "a control batch",
        invalid,
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
        _broker("INVALID_TXN_STATE"),
        lambda smith: batch([_good(smith)], attributes=batches.TRANSACTIONAL, producer=(1, 0, 0)),
    )
    lengths = {
        "value-length": b"\x00\x00\x00" + batches.varint(-1) + batches.varint(1 << 30),
        "key-length": b"\x00\x00\x00" + batches.varint(1 << 30),
        "lengths-negative": b"\x00\x00\x00" + batches.varint(-5) + batches.varint(-7) + b"\x00",
    }
    for name, body in lengths.items():
        what = "lengths below -1" if "negative" in name else "a length that leaves the record"
        yield _case(name, what, "a record's bytes", invalid, _raw(batches.varint(len(body)) + body))
    yield _case("varint", "a length whose number never ends", "a record's bytes", invalid, _raw(b"\xff" * 20))


def _raw(record_bytes: bytes) -> Callable[[Smith], bytes]:
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
        lambda smith: batch([record(NAME.ljust(64 * 1024), b"", encoded(good_poison(smith).headers))]),
    )


def _sized(more: int) -> bytes:
    """Batch head and lengths take what a small batch shows; a larger length takes as many bytes."""
    frame = len(batch([record(b"k", bytes(MIB))])) - MIB
    return batch([record(b"k", NAME.ljust(OUTBOX_RECORD_BYTES_MAX - frame + more))])


def _false_offsets(_: Smith) -> bytes:
    return batch([record(b"k", NAME, delta=delta) for delta in (0, 5, 2)])
