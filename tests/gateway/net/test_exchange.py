from __future__ import annotations

import json

from connectors.ports import ClockWish
from hub.core.ids import ClockId, MessageId
from hub.core.manifest import ClockKind, ClockVerb, MessageType
from hub.envelope.receipts import HeadCache, read_receipt


async def test_request_goes_all_the_way(net, xa, xb, documents, reply_clock, tmp_path):
    """A request with a file is accepted, delivered, opened, acknowledged and answered, each level with its proof."""
    evidence = tmp_path / "evidence.pdf"
    evidence.write_bytes(b"%PDF" + bytes(300_000))
    xa.hand_in("case-1", xb.name, files=[evidence], clocks=(reply_clock,))
    await net.settle()
    [received] = list(xb.desk.messages())
    assert xa.levels("case-1") == ["accepted", "delivered", "opened"]
    assert (
        evidence.read_bytes() == (xb.root / "exchange/in" / received["id"] / received["files"][0]["file"]).read_bytes()
    )

    xb.hand_in("ack-1", xa.name, type=MessageType.ACK, in_reply_to=MessageId(received["id"]), document=documents["ack"])
    await net.settle()
    stop = ClockWish(ClockVerb.STOP, ClockKind.REPLY, ClockId(received["clocks"][0]["id"]))
    xb.hand_in(
        "answer-1",
        xa.name,
        type=MessageType.RESPONSE,
        in_reply_to=MessageId(received["id"]),
        document=documents["executed"],
        clocks=(stop,),
    )
    await net.settle()
    assert xa.levels("case-1") == ["accepted", "delivered", "opened", "acknowledged", "answered"]
    assert xb.levels("answer-1") == ["accepted", "delivered", "opened"]
    replies = [each for each in xa.desk.messages() if each["answers"] == "case-1"]
    assert {"ack", "response"} == {each["type"] for each in replies}
    assert {received["thread"]} == {each["thread"] for each in replies}
    assert xa.alerts + xb.alerts == []


async def test_accepted_receipt_stands_alone(net, xa, xb):
    """The evidence of ``accepted`` verifies by itself against the trust list."""
    xa.hand_in("case-1", xb.name)
    await net.settle()
    shown = xa.desk.confirmation("case-1", "accepted")
    claim = read_receipt(shown["evidence"]["bytes"].encode(), trust=net.trust.trust, heads=HeadCache())
    assert (shown["message"], None) == (claim.message, claim.code)


async def test_hand_in_is_taken_once(net, xa, xb):
    """The same hand-in again has one effect, other content under its name is a conflict."""
    xa.hand_in("case-1", xb.name)
    await net.settle()
    xa.hand_in("case-1", xb.name)
    await net.settle()
    assert len(list(xb.desk.messages())) == 1
    assert (xa.root / "exchange/sent/case-1.2/manifest.json").is_file()
    xa.hand_in(
        "case-1", xb.name, document=json.dumps({**json.loads(json.dumps(_document())), "reference": "X"}).encode()
    )
    await net.settle()
    assert xa.desk.failure("case-1").code == "hand-in-conflict"
    assert len(list(xb.desk.messages())) == 1


def _document():
    return {
        "event": "mla.request.submitted",
        "version": 1,
        "legal_basis": "UNCAC article 46",
        "occurred_at": "2026-11-25T09:00:00Z",
        "requesting_authority": {"name": "A", "contact": None},
        "subject_matter": "s",
        "nature": "investigation",
        "conducting_authority": {"name": "J", "functions": "f"},
        "summary_of_facts": "facts",
        "assistance_types": ["f"],
        "assistance_sought": "records",
        "purpose": "p",
        "language": "en",
        "reference": "R",
    }


async def test_incomplete_document_fails_before_it_is_sent(net, xa, xb):
    """A request without its purpose never leaves the house; the problem names the article."""
    xa.hand_in("case-1", xb.name, document=json.dumps({**_document(), "purpose": ""}).encode())
    await net.settle()
    failure = xa.desk.failure("case-1")
    assert failure.code == "document-incomplete"
    assert "46(15)(f)" in failure.sentence
    assert net.hub.broker.records("outbox.xa-moj") == []


async def test_unknown_recipient_fails_with_a_reason(net, xa):
    """A message to nobody is a problem, not silence."""
    xa.hand_in("case-1", "xz-nobody")
    await net.settle()
    assert xa.desk.failure("case-1").code == "recipient-unknown"


async def test_plaintext_is_in_no_database_and_no_topic(net, xa, xb, canary, tmp_path):
    """A canary in document, file name and hand-in name is in no database file, no record, no object."""
    evidence = tmp_path / f"{canary}.pdf"
    evidence.write_bytes(canary.encode() * 1000)
    xa.hand_in(canary, xb.name, files=[evidence])
    await net.settle()
    assert xa.levels(canary) == ["accepted", "delivered", "opened"]
    kept = [path for root in (xa.root, xb.root) for path in root.glob("connector.db*")]
    kept += [path for path in (tmp_path / "objects").rglob("*") if path.is_file()]
    assert len(kept) > 2
    assert [path.name for path in kept if canary.encode() in path.read_bytes()] == []
    records = [record for topic in net.hub.broker.topics() for record in net.hub.broker.records(topic)]
    texts = [
        bytes(part or b"") for record in records for part in (record.key, record.value, *dict(record.headers).values())
    ]
    assert not any(canary.encode() in text for text in texts)
    assert not any(canary in f"{alert}" for alert in xa.alerts + xb.alerts)
