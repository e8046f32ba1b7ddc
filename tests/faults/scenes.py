"""What may happen in a town: short stories about letters, each of which a right hub ends well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.faults.town import LONG_MS, NAMES, Letter, Scene, Town

SHORT_MS: Final = 5_000


def letters(town: Town) -> Iterator[None]:
    """Some letters of one pair, of which everything is known, and which the recipient takes over."""
    pair = town.pair(NAMES[:3])
    for _ in range(town.chance.randint(2, 4)):
        town.submit(town.line(*pair))
        yield


def repeat(town: Town) -> Iterator[None]:
    """A letter, and the same again later, before or after it was decided."""
    letter = town.submit(town.line(*town.pair()))
    for _ in range(town.chance.randint(1, 2)):
        yield
        town.again(letter)


def _unsure(town: Town) -> tuple[str, str]:
    """A pair whose submissions may have any outcome: the last authority's."""
    return NAMES[-1], town.chance.choice(NAMES[:-1])


def unknown(town: Town) -> Iterator[None]:
    """Nobody knows whether a letter was written: it was, or it was not; it is sent again."""
    line = town.line(*_unsure(town), outcome="info")
    letter = town.submit(line, lies=town.chance.random() < 0.5)
    if letter.spot["offset"] is None:
        town.submit(line | {"outcome": "ok", "expect": None})
    elif town.chance.random() < 0.5:
        yield
        town.again(letter, expect=None)
    yield


def overtaken(town: Town) -> Iterator[None]:
    """A letter is lost on its way, and the next one is refused for it; both are sent again."""
    pair = _unsure(town)
    line, following = town.line(*pair, outcome="info"), town.line(*pair)
    town.submit(line, lies=False)
    record = town.submit(following, code="sequence-gap", counted=False).record
    town.submit(line | {"outcome": "ok"})
    town.submit(following, record=record)
    yield


def failed(town: Town) -> Iterator[None]:
    """A letter that was surely not written is sent again."""
    line = town.line(*_unsure(town), outcome="fail")
    town.submit(line, lies=False)
    town.submit(line | {"outcome": "ok"})
    yield


def refused(town: Town) -> Iterator[None]:
    """A spoiled letter uses no number up; a poisoned record has none; another text under a known id is refused."""
    pair = town.pair()
    line = town.line(*pair, expect="accept")
    spoiled = {"digest": town.name("digest"), "expect": "refuse"}
    town.submit(line | spoiled, code="digest-mismatch", counted=False)
    town.submit(line)
    yield
    poison = {"jws": None, "id": None, "seq": None, "thread": None, "expect": "refuse"}
    town.submit(line | poison, code="manifest-missing", counted=False)
    conflict = {"jws": town.name("jws"), "digest": town.name("digest"), "expect": "refuse"}
    town.submit(line | conflict, code="id-conflict", counted=False)
    yield


def counted(town: Town) -> Iterator[None]:
    """A refusal that uses the number up, perhaps sent again, then letters on both sides of the gap."""
    pair = town.pair()
    town.submit(town.line(*pair))
    yield
    letter = town.submit(town.line(*pair, expect="refuse"), code="expired")
    town.again(letter)
    yield
    town.submit(town.line(*pair))


def levels(town: Town) -> Iterator[None]:
    """Letters, then their recipient's receipt lists: delivered, then opened."""
    sender, recipient = town.pair()
    lines = [town.submit(town.line(sender, recipient)).line for _ in range(town.chance.randint(1, 2))]
    for level in ("delivered", "opened"):
        yield
        town.route_all()
        references = [{"level": level, "id": line["id"], "thread": line["thread"]} for line in lines]
        town.submit(town.line(recipient, sender, kind="receipt", thread=None, references=references))


def _clock(town: Town, due_in_ms: int) -> Letter:
    clock = {"id": town.name("clock"), "verb": "start", "due_ms": town.now_ms + due_in_ms}
    return town.submit(town.line(*town.pair(), clock=clock))


def _stop(town: Town, start: Letter) -> None:
    line = start.line
    stop = {"id": line["clock"]["id"], "verb": "stop", "due_ms": None}
    town.submit(town.line(line["recipient"], line["sender"], kind="response", thread=line["thread"], clock=stop))


def overdue(town: Town) -> Iterator[None]:
    """Nobody answers: both sides are told."""
    yield from _run_out(town, _clock(town, SHORT_MS))


def late(town: Town) -> Iterator[None]:
    """The answer comes too late: both sides are told of that too."""
    start = _clock(town, SHORT_MS)
    yield from _run_out(town, start)
    town.now_ms += 1
    stopped_ms = town.now_ms
    _stop(town, start)
    town.route_all()
    town.flag(start, "met-late", time_ms=stopped_ms)


def _run_out(town: Town, start: Letter) -> Iterator[None]:
    town.route_all()
    town.flag(start, "warning", 80)
    yield
    town.now_ms = max(town.now_ms, start.line["clock"]["due_ms"]) + town.chance.choice([0, 1, 1000])
    town.flag(start, "overdue")
    yield


def met(town: Town) -> Iterator[None]:
    """An answer in time; nobody is told anything."""
    start = _clock(town, LONG_MS)
    yield
    town.route_all()
    _stop(town, start)


def lifted(town: Town) -> Iterator[None]:
    """An answer in time that was routed late: the flag is raised and lifted."""
    start = _clock(town, SHORT_MS)
    town.route_all()
    town.now_ms = town.chance.choice([town.now_ms, start.line["clock"]["due_ms"]])
    _stop(town, start)
    stopped_ms = town.now_ms
    town.now_ms = start.line["clock"]["due_ms"] + 700
    town.flag(start, "overdue")
    town.now_ms += 300
    town.route_all()
    town.flag(start, "met", time_ms=stopped_ms)
    yield


SCENES: Final[dict[str, Scene]] = {
    "letters": letters,
    "repeat": repeat,
    "unknown": unknown,
    "overtaken": overtaken,
    "failed": failed,
    "refused": refused,
    "counted": counted,
    "levels": levels,
    "overdue": overdue,
    "late": late,
    "met": met,
    "lifted": lifted,
}
