"""Opening a message (schemas/envelope.md section 8.2): what the recipient checks after the manifest was judged.

The manifest itself (signatures, window, chain) is judged before by ``hub.envelope.checking.judge_copy``. Here, in order:
(1) the value is the one that was signed; (2) it is a JWE of the profile; (3) it is sealed for exactly the keys that the
manifest names, one of them ours; (4) it was made for this manifest; (5) it decrypts; (6) its padding is whole; (7) its
content is the one that was committed to; (8) the content fits its schema and the manifest's attachments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from connectors.seal.attachments import object_length
from connectors.seal.binding import check_additional_data
from connectors.seal.content import AttachmentContent, Content, decode_content
from connectors.seal.jwe import Jwe, decrypt, parse_value
from connectors.seal.key_wrap import WrappedKey
from connectors.seal.keys import DecryptionKey
from connectors.seal.padding import unpad
from hub.core.ids import AuthorityId, Digest, MessageId, sha256
from hub.core.manifest import Manifest
from hub.core.refusals import refuse
from hub.envelope.encoding import b64
from hub.envelope.suites import SUITES


@dataclass(frozen=True, slots=True)
class Opened:
    """A message in clear. ``content`` is the document, a JSON object; its text form shows nothing of it."""

    content: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    attachments: tuple[AttachmentContent, ...] = ()

    @property
    def attachment_keys(self) -> Mapping[int, bytes]:
        """The key of each attachment, by number."""
        return {each.number: each.key for each in self.attachments}

    @property
    def attachment_names(self) -> Mapping[int, str]:
        """The file name of each attachment, by number."""
        return {each.number: each.name for each in self.attachments}


def open_message(value: bytes, manifest: Manifest, *, me: AuthorityId, keys: Sequence[DecryptionKey]) -> Opened:
    """Open ``value`` as ``me``, the recipient, or the sender with its archive key.

    Raises ``Refused`` with a code of ``RECIPIENT_REASONS``, or ``length-mismatch``, ``digest-mismatch`` when ``value``
    is not the one that was signed; never any other error, whatever the bytes.
    """
    # (1) Headers of other recipients are under no cipher: only the signed digest covers every byte.
    if len(value) != manifest.body.length:
        raise refuse("length-mismatch")
    if sha256(value) != manifest.body.digest:
        raise refuse("digest-mismatch")
    jwe = parse_value(value)  # (2)
    recipient, key = _own(jwe, manifest, me, keys)  # (3)
    check_additional_data(jwe.aad, manifest)  # (4)
    plaintext = unpad(decrypt(jwe, recipient, key))  # (5), (6)
    # (7) AES-GCM does not commit to its key: one value can decrypt to two texts under two keys. This digest settles it.
    if sha256(plaintext) != manifest.body.commitment:
        raise refuse("commitment-mismatch")
    content = decode_content(plaintext)  # (8)
    _check_attachments(content, manifest)
    return Opened(content.event, content.salt, content.attachments)


def _own(
    jwe: Jwe, manifest: Manifest, me: AuthorityId, keys: Sequence[DecryptionKey]
) -> tuple[WrappedKey, DecryptionKey]:
    suite = SUITES.get(manifest.suite)
    # The same keys in the same order: a key that the manifest does not name would be a hidden reader, and a key
    # that comes twice two texts in one value. All by the suite's one algorithm, so that none can be weaker.
    named = [(kid, suite.key_wrap) for _, kid in manifest.recipient_keys] if suite else []
    if not named or [(each.kid, each.algorithm) for each in jwe.recipients] != named:
        raise refuse("recipient-mismatch")
    mine = [kid for authority, kid in manifest.recipient_keys if authority == me]
    if not mine or len({kid for kid, _ in named}) != len(named):
        raise refuse("recipient-mismatch")
    held = {key.kid: key for key in keys}
    for recipient in jwe.recipients:
        if recipient.kid in mine and recipient.kid in held:
            return recipient, held[recipient.kid]
    # Sealed to a key of ours that is not here any more: the sender must learn that this copy cannot be read.
    raise refuse("cannot-decrypt")


def _check_attachments(content: Content, manifest: Manifest) -> None:
    sealed = [(each.number, object_length(each.length)) for each in content.attachments]
    signed = [(each.number, each.length) for each in manifest.attachments]
    if sealed != signed:
        raise refuse("content-malformed")


def proof(message: MessageId, salt: bytes) -> Digest:
    """``prf`` of a receipt: shows that the message could be decrypted, since the salt stands only in the content."""
    return Digest(b64(hashlib.sha256(b"comity/1 opened\x00" + message.encode() + b"\x00" + salt).digest()))
