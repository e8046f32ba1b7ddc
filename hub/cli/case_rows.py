"""Cases as rows for people and programs: pure, ``now`` is an argument. Metadata only: the hub knows nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from hub.core.cases import Case, CaseMessage, levels, reply_times
from hub.core.clocks import Clock, ClockState, Flag
from hub.core.manifest import MessageType
from hub.core.receipts import Level
from hub.core.timekeeping import OPEN_STATES
from hub.core.times import format_time

CASE_DIGITS: Final = 12  # of a thread's 32: enough to tell cases apart, and to find one by
LIST_COLUMNS: Final = ("case", "parties", "state", "messages", "updated", "waits", "owes", "due", "overdue", "late")
WAITING_COLUMNS: Final = ("case", "waits", "owes", "clock", "state", "due", "left", "level")
OVERDUE_COLUMNS: Final = ("case", "waits", "owes", "clock", "due", "since", "flagged", "level")
MESSAGE_COLUMNS: Final = ("type", "from", "to", *(level.value for level in Level), "refused", "why", "id")
TIMELINE_COLUMNS: Final = ("time", "event", "from", "to", "detail", "id")

_SECONDS: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def list_row(case: Case, now_ms: int) -> dict[str, Any]:
    """One line of ``comity case list``: the newest request's state, and the open clock that is due first."""
    open_clocks = sorted((clock for clock in case.clocks if clock.state in OPEN_STATES), key=lambda each: each.due_ms)
    first = open_clocks[0] if open_clocks else None
    return {
        "case": case.head.key.thread,
        "parties": " ".join(case.head.key.parties),
        "state": _state(case),
        "messages": len(case.messages),
        "opened": format_time(case.head.opened_ms),
        "updated": format_time(case.head.updated_ms),
        "waits": first.pair.sender if first else None,
        "owes": first.pair.recipient if first else None,
        "due": format_time(first.due_ms) if first else None,
        "overdue": len(case.overdue(now_ms)),
        "late": sum(clock.met is Flag.MET_LATE for clock in case.clocks),
    }


def waiting_rows(cases: Iterable[Case], now_ms: int) -> list[dict[str, Any]]:
    """Every open clock, the one that is due first at the top."""
    found = [(case, clock) for case in cases for clock in case.clocks if clock.state in OPEN_STATES]
    return [
        _clock_row(case, clock) | {"state": clock.state.value, "left_seconds": (clock.due_ms - now_ms) // 1000}
        for case, clock in sorted(found, key=_due_first)
    ]


def overdue_rows(cases: Iterable[Case], now_ms: int) -> list[dict[str, Any]]:
    """Every clock that runs past its due time, the longest overdue first, and when both sides were told."""
    found = [(case, clock) for case in cases for clock in case.overdue(now_ms)]
    return [
        _clock_row(case, clock) | {"flagged": _flagged(case, clock), "since_seconds": (now_ms - clock.due_ms) // 1000}
        for case, clock in sorted(found, key=_due_first)
    ]


def timeline_rows(case: Case) -> list[dict[str, Any]]:
    """Everything that happened in a case, in the order of the log's times."""
    events = [*_message_events(case), *_clock_events(case), *_told_events(case)]
    ordered = sorted(events, key=lambda event: event[0])
    return [{"time": format_time(time_ms)} | row for time_ms, row in ordered]


def short_case(row: dict[str, Any]) -> dict[str, Any]:
    """The row for a table: a few digits of each id, durations in words, a dash for none."""
    short = dict(row)
    if "case" in short:
        short["case"] = str(short["case"])[:CASE_DIGITS]
    if "id" in short:
        short["id"] = str(short["id"])[-CASE_DIGITS:]  # a UUIDv7 begins with the time, and ends with chance
    for name in ("left", "since"):
        if f"{name}_seconds" in row:
            short[name] = span(row[f"{name}_seconds"])
    for name in ("overdue", "late"):
        if name in row:
            short[name] = row[name] or None
    return short


def span(seconds: int) -> str:
    """A duration in its two largest units: ``2 d 3 h``, ``-45 s``."""
    sign, rest = ("-", -seconds) if seconds < 0 else ("", seconds)
    parts: list[str] = []
    for unit, size in _SECONDS:
        count, rest = divmod(rest, size)
        if (count or parts) and len(parts) < 2:  # noqa: PLR2004 (two units are what a person reads)
            parts.append(f"{count} {unit}")
    return sign + (" ".join(part for part in parts if not part.startswith("0 ")) or "0 s")


def _due_first(found: tuple[Case, Clock]) -> tuple[int, str, str]:
    case, clock = found
    return clock.due_ms, case.head.key.thread, clock.id


def _state(case: Case) -> str:
    """The highest level of the newest request, or ``refused``."""
    requests = [message for message in case.messages if message.type is MessageType.REQUEST] or list(case.messages)
    if not requests:
        return "refused"  # nothing but messages that the hub refused
    return _level(case, requests[-1])


def _level(case: Case, message: CaseMessage) -> str:
    if message.refused_ms is not None:
        return "refused"
    return list(levels(message, reply_times(case.messages)))[-1].value


def _clock_row(case: Case, clock: Clock) -> dict[str, Any]:
    starter = next((message for message in case.messages if message.message == clock.starter), None)
    return {
        "case": case.head.key.thread,
        "waits": clock.pair.sender,
        "owes": clock.pair.recipient,
        "clock": clock.kind.value,
        "due": format_time(clock.due_ms),
        "level": _level(case, starter) if starter else None,
    }


def _flagged(case: Case, clock: Clock) -> str | None:
    """When the overdue flag for the present due time was raised."""
    for flag in case.flags:
        if flag.clock == clock.id and flag.flag is Flag.OVERDUE and flag.due_ms == clock.due_ms:
            return format_time(flag.time_ms)
    return None


Event = tuple[int, dict[str, Any]]


def _message_events(case: Case) -> Iterator[Event]:
    for message in case.messages:
        sender, recipient = message.pair
        there: dict[str, Any] = {"from": sender, "to": recipient, "detail": None, "id": message.message}
        back = there | {"from": recipient, "to": sender}
        kind = message.type.value
        size = f"{message.length} bytes" + (f", {message.attachments} attachments" if message.attachments else "")
        yield message.accepted_ms, there | {"event": f"{kind} accepted", "detail": size}
        for level, time_ms in ((Level.DELIVERED, message.delivered_ms), (Level.OPENED, message.opened_ms)):
            if time_ms is not None:
                yield time_ms, back | {"event": f"{kind} {level.value}"}
        if message.refused_ms is not None:
            yield message.refused_ms, back | {"event": f"{kind} refused by the recipient", "detail": message.why}
    for refusal in case.refusals:
        sender, recipient = refusal.pair
        detail = refusal.code + (", counted" if refusal.counted else "")
        row = {"from": sender, "to": recipient, "detail": detail, "id": refusal.message}
        yield refusal.outbox.time_ms, row | {"event": "refused by the hub"}


def _clock_events(case: Case) -> Iterator[Event]:
    for clock in case.clocks:
        row = {"from": clock.pair.sender, "to": clock.pair.recipient, "id": clock.id}
        due = f"{clock.kind.value}, due {format_time(clock.due_ms)}"
        yield clock.started_ms, row | {"event": "clock started", "detail": due}
        if clock.stopped_ms is not None:
            event = "clock stopped" if clock.state is ClockState.STOPPED else "clock paused"
            yield clock.stopped_ms, row | {"event": event, "detail": clock.kind.value}


def _told_events(case: Case) -> Iterator[Event]:
    for flag in case.flags:
        row = {"from": flag.pair.sender, "to": flag.pair.recipient, "id": flag.clock}
        name = f"warning {flag.percent} %" if flag.flag is Flag.WARNING else flag.flag.value
        yield flag.time_ms, row | {"event": name, "detail": f"due {format_time(flag.due_ms)}"}
    for ignored in case.ignored:
        row = {"from": ignored.pair.sender, "to": ignored.pair.recipient, "id": ignored.clock}
        yield ignored.time_ms, row | {"event": "clock operation ignored", "detail": ignored.code}
