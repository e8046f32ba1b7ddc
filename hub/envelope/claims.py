"""A claim's exact text: what is hashed into the tree, and so signed (schemas/receipts.md).

One JSON object each::

    chain        {"kind", "inbox", "n", "prev", "count"}
    receipt      {"kind", "id", "outbox", "jws", "message", "thr", "code", "counted", "expected", "tl"}
    routed       {"kind", "jws", "outbox", "tl"}
    gap          {"kind", "jws_text", "outbox", "code", "tl"}
    flag         {"kind", "id", "flag", "percent", "pair", "thr", "clock", "of", "message", "due_ms", "time_ms"}
    clk-ignored  {"kind", "id", "pair", "thr", "clock", "message", "code", "time_ms"}

``outbox`` is ``{"topic", "partition", "offset", "time_ms"}``; ``expected`` ``{"seq", "prev"}`` or null; ``pair`` who
waits or wrote, then the other side; ``of`` the clock's kind. Times are milliseconds since 1970.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar

from hub.core.clocks import Flag
from hub.core.ids import (
    DERIVED_PATTERN,
    Digest,
    authority_id,
    clock_id,
    digest,
    message_id,
    thread_id,
)
from hub.core.limits import MANIFEST_JWS_BYTES_MAX
from hub.core.manifest import ClockKind
from hub.core.pairs import Pair
from hub.core.receipts import (
    ChainClaim,
    Claim,
    ClockIgnoredClaim,
    FlagClaim,
    GapClaim,
    ReceiptClaim,
    RoutedClaim,
)
from hub.core.records import Position
from hub.core.refusals import REASONS
from hub.core.topics import outbox_owner
from hub.envelope.strict_json import JsonObject, JsonValue, closed, dump, integer, optional, parse, text
from hub.errors import Refused

CODE_PATTERN: Final = r"^[a-z][a-z-]{2,47}$"
_CODE: Final = re.compile(CODE_PATTERN.replace("$", r"\Z"))
_DERIVED: Final = re.compile(DERIVED_PATTERN.replace("$", r"\Z"))
_POSITION: Final = ("topic", "partition", "offset", "time_ms")

E = TypeVar("E", bound=StrEnum)


def encode_claim(claim: Claim) -> str:
    """The claim's text."""
    return dump(_WRITERS[type(claim)](claim)).decode()


def decode_claim(line: str) -> Claim:
    """The claim that a text spells. Raises ``Refused(claim-malformed)``, whatever the text."""
    try:
        members = parse(line.encode())
        kind = members.get("kind") if isinstance(members, dict) else None
        reader = _READERS.get(kind) if isinstance(kind, str) else None
        if reader is None:
            raise _malformed("its kind is unknown")
        names, read = reader
        return read(closed(members, required=names))
    except (Refused, UnicodeEncodeError) as error:
        raise Refused("claim-malformed", "This is no claim of the hub (schemas/receipts.md).") from error


def _chain_json(claim: ChainClaim) -> JsonObject:
    return {"kind": "chain", "inbox": claim.inbox, "n": claim.n, "prev": claim.prev, "count": claim.count}


def _receipt_json(claim: ReceiptClaim) -> JsonObject:
    expected: JsonObject | None = None
    if claim.expected is not None:
        expected = {"seq": claim.expected[0], "prev": claim.expected[1]}
    return {
        "kind": "receipt",
        "id": claim.id,
        "outbox": _position_json(claim.outbox),
        "jws": claim.jws,
        "message": claim.message,
        "thr": claim.thread,
        "code": claim.code,
        "counted": claim.counted,
        "expected": expected,
        "tl": claim.trust_list,
    }


def _routed_json(claim: RoutedClaim) -> JsonObject:
    return {"kind": "routed", "jws": claim.jws, "outbox": _position_json(claim.outbox), "tl": claim.trust_list}


def _gap_json(claim: GapClaim) -> JsonObject:
    return {
        "kind": "gap",
        "jws_text": claim.jws_text,
        "outbox": _position_json(claim.outbox),
        "code": claim.code,
        "tl": claim.trust_list,
    }


def _flag_json(claim: FlagClaim) -> JsonObject:
    return {
        "kind": "flag",
        "id": claim.id,
        "flag": claim.flag.value,
        "percent": claim.percent,
        "pair": list(claim.pair),
        "thr": claim.thread,
        "clock": claim.clock,
        "of": claim.kind.value,
        "message": claim.message,
        "due_ms": claim.due_ms,
        "time_ms": claim.time_ms,
    }


def _ignored_json(claim: ClockIgnoredClaim) -> JsonObject:
    return {
        "kind": "clk-ignored",
        "id": claim.id,
        "pair": list(claim.pair),
        "thr": claim.thread,
        "clock": claim.clock,
        "message": claim.message,
        "code": claim.code,
        "time_ms": claim.time_ms,
    }


def _position_json(position: Position) -> JsonObject:
    topic, partition, offset, time_ms = position
    return {"topic": topic, "partition": partition, "offset": offset, "time_ms": time_ms}


def _chain(members: JsonObject) -> ChainClaim:
    return ChainClaim(
        inbox=text(members, "inbox"),
        n=integer(members, "n", low=1),
        prev=optional(members, "prev", digest),
        count=integer(members, "count", low=0),
    )


def _receipt(members: JsonObject) -> ReceiptClaim:
    code = members["code"]
    counted = members["counted"]
    if not (code is None or (isinstance(code, str) and code in REASONS)) or not isinstance(counted, bool):
        raise _malformed("its decision is unknown")
    return ReceiptClaim(
        id=_derived(members),
        outbox=_outbox(members),
        jws=optional(members, "jws", digest),
        message=optional(members, "message", message_id),
        thread=optional(members, "thr", thread_id),
        code=code,
        counted=counted,
        expected=optional(members, "expected", _expected),
        trust_list=integer(members, "tl", low=1),
    )


def _expected(value: JsonValue) -> tuple[int, Digest | None]:
    members = closed(value, required=("seq", "prev"))
    return integer(members, "seq", low=1), optional(members, "prev", digest)


def _routed(members: JsonObject) -> RoutedClaim:
    return RoutedClaim(jws=digest(members["jws"]), outbox=_outbox(members), trust_list=integer(members, "tl", low=1))


def _gap(members: JsonObject) -> GapClaim:
    jws_text, code = text(members, "jws_text"), text(members, "code")
    if len(jws_text) > MANIFEST_JWS_BYTES_MAX or code not in REASONS or not REASONS[code].counted:
        raise _malformed("a gap is a counted refusal with its whole JWS")
    return GapClaim(jws_text=jws_text, outbox=_outbox(members), code=code, trust_list=integer(members, "tl", low=1))


def _flag(members: JsonObject) -> FlagClaim:
    return FlagClaim(
        id=_derived(members),
        flag=_word(Flag, members["flag"]),
        percent=integer(members, "percent", low=0, high=100),
        pair=_pair(members["pair"]),
        thread=thread_id(members["thr"]),
        clock=clock_id(members["clock"]),
        kind=_word(ClockKind, members["of"]),
        message=message_id(members["message"]),
        due_ms=integer(members, "due_ms", low=0),
        time_ms=integer(members, "time_ms", low=0),
    )


def _ignored(members: JsonObject) -> ClockIgnoredClaim:
    code = text(members, "code")
    if _CODE.match(code) is None:
        raise _malformed("its code is none")
    return ClockIgnoredClaim(
        id=_derived(members),
        pair=_pair(members["pair"]),
        thread=thread_id(members["thr"]),
        clock=clock_id(members["clock"]),
        message=message_id(members["message"]),
        code=code,
        time_ms=integer(members, "time_ms", low=0),
    )


def _derived(members: JsonObject) -> str:
    value = text(members, "id")
    if _DERIVED.match(value) is None:
        raise _malformed("its id is not derived")
    return value


def _pair(value: JsonValue) -> Pair:
    if not isinstance(value, list) or len(value) != 2:  # noqa: PLR2004  [who waits or wrote, the other side]
        raise _malformed("a pair is a list of two authorities")
    return Pair(authority_id(value[0]), authority_id(value[1]))


def _outbox(members: JsonObject) -> Position:
    position = closed(members["outbox"], required=_POSITION)
    topic = text(position, "topic")
    outbox_owner(topic)
    return Position(
        topic,
        integer(position, "partition", low=0),
        integer(position, "offset", low=0),
        integer(position, "time_ms", low=0),
    )


def _word(kind: type[E], value: JsonValue) -> E:
    try:
        return kind(str(value))
    except ValueError as error:
        raise _malformed("a word is not on its list") from error


def _malformed(reason: str) -> Refused:
    return Refused("claim-malformed", f"This is no claim of the hub: {reason}.")


_WRITERS: Final[Mapping[type[Claim], Callable[..., JsonObject]]] = MappingProxyType(
    {
        ChainClaim: _chain_json,
        ReceiptClaim: _receipt_json,
        RoutedClaim: _routed_json,
        GapClaim: _gap_json,
        FlagClaim: _flag_json,
        ClockIgnoredClaim: _ignored_json,
    }
)
_Reader: TypeAlias = tuple[tuple[str, ...], Callable[[JsonObject], Claim]]
_READERS: Final[Mapping[str, _Reader]] = MappingProxyType(
    {
        "chain": (("kind", "inbox", "n", "prev", "count"), _chain),
        "receipt": (
            ("kind", "id", "outbox", "jws", "message", "thr", "code", "counted", "expected", "tl"),
            _receipt,
        ),
        "routed": (("kind", "jws", "outbox", "tl"), _routed),
        "gap": (("kind", "jws_text", "outbox", "code", "tl"), _gap),
        "flag": (
            ("kind", "id", "flag", "percent", "pair", "thr", "clock", "of", "message", "due_ms", "time_ms"),
            _flag,
        ),
        "clk-ignored": (("kind", "id", "pair", "thr", "clock", "message", "code", "time_ms"), _ignored),
    }
)
