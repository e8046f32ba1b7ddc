"""JWS General JSON (RFC 7515 section 7.2.1), the one signed form of Comity: a closed, strict, thin codec."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from hub.core.authority import PublicKey
from hub.core.ids import Digest, KeyId, digest, key_id
from hub.core.refusals import refuse
from hub.core.signing import Signer
from hub.envelope.encoding import b64, unb64
from hub.envelope.strict_json import JsonObject, JsonValue, closed, dump, integer, items, text
from hub.envelope.strict_json import parse as parse_json
from hub.envelope.suites import verify
from hub.errors import Refused

TYP_MANIFEST: Final = "comity+jws"
TYP_HEAD: Final = "comity-head+jws"
TYP_TRUST_LIST: Final = "comity-tl+jws"
TYP_FRESHNESS: Final = "comity-fresh+jws"
TYP_KEY_STATEMENT: Final = "comity-key+jws"

SIGNATURES_MAX: Final = 32  # a trust list: 16 signers of two algorithms each; a manifest has two
PROTECTED_CACHED_MAX: Final = 4096  # protected headers: a burst of one sender repeats its own
ALGORITHM_PATTERN: Final = r"^[A-Za-z0-9+-]{1,32}$"
_ALGORITHM: Final = re.compile(ALGORITHM_PATTERN.replace("$", r"\Z"))


@dataclass(frozen=True, slots=True)
class JwsSignature:
    """One signature, not yet verified: ``signing_input`` are the bytes it is over, ``issued_s`` seconds since 1970."""

    algorithm: str
    key: KeyId
    certificate_digest: Digest | None
    issued_s: int
    signature: bytes
    signing_input: bytes


@dataclass(frozen=True, slots=True)
class Jws:
    """A parsed JWS. Nothing in it may be believed before ``verify_all``."""

    payload: bytes
    signatures: tuple[JwsSignature, ...]


def sign(payload: bytes, *, typ: str, signers: Sequence[Signer], issued_s: int) -> bytes:
    """The JWS bytes: ``payload`` signed by each of ``signers``, in order, at ``issued_s`` (seconds since 1970)."""
    encoded = b64(payload)
    signatures: list[JsonValue] = []
    for signer in signers:
        header: JsonObject = {"alg": signer.algorithm, "typ": typ, "kid": signer.key}
        if signer.certificate_digest is not None:
            header["x5t#S256"] = signer.certificate_digest
        header["iat"] = issued_s
        protected = b64(dump(header))
        signature = signer.sign(f"{protected}.{encoded}".encode("ascii"))
        signatures.append({"protected": protected, "signature": b64(signature)})
    return dump({"payload": encoded, "signatures": signatures})


def parse(data: bytes, *, typ: str, bytes_max: int) -> Jws:
    """Parse, and verify nothing. Raises ``Refused(jws-malformed)`` for anything else than a JWS of the profile and ``typ``.

    The profile: General JSON with payload and protected headers only; ``alg``, ``typ``, ``kid``, ``iat`` and, where the
    key has a certificate, ``x5t#S256``. No ``crit``, ``jku``, ``jwk``, ``x5u``, ``b64``, no unprotected header.
    """
    if len(data) > bytes_max:
        raise refuse("jws-malformed")
    try:
        outer = closed(parse_json(data), required=("payload", "signatures"))
        payload = text(outer, "payload")
        return Jws(
            payload=unb64(payload),
            signatures=tuple(
                _signature(each, payload, typ) for each in items(outer, "signatures", low=1, high=SIGNATURES_MAX)
            ),
        )
    except Refused as error:
        raise refuse("jws-malformed") from error


def _signature(value: JsonValue, payload: str, typ: str) -> JwsSignature:
    members = closed(value, required=("protected", "signature"))
    encoded = text(members, "protected")
    protected = _protected(encoded)
    if protected.typ != typ:
        raise refuse("jws-malformed")
    return JwsSignature(
        algorithm=protected.algorithm,
        key=protected.key,
        certificate_digest=protected.certificate_digest,
        issued_s=protected.issued_s,
        signature=unb64(text(members, "signature")),
        signing_input=f"{encoded}.{payload}".encode("ascii"),
    )


@dataclass(frozen=True, slots=True)
class _Protected:
    """A protected header: the same for all that a key signs within a second."""

    algorithm: str
    typ: str
    key: KeyId
    certificate_digest: Digest | None
    issued_s: int


@lru_cache(maxsize=PROTECTED_CACHED_MAX)
def _protected(encoded: str) -> _Protected:
    header = closed(parse_json(unb64(encoded)), required=("alg", "typ", "kid", "iat"), optional=("x5t#S256",))
    algorithm = text(header, "alg")
    if _ALGORITHM.match(algorithm) is None:
        raise refuse("jws-malformed")
    return _Protected(
        algorithm=algorithm,
        typ=text(header, "typ"),
        key=key_id(header["kid"]),
        certificate_digest=digest(header["x5t#S256"]) if "x5t#S256" in header else None,
        issued_s=integer(header, "iat", low=0),
    )


def verify_all(jws: Jws, keys: Mapping[KeyId, PublicKey], *, algorithms: tuple[str, ...]) -> None:
    """Check that exactly ``algorithms`` signed, in this order, each with a key of ``keys`` made for it.

    Raises ``Refused``: ``algorithms-mismatch``, ``key-unknown``, ``signature-invalid``.
    """
    if not algorithms or tuple(each.algorithm for each in jws.signatures) != algorithms:
        raise refuse("algorithms-mismatch")
    known = [keys.get(each.key) for each in jws.signatures]
    for each, key in zip(jws.signatures, known, strict=True):
        if key is None or key.algorithm != each.algorithm:
            raise refuse("key-unknown")
        verify(key.algorithm, key.public, each.signature, each.signing_input)
