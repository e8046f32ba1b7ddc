"""What planters share: finding a victim in a story, and changing what readers saw of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from tests.faults.stories import Line, Story


class Said(NamedTuple):
    """A claim or an entry, and the record that holds it."""

    record: Line
    said: Line

    def drop(self) -> None:
        """Take it out of its record."""
        _parts(self.record).remove(self.said)

    def double(self, **changed: Any) -> None:
        """Say it again, perhaps otherwise."""
        _parts(self.record).append(self.said | changed)


@dataclass(frozen=True, slots=True)
class Plot:
    """A story in which something is to go wrong."""

    story: Story
    chance: Random

    def final(self, kind: str, **members: Any) -> list[Line]:
        """Records that the final reader saw, with these members."""
        lines = (line for line in self.story.topics if line["reader"] == "final" and line["kind"] == kind)
        return [line for line in lines if _fits(line, members)]

    def said(self, kind: str, **members: Any) -> list[Said]:
        """Claims of bundles and entries of the ledger, with these members."""
        return [
            Said(record, said)
            for record in (*self.final("bundle"), *self.final("ledger"))
            for said in _parts(record)
            if said["kind"] == kind and _fits(said, members)
        ]

    def attempts(self, **members: Any) -> list[Line]:
        """Submissions with these members."""
        return [line for line in self.story.senders if _fits(line, members)]

    def decision(self, **members: Any) -> Said:
        """A ledger entry about a record, no repeat unless told; ``code`` null or not."""
        return self.chance.choice(self.said("message", **({"repeat": False} | members)))

    def accepted(self) -> Said:
        """The ledger's entry of an accepted message that is no receipt list."""
        lists = {line["jws"] for line in self.story.senders if line["kind"] == "receipt"}
        return self.chance.choice(
            [each for each in self.said("message", repeat=False, code=None) if each.said["jws"] not in lists]
        )

    def about(self, kind: str, entry: Said) -> Said:
        """A claim of a kind about the outbox record of an entry."""
        return self.said(kind, outbox=entry.said["outbox"])[0]

    def copy(self, entry: Said) -> Line:
        """The copy of an accepted message."""
        return self.final("copy", jws=entry.said["jws"])[0]

    def writer(self, entry: Said) -> Line:
        """The attempt that wrote what an entry is about."""
        spot = entry.said["outbox"]
        known = self.attempts(topic=spot["topic"], offset=spot["offset"])
        return (known or self.attempts(topic=spot["topic"], outcome="info", jws=entry.said["jws"]))[0]

    def new(self) -> Said:
        """The entry of an accepted message that was sent once, in a pair of which everything is known."""
        jws = [line["jws"] for line in self.story.senders]
        sure = {(line["sender"], line["recipient"]) for line in self.story.senders}
        sure -= {(line["sender"], line["recipient"]) for line in self.story.senders if line["outcome"] != "ok"}
        found = self.said("message", repeat=False, code=None)
        found = [each for each in found if jws.count(each.said["jws"]) == 1]
        lines = [(each, self.writer(each)) for each in found]
        return self.chance.choice([each for each, line in lines if (line["sender"], line["recipient"]) in sure])

    def drop(self, record: Line) -> None:
        """Nobody saw this record."""
        place = (record["topic"], record["partition"], record["offset"])
        self.story.topics[:] = [
            line for line in self.story.topics if (line["topic"], line["partition"], line["offset"]) != place
        ]

    def untake(self, copy: Line) -> bool:
        """The recipient never took a copy over. Whether it had."""
        left = [each for each in self.story.recipients if (each["sender"], each["id"]) != (copy["sender"], copy["id"])]
        had = len(left) < len(self.story.recipients)
        self.story.recipients[:] = left
        return had

    def add(self, topic: str, partition: int = 0, **members: Any) -> Line:
        """The final reader saw one more record at the end of a partition."""
        offsets = [
            line["offset"] for line in self.story.topics if (line["topic"], line["partition"]) == (topic, partition)
        ]
        line = {
            "reader": "final",
            "topic": topic,
            "partition": partition,
            "offset": max(offsets, default=-1) + 2,
            "time_ms": self.story.facts["ended_ms"],
            "record": f"planted-{self.chance.random()}",
        } | members
        self.story.topics.append(line)
        return line

    def write(self, writer: str, topic: str, said: Line, partition: int = 0) -> None:
        """A writer says one thing more, under its next number."""
        kind, parts = ("ledger", "entries") if topic == "hub.ledger" else ("bundle", "claims")
        numbers = [line["n"] for line in self.final(kind, topic=topic, partition=partition, writer=writer)]
        members = {"writer": writer, "n": max(numbers, default=0) + 1, parts: [said]}
        self.add(topic, partition, kind=kind, **members)

    def move(self, said: Said, topic: str | None = None) -> None:
        """A claim is said later, or in another inbox."""
        said.drop()
        self.write(said.record["writer"], topic or said.record["topic"], said.said)

    def elsewhere(self, *topics: str) -> str:
        """An inbox that is none of these."""
        return self.chance.choice(
            [f"inbox.{name}" for name in ("xa", "xb", "xc", "xd") if f"inbox.{name}" not in topics]
        )

    def runs(self, length: int, *, live: bool = True) -> list[list[Line]]:
        """What readers saw of one partition, as far as it is ``length`` records or more."""
        runs: dict[tuple[Any, ...], list[Line]] = {}
        for line in self.story.topics:
            if (line["reader"] != "final") is live:
                runs.setdefault((line["reader"], line["topic"], line["partition"]), []).append(line)
        return [run for run in runs.values() if len(run) >= length]

    def pair_runs(self, lines: list[Line]) -> Iterator[tuple[Line, Line]]:
        """Two messages of one pair, the earlier first, that follow one another in a list of copies or deliveries."""
        last: dict[tuple[str, str], Line] = {}
        for line in lines:
            pair = (line["sender"], line["recipient"])
            if pair in last:
                yield last[pair], line
            last[pair] = line


Plant = Callable[[Plot], None]


class Planter(NamedTuple):
    """How an anomaly comes into a story, and the scene that the story needs for it."""

    needed: str
    plant: Plant


def _parts(record: Line) -> list[Line]:
    parts: list[Line] = record["claims" if record["kind"] == "bundle" else "entries"]
    return parts


def _fits(line: Line, members: dict[str, Any]) -> bool:
    return all(line[name] == value for name, value in members.items())


def swap(one: Line, other: Line, *names: str) -> None:
    """Let two lines exchange members."""
    for name in names:
        one[name], other[name] = other[name], one[name]
