"""The independent checker: reads what senders, topics and recipients saw, and tells what cannot be true of a right hub.

It imports nothing of the hub and nothing but the standard library, so that no fault of ours hides in it::

    python -m tests.faults.checker FOLDER [--json]      exit code 0: clean, 1: anomalies, 2: no history in this format

A **history** is a folder of JSON lines. ``senders*.jsonl``, ``topics*.jsonl`` and ``recipients*.jsonl`` may each be one
file or many (one per process); the order of lines counts within one reader and one recipient only. All digests are
base64url SHA-256 without padding, all times are milliseconds since 1970. Members that are not named here are ignored.

``senders.jsonl``, one line for each attempt to publish; a resend or repeat is an attempt of its own::

    {"event": "submit", "op": 17, "outcome": "ok" | "fail" | "info", "sender", "recipient", "id", "seq", "jws",
     "digest", "kind", "thread", "topic": "outbox.xa-moj", "partition": 0, "offset", "begun_ms", "ended_ms",
     "clock": {"id", "verb": "start" | "stop", "due_ms"} | null, "references": [{"id", "level"}], "expect"}

``ok``: the broker acknowledged it at ``offset``; ``fail``: it was surely not written; ``info``: nobody knows, so it may
be in the outbox once or not at all (``offset`` null). ``op`` is unique. ``id``, ``seq`` and ``jws`` (Digest of the
``comity-jws`` header's bytes) are null where a poisoned record has none, and ``digest`` is of the value (of the empty
string for none). ``kind`` is the message's type, ``receipt`` for receipt lists, whose ``references`` are what they say.
``clock`` is the one operation that the message carries, and it must be one that has its effect (a stop by who may);
``due_ms`` is null for a stop. No level of a message is said in two lists. ``expect`` is what the record was made for:
``accept``, ``refuse``, ``quarantine`` (a place that cannot be read), ``repeat``, or null when both may be. Numbers of a
pair begin with 1.

``topics.jsonl``, one line for each record that a reader read with ``read_committed``::

    {"reader": "final" | "live-<n>", "topic", "partition", "offset", "time_ms", "record", "kind", ...}

``record`` is a Digest over key, headers in their order and value, the same function for all topics: a copy has that of
its outbox record. The reader ``final`` reads outboxes, inboxes, ``hub.ledger`` and ``hub.quarantine`` wholly from 0
after the traffic ended and the live readers stopped. A live reader's name stands for one session: one that restarts
elsewhere takes another name. Of live lines only the members above count. More members by ``kind``:

==========  ===========================================================================================================
outbox      ``jws`` (null unless there is exactly one header), ``digest``
copy        ``id, sender, recipient, seq, jws, digest``
bundle      ``writer, n, claims``: those behind the chain claim, whose ``n`` it is
ledger      ``writer, n, entries``
quarantine  ``outbox, code``
==========  ===========================================================================================================

``outbox`` is ``{"topic", "offset"}``, where the outbox record lies that it is about. Claims::

    {"kind": "receipt", "id", "jws", "code", "counted", "outbox"}                       id of the receipt; code null: accepted
    {"kind": "routed", "jws", "outbox"}
    {"kind": "gap", "jws", "outbox", "code"}                                            jws: Digest of jws_text
    {"kind": "flag", "id", "flag", "percent", "thread", "clock", "due_ms", "message", "time_ms"}
    {"kind": "clk-ignored", ...}                                                        not judged

Entries::

    {"kind": "message", "id", "jws", "code", "counted", "repeat", "outbox"}             id of the message
    {"kind": "level", "level", "id", "outbox"}                                          outbox: of the receipt list
    {"kind": "flag", "id", "flag", "percent", "thread", "clock", "due_ms", "message", "time_ms"}
    {"kind": "ignored", ...}                                                            not judged

A bundle or ledger record of a ``watch-`` writer may come again with the same bytes: the watch sends until it is
acknowledged, and readers know the repeat by its number. The router's never come again.

``recipients.jsonl``, what a recipient took over from its inbox, in its order, once for each id::

    {"event": "deliver", "recipient", "sender", "id", "seq", "digest", "offset", "time_ms"}

``offset`` is the copy's in the inbox. An authority that has a line here is held to take over every copy in its inbox,
receipt lists aside.

``tests.faults.lines`` makes these lines out of records.

``facts.json``::

    {"fault", "seed", "dose", "drained": true, "ended_ms", "held": {"outbox.xc-acc": 57}, "flags_until_ms": null}

``held`` (may be missing): outboxes that wait rightly, and from which offset on. ``flags_until_ms`` (may be missing or
null): flags that fell due by then, by the log's time, must be there; null when no watch ran. ``flag_grace_ms`` (may be
missing, 10,000): how much older than an overdue flag a stop in the ledger must be for the flag to be false, not late.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tests.faults.checks import copies, flags, offsets, outcomes, receipts
from tests.faults.checks.canaries import find_canaries
from tests.faults.checks.history import History, Seen
from tests.faults.checks.index import Index
from tests.faults.checks.model import INVARIANTS, Anomaly, Found, Kind, Unreadable

__all__ = [
    "CHECKS",
    "INVARIANTS",
    "Anomaly",
    "History",
    "Kind",
    "Report",
    "Unreadable",
    "check",
    "find_canaries",
    "main",
]

CHECKS: Final[tuple[Callable[[Index, Found], None], ...]] = (
    outcomes.is_drained,
    outcomes.acknowledged_are_there,
    outcomes.outboxes_hold_submissions_once,
    outcomes.decided_once,
    outcomes.accepted_are_copied,
    outcomes.copies_are_single,
    outcomes.notices_are_single,
    outcomes.decisions_are_whole,
    outcomes.nothing_is_said_of_nothing,
    outcomes.parts_agree,
    outcomes.repeats_repeat,
    outcomes.outcomes_are_expected,
    copies.copies_were_submitted,
    copies.records_are_exact,
    copies.inboxes_hold_their_own,
    copies.flags_go_to_both_sides,
    copies.pairs_are_in_order,
    copies.claims_come_first,
    copies.deliveries_are_copies,
    copies.deliveries_are_single,
    copies.copies_are_delivered,
    receipts.receipts_are_single,
    receipts.receipts_are_distinct,
    receipts.levels_fit_lists,
    receipts.levels_are_single,
    receipts.levels_rise,
    receipts.lists_come_after_receipts,
    flags.flags_are_single,
    flags.owed_flags_are_there,
    flags.sides_are_told_the_same,
    flags.flags_are_true,
    offsets.one_value_per_offset,
    offsets.nothing_aborted,
    offsets.nothing_skipped,
    offsets.offsets_rise,
    offsets.numbers_run,
)
"""Everything that is asked of a history."""

LOST: Final = frozenset({Kind.LOST_WRITE, Kind.GAP})
DUPLICATED: Final = frozenset({Kind.DUPLICATE, Kind.DOUBLE_RECEIPT, Kind.DOUBLE_LEVEL, Kind.DOUBLE_FLAG})
REORDERED: Final = frozenset({Kind.REORDER, Kind.LEVEL_OUT_OF_ORDER, Kind.NONMONOTONIC})
TORN: Final = frozenset({Kind.TORN})


@dataclass(frozen=True, slots=True)
class Report:
    """What a history shows. ``anomalies`` are at most 200 of each kind; ``counts`` has all."""

    messages: int  # outbox records
    anomalies: tuple[Anomaly, ...]
    counts: dict[Kind, int]

    @property
    def lost(self) -> int:
        """Messages that were acknowledged and did not arrive."""
        return self._sum(LOST)

    @property
    def duplicated(self) -> int:
        """Things that are there more than once."""
        return self._sum(DUPLICATED)

    @property
    def reordered(self) -> int:
        """Things that came before what they follow."""
        return self._sum(REORDERED)

    @property
    def torn(self) -> int:
        """Transactions of which a part is there."""
        return self._sum(TORN)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.counts

    def to_json(self) -> dict[str, object]:
        """The report for programs; ``anomalies`` is the list."""
        return {
            "messages": self.messages,
            "lost": self.lost,
            "duplicated": self.duplicated,
            "reordered": self.reordered,
            "torn": self.torn,
            "counts": {str(kind): count for kind, count in sorted(self.counts.items())},
            "anomalies": [asdict(each) for each in self.anomalies],
        }

    def _sum(self, kinds: frozenset[Kind]) -> int:
        return sum(count for kind, count in self.counts.items() if kind in kinds)


def check(history: History) -> Report:
    """Ask every question of a history, which is read once. Raises ``Unreadable`` when it is not in the format."""
    seen = Seen.of(history)
    index = Index.of(seen)
    found = Found()
    for each in CHECKS:
        each(index, found)
    return Report(messages=len(seen.outboxes), anomalies=tuple(found.anomalies), counts=dict(found.counts))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns the exit code: 0 clean, 1 anomalies, 2 no history."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.checker", description="Check a history of a run.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args(arguments)
    try:
        report = check(History.read(chosen.folder))
    except Unreadable as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if chosen.json:
        sys.stdout.write(json.dumps(report.to_json()) + "\n")
    else:
        for each in report.anomalies:
            sys.stdout.write(f"{each.invariant} {each.kind}: {each.subject}: {each.sentence}\n")
        sys.stdout.write(
            f"{report.messages} messages: {report.lost} lost, {report.duplicated} duplicated, "
            f"{report.reordered} reordered, {report.torn} torn.\n"
        )
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
