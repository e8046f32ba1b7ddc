"""The real router's own history, on the memory bus: the checker finds it clean, and finds what is taken out of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from hub.core.manifest import ClockOperation, ClockVerb
from hub.core.topics import inbox, outbox
from hub.errors import OutcomeUnknown
from hub.testing import Fault
from tests.faults import lines
from tests.faults.checker import Kind, Report, check
from tests.faults.checks.history import History
from tests.flow.test_router import CountingBus, _quick

__all__ = ["_quick"]
HOUR_MS = 3600 * 1000
MISSED = {
    "outbox": {Kind.LOST_WRITE},
    "copy": {Kind.LOST_WRITE},
    "bundle": {Kind.TORN},
    "ledger": {Kind.TORN},
    "quarantine": {Kind.TORN},
}
"""What each kind of record is missed as."""


class Historian:
    """Writes down what is sent, and what the broker has at the end."""

    def __init__(self, hub) -> None:
        self.hub = hub
        self.senders: list[lines.Line] = []
        self._offsets: Counter[str] = Counter()

    async def send(self, *outgoing, expect: str | None = "accept", outcome: str = "ok") -> None:
        """Publish records; a ``fail`` is noted only."""
        for each in outgoing:
            is_there = outcome == "ok"
            line = lines.submission(
                op=len(self.senders),
                outcome=outcome,
                expect=expect,
                topic=each.topic,
                headers=each.headers,
                value=each.value,
                offset=self._offsets[each.topic] if is_there else None,
                begun_ms=0,
                ended_ms=0,
            )
            self.senders.append(line)
            if is_there:
                self._offsets[each.topic] += 1
                await self.hub.send(each)

    async def decided(self) -> None:
        """Wait until all that was sent is decided."""
        await self.hub.decided(sum(self._offsets.values()))

    def topics(self) -> list[lines.Line]:
        """What a reader of all topics sees."""
        names = self.hub.world.authors
        topics = [*map(outbox, names), *map(inbox, names), lines.LEDGER, lines.QUARANTINE]
        return [
            lines.read(
                "final",
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                time_ms=record.time_ms,
                key=record.key,
                headers=record.headers,
                value=record.value,
            )
            for topic in topics
            for record in self.hub.broker.records(topic)
        ]

    def judge(self, topics: list[lines.Line]) -> Report:
        """What the checker says when recipients took over every copy that they got."""
        taken = [lines.delivery(line) for line in topics if line["kind"] == "copy"]
        return check(History(self.senders, topics, taken, {"drained": True, "ended_ms": 0}))


@pytest.fixture
async def told(hub, world, xa, xb, xc, letters) -> Historian:
    """A router that was crashed in every way, with repeats, refusals of both sorts, a theft and receipt lists."""
    historian = Historian(hub)
    good = xa.letter(xb.id)
    await historian.send(good)
    await historian.send(good, expect="repeat")
    await historian.send(xa.publish(xa.manifest(xb.id), keep=False, value=b"[]"), expect="refuse")
    await historian.send(replace(good, topic="outbox.xc-acc"), replace(good, headers=()), expect="refuse")
    await historian.send(xb.letter(xc.id), outcome="fail")
    xb.chains.clear()
    now_ms = world.clock.now_ms()
    late = xa.letter(xb.id, issued_ms=now_ms - 48 * HOUR_MS, expires_ms=now_ms - 24 * HOUR_MS)
    await historian.send(late, expect="refuse")
    await historian.send(late, expect="repeat")
    await historian.send(*letters(12))
    for number, fault in enumerate((*Fault, *Fault), 1):
        bus = CountingBus(hub.broker, "router")
        bus.number, bus.fault = number, fault
        task = hub.work(bus=bus, batch_messages_max=2)
        with pytest.raises(OutcomeUnknown):
            await task
    hub.work()
    await historian.decided()
    first = next(line for line in historian.senders if line["recipient"] == xb.id)
    await historian.send(xb.receipts(xa.id, first["id"]))
    await historian.decided()
    return historian


async def test_right_router_is_found_clean(told: Historian) -> None:
    """Crashes, repeats, refusals and receipt lists are no anomaly."""
    report = told.judge(told.topics())
    assert report.anomalies == ()
    assert report.messages == len(told.senders) - 1


async def test_what_is_taken_out_is_missed(told: Historian) -> None:
    """Any one record of the hub that is taken out is missed, by the right name; a copy that comes again is a duplicate."""
    topics = told.topics()
    for line in topics:
        report = told.judge([other for other in topics if other is not line])
        assert set(report.counts) & MISSED[line["kind"]], (line, report.counts)
        assert report.lost or line["kind"] not in {"copy", "outbox"}
    for line in topics:
        if line["kind"] == "copy":
            assert told.judge([*topics, line | {"offset": line["offset"] + 1000}]).duplicated


async def test_clock_is_told_in_the_log_s_units(world, xa, reply_clock: ClockOperation) -> None:
    """A clock's due time is the same in the manifest and in the history; two clocks have no room."""
    letter = xa.letter("xb-pgo", clocks=(reply_clock,))
    stop = replace(reply_clock, verb=ClockVerb.STOP, due_ms=None, clock="0123456789abcdee")
    both = xa.letter("xb-pgo", clocks=(reply_clock, stop))
    said = {"op": 1, "outcome": "ok", "expect": None, "offset": 0, "begun_ms": 0, "ended_ms": 0}
    line = lines.submission(**said, topic=letter.topic, headers=letter.headers, value=letter.value)
    assert line["clock"] == {"id": reply_clock.clock, "verb": "start", "due_ms": reply_clock.due_ms}
    with pytest.raises(ValueError, match="one clock"):
        lines.submission(**said, topic=both.topic, headers=both.headers, value=both.value)
