"""A sender that seals as it likes: what it writes passes every check of the hub, and only its recipient can see through it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from connectors.gateway.objects import ObjectStore
from connectors.seal.attachments import SealedAttachment, encrypt_stream, object_name
from connectors.seal.binding import additional_data
from connectors.seal.content import Content, encode_content
from connectors.seal.jwe import encrypt
from connectors.seal.keys import public
from connectors.seal.padding import pad
from hub.adapters.clock import SystemChance
from hub.core.authority import KeyUse, PublicKey
from hub.core.ids import Digest, MessageId, ThreadId, sha256, uuid7
from hub.core.limits import VALIDITY_MS_MAX
from hub.core.manifest import BodyReference, Manifest, MessageType, Priority
from hub.core.records import JWS_HEADER, Outgoing
from hub.core.topics import outbox
from hub.envelope import jws
from hub.envelope.manifest import encode
from hub.envelope.suites import SUITES
from hub.ports import Chance
from tests.bad_inputs.smith import CANARY, Members, compact
from tests.gateway.conftest import NOW_MS, XA, XB, XC, Keys, Trust, request

SUITE: Final = SUITES["S1"]
SALT: Final = b"s" * 32


def same(value: Any) -> Any:
    """Change nothing."""
    return value


class Forger:
    """Writes as xa-moj to xb-pgo."""

    def __init__(self, keys: Keys, trust: Trust, objects: ObjectStore) -> None:
        self._keys = keys
        self._trust = trust
        self._objects = objects
        self._chain: tuple[int, Digest | None] = (0, None)
        self.chance: Chance = SystemChance()
        self.document = request(CANARY)
        self.last_value = b"{}"

    @property
    def recipient_keys(self) -> list[PublicKey]:
        """The inbox key of xb-pgo, and the own archive key."""
        return [self.key_of(XB, KeyUse.INBOX), self.key_of(XA, KeyUse.ARCHIVE)]

    @property
    def foreign_key(self) -> PublicKey:
        """The inbox key of xc-acc."""
        return self.key_of(XC, KeyUse.INBOX)

    def key_of(self, name: str, use: KeyUse) -> PublicKey:
        """A public key."""
        ring = next(each.keyring for member, each in self._keys.members.items() if member == name)
        return next(public(key) for key in ring.decryption if key.use is use)

    def content(self, event: bytes | None = None, *attachments: SealedAttachment) -> bytes:
        """A good content; with ``event`` its document's text is replaced, whatever it is."""
        good = encode_content(Content(SALT, self.document, tuple(each.content for each in attachments)))
        return good if event is None else good.replace(compact(json.loads(self.document)), event)

    def new_id(self) -> MessageId:
        """A message id."""
        return uuid7(NOW_MS, self.chance.bytes(10))

    def attachment(
        self, message: MessageId, spoil: Callable[[bytes], bytes | None] = same, *, number: int = 1
    ) -> SealedAttachment:
        """An attachment of 48,000 bytes; its object is stored as ``spoil`` left it, or not at all."""
        stream = encrypt_stream([CANARY.encode() * 3000], key=self.chance.bytes(32), message=message, number=number)
        stored = spoil(b"".join(stream))
        uri = object_name(XA, self.chance)
        if stored is not None:
            self._objects.put(uri, [stored])
        return stream.sealed(name=f"annex-{number}.pdf", media_type="application/pdf", uri=uri)

    def letter(
        self,
        content: bytes | None = None,
        *,
        message: MessageId | None = None,
        attachments: Sequence[SealedAttachment] = (),
        padded: Callable[[bytes], bytes] = pad,
        committed: Callable[[bytes], bytes] = same,
        aad: Callable[[bytes], bytes] = same,
        keys: Callable[[list[PublicKey]], list[PublicKey]] = same,
        edit: Callable[[Members], object] | None = None,
        value: bytes | None = None,
        **changes: Any,
    ) -> Outgoing:
        """The next message, with a part of it made otherwise; signed as it stands, and counted as sent."""
        content = self.content() if content is None else content
        manifest = replace(self._manifest(message or self.new_id(), attachments), **changes)
        if value is None:
            value = encrypt(
                padded(content),
                aad=aad(additional_data(manifest)),
                recipients=keys(self.recipient_keys),
                chance=self.chance,
            )
        if edit is not None:
            members = json.loads(value)
            edit(members)
            value = compact(members)
        body = BodyReference(sha256(value), len(value), sha256(committed(content)))
        manifest, self.last_value = replace(manifest, body=body), value
        signers = self._keys.members[XA].keyring.signers
        header = jws.sign(encode(manifest), typ=jws.TYP_MANIFEST, signers=signers, issued_s=NOW_MS // 1000)
        self._chain = manifest.sequence, sha256(header)
        return Outgoing(outbox(XA), manifest.record_key.encode(), value, ((JWS_HEADER, header),))

    def _manifest(self, message: MessageId, attachments: Sequence[SealedAttachment]) -> Manifest:
        named = zip((XB, XA), self.recipient_keys, strict=True)
        sequence, previous = self._chain
        return Manifest(
            suite=SUITE.id,
            id=message,
            type=MessageType.REQUEST,
            deployment=self._trust.trust.deployment,
            sender=XA,
            recipient=XB,
            thread=ThreadId(self.chance.bytes(16).hex()),
            in_reply_to=None,
            sequence=sequence + 1,
            previous=previous,
            issued_ms=NOW_MS,
            expires_ms=NOW_MS + VALIDITY_MS_MAX,
            priority=Priority.NORMAL,
            clocks=(),
            signature_algorithms=SUITE.signatures,
            trust_list=self._trust.trust.number,
            body=BodyReference(sha256(b""), 0, sha256(b"")),
            recipient_keys=tuple((name, key.id) for name, key in named),
            attachments=tuple(each.reference for each in attachments),
            receipts=(),
        )
