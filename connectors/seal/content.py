"""The content: salt, document and attachment keys, as one JSON text (schemas/envelope.md section 5.2).

``com`` of the manifest is the digest of exactly these bytes; the salt keeps anybody from guessing a short text from it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Final

from hub.core.limits import ATTACHMENT_BYTES_MAX, ATTACHMENTS_MAX, BODY_BYTES_MAX, FILE_NAME_BYTES_MAX
from hub.core.refusals import refuse
from hub.envelope.encoding import b64, unb64
from hub.envelope.strict_json import JsonObject, JsonValue, closed, dump, integer, items, parse, text
from hub.errors import Refused, UsageError

CONTENT_VERSION: Final = "comity-content/1"
SALT_BYTES: Final = 32
ATTACHMENT_KEY_BYTES: Final = 32

# RFC 6838 section 4.2, in lower case: one spelling of each type, without parameters.
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
# Marks that turn the reading direction make "annex[RLO]fdp.exe" look like a PDF; separators break lists of names.
_DECEPTIVE: Final = frozenset(
    "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
)
_PATH_LETTERS: Final = frozenset('/\\:*?"<>|')  # what a path or a drive is made of, on any system


@dataclass(frozen=True, slots=True)
class AttachmentContent:
    """What only the two sides know of an attachment. ``length`` is that of its plaintext, in bytes."""

    number: int
    name: str = field(repr=False)
    media_type: str
    length: int
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a message. ``event`` is the legal plane's document, a JSON object as bytes."""

    salt: bytes = field(repr=False)
    event: bytes = field(repr=False)
    attachments: tuple[AttachmentContent, ...] = ()


def encode_content(content: Content) -> bytes:
    """The bytes to commit to and to seal: compact JSON, so a document's own white space is not kept.

    Raises ``UsageError``: ``content-too-large`` (over ``BODY_BYTES_MAX``), ``content-malformed`` for whatever
    ``decode_content`` would refuse: nothing is sealed that could not be opened.
    """
    try:
        encoded = dump(
            {
                "v": CONTENT_VERSION,
                "salt": b64(content.salt),
                "event": parse(content.event),
                "attachments": [_attachment_json(each) for each in content.attachments],
            }
        )
        if len(encoded) > BODY_BYTES_MAX:
            raise UsageError("content-too-large", "The document is over 64 KiB; send large parts as attachments.")
        _checked(encoded)
    except (Refused, ValueError) as error:  # ValueError: a lone surrogate in a name
        raise UsageError(
            "content-malformed",
            "The document is no strict JSON object, or an attachment's name or type is not allowed.",
        ) from error
    return encoded


def decode_content(data: bytes) -> Content:
    """The content that ``data`` spells. Raises ``Refused(content-malformed)``."""
    salt, event, attachments = _checked(data)
    return Content(salt, dump(event), attachments)


def _checked(data: bytes) -> tuple[bytes, JsonObject, tuple[AttachmentContent, ...]]:
    """Salt, event and attachments, which are what they have to be."""
    if len(data) > BODY_BYTES_MAX:
        raise refuse("content-malformed")
    try:
        members = closed(parse(data), required=("v", "salt", "event", "attachments"))
        salt = unb64(text(members, "salt"))
        attachments = tuple(_attachment(each) for each in items(members, "attachments", high=ATTACHMENTS_MAX))
    except Refused as error:
        raise refuse("content-malformed") from error
    event = members["event"]
    numbers = [each.number for each in attachments]
    # Two names that a file system may hold for one would overwrite each other.
    names = {unicodedata.normalize("NFKC", each.name).casefold() for each in attachments}
    fits = (
        members["v"] == CONTENT_VERSION
        and len(salt) == SALT_BYTES
        and numbers == list(range(1, len(numbers) + 1))
        and len(names) == len(numbers)
    )
    if not fits or not isinstance(event, dict):
        raise refuse("content-malformed")
    return salt, event, attachments


def _attachment_json(attachment: AttachmentContent) -> JsonObject:
    return {
        "n": attachment.number,
        "name": attachment.name,
        "type": attachment.media_type,
        "length": attachment.length,
        "key": b64(attachment.key),
    }


def _attachment(value: JsonValue) -> AttachmentContent:
    members = closed(value, required=("n", "name", "type", "length", "key"))
    attachment = AttachmentContent(
        number=integer(members, "n", low=1, high=ATTACHMENTS_MAX),
        name=text(members, "name"),
        media_type=text(members, "type"),
        length=integer(members, "length", low=0, high=ATTACHMENT_BYTES_MAX),
        key=unb64(text(members, "key")),
    )
    known_type = _MEDIA_TYPE.fullmatch(attachment.media_type) is not None
    if not (known_type and _is_plain(attachment.name) and len(attachment.key) == ATTACHMENT_KEY_BYTES):
        raise refuse("content-malformed")
    return attachment


def _is_plain(name: str) -> bool:
    """Whether a name is that of a file in a folder and nothing else: no path, no control letter, no dots only."""
    foreign = any(
        letter in _PATH_LETTERS or letter in _DECEPTIVE or unicodedata.category(letter) == "Cc" for letter in name
    )
    trimmed = name.strip(" ") == name and not name.endswith(".")  # Windows drops both
    return 0 < len(name.encode()) <= FILE_NAME_BYTES_MAX and trimmed and not name.startswith(".") and not foreign
