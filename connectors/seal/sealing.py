"""Sealing a message (envelope.md section 3): encrypt, name the exact bytes in a manifest, sign it.

The caller keeps the sealed bytes before it publishes them, and publishes exactly those until the hub's receipt is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from connectors.seal.attachments import SealedAttachment
from connectors.seal.binding import additional_data
from connectors.seal.content import SALT_BYTES, Content, encode_content
from connectors.seal.jwe import encrypt
from connectors.seal.opening import proof
from connectors.seal.padding import pad
from hub.core.authority import Authority, KeyUse, PublicKey, Status, TrustList
from hub.core.ids import AuthorityId, Digest, KeyId, MessageId, ThreadId, sha256
from hub.core.limits import MANIFEST_JWS_BYTES_MAX, VALIDITY_MS_MAX
from hub.core.manifest import BodyReference, ClockOperation, Manifest, MessageType, Priority, ReceiptReference
from hub.envelope import jws
from hub.envelope.manifest import encode
from hub.envelope.suites import SUITES, Suite, thumbprint
from hub.errors import Refused, UsageError, VerificationFailed
from hub.ports import Chance, Signer

_NO_VALUE: Final = BodyReference(sha256(b""), 0, None)
_THUMBPRINTS_KEPT_MAX: Final = 256  # an authority seals to a few dozen others
_thumbprint: Final = lru_cache(maxsize=_THUMBPRINTS_KEPT_MAX)(thumbprint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message before it is sealed. ``content`` is the document, a JSON object; its text form shows nothing of it."""

    id: MessageId
    type: MessageType
    sender: AuthorityId
    recipient: AuthorityId
    thread: ThreadId
    content: bytes = field(repr=False)
    in_reply_to: MessageId | None = None
    priority: Priority = Priority.NORMAL
    clocks: tuple[ClockOperation, ...] = ()
    attachments: tuple[SealedAttachment, ...] = ()
    valid_for_ms: int = VALIDITY_MS_MAX


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed message: the header's bytes, the value's bytes, the digest that the next one's ``prev`` names.

    ``proof`` is the ``prf`` that an honest ``delivered`` carries; None for a receipt list.
    """

    manifest: Manifest
    jws: bytes = field(repr=False)
    value: bytes = field(repr=False)
    digest: Digest
    proof: Digest | None


@dataclass(frozen=True, slots=True)
class Encrypted:
    """A message that is encrypted and has no place in its chain yet; ``value`` are the bytes that its manifest names."""

    manifest: Manifest
    value: bytes = field(repr=False)
    proof: Digest


def encrypt_draft(
    draft: Draft,
    *,
    recipient_keys: Sequence[PublicKey],
    archive_keys: Sequence[PublicKey],
    signers: Sequence[Signer],
    trust: TrustList,
    now_ms: int,
    chance: Chance,
) -> Encrypted:
    """Encrypt ``draft`` to the recipient's inbox keys and the sender's own archive keys.

    Nothing here depends on the message's place in its chain, so that a batch is encrypted first and signed then: each
    is faster when the processor does it many times in a row. ``signers`` will sign it.

    Raises ``UsageError``: ``sender-unknown``, ``recipient-unknown``, ``recipient-revoked``, ``suite-not-allowed``,
    ``signers-unsuitable``, ``recipient-key-invalid``, ``content-malformed``, ``content-too-large``;
    ``VerificationFailed(key-id-mismatch)`` for a public key that is not the one that the trust list names;
    ``Refused(key-malformed)`` for one that its own statement spells wrong.
    """
    suite = _suite(trust, draft.sender, signers, now_ms)
    # (1) Nobody but the two sides: a key is sealed to only if the trust list gives it to its owner, now.
    recipient = _authority(trust, draft.recipient, "recipient-unknown")
    sender = _authority(trust, draft.sender, "sender-unknown")
    if recipient.status_at(now_ms) is not Status.ACTIVE:
        raise UsageError("recipient-revoked", f"The enrolment of {draft.recipient} is not active; use another channel.")
    _check_keys(recipient_keys, recipient, KeyUse.INBOX, suite, now_ms)
    _check_keys(archive_keys, sender, KeyUse.ARCHIVE, suite, now_ms)
    if not recipient_keys:
        raise UsageError("recipient-key-invalid", f"There is no key of {draft.recipient} to seal to.")
    # (2) Salt and content; content key and IV are drawn in the JWE.
    salt = chance.bytes(SALT_BYTES)
    content = encode_content(Content(salt, draft.content, tuple(each.content for each in draft.attachments)))
    # (3) The cipher covers what the manifest will say.
    manifest = _manifest(
        draft, recipient_keys=recipient_keys, archive_keys=archive_keys, suite=suite, trust=trust, now_ms=now_ms
    )
    keys = (*recipient_keys, *archive_keys)
    value = encrypt(pad(content), aad=additional_data(manifest), recipients=keys, chance=chance)
    body = BodyReference(sha256(value), len(value), sha256(content))
    return Encrypted(replace(manifest, body=body), value, proof(draft.id, salt))


def sign_encrypted(encrypted: Encrypted, *, chain: tuple[int, Digest | None], signers: Sequence[Signer]) -> Sealed:
    """Give the message its place ``chain`` (seq, prev) and sign it. Raises ``UsageError(draft-malformed)``."""
    # (4), (5) The manifest names the exact bytes of value and content, and is signed with each algorithm of the suite.
    manifest = replace(encrypted.manifest, sequence=chain[0], previous=chain[1])
    return _signed(manifest, encrypted.value, signers, encrypted.proof)


def seal_receipts(
    references: Sequence[ReceiptReference],
    *,
    sender: AuthorityId,
    recipient: AuthorityId,
    message_id: MessageId,
    chain: tuple[int, Digest | None],
    signers: Sequence[Signer],
    trust: TrustList,
    now_ms: int,
) -> Sealed:
    """A receipt list: a manifest without a body about messages from ``recipient`` (protocol section 3).

    Raises ``UsageError``: ``sender-unknown``, ``suite-not-allowed``, ``signers-unsuitable``, ``draft-malformed``.
    """
    suite = _suite(trust, sender, signers, now_ms)
    manifest = Manifest(
        suite=suite.id,
        id=message_id,
        type=MessageType.RECEIPT,
        deployment=trust.deployment,
        sender=sender,
        recipient=recipient,
        thread=None,
        in_reply_to=None,
        sequence=chain[0],
        previous=chain[1],
        issued_ms=now_ms,
        expires_ms=now_ms + VALIDITY_MS_MAX,
        priority=Priority.NORMAL,
        clocks=(),
        signature_algorithms=suite.signatures,
        trust_list=trust.number,
        body=_NO_VALUE,
        recipient_keys=(),
        attachments=(),
        receipts=tuple(references),
    )
    return _signed(manifest, b"", signers, None)


def _manifest(
    draft: Draft,
    *,
    recipient_keys: Sequence[PublicKey],
    archive_keys: Sequence[PublicKey],
    suite: Suite,
    trust: TrustList,
    now_ms: int,
) -> Manifest:
    """The manifest but for its place in the chain, and its body, which names bytes that do not exist yet."""
    owners: list[tuple[AuthorityId, KeyId]] = [(draft.recipient, key.id) for key in recipient_keys]
    owners += [(draft.sender, key.id) for key in archive_keys]
    return Manifest(
        suite=suite.id,
        id=draft.id,
        type=draft.type,
        deployment=trust.deployment,
        sender=draft.sender,
        recipient=draft.recipient,
        thread=draft.thread,
        in_reply_to=draft.in_reply_to,
        sequence=1,
        previous=None,
        issued_ms=now_ms,
        expires_ms=now_ms + draft.valid_for_ms,
        priority=draft.priority,
        clocks=draft.clocks,
        signature_algorithms=suite.signatures,
        trust_list=trust.number,
        body=_NO_VALUE,
        recipient_keys=tuple(owners),
        attachments=tuple(each.reference for each in draft.attachments),
        receipts=(),
    )


def _signed(manifest: Manifest, value: bytes, signers: Sequence[Signer], expected_proof: Digest | None) -> Sealed:
    try:
        payload = encode(manifest)
    except Refused as error:
        raise _malformed() from error
    header = jws.sign(payload, typ=jws.TYP_MANIFEST, signers=signers, issued_s=manifest.issued_ms // 1000)
    if len(header) > MANIFEST_JWS_BYTES_MAX:
        raise _malformed()
    return Sealed(manifest, header, value, sha256(header), expected_proof)


def _malformed() -> UsageError:
    return UsageError("draft-malformed", "The hub would refuse this manifest; see schemas/envelope.md section 3.")


def _suite(trust: TrustList, sender: AuthorityId, signers: Sequence[Signer], now_ms: int) -> Suite:
    """The suite that the trust list demands of the sender; never one of the caller's choice."""
    authority = _authority(trust, sender, "sender-unknown")
    suite = SUITES.get(authority.suite)
    if suite is None or not suite.in_force(now_ms):
        raise UsageError("suite-not-allowed", f"The trust list's suite for {sender} is unknown or not in force.")
    waived = authority.waiver_until_ms is not None and now_ms <= authority.waiver_until_ms
    if suite.id == "S0" and not waived:
        raise UsageError("suite-not-allowed", f"The waiver for suite S0 of {sender} is not in force.")
    if tuple(each.algorithm for each in signers) != suite.signatures:
        raise UsageError("signers-unsuitable", f"Sign with {', '.join(suite.signatures)}, in this order.")
    return suite


def _authority(trust: TrustList, authority: AuthorityId, code: str) -> Authority:
    known = trust.authorities.get(authority)
    if known is None:
        raise UsageError(code, f"The trust list does not name {authority}.")
    return known


def _check_keys(keys: Sequence[PublicKey], owner: Authority, use: KeyUse, suite: Suite, now_ms: int) -> None:
    """Every key is its owner's for this use, in force, of the suite's algorithm, and its bytes are those of its id."""
    for key in keys:
        listed = owner.encryption_key(key.id)
        fits = listed is not None and listed.use is use and listed.in_force(now_ms)
        if not fits or listed is None or not listed.algorithm == key.algorithm == suite.key_wrap:
            raise UsageError("recipient-key-invalid", f"A key of {owner.id} is not in force or not for this use.")
        if _thumbprint(key.algorithm, key.public) != key.id:
            raise VerificationFailed("key-id-mismatch", f"A key of {owner.id} is not the one that its id names.")
