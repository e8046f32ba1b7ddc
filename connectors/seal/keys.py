"""Keys that open: a 32-byte seed each, expanded as its algorithm says (schemas/envelope.md section 5.1).

HPKE's hybrid keys have no serialisation in ``cryptography``, so the seed is what is stored and everything else follows
from it (draft-ietf-jose-hpke-pq-pqt; draft-irtf-cfrg-concrete-hybrid-kems).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Final, TypeAlias

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mlkem import (
    MLKEM768PrivateKey,
    MLKEM768PublicKey,
    MLKEM1024PrivateKey,
    MLKEM1024PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    MLKEM1024P384PrivateKey,
    MLKEM1024P384PublicKey,
)

from hub.core.authority import KeyUse, PublicKey
from hub.core.ids import KeyId
from hub.envelope.encoding import b64, unb64
from hub.envelope.strict_json import closed, dump, parse, text
from hub.envelope.suites import thumbprint
from hub.errors import Refused, UsageError

X_WING: Final = "HPKE-10-KE"
ML_KEM_1024_P384: Final = "HPKE-12-KE"
ECDH_X25519: Final = "ECDH-ES+A256KW"

SEED_BYTES: Final = 32
KEY_VERSION: Final = "comity-decryption-key/1"
_ML_KEM_SEED_BYTES: Final = 64  # FIPS 203: d and z
_ML_KEM_768_PUBLIC_BYTES: Final = 1184
_ML_KEM_1024_PUBLIC_BYTES: Final = 1568
_X25519_BYTES: Final = 32
_P384_BYTES: Final = 48
_LOADED_MAX: Final = 256  # public keys kept loaded: an authority seals to a few dozen others

PrivateKey: TypeAlias = MLKEM768X25519PrivateKey | MLKEM1024P384PrivateKey | X25519PrivateKey
LoadedPublicKey: TypeAlias = MLKEM768X25519PublicKey | MLKEM1024P384PublicKey | X25519PublicKey


@dataclass(frozen=True, slots=True)
class DecryptionKey:
    """One private key of an authority. Its text form shows the key's id, never the key."""

    kid: KeyId
    algorithm: str
    use: KeyUse
    seed: bytes = field(repr=False)
    public: bytes = field(repr=False)  # raw: see hub.envelope.suites
    private: PrivateKey = field(repr=False, compare=False)


def _x_wing(seed: bytes) -> tuple[PrivateKey, bytes]:
    expanded = hashlib.shake_256(seed).digest(_ML_KEM_SEED_BYTES + _X25519_BYTES)
    lattice = MLKEM768PrivateKey.from_seed_bytes(expanded[:_ML_KEM_SEED_BYTES])
    curve = X25519PrivateKey.from_private_bytes(expanded[_ML_KEM_SEED_BYTES:])
    public = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
    return MLKEM768X25519PrivateKey(lattice, curve), public


def _ml_kem_1024_p384(seed: bytes) -> tuple[PrivateKey, bytes]:
    expanded = hashlib.shake_256(seed).digest(_ML_KEM_SEED_BYTES + _P384_BYTES)
    lattice = MLKEM1024PrivateKey.from_seed_bytes(expanded[:_ML_KEM_SEED_BYTES])
    # The first 48 bytes are the scalar unless they are 0 or not below the order: a chance below 2^-190, a ValueError.
    curve = ec.derive_private_key(int.from_bytes(expanded[_ML_KEM_SEED_BYTES:], "big"), ec.SECP384R1())
    point = curve.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return MLKEM1024P384PrivateKey(lattice, curve), lattice.public_key().public_bytes_raw() + point


def _x25519(seed: bytes) -> tuple[PrivateKey, bytes]:
    private = X25519PrivateKey.from_private_bytes(seed)
    return private, private.public_key().public_bytes_raw()


_EXPANSIONS: Final[Mapping[str, Callable[[bytes], tuple[PrivateKey, bytes]]]] = MappingProxyType(
    {X_WING: _x_wing, ML_KEM_1024_P384: _ml_kem_1024_p384, ECDH_X25519: _x25519}
)


def generate_decryption_key(algorithm: str, use: KeyUse, *, seed: bytes) -> DecryptionKey:
    """The key that ``seed``, 32 random bytes, makes: the same seed, the same key.

    Raises ``UsageError``: ``algorithm-unknown``, ``key-unsuitable`` (a seed of another length).
    """
    expand = _EXPANSIONS.get(algorithm)
    if expand is None:
        raise UsageError(
            "algorithm-unknown", f"No key can be made for this algorithm; choose {', '.join(_EXPANSIONS)}."
        )
    if len(seed) != SEED_BYTES:
        raise UsageError("key-unsuitable", f"A key's seed has {SEED_BYTES} bytes.")
    private, raw = expand(seed)
    return DecryptionKey(thumbprint(algorithm, raw), algorithm, use, seed, raw, private)


def public(key: DecryptionKey) -> PublicKey:
    """What others seal to."""
    return PublicKey(id=key.kid, algorithm=key.algorithm, public=key.public)


def encode_decryption_key(key: DecryptionKey) -> bytes:
    """The key as JSON, in clear: whoever stores it sets mode 0600 or protects it (``connectors.seal.storage``)."""
    return dump({"v": KEY_VERSION, "alg": key.algorithm, "use": key.use.value, "kid": key.kid, "seed": b64(key.seed)})


def decode_decryption_key(data: bytes) -> DecryptionKey:
    """The key of ``encode_decryption_key``'s bytes. Raises ``UsageError``: ``key-unreadable``, ``algorithm-unknown``."""
    try:
        members = closed(parse(data), required=("v", "alg", "use", "kid", "seed"))
        use, seed = KeyUse(text(members, "use")), unb64(text(members, "seed"))
        algorithm = text(members, "alg")
    except (Refused, ValueError) as error:
        raise _unreadable() from error
    if members["v"] != KEY_VERSION or len(seed) != SEED_BYTES:
        raise _unreadable()
    key = generate_decryption_key(algorithm, use, seed=seed)
    if key.kid != members["kid"]:
        raise _unreadable()
    return key


def _unreadable() -> UsageError:
    return UsageError("key-unreadable", "This is no decryption key file of comity, or it was changed.")


def load_public(algorithm: str, raw: bytes) -> LoadedPublicKey:
    """The public key to wrap for. Raises ``Refused(key-malformed)``: also for ML-KEM coefficients out of range."""
    try:
        return _loaded(algorithm, raw)
    except ValueError as error:
        raise Refused("key-malformed", "This is no public key of its algorithm.") from error


@lru_cache(maxsize=_LOADED_MAX)
def _loaded(algorithm: str, raw: bytes) -> LoadedPublicKey:
    if algorithm == X_WING:
        lattice, curve = raw[:_ML_KEM_768_PUBLIC_BYTES], raw[_ML_KEM_768_PUBLIC_BYTES:]
        return MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(lattice), X25519PublicKey.from_public_bytes(curve)
        )
    if algorithm == ML_KEM_1024_P384:
        lattice, curve = raw[:_ML_KEM_1024_PUBLIC_BYTES], raw[_ML_KEM_1024_PUBLIC_BYTES:]
        return MLKEM1024P384PublicKey(
            MLKEM1024PublicKey.from_public_bytes(lattice),
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), curve),
        )
    if algorithm == ECDH_X25519:
        return X25519PublicKey.from_public_bytes(raw)
    raise ValueError("no algorithm of the registry")
