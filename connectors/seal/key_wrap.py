"""Wrapping of the content key for one recipient: HPKE key encryption, and ECDH-ES with AES key wrap for suite S0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from connectors.seal.keys import (
    ECDH_X25519,
    ML_KEM_1024_P384,
    X_WING,
    DecryptionKey,
    load_public,
)
from hub.core.authority import PublicKey
from hub.core.ids import KeyId
from hub.core.refusals import refuse
from hub.errors import Refused
from hub.ports import Chance

CONTENT_ENCRYPTION: Final = "A256GCM"
CONTENT_KEY_BYTES: Final = 32
# draft-ietf-jose-hpke-encrypt section 6.1: Recipient_structure with no extra info.
_HPKE_INFO: Final = b"JOSE-HPKE rcpt\xff" + CONTENT_ENCRYPTION.encode() + b"\xff"


@dataclass(frozen=True, slots=True)
class _Shape:
    """Lengths on the wire."""

    encapsulation_bytes: int
    encrypted_key_bytes: int


SHAPES: Final[Mapping[str, _Shape]] = MappingProxyType(
    {
        X_WING: _Shape(1120, CONTENT_KEY_BYTES + 16),
        ML_KEM_1024_P384: _Shape(1665, CONTENT_KEY_BYTES + 16),
        ECDH_X25519: _Shape(32, CONTENT_KEY_BYTES + 8),
    }
)
"""The key wraps of the suites. ``encapsulation`` is HPKE's ``enc`` or the ephemeral X25519 key."""

_KEMS: Final[Mapping[str, KEM]] = MappingProxyType({X_WING: KEM.MLKEM768_X25519, ML_KEM_1024_P384: KEM.MLKEM1024_P384})


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """The content key for one recipient, as a JWE carries it."""

    algorithm: str
    kid: KeyId
    encapsulation: bytes
    encrypted_key: bytes


def wrap(recipient: PublicKey, content_key: bytes, *, chance: Chance) -> WrappedKey:
    """``content_key`` (32 bytes) for ``recipient``. HPKE draws its randomness in the library; ``chance`` serves ECDH-ES.

    Raises ``Refused(key-malformed)`` for a public key that is none, or of small order.
    """
    loaded = load_public(recipient.algorithm, recipient.public)
    shape = SHAPES[recipient.algorithm]
    if isinstance(loaded, X25519PublicKey):
        ephemeral = X25519PrivateKey.from_private_bytes(chance.bytes(32))
        try:
            wrapping_key = derive_key(ephemeral, loaded)
        except ValueError as error:
            raise Refused("key-malformed", "This is no public key of its algorithm.") from error
        encapsulation, encrypted = ephemeral.public_key().public_bytes_raw(), aes_key_wrap(wrapping_key, content_key)
    else:
        sealed = _hpke(recipient.algorithm).encrypt(content_key, loaded, info=_HPKE_INFO)
        encapsulation, encrypted = sealed[: shape.encapsulation_bytes], sealed[shape.encapsulation_bytes :]
    return WrappedKey(recipient.algorithm, recipient.id, encapsulation, encrypted)


def unwrap(wrapped: WrappedKey, key: DecryptionKey) -> bytes:
    """The content key. Raises ``Refused(cannot-decrypt)``, with one text for every reason."""
    if wrapped.algorithm != key.algorithm:
        raise refuse("cannot-decrypt")
    try:
        if isinstance(key.private, X25519PrivateKey):
            ephemeral = X25519PublicKey.from_public_bytes(wrapped.encapsulation)
            return aes_key_unwrap(derive_key(key.private, ephemeral), wrapped.encrypted_key)
        sealed = wrapped.encapsulation + wrapped.encrypted_key
        return _hpke(key.algorithm).decrypt(sealed, key.private, info=_HPKE_INFO)
    except (InvalidTag, InvalidUnwrap, ValueError) as error:
        raise refuse("cannot-decrypt") from error


def _hpke(algorithm: str) -> Suite:
    return Suite(_KEMS[algorithm], KDF.SHAKE256, AEAD.AES_256_GCM)


def derive_key(private: X25519PrivateKey, public: X25519PublicKey) -> bytes:
    """The 32-byte wrapping key of ECDH-ES+A256KW (RFC 7518 section 4.6.2: Concat KDF, SHA-256, no apu, no apv).

    Raises ``ValueError`` when the shared secret is zero: a public key of small order (RFC 7748 section 6.1).
    """
    name = ECDH_X25519.encode()
    party_info = bytes(4) * 2  # PartyUInfo and PartyVInfo: both empty, each with its length
    info = len(name).to_bytes(4, "big") + name + party_info + (256).to_bytes(4, "big")
    return ConcatKDFHash(hashes.SHA256(), 32, info).derive(private.exchange(public))
