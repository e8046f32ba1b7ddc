"""Check (b): headers that are no JWS of the profile, payloads that are no manifest."""

# ruff: noqa: ANN401  (a case changes any field, by its name)

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from hub.core.manifest import Manifest
from hub.envelope import jws
from hub.envelope.encoding import b64
from hub.envelope.manifest import encode
from schemas.generator.messages import OTHER_ID, THREAD, Edit, manifest, receipt_list, sign
from schemas.generator.world import XA, World

JwsCase = tuple[str, str, str, bytes]
ManifestCase = tuple[str, str, Manifest, Edit]

_DIGEST: Final = "A" * 43
_WORDS: Final = ("jku", "jwk", "x5u", "crit", "b64")


def jws_cases(world: World) -> Iterator[JwsCase]:
    """``(name, code, comment, header)``."""
    good = sign(world, encode(manifest(world)))

    def outer(change: Callable[[dict[str, Any]], object]) -> bytes:
        members = json.loads(good)
        change(members)
        return json.dumps(members, separators=(",", ":")).encode()

    def case(name: str, comment: str, header: bytes) -> JwsCase:
        return f"b-jws-{name}", "jws-malformed", comment, header

    yield case("text", "Not JSON.", b"eyJhbGciOiJFZDI1NTE5In0.e30.c2ln")
    yield case("bom", "A byte order mark.", b"\xef\xbb\xbf" + good)
    yield case("trailing", "Bytes after the value.", good + b"{}")
    yield case("member", "A third member.", outer(lambda members: members.update(header={})))
    yield case("doubled", "payload occurs twice.", good.replace(b'{"payload":', b'{"payload":"e30","payload":', 1))
    unprotected = outer(lambda members: members["signatures"][0].update(header={"kid": _DIGEST}))
    yield case("unprotected", "An unprotected header.", unprotected)
    yield case("none", "No signature.", outer(lambda members: members.update(signatures=[])))
    yield case("padding", "Padded base64url.", outer(lambda members: _pad(members["signatures"][0])))
    yield case("space", "A space in base64url.", outer(_space))
    yield case(
        "bits", "Unused bits that are not zero.", outer(lambda members: _second_spelling(members["signatures"][0]))
    )
    for word in _WORDS:
        yield case(word, f"A protected header with {word}.", _protected(world, **{word: ["iat"]}))
    yield case("iat-fraction", "iat is no integer.", _protected(world, iat=1.5))
    yield case("kid", "kid is no thumbprint.", _protected(world, kid="xa-moj-2026"))
    head = sign(world, encode(manifest(world)), typ=jws.TYP_HEAD)
    yield case("typ", "The typ of another kind of statement.", head)


def _protected(world: World, **changes: Any) -> bytes:
    """A JWS whose first protected header differs, signed as it stands."""
    signers = world.parties[XA].signers
    payload = b64(encode(manifest(world)))
    signatures = []
    for number, signer in enumerate(signers):
        header: dict[str, Any] = {"alg": signer.algorithm, "typ": jws.TYP_MANIFEST, "kid": signer.key}
        header |= {"x5t#S256": signer.certificate_digest, "iat": 1795597200}
        if number == 0:
            header |= changes
        protected = b64(json.dumps(header, separators=(",", ":")).encode())
        signatures.append({"protected": protected, "signature": b64(signer.sign(f"{protected}.{payload}".encode()))})
    return json.dumps({"payload": payload, "signatures": signatures}, separators=(",", ":")).encode()


def _pad(signature: dict[str, str]) -> None:
    signature["signature"] += "=="


def _space(members: dict[str, str]) -> None:
    members["payload"] = members["payload"][:8] + " " + members["payload"][8:]


def _second_spelling(signature: dict[str, str]) -> None:
    """Another last letter for the same bytes: 64 bytes leave 4 bits of it unused."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    text = signature["signature"]
    signature["signature"] = text[:-1] + letters[letters.index(text[-1]) + 1]


def manifest_cases(world: World) -> Iterator[ManifestCase]:
    """``(name, comment, manifest, edit)``: the edited payload is signed as it should be."""
    for name, comment, edit in _MESSAGES:
        yield f"b-manifest-{name}", comment, manifest(world), edit
    for name, comment, edit in _RECEIPTS:
        yield f"b-receipt-{name}", comment, receipt_list(world), edit


def _set(**values: Any) -> Edit:
    return lambda members: members.update({name.rstrip("_"): value for name, value in values.items()})


def _clock(**values: Any) -> Edit:
    def edit(members: dict[str, Any]) -> None:
        members["clk"][0].update(values)

    return edit


def _body(**values: Any) -> Edit:
    return lambda members: members["body"].update(values)


def _receipt(number: int, **values: Any) -> Edit:
    return lambda members: members["rct"][number].update(values)


def _attachments(*uris: str, first: int = 1) -> Edit:
    listed = [
        {"n": number, "uri": uri, "len": 100, "dig": _DIGEST, "enc": "cobblestone-256"}
        for number, uri in enumerate(uris, start=first)
    ]
    return _set(att=listed)


def _nested(members: dict[str, Any]) -> None:
    value: Any = []
    for _ in range(17):
        value = [value]
    members["clk"] = value


_OBJECT: Final = "xa-moj/" + "0" * 32
_MESSAGES: Final[tuple[tuple[str, str, Edit], ...]] = (
    ("unknown-member", "A member that the format does not know.", _set(note="")),
    ("version-number", "v is no text, so not even a name of a version.", _set(v=1)),
    ("missing-member", "pri is missing.", lambda members: members.pop("pri")),
    ("rct-missing", "rct is missing: it is empty, not absent.", lambda members: members.pop("rct")),
    ("due-missing", "due is missing in a clock operation.", lambda members: members["clk"][0].pop("due")),
    ("to-two", "Two recipients.", _set(to=["xb-pgo", "xc-acc"])),
    ("to-text", "to is no list.", _set(to="xb-pgo")),
    ("to-self", "To the sender itself.", _set(to=["xa-moj"])),
    ("to-upper", "An authority in upper case.", _set(to=["XB-PGO"])),
    ("thr-null", "A request without a thread.", _set(thr=None)),
    ("thr-upper", "A thread in upper case.", _set(thr="0123456789ABCDEF0123456789ABCDEF")),
    ("id-v4", "The id is a UUIDv4.", _set(id="019ab9f2-3c00-4000-8000-000000000001")),
    ("id-upper", "The id in upper case.", _set(id="019AB9F2-3C00-7000-8000-000000000001")),
    ("typ-notice", "An unknown typ.", _set(typ="notice")),
    ("pri-high", "An unknown priority.", _set(pri="high")),
    ("suite-dot", "A suite with a letter that no name has.", _set(suite="S1.0")),
    ("seq-0", "Numbers begin with 1.", _set(seq=0)),
    ("seq-text", "The number as text.", _set(seq="1")),
    ("seq-true", "true is no number.", _set(seq=True)),
    ("seq-large", "Beyond 2^53 - 1.", _set(seq=2**53, prev=_DIGEST)),
    ("seq-fraction", "1.0 is no integer.", _set(seq=1.0)),
    ("prev-of-first", "The first message names a previous one.", _set(prev=_DIGEST)),
    ("prev-missing", "The second message names none.", _set(seq=2)),
    ("prev-bits", "A Digest whose unused bits are not zero.", _set(seq=2, prev="A" * 42 + "B")),
    ("tl-0", "Trust lists begin with 1.", _set(tl=0)),
    ("iat-offset", "A time with an offset.", _set(iat="2026-11-25T09:00:00+00:00")),
    ("iat-digits", "A time with one digit of a second.", _set(iat="2026-11-25T09:00:00.5Z")),
    ("iat-leap", "A leap second.", _set(iat="2026-11-25T08:59:60Z")),
    ("iat-day", "A day that does not exist.", _set(iat="2026-11-31T09:00:00Z", exp="2026-12-01T09:00:00Z")),
    ("exp-73h", "Valid for 72 hours and a second.", _set(exp="2026-11-28T09:00:01Z")),
    ("exp-iat", "Valid for no time.", _set(exp="2026-11-25T09:00:00Z")),
    ("clk-9", "Nine clock operations.", lambda members: members.update(clk=members["clk"] * 9)),
    ("clk-kind", "A kind that would tell the procedure.", _clock(kind="custody")),
    ("clk-op", "An unknown operation.", _clock(op="reset")),
    ("clk-id", "A clock id of 32 digits.", _clock(id="0" * 32)),
    ("clk-start", "A start without a due time.", _clock(due=None)),
    ("clk-extend", "An extension without a due time.", _clock(op="extend", due=None)),
    ("clk-pause", "A pause with a due time.", _clock(op="pause")),
    ("clk-stop", "A stop with a due time.", _clock(op="stop")),
    ("sgs-empty", "No algorithm.", _set(sgs=[])),
    ("sgs-5", "Five algorithms.", _set(sgs=["Ed25519"] * 5)),
    ("sgs-name", "An algorithm's name of 33 letters.", _set(sgs=["E" * 33])),
    ("len-0", "A message without a value.", _body(len=0)),
    ("com-null", "A message without a commitment.", _body(com=None)),
    ("body-member", "A member too many in body.", _body(alg="SHA-256")),
    ("rcp-third", "A key of a third authority.", lambda members: members["rcp"].append(["xc-acc", _DIGEST])),
    ("rcp-none", "No key of the recipient.", lambda members: members["rcp"].pop(0)),
    ("rcp-twice", "The same key twice.", lambda members: members["rcp"].append(members["rcp"][0])),
    ("rcp-17", "17 keys.", lambda members: members["rcp"].extend(["xb-pgo", f"{n:A>42}A"] for n in range(10, 25))),
    ("att-other", "An object under another's prefix.", _attachments("xb-pgo/" + "0" * 32)),
    ("att-path", "An object's name with a path.", _attachments("xa-moj/../" + "0" * 32)),
    ("att-twice", "One object twice.", _attachments(_OBJECT, _OBJECT)),
    ("att-from-2", "Numbers that begin with 2.", _attachments(_OBJECT, first=2)),
    ("att-17", "17 attachments.", _attachments(*(f"xa-moj/{number:032x}" for number in range(17)))),
    (
        "rct",
        "A request with a receipt.",
        _set(rct=[{"lvl": "delivered", "id": OTHER_ID, "thr": THREAD, "prf": _DIGEST, "why": None}]),
    ),
    ("depth", "Nested over 16 levels.", _nested),
)
_RECEIPTS: Final[tuple[tuple[str, str, Edit], ...]] = (
    ("empty", "A receipt list without a receipt.", _set(rct=[])),
    ("33", "33 receipts.", lambda members: members.update(rct=members["rct"][:1] * 33)),
    ("thr", "A receipt list with a thread.", _set(thr=THREAD)),
    ("irt", "A receipt list that answers a message.", _set(irt=OTHER_ID)),
    ("clk", "A receipt list with a clock.", _set(clk=[{"op": "stop", "id": "0" * 16, "kind": "reply", "due": None}])),
    ("rcp", "A receipt list with a key.", _set(rcp=[["xb-pgo", _DIGEST]])),
    ("com", "A receipt list with a commitment.", _body(com=_DIGEST)),
    ("len", "A receipt list with a value.", _body(len=1)),
    ("dig", "dig is not the Digest of nothing.", _body(dig=_DIGEST)),
    ("prf", "delivered without a proof.", _receipt(0, prf=None)),
    ("why", "delivered with a reason.", _receipt(0, why="cannot-decrypt")),
    ("refused-prf", "refused with a proof.", _receipt(1, prf=_DIGEST)),
    ("refused-code", "refused with a code of the hub's.", _receipt(1, why="expired")),
    ("level", "A level that only the hub gives.", _receipt(0, lvl="accepted")),
)
