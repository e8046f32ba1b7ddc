"""JWS General JSON: what we sign others verify, and nothing but the profile is parsed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jwcrypto import jwk  # type: ignore[import-untyped]  # an oracle without stubs
from jwcrypto import jws as oracle

from hub.core.ids import Digest, KeyId, sha256
from hub.envelope import jws, strict_json, suites
from hub.envelope.encoding import b64, unb64
from hub.envelope.signers import SoftwareSigner, generate_signer
from hub.errors import Refused

S1 = ("Ed25519", "ML-DSA-65")
BYTES_MAX = 16 * 1024
PAYLOAD = b'{"v":"comity/1"}'
PINNED = generate_signer("Ed25519")
SAMPLE = jws.sign(PAYLOAD, typ=jws.TYP_MANIFEST, signers=[PINNED], issued_s=7)


@dataclass(frozen=True)
class Certified:
    """A signer whose key has a certificate. Implements ``hub.ports.Signer``."""

    signer: SoftwareSigner
    certificate_digest: str

    @property
    def key(self) -> KeyId:
        """The signer's key id."""
        return self.signer.key

    @property
    def algorithm(self) -> str:
        """The signer's algorithm."""
        return self.signer.algorithm

    def sign(self, message: bytes) -> bytes:
        """The signer's signature."""
        return self.signer.sign(message)


@pytest.fixture(scope="module")
def hybrid() -> list[SoftwareSigner]:
    """The two signers of suite S1."""
    return [generate_signer(algorithm) for algorithm in S1]


@pytest.fixture(scope="module")
def signed(hybrid: list[SoftwareSigner]) -> bytes:
    """A payload signed by both."""
    return jws.sign(PAYLOAD, typ=jws.TYP_MANIFEST, signers=hybrid, issued_s=1_795_597_200)


def parse(data: bytes) -> jws.Jws:
    """Parse as a manifest's JWS."""
    return jws.parse(data, typ=jws.TYP_MANIFEST, bytes_max=BYTES_MAX)


def check(data: bytes, signers: list[SoftwareSigner], algorithms: tuple[str, ...] = S1) -> bytes:
    """Parse, verify with the signers' keys, give the payload."""
    parsed = parse(data)
    jws.verify_all(parsed, {each.key: each.public for each in signers}, algorithms=algorithms)
    return parsed.payload


def test_round_trip(hybrid: list[SoftwareSigner], signed: bytes) -> None:
    """A JWS gives back its payload and, for each signature, what its protected header says."""
    assert check(signed, hybrid) == PAYLOAD
    parsed = parse(signed)
    assert [(each.algorithm, each.key, each.certificate_digest, each.issued_s) for each in parsed.signatures] == [
        (each.algorithm, each.key, None, 1_795_597_200) for each in hybrid
    ]
    assert len(signed) < 5_200


def test_exact_form() -> None:
    """The bytes are compact General JSON, the header's members in the order of the specification."""
    signer = Certified(PINNED, sha256(b"certificate"))
    data = jws.sign(b"{}", typ=jws.TYP_HEAD, signers=[signer], issued_s=7)
    outer = json.loads(data)
    (signature,) = outer["signatures"]
    header = f'{{"alg":"Ed25519","typ":"comity-head+jws","kid":"{PINNED.key}","x5t#S256":"{sha256(b"certificate")}","iat":7}}'
    assert unb64(signature["protected"]) == header.encode()
    assert outer["payload"] == "e30"
    assert data == strict_json.dump(outer)
    parsed = jws.parse(data, typ=jws.TYP_HEAD, bytes_max=BYTES_MAX)
    assert parsed.signatures[0].certificate_digest == Digest(sha256(b"certificate"))


@pytest.mark.parametrize("algorithm", ["Ed25519", "ML-DSA-65", "ML-DSA-87", "ES256", "ES384", "PS256"])
def test_another_library_verifies(algorithm: str) -> None:
    """Jwcrypto verifies our signature in every algorithm, and refuses it under another key."""
    signer, other = generate_signer(algorithm), generate_signer(algorithm)
    text = jws.sign(PAYLOAD, typ=jws.TYP_MANIFEST, signers=[signer], issued_s=7).decode()
    token = oracle.JWS()
    token.deserialize(text)
    token.verify(jwk.JWK(**suites.public_jwk(algorithm, signer.public.public)))
    assert token.payload == PAYLOAD
    with pytest.raises(oracle.InvalidJWSSignature):
        token.verify(jwk.JWK(**suites.public_jwk(algorithm, other.public.public)))


def test_another_library_verifies_both(hybrid: list[SoftwareSigner], signed: bytes) -> None:
    """Jwcrypto verifies each of the two signatures of suite S1."""
    for signer in hybrid:
        token = oracle.JWS()
        token.deserialize(signed.decode())
        token.verify(jwk.JWK(**suites.public_jwk(signer.algorithm, signer.public.public)))
        assert token.payload == PAYLOAD


def test_verify_all_wants_all_in_order(hybrid: list[SoftwareSigner], signed: bytes) -> None:
    """A missing, an additional, a swapped algorithm, or none at all, is a mismatch."""
    for algorithms in ((), S1[:1], S1[1:], S1[::-1], (*S1, "ES384"), ("Ed25519", "ML-DSA-87"), ("none", "ML-DSA-65")):
        with pytest.raises(Refused, match="algorithms-mismatch"):
            check(signed, hybrid, algorithms)


def test_stripped_signature(hybrid: list[SoftwareSigner], signed: bytes) -> None:
    """Attack: the ML-DSA signature is taken away, or one signature is given twice."""
    outer = json.loads(signed)
    first, second = outer["signatures"]
    for signatures in ([first], [second], [first, first], [second, first], [first, second, second]):
        with pytest.raises(Refused, match="algorithms-mismatch"):
            check(strict_json.dump({**outer, "signatures": signatures}), hybrid)


def test_unknown_keys(hybrid: list[SoftwareSigner], signed: bytes) -> None:
    """A key that is not in the record, or is there for another algorithm, is unknown."""
    parsed = parse(signed)
    ed25519, ml_dsa = (each.public for each in hybrid)
    for keys in ({}, {ed25519.id: ed25519}, {ed25519.id: ml_dsa, ml_dsa.id: ed25519}):
        with pytest.raises(Refused, match="key-unknown"):
            jws.verify_all(parsed, keys, algorithms=S1)


def test_signature_of_another_payload(hybrid: list[SoftwareSigner], signed: bytes) -> None:
    """A payload under the signatures of another is refused."""
    outer = json.loads(signed)
    with pytest.raises(Refused, match="signature-invalid"):
        check(strict_json.dump({**outer, "payload": b64(b'{"v":"comity/2"}')}), hybrid)


def test_typ_keeps_kinds_apart(signed: bytes) -> None:
    """A signed thing of one kind does not pass as another."""
    for typ in (jws.TYP_HEAD, jws.TYP_TRUST_LIST, jws.TYP_FRESHNESS, jws.TYP_KEY_STATEMENT):
        with pytest.raises(Refused, match="jws-malformed"):
            jws.parse(signed, typ=typ, bytes_max=BYTES_MAX)


def test_size_is_bounded(signed: bytes) -> None:
    """A JWS of the greatest size passes, one byte more does not; too many signatures do not."""
    jws.parse(signed, typ=jws.TYP_MANIFEST, bytes_max=len(signed))
    with pytest.raises(Refused, match="jws-malformed"):
        jws.parse(signed, typ=jws.TYP_MANIFEST, bytes_max=len(signed) - 1)
    crowd = jws.sign(b"", typ=jws.TYP_MANIFEST, signers=[PINNED] * (jws.SIGNATURES_MAX + 1), issued_s=0)
    with pytest.raises(Refused, match="jws-malformed"):
        parse(crowd)


HEADER: dict[str, Any] = {"alg": "Ed25519", "typ": "comity+jws", "kid": PINNED.key, "iat": 7}
BAD_HEADERS: dict[str, Any] = {
    "no object": [],
    **{f"no {name}": {key: value for key, value in HEADER.items() if key != name} for name in HEADER},
    **{
        name: {**HEADER, name: value}
        for name, value in {
            "crit": ["exp"],
            "jku": "https://xa.example",
            "jwk": {"kty": "OKP"},
            "x5u": "https://xa.example",
            "x5c": ["AA"],
            "x5t": "AA",
            "b64": False,
            "cty": "json",
            "etsiU": [],
        }.items()
    },
    "typ of another case": {**HEADER, "typ": "COMITY+JWS"},
    "typ null": {**HEADER, "typ": None},
    "alg a number": {**HEADER, "alg": 1},
    "alg empty": {**HEADER, "alg": ""},
    "alg long": {**HEADER, "alg": "A" * 33},
    "alg with a line end": {**HEADER, "alg": "Ed25519\n"},
    "kid short": {**HEADER, "kid": "AA"},
    "kid null": {**HEADER, "kid": None},
    "iat a string": {**HEADER, "iat": "7"},
    "iat negative": {**HEADER, "iat": -1},
    "iat true": {**HEADER, "iat": True},
    "x5t#S256 null": {**HEADER, "x5t#S256": None},
    "x5t#S256 short": {**HEADER, "x5t#S256": "AA"},
}


def with_header(header: bytes) -> bytes:
    """A correctly signed JWS with this protected header."""
    protected = b64(header)
    signature = b64(PINNED.sign(f"{protected}.{b64(PAYLOAD)}".encode()))
    return strict_json.dump({"payload": b64(PAYLOAD), "signatures": [{"protected": protected, "signature": signature}]})


def test_the_unchanged_header_passes() -> None:
    """The header that the refused ones are made from is good."""
    assert check(with_header(strict_json.dump(HEADER)), [PINNED], ("Ed25519",)) == PAYLOAD


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_headers_refused(name: str) -> None:
    """A header with a missing, foreign or misspelt member is refused, although its signature is correct."""
    with pytest.raises(Refused, match="jws-malformed"):
        parse(with_header(strict_json.dump(BAD_HEADERS[name])))


@pytest.mark.parametrize("header", [b"", b"null", b"{}", b"{", b'{"alg":"Ed25519","alg":"none"}'])
def test_header_bytes_refused(header: bytes) -> None:
    """A header that is no strict JSON is refused."""
    with pytest.raises(Refused, match="jws-malformed"):
        parse(with_header(header))


@pytest.mark.parametrize("algorithm", ["none", "HS256", "EdDSA", "RS256"])
def test_foreign_algorithm(algorithm: str) -> None:
    """Attack: an algorithm of the sender's choice parses, and never matches what the trust list demands."""
    data = with_header(strict_json.dump({**HEADER, "alg": algorithm}))
    with pytest.raises(Refused, match="algorithms-mismatch"):
        check(data, [PINNED], ("Ed25519",))


@pytest.mark.parametrize(
    "change",
    [
        {"payload": None},
        {"payload": "e3 0"},
        {"payload": "e30="},
        {"payload": {}},
        {"signatures": []},
        {"signatures": None},
        {"signatures": [None]},
        {"signatures": [{"protected": "e30"}]},
        {"signatures": [{"signature": "AA"}]},
        {"signatures": [{"protected": 1, "signature": "AA"}]},
        {"header": {}},
        {"protected": "e30", "signature": "AA"},
    ],
    ids=repr,
)
def test_outer_forms_refused(signed: bytes, change: strict_json.JsonObject) -> None:
    """Another shape than payload and signatures is refused: flattened, detached, with unprotected headers."""
    outer = json.loads(signed)
    with pytest.raises(Refused, match="jws-malformed"):
        parse(strict_json.dump({**outer, **change}))


def test_unprotected_header_refused(signed: bytes) -> None:
    """Nothing outside the signature is taken along."""
    outer = json.loads(signed)
    for name in ("header", "etsiU"):
        signatures: list[Any] = [{**each, name: {}} for each in outer["signatures"]]
        with pytest.raises(Refused, match="jws-malformed"):
            parse(strict_json.dump({**outer, "signatures": signatures}))


def test_malformed_signature_values(signed: bytes) -> None:
    """A signature in another base64, or none, is malformed; one of wrong length is invalid."""
    outer = json.loads(signed)
    first, second = outer["signatures"]
    for value in (first["signature"] + "=", "+" + first["signature"][1:], None):
        with pytest.raises(Refused, match="jws-malformed"):
            parse(strict_json.dump({**outer, "signatures": [{**first, "signature": value}, second]}))


@given(data=st.binary(max_size=60))
@settings(max_examples=80)
def test_any_bytes_give_a_jws_or_a_refusal(data: bytes) -> None:
    """No bytes make the parser fail otherwise than by its refusal."""
    with pytest.raises(Refused, match="jws-malformed"):
        parse(data)


def test_every_flipped_bit_is_refused() -> None:
    """A JWS in which any single bit is another never verifies."""
    assert check(SAMPLE, [PINNED], ("Ed25519",)) == PAYLOAD
    for position, bit in product(range(len(SAMPLE)), range(8)):
        data = bytearray(SAMPLE)
        data[position] ^= 1 << bit
        with pytest.raises(Refused):
            check(bytes(data), [PINNED], ("Ed25519",))


@given(position=st.integers(min_value=0), bit=st.integers(0, 7))
@settings(max_examples=60)
def test_a_flipped_bit_is_refused(hybrid: list[SoftwareSigner], signed: bytes, position: int, bit: int) -> None:
    """The same with the signatures of suite S1, which differ from run to run."""
    data = bytearray(signed)
    data[position % len(data)] ^= 1 << bit
    with pytest.raises(Refused):
        check(bytes(data), hybrid)


@given(cut=st.integers(min_value=0))
@settings(max_examples=50)
def test_a_cut_jws_is_refused(cut: int) -> None:
    """A JWS that lost its end is malformed."""
    with pytest.raises(Refused, match="jws-malformed"):
        parse(SAMPLE[: cut % len(SAMPLE)])
