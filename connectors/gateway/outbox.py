"""The durable outbox: rows of messages of ours, their copies, and where each pair stands. SQL only; nothing is decided.

Every function works within the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from connectors.gateway.drafts import KeptDraft, decode_draft, encode_draft
from connectors.gateway.outgoing import Copy, PairState
from connectors.gateway.store import Vault
from connectors.gateway.tables import COPIES, INCOMING, OUTGOING, OUTGOING_PAIRS
from connectors.seal.sealing import Sealed
from hub.core.ids import AuthorityId, Digest, MessageId, ThreadId
from hub.core.manifest import MessageType, ReceiptLevel, ReceiptReference
from hub.errors import Conflict


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A row without its bytes. States: draft, ready, sealed, accepted, failed."""

    id: MessageId
    type: MessageType
    recipient: AuthorityId
    thread: ThreadId | None
    state: str
    sequence: int | None
    digest: Digest | None
    proof: Digest | None
    seals: int
    known: bool
    code: str | None


_SHOWN = (
    OUTGOING.c.id,
    OUTGOING.c.type,
    OUTGOING.c.recipient,
    OUTGOING.c.thread,
    OUTGOING.c.state,
    OUTGOING.c.sequence,
    OUTGOING.c.digest,
    OUTGOING.c.proof,
    OUTGOING.c.seals,
    OUTGOING.c.known,
    OUTGOING.c.code,
)


def _message(row: Row[*tuple[Any, ...]]) -> OutgoingMessage:
    return OutgoingMessage(
        id=MessageId(row.id),
        type=MessageType(row.type),
        recipient=AuthorityId(row.recipient),
        thread=row.thread,
        state=row.state,
        sequence=row.sequence,
        digest=row.digest,
        proof=row.proof,
        seals=row.seals,
        known=row.known,
        code=row.code,
    )


def _context(message: str) -> str:
    return f"outgoing.draft.{message}"


def known_hand_in(connection: Connection, vault: Vault, key: str, digest: Digest) -> OutgoingMessage | None:
    """The message that this hand-in became. Raises ``Conflict(hand-in-conflict)`` when its content was another."""
    statement = select(*_SHOWN, OUTGOING.c.hand_in).where(OUTGOING.c.tag == vault.tag(key))
    row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    if row.hand_in != digest:
        raise Conflict(
            "hand-in-conflict", "A hand-in of this name was taken before, with other content; use a new name."
        )
    return _message(row)


def add_draft(connection: Connection, vault: Vault, draft: KeptDraft, digest: Digest) -> None:
    """Keep a new hand-in. Raises ``Conflict(id-used)`` when its message id was used before."""
    used = connection.execute(select(OUTGOING.c.n).where(OUTGOING.c.id == draft.id)).first()
    if used is not None:
        raise Conflict("id-used", "A message of this id was sent before; use a new name for the hand-in.")
    connection.execute(
        insert(OUTGOING).values(
            id=draft.id,
            tag=vault.tag(draft.key),
            hand_in=digest,
            type=draft.type.value,
            recipient=draft.recipient,
            thread=draft.thread,
            in_reply_to=draft.in_reply_to,
            state="draft" if draft.files else "ready",
            draft=vault.protect(encode_draft(draft), _context(draft.id)),
        )
    )


def read_draft(connection: Connection, vault: Vault, message: MessageId) -> KeptDraft:
    """The draft of a message that was handed in."""
    kept = connection.execute(select(OUTGOING.c.draft).where(OUTGOING.c.id == message)).scalar_one()
    return decode_draft(vault.unprotect(kept, _context(message)))


def uploaded(connection: Connection, vault: Vault, draft: KeptDraft) -> None:
    """All files of the draft lie encrypted in the object store: it may be sealed."""
    connection.execute(
        update(OUTGOING)
        .where(OUTGOING.c.id == draft.id, OUTGOING.c.state == "draft")
        .values(state="ready", draft=vault.protect(encode_draft(draft), _context(draft.id)))
    )


def add_receipt_list(
    connection: Connection,
    vault: Vault,
    message: MessageId,
    recipient: AuthorityId,
    references: Sequence[ReceiptReference],
) -> None:
    """A receipt list, ready to be sealed."""
    listed = [[each.level.value, each.message, each.thread, each.proof, each.why] for each in references]
    connection.execute(
        insert(OUTGOING).values(
            id=message,
            type=MessageType.RECEIPT.value,
            recipient=recipient,
            state="ready",
            draft=vault.protect(b"", _context(message)),
            receipts=json.dumps(listed),
        )
    )


def receipt_references(connection: Connection, message: MessageId) -> tuple[ReceiptReference, ...]:
    """What a receipt list of ours says."""
    listed = connection.execute(select(OUTGOING.c.receipts).where(OUTGOING.c.id == message)).scalar_one()
    return tuple(
        ReceiptReference(ReceiptLevel(level), MessageId(each), ThreadId(thread), proof, why)
        for level, each, thread, proof, why in json.loads(listed)
    )


def find(connection: Connection, message: str) -> OutgoingMessage | None:
    """The message of this id."""
    row = connection.execute(select(*_SHOWN).where(OUTGOING.c.id == message)).one_or_none()
    return None if row is None else _message(row)


def find_sealed(connection: Connection, digest: Digest) -> OutgoingMessage | None:
    """The message whose newest sealing has this digest."""
    row = connection.execute(select(*_SHOWN).where(OUTGOING.c.digest == digest)).one_or_none()
    return None if row is None else _message(row)


def drafts(connection: Connection) -> Sequence[OutgoingMessage]:
    """Messages whose files are not uploaded yet."""
    rows = connection.execute(select(*_SHOWN).where(OUTGOING.c.state == "draft").order_by(OUTGOING.c.n))
    return [_message(row) for row in rows]


def ready_recipients(connection: Connection) -> Sequence[AuthorityId]:
    """To whom something waits to be sealed, longest waiting first."""
    statement = (
        select(OUTGOING.c.recipient)
        .where(OUTGOING.c.state == "ready")
        .group_by(OUTGOING.c.recipient)
        .order_by(func.min(OUTGOING.c.n))
    )
    return [AuthorityId(each) for each in connection.execute(statement).scalars()]


def next_ready(connection: Connection, recipient: AuthorityId) -> OutgoingMessage | None:
    """The next message to seal for a recipient. Receipt lists go first: levels come in order (protocol section 3)."""
    statement = (
        select(*_SHOWN)
        .where(OUTGOING.c.state == "ready", OUTGOING.c.recipient == recipient)
        .order_by((OUTGOING.c.type == MessageType.RECEIPT.value).desc(), OUTGOING.c.n)
        .limit(1)
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else _message(row)


def in_flight(connection: Connection, recipient: AuthorityId) -> Sequence[OutgoingMessage]:
    """Sealed messages of a pair that the hub has not answered, in the pair's order."""
    statement = select(*_SHOWN).where(OUTGOING.c.state == "sealed", OUTGOING.c.recipient == recipient)
    return [_message(row) for row in connection.execute(statement.order_by(OUTGOING.c.sequence))]


def store_sealed(connection: Connection, sealed: Sealed) -> None:
    """Keep the bytes that will be published, and published again: exactly these."""
    connection.execute(
        update(OUTGOING)
        .where(OUTGOING.c.id == sealed.manifest.id, OUTGOING.c.state == "ready")
        .values(
            state="sealed",
            sequence=sealed.manifest.sequence,
            digest=sealed.digest,
            jws=sealed.jws,
            value=sealed.value,
            proof=sealed.proof,
            seals=OUTGOING.c.seals + 1,
            attempts=0,
            tried_ms=None,
            known=False,
        )
    )


def set_state(connection: Connection, message: MessageId, state: str, code: str | None = None) -> None:
    """Accepted or failed, or ready to be sealed again."""
    connection.execute(update(OUTGOING).where(OUTGOING.c.id == message).values(state=state, code=code))


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Sealed bytes without an answer, and when they were last published, how often."""

    id: MessageId
    digest: Digest
    record_key: str
    jws: bytes
    value: bytes
    attempts: int
    tried_ms: int | None


def unanswered(connection: Connection, *, tried_before_ms: int, count_max: int) -> Sequence[Unanswered]:
    """What was never published, or last before ``tried_before_ms``; in the order of the pairs."""
    statement = (
        select(
            OUTGOING.c.id,
            OUTGOING.c.digest,
            OUTGOING.c.thread,
            OUTGOING.c.jws,
            OUTGOING.c.value,
            OUTGOING.c.attempts,
            OUTGOING.c.tried_ms,
        )
        .where(
            OUTGOING.c.state == "sealed",
            or_(OUTGOING.c.tried_ms.is_(None), OUTGOING.c.tried_ms <= tried_before_ms),
        )
        .order_by(OUTGOING.c.recipient, OUTGOING.c.sequence)
        .limit(count_max)
    )
    return [
        Unanswered(MessageId(row.id), row.digest, row.thread or row.id, row.jws, row.value, row.attempts, row.tried_ms)
        for row in connection.execute(statement)
    ]


def trying(connection: Connection, messages: Sequence[MessageId], now_ms: int) -> None:
    """Note an attempt before it is made: its outcome may stay unknown."""
    connection.execute(
        update(OUTGOING)
        .where(OUTGOING.c.id.in_(messages))
        .values(attempts=OUTGOING.c.attempts + 1, tried_ms=now_ms, known=False)
    )


def published(connection: Connection, message: MessageId, digest: Digest, offset: int) -> None:
    """Note where a copy lies, unless the message was sealed anew meanwhile."""
    row = {"digest": digest, "offset": offset, "message": message}
    connection.execute(upsert(COPIES).values(row).on_conflict_do_nothing())
    connection.execute(update(OUTGOING).where(OUTGOING.c.id == message, OUTGOING.c.digest == digest).values(known=True))


def settle_copy(
    connection: Connection,
    message: MessageId,
    digest: Digest,
    offset: int,
    *,
    code: str | None,
    counted: bool,
    evidence: bytes | None,
) -> None:
    """Note the hub's word on one copy; the copy may be one whose offset we never learnt."""
    word = {"settled": True, "code": code, "counted": counted, "evidence": evidence}
    row = {"digest": digest, "offset": offset, "message": message, **word}
    connection.execute(upsert(COPIES).values(row).on_conflict_do_update(index_elements=["digest", "offset"], set_=word))


def copies(connection: Connection, digest: Digest) -> Sequence[Copy]:
    """All copies of one sealing, in the order of the log."""
    rows = connection.execute(select(COPIES).where(COPIES.c.digest == digest).order_by(COPIES.c.offset))
    return [Copy(row.offset, row.settled, row.code, row.counted) for row in rows]


def refusal_evidence(connection: Connection, digest: Digest, code: str) -> bytes | None:
    """The hub's newest receipt that refused a copy of this sealing with ``code``."""
    statement = (
        select(COPIES.c.evidence)
        .where(COPIES.c.digest == digest, COPIES.c.code == code)
        .order_by(COPIES.c.offset.desc())
        .limit(1)
    )
    return connection.execute(statement).scalar_one_or_none()


def thread_between(connection: Connection, peer: AuthorityId, message: MessageId) -> ThreadId | None:
    """The case of a message that came from ``peer``, or went to it."""
    came = select(INCOMING.c.thread).where(INCOMING.c.sender == peer, INCOMING.c.id == message)
    went = select(OUTGOING.c.thread).where(OUTGOING.c.recipient == peer, OUTGOING.c.id == message)
    thread = connection.execute(came).scalar_one_or_none() or connection.execute(went).scalar_one_or_none()
    return None if thread is None else ThreadId(thread)


def owner_of_copy(connection: Connection, digest: Digest) -> MessageId | None:
    """The message that an earlier sealing with this digest was of."""
    row = connection.execute(select(COPIES.c.message).where(COPIES.c.digest == digest).limit(1)).one_or_none()
    return None if row is None else MessageId(row.message)


def read_pair(connection: Connection, recipient: AuthorityId) -> PairState:
    """Where the chain to a recipient stands."""
    row = connection.execute(select(OUTGOING_PAIRS).where(OUTGOING_PAIRS.c.recipient == recipient)).one_or_none()
    if row is None:
        return PairState()
    return PairState(row.sequence, row.head, row.confirmed_sequence, row.confirmed_head, row.stalled)


def write_pair(connection: Connection, recipient: AuthorityId, pair: PairState) -> None:
    """Keep where the chain stands."""
    values = {
        "sequence": pair.sequence,
        "head": pair.head,
        "confirmed_sequence": pair.confirmed_sequence,
        "confirmed_head": pair.confirmed_head,
        "stalled": pair.stalled,
    }
    connection.execute(
        upsert(OUTGOING_PAIRS)
        .values({"recipient": recipient, **values})
        .on_conflict_do_update(index_elements=["recipient"], set_=values)
    )


def counts(connection: Connection) -> dict[str, int]:
    """How many messages of ours (receipt lists aside) are in each state."""
    statement = (
        select(OUTGOING.c.state, func.count().label("total"))
        .where(OUTGOING.c.type != MessageType.RECEIPT.value)
        .group_by(OUTGOING.c.state)
    )
    return {row.state: row.total for row in connection.execute(statement)}
