"""Fields of the gateway's database under a local key."""

from __future__ import annotations

import pytest

from connectors.seal.storage import protect, unprotect
from hub.errors import VerificationFailed

KEY, NONCE, CONTEXT = b"k" * 32, b"n" * 12, b"inbox/content/1"


@pytest.mark.parametrize("plaintext", [b"", b"a", b"x" * 5000])
def test_a_field_comes_back(plaintext):
    """What was protected is read again with the same key and context; the nonce stands in front."""
    protected = protect(KEY, plaintext, CONTEXT, NONCE)
    assert protected[:12] == NONCE
    assert len(plaintext) + 28 == len(protected)
    assert plaintext == unprotect(KEY, protected, CONTEXT)


@pytest.mark.parametrize(
    ("key", "change", "context"),
    [
        (b"K" * 32, lambda field: field, CONTEXT),
        (KEY, lambda field: field, b"inbox/content/2"),
        (KEY, lambda field: field[:-1], CONTEXT),
        (KEY, lambda field: field + b"\x00", CONTEXT),
        (KEY, lambda field: bytes([field[0] ^ 1]) + field[1:], CONTEXT),
        (KEY, lambda field: field[:20] + bytes([field[20] ^ 1]) + field[21:], CONTEXT),
        (KEY, lambda field: field[:27], CONTEXT),
        (KEY, lambda field: field[:0], CONTEXT),
    ],
    ids=["key", "moved", "cut", "longer", "nonce", "byte", "too-short", "empty"],
)
def test_a_field_that_was_tampered_with_is_not_read(key, change, context):
    """Another key, another place, a changed or shortened field does not verify."""
    field = change(protect(KEY, b"secret", CONTEXT, NONCE))
    with pytest.raises(VerificationFailed) as caught:
        unprotect(key, field, context)
    assert caught.value.code == "storage-damaged"


@pytest.mark.parametrize(("key", "nonce"), [(b"k" * 16, NONCE), (KEY, b"n" * 8)])
def test_a_key_or_nonce_of_another_size_is_the_callers_fault(key, nonce):
    """AES-128 and short nonces are no choice."""
    with pytest.raises(ValueError, match="32 bytes"):
        protect(key, b"secret", CONTEXT, nonce)


def test_a_short_key_reads_nothing():
    """Reading asks for the key's size too."""
    with pytest.raises(ValueError, match="32 bytes"):
        unprotect(b"k" * 16, bytes(40), CONTEXT)
