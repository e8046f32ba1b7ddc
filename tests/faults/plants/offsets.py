"""Faults of I8."""

from __future__ import annotations

from tests.faults.plants.plot import Plot
from tests.faults.stories import Line


def two_values(plot: Plot) -> None:
    """A live reader saw another record at an offset."""
    plot.chance.choice(plot.chance.choice(plot.runs(1)))["record"] = "record-other"


def two_acknowledged(plot: Plot) -> None:
    """The broker acknowledged two submissions at one offset."""
    records = plot.final("outbox")
    known = {(each["topic"], each["offset"]): (each["jws"], each["digest"]) for each in records}
    ways = [
        (line, offset)
        for line in plot.attempts(outcome="ok")
        for (topic, offset), content in known.items()
        if topic == line["topic"] and content != known.get((topic, line["offset"]), content)
    ]
    line, offset = plot.chance.choice(ways)
    line["offset"] = offset


def read_uncommitted(plot: Plot) -> None:
    """A live reader saw what a transaction left that was aborted."""
    run = plot.chance.choice(plot.runs(1))
    plot.story.topics.append(run[-1] | {"offset": run[-1]["offset"] + 1000, "record": "record-aborted"})


def failed_and_written(plot: Plot) -> None:
    """The client said that a submission failed, and the broker has it."""
    line = plot.writer(plot.new())
    line.update(outcome="fail", offset=None)


def failed_and_refused(plot: Plot) -> None:
    """The client said that a submission failed, and the broker has it; the hub refused it."""
    plot.writer(plot.decision(code="manifest-missing")).update(outcome="fail", offset=None)


def failed_and_copied(plot: Plot) -> None:
    """A submission failed, no outbox has it, and it was copied."""
    entry = plot.new()
    plot.writer(entry).update(outcome="fail", offset=None)
    plot.drop(plot.final("outbox", topic=entry.said["outbox"]["topic"], offset=entry.said["outbox"]["offset"])[0])


def passed_over(plot: Plot) -> None:
    """A live reader passed over a record."""
    run = plot.chance.choice(plot.runs(3))
    plot.story.topics.remove(plot.chance.choice(run[1:-1]))


def went_back(plot: Plot) -> None:
    """A reader read a later record before an earlier one."""
    run = plot.chance.choice([*plot.runs(2), *plot.runs(2, live=False)])
    at = plot.chance.randint(0, len(run) - 2)
    _exchange(plot.story.topics, run[at], run[at + 1])


def read_again(plot: Plot) -> None:
    """A live reader read a record twice."""
    line = plot.chance.choice(plot.chance.choice(plot.runs(1)))
    plot.story.topics.insert(plot.story.topics.index(line), dict(line))


def number_left_out(plot: Plot) -> None:
    """A writer's records lack a number."""
    line = plot.chance.choice(_numbered(plot))
    for each in _numbered(plot):
        if _key(each) == _key(line) and each["n"] >= line["n"]:
            each["n"] += 1


def number_forked(plot: Plot) -> None:
    """A zombie writer used a number again (no fencing)."""
    line = plot.chance.choice(_numbered(plot))
    plot.add(**{name: line[name] for name in ("topic", "partition", "kind", "writer", "n")} | {_parts(line): []})


def record_doubled(plot: Plot) -> None:
    """A router's bundle or ledger record came twice with the same bytes."""
    line = plot.chance.choice([line for line in _numbered(plot) if line["writer"].startswith("router")])
    plot.add(**{name: value for name, value in line.items() if name not in {"reader", "offset"}})


def _numbered(plot: Plot) -> list[Line]:
    return [*plot.final("bundle"), *plot.final("ledger")]


def _key(line: Line) -> tuple[str, int, str]:
    return line["topic"], line["partition"], line["writer"]


def _parts(line: Line) -> str:
    return "claims" if line["kind"] == "bundle" else "entries"


def _exchange(lines: list[Line], one: Line, other: Line) -> None:
    at, behind = (next(place for place, line in enumerate(lines) if line is each) for each in (one, other))
    lines[at], lines[behind] = other, one
