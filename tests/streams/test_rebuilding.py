"""The case view once more from the ledger: the same bytes, whatever the order in which partitions were read."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hub import flow
from hub.adapters.sql.case_store import CaseStore
from hub.adapters.sql.engine import open_engine, sqlite_url
from hub.cli.rebuild import rebuilt
from hub.core.access import REGISTRAR
from hub.core.clocks import Clock, ClockState, Flag
from hub.core.entries import Entry, IgnoredEntry
from hub.core.ids import AuthorityId, slot
from hub.core.pairs import Pair
from hub.core.records import Record
from hub.core.timekeeping import claim_entry, flag_claim
from hub.errors import Unreachable, VerificationFailed
from hub.streams.ledger_steps import portions, take_logged
from hub.streams.rebuilding import rebuild
from hub.testing import MemoryBus

PARTITIONS = 2
CASES = 100
HOUR_MS = 3600 * 1000
WAYS = ("xa-moj>xb-pgo", "xb-pgo>xa-moj", "xa-moj>xc-acc", "xc-acc>xb-pgo")


@pytest.fixture
def store_at(empty_database: Path, tmp_path: Path) -> Iterator[Callable[[str], CaseStore]]:
    """An empty case view of a name."""
    engines = []

    def made(name: str) -> CaseStore:
        engines.append(open_engine(sqlite_url(Path(shutil.copy(empty_database, tmp_path / name)))))
        return CaseStore(engines[-1])

    yield made
    for engine in engines:
        engine.dispose()


def one_case(story: Any, thread: int, chance: random.Random) -> list[Entry]:
    """A case as chance tells it: answered or not, refused, flagged, with operations that had no effect."""
    way = chance.choice(WAYS)
    back = ">".join(reversed(way.split(">")))
    request = story.message(way, "request", story.clock("start", due_in_ms=HOUR_MS), thread=thread)
    entries: list[Entry] = [request]
    if chance.random() < 0.8:
        entries += [story.level("delivered", request), story.level("opened", request)]
    if chance.random() < 0.2:
        entries.append(story.level("refused", request, why="cannot-decrypt"))
    if chance.random() < 0.3:
        running = flagged(request)
        entries.append(claim_entry(flag_claim(running, Flag.OVERDUE, 100, time_ms=running.due_ms + 7)))
    if chance.random() < 0.6:
        stop = story.clock("stop")
        entries.append(story.message(back, chance.choice(["ack", "response"]), stop, irt=request, thread=thread))
    if chance.random() < 0.1:
        entries.append(story.message(way, code="expired", thread=thread))
    if chance.random() < 0.1:
        entries.append(story.message(way, "receipt", thread=None))
    if chance.random() < 0.1:
        entries.append(ignored(story, request, thread))
    return entries


def flagged(request: Any) -> Clock:
    """The clock that a request starts."""
    (start,) = request.clocks
    pair = Pair(request.sender, request.recipient)
    return Clock(
        pair,
        request.thread,
        start.clock,
        start.kind,
        request.message,
        request.outbox.time_ms,
        start.due_ms,
        ClockState.RUNNING,
    )


def ignored(story: Any, request: Any, thread: int) -> IgnoredEntry:
    """An operation of the request's sender without effect."""
    return IgnoredEntry(
        id=f"00000000-0000-8000-8000-{thread:012x}",
        pair=Pair(AuthorityId(request.sender), AuthorityId(request.recipient)),
        thread=request.thread,
        clock=story.clock("stop", 9).clock,
        message=request.message,
        code="clock-unknown",
        time_ms=story.now_ms,
    )


@pytest.fixture
def told(ledger: Any, story: Any) -> Any:
    """A ledger of many cases that run side by side; the entries of a thread lie in its partition, in their order."""
    chance = random.Random(4)
    cases = [one_case(story, thread, chance) for thread in range(1, CASES + 1)]
    while cases:
        some = chance.sample(cases, min(len(cases), 30))
        lanes: dict[int, list[Entry]] = {}
        for case in some:
            entry = case.pop(0)
            name = getattr(entry, "thread", None) or f"{entry.sender}>{entry.recipient}"  # type: ignore[union-attr]
            lanes.setdefault(slot(str(name), PARTITIONS), []).append(entry)
        for partition, entries in lanes.items():
            ledger.write(*entries, partition=partition)
        cases = [case for case in cases if case]
    return ledger


def fold(store: CaseStore, records: list[Record]) -> None:
    """Take records as the registrar does."""
    for portion in portions(records):
        take_logged(
            portion,
            lambda batch: store.apply(
                batch,
                lambda view, entry, partition: flow.register(
                    view, entry, partition=partition, ledger_partitions=PARTITIONS
                ),
            ),
        )


@pytest.mark.parametrize("seed", range(3))
def test_whatever_interleaving_of_partitions_gives_the_same_bytes(told, store_at, seed: int):
    """Batches of any size, records that come again, one partition long before the other: one export."""
    chance = random.Random(seed)
    lanes = [told.records(partition) for partition in range(PARTITIONS)]
    plain, woven = store_at("plain.db"), store_at("woven.db")
    for lane in lanes:
        fold(plain, lane)
    taken = [0] * PARTITIONS
    while left := [number for number in range(PARTITIONS) if taken[number] < len(lanes[number])]:
        number = chance.choice(left)
        start = max(0, taken[number] - chance.randrange(3))
        taken[number] = min(len(lanes[number]), taken[number] + chance.randrange(1, 20))
        fold(woven, lanes[number][start : taken[number]])
    assert b"".join(plain.export()) == b"".join(woven.export())
    assert plain.fingerprint() == woven.fingerprint()
    assert plain.fingerprint().cases == CASES


async def test_a_rebuilt_view_is_the_registrars(told, store_at, tmp_path: Path):
    """As far as the registrar has read, though the ledger has gone on."""
    live = store_at("live.db")
    fold(live, told.records(1))
    fold(live, told.records(0)[:5])
    found = await rebuilt(MemoryBus(told.broker, REGISTRAR), tmp_path / "audit.db", live.fingerprint())
    assert (found["identical"], found["sha256"]) == (True, found["registrar_sha256"])
    assert found["records"] == 5 + len(told.records(1))


async def test_a_view_that_somebody_changed_is_found_out(told, store_at, tmp_path: Path):
    """One deleted message is enough."""
    live = store_at("live.db")
    for partition in range(PARTITIONS):
        fold(live, told.records(partition))
    with live._engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM case_messages WHERE rowid = 7")
    found = await rebuilt(MemoryBus(told.broker, REGISTRAR), tmp_path / "audit.db", live.fingerprint())
    assert found["identical"] is False


async def test_without_a_view_all_of_the_ledger_is_folded(told, store_at, tmp_path: Path):
    """After a database was lost: the new file takes its place."""
    found = await rebuilt(MemoryBus(told.broker, REGISTRAR), tmp_path / "new.db", None)
    plain = store_at("plain.db")
    for partition in range(PARTITIONS):
        fold(plain, told.records(partition))
    assert (found["identical"], found["sha256"]) == (None, plain.fingerprint().sha256)


async def test_a_rebuild_stops_where_the_ledger_does_not_verify(told, story, store_at):
    """A missing number of a writer: nothing is believed behind it."""
    told.numbers[0] += 1
    told.write(story.message("xa-moj>xb-pgo"))
    with pytest.raises(VerificationFailed):
        await rebuild(MemoryBus(told.broker, REGISTRAR), store_at("new.db"))


async def test_a_ledger_that_ends_too_early_is_told(told, store_at, monkeypatch: pytest.MonkeyPatch):
    """Nobody waits for ever for records that a view says it has read."""
    monkeypatch.setattr("hub.streams.rebuilding.EMPTY_FETCHES_MAX", 1)
    monkeypatch.setattr("hub.streams.rebuilding.WAIT_MS", 1)
    with pytest.raises(Unreachable):
        await rebuild(MemoryBus(told.broker, REGISTRAR), store_at("new.db"), {0: 10_000, 1: 1})
