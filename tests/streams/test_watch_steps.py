from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from hub import flow
from hub.adapters.sql.engine import open_engine, sqlite_url
from hub.adapters.sql.watch_store import WatchStore
from hub.core.access import WATCH, access_rules, topic_specs
from hub.core.entries import Entry, Logged
from hub.core.ids import AuthorityId
from hub.core.records import Outgoing, Record
from hub.core.timekeeping import Moves, WatchView
from hub.core.topics import LEDGER
from hub.errors import VerificationFailed
from hub.streams.ledger_steps import logged
from hub.streams.watch_steps import WatchSteps
from hub.testing import MemoryBus
from hub.wire.ledger import decode_ledger

HOUR_MS = 3600 * 1000
BOTH = ("xa-moj", "xb-pgo")


@pytest.fixture
def asked(ledger, story):
    """A request that starts a clock of one hour, in the ledger; the watch's clock stands at the story's time."""
    entry = story.message("xa-moj>xb-pgo", "request", story.clock("start", due_in_ms=HOUR_MS))
    ledger.write(entry)
    return entry


def pass_until(ledger, entry, share: float) -> None:
    """Let the watch's clock reach a share of the request's hour."""
    due_ms = entry.clocks[0].due_ms
    ledger.clock.advance(int(due_ms - HOUR_MS * (1 - share)) - ledger.clock.now_ms())


async def test_a_warning_then_overdue_to_both_sides(watching, ledger, asked):
    """Each flag once in each inbox and once in the ledger, in chains that a reader can follow."""
    steps = watching.start()
    for share in (0.4, 0.51, 0.6, 0.81, 1.0, 1.5):
        pass_until(ledger, asked, share)
        await watching.run(steps)
    for authority in BOTH:
        assert ledger.told(authority) == ["warning", "warning", "overdue"]
        assert [bundle.chain.n for bundle in ledger.bundles(authority)] == [1, 2, 3]
        assert [bundle.chain.prev for bundle in ledger.bundles(authority)][1:] == [
            bundle.digest for bundle in ledger.bundles(authority)
        ][:2]
    assert ledger.told("xc-acc") == []
    said = [decode_ledger(record.value) for record in ledger.records()][1:]
    assert [(record.writer, record.n) for record in said] == [("watch-0", 1), ("watch-0", 2), ("watch-0", 3)]


async def test_overdue_once_whatever_restarts(watching, ledger, asked):
    """Every process begins with the database, and raises nothing again."""
    pass_until(ledger, asked, 1.0)
    for _ in range(3):
        steps = watching.start()
        await watching.run(steps)
        await steps.close()
    assert [ledger.told(authority) for authority in BOTH] == [["overdue"], ["overdue"]]
    assert len(ledger.bundles("xa-moj")) == 1


async def test_nothing_is_raised_before_the_ledger_was_read_to_its_end(watching, ledger, asked, story):
    """A stop may lie in what was not read yet."""
    pass_until(ledger, asked, 1.2)
    steps = watching.start()
    await watching.run(steps, ahead=1)
    assert ledger.told("xa-moj") == []
    ledger.write(story.message("xb-pgo>xa-moj", "ack", story.clock("stop"), irt=asked))
    await watching.run(steps)
    assert ledger.told("xa-moj") == []


async def test_a_ledger_that_others_write_all_the_time_holds_no_flag_up(watching, ledger, asked, story):
    """Whoever takes records is never at an end that moves on: what counts is the end after the time was read."""
    pass_until(ledger, asked, 1.2)
    steps = watching.start()
    for _ in range(2):
        await watching.run(steps, ahead=1)
        assert ledger.told("xa-moj") == []
    ledger.write(story.message("xa-moj>xb-pgo", thread=2))
    await watching.run(steps, ahead=1)
    assert (ledger.told("xa-moj"), ledger.told("xb-pgo")) == (["overdue"], ["overdue"])


@pytest.mark.parametrize("fault", ["lost", "stored"])
async def test_bytes_that_were_stored_are_sent_until_acknowledged(watching, ledger, asked, fault):
    """A kill between store and send: the next process sends exactly the same bytes; a repeat is the same number."""
    pass_until(ledger, asked, 1.0)
    bus = MemoryBus(ledger.broker, WATCH)
    for _ in range(4):  # all together, then the ledger and two inboxes, each by itself
        bus.fail_next(fault)
    await watching.run(watching.start(bus))
    stored = WatchStore(watching.engine, warn_percents=(50, 80)).outgoing([0], 10)
    assert len(stored) == 3
    await watching.run(watching.start())
    assert WatchStore(watching.engine, warn_percents=(50, 80)).outgoing([0], 10) == []
    for authority in BOTH:
        values = [record.value for record in ledger.broker.records(f"inbox.{authority}")]
        assert len(values) == (1 if fault == "lost" else 3)
        assert set(values) == {each.record.value for each in stored if each.record.topic == f"inbox.{authority}"}
    await watching.run(watching.start())  # its own repeated ledger record is skipped, no alarm
    assert {alert.code for alert in watching.alerts} == {"broker-silent"}


async def test_one_inbox_that_takes_nothing_stops_no_other(watching, ledger, asked):
    """Its records wait and are told once; when it takes them again, they come."""
    specs = topic_specs([AuthorityId("xa-moj")], shards=1, ledger_partitions=2, replication=1)
    ledger.broker.delete_topic("inbox.xa-moj")
    pass_until(ledger, asked, 1.0)
    steps = watching.start()
    for _ in range(3):
        await watching.run(steps)
    assert ledger.told("xb-pgo") == ["overdue"]
    assert [alert.subject for alert in watching.alerts] == ["inbox.xa-moj"]
    names = [AuthorityId(name) for name in ("xa-moj", "xb-pgo", "xc-acc")]
    ledger.broker.apply(specs, access_rules(names, shards=1))
    await watching.run(steps)
    assert ledger.told("xa-moj") == ["overdue"]


async def test_a_late_answer_is_met_late(watching, ledger, asked, story):
    """After the flag: met-late only. Before it (the watch was down): overdue, then met-late."""
    story.now_ms += 2 * HOUR_MS
    ledger.write(story.message("xb-pgo>xa-moj", "response", story.clock("stop"), irt=asked))
    pass_until(ledger, asked, 3.0)
    await watching.run(watching.start())
    assert [ledger.told(authority) for authority in BOTH] == [["overdue", "met-late"]] * 2


async def test_a_timely_answer_that_was_routed_late_is_met(watching, ledger, asked, story):
    """The log's time of the outbox record counts: the flag is lifted."""
    answer = story.message("xb-pgo>xa-moj", "response", story.clock("stop"), irt=asked)
    pass_until(ledger, asked, 1.0)
    steps = watching.start()
    await watching.run(steps)
    ledger.write(answer)
    await watching.run(steps)
    assert ledger.told("xa-moj") == ["overdue", "met"]


async def test_a_paused_clock_is_not_overdue_until_it_runs_again(watching, ledger, asked, story):
    """Pause, resume with a new due time, extend: flags follow the clock."""
    ledger.write(story.message("xb-pgo>xa-moj", "request", story.clock("pause")))
    pass_until(ledger, asked, 1.5)
    steps = watching.start()
    await watching.run(steps)
    assert ledger.told("xa-moj") == []
    story.now_ms = ledger.clock.now_ms()
    ledger.write(story.message("xa-moj>xb-pgo", "request", story.clock("resume", due_in_ms=HOUR_MS)))
    await watching.run(steps)
    ledger.write(story.message("xa-moj>xb-pgo", "request", story.clock("extend", due_in_ms=9 * HOUR_MS)))
    ledger.clock.advance(2 * HOUR_MS)
    await watching.run(steps)
    assert "overdue" not in ledger.told("xa-moj")
    ledger.clock.advance(9 * HOUR_MS)
    await watching.run(steps)
    assert ledger.told("xa-moj")[-1] == "overdue"


async def test_one_overdue_for_each_due_time(watching, ledger, asked, story):
    """An extension after the flag is a new due time, with its own flag."""
    pass_until(ledger, asked, 1.0)
    steps = watching.start()
    await watching.run(steps)
    story.now_ms = ledger.clock.now_ms()
    ledger.write(story.message("xa-moj>xb-pgo", "request", story.clock("extend", due_in_ms=HOUR_MS)))
    ledger.clock.advance(2 * HOUR_MS)
    await watching.run(steps)
    assert ledger.told("xa-moj") == ["overdue", "overdue"]


async def test_an_operation_without_effect_is_told_to_both(watching, ledger, story):
    """``clk-ignored`` with its code, once."""
    ledger.write(story.message("xa-moj>xb-pgo", "request", story.clock("stop")))
    steps = watching.start()
    await watching.run(steps)
    await watching.run(steps)
    assert [ledger.told(authority) for authority in BOTH] == [["clock-unknown"]] * 2


async def test_a_clock_that_the_recipient_refused_is_never_overdue(watching, ledger, asked, story):
    """Void: nobody waits for an answer to what could not be read."""
    ledger.write(story.level("refused", asked, why="cannot-decrypt"))
    pass_until(ledger, asked, 2.0)
    await watching.run(watching.start())
    assert ledger.told("xa-moj") == []


async def test_partitions_have_their_own_writers(watching, ledger, asked, story):
    """``watch-0`` and ``watch-1`` each count from one."""
    ledger.write(
        story.message("xa-moj>xb-pgo", "request", story.clock("start", due_in_ms=HOUR_MS), thread=2), partition=1
    )
    ledger.clock.advance(2 * HOUR_MS)
    await watching.run(watching.start())
    assert [(each.writer, each.chain.n) for each in ledger.bundles("xb-pgo")] == [("watch-0", 1), ("watch-1", 1)]


async def test_what_the_watch_said_itself_is_only_counted(watching, ledger, asked):
    """Its database knew the flag before the ledger did; another database learns it from there."""
    pass_until(ledger, asked, 1.0)
    await watching.run(watching.start())
    said = [logged(record) for record in ledger.records()][1:]
    stepped: list[Entry] = []

    def step(view: WatchView, entry: Entry, partition: int) -> Moves:
        stepped.append(entry)
        return flow.watch(view, entry, partition=partition, ledger_partitions=1)

    store = WatchStore(watching.engine, warn_percents=(50, 80))
    assert (store.apply(said, step), stepped, store.next_offsets([0])) == (1, [], {0: 2})
    ahead = Logged(0, 2, said[0].digest, replace(said[0].record, n=2))
    assert (store.apply([ahead], step), len(stepped)) == (1, 1)


async def test_many_flags_share_heads(watching, ledger, story, monkeypatch: pytest.MonkeyPatch):
    """More than fit under one head are raised in one tick, under several."""
    monkeypatch.setattr("hub.adapters.sql.watch_store.WATCH_BATCH_FLAGS_MAX", 2)
    for thread in range(5):
        start = story.clock("start", due_in_ms=HOUR_MS)
        ledger.write(story.message("xa-moj>xb-pgo", "request", start, thread=thread))
    ledger.clock.advance(2 * HOUR_MS)
    await watching.run(watching.start())
    assert [len(bundle.claims) for bundle in ledger.bundles("xb-pgo")] == [2, 2, 1]


async def test_a_share_that_left_the_settings_is_looked_at_once(watching, ledger, asked, engine: Engine):
    """A clock that waits for a warning nobody wants any more does not stand in the way for ever."""
    await watching.run(watching.start())  # next look at 50 %
    pass_until(ledger, asked, 0.6)
    store = WatchStore(engine, warn_percents=())
    assert store.due_partitions([0], ledger.clock.now_ms()) == [0]
    steps = WatchSteps(
        store,
        bus=MemoryBus(ledger.broker, WATCH),
        sign=watching.sign,
        ledger_partitions=2,
        warn_percents=(),
        clock=ledger.clock,
        alert=watching.alerts.append,
    )
    await watching.run(steps)
    assert store.due_partitions([0], ledger.clock.now_ms()) == []
    assert ledger.told("xa-moj") == []


async def test_an_older_database_raises_nothing_over_newer_chains(watching, ledger, asked, tmp_path: Path, engine):
    """Its numbers were used: it learns the flags from the ledger, and refuses to sign until the newest one is back."""
    await watching.run(watching.start())
    engine.dispose()
    old = Path(shutil.copy(tmp_path / "cases.db", tmp_path / "old.db"))
    pass_until(ledger, asked, 1.0)
    await watching.run(watching.start())
    restored = open_engine(sqlite_url(old))
    steps = watching.start(engine=restored)
    await watching.run(steps)  # the flag is in the ledger: nothing is owed
    assert ledger.told("xa-moj") == ["overdue"]
    ledger.write(asked)
    with pytest.raises(VerificationFailed) as caught:
        await watching.run(steps)
    assert caught.value.code == "watch-state-behind"
    restored.dispose()


async def test_a_malformed_record_stops_right_before_it(watching, ledger, asked, story):
    """What came before is taken; the next offset is the bad record's."""
    ledger.broker.append("admin", Outgoing(LEDGER, None, b"{}"))
    ledger.write(story.message("xa-moj>xb-pgo"))
    steps = watching.start()
    with pytest.raises(VerificationFailed) as caught:
        steps.take(ledger.records())
    assert (caught.value.code, dict(steps.next_offsets([0]))) == ("record-malformed", {0: 1})
    with pytest.raises(VerificationFailed):
        steps.take([Record(LEDGER, 0, 1, 0, None, None)])
    await steps.close()


async def test_a_gap_of_the_router_stops_the_watch(watching, ledger, story):
    """A skipped record may hold the stop of a clock."""
    ledger.write(story.message("xa-moj>xb-pgo"))
    ledger.numbers[0] = 5
    ledger.write(story.message("xa-moj>xb-pgo"))
    with pytest.raises(VerificationFailed) as caught:
        await watching.run(watching.start())
    assert caught.value.code == "ledger-gap"
