"""The running router on the memory bus: nothing lost, nothing twice, nobody disturbed by another's trouble."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import replace

import pytest

from hub.core import plan
from hub.core.access import AccessRule, Operation, Resource, access_rules, topic_specs
from hub.core.authority import HubRole
from hub.core.records import HUB_HEADER, Place
from hub.envelope.receipts import HeadCache, read_bundle
from hub.errors import Fenced, OutcomeUnknown, Unreachable, UsageError
from hub.settings import HubSettings
from hub.streams import holds, router, shard
from hub.streams.process import Process
from hub.streams.router import run_router
from hub.testing import Fault, MemoryBus
from hub.wire.ledger import decode_ledger
from hub.wire.quarantine import decode_quarantine


@pytest.fixture(autouse=True)
def _quick(monkeypatch) -> None:
    """Waits of a busy hub are waits of a test."""
    monkeypatch.setattr(holds, "BACK_OFF_SECONDS_FIRST", 0.05)
    monkeypatch.setattr(shard, "FETCH_WAIT_MS", 20)
    monkeypatch.setattr(shard, "HELD_SECONDS", 0.02)
    monkeypatch.setattr(shard, "TOPICS_SECONDS", 0.05)
    monkeypatch.setattr(router, "LOOK_SECONDS", 0.02)


class CountingBus(MemoryBus):
    """Fails the ``number``-th transaction: lost before, or stored and its answer lost."""

    number, fault = 0, Fault.LOST

    async def transactional_writer(self, transactional_id: str):
        """A writer that counts."""
        writer = await super().transactional_writer(transactional_id)
        transact = writer.transact

        async def counted(records, offsets, group) -> None:
            self.number -= 1
            if self.number == 0:
                self.fail_next(self.fault)
            await transact(records, offsets, group)

        writer.transact = counted
        return writer


class Hub:
    """A broker and workers of the router on it."""

    def __init__(self, world, home) -> None:
        self.world, self.home = world, home
        self.broker = world.broker()
        self.workers: list[tuple[Process, asyncio.Task]] = []

    def work(self, name: str = "1", *, bus: MemoryBus | None = None, **settings) -> asyncio.Task:
        """Start a worker."""
        process = Process("router", HubSettings(home=self.home, worker=name, **settings))
        running = run_router(
            process,
            bus=bus or MemoryBus(self.broker, "router"),
            directory=self.world,
            signers=self.world.router,
            clock=self.world.clock,
        )
        task = asyncio.create_task(running)
        self.workers.append((process, task))
        return task

    @property
    def process(self) -> Process:
        """The newest worker's process."""
        return self.workers[-1][0]

    async def leave(self, number: int = -1) -> None:
        """Stop a worker cleanly."""
        process, task = self.workers.pop(number)
        process.stop()
        await task

    async def send(self, *outgoing) -> None:
        """Publish outbox records as their owners."""
        for each in outgoing:
            writer = await MemoryBus(self.broker, each.topic.removeprefix("outbox.")).writer()
            await writer.send([each])

    def entries(self) -> list:
        """The message entries of the ledger; the numbers of each writer have no gap."""
        numbers = defaultdict(list)
        found = []
        for record in self.broker.records("hub.ledger"):
            read = decode_ledger(record.value)
            numbers[read.writer, record.partition].append(read.n)
            found.extend(entry for entry in read.entries if hasattr(entry, "counted"))
        for each in numbers.values():
            assert each == list(range(1, len(each) + 1))
        return found

    def codes(self) -> list[str]:
        """Where each decided record lies, and what was said of it."""
        return sorted(f"{each.outbox.topic}/{each.outbox.offset} {each.code or 'accepted'}" for each in self.entries())

    async def decided(self, count: int) -> None:
        """Wait until ``count`` records were decided."""
        async with asyncio.timeout(20):
            while len(self.entries()) < count:  # noqa: ASYNC110 (the router's tasks do it; nothing tells when)
                await asyncio.sleep(0.01)

    def copies(self, authority: str) -> list:
        """The copies in an inbox, its bundles verified and without a gap."""
        topic, heads, chains = f"inbox.{authority}", HeadCache(), {}
        found = []
        for record in self.broker.records(topic):
            if HUB_HEADER not in dict(record.headers):
                found.append(record)
                continue
            bundle = read_bundle(record.value, inbox=topic, trust=self.world.trust, heads=heads)
            n, prev = chains.get(bundle.writer, (0, None))
            assert (bundle.chain.n, bundle.chain.prev) == (n + 1, prev)
            chains[bundle.writer] = (n + 1, bundle.digest)
        return found

    def check_exactly_once(self) -> None:
        """Every outbox record was decided once, and every accepted one lies in its recipient's inbox once, in order."""
        places = [(entry.outbox.topic, entry.outbox.offset) for entry in self.entries()]
        wanted, copies = [], defaultdict(list)
        for name in self.world.trust.authorities:
            outbox = self.broker.records(f"outbox.{name}")
            wanted += [(record.topic, record.offset) for record in outbox]
            accepted = {
                entry.outbox.offset: entry for entry in self.entries() if entry.outbox.topic == f"outbox.{name}"
            }
            for record in outbox:
                entry = accepted[record.offset]
                if entry.accepted and not entry.repeat:
                    copies[entry.recipient].append((record.value, record.headers))
        assert sorted(places) == sorted(wanted)
        for name in self.world.trust.authorities:
            found = [(record.value, record.headers) for record in self.copies(name)]
            assert sorted(found) == sorted(copies[name])
            for sender in self.world.trust.authorities:
                own = [pair for pair in found if sender.encode() in pair[0]]
                assert own == [pair for pair in copies[name] if sender.encode() in pair[0]]


@pytest.fixture
async def hub(world, tmp_path):
    """A hub without a worker; what still runs at the end is ended."""
    made = Hub(world, tmp_path)
    yield made
    for _, task in made.workers:
        task.cancel()
    await asyncio.gather(*(task for _, task in made.workers), return_exceptions=True)


def letters(world, count: int) -> list:
    """Letters among all three, and back."""
    names = list(world.authors)
    return [
        world.authors[names[number % 3]].letter(names[(number + 1 + number // 3 % 2) % 3]) for number in range(count)
    ]


async def test_messages_cross_the_hub(hub, world) -> None:
    """What was sent is delivered once, in order, receipted, and the offsets are committed with it."""
    await hub.send(*letters(world, 12))
    hub.work()
    await hub.decided(12)
    assert {entry.code for entry in hub.entries()} == {None}
    hub.check_exactly_once()
    assert hub.process.not_ready is None
    await hub.leave()
    offsets = {**hub.broker.committed_offsets("router-shard-0"), **hub.broker.committed_offsets("router-shard-1")}
    assert offsets == {Place(f"outbox.{name}", 0): 4 for name in world.authors}


async def test_next_worker_goes_on_where_the_last_stopped(hub, world) -> None:
    """State lies in the broker: a new worker continues chains, bundles and numbers."""
    for _ in range(3):
        await hub.send(*letters(world, 3))
        hub.work()
        await hub.decided(3)
        await hub.leave()
        await hub.send(*letters(world, 3))
    hub.work()
    await hub.decided(18)
    hub.check_exactly_once()


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("number", range(1, 6))
async def test_crash_at_each_transaction_loses_and_doubles_nothing(hub, world, number, fault) -> None:
    """An unknown outcome ends the worker; the next one finds out what happened, whichever it was."""
    await hub.send(*letters(world, 9))
    bus = CountingBus(hub.broker, "router")
    bus.number, bus.fault = number, fault
    with pytest.raises(OutcomeUnknown):
        await hub.work(bus=bus, batch_messages_max=2)
    hub.work()
    await hub.decided(9)
    hub.check_exactly_once()


async def test_kill_in_the_middle_loses_and_doubles_nothing(hub, world) -> None:
    """Workers that are cut off anywhere, again and again, leave every message decided once."""
    batch = letters(world, 24)
    for number in range(6):
        await hub.send(*batch[number * 4 : number * 4 + 4])
        task = hub.work(batch_messages_max=1)
        await asyncio.sleep(0.02 + 0.01 * number)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    hub.work()
    await hub.decided(24)
    hub.check_exactly_once()


async def test_repeat_and_refusals_disturb_nobody(hub, world, xa, xb, xc) -> None:
    """A record again, a flipped byte, a stolen record: each gets its answer, the others pass."""
    good = xa.letter(xb.id)
    flipped = xa.publish(xa.manifest(xb.id), keep=False, value=b"[]")
    stolen = replace(good, topic="outbox.xc-acc")
    await hub.send(good, good, flipped, stolen, xc.letter(xa.id), xa.letter(xb.id))
    hub.work()
    await hub.decided(6)
    assert hub.codes() == [
        "outbox.xa-moj/0 accepted",
        "outbox.xa-moj/1 accepted",
        "outbox.xa-moj/2 length-mismatch",
        "outbox.xa-moj/3 accepted",
        "outbox.xc-acc/0 sender-mismatch",
        "outbox.xc-acc/1 accepted",
    ]
    hub.check_exactly_once()


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
async def test_bad_inbox_stops_only_who_needs_it(  # noqa: PLR0917 (pytest passes by name)
    hub, world, xa, xb, xc, visible
) -> None:
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


async def test_two_workers_share_the_shards(hub, world) -> None:
    """A worker that joins takes a part, one that leaves gives it back; every message is decided once."""
    hub.work("1")
    await hub.send(*letters(world, 6))
    await hub.decided(6)
    hub.work("2")
    await hub.send(*letters(world, 6))
    await hub.decided(12)
    await hub.leave(0)
    await hub.send(*letters(world, 6))
    await hub.decided(18)
    hub.check_exactly_once()
    await hub.leave()


async def test_owner_that_was_fenced_without_notice_ends(hub, world) -> None:
    """Another owner of the transactional id, and no word of the group: the worker ends, and nothing is doubled."""
    task = hub.work()
    await hub.send(*letters(world, 3))
    await hub.decided(3)
    for number in range(2):
        await MemoryBus(hub.broker, "router").transactional_writer(f"router-shard-{number}")
    await hub.send(*letters(world, 3))
    with pytest.raises(Fenced):
        await task
    hub.work()
    await hub.decided(6)
    hub.check_exactly_once()


async def test_without_a_fresh_list_nothing_is_judged(hub, world) -> None:
    """A stale list holds everything, and the process says so; a fresh statement lets it go on."""
    world.freshness_ms -= 25 * 3600 * 1000
    await hub.send(*letters(world, 3))
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


async def test_what_does_not_fit_comes_in_the_next_transaction(  # noqa: PLR0917 (pytest passes by name)
    hub, world, monkeypatch, xa, xb, xc
) -> None:
    """What was read and exceeds the limits of a transaction is read again, in order."""
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


async def test_too_many_restarts_end_the_process(hub, world, monkeypatch) -> None:
    """What a restart does not mend, here a ledger that cannot be written, ends the process."""
    monkeypatch.setattr(router, "RESTARTS_MAX", 1)
    rules = [rule for rule in access_rules(world.trust.authorities, shards=2) if rule.name != "hub.ledger"]
    hub.broker.apply((), rules)
    await hub.send(*letters(world, 3))
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


async def test_lost_membership_ends_the_process(hub, world, monkeypatch) -> None:
    """A worker that the group threw out does not idle for ever."""
    monkeypatch.setattr(router, "LOST_SECONDS", 0.05)
    task = hub.work()
    await hub.send(*letters(world, 3))
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
