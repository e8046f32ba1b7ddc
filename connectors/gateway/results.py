"""What the national system must still be told: stored with the fact itself, told until it was taken. SQL only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from connectors.gateway.statements import Change, Query, addition, one_of
from connectors.gateway.tables import EVIDENCE, RESULTS
from connectors.ports import Evidence, Step
from hub.core.ids import Digest, MessageId, sha256

Facts = Mapping[str, str | int | None]

STEP = "step"
PROBLEM = "problem"
NOTICE = "notice"

_ADD: Final = Change(addition(RESULTS))
_ADD_EVIDENCE: Final = Change(addition(EVIDENCE))
_UNTOLD: Final = Query(
    select(RESULTS).where(RESULTS.c.told.is_(False)).order_by(RESULTS.c.n).limit(bindparam("count_max"))
)
_EVIDENCE: Final = Query(select(EVIDENCE).where(one_of(EVIDENCE.c.id, "ids")))
_TOLD: Final = Change(update(RESULTS).where(RESULTS.c.n == bindparam("number")).values(told=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One thing to tell, once for each ``name``. ``facts`` hold codes, ids and times, never content."""

    name: str
    kind: str
    message: MessageId | None
    facts: Facts
    evidence: Evidence | None


def step(message: MessageId, reached: Step, *, time_ms: int, evidence: Evidence, by: MessageId | None = None) -> Result:
    """A level was reached; the first proof of a level is the one that is told."""
    facts: Facts = {"step": reached.value, "time_ms": time_ms, "by": by}
    return Result(name=f"{message}.{reached.value}", kind=STEP, message=message, facts=facts, evidence=evidence)


def problem(message: MessageId, *, code: str, sentence: str, evidence: Evidence | None) -> Result:
    """A message has failed."""
    facts: Facts = {"code": code, "sentence": sentence}
    return Result(name=f"{message}.problem.{code}", kind=PROBLEM, message=message, facts=facts, evidence=evidence)


def notice(notice_id: str, kind: str, facts: Facts, evidence: Evidence) -> Result:
    """The hub said something on its own; ``notice_id`` is its derived id."""
    shown: Facts = {"id": notice_id, "kind": kind, **facts}
    return Result(name=f"notice.{notice_id}", kind=NOTICE, message=None, facts=shown, evidence=evidence)


def add(connection: Connection, results: Sequence[Result]) -> None:
    """Keep what is to be told, each name once."""
    if not results:
        return
    proofs = _add_evidence(connection, [each.evidence for each in results if each.evidence is not None])
    rows = [
        {
            "name": each.name,
            "kind": each.kind,
            "message": each.message,
            "facts": json.dumps(dict(each.facts)),
            "evidence": None if each.evidence is None else proofs[each.evidence],
            "told": False,
        }
        for each in results
    ]
    _ADD.run_all(connection, rows)


def _add_evidence(connection: Connection, proofs: Sequence[Evidence]) -> Mapping[Evidence, Digest]:
    ids: dict[Evidence, Digest] = {}
    rows = []
    for each in proofs:
        if each not in ids:
            data = each.text.encode()
            ids[each] = sha256(data)
            rows.append({"id": ids[each], "kind": each.kind, "bytes": data})
    _ADD_EVIDENCE.run_all(connection, rows)
    return ids


def untold(connection: Connection, *, count_max: int) -> Sequence[tuple[int, Result]]:
    """What is still to be told with its number, oldest first."""
    rows = _UNTOLD.rows(connection, count_max=count_max)
    wanted = {row.evidence for row in rows if row.evidence is not None}
    found = _EVIDENCE.rows(connection, ids=wanted) if wanted else []
    proofs = {row.id: Evidence(row.kind, row.bytes.decode()) for row in found}
    return [
        (
            row.n,
            Result(
                name=row.name,
                kind=row.kind,
                message=row.message,
                facts=json.loads(row.facts),
                evidence=None if row.evidence is None else proofs[row.evidence],
            ),
        )
        for row in rows
    ]


def told(connection: Connection, numbers: Sequence[int]) -> None:
    """The national system has these."""
    _TOLD.run_all(connection, [{"number": number} for number in numbers])
