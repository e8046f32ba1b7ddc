"""Manifests and records to start from: each refusal is one of these with one thing changed."""

# ruff: noqa: ANN401  (a case changes any field, by its name)

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from connectors.seal.attachments import EncryptedStream, encrypt_stream
from connectors.seal.sealing import Draft, Sealed, encrypt_draft, sign_encrypted
from hub.core.authority import KeyUse
from hub.core.ids import AuthorityId, Digest, MessageId, ThreadId, sha256
from hub.core.manifest import (
    BodyReference,
    ClockKind,
    ClockOperation,
    ClockVerb,
    Manifest,
    MessageType,
    Priority,
    ReceiptLevel,
    ReceiptReference,
)
from hub.core.records import JWS_HEADER, Record
from hub.core.topics import outbox
from hub.envelope import jws
from hub.envelope.manifest import encode
from hub.envelope.signers import SoftwareSigner
from hub.envelope.suites import SUITES
from schemas.generator.world import DAY_MS, HOUR_MS, NOW_MS, XA, XB, World

Edit = Callable[[dict[str, Any]], object]

VALUE: Final = b'{"comment":"to the hub a value is bytes: it compares their length and SHA-256, and never parses them"}'
DOCUMENT: Final = b'{"title":"Request for bank records","articles":["46"],"number":"XA-2026-118"}'
ID: Final = MessageId("019ab9f2-3c00-7000-8000-000000000001")
OTHER_ID: Final = MessageId("019ab9f2-3c00-7000-8000-000000000002")
THREAD: Final = ThreadId("0123456789abcdef0123456789abcdef")
START: Final = ClockOperation(ClockVerb.START, "0123456789abcdef", ClockKind.REPLY, NOW_MS + 30 * DAY_MS)  # type: ignore[arg-type]  # a literal id


def manifest(world: World, sender: AuthorityId = XA, **changes: Any) -> Manifest:
    """A request of ``sender`` to xb-pgo over ``VALUE``, with some members changed."""
    party = world.parties[sender]
    suite = SUITES[party.authority.suite]
    made = Manifest(
        suite=suite.id,
        id=ID,
        type=MessageType.REQUEST,
        deployment=world.trust.deployment,
        sender=sender,
        recipient=XB,
        thread=THREAD,
        in_reply_to=None,
        sequence=1,
        previous=None,
        issued_ms=NOW_MS,
        expires_ms=NOW_MS + 72 * HOUR_MS,
        priority=Priority.NORMAL,
        clocks=(START,),
        signature_algorithms=suite.signatures,
        trust_list=world.trust.number,
        body=BodyReference(sha256(VALUE), len(VALUE), sha256(b"the content of this value")),
        recipient_keys=(
            (XB, world.parties[XB].key(KeyUse.INBOX, suite.key_wrap).id),
            (sender, party.key(KeyUse.ARCHIVE, suite.key_wrap).id),
        ),
        attachments=(),
        receipts=(),
    )
    return replace(made, **changes)


def receipt_list(world: World, **changes: Any) -> Manifest:
    """A receipt list of xa-moj about two messages of xb-pgo."""
    references = (
        ReceiptReference(ReceiptLevel.DELIVERED, OTHER_ID, THREAD, sha256(b"proof"), None),
        ReceiptReference(ReceiptLevel.REFUSED, MessageId(OTHER_ID[:-1] + "3"), THREAD, None, "cannot-decrypt"),
    )
    empty: dict[str, Any] = {
        "type": MessageType.RECEIPT,
        "thread": None,
        "clocks": (),
        "recipient_keys": (),
        "body": BodyReference(sha256(b""), 0, None),
        "receipts": references,
    }
    return manifest(world, **(empty | changes))


def sign(
    world: World, payload: bytes, *, signers: Sequence[SoftwareSigner] | None = None, typ: str = jws.TYP_MANIFEST
) -> bytes:
    """A JWS by xa-moj, unless others sign."""
    return jws.sign(payload, typ=typ, signers=signers or world.parties[XA].signers, issued_s=NOW_MS // 1000)


def record(
    world: World,
    made: Manifest | None = None,
    *,
    header: bytes | None = None,
    signers: Sequence[SoftwareSigner] | None = None,
    edit: Edit | None = None,
    hints: Sequence[tuple[str, bytes]] = (),
    **changes: Any,
) -> Record:
    """A record in the sender's outbox: ``edit`` changes the payload before it is signed, ``header`` is the whole JWS."""
    made = made or manifest(world)
    if header is None:
        payload = encode(made)
        if edit is not None:
            members = json.loads(payload)
            edit(members)
            payload = json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()
        header = sign(world, payload, signers=signers or world.parties[made.sender].signers)
    stored = Record(
        topic=outbox(made.sender),
        partition=0,
        offset=7,
        time_ms=NOW_MS + 1000,
        key=made.record_key.encode(),
        value=VALUE if made.type is not MessageType.RECEIPT else None,
        headers=((JWS_HEADER, header), *hints),
    )
    return replace(stored, **changes)


def sealed(world: World, sender: AuthorityId = XA, *, draft: Draft | None = None, **changes: Any) -> Sealed:
    """A message that is really sealed, by ``sender`` to xb-pgo."""
    party = world.parties[sender]
    wrap = SUITES[party.authority.suite].key_wrap
    arguments: dict[str, Any] = {
        "chain": (1, None),
        "recipient_keys": [world.parties[XB].key(KeyUse.INBOX, wrap)],
        "archive_keys": [party.key(KeyUse.ARCHIVE, wrap)],
        "signers": party.signers,
        "trust": world.trust,
        "now_ms": NOW_MS,
        "chance": world.chance,
        **changes,
    }
    chain = arguments.pop("chain")
    encrypted = encrypt_draft(draft or request(sender), **arguments)
    return sign_encrypted(encrypted, chain=chain, signers=arguments["signers"])


def request(sender: AuthorityId = XA, **changes: Any) -> Draft:
    """A request to xb-pgo that starts a clock."""
    draft = Draft(
        id=ID,
        type=MessageType.REQUEST,
        sender=sender,
        recipient=XB,
        thread=THREAD,
        content=DOCUMENT,
        clocks=(START,),
    )
    return replace(draft, **changes)


def sealed_record(world: World, message: Sealed, **changes: Any) -> Record:
    """The outbox record of a sealed message."""
    return record(world, message.manifest, header=message.jws, **({"value": message.value} | changes))


def attachment(world: World, plaintext: bytes, *, number: int = 1) -> tuple[EncryptedStream, bytes]:
    """The stream of an attachment of ``ID``, read to its end, and its object."""
    key = world.chance.bytes(32)
    stream = encrypt_stream([plaintext], key=key, message=ID, number=number)
    return stream, b"".join(stream)


def digest_of(record: Record) -> Digest:
    """The Digest of a record's JWS."""
    return sha256(dict(record.headers)[JWS_HEADER])
