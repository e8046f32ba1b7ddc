"""What the national system must still be told: stored with the fact itself, told until it was taken. SQL only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from connectors.gateway.tables import RECEIPTS, RESULTS
from connectors.ports import Evidence, Step
from hub.core.ids import AuthorityId, Digest, MessageId, ThreadId
from hub.core.limits import RECEIPTS_PER_MANIFEST_MAX
from hub.core.manifest import ReceiptLevel, ReceiptReference

Facts = Mapping[str, str | int | None]

STEP = "step"
PROBLEM = "problem"
NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Result:
    """One thing to tell. ``facts`` hold codes, ids and times; the hand-in's name is in the message's draft."""

    n: int
    name: str
    kind: str
    message: MessageId | None
    facts: Facts
    evidence: Evidence | None


def _add(
    connection: Connection,
    name: str,
    *,
    kind: str,
    message: MessageId | None,
    facts: Facts,
    evidence: Evidence | None,
) -> None:
    row = {
        "name": name,
        "kind": kind,
        "message": message,
        "facts": json.dumps(dict(facts)),
        "evidence_kind": None if evidence is None else evidence.kind,
        "evidence": None if evidence is None else evidence.text.encode(),
        "told": False,
    }
    connection.execute(upsert(RESULTS).values(row).on_conflict_do_nothing())


def add_step(
    connection: Connection,
    message: MessageId,
    step: Step,
    *,
    time_ms: int,
    evidence: Evidence,
    by: MessageId | None = None,
) -> None:
    """A level was reached; the first proof of a level is the one that is told."""
    facts: Facts = {"step": step.value, "time_ms": time_ms, "by": by}
    _add(connection, f"{message}.{step.value}", kind=STEP, message=message, facts=facts, evidence=evidence)


def add_problem(
    connection: Connection, message: MessageId, *, code: str, sentence: str, evidence: Evidence | None
) -> None:
    """A message has failed."""
    facts: Facts = {"code": code, "sentence": sentence}
    _add(connection, f"{message}.problem.{code}", kind=PROBLEM, message=message, facts=facts, evidence=evidence)


def add_notice(connection: Connection, notice: str, kind: str, facts: Facts, evidence: Evidence) -> None:
    """The hub said something on its own; ``notice`` is its derived id."""
    shown: Facts = {"id": notice, "kind": kind, **facts}
    _add(connection, f"notice.{notice}", kind=NOTICE, message=None, facts=shown, evidence=evidence)


def untold(connection: Connection, *, count_max: int) -> Sequence[Result]:
    """What is still to be told, oldest first."""
    rows = connection.execute(select(RESULTS).where(RESULTS.c.told.is_(False)).order_by(RESULTS.c.n).limit(count_max))
    return [
        Result(
            row.n,
            row.name,
            row.kind,
            row.message,
            json.loads(row.facts),
            None if row.evidence_kind is None else Evidence(row.evidence_kind, row.evidence.decode()),
        )
        for row in rows
    ]


def told(connection: Connection, result: Result) -> None:
    """The national system has it."""
    connection.execute(update(RESULTS).where(RESULTS.c.n == result.n).values(told=True))


def owe_receipt(
    connection: Connection,
    peer: AuthorityId,
    message: MessageId,
    thread: ThreadId,
    level: ReceiptLevel,
    *,
    proof: Digest | None = None,
    why: str | None = None,
) -> None:
    """Queue a receipt to ``peer`` about its message; each level is said once."""
    row = {
        "peer": peer,
        "message": message,
        "thread": thread,
        "level": level.value,
        "proof": proof,
        "why": why,
    }
    connection.execute(upsert(RECEIPTS).values(row).on_conflict_do_nothing())


def owed_peers(connection: Connection) -> Sequence[AuthorityId]:
    """To whom receipts are owed."""
    statement = select(RECEIPTS.c.peer).where(RECEIPTS.c.list.is_(None)).distinct().order_by(RECEIPTS.c.peer)
    return [AuthorityId(peer) for peer in connection.execute(statement).scalars()]


def take_owed(connection: Connection, peer: AuthorityId, receipt_list: MessageId) -> tuple[ReceiptReference, ...]:
    """The oldest owed receipts to ``peer``, at most one list full, now carried by ``receipt_list``."""
    rows = connection.execute(
        select(RECEIPTS)
        .where(RECEIPTS.c.peer == peer, RECEIPTS.c.list.is_(None))
        .order_by(RECEIPTS.c.n)
        .limit(RECEIPTS_PER_MANIFEST_MAX)
    ).all()
    connection.execute(update(RECEIPTS).where(RECEIPTS.c.n.in_([row.n for row in rows])).values(list=receipt_list))
    return tuple(
        ReceiptReference(ReceiptLevel(row.level), MessageId(row.message), ThreadId(row.thread), row.proof, row.why)
        for row in rows
    )


def owe_again(connection: Connection, receipt_list: MessageId) -> None:
    """The list failed after it used up its number: its receipts go into a new one."""
    connection.execute(update(RECEIPTS).where(RECEIPTS.c.list == receipt_list).values(list=None))
