"""What thieves, broken software and curious neighbours put into outboxes, and how the hub's signed answer is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hub.adapters.reading import read_to_end
from hub.core.authority import EncryptionKey, KeyUse, TrustList
from hub.core.ids import AuthorityId, MessageId, sha256
from hub.core.manifest import BodyReference, Manifest
from hub.core.receipts import ReceiptClaim
from hub.core.records import HUB_HEADER, JWS_HEADER, Outgoing, Place, Position, Record
from hub.core.signing import Signer
from hub.core.topics import inbox, outbox
from hub.envelope import jws
from hub.envelope.manifest import decode, encode
from hub.envelope.receipts import HeadCache, read_bundle
from hub.errors import VerificationFailed
from hub.ports import Bus

JWS_BYTES_MAX: Final = 16 * 1024


def header(record: Record) -> bytes:
    """The record's JWS. Raises ``VerificationFailed`` for a record without one."""
    for name, value in record.headers:
        if name == JWS_HEADER:
            return value
    raise VerificationFailed("manifest-missing", "A record of the story has no manifest.")


def manifest_of(record: Record) -> Manifest:
    """The record's manifest, unchecked."""
    return decode(jws.parse(header(record), typ=jws.TYP_MANIFEST, bytes_max=JWS_BYTES_MAX).payload)


def replayed(record: Record) -> Outgoing:
    """The same record again, to the letter."""
    return Outgoing(record.topic, record.key, record.value, record.headers)


def flipped(record: Record) -> Outgoing:
    """The record with one bit of its value changed on the way."""
    value = bytearray(record.value or b"\x00")
    value[len(value) // 2] ^= 1
    return replace(replayed(record), value=bytes(value))


def stolen(record: Record, thief: AuthorityId) -> Outgoing:
    """The record in the outbox of somebody else."""
    return replace(replayed(record), topic=outbox(thief))


def signed_anew(record: Record, *, message: MessageId, signers: Sequence[Signer], now_ms: int) -> Outgoing:
    """An old message under a new id and a fresh signature of its own sender: its number is used."""
    return _signed(replace(manifest_of(record), id=message), record.value or b"", signers, now_ms)


def forged(
    sample: Record, *, sender: AuthorityId, message: MessageId, signers: Sequence[Signer], trust: TrustList, now_ms: int
) -> Outgoing:
    """A well-formed first message of ``sender`` to the recipient of ``sample``, signed by whoever holds its keys."""
    model = manifest_of(sample)
    value = b"{}"
    keys = [
        (authority, _key(trust, authority, use, now_ms).id)
        for authority, use in ((model.recipient, KeyUse.INBOX), (sender, KeyUse.ARCHIVE))
    ]
    manifest = replace(
        model,
        id=message,
        sender=sender,
        sequence=1,
        previous=None,
        trust_list=trust.number,
        attachments=(),
        clocks=(),
        recipient_keys=tuple(keys),
        body=BodyReference(sha256(value), len(value), sha256(b"never opened")),
    )
    return _signed(manifest, value, signers, now_ms)


async def answer_to(bus: Bus, owner: AuthorityId, position: Position, trust: TrustList) -> ReceiptClaim | None:
    """The hub's signed claim about the record at ``position``, from its owner's inbox; None when it is not there yet.

    Raises ``Refused`` when a bundle does not verify.
    """
    reader = await bus.reader({Place(inbox(owner), 0): 0})
    heads = HeadCache()
    try:
        async for record in read_to_end(reader):
            if (HUB_HEADER, b"bundle/1") not in record.headers or record.value is None:
                continue
            for claim in read_bundle(record.value, inbox=inbox(owner), trust=trust, heads=heads).claims:
                if isinstance(claim, ReceiptClaim) and claim.outbox[:3] == position[:3]:
                    return claim
    finally:
        await reader.close()
    return None


def _key(trust: TrustList, authority: AuthorityId, use: KeyUse, now_ms: int) -> EncryptionKey:
    return trust.authorities[authority].keys_in_force(use, now_ms)[0]


def _signed(manifest: Manifest, value: bytes, signers: Sequence[Signer], now_ms: int) -> Outgoing:
    data = jws.sign(encode(manifest), typ=jws.TYP_MANIFEST, signers=signers, issued_s=now_ms // 1000)
    return Outgoing(outbox(manifest.sender), manifest.record_key.encode(), value, ((JWS_HEADER, data),))
