"""What belongs together in a history: which attempt wrote which outbox record, and what the hub made of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from tests.faults.checks.history import Seen
from tests.faults.checks.model import (
    Copy,
    Delivery,
    Entry,
    Kind,
    Level,
    Notice,
    Quarantined,
    Receipt,
    Sent,
    Spot,
    Submission,
)

V = TypeVar("V")
K = TypeVar("K")


@dataclass(slots=True)
class Index:
    """A history, found by spot and by the Digest of a message's JWS."""

    seen: Seen
    writers: dict[Spot, Submission] = field(default_factory=dict)  # the attempt that wrote the outbox record
    strays: list[tuple[Sent, Kind, str]] = field(default_factory=list)  # outbox records that no attempt wrote
    attempts: dict[str, list[Submission]] = field(default_factory=dict)  # by JWS
    firsts: dict[str, list[Entry]] = field(default_factory=dict)  # counted decisions that are no repeats, by JWS
    repeats: dict[str, list[Entry]] = field(default_factory=dict)  # by JWS
    entries: dict[Spot, list[Entry]] = field(default_factory=dict)
    receipts: dict[Spot, list[Receipt]] = field(default_factory=dict)
    routed: dict[Spot, list[Notice]] = field(default_factory=dict)
    gaps: dict[Spot, list[Notice]] = field(default_factory=dict)
    quarantine: dict[Spot, list[Quarantined]] = field(default_factory=dict)
    levels: dict[Spot, list[Level]] = field(default_factory=dict)
    copies: dict[str, list[Copy]] = field(default_factory=dict)  # by JWS
    copies_at: dict[Spot, Copy] = field(default_factory=dict)  # by inbox and offset
    deliveries: dict[str, list[Delivery]] = field(default_factory=dict)  # by recipient

    @classmethod
    def of(cls, seen: Seen) -> Index:
        """Sort what was seen."""
        first = [each for each in seen.entries if not each.repeat and each.counted and each.jws is not None]
        index = cls(
            seen,
            attempts=_grouped(seen.submissions, lambda each: each.jws),
            firsts=_grouped(first, lambda each: each.jws),
            repeats=_grouped((each for each in seen.entries if each.repeat), lambda each: each.jws),
            entries=_grouped(seen.entries, lambda each: each.spot),
            receipts=_grouped(seen.receipts, lambda each: each.spot),
            routed=_grouped(seen.routed, lambda each: each.spot),
            gaps=_grouped(seen.gaps, lambda each: each.spot),
            quarantine=_grouped(seen.quarantine, lambda each: each.spot),
            levels=_grouped(seen.levels, lambda each: each.spot),
            copies=_grouped(seen.copies, lambda each: each.jws),
            copies_at={(each.topic, each.offset): each for each in seen.copies},
            deliveries=_grouped(seen.deliveries, lambda each: each.recipient),
        )
        index._match()
        return index

    def first(self, spot: Spot) -> Entry | None:
        """The decision about an outbox record, unless it repeats an earlier one."""
        return next((each for each in self.entries.get(spot, ()) if not each.repeat), None)

    def accepted(self, jws: str) -> Entry | None:
        """The entry that accepted a message for the first time."""
        return next((each for each in self.firsts.get(jws, ()) if each.code is None), None)

    def subject(self, spot: Spot) -> str:
        """How an anomaly names the message in an outbox record."""
        writer = self.writers.get(spot)
        return f"{spot[0]}/{spot[1]}" if writer is None else writer.subject

    def _match(self) -> None:
        """Which attempt wrote which record: acknowledged ones by offset, the others by their bytes, each once."""
        infos: Counter[tuple[str, str | None, str | None]] = Counter()
        unknown: dict[tuple[str, str | None, str | None], list[Submission]] = {}
        settled: dict[tuple[str, str | None, str | None], set[str]] = defaultdict(set)
        for each in self.seen.submissions:
            content = (each.topic, each.jws, each.digest)
            settled[content].add(each.outcome)
            if each.outcome == "info":
                unknown.setdefault(content, []).append(each)
            elif each.outcome == "ok" and each.offset is not None:
                sent = self.seen.outboxes.get((each.topic, each.offset))
                if sent is not None and (sent.jws, sent.digest) == content[1:]:
                    self.writers.setdefault(sent.spot, each)
        for spot, sent in self.seen.outboxes.items():
            if spot in self.writers:
                continue
            content = (sent.topic, sent.jws, sent.digest)
            waiting = unknown.get(content, ())
            if infos[content] < len(waiting):
                self.writers[spot] = waiting[infos[content]]
                infos[content] += 1
                continue
            outcomes = settled.get(content, set())
            if not outcomes:
                self.strays.append((sent, Kind.PHANTOM, "This record lies in an outbox, and nobody submitted it."))
            elif outcomes == {"fail"}:
                self.strays.append((sent, Kind.ABORTED_READ, "This record lies in an outbox; its submission failed."))
            else:
                self.strays.append((sent, Kind.DUPLICATE, "This record lies in an outbox more often than submitted."))


def _grouped(values: Iterable[V], key: Callable[[V], K | None]) -> dict[K, list[V]]:
    groups: dict[K, list[V]] = {}
    for value in values:
        name = key(value)
        if name is not None:
            groups.setdefault(name, []).append(value)
    return groups
