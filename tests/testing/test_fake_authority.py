"""The fake authority writes what the hub accepts."""

from __future__ import annotations

from dataclasses import replace

from hub.core.access import access_rules, topic_specs
from hub.core.ids import AuthorityId, sha256
from hub.core.manifest import MessageType, ReceiptLevel, ReceiptReference
from hub.core.records import JWS_HEADER, Place
from hub.envelope.certificates import PathCache
from hub.envelope.checking import check_policy, judge
from hub.testing import FakeAuthority, FixedClock, MemoryBroker, MemoryBus, fake_trust_list

NOW_MS = 1_795_600_800_123
XA, XB = AuthorityId("xa-moj"), AuthorityId("xb-pgo")


async def test_letters_pass_every_check():
    """Two letters pass the hub's checks, and the second continues the chain of the first."""
    clock = FixedClock(NOW_MS)
    xa, xb = FakeAuthority(XA, now_ms=NOW_MS), FakeAuthority(XB, now_ms=NOW_MS)
    trust = fake_trust_list((xa, xb), now_ms=NOW_MS)
    broker = MemoryBroker(
        clock,
        specs=topic_specs(trust.authorities, shards=2, ledger_partitions=2, replication=1),
        rules=access_rules(trust.authorities, shards=2),
    )
    writer = await MemoryBus(broker, XA).writer()
    await writer.send([xa.letter(XB, trust=trust, now_ms=NOW_MS), xa.letter(XB, trust=trust, now_ms=NOW_MS)])
    reader = await MemoryBus(broker, "router").reader({Place("outbox.xa-moj", 0): 0})
    records = await reader.fetch(wait_ms=0, records_max=10)
    first, second = (judge(record, trust, paths=PathCache()) for record in records)
    for judged in (first, second):
        assert judged.code is None
        assert judged.manifest is not None
        check_policy(judged.manifest, trust, time_ms=clock.now_ms())
    assert (first.manifest.sequence, first.manifest.previous) == (1, None)
    assert (second.manifest.sequence, second.manifest.previous) == (2, sha256(dict(records[0].headers)[JWS_HEADER]))


async def test_a_flipped_bit_does_not_pass():
    """What the fake authority did not write is refused."""
    xa, xb = FakeAuthority(XA, now_ms=NOW_MS), FakeAuthority(XB, now_ms=NOW_MS)
    trust = fake_trust_list((xa, xb), now_ms=NOW_MS)
    broker = MemoryBroker(
        FixedClock(NOW_MS),
        specs=topic_specs(trust.authorities, shards=2, ledger_partitions=2, replication=1),
        rules=access_rules(trust.authorities, shards=2),
    )
    letter = xa.letter(XB, trust=trust, now_ms=NOW_MS)
    await (await MemoryBus(broker, XA).writer()).send([replace(letter, value=b'{"opaque":tru3}')])
    (record,) = broker.records("outbox.xa-moj")
    assert judge(record, trust, paths=PathCache()).code == "digest-mismatch"


async def test_receipt_list_passes_every_check():
    """A receipt list passes the hub's checks as the next message of its pair; what is only signed counts nothing."""
    xa, xb = FakeAuthority(XA, now_ms=NOW_MS), FakeAuthority(XB, now_ms=NOW_MS)
    trust = fake_trust_list((xa, xb), now_ms=NOW_MS)
    about = xb.manifest(XA, trust=trust, now_ms=NOW_MS)
    delivered = ReceiptReference(ReceiptLevel.DELIVERED, about.id, about.thread, sha256(b"its bytes"), None)
    broker = MemoryBroker(
        FixedClock(NOW_MS),
        specs=topic_specs(trust.authorities, shards=2, ledger_partitions=2, replication=1),
        rules=access_rules(trust.authorities, shards=2),
    )
    value = b'{"opaque":true}'
    xa.sign(xa.manifest(XB, trust=trust, now_ms=NOW_MS, value=value), value, now_ms=NOW_MS)
    await (await MemoryBus(broker, XA).writer()).send([xa.receipt_list(XB, [delivered], trust=trust, now_ms=NOW_MS)])
    (record,) = broker.records("outbox.xa-moj")
    judged = judge(record, trust, paths=PathCache())
    assert judged.code is None
    check_policy(judged.manifest, trust, time_ms=NOW_MS)
    assert (judged.manifest.type, judged.manifest.sequence) == (MessageType.RECEIPT, 1)
    assert judged.manifest.receipts == (delivered,)
