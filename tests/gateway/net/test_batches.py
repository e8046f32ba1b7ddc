from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from connectors.folder.system import FolderSystem
from connectors.gateway.outgoing import IN_FLIGHT_MAX
from connectors.ports import HandIn
from hub.core.ids import MessageId, sha256
from hub.core.limits import RECEIPTS_PER_MANIFEST_MAX
from hub.core.manifest import MessageType, Priority
from hub.core.topics import outbox
from hub.errors import Conflict, Held, UsageError


def made(key, to, document):
    """A hand-in as a national system gives it."""
    return HandIn(
        key=key,
        digest=sha256(document),
        type=MessageType.REQUEST,
        recipient=to,
        thread=None,
        in_reply_to=None,
        priority=Priority.NORMAL,
        clocks=(),
        document=document,
        files=(),
    )


async def test_a_backlog_arrives_whole_and_in_order(net, xa, xb):
    """More than the window holds: no more than that is in flight, all are delivered, in their order."""
    count = 2 * IN_FLIGHT_MAX + 5
    for number in range(count):
        xa.hand_in(f"case-{number:03d}", xb.name)
    await xa.send()
    assert len(net.hub.broker.records(outbox(xa.name))) == IN_FLIGHT_MAX
    await net.settle(rounds=30)
    rows = xa.query("select sequence, state from outgoing where tag is not null order by n")
    assert rows == [(number, "accepted") for number in range(1, count + 1)]
    assert len(list(xb.desk.messages())) == count
    delivered = xb.query("select sequence from incoming where state = 'delivered' order by n")
    assert delivered == [(number,) for number in range(1, count + 1)]
    ((lists,),) = xb.query("select count(*) from outgoing where type = 'receipt'")
    assert lists <= 2 * count / RECEIPTS_PER_MANIFEST_MAX + 6


def test_one_batch_judges_each_hand_in_alone(xa, xb, documents):
    """A bad one, a repeated one and a conflict change nothing for the good ones beside them."""
    good, other = documents["request"], documents["request"].replace(b"road contract", b"dam contract")
    hand_ins = [
        made("case-1", xb.name, good),
        made("case-1", xb.name, good),
        made("case-1", xb.name, other),
        made("case-2", xa.name, good),
        made("case-3", xb.name, b"{}"),
        made("case-4", xb.name, other),
    ]
    taken = xa.sender.take(hand_ins, now_ms=xa.clock.now_ms())
    assert [type(each) for each in taken] == [type(None), type(None), Conflict, UsageError, UsageError, type(None)]
    assert len(xa.query("select id from outgoing")) == 2
    assert xa.sender.take(hand_ins[:1], now_ms=xa.clock.now_ms()) == [None]
    assert len(xa.query("select id from outgoing")) == 2


async def test_what_cannot_be_sealed_yet_holds_up_its_own_pair_only(net, xa, xb, documents):
    """While a recipient has no key in force, messages to others go out in the same batch."""
    keys = net.trust.trust.authorities[xb.name].encryption
    net.trust.change(xb.name, encryption=())
    hand_ins = [made("case-1", xb.name, documents["request"]), made("case-2", "xc-acc", documents["request"])]
    xa.sender.take(hand_ins, now_ms=xa.clock.now_ms())
    await xa.send()
    assert xa.codes == ["recipient-key-invalid"]
    states = xa.query("select recipient, state from outgoing order by n")
    assert states == [("xb-pgo", "ready"), ("xc-acc", "sealed")]
    net.trust.change(xb.name, encryption=keys)
    await xa.send()
    assert xa.query("select state from outgoing order by n") == [("sealed",), ("sealed",)]


async def test_a_batch_ends_before_what_has_to_wait(net, xa, xb):
    """Records before one whose trust list is still to come are stored; it is taken when the list is here."""
    xa.hand_in("case-1", xb.name)
    await xa.send()
    net.hub.route()
    before = len(xb.records())
    net.trust.change("xc-acc", suite="S1")
    xa.hand_in("case-2", xb.name)
    await xa.send()
    net.hub.route()
    view, records = net.trust.view, xb.records()
    old = replace(view, lists={1: view.lists[1]}, freshness=replace(view.freshness, number=1))
    taken = xb.receiver.take(records, old, now_ms=xb.clock.now_ms())
    assert taken.count >= before
    assert xb.receiver.next_offset() == taken.count < len(records)
    with pytest.raises(Held):
        xb.receiver.take(records[taken.count :], old, now_ms=xb.clock.now_ms())
    assert xb.receiver.next_offset() == taken.count
    xb.receiver.take(records[taken.count :], view, now_ms=xb.clock.now_ms())
    assert xb.query("select state from incoming order by n") == [("stored",), ("stored",)]


async def test_receipts_wait_for_company_but_not_behind_a_reply(net, xa, xb, documents):
    """Within the wait no list goes out; a reply takes them along, before it."""
    xb.sender._receipts_wait_ms = 1000
    xa.hand_in("case-1", xb.name)
    await xa.send()
    net.hub.route()
    xb.receive()
    await xb.gateway.hand_over()
    await xb.send()
    assert net.hub.broker.records(outbox(xb.name)) == []
    xb.clock.advance(1000)
    await xb.send()
    assert len(net.hub.broker.records(outbox(xb.name))) == 1
    xa.hand_in("case-2", xb.name)
    await xa.send()
    net.hub.route()
    xb.receive()
    await xb.gateway.hand_over()
    (message,) = xb.query("select id from incoming order by n desc limit 1")
    xb.hand_in("ack-2", xa.name, type=MessageType.ACK, in_reply_to=MessageId(message[0]), document=documents["ack"])
    await xb.send()
    types = xb.query("select type from outgoing order by sequence")
    assert types == [("receipt",), ("receipt",), ("ack",)]


async def test_a_list_proves_all_its_levels_once(net, xa, xb):
    """A receipt list is kept as evidence once, however many levels it proves; each is told with it."""
    for number in range(10):
        xa.hand_in(f"case-{number}", xb.name)
    await net.settle(rounds=10)
    ((lists,),) = xa.query("select count(*) from evidence where kind = 'manifest'")
    ((levels,),) = xa.query("select count(*) from results where name like '%.delivered' or name like '%.opened'")
    assert levels == 20
    assert 1 <= lists <= 3
    shown = [xa.desk.confirmation(f"case-{number}", "opened")["evidence"]["bytes"] for number in range(10)]
    assert all(json.loads(each)["payload"] for each in shown)


async def test_a_hand_in_wakes_the_gateway(net, xa, xb, monkeypatch):
    """A system that tells of a hand-in does not wait for the rescan."""
    wakes = []
    monkeypatch.setattr(FolderSystem, "watch", lambda _, wake: wakes.append(wake))
    xa.gateway._parts = replace(xa.gateway._parts, scan_seconds=3600)
    running = asyncio.create_task(xa.gateway.run())
    await asyncio.sleep(0.2)
    xa.hand_in("case-1", xb.name)
    await asyncio.to_thread(wakes[0])
    for _ in range(500):
        if net.hub.broker.records(outbox(xa.name)):
            break
        await asyncio.sleep(0.01)
    xa.gateway.stop()
    await running
    assert len(net.hub.broker.records(outbox(xa.name))) == 1
