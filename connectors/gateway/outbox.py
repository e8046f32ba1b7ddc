"""The durable outbox: rows of messages of ours and their bytes. SQL only; nothing is decided.

Every function works within the caller's transaction, and on many messages at once where many come at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, func, or_, select, update

from connectors.gateway.drafts import KeptDraft, decode_draft, encode_draft
from connectors.gateway.statements import Change, Query, insertion, one_of, replacement
from connectors.gateway.store import Vault
from connectors.gateway.tables import DRAFTS, INCOMING, OUTGOING, SEALED
from connectors.ports import HandIn
from connectors.seal.sealing import Sealed
from hub.core.ids import AuthorityId, Digest, MessageId, ThreadId
from hub.core.manifest import MessageType


class OutgoingMessage(NamedTuple):
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

_BY_TAG: Final = Query(select(*_SHOWN, OUTGOING.c.hand_in, OUTGOING.c.tag).where(one_of(OUTGOING.c.tag, "tags")))
_USED: Final = Query(select(OUTGOING.c.id).where(one_of(OUTGOING.c.id, "ids")))
_ADD: Final = Change(insertion(OUTGOING))
_ADD_DRAFTS: Final = Change(insertion(DRAFTS))
_NAMES: Final = Query(
    select(OUTGOING.c.id, OUTGOING.c.name).where(one_of(OUTGOING.c.id, "ids"), OUTGOING.c.name.is_not(None))
)
_DRAFTS: Final = Query(select(*_SHOWN).where(OUTGOING.c.state == "draft").order_by(OUTGOING.c.n))
_BY_ID: Final = Query(select(*_SHOWN).where(one_of(OUTGOING.c.id, "ids")))
_BY_DIGEST: Final = Query(select(*_SHOWN).where(one_of(OUTGOING.c.digest, "digests")))
_READY_RECIPIENTS: Final = Query(
    select(OUTGOING.c.recipient, func.count().label("total"))
    .where(OUTGOING.c.state == "ready")
    .group_by(OUTGOING.c.recipient)
    .order_by(func.min(OUTGOING.c.n))
)
_REPLYING: Final = Query(
    select(OUTGOING.c.recipient).where(OUTGOING.c.state == "ready", OUTGOING.c.in_reply_to.is_not(None)).distinct()
)
_NEXT_READY: Final = Query(
    select(*_SHOWN, DRAFTS.c.draft)
    .join_from(OUTGOING, DRAFTS, OUTGOING.c.id == DRAFTS.c.id, isouter=True)
    .where(OUTGOING.c.state == "ready", OUTGOING.c.recipient == bindparam("to"))
    .order_by((OUTGOING.c.type == MessageType.RECEIPT.value).desc(), OUTGOING.c.n)
    .limit(bindparam("count_max"))
)
_LOWEST: Final = Query(
    select(OUTGOING.c.recipient, func.min(OUTGOING.c.sequence).label("lowest"))
    .where(OUTGOING.c.state == "sealed", one_of(OUTGOING.c.recipient, "recipients"))
    .group_by(OUTGOING.c.recipient)
)
_STORE_SEALED: Final = Change(
    update(OUTGOING)
    .where(OUTGOING.c.id == bindparam("message"), OUTGOING.c.state == "ready")
    .values(
        state="sealed",
        sequence=bindparam("new_sequence"),
        digest=bindparam("new_digest"),
        proof=bindparam("new_proof"),
        seals=OUTGOING.c.seals + 1,
        attempts=1,
        tried_ms=bindparam("now_ms"),
        known=False,
    )
)
_STORE_BYTES: Final = Change(replacement(SEALED, "id"))
_SET_STATES: Final = Change(
    update(OUTGOING)
    .where(one_of(OUTGOING.c.id, "ids"))
    .values(state=bindparam("new_state"), code=bindparam("new_code"))
)

_NEW: Final[Mapping[str, Any]] = {
    **dict.fromkeys(column.name for column in OUTGOING.columns),
    "seals": 0,
    "attempts": 0,
    "known": False,
}
"""A row before anything is known of it."""


def _message(row: Any) -> OutgoingMessage:  # noqa: ANN401 (rows have no common type)
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
        known=bool(row.known),
        code=row.code,
    )


def _draft_context(message: str) -> str:
    return f"drafts.draft.{message}"


def _name_context(message: str) -> str:
    return f"outgoing.name.{message}"


# --- hand-ins and drafts --------------------------------------------------------------------------


def known_hand_ins(
    connection: Connection, vault: Vault, hand_ins: Iterable[HandIn]
) -> dict[str, tuple[OutgoingMessage, Digest]]:
    """By key, the message that each of these hand-ins became before, and the digest that it had."""
    tags = {vault.tag(each.key): each.key for each in hand_ins}
    rows = _BY_TAG.rows(connection, tags=tags)
    return {tags[row.tag]: (_message(row), row.hand_in) for row in rows}


def used_ids(connection: Connection, messages: Iterable[str]) -> set[MessageId]:
    """Which of these ids a message of ours has."""
    return {MessageId(row.id) for row in _USED.rows(connection, ids=messages)}


def add_drafts(connection: Connection, vault: Vault, drafts: Sequence[tuple[KeptDraft, Digest]]) -> None:
    """Keep new hand-ins with their digests."""
    if not drafts:
        return
    rows = [
        {
            **_NEW,
            "id": draft.id,
            "tag": vault.tag(draft.key),
            "hand_in": digest,
            "type": draft.type.value,
            "recipient": draft.recipient,
            "thread": draft.thread,
            "in_reply_to": draft.in_reply_to,
            "state": "draft" if draft.files else "ready",
            "name": vault.protect(draft.key.encode("utf-8", "surrogateescape"), _name_context(draft.id)),
        }
        for draft, digest in drafts
    ]
    _ADD.run_all(connection, rows)
    _ADD_DRAFTS.run_all(connection, [_draft_row(vault, draft) for draft, _ in drafts])


def _draft_row(vault: Vault, draft: KeptDraft) -> dict[str, str | bytes]:
    return {"id": draft.id, "draft": vault.protect(encode_draft(draft), _draft_context(draft.id))}


def read_draft(connection: Connection, vault: Vault, message: MessageId) -> KeptDraft:
    """The draft of a message that was handed in."""
    kept = connection.execute(select(DRAFTS.c.draft).where(DRAFTS.c.id == message)).scalar_one()
    return decode_draft(vault.unprotect(kept, _draft_context(message)))


def names(connection: Connection, vault: Vault, messages: Iterable[str]) -> dict[str, str]:
    """The hand-in's name of each of these messages that is one of ours and no receipt list."""
    return {
        row.id: vault.unprotect(row.name, _name_context(row.id)).decode("utf-8", "surrogateescape")
        for row in _NAMES.rows(connection, ids=messages)
    }


def uploaded(connection: Connection, vault: Vault, draft: KeptDraft) -> None:
    """All files of the draft lie encrypted in the object store: it may be sealed."""
    statement = update(OUTGOING).where(OUTGOING.c.id == draft.id, OUTGOING.c.state == "draft").values(state="ready")
    if connection.execute(statement).rowcount:
        connection.execute(update(DRAFTS).where(DRAFTS.c.id == draft.id).values(_draft_row(vault, draft)))


def drafts(connection: Connection) -> Sequence[OutgoingMessage]:
    """Messages whose files are not uploaded yet."""
    return [_message(row) for row in _DRAFTS.rows(connection)]


def add_receipt_list(connection: Connection, message: MessageId, recipient: AuthorityId) -> None:
    """A receipt list, ready to be sealed; ``owed.references`` says what is in it."""
    row = {"id": message, "type": MessageType.RECEIPT.value, "recipient": recipient, "state": "ready"}
    _ADD.run_all(connection, [{**_NEW, **row}])


# --- messages -------------------------------------------------------------------------------------


def find(connection: Connection, message: str) -> OutgoingMessage | None:
    """The message of this id."""
    return find_all(connection, [message]).get(message)


def find_all(connection: Connection, messages: Iterable[str]) -> dict[str, OutgoingMessage]:
    """By id, those of these messages that are ours."""
    return {row.id: _message(row) for row in _BY_ID.rows(connection, ids=messages)}


def find_sealed(connection: Connection, digests: Iterable[Digest]) -> dict[Digest, OutgoingMessage]:
    """By digest, the messages whose newest sealing has one of these."""
    return {row.digest: _message(row) for row in _BY_DIGEST.rows(connection, digests=digests)}


def ready_recipients(connection: Connection) -> Mapping[AuthorityId, int]:
    """To whom something waits to be sealed, longest waiting first, and how much."""
    return {AuthorityId(row.recipient): row.total for row in _READY_RECIPIENTS.rows(connection)}


def replying_recipients(connection: Connection) -> set[AuthorityId]:
    """To whom a reply waits to be sealed."""
    return {AuthorityId(row.recipient) for row in _REPLYING.rows(connection)}


def next_ready(
    connection: Connection, vault: Vault, recipient: AuthorityId, *, count_max: int
) -> Sequence[tuple[OutgoingMessage, KeptDraft | None]]:
    """The next messages to seal for a recipient, with their drafts; a receipt list has none.

    Receipt lists go first: levels come in order (protocol section 3).
    """
    return [
        (
            _message(row),
            None if row.draft is None else decode_draft(vault.unprotect(row.draft, _draft_context(row.id))),
        )
        for row in _NEXT_READY.rows(connection, to=recipient, count_max=count_max)
    ]


def in_flight(connection: Connection, recipient: AuthorityId) -> Sequence[OutgoingMessage]:
    """Sealed messages of a pair that the hub has not answered, in the pair's order."""
    statement = select(*_SHOWN).where(OUTGOING.c.state == "sealed", OUTGOING.c.recipient == recipient)
    return [_message(row) for row in connection.execute(statement.order_by(OUTGOING.c.sequence))]


def lowest_in_flight(connection: Connection, recipients: Iterable[AuthorityId]) -> Mapping[AuthorityId, int]:
    """The first number of each pair that the hub has not answered."""
    rows = _LOWEST.rows(connection, recipients=recipients)
    return {AuthorityId(row.recipient): row.lowest for row in rows}


def store_sealed(connection: Connection, messages: Sequence[Sealed], *, now_ms: int) -> None:
    """Keep the bytes that are published now, and will be published again: exactly these. The attempt is noted too."""
    if not messages:
        return
    rows = [
        {
            "message": each.manifest.id,
            "new_sequence": each.manifest.sequence,
            "new_digest": each.digest,
            "new_proof": each.proof,
            "now_ms": now_ms,
        }
        for each in messages
    ]
    _STORE_SEALED.run_all(connection, rows)
    stored = [{"id": each.manifest.id, "jws": each.jws, "value": each.value} for each in messages]
    _STORE_BYTES.run_all(connection, stored)


def set_states(connection: Connection, messages: Iterable[MessageId], state: str, code: str | None = None) -> None:
    """Accepted or failed, or ready to be sealed again."""
    _SET_STATES.run(connection, ids=messages, new_state=state, new_code=code)


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Sealed bytes without an answer, and when they were last published, how often."""

    id: MessageId
    recipient: AuthorityId
    digest: Digest
    record_key: str
    jws: bytes
    value: bytes
    attempts: int
    tried_ms: int


def unanswered(connection: Connection, *, tried_before_ms: int, count_max: int) -> Sequence[Unanswered]:
    """What was last published before ``tried_before_ms``; in the order of the pairs."""
    statement = (
        select(
            OUTGOING.c.id,
            OUTGOING.c.recipient,
            OUTGOING.c.digest,
            OUTGOING.c.thread,
            SEALED.c.jws,
            SEALED.c.value,
            OUTGOING.c.attempts,
            OUTGOING.c.tried_ms,
        )
        .join_from(OUTGOING, SEALED, OUTGOING.c.id == SEALED.c.id)
        .where(
            OUTGOING.c.state == "sealed",
            or_(OUTGOING.c.tried_ms.is_(None), OUTGOING.c.tried_ms <= tried_before_ms),
        )
        .order_by(OUTGOING.c.recipient, OUTGOING.c.sequence)
        .limit(count_max)
    )
    return [
        Unanswered(
            MessageId(row.id),
            AuthorityId(row.recipient),
            row.digest,
            row.thread or row.id,
            row.jws,
            row.value,
            row.attempts,
            row.tried_ms or 0,
        )
        for row in connection.execute(statement)
    ]


def trying(connection: Connection, messages: Sequence[MessageId], now_ms: int) -> None:
    """Note an attempt before it is made: its outcome may stay unknown."""
    connection.execute(
        update(OUTGOING)
        .where(OUTGOING.c.id.in_(messages))
        .values(attempts=OUTGOING.c.attempts + 1, tried_ms=now_ms, known=False)
    )


def thread_between(connection: Connection, peer: AuthorityId, message: MessageId) -> ThreadId | None:
    """The case of a message that came from ``peer``, or went to it."""
    came = select(INCOMING.c.thread).where(INCOMING.c.sender == peer, INCOMING.c.id == message)
    went = select(OUTGOING.c.thread).where(OUTGOING.c.recipient == peer, OUTGOING.c.id == message)
    thread = connection.execute(came).scalar_one_or_none() or connection.execute(went).scalar_one_or_none()
    return None if thread is None else ThreadId(thread)


def counts(connection: Connection) -> dict[str, int]:
    """How many messages of ours (receipt lists aside) are in each state."""
    statement = (
        select(OUTGOING.c.state, func.count().label("total"))
        .where(OUTGOING.c.type != MessageType.RECEIPT.value)
        .group_by(OUTGOING.c.state)
    )
    return {row.state: row.total for row in connection.execute(statement)}
