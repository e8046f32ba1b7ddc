"""Faults of I6."""

from __future__ import annotations

from tests.faults.plants.plot import Plot
from tests.faults.stories import Line


def never_raised(plot: Plot) -> None:
    """A clock ran out, and nobody was told."""
    lifted = {each.said["clock"] for each in plot.said("flag", flag="met")}
    flags = [each.said for each in plot.said("flag", flag="overdue") if each.said["clock"] not in lifted]
    for each in plot.said("flag", clock=plot.chance.choice(flags)["clock"]):
        each.drop()


def late_answer_untold(plot: Plot) -> None:
    """An answer came too late, and nobody was told."""
    flag = plot.chance.choice(plot.said("flag", flag="met-late")).said
    for each in plot.said("flag", id=flag["id"]):
        each.drop()


def one_side_told(plot: Plot) -> None:
    """A flag did not reach one side, or not the ledger; no watch is known to have ended its work."""
    flag = plot.chance.choice(plot.said("flag"))
    for each in plot.said("flag", id=flag.said["id"]):
        if each.record["topic"] == flag.record["topic"]:
            each.drop()
    plot.story.facts["flags_until_ms"] = None


def raised_in_time(plot: Plot) -> None:
    """The watch did not see an answer that was in time, and says so to everybody (reads uncommitted, or too early)."""
    stop = plot.chance.choice([each for each in plot.story.senders if _is_stop(each)])
    start = next(each for each in plot.story.senders if _starts(each, stop["clock"]["id"]))
    if not plot.said("flag", clock=start["clock"]["id"]):
        _raise(plot, start, time_ms=plot.story.facts["ended_ms"])
        return
    for each in plot.said("flag", clock=start["clock"]["id"], flag="met"):
        each.drop()
    for each in plot.said("flag", clock=start["clock"]["id"], flag="met-late"):
        each.said["flag"] = "met"


def raised_too_early(plot: Plot) -> None:
    """The watch's own time was ahead."""
    flag = plot.chance.choice(plot.said("flag", flag="overdue")).said
    for each in plot.said("flag", id=flag["id"]):
        each.said["time_ms"] = each.said["due_ms"] - 1


def warned_too_late(plot: Plot) -> None:
    """A warning came when the time was up."""
    flag = plot.chance.choice(plot.said("flag", flag="warning")).said
    for each in plot.said("flag", id=flag["id"]):
        each.said["time_ms"] = each.said["due_ms"]


def lifted_unraised(plot: Plot) -> None:
    """A flag was lifted that was never raised."""
    flag = plot.chance.choice(plot.said("flag", flag="met")).said
    for each in plot.said("flag", clock=flag["clock"], flag="overdue"):
        each.drop()


def called_late(plot: Plot) -> None:
    """An answer in time was called late."""
    flag = plot.chance.choice(plot.said("flag", flag="met")).said
    for each in plot.said("flag", id=flag["id"]):
        each.said["flag"] = "met-late"


def called_late_unanswered(plot: Plot) -> None:
    """An answer that never came was called late."""
    stopped = {line["clock"]["id"] for line in plot.story.senders if _is_stop(line)}
    flags = [each for each in plot.said("flag", flag="overdue") if each.said["clock"] not in stopped]
    flag = plot.chance.choice(flags).said
    for each in plot.said("flag", id=flag["id"]):
        each.double(id="flag-new", flag="met-late")


def raised_long_after_the_stop(plot: Plot) -> None:
    """The watch flagged, and lifted, what the ledger had as answered since long."""
    flag = plot.chance.choice(plot.said("flag", flag="met")).said
    for each in plot.said("flag", clock=flag["clock"], flag="overdue"):
        each.said["time_ms"] = plot.story.facts["ended_ms"]


def raised_for_another_time(plot: Plot) -> None:
    """The flag is about a due time that the clock never had."""
    flag = plot.chance.choice(plot.said("flag")).said
    for each in plot.said("flag", id=flag["id"]):
        each.said["due_ms"] += 1000


def raised_for_no_clock(plot: Plot) -> None:
    """The flag is about a clock that nobody started."""
    flag = plot.chance.choice(plot.said("flag")).said
    for each in plot.said("flag", id=flag["id"]):
        each.said["clock"] = "clock-of-nobody"


def raised_twice(plot: Plot) -> None:
    """A side was told the same twice, under two numbers."""
    flag = plot.chance.choice(plot.said("flag"))
    plot.write(flag.record["writer"], flag.record["topic"], flag.said, flag.record["partition"])


def raised_under_two_ids(plot: Plot) -> None:
    """A side was told the same twice, under two ids."""
    flag = plot.chance.choice(plot.said("flag"))
    said = flag.said | {"id": "flag-new"}
    plot.write(flag.record["writer"], flag.record["topic"], said, flag.record["partition"])


def _is_stop(line: Line) -> bool:
    return line["clock"] is not None and line["clock"]["verb"] == "stop"


def _starts(line: Line, clock: str) -> bool:
    return line["clock"] is not None and line["clock"]["verb"] == "start" and line["clock"]["id"] == clock


def _raise(plot: Plot, start: Line, *, time_ms: int) -> None:
    said = {"kind": "flag", "id": "flag-new", "flag": "overdue", "percent": 100, "thread": start["thread"]}
    said |= {"clock": start["clock"]["id"], "due_ms": start["clock"]["due_ms"], "time_ms": time_ms}
    plot.write("watch-0", "hub.ledger", said)
    for name in (start["sender"], start["recipient"]):
        plot.write("watch-0", f"inbox.{name}", said)
