"""Published copies of ours, the hub's word on each, and where each pair stands. SQL only; nothing is decided.

Every function works within the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from connectors.gateway.outgoing import Copy, PairState
from connectors.gateway.statements import Change, Query, addition, one_of, replacement
from connectors.gateway.tables import COPIES, OUTGOING, OUTGOING_PAIRS
from hub.core.ids import AuthorityId, Digest, MessageId

_PUBLISH: Final = Change(addition(COPIES))
_KNOWN: Final = Change(
    update(OUTGOING)
    .where(OUTGOING.c.id == bindparam("of"), OUTGOING.c.digest == bindparam("sealing"))
    .values(known=True)
)
_SETTLE: Final = Change(replacement(COPIES, "digest", "offset"))
_OF_SEALING: Final = Query(select(COPIES).where(COPIES.c.digest == bindparam("sealing")).order_by(COPIES.c.offset))
_OWNERS: Final = Query(select(COPIES.c.digest, COPIES.c.message).where(one_of(COPIES.c.digest, "digests")))
_PAIRS: Final = Query(select(OUTGOING_PAIRS).where(one_of(OUTGOING_PAIRS.c.recipient, "recipients")))
_WRITE_PAIRS: Final = Change(replacement(OUTGOING_PAIRS, "recipient"))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a copy of a message of ours lies in our outbox."""

    message: MessageId
    digest: Digest
    offset: int


def published(connection: Connection, places: Sequence[Place]) -> None:
    """Note where copies lie; a message that was sealed anew meanwhile has other bytes now."""
    word = {"settled": False, "code": None, "counted": False, "evidence": None}
    rows = [{"digest": each.digest, "offset": each.offset, "message": each.message, **word} for each in places]
    _PUBLISH.run_all(connection, rows)
    _KNOWN.run_all(connection, [{"of": each.message, "sealing": each.digest} for each in places])


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
    _SETTLE.run_all(connection, rows)


def of_sealing(connection: Connection, digest: Digest) -> Sequence[Copy]:
    """All copies of one sealing, in the order of the log."""
    rows = _OF_SEALING.rows(connection, sealing=digest)
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
    rows = _OWNERS.rows(connection, digests=digests)
    return {row.digest: MessageId(row.message) for row in rows}


# --- pairs ----------------------------------------------------------------------------------------


def read_pair(connection: Connection, recipient: AuthorityId) -> PairState:
    """Where the chain to a recipient stands."""
    return read_pairs(connection, [recipient])[recipient]


def read_pairs(connection: Connection, recipients: Iterable[AuthorityId]) -> dict[AuthorityId, PairState]:
    """Where the chain to each of these recipients stands."""
    wanted = list(recipients)
    rows = _PAIRS.rows(connection, recipients=wanted)
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
    _WRITE_PAIRS.run_all(connection, rows)
