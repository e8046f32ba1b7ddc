"""A history on disk or in memory, and what it says, sorted by what the checks ask for. Read once, as a stream."""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.faults.checks.model import (
    Copy,
    Delivery,
    Entry,
    Flag,
    Level,
    Line,
    Notice,
    Quarantined,
    Receipt,
    Sent,
    Spot,
    Submission,
    Unreadable,
)

FINAL: Final = "final"
LEDGER: Final = "hub.ledger"
RECEIPT: Final = "receipt"
WATCH: Final = "watch-"
OUTBOX: Final = "outbox."
INBOX: Final = "inbox."


@dataclass(frozen=True, slots=True)
class History:
    """The lines of a history, and its facts. Each stream is read once."""

    senders: Iterable[Line]
    topics: Iterable[Line]
    recipients: Iterable[Line]
    facts: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> History:
        """The history in a folder. Raises ``Unreadable`` here or while its lines are read."""
        try:
            facts = json.loads((folder / "facts.json").read_bytes())
        except (OSError, ValueError) as error:
            raise Unreadable(f"{folder / 'facts.json'} is no JSON file") from error
        if not isinstance(facts, dict):
            raise Unreadable(f"{folder / 'facts.json'} is no JSON object")
        senders, topics, recipients = (_lines(folder, name) for name in ("senders", "topics", "recipients"))
        return cls(senders, topics, recipients, facts)


def _lines(folder: Path, name: str) -> Iterator[Line]:
    paths = sorted(folder.glob(f"{name}*.jsonl"))
    if not paths:
        raise Unreadable(f"there is no {name}.jsonl in {folder}")
    return (line for path in paths for line in _file(path))


def _file(path: Path) -> Iterator[Line]:
    with path.open("rb") as stream:
        for number, text in enumerate(stream, 1):
            try:
                line = json.loads(text)
            except ValueError as error:
                raise Unreadable(f"{path}:{number} is no JSON") from error
            if not isinstance(line, dict):
                raise Unreadable(f"{path}:{number} is no JSON object")
            yield line


@dataclass(slots=True)
class Reads:
    """What one reader saw of one partition, in its order: offsets, and a number for each record's digest."""

    offsets: array[int] = field(default_factory=lambda: array("q"))
    records: array[int] = field(default_factory=lambda: array("q"))


@dataclass(slots=True)
class Seen:
    """All that a history says."""

    facts: Mapping[str, Any]
    submissions: list[Submission] = field(default_factory=list)
    outboxes: dict[Spot, Sent] = field(default_factory=dict)
    copies: list[Copy] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    routed: list[Notice] = field(default_factory=list)
    gaps: list[Notice] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)
    quarantine: list[Quarantined] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    reads: dict[tuple[str, str, int], Reads] = field(default_factory=lambda: defaultdict(Reads))
    numbers: dict[tuple[str, int, str], list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    _texts: dict[str, str] = field(default_factory=dict)  # equal digests are one object: half the memory

    @classmethod
    def of(cls, history: History) -> Seen:
        """Read a history to its end. Raises ``Unreadable``."""
        seen = cls(history.facts)
        for stream, take in (
            (history.senders, seen._submission),
            (history.topics, seen._record),
            (history.recipients, seen._delivery),
        ):
            for line in stream:
                try:
                    take(line)
                except (KeyError, TypeError, AttributeError) as error:
                    raise Unreadable(f"a line lacks what it must have ({error!r}): {str(line)[:200]}") from error
        seen._texts.clear()
        return seen

    @property
    def held(self) -> Mapping[str, int]:
        """Outboxes that wait rightly, and from which offset on."""
        held: Mapping[str, int] = self.facts.get("held") or {}
        return held

    def _same(self, text: str | None) -> str | None:
        return None if text is None else self._texts.setdefault(text, text)

    def _submission(self, line: Line) -> None:
        if line["outcome"] not in {"ok", "fail", "info"}:
            raise Unreadable(f"op {line['op']} has the outcome {line['outcome']!r}")
        self.submissions.append(
            Submission(
                op=line["op"],
                outcome=line["outcome"],
                sender=self._text(line["sender"]),
                recipient=self._text(line["recipient"]),
                id=self._same(line["id"]),
                seq=line["seq"],
                jws=self._same(line["jws"]),
                digest=self._same(line["digest"]),
                kind=self._text(line["kind"]),
                thread=self._same(line["thread"]),
                topic=self._text(line["topic"]),
                offset=line["offset"],
                clock=line.get("clock"),
                references=line.get("references") or (),
                expect=line.get("expect"),
            )
        )

    def _delivery(self, line: Line) -> None:
        self.deliveries.append(
            Delivery(
                recipient=self._text(line["recipient"]),
                sender=self._text(line["sender"]),
                id=self._text(line["id"]),
                seq=line["seq"],
                digest=self._text(line["digest"]),
                offset=line["offset"],
            )
        )

    def _text(self, text: str) -> str:
        return self._texts.setdefault(text, text)

    def _record(self, line: Line) -> None:
        topic, partition, record = self._text(line["topic"]), line["partition"], line["record"]
        reads = self.reads[self._text(line["reader"]), topic, partition]
        reads.offsets.append(line["offset"])
        reads.records.append(hash(record))
        if line["reader"] == FINAL:
            _TAKES[line["kind"]](self, line, topic)

    def _sent(self, line: Line, topic: str) -> None:
        sent = Sent(
            topic=topic,
            offset=line["offset"],
            time_ms=line["time_ms"],
            record=self._text(line["record"]),
            jws=self._same(line["jws"]),
            digest=self._same(line["digest"]),
        )
        self.outboxes.setdefault(sent.spot, sent)

    def _copy(self, line: Line, topic: str) -> None:
        self.copies.append(
            Copy(
                topic=topic,
                offset=line["offset"],
                record=self._text(line["record"]),
                id=self._text(line["id"]),
                sender=self._text(line["sender"]),
                recipient=self._text(line["recipient"]),
                seq=line["seq"],
                jws=self._text(line["jws"]),
                digest=self._text(line["digest"]),
            )
        )

    def _again(self, line: Line, topic: str) -> bool:
        """Note the number of a bundle or ledger record; whether it is the watch's repeat of the same bytes."""
        known = self.numbers[topic, line["partition"], line["writer"]]
        said = (line["n"], line["record"])
        if known and said[0] <= known[-1][0] and line["writer"].startswith(WATCH) and said in known:
            return True
        known.append(said)
        return False

    def _bundle(self, line: Line, topic: str) -> None:
        if self._again(line, topic):
            return
        offset = line["offset"]
        for claim in line["claims"]:
            match claim["kind"]:
                case "receipt":
                    self.receipts.append(
                        Receipt(
                            topic=topic,
                            offset=offset,
                            id=claim["id"],
                            jws=self._same(claim["jws"]),
                            code=self._same(claim["code"]),
                            counted=claim["counted"],
                            spot=self._spot(claim["outbox"]),
                        )
                    )
                case "routed":
                    self.routed.append(self._notice(claim, topic, offset))
                case "gap":
                    self.gaps.append(self._notice(claim, topic, offset))
                case "flag":
                    self.flags.append(_flag(claim, topic))
                case "clk-ignored":
                    pass
                case other:
                    raise Unreadable(f"{topic}/{offset} has a claim of the kind {other!r}")

    def _ledger(self, line: Line, topic: str) -> None:
        if self._again(line, topic):
            return
        for index, entry in enumerate(line["entries"]):
            place = (line["partition"], line["offset"], index)
            match entry["kind"]:
                case "message":
                    self.entries.append(
                        Entry(
                            place=place,
                            time_ms=line["time_ms"],
                            jws=self._same(entry["jws"]),
                            code=self._same(entry["code"]),
                            counted=entry["counted"],
                            repeat=entry["repeat"],
                            spot=self._spot(entry["outbox"]),
                        )
                    )
                case "level":
                    level = Level(place, entry["level"], self._text(entry["id"]), self._spot(entry["outbox"]))
                    self.levels.append(level)
                case "flag":
                    self.flags.append(_flag(entry, topic))
                case "ignored":
                    pass
                case other:
                    raise Unreadable(f"{topic}/{line['offset']} has an entry of the kind {other!r}")

    def _quarantined(self, line: Line, _: str) -> None:
        self.quarantine.append(Quarantined(self._spot(line["outbox"]), line["code"]))

    def _notice(self, claim: Line, topic: str, offset: int) -> Notice:
        return Notice(topic, offset, self._text(claim["jws"]), self._spot(claim["outbox"]), claim.get("code"))

    def _spot(self, outbox: Line) -> Spot:
        return self._text(outbox["topic"]), outbox["offset"]


def _flag(line: Line, where: str) -> Flag:
    return Flag(
        where=where,
        id=line["id"],
        flag=line["flag"],
        percent=line["percent"],
        thread=line["thread"],
        clock=line["clock"],
        due_ms=line["due_ms"],
        time_ms=line["time_ms"],
    )


_TAKES: Final[Mapping[str, Callable[[Seen, Line, str], None]]] = {
    "outbox": Seen._sent,
    "copy": Seen._copy,
    "bundle": Seen._bundle,
    "ledger": Seen._ledger,
    "quarantine": Seen._quarantined,
}
