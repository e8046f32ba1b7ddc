"""Set B2, who signed: versions, algorithms, encodings, keys, signatures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from hub.core.records import JWS_HEADER
from hub.envelope import jws
from hub.envelope.encoding import b64, unb64
from tests.bad_inputs.cases import ACCEPTED, Case, Expected, Make, Members, Poison, refused
from tests.bad_inputs.json_cases import member, put
from tests.bad_inputs.smith import CANARY, Smith, compact

HOUR_MS: Final = 3600 * 1000
DAY_MS: Final = 24 * HOUR_MS
_ORDER_25519: Final = 2**252 + 27742317777372353535851937790883648493
_ORDER_P384: Final = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16
)
_DIGEST: Final = "A" * 43
_MALFORMED: Final = refused("manifest-malformed")
_AFTERWARDS: Final = "in the JWS, whose signatures are over the good bytes"
_NO_JWS: Final = refused("jws-malformed")
_NOT_SIGNED: Final = refused("signature-invalid")


def envelope_cases() -> Iterator[Case]:
    """All of them, in the order of the hub's checks."""
    yield from _versions()
    yield from _protected()
    yield from _encodings()
    yield from _shapes()
    yield from _keys()
    yield from _signatures()
    yield from _curve_signatures()


def _case(name: str, what: str, made: str, expected: Expected, make: Make, cast: str = "any") -> Case:
    return Case(id=f"B2-{name}", set="B2", what=what, made=made, expected=expected, make=make, cast=cast)


def _sealed(smith: Smith, jws_members: Members) -> Poison:
    return Poison(smith.draft().key, smith.value, ((JWS_HEADER, compact(jws_members)),))


def _member(name: str, what: str, expected: Expected, change: Callable[[Members], object]) -> Case:
    return member(name, what, expected, change, set_="B2")


def _versions() -> Iterator[Case]:
    unknown = refused("version-unknown")
    yield _member("version-2", "version `comity/2`", unknown, put(v="comity/2"))
    yield _member("version-empty", "an empty version", unknown, put(v=""))
    yield _member("version-canary", "a long text as version", unknown, put(v=CANARY * 20))
    yield _member("version-number", "a number as version", _MALFORMED, put(v=1))
    yield _member("suite-unknown", "suite `S9`", refused("suite-unknown"), put(suite="S9"))
    yield _member(
        "suite-weaker", "suite `S0` without a waiver", refused("suite-not-allowed"), put(suite="S0", sgs=["Ed25519"])
    )
    yield _member(
        "suite-other", "suite `S2`, which the list does not demand", refused("suite-not-allowed"), put(suite="S2")
    )
    yield _member("sgs-fewer", "`sgs` names one algorithm of two", refused("algorithms-mismatch"), put(sgs=["Ed25519"]))
    yield _member(
        "sgs-swapped", "`sgs` in the other order", refused("algorithms-mismatch"), lambda each: each["sgs"].reverse()
    )
    yield _member("deployment", "the manifest of another deployment", refused("deployment-mismatch"), put(dom=_DIGEST))
    yield _member("sender-other", "another authority as sender", refused("sender-mismatch"), _as_recipient)


def _as_recipient(members: Members) -> None:
    members["from"], members["to"] = members["to"][0], [members["from"]]


def _protected() -> Iterator[Case]:
    made = "in the first protected header, signed as it stands"

    def case(name: str, what: str, expected: Expected, edit: Callable[[Members], object]) -> Case:
        return _case(
            name, what, made, expected, lambda smith: _sealed(smith, smith.signed(compact(smith.members()), edit=edit))
        )

    mismatch = refused("algorithms-mismatch")
    for algorithm in ("none", "None", "HS256", "RS256", "ed25519", "EdDSA", "XX", "ES256"):
        yield case(f"alg-{algorithm}", f"algorithm `{algorithm}`", mismatch, put(alg=algorithm))
    yield case("alg-null", "algorithm null", _NO_JWS, put(alg=None))
    yield case("alg-empty", "an empty algorithm", _NO_JWS, put(alg=""))
    yield case("alg-long", "an algorithm of 650 letters", _NO_JWS, put(alg=CANARY * 50))
    for name in ("crit", "jku", "jwk", "x5u", "x5c", "b64", "zip"):
        yield case(f"protected-{name}", f"a member `{name}`", _NO_JWS, put(**{name: [CANARY]}))
    yield case("kid-missing", "no `kid`", _NO_JWS, lambda each: each.pop("kid"))
    yield case("kid-nobody", "a `kid` of nobody", refused("key-unknown"), put(kid=_DIGEST))
    yield case("kid-text", "a text as `kid`", _NO_JWS, put(kid=CANARY))
    yield case(
        "certificate-missing", "no `x5t#S256`", refused("certificate-invalid"), lambda each: each.pop("x5t#S256")
    )
    yield case(
        "certificate-other",
        "`x5t#S256` of another certificate",
        refused("certificate-invalid"),
        put(**{"x5t#S256": _DIGEST}),
    )
    yield case("typ-other", "the `typ` of a trust list", _NO_JWS, put(typ=jws.TYP_TRUST_LIST))
    yield case("iat-negative", "`iat` of -1", _NO_JWS, put(iat=-1))
    yield case("iat-2-63", "`iat` of 2^63", _NO_JWS, put(iat=2**63))
    yield case("iat-1970", "`iat` of 0: only the manifest's times count", ACCEPTED, put(iat=0))


def _changed(name: str, what: str, change: Callable[[Members], object], expected: Expected = _NO_JWS) -> Case:
    """A JWS that was changed after it was signed."""

    def make(smith: Smith) -> Poison:
        members = smith.signed(compact(smith.members()))
        change(members)
        return _sealed(smith, members)

    return _case(name, what, _AFTERWARDS, expected, make)


def _encodings() -> Iterator[Case]:
    def respelled(spell: Callable[[str], str]) -> Callable[[Members], object]:
        return lambda members: members["signatures"][0].update(signature=spell(members["signatures"][0]["signature"]))

    yield _changed("base64-padded", "base64url with padding", respelled(lambda text: text + "=="))
    yield _changed("base64-standard", "base64 with `+` and `/`", respelled(lambda text: "+/" + text[2:]))
    yield _changed("base64-space", "a space in base64url", respelled(lambda text: text[:9] + " " + text[9:]))
    yield _changed("base64-newline", "a line feed in base64url", respelled(lambda text: text[:64] + "\n" + text[64:]))
    yield _changed(
        "base64-bits", "unused bits that are not zero", respelled(lambda text: text[:-1] + chr(ord(text[-1]) + 1))
    )
    yield _changed("base64-length", "a length that base64 does not have", respelled(lambda text: text[:-1]))
    yield _changed("base64-wide", "full-width letters", respelled(lambda text: "\uff21" + text[1:]))
    yield _changed(
        "payload-space",
        "a space in the payload",
        lambda each: each.update(payload=each["payload"][:9] + " " + each["payload"][9:]),
    )
    yield _changed(
        "unprotected", "an unprotected header", lambda each: each["signatures"][0].update(header={"alg": "none"})
    )
    yield _changed("flattened", "flattened JSON", lambda each: each.update(each.pop("signatures")[0]))


def _shapes() -> Iterator[Case]:
    yield _changed("signatures-none", "no signature", lambda each: each.update(signatures=[]))
    yield _changed("signatures-33", "33 signatures", lambda each: each.update(signatures=each["signatures"][:1] * 33))
    yield _changed("signatures-object", "an object for the signatures", lambda each: each.update(signatures={}))
    yield _changed(
        "signatures-one",
        "the first signature alone",
        lambda each: each["signatures"].pop(),
        refused("algorithms-mismatch"),
    )
    yield _changed(
        "signatures-doubled",
        "the first signature twice",
        lambda each: each.update(signatures=each["signatures"][:1] * 2),
        refused("algorithms-mismatch"),
    )
    yield _changed(
        "signatures-swapped",
        "the signatures in the other order",
        lambda each: each["signatures"].reverse(),
        refused("algorithms-mismatch"),
    )
    yield _changed(
        "signatures-three",
        "a third signature",
        lambda each: each["signatures"].append(each["signatures"][0]),
        refused("algorithms-mismatch"),
    )

    def compact_form(smith: Smith) -> Poison:
        members = smith.signed(compact(smith.members()))
        first = members["signatures"][0]
        text = ".".join((first["protected"], members["payload"], first["signature"]))
        return Poison(smith.draft().key, smith.value, ((JWS_HEADER, text.encode()),))

    yield _case("compact", "compact serialization", _AFTERWARDS, _NO_JWS, compact_form)


def _keys() -> Iterator[Case]:
    made = "signed with that key, which the trust list has"
    revoked = refused("key-revoked")
    for name, what in (
        ("expired", "a key that ended yesterday"),
        ("early", "a key that begins tomorrow"),
        ("revoked", "a key revoked yesterday"),
    ):
        yield _case(f"key-{name}", what, made, revoked, _signed_by(name), "spare-keys")

    def others(smith: Smith) -> Poison:
        signers = tuple(signer for signer, _ in smith.others["neighbour"].signers)
        return _sealed(smith, smith.signed(compact(smith.members()), signers=signers))

    yield _case(
        "key-of-another",
        "another authority's keys",
        "signed with them, under their ids",
        refused("key-unknown"),
        others,
        "others",
    )

    def named(smith: Smith) -> Poison:
        other = smith.others["neighbour"].signers[0][0]
        return _sealed(smith, smith.signed(compact(smith.members()), edit=put(kid=other.key)))

    yield _case(
        "kid-of-another",
        "another authority's key id",
        "signed with the own keys",
        refused("key-unknown"),
        named,
        "others",
    )

    def stolen(smith: Smith) -> Poison:
        letter = Smith(smith.others["neighbour"], smith.recipient, trust=smith.trust, now_ms=smith.now_ms).draft()
        return Poison(letter.key, letter.value, letter.headers)

    yield _case(
        "stolen",
        "another authority's valid message",
        "a copy in the own outbox",
        refused("sender-mismatch"),
        stolen,
        "others",
    )


def _signed_by(name: str) -> Make:
    return lambda smith: _sealed(smith, smith.signed(compact(smith.members()), signers=smith.spare[name]))


def _respelled(at: int, spell: Callable[[bytes], bytes]) -> Make:
    """The right signature number ``at``, its bytes changed."""

    def make(smith: Smith) -> Poison:
        members = smith.signed(compact(smith.members()))
        signature = members["signatures"][at]
        signature["signature"] = b64(spell(unb64(signature["signature"])))
        return _sealed(smith, members)

    return make


def _signatures() -> Iterator[Case]:
    made = "in the JWS, in the place of the right one"
    for name, at in (("ed25519", 0), ("ml-dsa", 1)):
        for kind, what, spell in (
            ("zeros", "all zeros", lambda right: bytes(len(right))),
            ("ones", "all bits set", lambda right: b"\xff" * len(right)),
            ("empty", "empty", lambda _: b""),
            ("short", "its last byte missing", lambda right: right[:-1]),
            ("long", "a byte more", lambda right: right + b"\x00"),
            ("bit", "one bit flipped", lambda right: bytes([right[0] ^ 1]) + right[1:]),
            ("16", "its first 16 bytes", lambda right: right[:16]),
        ):
            yield _case(
                f"signature-{name}-{kind}", f"an {name} signature: {what}", made, _NOT_SIGNED, _respelled(at, spell)
            )
    halves: tuple[tuple[str, str, Callable[[bytes], bytes]], ...] = (
        ("r-0", "R is 0", lambda right: bytes(32) + right[32:]),
        ("s-0", "S is 0", lambda right: right[:32] + bytes(32)),
        ("s-high", "S and the group's order", _plus_order),
    )
    for kind, what, spell in halves:
        yield _case(
            f"signature-ed25519-{kind}", f"an ed25519 signature: {what}", made, _NOT_SIGNED, _respelled(0, spell)
        )
    yield _case(
        "recipient-swapped",
        "another recipient under the same signatures",
        "in the payload, after signing",
        _NOT_SIGNED,
        lambda smith: _sealed(
            smith,
            _unsigned_change(smith, to=[smith.others["neighbour"].id], rcp=[[smith.others["neighbour"].id, _DIGEST]]),
        ),
        "others",
    )
    yield _case(
        "recipient-pointed-at",
        "a payload with another priority under the same signatures",
        "in the payload, after signing",
        _NOT_SIGNED,
        lambda smith: _sealed(smith, _unsigned_change(smith, pri="urgent")),
    )


def _plus_order(right: bytes) -> bytes:
    high = int.from_bytes(right[32:], "little") + _ORDER_25519
    return right[:32] + high.to_bytes(32, "little")


def _unsigned_change(smith: Smith, **changes: Any) -> Members:
    members = smith.members()
    signed = smith.signed(compact(members))
    return signed | {"payload": b64(compact(members | changes))}


def _curve_signatures() -> Iterator[Case]:
    made = "in the JWS of an authority of suite S2, in the place of the right one"
    spellings: tuple[tuple[str, str, Expected, Callable[[bytes], bytes]], ...] = (
        ("r-0", "r is 0", _NOT_SIGNED, lambda right: bytes(48) + right[48:]),
        ("s-0", "s is 0", _NOT_SIGNED, lambda right: right[:48] + bytes(48)),
        ("r-order", "r is the group's order", _NOT_SIGNED, lambda right: _ORDER_P384.to_bytes(48, "big") + right[48:]),
        ("s-other", "the other s of the pair: both are right, the number is taken once", ACCEPTED, _other_s),
        ("der", "DER", _NOT_SIGNED, _der),
        ("der-padded", "DER, cut to the right length", _NOT_SIGNED, lambda right: _der(right)[:96]),
    )
    for name, what, expected, spell in spellings:
        yield _case(
            f"signature-es384-{name}", f"an ES384 signature: {what}", made, expected, _respelled(0, spell), "ecdsa"
        )


def _other_s(right: bytes) -> bytes:
    return right[:48] + (_ORDER_P384 - int.from_bytes(right[48:], "big")).to_bytes(48, "big")


def _der(right: bytes) -> bytes:
    numbers = b""
    for half in (right[:48], right[48:]):
        number = int.from_bytes(half, "big")
        body = number.to_bytes(number.bit_length() // 8 + 1, "big")
        numbers += b"\x02" + bytes([len(body)]) + body
    return b"\x30" + bytes([len(numbers)]) + numbers
