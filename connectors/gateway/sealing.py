"""The State's keys at work: choosing whom to seal to, sealing drafts and receipt lists, opening what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from connectors.gateway.drafts import KeptDraft
from connectors.gateway.keyring import Keyring
from connectors.seal.attachments import ENCRYPTION, SealedAttachment
from connectors.seal.content import AttachmentContent
from connectors.seal.keys import public
from connectors.seal.opening import Opened, open_message
from connectors.seal.sealing import Draft, Encrypted, Sealed, encrypt_draft, seal_receipts, sign_encrypted
from hub.core.authority import KeyUse, PublicKey, TrustList
from hub.core.ids import AuthorityId, Digest, KeyId, MessageId
from hub.core.limits import VALIDITY_MS_MAX
from hub.core.manifest import AttachmentReference, Manifest, ReceiptReference
from hub.core.refusals import REASONS
from hub.envelope.trust import KeyStatement
from hub.errors import UsageError
from hub.ports import Chance

FINAL_CODES: Final = frozenset(
    {
        "recipient-unknown",
        "recipient-revoked",
        "content-malformed",
        "content-too-large",
        "draft-malformed",
        "clock-due-past",
    }
)
"""A draft that cannot be sealed for these reasons never will be; for any other it waits (a key, a certificate, a list)."""


class Sealer:
    """Seals and opens as one authority."""

    final_codes: Final = FINAL_CODES

    def __init__(self, me: AuthorityId, keys: Keyring, *, chance: Chance, valid_for_ms: int = VALIDITY_MS_MAX) -> None:
        self._me = me
        self._keys = keys
        self._chance = chance
        self._valid_for_ms = valid_for_ms

    def encrypt(
        self, draft: KeptDraft, statements: Mapping[KeyId, KeyStatement], *, trust: TrustList, now_ms: int
    ) -> Encrypted:
        """Encrypt a message to all keys of the recipient that are in force.

        Raises as ``connectors.seal.sealing.encrypt_draft``.

        ``UsageError(clock-due-past)`` comes before a number is used up: the hub would refuse it and count it.
        """
        if any(clock.due_ms is not None and clock.due_ms <= now_ms for clock in draft.clocks):
            raise UsageError("clock-due-past", f"{REASONS['clock-due-past'].remedy.capitalize()}.")
        return encrypt_draft(
            Draft(
                id=draft.id,
                type=draft.type,
                sender=self._me,
                recipient=draft.recipient,
                thread=draft.thread,
                content=draft.document,
                in_reply_to=draft.in_reply_to,
                priority=draft.priority,
                clocks=draft.clocks,
                attachments=_attachments(draft),
                valid_for_ms=self._valid_for_ms,
            ),
            recipient_keys=_keys_of(draft.recipient, statements, trust, now_ms),
            archive_keys=self._archive_keys(trust, now_ms),
            signers=self._keys.signers,
            trust=trust,
            now_ms=now_ms,
            chance=self._chance,
        )

    def sign(self, encrypted: Encrypted, *, chain: tuple[int, Digest | None]) -> Sealed:
        """Give an encrypted message its place and sign it. Raises as ``connectors.seal.sealing.sign_encrypted``."""
        return sign_encrypted(encrypted, chain=chain, signers=self._keys.signers)

    def receipts(
        self,
        message: MessageId,
        recipient: AuthorityId,
        references: Sequence[ReceiptReference],
        *,
        chain: tuple[int, Digest | None],
        trust: TrustList,
        now_ms: int,
    ) -> Sealed:
        """Seal a receipt list. Raises as ``connectors.seal.sealing.seal_receipts``."""
        return seal_receipts(
            references,
            sender=self._me,
            recipient=recipient,
            message_id=message,
            chain=chain,
            signers=self._keys.signers,
            trust=trust,
            now_ms=now_ms,
        )

    def open(self, value: bytes, manifest: Manifest) -> Opened:
        """Open a message to us. Raises ``Refused``."""
        return open_message(value, manifest, me=self._me, keys=self._keys.decryption)

    def _archive_keys(self, trust: TrustList, now_ms: int) -> tuple[PublicKey, ...]:
        me = trust.authorities.get(self._me)
        in_force = {key.id for key in me.keys_in_force(KeyUse.ARCHIVE, now_ms)} if me else set()
        return tuple(public(key) for key in self._keys.decryption if key.kid in in_force)


def _keys_of(
    recipient: AuthorityId, statements: Mapping[KeyId, KeyStatement], trust: TrustList, now_ms: int
) -> tuple[PublicKey, ...]:
    known = trust.authorities.get(recipient)
    listed = known.keys_in_force(KeyUse.INBOX, now_ms) if known else ()
    found = [statements[key.id] for key in listed if key.id in statements]
    return tuple(
        statement.key
        for statement in found
        if statement.authority == recipient and statement.from_ms <= now_ms <= statement.until_ms
    )


def _attachments(draft: KeptDraft) -> tuple[SealedAttachment, ...]:
    return tuple(
        SealedAttachment(
            AttachmentContent(number, file.name, file.media_type, file.length, stored.key),
            AttachmentReference(number, stored.uri, stored.length, stored.digest, ENCRYPTION),
        )
        for number, (file, stored) in enumerate(zip(draft.files, draft.objects, strict=True), start=1)
    )
