"""Published copies of ours, the hub's word on each, and where each pair stands. SQL only; nothing is decided.

Every function works within the caller's transaction. Statements are made once: SQLAlchemy takes longer to make one than
to run it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from connectors.gateway.outgoing import Copy, PairState
from connectors.gateway.tables import COPIES, OUTGOING, OUTGOING_PAIRS
from hub.core.ids import AuthorityId, Digest, MessageId

_PUBLISH: Final = upsert(COPIES).on_conflict_do_nothing()
_KNOWN: Final = (
    update(OUTGOING)
    .where(OUTGOING.c.id == bindparam("of"), OUTGOING.c.digest == bindparam("sealing"))
    .values(known=True)
)
_NEW_WORD: Final = upsert(COPIES)
_SETTLE: Final = _NEW_WORD.on_conflict_do_update(
    index_elements=["digest", "offset"],
    set_={name: _NEW_WORD.excluded[name] for name in ("settled", "code", "counted", "evidence")},
)
_OF_SEALING: Final = select(COPIES).where(COPIES.c.digest == bindparam("sealing")).order_by(COPIES.c.offset)
_OWNERS: Final = select(COPIES.c.digest, COPIES.c.message).where(
    COPIES.c.digest.in_(bindparam("digests", expanding=True))
)
_PAIRS: Final = select(OUTGOING_PAIRS).where(OUTGOING_PAIRS.c.recipient.in_(bindparam("recipients", expanding=True)))
_NEW_PAIR: Final = upsert(OUTGOING_PAIRS)
_WRITE_PAIRS: Final = _NEW_PAIR.on_conflict_do_update(
    index_elements=["recipient"],
    set_={each.name: _NEW_PAIR.excluded[each.name] for each in OUTGOING_PAIRS.c if each.name != "recipient"},
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a copy of a message of ours lies in our outbox."""

    message: MessageId
    digest: Digest
    offset: int


def published(connection: Connection, places: Sequence[Place]) -> None:
    """Note where copies lie; a message that was sealed anew meanwhile has other bytes now."""
    rows = [{"digest": each.digest, "offset": each.offset, "message": each.message} for each in places]
    connection.execute(_PUBLISH, rows)
    connection.execute(_KNOWN, [{"of": each.message, "sealing": each.digest} for each in places])


def settle(
    connection: Connection,
    places: Sequence[Place],
    *,
    code: str | None,
    counted: bool,
    evidence: bytes | None,
) -> None:
    """Note the hub's word on copies; a copy may be one whose offset we never learnt."""
    word = {"settled": True, "code": code, "counted": counted, "evidence": evidence}
    rows = [{"digest": each.digest, "offset": each.offset, "message": each.message, **word} for each in places]
    connection.execute(_SETTLE, rows)


def of_sealing(connection: Connection, digest: Digest) -> Sequence[Copy]:
    """All copies of one sealing, in the order of the log."""
    rows = connection.execute(_OF_SEALING, {"sealing": digest})
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


def owners(connection: Connection, digests: Iterable[Digest]) -> dict[Digest, MessageId]:
    """By digest, the message that a published sealing, also an earlier one, was of."""
    rows = connection.execute(_OWNERS, {"digests": list(digests)})
    return {row.digest: MessageId(row.message) for row in rows}


# --- pairs ----------------------------------------------------------------------------------------


def read_pair(connection: Connection, recipient: AuthorityId) -> PairState:
    """Where the chain to a recipient stands."""
    return read_pairs(connection, [recipient])[recipient]


def read_pairs(connection: Connection, recipients: Iterable[AuthorityId]) -> dict[AuthorityId, PairState]:
    """Where the chain to each of these recipients stands."""
    wanted = list(recipients)
    rows = connection.execute(_PAIRS, {"recipients": wanted})
    found = {
        row.recipient: PairState(row.sequence, row.head, row.confirmed_sequence, row.confirmed_head, row.stalled)
        for row in rows
    }
    return {recipient: found.get(recipient, PairState()) for recipient in wanted}


def write_pairs(connection: Connection, pairs: Mapping[AuthorityId, PairState]) -> None:
    """Keep where these chains stand."""
    rows = [
        {
            "recipient": recipient,
            "sequence": pair.sequence,
            "head": pair.head,
            "confirmed_sequence": pair.confirmed_sequence,
            "confirmed_head": pair.confirmed_head,
            "stalled": pair.stalled,
        }
        for recipient, pair in pairs.items()
    ]
    if rows:
        connection.execute(_WRITE_PAIRS, rows)
