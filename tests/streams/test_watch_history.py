"""The real watch's history: the independent checker finds each flag owed, once, on both sides, and misses what is taken out."""

from __future__ import annotations

import pytest

from hub.core.topics import inbox
from hub.testing import Fault, MemoryBus
from tests.faults import lines
from tests.faults.checker import INVARIANTS, Kind, check
from tests.faults.checks.history import History

HOUR_MS = 3600 * 1000
FLAGS = {kind for kind, invariant in INVARIANTS.items() if invariant == "I6"}


def read(record) -> lines.Line:
    """A record of the memory broker as the final reader's line."""
    return lines.read(
        "final",
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        time_ms=record.time_ms,
        key=record.key,
        headers=record.headers,
        value=record.value,
    )


def sent(entry) -> tuple[lines.Line, lines.Line]:
    """The submission behind a ledger entry, and its outbox record."""
    operation = entry.clocks[0]
    clock = {"id": operation.clock, "verb": operation.verb.value, "due_ms": operation.due_ms}
    spot = {"topic": entry.outbox.topic, "partition": 0, "offset": entry.outbox.offset}
    content = {"jws": entry.jws, "digest": entry.jws}
    submission = {"op": entry.jws, "outcome": "ok", "sender": entry.sender, "recipient": entry.recipient}
    submission |= {"id": entry.message, "seq": entry.sequence, "kind": entry.type.value, "thread": entry.thread}
    record = {"reader": "final", "time_ms": entry.outbox.time_ms, "record": entry.jws, "kind": "outbox"}
    return submission | spot | content | {"clock": clock}, record | spot | content


@pytest.fixture
async def told(watching, ledger, story) -> tuple[list, list, dict]:
    """Four clocks: never stopped, stopped in time, too late, in time and routed late; the watch's answers got lost."""
    starts = [
        story.message("xa-moj>xb-pgo", "request", story.clock("start", number, due_in_ms=HOUR_MS), thread=number)
        for number in range(1, 5)
    ]
    stops = [
        story.message("xb-pgo>xa-moj", "response", story.clock("stop", number), thread=number, irt=starts[number - 1])
        for number in (2, 4)
    ]
    ledger.write(*starts)
    ledger.write(stops[0])
    faulty = MemoryBus(ledger.broker, "watch")
    for share in (0.6, 0.85, 1.2):
        ledger.clock.advance(int(starts[0].outbox.time_ms + share * HOUR_MS) - ledger.clock.now_ms())
        faulty.fail_next(Fault.STORED)
        steps = watching.start(faulty)
        await watching.run(steps)
        await watching.run(steps)
    story.now_ms = ledger.clock.now_ms()
    stops.append(story.message("xb-pgo>xa-moj", "response", story.clock("stop", 3), thread=3, irt=starts[2]))
    ledger.write(stops[1], stops[2])
    await watching.run(watching.start())
    pairs = [sent(entry) for entry in (*starts, *stops)]
    topics = [
        read(record)
        for name in ("hub.ledger", inbox("xa-moj"), inbox("xb-pgo"))
        for record in ledger.broker.records(name)
    ]
    facts = {"drained": True, "flags_until_ms": ledger.clock.now_ms()}
    return [submission for submission, _ in pairs], [*(record for _, record in pairs), *topics], facts


def found(senders: list, topics: list, facts: dict) -> set[Kind]:
    """What is wrong with flags and numbers; of the router there is a ledger only."""
    counts = check(History(senders, topics, [], facts)).counts
    return set(counts) & (FLAGS | {Kind.COUNTER_GAP, Kind.COUNTER_FORK})


async def test_right_watch_is_found_clean(told) -> None:
    """Flags of late and missing answers, a lifted one, and records sent again are no anomaly."""
    senders, topics, facts = told
    flags = [claim["flag"] for line in topics if line["topic"] == "inbox.xa-moj" for claim in line["claims"]]
    assert {"warning", "overdue", "met", "met-late"} == set(flags)
    assert len({(line["topic"], line["record"]) for line in topics}) < len(topics)  # sent again
    assert found(senders, topics, facts) == set()


async def test_lost_flag_is_missed(told) -> None:
    """Whatever the watch wrote that is taken out is missed, unless it is there again with the same bytes."""
    senders, topics, facts = told
    for line in topics:
        twins = [other for other in topics if (other["topic"], other["record"]) == (line["topic"], line["record"])]
        if line.get("writer", "").startswith("watch") and len(twins) == 1:
            assert found(senders, [other for other in topics if other is not line], facts) & FLAGS


async def test_early_watch_is_found(told) -> None:
    """A flag of a clock that was stopped in time is false, if nothing lifts it."""
    senders, topics, facts = told
    overdue = [claim for line in topics for claim in line.get("claims", []) if claim["flag"] == "overdue"]
    stopped = next(each["clock"]["id"] for each in senders if each["clock"]["verb"] == "stop")
    overdue[0]["clock"] = stopped
    overdue[0]["thread"] = next(each["thread"] for each in senders if each["clock"]["id"] == stopped)
    assert Kind.FALSE_FLAG in found(senders, topics, facts)
