"""``hub.directory``: what is believed, what is refused, and that nothing stops the follower."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hub.adapters.directory import (
    PLACE,
    DirectoryFollower,
    freshness_loop,
    freshness_record,
    key_statement_record,
    publish,
    read_directory,
    trust_list_record,
)
from hub.core import secretariat
from hub.core.authority import Freshness, PublicKey, TrustList
from hub.core.effects import Alert
from hub.core.ids import AuthorityId
from hub.core.limits import TRUST_FRESH_MS_MAX
from hub.core.records import Outgoing
from hub.core.topics import DIRECTORY
from hub.errors import Held, NotPermitted, PartitionBroken, UsageError


async def wait_until(holds: Callable[[], object]) -> None:
    """Until ``holds()`` is true; pytest's own time-out is the limit."""
    while not holds():
        await asyncio.sleep(0.005)


async def test_what_was_published_is_read_back(world: Any, key: PublicKey) -> None:
    """Lists, freshness and statements come back as values, and the list is fresh."""
    two = world.admit("xa-moj", key)
    await publish(
        world.bus(),
        [
            trust_list_record(2, world.sign(two)),
            freshness_record(world.freshness()),
            key_statement_record(key.id, world.statement("xa-moj", key)),
        ],
    )
    found = await read_directory(world.bus("router"), world.anchor)
    assert found.view.fresh(world.clock.now_ms()) == two
    assert found.statements[key.id].key == key


async def test_a_follower_sees_later_records_and_bad_ones_do_not_stop_it(world: Any) -> None:
    """Garbage under every key is told once each; the list after it is taken."""
    alerts: list[Alert] = []
    await publish(world.bus(), [trust_list_record(1, world.sign(world.trust))])
    follower = DirectoryFollower(world.bus("watch"), world.anchor, alert=alerts.append)
    await follower.start()
    garbage = [
        Outgoing(DIRECTORY, name, value)
        for name in (b"tl/2", b"tl/x", b"fresh", b"key/x", b"\xff", b"key/" + b"A" * 43)
        for value in (b"{}", b"\x00\xff")
    ]
    await publish(world.bus(), [*garbage, Outgoing(DIRECTORY, b"key/" + b"A" * 43, None)])
    renewed = secretariat.renew(world.trust, now_ms=world.clock.now_ms(), next_update_ms=world.trust.next_update_ms)
    await publish(world.bus(), [trust_list_record(2, world.sign(renewed))])
    await wait_until(lambda: 2 in follower.view.lists)
    await follower.close()
    assert len(alerts) == len(garbage) + 1
    assert follower.view.newest == renewed


async def test_an_older_list_never_comes_back(world: Any) -> None:
    """List 1 published after list 2, and another list 2, change nothing that counts."""
    alerts: list[Alert] = []
    two = secretariat.renew(world.trust, now_ms=world.clock.now_ms(), next_update_ms=world.trust.next_update_ms)
    forked = replace(two, next_update_ms=two.next_update_ms + 1)
    await publish(
        world.bus(),
        [
            trust_list_record(2, world.sign(two)),
            trust_list_record(1, world.sign(world.trust)),
            trust_list_record(2, world.sign(forked)),
            trust_list_record(3, world.sign(two)),
        ],
    )
    found = await read_directory(world.bus(), world.anchor, alert=alerts.append)
    assert found.view.newest == two
    assert [alert.code for alert in alerts] == ["trust-list-forked", "directory-malformed"]


async def test_a_list_that_too_few_signed_is_refused(world: Any, other_deployment: TrustList) -> None:
    """One signer of two, a stranger, or another deployment's list: none is believed."""
    stranger = tuple(reversed(world.freshness_keys))
    alerts: list[Alert] = []
    await publish(
        world.bus(),
        [
            trust_list_record(1, world.sign(world.trust, 2)),
            trust_list_record(1, replace(world, signers=(world.signers[0], stranger)).sign(world.trust)),
            trust_list_record(1, world.sign(other_deployment)),
            trust_list_record(1, world.sign(world.trust).replace(b'"payload":"ey', b'"payload":"ez')),
        ],
    )
    found = await read_directory(world.bus(), world.anchor, alert=alerts.append)
    with pytest.raises(Held, match="trust-list-missing"):
        _ = found.view.newest
    codes = ["trust-list-invalid", "trust-list-invalid", "deployment-mismatch", "trust-list-invalid"]
    assert [alert.code for alert in alerts] == codes


async def test_an_expired_or_stale_list_is_held(world: Any) -> None:
    """After nextUpdate, or a day without a freshness statement, nothing is judged."""
    await publish(world.bus(), [trust_list_record(1, world.sign(world.trust)), freshness_record(world.freshness())])
    view = (await read_directory(world.bus(), world.anchor)).view
    with pytest.raises(Held, match="trust-list-stale"):
        view.fresh(world.clock.now_ms() + TRUST_FRESH_MS_MAX + 1)
    late = replace(view, freshness=Freshness(1, world.trust.next_update_ms))
    with pytest.raises(Held, match="trust-list-expired"):
        late.fresh(world.trust.next_update_ms + 1)


async def test_a_statement_counts_as_long_as_the_newest_list_names_its_key(world: Any, key: PublicKey) -> None:
    """A statement that came before its list is taken with the list, and goes when a later list drops the authority."""
    alerts: list[Alert] = []
    two = world.admit("xa-moj", key)
    follower = DirectoryFollower(world.bus(), world.anchor, alert=alerts.append)
    await publish(
        world.bus(),
        [
            key_statement_record(key.id, world.statement("xa-moj", key)),
            trust_list_record(1, world.sign(replace(two, number=1, authorities={}))),
        ],
    )
    await follower.start()
    assert dict(follower.statements) == {}
    await publish(world.bus(), [trust_list_record(2, world.sign(two))])
    await wait_until(lambda: key.id in follower.statements)
    await publish(world.bus(), [trust_list_record(3, world.sign(replace(two, number=3, authorities={})))])
    await wait_until(lambda: 3 in follower.view.lists)
    await follower.close()
    assert (dict(follower.statements), alerts) == ({}, [])


async def test_garbage_under_a_keys_name_does_not_take_the_key_away(world: Any, key: PublicKey) -> None:
    """The last statement that verified stays; a statement under another key's name is refused."""
    alerts: list[Alert] = []
    two = world.admit("xa-moj", key)
    good = world.statement("xa-moj", key)
    elsewhere = world.members["xa-moj"][0].key
    await publish(
        world.bus(),
        [
            trust_list_record(2, world.sign(two)),
            key_statement_record(key.id, good),
            key_statement_record(key.id, good[:-9] + b'AAAAAA"}]}'),
            key_statement_record(elsewhere, good),
        ],
    )
    found = await read_directory(world.bus(), world.anchor, alert=alerts.append)
    assert set(found.statements) == {key.id}
    assert [alert.code for alert in alerts] == ["key-statement-invalid", "statement-misplaced"]


async def test_freshness_is_stated_at_start_at_each_new_list_and_each_interval(world: Any) -> None:
    """The loop states list 1, then list 2 without waiting for its interval, then list 2 again after it."""
    bus = world.bus()
    await publish(bus, [trust_list_record(1, world.sign(world.trust))])
    follower = DirectoryFollower(bus, world.anchor)
    await follower.start()
    stated: list[Freshness] = []

    def numbers() -> list[int]:
        if follower.view.freshness is not None and (not stated or stated[-1] != follower.view.freshness):
            stated.append(follower.view.freshness)
        return [each.number for each in stated]

    loop = asyncio.create_task(
        freshness_loop(bus, world.freshness_keys, follower=follower, clock=world.clock, interval_seconds=0.3)
    )
    await wait_until(lambda: numbers() == [1])
    world.clock.advance(1000)
    two = secretariat.renew(world.trust, now_ms=world.clock.now_ms(), next_update_ms=world.trust.next_update_ms)
    await publish(bus, [trust_list_record(2, world.sign(two))])
    await wait_until(lambda: numbers() == [1, 2])
    world.clock.advance(1000)
    await wait_until(lambda: numbers() == [1, 2, 2])
    loop.cancel()
    await follower.close()


async def test_an_expired_list_is_not_called_fresh(world: Any) -> None:
    """The loop tells the operator, once, and publishes nothing."""
    bus = world.bus()
    await publish(bus, [trust_list_record(1, world.sign(world.trust))])
    follower = DirectoryFollower(bus, world.anchor)
    await follower.start()
    world.clock.advance(world.trust.next_update_ms - world.clock.now_ms() + 1)
    alerts: list[Alert] = []
    loop = asyncio.create_task(
        freshness_loop(bus, world.freshness_keys, follower=follower, clock=world.clock, alert=alerts.append)
    )
    await wait_until(lambda: alerts)
    loop.cancel()
    await follower.close()
    assert [alert.code for alert in alerts] == ["trust-list-expired"]
    assert len(world.broker.records(DIRECTORY)) == 1


async def test_a_follower_without_the_topic_or_the_right_fails_at_start(world: Any) -> None:
    """A missing permission or topic is told at once, not waited for."""
    with pytest.raises(NotPermitted):
        await DirectoryFollower(world.bus(AuthorityId("xz-moj")), world.anchor).start()
    world.broker.delete_topic(DIRECTORY)
    with pytest.raises(UsageError, match="topic-unknown"):
        await DirectoryFollower(world.bus(), world.anchor).start()


async def test_a_follower_goes_on_after_the_partition_was_broken(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place that cannot be read is told once; when it can be read again, the follower reads on."""
    monkeypatch.setattr("hub.adapters.directory.RETRY_SECONDS", 0.01)
    alerts: list[Alert] = []
    await publish(world.bus(), [trust_list_record(1, world.sign(world.trust))])
    follower = DirectoryFollower(world.bus(), world.anchor, alert=alerts.append)
    await follower.start()
    world.broker.break_at(PLACE, 1)
    two = secretariat.renew(world.trust, now_ms=world.clock.now_ms(), next_update_ms=world.trust.next_update_ms)
    await publish(world.bus(), [trust_list_record(2, world.sign(two))])
    await wait_until(lambda: alerts)
    await asyncio.sleep(0.05)
    world.broker.repair(PLACE)
    await wait_until(lambda: 2 in follower.view.lists)
    await follower.close()
    assert len(alerts) == 1


async def test_half_a_directory_is_not_started_on(world: Any) -> None:
    """When the topic cannot be read to its end, start fails: nothing is judged on half of it. A second start may work."""
    await publish(world.bus(), [trust_list_record(1, world.sign(world.trust)), freshness_record(world.freshness())])
    world.broker.break_at(PLACE, 1)
    follower = DirectoryFollower(world.bus(), world.anchor)
    with pytest.raises(PartitionBroken):
        await follower.start()
    await follower.close()
    world.broker.repair(PLACE)
    await follower.start()
    assert follower.view.fresh(world.clock.now_ms()) == world.trust
    await follower.close()


async def test_a_statement_of_freshness_that_fails_is_told_once_and_tried_again(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two failures in a row are one alert; the third attempt states the list."""
    monkeypatch.setattr("hub.adapters.directory.RETRY_SECONDS", 0.01)
    bus = world.bus()
    await publish(bus, [trust_list_record(1, world.sign(world.trust))])
    follower = DirectoryFollower(bus, world.anchor)
    await follower.start()
    bus.fail_next("lost")
    bus.fail_next("lost")
    alerts: list[Alert] = []
    loop = asyncio.create_task(
        freshness_loop(bus, world.freshness_keys, follower=follower, clock=world.clock, alert=alerts.append)
    )
    await wait_until(lambda: follower.view.freshness)
    loop.cancel()
    await follower.close()
    assert len(alerts) == 1
