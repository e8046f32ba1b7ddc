"""Ids, times and topics: strict grammars with one spelling each."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core import ids, topics
from hub.core.times import format_time, parse_time
from hub.errors import Refused

DIGEST = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
MILLISECONDS_MIN, MILLISECONDS_MAX = -62_135_596_800_000, 253_402_300_799_999  # years 1 to 9999

GRAMMARS: dict[str, tuple[Callable[[object], str], list[str], list[object]]] = {
    "authority": (
        ids.authority_id,
        ["xa-moj", "at-bmj", "xb-" + "9" * 24],
        ["", "xa", "xa-m", "XA-moj", "xa-" + "m" * 25, "xa-moj\n", "x1-moj", "xa-möj", " xa-moj", None, 7],
    ),
    "message": (
        ids.message_id,
        ["01920000-0000-7000-8000-000000000000", "ffffffff-ffff-7fff-bfff-ffffffffffff"],
        [
            "01920000-0000-4000-8000-000000000000",
            "01920000-0000-7000-c000-000000000000",
            "01920000-0000-7000-8000-00000000000A",
            "019200000000700080000000000000000",
            "01920000-0000-7000-8000-000000000000\n",
            None,
        ],
    ),
    "thread": (ids.thread_id, ["3f" * 16], ["3F" * 16, "3f" * 15, "3f" * 16 + "\n", "3g" * 16, None]),
    "clock": (ids.clock_id, ["c1" * 8], ["c1" * 7, "C1" * 8, "c1" * 8 + "\n", []]),
    "digest": (ids.digest, [DIGEST], [DIGEST + "=", DIGEST[:-1], DIGEST[:-1] + "V", DIGEST.replace("-", "+"), {}]),
    "key": (ids.key_id, [DIGEST], [DIGEST[:-1] + "B", DIGEST + "\n", True]),
}


@pytest.mark.parametrize("name", GRAMMARS)
def test_grammar(name: str) -> None:
    """A grammar takes its values as they are and refuses everything else with a code."""
    parse, good, bad = GRAMMARS[name]
    assert good == [parse(text) for text in good]
    for text in bad:
        with pytest.raises(Refused) as refusal:
            parse(text)
        assert refusal.value.code == "id-malformed"


def test_sha256_is_a_digest() -> None:
    """The digest of nothing is the published one, and fits its own grammar."""
    assert ids.sha256(b"") == DIGEST == ids.digest(ids.sha256(b""))


@given(time_ms=st.integers(0, 2**48 - 1), chance=st.binary(min_size=10, max_size=16))
@settings(max_examples=60)
def test_uuid7(time_ms: int, chance: bytes) -> None:
    """A UUIDv7 carries its milliseconds in front and passes the grammar and the standard library."""
    made = ids.uuid7(time_ms, chance)
    assert made == ids.message_id(made)
    assert (uuid.UUID(made).version, uuid.UUID(made).variant) == (7, uuid.RFC_4122)
    assert time_ms == uuid.UUID(made).int >> 80


def test_uuid7_sorts_by_time() -> None:
    """A later message has a greater id."""
    assert ids.uuid7(1, b"\xff" * 10) < ids.uuid7(2, bytes(10))


def test_derived_id() -> None:
    """A derived id is a UUIDv8 of its cause: the same for the same, another for any other."""
    made = ids.derived_id("flag", "xa-moj>xb-pgo", 7)
    assert re.fullmatch(ids.DERIVED_PATTERN, made)
    assert made == ids.derived_id("flag", "xa-moj>xb-pgo", 7)
    assert made != ids.derived_id("flag", "xa-moj>xb-pgo7")
    with pytest.raises(Refused):
        ids.message_id(made)


def test_slot() -> None:
    """A slot is the first 8 bytes of SHA-256, modulo the count: the same in every language."""
    expected = int.from_bytes(hashlib.sha256(b"xa-moj").digest()[:8], "big") % 7
    assert expected == ids.slot("xa-moj", 7)
    assert {ids.slot(f"xa-{n:02}", 4) for n in range(50)} == {0, 1, 2, 3}


@given(st.integers(MILLISECONDS_MIN, MILLISECONDS_MAX))
@settings(max_examples=100)
def test_time_round_trip(time_ms: int) -> None:
    """Every instant of the years 1 to 9999 is written so that it is read back, milliseconds included."""
    assert time_ms == parse_time(format_time(time_ms))


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2026-11-25T09:00:00Z", 1_795_597_200_000),
        ("2026-11-25T09:00:00.120Z", 1_795_597_200_120),
        ("0001-01-01T00:00:00Z", MILLISECONDS_MIN),
        ("9999-12-31T23:59:59.999Z", MILLISECONDS_MAX),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
    ],
)
def test_time_is_written_as_read(text: str, time_ms: int) -> None:
    """A time has one shortest spelling, and both directions agree on it."""
    assert time_ms == parse_time(text)
    assert text == format_time(time_ms)


def test_zero_fraction_is_read_and_shortened() -> None:
    """Three zeros are read as whole seconds, and written without a fraction."""
    assert format_time(parse_time("2026-11-25T09:00:00.000Z")) == "2026-11-25T09:00:00Z"


@pytest.mark.parametrize(
    "text",
    [
        None,
        20261125,
        "",
        "2026-11-25",
        "2026-11-25T09:00:00",
        "2026-11-25T09:00:00z",
        "2026-11-25t09:00:00Z",
        "2026-11-25 09:00:00Z",
        "2026-11-25T09:00:00+00:00",
        "2026-11-25T09:00Z",
        "2026-11-25T09:00:00.1Z",
        "2026-11-25T09:00:00.1234Z",
        "2026-11-25T09:00:00,120Z",
        "2026-11-25T09:00:00Z\n",
        "2026-11-25T09:00:60Z",
        "2026-11-25T24:00:00Z",
        "2026-02-29T09:00:00Z",
        "2026-13-01T09:00:00Z",
        "0000-01-01T00:00:00Z",
        "٢٠٢٦-11-25T09:00:00Z",
    ],
)
def test_time_refused(text: object) -> None:
    """Anything but RFC 3339 in UTC with Z, whole seconds or three digits, an existing moment, is refused."""
    with pytest.raises(Refused) as refusal:
        parse_time(text)
    assert refusal.value.code == "time-malformed"


def test_topics() -> None:
    """A topic's name gives its owner back; a name that is no outbox has none."""
    authority = ids.AuthorityId("xa-moj")
    assert (topics.outbox(authority), topics.inbox(authority)) == ("outbox.xa-moj", "inbox.xa-moj")
    assert authority == topics.outbox_owner("outbox.xa-moj")
    for name in ("inbox.xa-moj", "outbox.", "outbox.xa-moj.", "xa-moj", "outbox.outbox.xa-moj"):
        with pytest.raises(Refused):
            topics.outbox_owner(name)
