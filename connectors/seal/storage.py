"""Protection of the gateway's database fields: AES-256-GCM under a local key (protocol section 7).

The gateway stores ciphertext and metadata only. ``context`` names the place of a field (table, column, row), so that
nobody who can write to the database can move a field to another row and have it read there.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.errors import VerificationFailed

STORAGE_KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12  # random: 2^32 fields under one key stay below a chance of 2^-32 (NIST SP 800-38D section 8.3)
_TAG_BYTES: Final = 16


def protect(key: bytes, plaintext: bytes, context: bytes, nonce: bytes) -> bytes:
    """``nonce``, then the ciphertext of ``plaintext`` with its tag. A ``nonce`` of 12 bytes is used once with a key.

    Raises ``ValueError`` for a key or nonce of another size: a fault of the caller's.
    """
    if len(key) != STORAGE_KEY_BYTES or len(nonce) != NONCE_BYTES:
        raise ValueError("a storage key has 32 bytes and a nonce 12")
    return nonce + AESGCM(key).encrypt(nonce, plaintext, context)


def unprotect(key: bytes, protected: bytes, context: bytes) -> bytes:
    """The plaintext of ``protect``'s result.

    Raises ``VerificationFailed(storage-damaged)`` for another key or context, a changed or a shortened field.
    """
    if len(key) != STORAGE_KEY_BYTES:
        raise ValueError("a storage key has 32 bytes")
    if len(protected) < NONCE_BYTES + _TAG_BYTES:
        raise _damaged()
    try:
        return AESGCM(key).decrypt(protected[:NONCE_BYTES], protected[NONCE_BYTES:], context)
    except InvalidTag as error:
        raise _damaged() from error


def _damaged() -> VerificationFailed:
    return VerificationFailed(
        "storage-damaged", "A field of the local database was changed, moved, or is under another key; restore it."
    )
