from __future__ import annotations

from dataclasses import replace

import pytest

from hub.core.authority import Status
from hub.core.clocks import Flag
from hub.core.ids import ClockId, ThreadId, derived_id
from hub.core.manifest import ClockKind
from hub.core.pairs import Pair
from hub.core.receipts import FlagClaim
from hub.core.records import HUB_HEADER, JWS_HEADER, Outgoing
from hub.errors import Held


def is_copy(record: Outgoing) -> bool:
    """Whether it is a message, and no bundle."""
    return HUB_HEADER not in dict(record.headers)


async def test_bytes_are_sent_again_until_the_receipt_is_in(net, xa, xb):
    """Without a receipt exactly the same bytes go out again; the hub knows the repeat, the recipient gets one."""
    xa.hand_in("case-1", xb.name)
    await xa.send()
    xa.clock.advance(6_000)
    await xa.send()
    first, second = net.hub.broker.records("outbox.xa-moj")
    assert (first.key, first.value, first.headers) == (second.key, second.value, second.headers)
    await net.settle()
    assert len(list(xb.desk.messages())) == 1
    assert xa.query("select state from outgoing where tag is not null") == [("accepted",)]


@pytest.mark.parametrize("fault", ["lost", "stored"])
async def test_unknown_outcome_of_a_publish(net, xa, xb, fault):
    """A send that fails before or after the broker stored it leads to one delivery."""
    xa.bus.fail_next(fault)
    xa.hand_in("case-1", xb.name)
    with pytest.raises(Exception, match=r"\["):
        await xa.send()
    net.hub.route()
    net.advance(6_000)
    await net.settle()
    assert len(list(xb.desk.messages())) == 1
    assert xa.levels("case-1") == ["accepted", "delivered", "opened"]


async def test_damaged_copy_is_sealed_again_with_its_id(net, xa, xb):
    """A copy that was damaged on its way is refused and not counted: the message and those behind it are sealed again."""
    append = net.hub.broker.append

    def damaged(principal, outgoing, transaction=None):
        if principal == xa.name and not damage.pop("done", False):
            damage["done"] = True
            outgoing = replace(outgoing, value=(outgoing.value or b"")[:-1] + b" ")
        return append(principal, outgoing, transaction)

    damage: dict[str, bool] = {}
    net.hub.broker.append = damaged
    xa.hand_in("case-1", xb.name)
    xa.hand_in("case-2", xb.name)
    await xa.send()
    damage["done"] = True
    net.hub.broker.append = append
    ids = xa.query("select id from outgoing order by n")
    await net.settle()
    assert {key for (key,) in ids} == {each["id"] for each in xb.desk.messages()}
    assert xa.query("select seals from outgoing where tag is not null") == [(2,), (2,)]
    assert "digest-mismatch" in xa.codes
    assert xa.levels("case-2") == ["accepted", "delivered", "opened"]


async def test_expired_message_fails_and_the_next_arrives(net, xa, xb):
    """A message that the log took after its window has used up its number; the next one arrives."""
    xa.hand_in("case-1", xb.name)
    await xa.gateway.scan()
    xa.gateway.seal()
    net.hub.broker._clock.advance(80 * 3_600_000)  # the log's time decides
    net.advance(80 * 3_600_000)
    net.trust.freshness = replace(net.trust.freshness, time_ms=xa.clock.now_ms())
    await net.settle()
    assert xa.desk.failure("case-1").code == "expired"
    xa.hand_in("case-2", xb.name)
    await net.settle()
    assert xa.levels("case-2") == ["accepted", "delivered", "opened"]


async def test_revoked_recipient_counts_and_both_sides_go_on(net, xa, xb):
    """A refusal by policy moves the chain on both sides, by the refused manifest itself."""
    xa.hand_in("case-1", xb.name)
    await xa.send()
    net.trust.change(xb.name, status=((Status.ACTIVE, 0), (Status.SUSPENDED, 1)))
    net.hub.route()
    net.trust.change(xb.name, status=((Status.ACTIVE, 0),))
    await net.settle()
    assert xa.desk.failure("case-1").code == "recipient-revoked"
    xa.hand_in("case-2", xb.name)
    await net.settle()
    assert xa.levels("case-2") == ["accepted", "delivered", "opened"]
    assert xa.levels("case-1") == []
    assert "message-gap" in xb.codes


async def test_dropped_copy_parks_all_that_follows(net, xa, xb):
    """A copy that the hub dropped leaves a gap: nothing is delivered past it, and an alarm goes out."""
    dropped: list[Outgoing] = []

    def drop(record: Outgoing) -> list[Outgoing]:
        if record.topic == "inbox.xb-pgo" and is_copy(record) and not dropped:
            dropped.append(record)
            return []
        return [record]

    net.hub.tamper = drop
    for number in (1, 2, 3):
        xa.hand_in(f"case-{number}", xb.name)
        await net.settle()
    assert list(xb.desk.messages()) == []
    assert "sequence-gap" in xb.codes
    # The dropped copy turns up: everything is delivered, in order.
    net.hub.broker.append("router", dropped[0])
    await net.settle()
    assert xb.query("select sequence from incoming where type = 'request' order by n") == [(1,), (2,), (3,)]
    assert len(list(xb.desk.messages())) == 3


async def test_copy_that_comes_twice_is_delivered_once(net, xa, xb):
    """The hub may send a copy again: the recipient knows it."""
    net.hub.tamper = lambda record: [record, record] if is_copy(record) else [record]
    xa.hand_in("case-1", xb.name)
    await net.settle()
    assert len(list(xb.desk.messages())) == 1
    assert "copy-repeated" in xb.codes


async def test_copy_without_its_claim_waits_for_it(net, xa, xb):
    """A copy whose bundle is late is parked, and taken in when the bundle comes."""
    late: list[Outgoing] = []

    def hold(record: Outgoing) -> list[Outgoing]:
        if record.topic == "inbox.xb-pgo" and not is_copy(record) and not late:
            late.append(record)
            return []
        return [record]

    net.hub.tamper = hold
    xa.hand_in("case-1", xb.name)
    await net.settle()
    assert list(xb.desk.messages()) == []
    assert "unclaimed" in xb.codes
    net.hub.broker.append("router", late[0])
    await net.settle()
    assert len(list(xb.desk.messages())) == 1


async def test_missing_bundle_raises_an_alarm(net, xa, xb):
    """Bundles of a writer are counted: a dropped one is noticed at the next."""
    dropped: list[Outgoing] = []

    def drop(record: Outgoing) -> list[Outgoing]:
        if record.topic == "inbox.xa-moj" and not is_copy(record) and not dropped:
            dropped.append(record)
            return []
        return [record]

    net.hub.tamper = drop
    xa.hand_in("case-1", xb.name)
    await net.settle()
    assert "bundle-missing" in xa.codes
    net.advance(10_000)
    await net.settle()  # the same bytes again, the same receipt again
    assert "accepted" in xa.levels("case-1")


async def test_tampered_copy_is_parked(net, xa, xb):
    """A copy whose value the hub changed is not delivered."""

    def change(record: Outgoing) -> list[Outgoing]:
        return [replace(record, value=(record.value or b"") + b" ")] if is_copy(record) else [record]

    net.hub.tamper = change
    xa.hand_in("case-1", xb.name)
    await net.settle()
    assert list(xb.desk.messages()) == []
    assert "length-mismatch" in xb.codes


async def test_record_in_our_outbox_that_is_not_ours_is_told(net, xa):
    """A refusal of a record that we did not publish becomes a notice with the hub's signed receipt."""
    net.hub.broker.append(xa.name, Outgoing("outbox.xa-moj", b"k", b"v", ((JWS_HEADER, b"{}"),)))
    await net.settle()
    [flag] = list(xa.desk.flags())
    assert (flag["kind"], flag["code"]) == ("record-not-ours", "jws-malformed")
    assert "record-not-ours" in xa.codes


async def test_flag_reaches_the_national_system(net, xa, xb, reply_clock):
    """An overdue flag is put beside the messages of both sides, with the hand-in's name on ours."""
    xa.hand_in("case-1", xb.name, clocks=(reply_clock,))
    await net.settle()
    shown = xa.desk.confirmation("case-1", "accepted")
    flag = FlagClaim(
        id=derived_id("flag", 1),
        flag=Flag.OVERDUE,
        percent=100,
        pair=Pair(xa.name, xb.name),
        thread=ThreadId(shown["thread"]),
        clock=ClockId("0" * 16),
        kind=ClockKind.REPLY,
        message=shown["message"],
        due_ms=1,
        time_ms=2,
    )
    net.hub.say([flag], xa.name, xb.name)
    await net.settle()
    [ours], [theirs] = list(xa.desk.flags()), list(xb.desk.flags())
    assert (ours["flag"], ours["hand_in"]) == ("overdue", "case-1")
    assert (theirs["flag"], theirs["hand_in"]) == ("overdue", None)


async def test_stale_trust_list_makes_everything_wait(net, xa, xb):
    """Without a fresh statement nothing is sealed and nothing is judged; with one, it goes on."""
    net.advance(30 * 3_600_000)
    xa.hand_in("case-1", xb.name)
    await xa.send()
    assert net.hub.broker.records("outbox.xa-moj") == []
    assert "trust-list-stale" in xa.codes
    net.trust.freshness = replace(net.trust.freshness, time_ms=xa.clock.now_ms())
    await net.settle()
    net.trust.freshness = replace(net.trust.freshness, time_ms=0)
    with pytest.raises(Held):
        xb.receiver.take(xb.records()[:1], net.trust.view, now_ms=xb.clock.now_ms())


async def test_missing_attachment_is_refused_by_the_recipient(net, xa, xb, tmp_path):
    """A file that is not in the store: the sender gets a signed refusal with the reason, and a problem."""
    file = tmp_path / "a.bin"
    file.write_bytes(b"x" * 5000)
    xa.hand_in("case-1", xb.name, files=[file])
    await xa.send()
    for stored in (tmp_path / "objects").rglob("*"):
        if stored.is_file():
            stored.unlink()
    for _ in range(4):  # a store may show a new object late: it is asked again before the message is refused
        await net.settle()
    assert xa.desk.failure("case-1").code == "attachment-missing"
    assert xa.levels("case-1") == ["accepted"]
