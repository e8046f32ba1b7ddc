"""Groups: partitions are shared, move when members come and go, and their owners are told first."""

from __future__ import annotations

import asyncio


async def test_members_share(world):
    """Two members own all partitions between them, and the first is told before anything moves."""
    router = world.bus("router")
    revoked: list[frozenset[int]] = []
    first = await router.membership("router", "hub.shards", instance=f"a-{world.xa}", on_revoked=revoked.append)
    await world.until(lambda: len(first.owned()) == 2)
    second = await router.membership("router", "hub.shards", instance=f"b-{world.xa}", on_revoked=revoked.append)
    await world.until(lambda: len(first.owned()) == 1 and len(second.owned()) == 1)
    assert frozenset({0, 1}) == first.owned() | second.owned()
    assert frozenset({0, 1}) == revoked[0]
    await second.close()
    await world.until(lambda: len(first.owned()) == 2)
    await first.close()
    assert frozenset() == first.owned()


async def test_worker_comes_back(world):
    """A worker that comes back under its name owns what it owned, before its old session has timed out."""
    router = world.bus("router")
    name = f"c-{world.xa}"
    old = await router.membership("router", "hub.shards", instance=name, on_revoked=lambda _: None)
    await world.until(lambda: len(old.owned()) == 2)
    await old.close()
    async with asyncio.timeout(4):
        new = await router.membership("router", "hub.shards", instance=name, on_revoked=lambda _: None)
    await world.until(lambda: len(new.owned()) == 2)
    await new.close()
