"""Base64url without padding (RFC 4648 section 5, RFC 7515 section 2): one spelling for each value."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

from hub.errors import Refused


def b64(data: bytes) -> str:
    """``data`` in base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64(text: str) -> bytes:
    """The bytes of a base64url text.

    Raises ``Refused(base64-malformed)`` for padding, white space, a foreign character, an impossible length and unused
    bits that are not zero: whatever ``b64`` would not have written, so that no value has two spellings.
    """
    try:
        data = urlsafe_b64decode(text + "==")
        canonical = b64(data) == text
    except ValueError:  # binascii.Error (length), and a character outside ASCII
        canonical = False
    if not canonical:
        raise Refused("base64-malformed", "This is not base64url without padding (RFC 7515 section 2).")
    return data
