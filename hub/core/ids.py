"""Ids and their strict grammars (DESIGN section 4). A parser returns the value or raises ``Refused``.

All binary values are written as base64url without padding (RFC 4648 section 5, RFC 7515 section 2),
but for case threads and clock ids, which people read aloud: those are lower-case hexadecimal.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from typing import Final, NewType

from hub.errors import Refused

AuthorityId = NewType("AuthorityId", str)  # xa-moj
MessageId = NewType("MessageId", str)  # UUIDv7 (RFC 9562 section 5.7), made by the author
ThreadId = NewType("ThreadId", str)  # 128 random bits: 32 hexadecimal digits
ClockId = NewType("ClockId", str)  # 64 random bits: 16 hexadecimal digits, unique in its thread
Digest = NewType("Digest", str)  # SHA-256, base64url: 43 characters
KeyId = NewType("KeyId", str)  # JWK thumbprint (RFC 7638), base64url: 43 characters

AUTHORITY_PATTERN: Final = r"^[a-z]{2}-[a-z0-9]{2,24}$"
MESSAGE_PATTERN: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
DERIVED_PATTERN: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
THREAD_PATTERN: Final = r"^[0-9a-f]{32}$"
CLOCK_PATTERN: Final = r"^[0-9a-f]{16}$"
# The last character holds 4 bits and 2 zeros: anything else is a second spelling of the same bytes.
DIGEST_PATTERN: Final = r"^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$"

_AUTHORITY: Final = re.compile(AUTHORITY_PATTERN.replace("$", r"\Z"))
_MESSAGE: Final = re.compile(MESSAGE_PATTERN.replace("$", r"\Z"))
_THREAD: Final = re.compile(THREAD_PATTERN.replace("$", r"\Z"))
_CLOCK: Final = re.compile(CLOCK_PATTERN.replace("$", r"\Z"))
_DIGEST: Final = re.compile(DIGEST_PATTERN.replace("$", r"\Z"))


def _matched(pattern: re.Pattern[str], text: object, noun: str) -> str:
    if not isinstance(text, str) or pattern.match(text) is None:
        raise Refused("id-malformed", f"This is not {noun}; see the grammar in schemas/envelope.md.")
    return text


def authority_id(text: object) -> AuthorityId:
    """Parse an authority id such as ``xa-moj``. Raises ``Refused``."""
    return AuthorityId(_matched(_AUTHORITY, text, "an authority id such as xa-moj"))


def message_id(text: object) -> MessageId:
    """Parse a message id (UUIDv7, lower case). Raises ``Refused``."""
    return MessageId(_matched(_MESSAGE, text, "a message id (UUIDv7, lower case)"))


def thread_id(text: object) -> ThreadId:
    """Parse a case thread (32 hexadecimal digits). Raises ``Refused``."""
    return ThreadId(_matched(_THREAD, text, "a case thread (32 hexadecimal digits)"))


def clock_id(text: object) -> ClockId:
    """Parse a clock id (16 hexadecimal digits). Raises ``Refused``."""
    return ClockId(_matched(_CLOCK, text, "a clock id (16 hexadecimal digits)"))


def digest(text: object) -> Digest:
    """Parse a SHA-256 digest or key thumbprint (43 base64url characters). Raises ``Refused``."""
    return Digest(_matched(_DIGEST, text, "a SHA-256 digest in base64url"))


def key_id(text: object) -> KeyId:
    """Parse a key id (JWK thumbprint, RFC 7638). Raises ``Refused``."""
    return KeyId(_matched(_DIGEST, text, "a key id (JWK thumbprint)"))


def sha256(data: bytes) -> Digest:
    """SHA-256 of ``data`` in base64url without padding."""
    return Digest(urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode())


def uuid7(time_ms: int, random: bytes) -> MessageId:
    """A UUIDv7 (RFC 9562 section 5.7) from milliseconds since 1970 and 10 random bytes."""
    number = (time_ms & (2**48 - 1)) << 80 | int.from_bytes(random[:10], "big")
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return MessageId(_grouped(number))


def derived_id(*cause: str | int) -> str:
    """A name-based UUIDv8 (RFC 9562 section 5.8) of the cause of a hub event: a repeated run makes the same id."""
    name = "\x00".join(str(part) for part in cause).encode()
    number = int.from_bytes(hashlib.sha256(b"comity/1 derived\x00" + name).digest()[:16], "big")
    number = number & ~(0xF << 76) | 0x8 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return _grouped(number)


def _grouped(number: int) -> str:
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def slot(name: str, count: int) -> int:
    """Shard or ledger partition of a name: SHA-256 modulo a count fixed at creation (protocol section 2)."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % count
