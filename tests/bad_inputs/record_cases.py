"""Set B3 as far as a client library can say it: keys, values, header names, sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from hub.core.access import OUTBOX_RECORD_BYTES_MAX
from hub.core.limits import MANIFEST_JWS_BYTES_MAX, VALUE_BYTES_MAX
from hub.core.records import HUB_HEADER, JWS_HEADER, Headers
from tests.bad_inputs.cases import ACCEPTED, Case, Expected, Make, Outcome, Poison, refused
from tests.bad_inputs.smith import CANARY, Smith

NAME: Final = CANARY.encode()
_BESIDE: Final = "beside a valid `comity-jws`"
_BROKER: Final = Expected(Outcome.BROKER, "record-too-large")


def record_cases() -> Iterator[Case]:
    """All of them."""
    yield from _keys()
    yield from _manifest_headers()
    yield from _headers()
    yield from _sizes()


def good_poison(smith: Smith, value: bytes | None = None) -> Poison:
    """A valid record, to be spoilt: only the spoilt one is sent."""
    value = smith.value if value is None else value
    good = smith.draft(value)
    return Poison(good.key, value, good.headers)


def _case(name: str, what: str, made: str, expected: Expected, spoil: Callable[[Poison], Poison]) -> Case:
    make: Make = lambda smith: spoil(good_poison(smith))  # noqa: E731 (as long as its type)
    return Case(id=f"B3-{name}", set="B3", what=what, made=made, expected=expected, make=make)


def _keys() -> Iterator[Case]:
    made = "as the key of a valid record"
    mismatch = refused("key-mismatch")
    yield _case("key-null", "no key", made, mismatch, lambda good: replace(good, key=None))
    yield _case("key-empty", "an empty key", made, mismatch, lambda good: replace(good, key=b""))
    yield _case("key-other", "another thread", made, mismatch, lambda good: replace(good, key=b"f" * 32))
    yield _case(
        "key-upper",
        "the thread in upper case",
        made,
        mismatch,
        lambda good: replace(good, key=b"A" + (good.key or b"")[1:]),
    )
    yield _case(
        "key-binary", "bytes that are no text", made, mismatch, lambda good: replace(good, key=b"\xff\xfe\x00" + NAME)
    )
    yield _case("key-65", "65 bytes", made, refused("key-too-large"), lambda good: replace(good, key=NAME.ljust(65)))
    yield _case(
        "key-64-kib", "64 KiB", made, refused("key-too-large"), lambda good: replace(good, key=NAME.ljust(64 * 1024))
    )
    nothing = Poison(None, None, ())
    yield _case("nothing", "no key, no value, no header", "as a record", refused("manifest-missing"), lambda _: nothing)
    yield _case(
        "tombstone", "a key alone", "as a record", refused("manifest-missing"), lambda good: Poison(good.key, None, ())
    )


def _beside(name: str, what: str, code: str, *more: tuple[str, bytes]) -> Case:
    def spoil(good: Poison) -> Poison:
        return replace(good, headers=(*good.headers, *more))

    return _case(f"header-{name}", what, _BESIDE, refused(code), spoil)


def _manifest_headers() -> Iterator[Case]:
    yield _case(
        "headers-0",
        "no header",
        "on a valid record",
        refused("manifest-missing"),
        lambda good: replace(good, headers=()),
    )
    yield _case(
        "header-doubled",
        "`comity-jws` twice",
        _BESIDE,
        refused("manifest-doubled"),
        lambda good: replace(good, headers=good.headers * 2),
    )
    yield _beside("jws-null", "a second `comity-jws` that is null", "manifest-doubled", (JWS_HEADER, b""))
    yield _case(
        "header-jws-alone",
        "a null `comity-jws`",
        "alone",
        refused("jws-malformed"),
        lambda good: replace(good, headers=((JWS_HEADER, b""),)),
    )
    yield _case(
        "header-jws-upper",
        "`COMITY-JWS`",
        "in its place",
        refused("manifest-missing"),
        lambda good: replace(good, headers=_renamed(good.headers, "COMITY-JWS")),
    )
    yield _case(
        "header-jws-space",
        "`comity-jws` with a space",
        "in its place",
        refused("manifest-missing"),
        lambda good: replace(good, headers=_renamed(good.headers, "comity-jws ")),
    )


def _headers() -> Iterator[Case]:
    yield _beside(
        "hub",
        "`comity-hub: bundle/1`, which says that the hub wrote it",
        "header-not-allowed",
        (HUB_HEADER, b"bundle/1"),
    )
    yield _beside("hub-other", "`hub-routed`", "header-not-allowed", ("hub-routed", NAME))
    yield _beside("empty", "a header without a name", "header-not-allowed", ("", NAME))
    yield _beside("nul", "a null byte as a name", "header-not-allowed", ("\x00", NAME))
    yield _beside("bidi", "U+202E in a name", "header-not-allowed", ("ce_id\u202e", NAME))
    yield _beside("canary", "a name that tells content", "header-not-allowed", (CANARY, NAME))
    yield _beside("long", "a name of 60 KiB", "header-not-allowed", (CANARY.ljust(60 * 1024), b""))
    yield _beside("upper", "`CE_ID`", "header-not-allowed", ("CE_ID", NAME))
    yield _beside("ce-unknown", "`ce_time`", "header-not-allowed", ("ce_time", NAME))
    yield _beside("ce-other", "`ce_id` of another message", "header-mismatch", ("ce_id", NAME))
    yield _beside(
        "ce-twice",
        "`ce_specversion` twice, once wrong",
        "header-mismatch",
        ("ce_specversion", b"1.0"),
        ("ce_specversion", NAME),
    )
    yield _beside("trace-17", "17 `traceparent`", "headers-too-many", *[("traceparent", NAME)] * 17)
    yield _beside("trace-10000", "10,000 `traceparent`", "headers-too-many", *[("traceparent", b"")] * 10_000)
    yield _beside("foreign-10000", "10,000 foreign headers", "header-not-allowed", *[("x", b"")] * 10_000)
    yield _beside("trace-5-kib", "a `tracestate` of 5 KiB", "headers-too-many", ("tracestate", NAME.ljust(5 * 1024)))
    hidden: Headers = (("traceparent", b"%n${jndi:ldap://x}\r\n\x1b[31m"), ("tracestate", NAME))
    yield _case(
        "header-trace-odd",
        "log injection in `traceparent`, which nobody looks into",
        _BESIDE,
        ACCEPTED,
        lambda good: replace(good, headers=(*good.headers, *hidden)),
    )


def _renamed(headers: Headers, name: str) -> Headers:
    return tuple((name, value) for _, value in headers)


def _sizes() -> Iterator[Case]:
    full = NAME.ljust(VALUE_BYTES_MAX)
    yield Case(
        id="B3-value-1-mib",
        set="B3",
        what="a value of exactly 1 MiB",
        made="in a valid record",
        expected=ACCEPTED,
        make=lambda smith: good_poison(smith, full),
    )
    yield _case(
        "value-1-mib-1",
        "a value of 1 MiB and a byte",
        "in a valid record",
        refused("value-too-large"),
        lambda good: replace(good, value=full + b" "),
    )
    made = "the `comity-jws` of a valid record, filled with spaces that JSON allows"
    for size, name, expected in (
        (MANIFEST_JWS_BYTES_MAX, "16-kib", ACCEPTED),
        (MANIFEST_JWS_BYTES_MAX + 1, "16-kib-1", refused("manifest-too-large")),
    ):
        yield _case(f"manifest-{name}", f"{size:,} bytes", made, expected, _spaced(size))
    yield _case(
        "record-largest",
        "the largest record that the topic takes",
        "a value filled up",
        refused("value-too-large"),
        lambda _: _filled(0),
    )
    yield _case(
        "record-largest-1", "one byte more than the topic takes", "a value filled up", _BROKER, lambda _: _filled(1)
    )
    yield _case(
        "record-2-mib",
        "2 MiB",
        "a value filled up",
        _BROKER,
        lambda _: Poison(b"k", NAME.ljust(2 * VALUE_BYTES_MAX), ()),
    )


def _spaced(size: int) -> Callable[[Poison], Poison]:
    return lambda good: replace(good, headers=tuple((name, value.ljust(size)) for name, value in good.headers))


def _filled(more: int) -> Poison:
    """The memory broker counts 85 bytes for batch and record beside key and value."""
    return Poison(b"k", NAME.ljust(OUTBOX_RECORD_BYTES_MAX - 85 - 1 + more), ())
