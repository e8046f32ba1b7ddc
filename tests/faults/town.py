"""A small model of what the outside sees of a right hub.

A scene (``tests.faults.scenes``) says what comes of its records; the town gives them offsets, numbers, claims and
entries as shards and watch do, and writes down what senders, readers and recipients see.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

Line = dict[str, Any]
NAMES: Final = ("xa", "xb", "xc", "xd")
PARTITIONS: Final = 2
LONG_MS: Final = 1_000_000_000  # due times within it have passed when the story ends


@dataclass(slots=True, eq=False)
class Letter:
    """A submission that lies in an outbox, and what the hub will say of it."""

    line: Line
    spot: Line
    record: str
    code: str | None = None
    counted: bool = True
    first: Letter | None = None  # it repeats this one


@dataclass(slots=True)
class Town:
    """Authorities, an outbox and inbox each, two shards, two watches, a log."""

    chance: Random
    now_ms: int = 1_795_600_800_000
    drawn: int = 0
    senders: list[Line] = field(default_factory=list)
    log: dict[tuple[str, int], list[Line]] = field(default_factory=lambda: defaultdict(list))
    ends: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    numbers: dict[tuple[str, ...], int] = field(default_factory=lambda: defaultdict(int))
    waiting: dict[int, list[Letter]] = field(default_factory=lambda: defaultdict(list))

    def tell(self, scenes: Iterable[Scene], *, unreadable: bool) -> Line:
        """The whole story: the scenes woven into one another, perhaps with a place at the end that cannot be read."""
        running = [scene(self) for scene in scenes]
        while running:
            scene = self.chance.choice(running)
            self.now_ms += self.chance.randint(1, 400)
            if next(scene, self) is self:
                running.remove(scene)
            if self.chance.random() < 0.4:
                self.route(self.chance.randint(0, 1))
        self.route_all()
        held = self._unreadable() if unreadable else {}
        self.now_ms += 2 * LONG_MS
        facts = {"fault": "none", "seed": 0, "dose": "pr", "drained": True, "ended_ms": self.now_ms, "held": held}
        facts["flags_until_ms"] = self.now_ms
        return {"senders": self.senders, "topics": self._read(), "recipients": self._taken(), "facts": facts}

    # --- senders ----------------------------------------------------------------------------------

    def pair(self, names: tuple[str, ...] = NAMES) -> tuple[str, str]:
        """Two who write to one another."""
        first, second = self.chance.sample(names, 2)
        return first, second

    def name(self, kind: str) -> str:
        """A new name."""
        self.drawn += 1
        return f"{kind}-{self.drawn}"

    def line(self, sender: str, recipient: str, **members: Any) -> Line:
        """A submission of the pair's next message, not yet written down."""
        pair = ("pair", sender, recipient)
        self.numbers[pair] += 1
        return {
            "event": "submit",
            "outcome": "ok",
            "sender": sender,
            "recipient": recipient,
            "id": self.name("id"),
            "seq": self.numbers[pair],
            "jws": self.name("jws"),
            "digest": self.name("digest"),
            "kind": "request",
            "thread": self.name("thread"),
            "topic": f"outbox.{sender}",
            "partition": 0,
            "clock": None,
            "references": [],
            "expect": "accept",
        } | members

    def submit(self, line: Line, *, lies: bool = True, record: str | None = None, **said: Any) -> Letter:
        """Write an attempt down; if it ``lies`` in the outbox, the hub will decide about it as ``said``."""
        self.drawn += 1
        place = (line["topic"], 0)
        offset = self.ends[place] if lies else None
        line = line | {"op": self.drawn, "begun_ms": self.now_ms, "ended_ms": self.now_ms + 5}
        line["offset"] = offset if line["outcome"] == "ok" else None
        self.senders.append(line)
        letter = Letter(line, {"topic": line["topic"], "offset": offset}, record or self.name("record"), **said)
        if lies:
            self.append(*place, letter.record, kind="outbox", jws=line["jws"], digest=line["digest"])
            self.waiting[NAMES.index(line["topic"].removeprefix("outbox.")) % 2].append(letter)
        return letter

    def again(self, letter: Letter, **changed: Any) -> Letter:
        """The same message once more, as a repeat."""
        line = letter.line | {"outcome": "ok", "expect": "repeat"} | changed
        return self.submit(line, record=letter.record, code=letter.code, counted=letter.counted, first=letter)

    # --- the hub ----------------------------------------------------------------------------------

    def append(self, topic: str, partition: int, record: str, **members: Any) -> Line:
        """A record at the end of a partition."""
        offset = self.ends[topic, partition]
        self.ends[topic, partition] += 1
        line = {"topic": topic, "partition": partition, "offset": offset, "time_ms": self.now_ms, "record": record}
        self.log[topic, partition].append(line | members)
        return line | members

    def route_all(self) -> None:
        """Both shards commit what waits."""
        self.route(0)
        self.route(1)

    def route(self, shard: int) -> None:
        """One transaction: bundles, copies, ledger, quarantine, and a marker in each partition."""
        letters, self.waiting[shard] = self.waiting[shard], []
        claims: dict[str, list[Line]] = defaultdict(list)
        ledger: dict[int, list[Line]] = defaultdict(list)
        for letter in letters:
            _claim(letter, claims)
            partition = _slot(letter.line["thread"] or letter.line["topic"])
            ledger[partition].append(_entry(letter))
            for each in letter.line["references"] if letter.code is None and letter.first is None else ():
                level = {"kind": "level", "level": each["level"], "id": each["id"], "outbox": letter.spot}
                ledger[_slot(each["thread"])].append(level)
        touched = [self._numbered(f"router-shard-{shard}", f"inbox.{name}", 0, claims=claims[name]) for name in claims]
        for letter in letters:
            if letter.code is None and letter.first is None:
                members = {name: letter.line[name] for name in ("id", "sender", "recipient", "seq", "jws", "digest")}
                touched.append(
                    self.append(f"inbox.{letter.line['recipient']}", 0, letter.record, kind="copy", **members)
                )
            elif letter.first is None:
                code = {"outbox": letter.spot, "code": letter.code}
                touched.append(self.append("hub.quarantine", 0, self.name("record"), kind="quarantine", **code))
        for partition, entries in ledger.items():
            touched.append(self._numbered(f"router-shard-{shard}", "hub.ledger", partition, entries=entries))
        for place in {(line["topic"], line["partition"]) for line in touched}:
            self.ends[place] += 1

    def _numbered(self, writer: str, topic: str, partition: int, **members: Any) -> Line:
        key = ("writer", writer, topic, str(partition))
        self.numbers[key] += 1
        kind = "bundle" if "claims" in members else "ledger"
        record = self.name("record")
        line = {"writer": writer, "n": self.numbers[key]} | members
        written = self.append(topic, partition, record, kind=kind, **line)
        if writer.startswith("watch") and self.chance.random() < 0.1:
            self.append(topic, partition, record, kind=kind, **line)
        return written

    def flag(self, letter: Letter, flag: str, percent: int = 100, *, time_ms: int | None = None) -> None:
        """The watch says something of the clock that ``letter`` started, to both sides and the ledger."""
        clock, thread = letter.line["clock"], letter.line["thread"]
        said = {
            "kind": "flag",
            "id": f"{flag}-{percent}-{clock['id']}",
            "flag": flag,
            "percent": percent,
            "thread": thread,
            "clock": clock["id"],
            "due_ms": clock["due_ms"],
            "message": letter.line["id"],
            "time_ms": self.now_ms if time_ms is None else time_ms,
        }
        partition = _slot(thread)
        self._numbered(f"watch-{partition}", "hub.ledger", partition, entries=[said])
        for name in (letter.line["sender"], letter.line["recipient"]):
            self._numbered(f"watch-{partition}", f"inbox.{name}", 0, claims=[said])

    # --- readers ----------------------------------------------------------------------------------

    def _unreadable(self) -> dict[str, int]:
        """An outbox ends in a place that cannot be read: it is told of, perhaps twice, and what follows waits."""
        topic = f"outbox.{self.chance.choice(NAMES)}"
        offset = self.ends[topic, 0]
        poison = self.line(topic.removeprefix("outbox."), "xa", jws=None, id=None, seq=None, expect="quarantine")
        self.ends[topic, 0] += 1
        self.senders.append(poison | {"op": 0, "offset": offset, "begun_ms": self.now_ms, "ended_ms": self.now_ms})
        spot = {"topic": topic, "offset": offset}
        for _ in range(self.chance.randint(1, 2)):
            self.append("hub.quarantine", 0, self.name("record"), kind="quarantine", outbox=spot, code="corrupt")
        self.submit(self.line(topic.removeprefix("outbox."), self.chance.choice(["xy", "xz"])))
        self.waiting.clear()
        return {topic: offset}

    def _read(self) -> list[Line]:
        lines: list[Line] = []
        for number, records in enumerate(self.log.values(), 1):
            first = self.chance.randint(0, max(0, len(records) - 3))
            last = self.chance.randint(min(first + 3, len(records)), len(records))
            lines += [{"reader": f"live-{number}"} | record for record in records[first:last]]
        for records in self.log.values():
            lines += [{"reader": "final"} | record for record in records]
        return lines

    def _taken(self) -> list[Line]:
        lists = {line["jws"] for line in self.senders if line["kind"] == "receipt"}
        return [
            {"event": "deliver", "time_ms": record["time_ms"] + 9}
            | {name: record[name] for name in ("recipient", "sender", "id", "seq", "digest", "offset")}
            for name in NAMES[:3]  # the last one only reads
            for record in self.log[f"inbox.{name}", 0]
            if record["kind"] == "copy" and record["jws"] not in lists
        ]


def _slot(name: str) -> int:
    return sum(name.encode()) % PARTITIONS


def _claim(letter: Letter, claims: dict[str, list[Line]]) -> None:
    about = letter.first or letter
    line = letter.line
    receipt = {
        "kind": "receipt",
        "id": f"receipt-{about.spot['topic']}-{about.spot['offset']}",
        "jws": line["jws"],
        "code": letter.code,
        "counted": letter.counted,
        "outbox": about.spot,
    }
    claims[line["topic"].removeprefix("outbox.")].append(receipt)
    if letter.first is not None:
        return
    if letter.code is None:
        claims[line["recipient"]].append({"kind": "routed", "jws": line["jws"], "outbox": letter.spot})
    elif letter.counted:
        gap = {"kind": "gap", "jws": line["jws"], "outbox": letter.spot, "code": letter.code}
        claims[line["recipient"]].append(gap)


def _entry(letter: Letter) -> Line:
    return {
        "kind": "message",
        "id": letter.line["id"],
        "jws": letter.line["jws"],
        "code": letter.code,
        "counted": letter.counted,
        "repeat": letter.first is not None,
        "outbox": letter.spot,
    }


Scene = Callable[[Town], Iterator[None]]
