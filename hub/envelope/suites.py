"""The closed registry of suites and algorithms, and how a public key is written (schemas/envelope.md sections 4 and 6).

Which algorithm a key is for comes from the trust list, never from a message. Raw public forms: Ed25519 and X25519 32
bytes; ML-DSA and the HPKE keys as their standards give them; ES* the uncompressed point (4, x, y); PS256 the DER
SubjectPublicKeyInfo, since an RSA key has no raw form. Signatures are in JOSE's form: ES* is r and s side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey, MLDSA87PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from hub.core.authority import PublicKey
from hub.core.ids import Digest, KeyId, key_id, sha256
from hub.core.refusals import refuse
from hub.core.times import parse_time
from hub.envelope.encoding import b64, unb64
from hub.envelope.strict_json import JsonObject, JsonValue, closed, dump, text
from hub.errors import Refused

RSA_BITS_MIN: Final = 3072  # BSI TR-02102-1: 3000 bits and more after 2023
RSA_BITS_MAX: Final = 8192  # a larger key is a way to keep the hub busy
PUBLIC_KEYS_CACHED_MAX: Final = 4096  # loaded keys: an ML-DSA key takes 13 us to load


@dataclass(frozen=True, slots=True)
class Suite:
    """One row of the registry. ``signatures`` in the order of the JWS; ``content`` is the JWE's ``enc``."""

    id: str
    signatures: tuple[str, ...]
    key_wrap: str
    content: str
    not_before_ms: int
    not_after_ms: int

    def in_force(self, time_ms: int) -> bool:
        """Whether a message may use the suite at ``time_ms``."""
        return self.not_before_ms <= time_ms <= self.not_after_ms


def _suite(name: str, signatures: tuple[str, ...], key_wrap: str, *, until: str) -> Suite:
    return Suite(name, signatures, key_wrap, "A256GCM", parse_time("2025-01-01T00:00:00Z"), parse_time(until))


SUITES: Final[Mapping[str, Suite]] = MappingProxyType(
    {
        "S1": _suite("S1", ("Ed25519", "ML-DSA-65"), "HPKE-10-KE", until="2045-12-31T23:59:59Z"),
        "S2": _suite("S2", ("ES384", "ML-DSA-87"), "HPKE-12-KE", until="2045-12-31T23:59:59Z"),
        # Not post-quantum: the EU's roadmap wants high-risk uses moved by the end of 2030.
        "S0": _suite("S0", ("Ed25519",), "ECDH-ES+A256KW", until="2030-12-31T23:59:59Z"),
    }
)
"""The registry. S0 needs a dated waiver in the trust list besides."""


class _Verifier(Protocol):
    def __call__(self, signature: bytes, message: bytes, /) -> None: ...


@dataclass(frozen=True, slots=True)
class _Form:
    """How an algorithm's public key looks: JWK key type and curve, length of the raw form (None: DER)."""

    kty: str
    curve: str | None
    public_bytes: int | None
    verifier: Callable[[bytes], _Verifier] | None  # None: a key for encryption


def _ed25519(public: bytes) -> _Verifier:
    return Ed25519PublicKey.from_public_bytes(public).verify


def _ml_dsa_65(public: bytes) -> _Verifier:
    return MLDSA65PublicKey.from_public_bytes(public).verify


def _ml_dsa_87(public: bytes) -> _Verifier:
    return MLDSA87PublicKey.from_public_bytes(public).verify


def _ecdsa(public: bytes, curve: ec.EllipticCurve, digest: hashes.HashAlgorithm) -> _Verifier:
    key = ec.EllipticCurvePublicKey.from_encoded_point(curve, public)
    size = (curve.key_size + 7) // 8

    def verify_p1363(signature: bytes, message: bytes) -> None:
        # RFC 7518 section 3.4: exactly twice the coordinate's size, or there are many spellings of one signature.
        if len(signature) != 2 * size:
            raise InvalidSignature
        r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(digest))

    return verify_p1363


def _es256(public: bytes) -> _Verifier:
    return _ecdsa(public, ec.SECP256R1(), hashes.SHA256())


def _es384(public: bytes) -> _Verifier:
    return _ecdsa(public, ec.SECP384R1(), hashes.SHA384())


def _rsa(public: bytes) -> rsa.RSAPublicKey:
    try:
        key = serialization.load_der_public_key(public)
    except UnsupportedAlgorithm as error:
        raise ValueError("a key of an unknown kind") from error
    if not isinstance(key, rsa.RSAPublicKey) or not RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX:
        raise ValueError("not an RSA key of a size in use")
    return key


def _ps256(public: bytes) -> _Verifier:
    key = _rsa(public)
    # RFC 7518 section 3.5: MGF1 with SHA-256, salt as long as the digest.
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)

    def verify_pss(signature: bytes, message: bytes) -> None:
        key.verify(signature, message, pss, hashes.SHA256())

    return verify_pss


_FORMS: Final[Mapping[str, _Form]] = MappingProxyType(
    {
        "Ed25519": _Form("OKP", "Ed25519", 32, _ed25519),  # RFC 9864
        "ML-DSA-65": _Form("AKP", None, 1952, _ml_dsa_65),  # RFC 9964, empty context
        "ML-DSA-87": _Form("AKP", None, 2592, _ml_dsa_87),
        "ES256": _Form("EC", "P-256", 65, _es256),
        "ES384": _Form("EC", "P-384", 97, _es384),
        "PS256": _Form("RSA", None, None, _ps256),
        "HPKE-10-KE": _Form("AKP", None, 1216, None),  # X-Wing: ML-KEM-768 (1,184), then X25519 (32)
        "HPKE-12-KE": _Form("AKP", None, 1665, None),  # ML-KEM-1024 (1,568), then a P-384 point (97)
        "ECDH-ES+A256KW": _Form("OKP", "X25519", 32, None),
    }
)


def _form(algorithm: str) -> _Form:
    form = _FORMS.get(algorithm)
    if form is None:
        raise Refused("algorithm-unknown", "The algorithm is not in the registry of comity/1.")
    return form


@lru_cache(maxsize=PUBLIC_KEYS_CACHED_MAX)
def _verifier(algorithm: str, public: bytes) -> _Verifier:
    form = _form(algorithm)
    if form.verifier is None or form.public_bytes not in {None, len(public)}:
        raise ValueError("no signing key of this algorithm")
    return form.verifier(public)


def verify(algorithm: str, public: bytes, signature: bytes, message: bytes) -> None:
    """Check one signature.

    Raises ``Refused(signature-invalid)``, also for a public key that is none, and ``Refused(algorithm-unknown)``.
    """
    try:
        _verifier(algorithm, public)(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise refuse("signature-invalid") from error


def _key_members(form: _Form, algorithm: str, public: bytes) -> dict[str, str]:
    """The members that make up the key: those of its thumbprint (RFC 7638 section 3.2), in the thumbprint's order."""
    if form.public_bytes not in {None, len(public)}:
        raise Refused("key-malformed", f"This is no public key for {algorithm}.")
    if form.kty == "AKP":  # RFC 9964 section 6
        return {"alg": algorithm, "kty": "AKP", "pub": b64(public)}
    if form.kty == "EC":
        size = (len(public) - 1) // 2
        return {"crv": form.curve or "", "kty": "EC", "x": b64(public[1 : 1 + size]), "y": b64(public[1 + size :])}
    if form.kty == "RSA":
        numbers = _rsa_numbers(public)
        return {"e": _unsigned(numbers.e), "kty": "RSA", "n": _unsigned(numbers.n)}
    return {"crv": form.curve or "", "kty": form.kty, "x": b64(public)}  # RFC 8037


def _rsa_numbers(public: bytes) -> rsa.RSAPublicNumbers:
    try:
        return _rsa(public).public_numbers()
    except ValueError as error:
        raise Refused("key-malformed", "This is no public key for PS256.") from error


def _unsigned(number: int) -> str:
    return b64(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def thumbprint(algorithm: str, public: bytes) -> KeyId:
    """The key's JWK thumbprint (RFC 7638; RFC 9964 for AKP keys).

    Raises ``Refused``: ``algorithm-unknown``, ``key-malformed``.
    """
    return KeyId(sha256(dump({**_key_members(_form(algorithm), algorithm, public)})))


def public_jwk(algorithm: str, public: bytes) -> dict[str, str]:
    """The public key as a JWK with ``alg`` and ``kid``. Raises ``Refused``: ``algorithm-unknown``, ``key-malformed``."""
    members = _key_members(_form(algorithm), algorithm, public)
    return {**members, "alg": algorithm, "kid": KeyId(sha256(dump({**members})))}


def public_from_jwk(jwk: JsonValue) -> PublicKey:
    """The key that a JWK of exactly ``public_jwk``'s members spells.

    Raises ``Refused``: ``field-*``, ``base64-malformed``, ``algorithm-unknown``, ``key-malformed`` (also when the
    thumbprint is not ``kid``, or another spelling of the same key was used).
    """
    if not isinstance(jwk, dict) or not isinstance(jwk.get("alg"), str):
        raise Refused("field-missing", "The key is no JWK object with a member alg.")
    algorithm = str(jwk["alg"])
    public = _public_bytes(_form(algorithm), jwk)
    if public_jwk(algorithm, public) != jwk:
        raise Refused("key-malformed", "The key's id is not its thumbprint, or its members are not those of its kind.")
    return PublicKey(id=key_id(jwk["kid"]), algorithm=algorithm, public=public)


def _public_bytes(form: _Form, jwk: JsonObject) -> bytes:
    if form.kty == "AKP":
        return unb64(text(closed(jwk, required=("kty", "alg", "kid", "pub")), "pub"))
    if form.kty == "EC":
        members = closed(jwk, required=("kty", "alg", "kid", "crv", "x", "y"))
        return b"\x04" + unb64(text(members, "x")) + unb64(text(members, "y"))
    if form.kty == "RSA":
        members = closed(jwk, required=("kty", "alg", "kid", "e", "n"))
        e, n = (int.from_bytes(unb64(text(members, name)), "big") for name in ("e", "n"))
        return _rsa_der(e, n)
    return unb64(text(closed(jwk, required=("kty", "alg", "kid", "crv", "x")), "x"))


def _rsa_der(e: int, n: int) -> bytes:
    if n.bit_length() > RSA_BITS_MAX:
        raise Refused("key-malformed", "This is no public key for PS256.")
    try:
        key = rsa.RSAPublicNumbers(e, n).public_key()
    except ValueError as error:
        raise Refused("key-malformed", "This is no public key for PS256.") from error
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@lru_cache(maxsize=PUBLIC_KEYS_CACHED_MAX)
def certificate_digest(certificate_der: bytes) -> Digest:
    """``x5t#S256`` of a certificate: SHA-256 of its DER bytes (RFC 7515 section 4.1.8)."""
    return sha256(certificate_der)
