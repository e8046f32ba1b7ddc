"""I6: a clock that ran out is flagged once on each side, and no other is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from tests.faults.checks.history import INBOX, LEDGER
from tests.faults.checks.index import Index
from tests.faults.checks.model import Entry, Flag, Found, Kind, Submission

FLAG_GRACE_MS: Final = 10_000
Key = tuple[str | None, frozenset[str], str]
"""Thread, the two parties, the clock's id."""


@dataclass(slots=True)
class Clock:
    """A clock as the log has it: started, perhaps stopped, perhaps void since its message was refused."""

    subject: str
    sides: frozenset[str]
    due_ms: int
    stopped_ms: int | None = None  # the log's time of the stop
    stop_entry_ms: int | None = None  # when the ledger took it
    is_void: bool = False

    @property
    def is_late(self) -> bool:
        """Whether the clock ran out before it was stopped, or was never stopped."""
        return self.stopped_ms is None or self.stopped_ms > self.due_ms

    @property
    def places(self) -> frozenset[str]:
        """Where each flag of it belongs once."""
        return frozenset({LEDGER, *(INBOX + side for side in self.sides)})


def flags_are_single(index: Index, found: Found) -> None:
    """No side, and not the ledger, has a flag twice; the watch's repeats of the same bytes aside."""
    kinds = Counter(
        (each.where, each.thread, each.clock, each.due_ms, each.flag, each.percent) for each in index.seen.flags
    )
    for (where, thread, clock, due_ms, flag, percent), count in kinds.items():
        if count > 1:
            subject = f"{where} {flag} {percent} {thread} {clock} {due_ms}"
            found.add(Kind.DOUBLE_FLAG, subject, "The clock has this flag more than once.")


def owed_flags_are_there(index: Index, found: Found) -> None:
    """A clock that ran out by the run's end is overdue on both sides and in the ledger; a late stop is told too."""
    until_ms = index.seen.facts.get("flags_until_ms")
    if until_ms is None:
        return
    flagged = {(each.thread, each.clock, each.flag) for each in index.seen.flags}
    for (thread, _, name), clock in _clocks(index).items():
        if clock.is_void or not clock.is_late or clock.due_ms > until_ms:
            continue
        is_told = clock.stopped_ms is not None and clock.stopped_ms <= until_ms
        for flag in ("overdue", "met-late") if is_told else ("overdue",):
            if (thread, name, flag) not in flagged:
                found.add(Kind.MISSING_FLAG, f"{flag} {clock.subject}", "Nobody was told.")


def sides_are_told_the_same(index: Index, found: Found) -> None:
    """A flag that is in one place is with both sides and in the ledger."""
    places: dict[tuple[Key, str, int, int], set[str]] = {}
    clocks = _clocks(index)
    names = {(key[0], key[2]): key for key in clocks}
    for each in index.seen.flags:
        key = names.get((each.thread, each.clock))
        if key is not None:
            places.setdefault((key, each.flag, each.percent, each.due_ms), set()).add(each.where)
    for (key, flag, _, _), found_in in places.items():
        missing = sorted(clocks[key].places - found_in)
        if missing:
            found.add(Kind.MISSING_FLAG, f"{flag} {clocks[key].subject}", f"Not told in {', '.join(missing)}.")


def flags_are_true(index: Index, found: Found) -> None:
    """A flag is of a clock that runs, about its due time, not before its time, and lifted when the stop was in time."""
    clocks = _clocks(index)
    names = {(key[0], key[2]): clock for key, clock in clocks.items()}
    lifted = {(each.where, each.thread, each.clock) for each in index.seen.flags if each.flag == "met"}
    overdue = {(each.where, each.thread, each.clock) for each in index.seen.flags if each.flag == "overdue"}
    grace_ms = index.seen.facts.get("flag_grace_ms", FLAG_GRACE_MS)
    for flag in index.seen.flags:
        clock = names.get((flag.thread, flag.clock))
        place = (flag.where, flag.thread, flag.clock)
        wrong = (
            "There is no such clock."
            if clock is None
            else _wrong(flag, clock, was_lifted=place in lifted, was_overdue=place in overdue, grace_ms=grace_ms)
        )
        if wrong is not None:
            found.add(Kind.FALSE_FLAG, f"{flag.flag} {flag.where} {flag.clock}", wrong)


def _wrong(flag: Flag, clock: Clock, *, was_lifted: bool, was_overdue: bool, grace_ms: int) -> str | None:
    if flag.due_ms != clock.due_ms:
        return "The flag is about another due time."
    match flag.flag:
        case "overdue":
            return _wrong_overdue(flag, clock, was_lifted=was_lifted, grace_ms=grace_ms)
        case "met-late":
            return None if clock.stopped_ms is not None and clock.is_late else "The clock was not stopped late."
        case "met":
            right = not clock.is_late and was_overdue
            return None if right else "The clock was not stopped in time, or was never flagged."
        case "warning":
            return None if flag.time_ms < flag.due_ms else "A warning came after the due time."
    return "There is no such flag."


def _wrong_overdue(flag: Flag, clock: Clock, *, was_lifted: bool, grace_ms: int) -> str | None:
    if flag.time_ms < flag.due_ms:
        return "The flag came before the due time."
    if clock.is_late or clock.is_void:
        return None
    if clock.stop_entry_ms is not None and clock.stop_entry_ms + grace_ms < flag.time_ms:
        return "The ledger had a stop in time long before the flag."
    return None if was_lifted else "The clock was stopped in time, and the flag was never lifted."


def _clocks(index: Index) -> dict[Key, Clock]:
    clocks: dict[Key, Clock] = {}
    refused = {
        (writer.sender, writer.recipient, level.id)
        for level in index.seen.levels
        if level.level == "refused" and (writer := index.writers.get(level.spot)) is not None
    }
    operations = _operations(index)
    for each, _ in operations:
        if each.clock is not None and each.clock["verb"] == "start":
            sides = frozenset((each.sender, each.recipient))
            clock = Clock(f"{each.clock['id']} of {each.subject}", sides, each.clock["due_ms"])
            clock.is_void = (each.recipient, each.sender, each.id) in refused
            clocks[each.thread, sides, each.clock["id"]] = clock
    for each, entry in operations:
        if each.clock is not None and each.clock["verb"] == "stop":
            stopped = clocks.get((each.thread, frozenset((each.sender, each.recipient)), each.clock["id"]))
            if stopped is not None:
                stopped.stopped_ms, stopped.stop_entry_ms = index.seen.outboxes[entry.spot].time_ms, entry.time_ms
    return clocks


def _operations(index: Index) -> list[tuple[Submission, Entry]]:
    """The submissions with a clock that were accepted, and their entries."""
    found: list[tuple[Submission, Entry]] = []
    for spot, writer in index.writers.items():
        entry = index.first(spot) if writer.clock is not None else None
        if entry is not None and entry.code is None:
            found.append((writer, entry))
    return found
