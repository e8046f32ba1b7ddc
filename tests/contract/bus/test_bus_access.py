"""The access matrix as clients meet it: what is not allowed is refused, alike for what exists and what does not."""

from __future__ import annotations

import pytest

from hub.core.records import Outgoing, Place
from hub.errors import NotPermitted
from hub.ports import Bus


def _ignore(_partitions: frozenset[int]) -> None:
    """For memberships that nobody takes away."""


async def _write(bus: Bus, topic: str) -> None:
    """Kafka lets nobody have an idempotent writer who may write nowhere."""
    await (await bus.writer()).send([Outgoing(topic, b"k", b"v")])


async def test_authority_sees_its_own_topics_only(world):
    """An authority does not even learn that others exist."""
    seen = await world.bus(world.xa).partitions()
    assert {f"outbox.{world.xa}": 1, f"inbox.{world.xa}": 1, "hub.directory": 1} == dict(seen)


@pytest.mark.parametrize(
    "topic", ["outbox.{xb}", "inbox.{xa}", "inbox.{xb}", "hub.ledger", "hub.directory", "hub.shards"]
)
async def test_authority_writes_its_outbox_only(world, topic):
    """No other topic takes a record of an authority's."""
    name = topic.format(xa=world.xa, xb=world.xb)
    writer = await world.bus(world.xa).writer()
    with pytest.raises(NotPermitted):
        await writer.send([Outgoing(name, b"k", b"v")])
    (position,) = await writer.send([Outgoing(world.outbox.topic, b"k", b"v")])
    assert position.offset == 0


@pytest.mark.parametrize(
    "topic", ["inbox.{xb}", "outbox.{xb}", "hub.ledger", "hub.shards", "hub.quarantine", "inbox.xz-no"]
)
async def test_authority_reads_its_inbox_only(world, topic):
    """No other topic but the directory is read by an authority, whether it exists or not."""
    name = topic.format(xb=world.xb)
    with pytest.raises(NotPermitted):
        await world.bus(world.xa).reader({Place(name, 0): 0})


async def test_authority_cannot_read_its_outbox(world):
    """What may only be written is not read."""
    bus = world.bus(world.xa)
    await (await bus.writer()).send([Outgoing(world.outbox.topic, b"k", b"v")])

    async def read() -> None:
        reader = await bus.reader({world.outbox: 0})  # Kafka lets a writer assign, and refuses the fetch
        for _ in range(20):
            await reader.fetch(wait_ms=200, records_max=1)

    with pytest.raises(NotPermitted):
        await read()


async def test_authority_cannot_fence_the_router(world):
    """A shard's transactional id, and any other, is denied to an authority."""
    for name in (world.shard, f"conn.{world.xa}.1"):
        with pytest.raises(NotPermitted):
            await world.bus(world.xa).transactional_writer(name)


async def test_authority_cannot_steal_shards(world):
    """The router's group is denied to an authority."""
    with pytest.raises(NotPermitted):
        await world.bus(world.xa).membership("router", f"inbox.{world.xa}", instance="thief", on_revoked=_ignore)


async def test_roles_are_kept_apart(world):
    """Registrar, watch and directory do not write where they have no business."""
    for principal, topic in (
        ("registrar", "hub.ledger"),
        ("watch", "hub.shards"),
        ("directory", "hub.ledger"),
        ("router", world.outbox.topic),
    ):
        with pytest.raises(NotPermitted):
            await _write(world.bus(principal), topic)


async def test_stranger_gets_nothing(world):
    """A valid certificate of a principal without rules opens nothing."""
    stranger = world.bus("xd-stranger")
    assert dict(await stranger.partitions()) == {}
    with pytest.raises(NotPermitted):
        await _write(stranger, world.outbox.topic)
