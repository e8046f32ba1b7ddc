"""Routers with a bug planted in them: the independent checker sees each, and nothing in the right one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest

from hub import flow
from hub.core import pairs
from hub.core.authority import TrustList
from hub.core.ids import MessageId
from hub.core.manifest import Manifest
from hub.core.pairs import Repeat
from hub.core.records import JWS_HEADER
from hub.core.shard import ShardState
from hub.core.topics import SHARDS, inbox
from hub.errors import ComityError
from hub.streams import shard
from hub.streams.shard import Shard
from hub.testing import Fault
from tests.faults.checker import Report
from tests.flow.test_router import CountingBus, _quick
from tests.flow.test_router_history import Historian

__all__ = ["_quick"]
HOUR_MS = 3600 * 1000
CRASHES = 5  # transactions that fail, each in both ways
CRASH_SECONDS = 0.5
SETTLED_SECONDS = 1.0
PLANTED: dict[str, Callable[[pytest.MonkeyPatch], None]] = {}


def planted(bug: Callable[[pytest.MonkeyPatch], None]) -> Callable[[pytest.MonkeyPatch], None]:
    """Add a bug to the table."""
    PLANTED[bug.__name__] = bug
    return bug


async def _in_two(router: Shard, routing: flow.Routing, is_first: Callable[[str, bool], bool]) -> None:
    """Write a routing as two transactions: those records for which ``is_first`` holds, then the others."""
    group = flow.shard_id(router.number)
    first = [each for each in routing.records if is_first(each.topic, bool(each.headers))]
    rest = [each for each in routing.records if each not in first]
    await router._writing().transact(
        first, routing.offsets if any(each.topic == SHARDS for each in first) else {}, group
    )
    await router._writing().transact(rest, routing.offsets if any(each.topic == SHARDS for each in rest) else {}, group)


@planted
def commits_before_it_produces(patch: pytest.MonkeyPatch) -> None:
    """The state moves on, then the records are written: what crashes between them is lost."""

    async def write(self: Shard, routing: flow.Routing) -> None:
        await _in_two(self, routing, lambda topic, _: topic == SHARDS)

    patch.setattr(Shard, "_write", write)


@planted
def produces_before_it_commits(patch: pytest.MonkeyPatch) -> None:
    """The records are written, then the state moves on: at least once is not once."""

    async def write(self: Shard, routing: flow.Routing) -> None:
        await _in_two(self, routing, lambda topic, _: topic != SHARDS)

    patch.setattr(Shard, "_write", write)


@planted
def receipts_in_a_transaction_of_their_own(patch: pytest.MonkeyPatch) -> None:
    """Copies and state first, bundles after: a crash between tears a message."""

    async def write(self: Shard, routing: flow.Routing) -> None:
        bundles = {id(each) for each in routing.records if any(name == "comity-hub" for name, _ in each.headers)}
        group = flow.shard_id(self.number)
        await self._writing().transact([r for r in routing.records if id(r) not in bundles], routing.offsets, group)
        await self._writing().transact([r for r in routing.records if id(r) in bundles], {}, group)

    patch.setattr(Shard, "_write", write)


@planted
def remembers_in_memory_only(patch: pytest.MonkeyPatch) -> None:
    """Who takes over starts from nothing."""
    patch.setattr(shard, "decode_state", lambda _: ShardState())


@planted
def starts_one_too_far(patch: pytest.MonkeyPatch) -> None:
    """No seek to what was committed: the position runs ahead of it."""
    right = ShardState.next_offset
    patch.setattr(ShardState, "next_offset", lambda self, owner: right(self, owner) + bool(self.offsets))


@planted
def drops_what_it_fetched_when_a_neighbour_raises(patch: pytest.MonkeyPatch) -> None:
    """The naive getmany: positions have moved, and the records are thrown away."""
    right, calls = Shard._gather, iter(range(1_000_000))

    async def gather(self: Shard) -> list:
        records = await right(self)
        return records[1:] if records and next(calls) % 3 == 0 else records

    patch.setattr(Shard, "_gather", gather)


@planted
def skips_what_it_cannot_parse(patch: pytest.MonkeyPatch) -> None:
    """An exception acknowledges: a bad record has no outcome at all."""
    right = shard.check
    patch.setattr(
        shard,
        "check",
        lambda records, trust, *, paths: right(
            [each for each in records if JWS_HEADER in dict(each.headers)], trust, paths=paths
        ),
    )


@planted
def knows_messages_by_their_id_alone(patch: pytest.MonkeyPatch) -> None:
    """Another text under an id that is taken gets the first one's receipt."""
    right = pairs.place

    def place(chain: pairs.Chain, *, message: MessageId, **given: object) -> pairs.Placement:
        same = chain.window.get(message)
        return Repeat(same) if same else right(chain, message=message, **given)

    patch.setattr(flow, "place", place)


@planted
def trusts_the_senders_time(patch: pytest.MonkeyPatch) -> None:
    """A message is judged at the time that it says it was written."""
    right = flow.check_policy

    def check_policy(manifest: Manifest, trust: TrustList, *, time_ms: int) -> None:
        del time_ms
        right(manifest, trust, time_ms=manifest.issued_ms)

    patch.setattr(flow, "check_policy", check_policy)


@planted
def knows_no_repeat(patch: pytest.MonkeyPatch) -> None:
    """Every record is next in its chain."""
    patch.setattr(flow, "place", lambda *_, **__: pairs.Next())
    patch.setattr("hub.core.plan.advance", lambda chain, link: replace(chain, sequence=link.sequence, head=link.jws))


@planted
def delivers_to_the_wrong_inbox(patch: pytest.MonkeyPatch) -> None:
    """A copy comes to whoever reads it first."""
    right = flow._inbox_records

    def records(plan: flow.Plan, bundles: flow.Bundles) -> object:
        for each in right(plan, bundles):
            yield each if not each.key or not each.headers else replace(each, topic=inbox(plan.decisions[0].owner))

    patch.setattr(flow, "_inbox_records", records)


async def _judged(hub, world, xa, xb, xc, letters) -> Report:
    """What the checker says of a router that meets repeats, conflicts, refusals, a theft, and crashes."""
    historian = Historian(hub)
    good = xa.letter(xb.id)
    await historian.send(good)
    await historian.send(good, expect="repeat")
    conflict = xa.publish(replace(xa.manifest(xb.id), id=_id(historian)), keep=False)
    await historian.send(conflict, expect="refuse")
    await historian.send(replace(good, topic="outbox.xc-acc"), replace(good, headers=()), expect="refuse")
    now_ms = world.clock.now_ms()
    late = xa.letter(xb.id, issued_ms=now_ms - 48 * HOUR_MS, expires_ms=now_ms - 24 * HOUR_MS)
    await historian.send(late, expect="refuse")
    await historian.send(*letters(12))
    await _crash(hub)
    hub.work()
    with contextlib.suppress(TimeoutError, AssertionError, ComityError):
        async with asyncio.timeout(SETTLED_SECONDS):
            await historian.decided()
    return historian.judge(historian.topics())


async def _crash(hub) -> None:
    """One worker after the other fails at a transaction, until one has no transaction left to fail at."""
    for number, fault in product(range(1, CRASHES + 1), Fault):
        bus = CountingBus(hub.broker, "router")
        bus.number, bus.fault = number, fault
        task = hub.work(bus=bus, batch_messages_max=2)
        done, _ = await asyncio.wait({task}, timeout=CRASH_SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not done:
            return


def _id(historian: Historian) -> str:
    return str(historian.senders[0]["id"])


async def test_right_router_passes_what_the_others_fail(hub, world, xa, xb, xc, letters) -> None:
    """The scenario that shows the bugs shows nothing without one."""
    assert (await _judged(hub, world, xa, xb, xc, letters)).anomalies == ()


@pytest.mark.parametrize("bug", PLANTED)
async def test_planted_bug_is_caught(hub, world, xa, xb, xc, letters, bug, monkeypatch) -> None:
    """The checker finds an anomaly in the history of each router that is wrong."""
    PLANTED[bug](monkeypatch)
    assert (await _judged(hub, world, xa, xb, xc, letters)).counts
