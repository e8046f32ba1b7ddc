"""Set B2, what was signed: numbers and hashes of the chain, times, recipients, clocks, attachments, the value's bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from hub.core.ids import sha256
from hub.core.records import JWS_HEADER
from hub.core.times import format_time
from tests.bad_inputs.cases import ACCEPTED, REPEATED, Case, Expected, Make, Members, Poison, refused
from tests.bad_inputs.json_cases import member, put
from tests.bad_inputs.smith import CANARY, Smith, compact, jws_payload

HOUR_MS: Final = 3600 * 1000
DAY_MS: Final = 24 * HOUR_MS
_DIGEST: Final = "A" * 43
_MALFORMED: Final = refused("manifest-malformed")


def message_cases() -> Iterator[Case]:
    """All of them, in the order of the hub's checks."""
    yield from _numbers()
    yield from _times()
    yield from _recipients()
    yield from _values()


def _case(name: str, what: str, made: str, expected: Expected, make: Make) -> Case:
    return Case(id=f"B2-{name}", set="B2", what=what, made=made, expected=expected, make=make)


def _member(name: str, what: str, expected: Expected, change: Callable[[Members], object]) -> Case:
    return member(name, what, expected, change, set_="B2")


def _numbers() -> Iterator[Case]:
    made = "in a manifest, signed as it stands"

    def numbered(name: str, what: str, expected: Expected, change: Callable[[Members, int], object]) -> Case:
        def make(smith: Smith) -> Poison:
            before = smith.good()
            members = smith.members()
            change(members, smith.chain[0])
            header = compact(smith.signed(compact(members)))
            return Poison(members["thr"].encode(), smith.value, ((JWS_HEADER, header),), before=(before,))

        return _case(name, what, made, expected, make)

    yield numbered(
        "seq-skipped", "a number that skips one", refused("sequence-gap"), lambda each, last: each.update(seq=last + 2)
    )
    yield numbered("seq-far", "number 2^53 - 1", refused("sequence-gap"), lambda each, _: each.update(seq=2**53 - 1))
    yield numbered(
        "seq-again", "the last number again", refused("already-used"), lambda each, last: each.update(seq=last)
    )
    yield numbered("seq-0", "number 0", _MALFORMED, lambda each, _: each.update(seq=0))
    yield numbered("seq-negative", "number -1", _MALFORMED, lambda each, _: each.update(seq=-1))
    yield numbered("seq-2-53", "number 2^53", _MALFORMED, lambda each, _: each.update(seq=2**53))
    yield numbered("seq-2-63", "number 2^63", _MALFORMED, lambda each, _: each.update(seq=2**63))
    yield numbered(
        "prev-other",
        "the hash of another pair's message",
        refused("previous-mismatch"),
        lambda each, _: each.update(prev=sha256(b"another pair")),
    )
    yield numbered("prev-null", "no hash of the one before", _MALFORMED, lambda each, _: each.update(prev=None))
    yield numbered("prev-text", "a text as the hash before", _MALFORMED, lambda each, _: each.update(prev=CANARY))

    def conflicting(smith: Smith) -> Poison:
        before = smith.good()
        first = smith.draft()
        old = smith.members(id=_id_of(before.headers))
        return Poison(
            old["thr"].encode(), first.value, ((JWS_HEADER, compact(smith.signed(compact(old)))),), before=(before,)
        )

    yield _case(
        "id-again", "the id of an accepted message under other bytes", made, refused("id-conflict"), conflicting
    )

    def again(smith: Smith) -> Poison:
        before = smith.good()
        return Poison(before.key, before.value, before.headers, before=(before,))

    yield _case("record-again", "an accepted record, byte by byte", "a second time in the outbox", REPEATED, again)
    yield _member(
        "id-v4",
        "an id of UUID version 4",
        _MALFORMED,
        lambda each: each.update(id=each["id"][:14] + "4" + each["id"][15:]),
    )


def _id_of(headers: tuple[tuple[str, bytes], ...]) -> str:
    return str(jws_payload(dict(headers)[JWS_HEADER])["id"])


def _times() -> Iterator[Case]:
    def at(name: str, what: str, expected: Expected, from_ms: Callable[[Smith], int]) -> Case:
        def make(smith: Smith) -> Poison:
            issued = from_ms(smith)
            members = smith.members(iat=format_time(issued), exp=format_time(issued + 72 * HOUR_MS))
            return Poison(
                members["thr"].encode(), smith.value, ((JWS_HEADER, compact(smith.signed(compact(members)))),)
            )

        return _case(name, what, "in a manifest, signed as it stands", expected, make)

    yield at("created-1970", "made in 1970", refused("expired"), lambda _: 0)
    yield at("created-9999", "made in 9999", refused("not-yet-valid"), lambda _: 253_402_000_000_000)
    yield at("created-tomorrow", "made tomorrow", refused("not-yet-valid"), lambda smith: smith.now_ms + DAY_MS)
    yield at("created-yesterday", "made yesterday", ACCEPTED, lambda smith: smith.now_ms - DAY_MS)
    for name, value in {
        "year-10000": "10000-01-01T00:00:00Z",
        "year-0": "0000-01-01T00:00:00Z",
        "offset": "2026-11-25T09:00:00+00:00",
        "leap": "2026-11-25T08:59:60Z",
        "arabic": "٢٠٢٦-11-25T09:00:00Z",
        "number": 1_795_600_800,
    }.items():
        yield _member(f"created-{name}", f"made at `{value}`", _MALFORMED, put(iat=value))
    yield _member("expires-first", "valid for no time", _MALFORMED, lambda each: each.update(exp=each["iat"]))
    yield _member("expires-late", "valid for a year", _MALFORMED, lambda each: each.update(exp="9999-12-31T23:59:59Z"))


def _recipients() -> Iterator[Case]:
    yield _member("recipients-0", "no recipient", _MALFORMED, put(to=[]))
    yield _member("recipients-2", "two recipients", _MALFORMED, lambda each: each["to"].append(each["from"]))
    yield _member(
        "recipients-1001",
        "1,001 recipients",
        refused("manifest-too-large"),
        lambda each: each.update(to=each["to"] * 1_001),
    )
    yield _member("recipient-self", "to the sender itself", _MALFORMED, lambda each: each.update(to=[each["from"]]))
    yield _member("recipient-path", "a path as recipient", _MALFORMED, put(to=["../hub.ledger"]))
    yield _member("recipient-prefix", "a topic's name as recipient", _MALFORMED, put(to=["inbox.xb-pgo"]))
    yield _member("recipient-nobody", "a recipient that no list names", refused("recipient-unknown"), _to_nobody)
    yield _member("keys-0", "sealed to nobody", _MALFORMED, put(rcp=[]))
    yield _member("keys-17", "17 keys", _MALFORMED, lambda each: each.update(rcp=each["rcp"] * 9))
    yield _member(
        "keys-third", "a key of a third authority", _MALFORMED, lambda each: each["rcp"].append(["xz-moj", _DIGEST])
    )
    yield _member(
        "key-nobody",
        "a recipient's key that no list has",
        refused("recipient-key-invalid"),
        lambda each: each["rcp"][0].__setitem__(1, _DIGEST),
    )
    due = {"op": "start", "id": "0" * 16, "kind": "reply", "due": "2020-01-01T00:00:00Z"}
    yield _member("clock-past", "a clock that was due in 2020", refused("clock-due-past"), put(clk=[due]))
    yield _member("clocks-1000", "1,000 clock operations", refused("manifest-too-large"), put(clk=[due] * 1_000))
    yield _member(
        "clock-kind", "a clock of a kind that tells the procedure", _MALFORMED, put(clk=[due | {"kind": CANARY}])
    )
    attachment = {"n": 1, "uri": "xa-moj/../" + "0" * 32, "len": 100, "dig": _DIGEST, "enc": "cobblestone-256"}
    yield _member("attachment-path", "an attachment with a path", _MALFORMED, put(att=[attachment]))
    yield _member(
        "attachment-url",
        "an attachment at a URL",
        _MALFORMED,
        put(att=[attachment | {"uri": f"http://127.0.0.1/{CANARY}"}]),
    )
    yield _member(
        "attachment-1-tib",
        "an attachment of 1 TiB",
        _MALFORMED,
        lambda each: each.update(att=[attachment | {"uri": each["from"] + "/" + "0" * 32, "len": 2**40}]),
    )


def _to_nobody(members: Members) -> None:
    members["to"] = ["xz-nobody"]
    members["rcp"][0][0] = "xz-nobody"
    members |= {"seq": 1, "prev": None}


def _values() -> Iterator[Case]:
    def other(value: Callable[[bytes], bytes | None]) -> Make:
        def make(smith: Smith) -> Poison:
            good = smith.draft()
            return replace(Poison(good.key, smith.value, good.headers), value=value(smith.value))

        return make

    made = "as the record's value, which the manifest is not about"
    yield _case("value-longer", "a byte more", made, refused("length-mismatch"), other(lambda value: value + b" "))
    yield _case("value-shorter", "a byte less", made, refused("length-mismatch"), other(lambda value: value[:-1]))
    yield _case(
        "value-bit",
        "one bit flipped",
        made,
        refused("digest-mismatch"),
        other(lambda value: bytes([value[0] ^ 1]) + value[1:]),
    )
    yield _case("value-empty", "an empty value", made, refused("length-mismatch"), other(lambda _: b""))
    yield _case("value-null", "no value", made, refused("length-mismatch"), other(lambda _: None))
    yield _case(
        "value-compressed",
        "the value gzipped",
        made,
        refused("length-mismatch"),
        other(lambda value: b"\x1f\x8b\x08" + value),
    )
    yield _member("length-negative", "a negative length", _MALFORMED, lambda each: each["body"].update(len=-1))
    yield _member("length-2-53", "a length of 2^53 - 1", _MALFORMED, lambda each: each["body"].update(len=2**53 - 1))
    yield _member("digest-text", "a text as digest", _MALFORMED, lambda each: each["body"].update(dig=CANARY))
