"""Troubles of one authority, one inbox, one list: nobody else is disturbed; and what ends the process."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from hub.core import plan
from hub.core.access import AccessRule, Operation, Resource, access_rules, topic_specs
from hub.core.authority import HubRole
from hub.core.records import Place
from hub.errors import Fenced, OutcomeUnknown, Unreachable, UsageError
from hub.settings import HubSettings
from hub.streams import holds, router, shard
from hub.streams.process import Process
from hub.streams.router import run_router
from hub.testing import MemoryBus
from hub.wire.quarantine import decode_quarantine


@pytest.fixture(autouse=True)
def _quick(monkeypatch) -> None:
    """Waits of a busy hub are waits of a test."""
    monkeypatch.setattr(holds, "BACK_OFF_SECONDS_FIRST", 0.05)
    monkeypatch.setattr(shard, "FETCH_WAIT_MS", 20)
    monkeypatch.setattr(shard, "HELD_SECONDS", 0.02)
    monkeypatch.setattr(shard, "TOPICS_SECONDS", 0.05)
    monkeypatch.setattr(router, "LOOK_SECONDS", 0.02)


async def test_unreadable_outbox_harms_its_owner_only(hub, world, xa, xb, xc) -> None:
    """A record that cannot be read is quarantined once, its outbox waits, others go on; repaired, it goes on too."""
    await hub.send(xc.letter(xa.id), xc.letter(xa.id), xa.letter(xb.id), xb.letter(xa.id))
    hub.broker.break_at(Place("outbox.xc-acc", 0), 1)
    hub.work()
    await hub.decided(3)
    await hub.send(xa.letter(xb.id))
    await hub.decided(4)
    await asyncio.sleep(0.3)
    assert "outbox.xc-acc/1 accepted" not in hub.codes()
    (quarantined,) = hub.broker.records("hub.quarantine")
    model = decode_quarantine(quarantined.value)
    assert (model.topic, model.offset, model.code) == ("outbox.xc-acc", 1, "record-unreadable")
    hub.broker.repair(Place("outbox.xc-acc", 0))
    await hub.decided(5)
    hub.check_exactly_once()


def rules_without(hub, authority: str, *, visible: bool) -> list[AccessRule]:
    """All permissions, but the router may not write this inbox; it may or may not see it."""
    trust = hub.world.trust
    rules = [
        rule
        for rule in access_rules(trust.authorities, shards=trust.shards)
        if not (rule.principal == "router" and rule.name == "inbox.")
    ]
    for name in trust.authorities:
        if name != authority:
            rules.append(AccessRule("router", Resource.TOPIC, f"inbox.{name}", Operation.WRITE))
        elif visible:
            rules.append(AccessRule("router", Resource.TOPIC, f"inbox.{name}", Operation.DESCRIBE))
    return rules


@pytest.mark.parametrize("visible", [False, True])
async def test_bad_inbox_stops_only_who_needs_it(hub, world, xa, xb, xc, visible) -> None:
    """Who writes to an inbox that cannot be written waits; all others go on; after the repair nothing is lost."""
    hub.broker.apply((), rules_without(hub, xb.id, visible=visible))
    await hub.send(xa.letter(xc.id), xa.letter(xb.id), xa.letter(xc.id), xc.letter(xa.id), xc.letter(xa.id))
    hub.work()
    await hub.decided(3)
    await hub.send(xc.letter(xa.id))
    await hub.decided(4)
    assert hub.codes() == ["outbox.xa-moj/0 accepted", *(f"outbox.xc-acc/{each} accepted" for each in range(3))]
    hub.broker.apply((), access_rules(world.trust.authorities, shards=world.trust.shards))
    await hub.decided(6)
    hub.check_exactly_once()


async def test_deleted_inbox_is_waited_for(hub, world, xa, xb, xc) -> None:
    """An inbox that goes away under way costs one restart of a shard, and its senders wait until it is there again."""
    hub.work()
    await hub.send(xa.letter(xc.id))
    await hub.decided(1)
    hub.broker.delete_topic("inbox.xc-acc")
    await hub.send(xa.letter(xc.id), xb.letter(xa.id))
    await hub.decided(2)
    assert hub.codes() == ["outbox.xa-moj/0 accepted", "outbox.xb-pgo/0 accepted"]
    trust = world.trust
    hub.broker.apply(
        topic_specs(trust.authorities, shards=trust.shards, ledger_partitions=4, replication=1),
        access_rules(trust.authorities, shards=trust.shards),
    )
    await hub.decided(3)


async def test_record_too_large_for_an_inbox_waits_alone(hub, world, xa, xb, xc) -> None:
    """A message that an inbox does not take holds its own outbox; smaller ones of others pass into the same inbox."""
    trust = world.trust
    specs = topic_specs(trust.authorities, shards=trust.shards, ledger_partitions=4, replication=1)
    small = [
        replace(spec, config={**spec.config, "max.message.bytes": "40000"}) if spec.name == "inbox.xb-pgo" else spec
        for spec in specs
    ]
    rules = access_rules(trust.authorities, shards=trust.shards)
    hub.broker.apply(small, rules)
    value = b'{"ciphertext":"xa-moj %s"}' % (b"." * 60_000)
    large = xa.publish(xa.manifest(xb.id, value=value), value=value)
    await hub.send(large, xa.letter(xc.id), xc.letter(xb.id), xc.letter(xb.id))
    hub.work()
    await hub.decided(2)
    assert hub.codes() == ["outbox.xc-acc/0 accepted", "outbox.xc-acc/1 accepted"]
    hub.broker.apply(specs, rules)
    await hub.decided(4)
    hub.check_exactly_once()


async def test_two_workers_share_the_shards(hub, world, letters) -> None:
    """A worker that joins takes a part, one that leaves gives it back; every message is decided once."""
    hub.work("1")
    await hub.send(*letters(6))
    await hub.decided(6)
    hub.work("2")
    await hub.send(*letters(6))
    await hub.decided(12)
    await hub.leave(0)
    await hub.send(*letters(6))
    await hub.decided(18)
    hub.check_exactly_once()
    await hub.leave()


async def test_owner_that_was_fenced_without_notice_ends(hub, world, letters) -> None:
    """Another owner of the transactional id, and no word of the group: the worker ends, and nothing is doubled."""
    task = hub.work()
    await hub.send(*letters(3))
    await hub.decided(3)
    for number in range(2):
        await MemoryBus(hub.broker, "router").transactional_writer(f"router-shard-{number}")
    await hub.send(*letters(3))
    with pytest.raises(Fenced):
        await task
    hub.work()
    await hub.decided(6)
    hub.check_exactly_once()


async def test_without_a_fresh_list_nothing_is_judged(hub, world, letters) -> None:
    """A stale list holds everything, and the process says so; a fresh statement lets it go on."""
    world.freshness_ms -= 25 * 3600 * 1000
    await hub.send(*letters(3))
    hub.work()
    await asyncio.sleep(0.2)
    assert hub.entries() == []
    assert hub.process.not_ready == "trust-list-stale"
    world.freshness_ms = world.clock.now_ms()
    await hub.decided(3)
    assert {entry.code for entry in hub.entries()} == {None}


async def test_list_to_come_holds_one_outbox(hub, world, xa, xb, xc) -> None:
    """A message under a list that is not here yet waits for it; others do not."""
    await hub.send(xa.letter(xb.id, trust_list=6), xa.letter(xb.id), xc.letter(xb.id))
    hub.work()
    await hub.decided(1)
    assert hub.codes() == ["outbox.xc-acc/0 accepted"]
    world.trust = replace(world.trust, number=6)
    await hub.decided(3)
    hub.check_exactly_once()


async def test_new_authority_needs_no_restart(hub, world, xa, xb, xc) -> None:
    """An authority that the next list names is served at once, and its topics may come later than the list."""
    everybody = world.trust
    fewer = {name: each for name, each in everybody.authorities.items() if name != xc.id}
    letter, other = xc.letter(xa.id), xa.letter(xc.id)
    world.trust = replace(everybody, authorities=fewer)
    hub.broker = world.broker()
    hub.work()
    await hub.send(xb.letter(xa.id))
    await hub.decided(1)
    world.trust = replace(everybody, number=6)
    await asyncio.sleep(0.1)
    hub.broker.apply(
        topic_specs(everybody.authorities, shards=2, ledger_partitions=4, replication=1),
        access_rules(everybody.authorities, shards=2),
    )
    await hub.send(letter, other)
    await hub.decided(3)
    hub.check_exactly_once()


async def test_what_does_not_fit_comes_in_the_next_transaction(hub, world, monkeypatch, xa, xb, xc) -> None:
    """What was read and exceeds the limits of a transaction goes first into the next one, in order."""
    monkeypatch.setattr(plan, "BATCH_MESSAGES_MAX", 2)
    await hub.send(*(xa.letter(xb.id) for _ in range(5)), *(xc.letter(xb.id) for _ in range(5)))
    hub.work()
    await hub.decided(10)
    hub.check_exactly_once()


async def test_many_messages_are_judged_in_chunks(hub, world, xa, xb) -> None:
    """A backlog is judged by several threads, in order, with a held message in the middle."""
    await hub.send(*(xa.letter(xb.id) for _ in range(30)), xa.letter(xb.id, trust_list=6), xa.letter(xb.id))
    hub.work()
    await hub.decided(30)
    world.trust = replace(world.trust, number=6)
    await hub.decided(32)
    hub.check_exactly_once()


async def test_changed_number_of_shards_refuses_to_start(hub, world) -> None:
    """A topic with other shards than the trust list says would route a pair in two places."""
    world.trust = replace(world.trust, shards=3)
    with pytest.raises(UsageError, match="shards-differ"):
        await hub.work()


async def test_unknown_role_keys_refuse_to_start(hub, world) -> None:
    """Receipts under keys that the list does not name would be believed by nobody."""
    world.trust = replace(world.trust, hub_keys={HubRole.ROUTER: ()})
    with pytest.raises(UsageError, match="role-key-unknown"):
        await hub.work()


async def test_too_many_restarts_end_the_process(hub, world, monkeypatch, letters) -> None:
    """What a restart does not mend, here a ledger that cannot be written, ends the process."""
    monkeypatch.setattr(router, "RESTARTS_MAX", 1)
    rules = [rule for rule in access_rules(world.trust.authorities, shards=2) if rule.name != "hub.ledger"]
    hub.broker.apply((), rules)
    await hub.send(*letters(3))
    with pytest.raises(OutcomeUnknown, match="shards-restart"):
        await hub.work()


async def test_shard_without_progress_ends_the_process(hub, world, monkeypatch) -> None:
    """A client that waits in silence for ever does not stop the hub in silence."""
    monkeypatch.setattr(router, "STALL_SLACK_SECONDS", 0.05)

    class Silent(MemoryBus):
        async def transactional_writer(self, transactional_id: str):
            """Never answer."""
            del transactional_id
            await asyncio.sleep(3600)

    with pytest.raises(OutcomeUnknown, match="shard-stalled"):
        await hub.work(bus=Silent(hub.broker, "router"), start_ms=1, step_ms=1)


async def test_lost_membership_ends_the_process(hub, world, monkeypatch, letters) -> None:
    """A worker that the group threw out does not idle for ever."""
    monkeypatch.setattr(router, "LOST_SECONDS", 0.05)
    task = hub.work()
    await hub.send(*letters(3))
    await hub.decided(3)
    hub.broker.group("router", "hub.shards")._members["router-1"].revoke()
    with pytest.raises(Unreachable, match="membership-lost"):
        await task


async def test_first_list_is_waited_for(hub, world) -> None:
    """A router that starts before any trust list says what it waits for."""

    class Empty:
        view = type(world.view)()

    process = Process("router", HubSettings(home=hub.home))
    task = asyncio.create_task(
        run_router(
            process, bus=MemoryBus(hub.broker, "router"), directory=Empty(), signers=world.router, clock=world.clock
        )
    )
    await asyncio.sleep(0.05)
    assert process.not_ready == "trust-list-missing"
    process.stop()
    await task
