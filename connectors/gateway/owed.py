"""Receipts that we owe to others, until a receipt list of ours carries them. SQL only; nothing is decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, func, select, update

from connectors.gateway.statements import Change, Query, addition
from connectors.gateway.tables import RECEIPTS
from hub.core.ids import AuthorityId, Digest, MessageId, ThreadId
from hub.core.limits import RECEIPTS_PER_MANIFEST_MAX
from hub.core.manifest import ReceiptLevel, ReceiptReference

_ADD: Final = Change(addition(RECEIPTS))
_COUNTS: Final = Query(
    select(RECEIPTS.c.peer, func.count().label("total"))
    .where(RECEIPTS.c.list.is_(None))
    .group_by(RECEIPTS.c.peer)
    .order_by(RECEIPTS.c.peer)
)
_OLDEST: Final = (
    select(RECEIPTS.c.n)
    .where(RECEIPTS.c.list.is_(None), RECEIPTS.c.peer == bindparam("to"))
    .order_by(RECEIPTS.c.n)
    .limit(RECEIPTS_PER_MANIFEST_MAX)
)
_TAKE: Final = Change(update(RECEIPTS).where(RECEIPTS.c.n.in_(_OLDEST)).values(list=bindparam("carrier")))
_OF_LIST: Final = Query(select(RECEIPTS).where(RECEIPTS.c.list == bindparam("carrier")).order_by(RECEIPTS.c.n))


@dataclass(frozen=True, slots=True, kw_only=True)
class OwedReceipt:
    """A receipt to ``peer`` about its message: ``proof`` that it was opened, or ``why`` it was refused."""

    peer: AuthorityId
    message: MessageId
    thread: ThreadId
    level: ReceiptLevel
    proof: Digest | None = None
    why: str | None = None


def add(connection: Connection, receipts: Sequence[OwedReceipt]) -> None:
    """Owe these; each level of a message is said once."""
    rows = [
        {
            "peer": each.peer,
            "message": each.message,
            "thread": each.thread,
            "level": each.level.value,
            "proof": each.proof,
            "why": each.why,
            "list": None,
        }
        for each in receipts
    ]
    _ADD.run_all(connection, rows)


def counts(connection: Connection) -> Mapping[AuthorityId, int]:
    """To whom receipts are owed, and how many."""
    return {AuthorityId(row.peer): row.total for row in _COUNTS.rows(connection)}


def take(connection: Connection, peer: AuthorityId, receipt_list: MessageId) -> int:
    """The oldest receipts owed to ``peer``, at most one list full, are carried by ``receipt_list`` now; how many."""
    return _TAKE.run(connection, to=peer, carrier=receipt_list)


def references(connection: Connection, receipt_list: MessageId) -> tuple[ReceiptReference, ...]:
    """What a receipt list of ours says."""
    rows = _OF_LIST.rows(connection, carrier=receipt_list)
    return tuple(
        ReceiptReference(ReceiptLevel(row.level), MessageId(row.message), ThreadId(row.thread), row.proof, row.why)
        for row in rows
    )


def owe_again(connection: Connection, receipt_list: MessageId) -> None:
    """The list failed after it used up its number: its receipts go into a new one."""
    connection.execute(update(RECEIPTS).where(RECEIPTS.c.list == receipt_list).values(list=None))
