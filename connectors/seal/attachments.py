"""Attachments: Cobblestone-256 (C2SP chunked-encryption) over zero-padded plaintext, in constant memory.

HKDF-SHA-512 and AES-256-GCM in chunks of 16 KiB with key commitment: every chunk is verified before it is let out, and
a cut, a swap or another message's object does not verify. Each attachment has its own random key, inside the content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Self

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from connectors.seal.content import AttachmentContent
from connectors.seal.padding import padme
from hub.core.ids import AuthorityId, Digest, MessageId
from hub.core.limits import ATTACHMENT_BYTES_MAX
from hub.core.manifest import AttachmentReference
from hub.core.refusals import refuse
from hub.envelope.encoding import b64
from hub.errors import UsageError
from hub.ports import Chance

ENCRYPTION: Final = "cobblestone-256"
_CHUNK_BYTES: Final = 16 * 1024  # of plaintext, each with its tag
_TAG_BYTES: Final = 16
_HEADER_BYTES: Final = 56  # salt of 24, commitment of 32
_OBJECT_NAME_BYTES: Final = 16
_ZEROS: Final = bytes(64 * 1024)  # padding comes in pieces of this size: up to 32 MiB are never held at once


@dataclass(frozen=True, slots=True)
class SealedAttachment:
    """An attachment whose object is made: what goes into the content, and what goes into the manifest."""

    content: AttachmentContent
    reference: AttachmentReference


def object_name(authority: AuthorityId, chance: Chance) -> str:
    """A new opaque name under the authority's own prefix: ``xa-moj/<32 hexadecimal digits>``."""
    return f"{authority}/{chance.bytes(_OBJECT_NAME_BYTES).hex()}"


def object_length(length: int) -> int:
    """The length of the object that ``length`` bytes of plaintext make, in bytes."""
    padded = padme(length)
    return _HEADER_BYTES + padded + _TAG_BYTES * (padded // _CHUNK_BYTES + 1)


def _context(message: MessageId, number: int) -> bytes:
    return f"comity/1 att|{message}|{number}".encode("ascii")


class EncryptedStream(Iterator[bytes]):
    """The object's bytes, as they come; its digest and lengths once it is exhausted."""

    def __init__(self, chunks: Iterable[bytes], *, key: bytes, message: MessageId, number: int) -> None:
        self._key = key
        self._number = number
        self._encryptor = Cobblestone256Encryptor(key, _context(message, number))
        self._hash = hashlib.sha256()
        self._length = 0
        self._object_length = 0
        self._ended = False
        self._pieces = self._encrypt(chunks)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def _encrypt(self, chunks: Iterable[bytes]) -> Generator[bytes, None, None]:
        for chunk in chunks:
            self._length += len(chunk)
            if self._length > ATTACHMENT_BYTES_MAX:
                raise UsageError("attachment-too-large", "An attachment is over 1 GiB; send it in parts.")
            yield from self._counted(self._encryptor.update(chunk))
        for zeros in _zeros(padme(self._length) - self._length):
            yield from self._counted(self._encryptor.update(zeros))
        yield from self._counted(self._encryptor.finalize())
        self._ended = True

    def _counted(self, piece: bytes) -> Generator[bytes, None, None]:
        if piece:
            self._hash.update(piece)
            self._object_length += len(piece)
            yield piece

    def sealed(self, *, name: str, media_type: str, uri: str) -> SealedAttachment:
        """What the draft carries of this attachment. Raises ``ValueError`` before the stream's end."""
        if not self._ended:
            raise ValueError("the stream was not read to its end")
        digest = Digest(b64(self._hash.digest()))
        return SealedAttachment(
            AttachmentContent(self._number, name, media_type, self._length, self._key),
            AttachmentReference(self._number, uri, self._object_length, digest, ENCRYPTION),
        )


def encrypt_stream(chunks: Iterable[bytes], *, key: bytes, message: MessageId, number: int) -> EncryptedStream:
    """The object of attachment ``number`` of ``message``: ``key`` is 32 random bytes and used for nothing else.

    Raises ``UsageError(attachment-too-large)`` while it is read.
    """
    return EncryptedStream(chunks, key=key, message=message, number=number)


def decrypt_stream(
    chunks: Iterable[bytes], *, attachment: AttachmentContent, reference: AttachmentReference, message: MessageId
) -> Iterator[bytes]:
    """The attachment's plaintext, as it comes. What was let out counts only when the iterator has ended without an error.

    Raises ``Refused(attachment-mismatch)`` for an object that is not the one that was signed, or whose padding is not.
    """
    decryptor = Cobblestone256Decryptor(attachment.key, _context(message, attachment.number))
    digest = hashlib.sha256()
    unread, left = reference.length, attachment.length
    padding = padme(attachment.length) - attachment.length
    try:
        for chunk in chunks:
            unread -= len(chunk)
            if unread < 0:  # before it is decrypted: a store must not make us read for ever
                raise refuse("attachment-mismatch")
            digest.update(chunk)
            plaintext = decryptor.update(chunk)
            yield from _content(plaintext, left)
            padding -= _checked_zeros(plaintext, left)
            left = max(left - len(plaintext), 0)
        plaintext = decryptor.finalize()
    except InvalidTag as error:
        raise refuse("attachment-mismatch") from error
    padding -= _checked_zeros(plaintext, left)
    whole = unread == 0 and len(plaintext) >= left and padding == 0 and b64(digest.digest()) == reference.digest
    if not whole:
        raise refuse("attachment-mismatch")
    yield from _content(plaintext, left)


def _content(plaintext: bytes, left: int) -> Generator[bytes, None, None]:
    if plaintext and left:
        yield plaintext[:left]


def _checked_zeros(plaintext: bytes, left: int) -> int:
    """How many bytes of ``plaintext`` are padding, which are zeros."""
    zeros = plaintext[left:]
    if zeros.strip(b"\x00"):
        raise refuse("attachment-mismatch")
    return len(zeros)


def _zeros(count: int) -> Generator[bytes, None, None]:
    while count > 0:
        yield _ZEROS[:count]
        count -= len(_ZEROS)
