"""Route: what one transaction holds, in which order, within which limits."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from hub import flow
from hub.core import plan as plan_module
from hub.core.authority import HubRole, Status
from hub.core.ids import sha256, slot
from hub.core.receipts import GapClaim, ReceiptClaim, RoutedClaim
from hub.core.records import HUB_HEADER, JWS_HEADER, Place, Record
from hub.core.shard import Counters, ShardState
from hub.envelope.certificates import PathCache
from hub.envelope.receipts import HeadCache, read_bundle
from hub.errors import PartitionBroken
from hub.flow import Routing, check, quarantine_place, route
from hub.wire.ledger import decode_ledger
from hub.wire.quarantine import decode_quarantine
from hub.wire.shards import decode_state


@pytest.fixture
def send(world):
    """Route outbox records, each at its offset, from a state: the transaction."""

    def sent(outgoing: list, state: ShardState = ShardState(), **given) -> Routing:  # noqa: B008 (a frozen value)
        offsets: Counter[str] = Counter({f"outbox.{owner}": offset for owner, offset in state.offsets.items()})
        records = []
        for each in outgoing:
            records.append(world.record(each, offsets[each.topic], time_ms=1 + world.clock.now_ms()))
            offsets[each.topic] += 1
        judged = check(records, world.trust, paths=PathCache()).judged
        return route(judged, state, shard=1, trust=world.trust, sign=world.sign, **given)

    return sent


def of(routing: Routing, topic: str) -> list:
    """The transaction's records of a topic, in their order."""
    return [record for record in routing.records if record.topic == topic]


def bundle(world, routing: Routing, topic: str):
    """The checked bundle of an inbox: always its first record."""
    first, *others = of(routing, topic)
    assert first.headers == ((HUB_HEADER, b"bundle/1"),)
    assert not any(HUB_HEADER in dict(record.headers) for record in others)
    return read_bundle(first.value, inbox=topic, trust=world.trust, heads=HeadCache())


def ledger(routing: Routing) -> dict[int, list]:
    """The ledger records, by partition."""
    found: dict[int, list] = {}
    for record in of(routing, "hub.ledger"):
        found.setdefault(record.partition, []).append(decode_ledger(record.value))
    return found


def test_accepted_message_is_copied_behind_its_bundle(world, send, xa, xb) -> None:
    """The recipient's inbox gets the bundle, then the exact record; the sender's gets the receipt."""
    outgoing = xa.letter(xb.id)
    routing = send([outgoing])
    _, copy = of(routing, "inbox.xb-pgo")
    assert (copy.key, copy.value, copy.headers) == (outgoing.key, outgoing.value, outgoing.headers)
    (routed,) = bundle(world, routing, "inbox.xb-pgo").claims
    (receipt,) = bundle(world, routing, "inbox.xa-moj").claims
    assert isinstance(routed, RoutedClaim)
    assert isinstance(receipt, ReceiptClaim)
    assert routed.jws == receipt.jws == sha256(dict(outgoing.headers)[JWS_HEADER])
    assert len(of(routing, "inbox.xa-moj")) == 1
    assert routing.offsets == {Place("outbox.xa-moj", 0): 1}
    assert routing.state.counters == Counters(accepted=1)


def test_ledger_record_lies_with_its_thread(world, send, xa, xb) -> None:
    """All entries of a thread are in one partition, numbered from 1 for this writer there."""
    routing = send([xa.letter(xb.id), xa.letter(xb.id)])
    partition = slot(xa.manifest(xb.id).thread, world.trust.ledger_partitions)
    ((found, (record,)),) = ledger(routing).items()
    assert (found, record.writer, record.n, len(record.entries)) == (partition, "router-shard-1", 1, 2)
    again = send([xa.letter(xb.id)], routing.state)
    assert [each.n for each in ledger(again)[partition]] == [2]


def test_entry_without_a_manifest_lies_with_its_owner(world, send, xa, xb) -> None:
    """What could not be read, and what has no thread, lies where owner or pair say."""
    unreadable = xa.publish(xa.manifest(xb.id), keep=False, headers=())
    routing = send([unreadable, xb.receipts(xa.id, xa.manifest(xb.id).id)])
    places = {
        entry.code or entry.type: partition
        for partition, records in ledger(routing).items()
        for record in records
        for entry in record.entries
        if hasattr(entry, "counted")
    }
    partitions = world.trust.ledger_partitions
    assert places == {"manifest-missing": slot(xa.id, partitions), "receipt": slot("xb-pgo>xa-moj", partitions)}


def test_refusal_goes_to_owner_ledger_and_quarantine(world, send, xa, xb) -> None:
    """A refusal is told, kept and set aside; nothing reaches the recipient, and its bytes are in no hub topic."""
    outgoing = xa.letter(xb.id)
    routing = send([replace(outgoing, value=b'{"canary":1}')])
    (receipt,) = bundle(world, routing, "inbox.xa-moj").claims
    (quarantined,) = of(routing, "hub.quarantine")
    model = decode_quarantine(quarantined.value)
    assert (receipt.code, model.code, model.sha256) == ("length-mismatch", "length-mismatch", sha256(b'{"canary":1}'))
    assert of(routing, "inbox.xb-pgo") == []
    assert not any(b"canary" in (record.value or b"") for record in routing.records)


def test_counted_refusal_leaves_a_gap_notice(world, send, xa, xb) -> None:
    """The recipient gets the refused JWS in place of a copy; the chain goes on after it."""
    world.change(xb.id, status=((Status.ACTIVE, 0), (Status.SUSPENDED, 1)))
    routing = send([xa.letter(xb.id), xa.letter(xb.id)])
    first, second = bundle(world, routing, "inbox.xb-pgo").claims
    assert isinstance(first, GapClaim)
    assert isinstance(second, GapClaim)
    assert len(of(routing, "inbox.xb-pgo")) == 1
    assert routing.state.chains[xa.id, xb.id].sequence == 2


def test_repeat_reaches_nobody_else(world, send, xa, xb) -> None:
    """A record sent twice is delivered once; the second receipt is the first one, word for word."""
    outgoing = xa.letter(xb.id)
    routing = send([outgoing, outgoing])
    first, again = bundle(world, routing, "inbox.xa-moj").claims
    assert first == again
    assert len(of(routing, "inbox.xb-pgo")) == 2
    assert routing.state.counters == Counters(accepted=1, repeated=1)
    assert of(routing, "hub.quarantine") == []


def test_state_moves_with_the_transaction(world, send, xa, xb) -> None:
    """What the records of hub.shards say is the state after the transaction: the next owner goes on from there."""
    first = send([xa.letter(xb.id), xb.letter(xa.id)])
    second = send([xa.letter(xb.id)], first.state)
    records = [
        Record("hub.shards", each.partition, offset, 0, each.key, each.value)
        for offset, each in enumerate(of(first, "hub.shards") + of(second, "hub.shards"))
    ]
    assert {record.partition for record in records} == {1}
    assert decode_state(records) == second.state


def test_bundles_and_heads_are_chained(world, send, xa, xb) -> None:
    """Each bundle names the one before it, so that a dropped one is seen."""
    first = send([xa.letter(xb.id)])
    second = send([xa.letter(xb.id)], first.state)
    one, other = (bundle(world, routing, "inbox.xb-pgo") for routing in (first, second))
    assert (one.chain.n, one.chain.prev) == (1, None)
    assert (other.chain.n, other.chain.prev) == (2, one.digest)
    assert second.state.head.n == 2


def test_bad_inbox_blocks_only_who_needs_it(world, send, xa, xb, xc) -> None:
    """An outbox waits from its first message for the bad inbox on; other outboxes go on."""
    batch = [xa.letter(xc.id), xa.letter(xb.id), xa.letter(xc.id), xc.letter(xa.id)]
    routing = send(batch, bad_inboxes=frozenset({xb.id}))
    assert routing.blocked == {xa.id: {xb.id}}
    assert routing.offsets == {Place("outbox.xa-moj", 0): 1, Place("outbox.xc-acc", 0): 1}
    assert not any(record.topic == "inbox.xb-pgo" for record in routing.records)


def test_bad_inbox_of_the_sender_blocks_its_outbox(send, xa, xb) -> None:
    """A sender whose receipts cannot be written waits: no message is routed without its receipt."""
    routing = send([xa.letter(xb.id)], bad_inboxes=frozenset({xa.id}))
    assert (routing.records, routing.blocked, routing.offsets) == ((), {xa.id: {xa.id}}, {})


@pytest.mark.parametrize(
    ("limit", "value", "fitting"),
    [
        ("BATCH_MESSAGES_MAX", 2, 2),
        ("TOUCHED_PARTITIONS_MAX", 5, 4),  # two inboxes, one ledger partition, two of the hub's own
        ("BUNDLE_BYTES_MAX", 3 * 1024, 3),
        ("BATCH_BYTES_MAX", 25_000, 4),
    ],
)
def test_what_does_not_fit_is_left_for_the_next(send, monkeypatch, xa, xb, xc, limit, value, fitting) -> None:
    """Each limit of a transaction leaves the rest in the outbox, unread."""
    batch = [xa.letter(xb.id) for _ in range(4)] + [xa.letter(xc.id)]
    monkeypatch.setattr(plan_module, limit, value)
    routing = send(batch)
    assert len(routing.decisions) == fitting
    assert routing.full == {xa.id}
    assert routing.offsets == {Place("outbox.xa-moj", 0): fitting}


def test_first_message_always_fits(send, monkeypatch, xa, xb) -> None:
    """A limit below one message stops nobody for ever."""
    monkeypatch.setattr(plan_module, "BATCH_BYTES_MAX", 1)
    assert len(send([xa.letter(xb.id)]).decisions) == 1


def test_gap_notices_bound_a_bundle(world, send, monkeypatch, xa, xb) -> None:
    """A gap notice carries a whole JWS: few of them fit under a limit that many receipts would keep."""
    world.change(xb.id, status=((Status.ACTIVE, 0), (Status.SUSPENDED, 1)))
    monkeypatch.setattr(plan_module, "BUNDLE_BYTES_MAX", 20_000)
    routing = send([xa.letter(xb.id) for _ in range(6)])
    assert len(routing.decisions) < 6
    assert routing.full == {xa.id}


def test_large_ledger_record_is_split_between_entries(send, monkeypatch, xa, xb) -> None:
    """A ledger record stays below its limit; further ones follow in number, and no entry is cut."""
    monkeypatch.setattr(flow, "LEDGER_RECORD_BYTES_MAX", 1500)
    routing = send([xa.letter(xb.id) for _ in range(5)])
    (records,) = ledger(routing).values()
    assert [record.n for record in records] == list(range(1, len(records) + 1))
    assert len(records) > 1
    assert sum(len(record.entries) for record in records) == 5
    assert all(len(record.value) <= 1500 for record in of(routing, "hub.ledger"))
    assert set(routing.state.ledgers.values()) == {len(records)}


def test_alarming_refusals_alert_once(send, xa, xb, xc) -> None:
    """Another's record in one's own outbox is an alert; a clumsy one is not."""
    stolen = replace(xa.letter(xb.id), topic="outbox.xc-acc")
    clumsy = xc.publish(xc.manifest(xb.id), keep=False, headers=())
    assert [(alert.code, alert.subject) for alert in send([stolen, clumsy]).alerts] == [("sender-mismatch", xc.id)]


def test_same_batch_makes_the_same_claims(send, xa, xb) -> None:
    """A repeated run decides the same: ids, entries, state; only signatures differ, which draw chance."""
    batch = [xa.letter(xb.id), xb.letter(xa.id)]
    one, other = send(batch), send(batch)
    assert one.decisions == other.decisions
    assert of(one, "hub.ledger") == of(other, "hub.ledger")
    assert one.state.chains == other.state.chains


def test_nothing_to_say_signs_nothing(world) -> None:
    """An empty batch makes no records."""
    routing = route([], ShardState(), shard=0, trust=world.trust, sign=world.sign)
    assert (routing.records, routing.decisions) == ((), ())


def test_unreadable_place_is_quarantined() -> None:
    """An outbox that cannot be read is set aside by place and code, since there are no bytes."""
    broken = PartitionBroken("record-unreadable", "It cannot be read.", topic="outbox.xa-moj", partition=0, offset=4)
    model = decode_quarantine(quarantine_place(broken, time_ms=9).value)
    assert (model.topic, model.offset, model.time_ms, model.sha256) == ("outbox.xa-moj", 4, 9, None)


def test_the_router_role_signs(world, send, xa, xb) -> None:
    """A head by other keys than the router's is not believed."""
    routing = send([xa.letter(xb.id)])
    bundle(world, routing, "inbox.xb-pgo")
    world.trust = replace(world.trust, hub_keys={HubRole.ROUTER: world.trust.hub_keys[HubRole.ROUTER][:1]})
    with pytest.raises(Exception, match="bundle-invalid"):
        bundle(world, routing, "inbox.xb-pgo")
