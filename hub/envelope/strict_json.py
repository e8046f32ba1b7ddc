"""JSON without its liberties (RFC 8259, narrowed as in I-JSON, RFC 7493): one reading of any bytes, or a refusal.

Parsers differ on repeated names, huge or fractional numbers, lone surrogates and depth; two readers that differ on a
signed text are an attack. So none of these is JSON here. It is read by the standard library, which shows each name that
it meets, and written by orjson, in a tenth of the time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Final, NoReturn, TypeAlias, TypeVar

import orjson

from hub.core.limits import JSON_DEPTH_MAX, JSON_INTEGER_MAX
from hub.errors import Refused

# What parse would not take, or orjson alone takes, is refused: integers beyond 2^53 - 1, data classes, dates.
_WRITE_OPTIONS: Final = orjson.OPT_STRICT_INTEGER | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
COUNTED_BYTES_MAX: Final = 2048  # above, a walk over the values is quicker than a count of brackets

JsonValue: TypeAlias = "dict[str, JsonValue] | list[JsonValue] | str | int | bool | None"
JsonObject: TypeAlias = dict[str, JsonValue]
T = TypeVar("T")


def parse(data: bytes) -> JsonValue:
    """The value that UTF-8 ``data`` spells.

    Raises ``Refused(json-malformed)``: also for a byte order mark, a name that occurs twice, a fraction, an exponent,
    NaN, an integer beyond ``JSON_INTEGER_MAX``, nesting beyond ``JSON_DEPTH_MAX``, a lone surrogate.
    """
    try:
        value: JsonValue = _DECODER.decode(data.decode("utf-8"))
        # Only an escape can bring a lone surrogate in: strict UTF-8 holds none.
        if b"\\" in data and b"\\u" in data:  # one byte is found twenty times as quickly as two
            dump(value)
    except (ValueError, RecursionError) as error:
        raise _malformed("it is no UTF-8 JSON text") from error
    # Brackets are never fewer than levels, so most short texts need no walk; what is long has long strings.
    if len(data) > COUNTED_BYTES_MAX or data.count(b"{") + data.count(b"[") > JSON_DEPTH_MAX:
        _check_depth(value, JSON_DEPTH_MAX)
    return value


def dump(value: JsonValue) -> bytes:
    """Compact UTF-8 JSON, names in the order given. Raises ``ValueError`` for what ``parse`` could not have read."""
    try:
        return orjson.dumps(value, option=_WRITE_OPTIONS)
    except orjson.JSONEncodeError as error:
        raise ValueError("this is no value of strict JSON") from error


def closed(value: JsonValue, *, required: Collection[str], optional: Collection[str] = ()) -> JsonObject:
    """``value`` as an object with exactly these members.

    Raises ``Refused``: ``field-type`` when it is no object, ``field-missing``, ``field-unknown``.
    """
    if not isinstance(value, dict):
        raise _field_type("this", "an object")
    missing = [name for name in required if name not in value]
    if missing:
        raise Refused("field-missing", f"The member {min(missing)} is missing.")
    if len(value) > len(required) and not value.keys() <= {*required, *optional}:
        # The foreign name is the writer's text, so it is not repeated here.
        raise Refused("field-unknown", "There is a member that this format does not know.")
    return value


def text(members: JsonObject, name: str) -> str:
    """Member ``name``, a string. Raises ``Refused(field-type)``."""
    value = members[name]
    if not isinstance(value, str):
        raise _field_type(name, "a string")
    return value


def integer(members: JsonObject, name: str, *, low: int, high: int = JSON_INTEGER_MAX) -> int:
    """Member ``name``, an integer from ``low`` to ``high``. Raises ``Refused(field-type)``; true is no integer."""
    value = members[name]
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise _field_type(name, f"an integer from {low} to {high}")
    return value


def items(members: JsonObject, name: str, *, high: int, low: int = 0) -> list[JsonValue]:
    """Member ``name``, a list of ``low`` to ``high`` values. Raises ``Refused(field-type)``."""
    value = members[name]
    if not isinstance(value, list) or not low <= len(value) <= high:
        raise _field_type(name, f"a list of {low} to {high} values")
    return value


def optional(members: JsonObject, name: str, read: Callable[[JsonValue], T]) -> T | None:
    """Member ``name`` read by ``read``, or None for null."""
    value = members[name]
    return None if value is None else read(value)


def _field_type(name: str, noun: str) -> Refused:
    return Refused("field-type", f"The member {name} is not {noun}.")


def _malformed(reason: str) -> Refused:
    return Refused("json-malformed", f"This is not JSON of the strict kind: {reason}.")


def _check_depth(value: JsonValue, levels: int) -> None:
    if not isinstance(value, dict | list):
        return
    if levels == 0:
        raise _malformed(f"it is nested over {JSON_DEPTH_MAX} levels")
    for inner in value.values() if isinstance(value, dict) else value:
        _check_depth(inner, levels - 1)


def _object(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _malformed("a name occurs twice in an object")
    return members


def _integer(digits: str) -> int:
    number = int(digits)
    if not -JSON_INTEGER_MAX <= number <= JSON_INTEGER_MAX:
        raise _malformed("an integer is beyond 2^53 - 1")
    return number


def _no_number(digits: str) -> NoReturn:
    del digits
    raise _malformed("a number has a fraction or an exponent, or is none")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_no_number, parse_constant=_no_number
)
