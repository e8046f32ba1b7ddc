"""What is still to come in a run: told by what was sent and by what the live readers read."""

from __future__ import annotations

from collections import Counter
from typing import Final

from tests.faults.lines import Line

Spot = tuple[str, int]
Clock = tuple[str, str]
"""Thread and clock."""

PLACES: Final = 3  # a flag is told in the ledger and to both sides


class Progress:
    """Knows what the hub owes. Nobody's judgement rests on it: it says when to stop waiting, the checker judges."""

    def __init__(self) -> None:
        self.routed = 0  # messages that the ledger has, accepted or not
        self.waits: list[tuple[str, int, int]] = []  # of each decided message: its outbox, the log's time, milliseconds
        self._sent_ms: dict[Spot, int] = {}
        self._waiting: set[Spot] = set()
        self._codes: dict[Spot, str | None] = {}
        self._clocks: dict[Spot, tuple[Clock, Line]] = {}
        self._flags: Counter[tuple[Clock, str]] = Counter()
        self._accepted = 0
        self._copied = 0
        self.last_due_ms = 0

    def submitted(self, line: Line) -> None:
        """A submission was acknowledged."""
        spot = (line["topic"], line["offset"])
        if spot not in self._codes:
            self._waiting.add(spot)
            self._sent_ms[spot] = line["ended_ms"]
        if line["clock"] is not None:
            self._clocks[spot] = ((line["thread"], line["clock"]["id"]), line["clock"])
            self.last_due_ms = max(self.last_due_ms, line["clock"]["due_ms"] or 0)

    def read(self, line: Line) -> None:
        """A live reader read a line of the ledger or of an inbox."""
        match line["kind"]:
            case "ledger":
                for entry in line["entries"]:
                    self._entry(entry, line["time_ms"])
            case "bundle":
                for claim in line["claims"]:
                    self._flag(claim)
            case "copy":
                self._copied += 1

    def owed(self) -> str | None:
        """What is missing, for people; None when nothing is."""
        if self._waiting:
            topic, offset = min(self._waiting)
            return f"{len(self._waiting)} messages are not decided, {topic}/{offset} among them"
        if self._copied < self._accepted:
            return f"{self._accepted - self._copied} copies are not read"
        flags = self._owed_flags()
        return f"{len(flags)} flags are not told, {flags[0]} among them" if flags else None

    def _entry(self, entry: Line, time_ms: int) -> None:
        if entry["kind"] == "message":
            spot = (entry["outbox"]["topic"], entry["outbox"]["offset"])
            self._codes[spot] = entry["code"]
            self._waiting.discard(spot)
            if spot in self._sent_ms:
                self.waits.append((spot[0], time_ms, max(0, time_ms - self._sent_ms.pop(spot))))
            self.routed += 1
            self._accepted += entry["code"] is None and not entry["repeat"]
        self._flag(entry)

    def _flag(self, said: Line) -> None:
        if said["kind"] == "flag":
            self._flags[(said["thread"], said["clock"]), said["flag"]] += 1

    def _owed_flags(self) -> list[str]:
        """A clock that nobody stopped is overdue in all places; one that was, and was flagged, has an end in all."""
        accepted = [clock for spot, clock in self._clocks.items() if self._codes.get(spot, "unknown") is None]
        stopped = {name for name, operation in accepted if operation["verb"] == "stop"}
        owed: list[str] = []
        for name, operation in accepted:
            if operation["verb"] != "start":
                continue
            overdue = self._flags[name, "overdue"]
            ended = self._flags[name, "met"] + self._flags[name, "met-late"]
            if overdue < PLACES and (overdue > 0 or name not in stopped):
                owed.append(f"overdue of {name[1]}")
            elif overdue and name in stopped and ended < PLACES:
                owed.append(f"the end of {name[1]}")
        return owed
