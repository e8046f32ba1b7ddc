"""A case as a document: what ``comity case show`` prints and what two databases are compared by. Metadata only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from hub.core.cases import Case, CaseMessage, Refusal, ReplyKey, Tally, levels, reply_times
from hub.core.clocks import Clock
from hub.core.entries import FlagEntry, IgnoredEntry
from hub.core.pairs import Pair
from hub.core.receipts import Level
from hub.core.times import format_time

EXPORT_VERSION: Final = "comity-case-view/1"


def case_document(case: Case) -> dict[str, Any]:
    """The case with all its parts; the same case always gives the same document."""
    replies = reply_times(case.messages)
    return {
        "case": case.head.key.thread,
        "parties": list(case.head.key.parties),
        "opened": format_time(case.head.opened_ms),
        "updated": format_time(case.head.updated_ms),
        "messages": [_message(message, replies) for message in case.messages],
        "clocks": [_clock(clock) for clock in case.clocks],
        "refusals": [_refusal(refusal) for refusal in case.refusals],
        "flags": [_flag(flag) for flag in case.flags],
        "ignored": [_ignored(ignored) for ignored in case.ignored],
    }


def export_lines(cases: Iterator[Case], tallies: Mapping[Pair, Tally]) -> Iterator[bytes]:
    """The canonical export of a case view: one JSON object a line, keys sorted. ``cases`` come in the order of keys."""
    yield _line({"v": EXPORT_VERSION})
    for case in cases:
        yield _line(case_document(case))
    for pair in sorted(tallies):
        tally = tallies[pair]
        yield _line(
            {
                "from": pair.sender,
                "to": pair.recipient,
                "accepted": tally.accepted,
                "refused": tally.refused,
                "repeated": tally.repeated,
                "receipts": tally.receipts,
                "misfits": tally.misfits,
            }
        )


def _line(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _message(message: CaseMessage, replies: Mapping[ReplyKey, int]) -> dict[str, Any]:
    reached = levels(message, replies)
    return {
        "id": message.message,
        "type": message.type.value,
        "from": message.pair.sender,
        "to": message.pair.recipient,
        "in_reply_to": message.in_reply_to,
        "sequence": message.sequence,
        "bytes": message.length,
        "attachments": message.attachments,
        "jws": message.jws,
        "outbox_offset": message.outbox_offset,
        **{level.value: _time(reached.get(level)) for level in Level},
        "refused": _time(message.refused_ms),
        "why": message.why,
    }


def _clock(clock: Clock) -> dict[str, Any]:
    return {
        "id": clock.id,
        "kind": clock.kind.value,
        "waits": clock.pair.sender,
        "owes": clock.pair.recipient,
        "message": clock.starter,
        "state": clock.state.value,
        "started": format_time(clock.started_ms),
        "due": format_time(clock.due_ms),
        "stopped": _time(clock.stopped_ms),
        "warned": list(clock.warned),
        "overdue_flag": clock.overdue_due_ms is not None,
        "met": clock.met.value if clock.met is not None else None,
    }


def _refusal(refusal: Refusal) -> dict[str, Any]:
    return {
        "time": format_time(refusal.outbox.time_ms),
        "id": refusal.message,
        "from": refusal.pair.sender,
        "to": refusal.pair.recipient,
        "code": refusal.code,
        "counted": refusal.counted,
        "outbox_offset": refusal.outbox.offset,
    }


def _flag(flag: FlagEntry) -> dict[str, Any]:
    return {
        "time": format_time(flag.time_ms),
        "id": flag.id,
        "flag": flag.flag.value,
        "percent": flag.percent,
        "clock": flag.clock,
        "waits": flag.pair.sender,
        "owes": flag.pair.recipient,
        "due": format_time(flag.due_ms),
    }


def _ignored(ignored: IgnoredEntry) -> dict[str, Any]:
    return {
        "time": format_time(ignored.time_ms),
        "id": ignored.id,
        "clock": ignored.clock,
        "message": ignored.message,
        "from": ignored.pair.sender,
        "to": ignored.pair.recipient,
        "code": ignored.code,
    }


def _time(time_ms: int | None) -> str | None:
    return None if time_ms is None else format_time(time_ms)
