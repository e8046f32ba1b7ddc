"""JSON without liberties: one reading of any bytes, or a refusal."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core.limits import JSON_DEPTH_MAX, JSON_INTEGER_MAX
from hub.core.shard import Counters
from hub.envelope import strict_json
from hub.errors import Refused

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-JSON_INTEGER_MAX, JSON_INTEGER_MAX) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON_VALUES)
@settings(max_examples=60)
def test_json_round_trip(value: strict_json.JsonValue) -> None:
    """What was written is read back equal, and the standard library reads the same."""
    data = strict_json.dump(value)
    assert value == strict_json.parse(data) == json.loads(data)


@given(st.binary(max_size=40) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=100)
def test_any_bytes_give_a_value_or_a_refusal(data: bytes) -> None:
    """No bytes make the parser fail otherwise than by its refusal."""
    try:
        strict_json.parse(data)
    except Refused as refusal:
        assert refusal.code == "json-malformed"  # noqa: PT017  the other branch is as good


@given(JSON_VALUES)
@settings(max_examples=200)
def test_the_standard_library_writes_the_same_bytes(value: strict_json.JsonValue) -> None:
    """What is signed or hashed has one spelling, whichever library wrote it."""
    assert json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() == strict_json.dump(value)


@pytest.mark.parametrize(
    "value",
    ["\ud800", {"\udfff": 1}, 2**53, -(2**53), 2**64, {1: 2}, object(), datetime(2026, 1, 1, tzinfo=UTC), Counters()],
)
def test_what_cannot_be_read_is_not_written(value: object) -> None:
    """A lone surrogate, an integer that nobody reads exactly, what is no JSON."""
    with pytest.raises(ValueError, match="no value of strict JSON"):
        strict_json.dump(value)


def test_json_is_compact_and_keeps_order() -> None:
    """No white space, names as given, characters as they are."""
    assert strict_json.dump({"b": 1, "a": [True, None, "é"]}) == '{"b":1,"a":[true,null,"é"]}'.encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xef\xbb\xbf{}",  # byte order mark
        '"é"'.encode("latin-1"),
        "{}".encode("utf-16"),
        b'"\xed\xa0\x80"',  # a surrogate in UTF-8
        b'{"a":1,"a":1}',
        b'[{"a":{"b":1,"b":2}}]',
        b"1.0",
        b"-0.0",
        b"1e2",
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"%d" % (JSON_INTEGER_MAX + 1),
        b"-%d" % (JSON_INTEGER_MAX + 1),
        b"1" * 5000,  # more digits than Python converts
        b"01",
        b"+1",
        rb'"\ud800"',
        rb'{"\udfff":1}',
        rb'"\ude00\ud83d"',
        b'"\x00"',
        b"{} {}",
        b"{},",
        b"[1,]",
        b"'a'",
        b"[" * (JSON_DEPTH_MAX + 1) + b"]" * (JSON_DEPTH_MAX + 1),
        b'{"a":' * (JSON_DEPTH_MAX + 1) + b"1" + b"}" * (JSON_DEPTH_MAX + 1),
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=lambda data: repr(data[:20]),
)
def test_json_refused(data: bytes) -> None:
    """Everything that two readers could read differently is refused."""
    with pytest.raises(Refused, match="json-malformed"):
        strict_json.parse(data)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b" 1\n", 1),
        (b"-0", 0),
        (b"%d" % -JSON_INTEGER_MAX, -JSON_INTEGER_MAX),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (rb'"\\ud800"', r"\ud800"),  # an escaped backslash, no surrogate
        (b'["%s"]' % (b"[" * 40), ["[" * 40]),  # brackets in a string are no levels
        (b"[%s]" % b",".join([b"[]"] * 40), [[]] * 40),
    ],
)
def test_json_accepted(data: bytes, value: strict_json.JsonValue) -> None:
    """White space around, the limits themselves, escapes that spell a character: accepted."""
    assert value == strict_json.parse(data)


def test_json_depth_limit_is_exact() -> None:
    """The deepest value that is allowed is read."""
    value = strict_json.parse(b"[" * JSON_DEPTH_MAX + b"]" * JSON_DEPTH_MAX)
    assert strict_json.dump(value) == b"[" * JSON_DEPTH_MAX + b"]" * JSON_DEPTH_MAX


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ([], "field-type"),
        ("a", "field-type"),
        (None, "field-type"),
        ({}, "field-missing"),
        ({"b": 1}, "field-missing"),
        ({"a": 1, "c": 2}, "field-unknown"),
        ({"a": 1, "b": 2, "c": 3}, "field-unknown"),
    ],
)
def test_closed_refuses(value: strict_json.JsonValue, code: str) -> None:
    """A value that is no object, or has too few or foreign members, is refused."""
    with pytest.raises(Refused) as refusal:
        strict_json.closed(value, required={"a"}, optional={"b"})
    assert code == refusal.value.code


@pytest.mark.parametrize("value", [{"a": 1}, {"b": 2, "a": 1}])
def test_closed_gives_the_object(value: strict_json.JsonObject) -> None:
    """An object with its required and some optional members passes."""
    assert value is strict_json.closed(value, required={"a"}, optional={"b"})


def test_foreign_names_are_not_repeated() -> None:
    """The error of an unknown member does not quote it: it is the writer's text."""
    with pytest.raises(Refused) as refusal:
        strict_json.closed({"secret-name": 1}, required=())
    assert "secret" not in str(refusal.value)


def test_getters_take_their_type_only() -> None:
    """A string, an integer in bounds, a list in bounds, or null: anything else is refused."""
    members: strict_json.JsonObject = {"text": "a", "int": 5, "list": [1, 2], "null": None, "true": True}
    assert strict_json.text(members, "text") == "a"
    assert strict_json.integer(members, "int", low=5, high=5) == 5
    assert strict_json.items(members, "list", low=2, high=2) == [1, 2]
    assert strict_json.optional(members, "null", str) is None
    assert strict_json.optional(members, "int", str) == "5"
    for refused in (
        lambda: strict_json.text(members, "int"),
        lambda: strict_json.integer(members, "text", low=0),
        lambda: strict_json.integer(members, "true", low=0),
        lambda: strict_json.integer(members, "int", low=6),
        lambda: strict_json.integer(members, "int", low=0, high=4),
        lambda: strict_json.items(members, "text", high=9),
        lambda: strict_json.items(members, "list", high=1),
        lambda: strict_json.items(members, "list", low=3, high=9),
    ):
        with pytest.raises(Refused, match="field-type"):
            refused()
