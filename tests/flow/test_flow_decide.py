"""Check and decide: every decision, in the order of protocol 1.1."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.core.authority import Status
from hub.core.ids import sha256
from hub.core.pairs import Chain, advance
from hub.core.records import JWS_HEADER
from hub.core.routing import Decision, notice, receipt
from hub.envelope.certificates import PathCache
from hub.flow import check, decide


@pytest.fixture
def ask(world):
    """Check and decide one outbox record against a chain: the decision."""

    def asked(outgoing, chain: Chain = Chain(), *, offset: int = 0, **when) -> Decision:  # noqa: B008 (a frozen value)
        checked = check([world.record(outgoing, offset, **when)], world.trust, paths=PathCache())
        (judged,) = checked.judged
        return decide(judged, chain, world.trust)

    return asked


def after(*decisions: Decision) -> Chain:
    """The chain that these decisions leave."""
    chain = Chain()
    for decision in decisions:
        if decision.link is not None:
            chain = advance(chain, decision.link)
    return chain


def test_next_message_is_accepted(ask, xa, xb) -> None:
    """An authentic message that is next in its chain passes; the recipient learns at which values to judge it."""
    decision = ask(xa.letter(xb.id))
    assert (decision.code, decision.counted, decision.expected, decision.accepted) == (None, True, None, True)
    assert decision.inboxes == {xa.id, xb.id}
    assert notice(decision).outbox == receipt(decision).outbox == decision.outbox
    assert receipt(decision).accepted


def test_accepted_receipt_list_makes_an_entry_for_each_level(ask, xa, xb) -> None:
    """A receipt list has no thread; each of its levels stands in the ledger with its own."""
    letter = xa.manifest(xb.id)
    decision = ask(xb.receipts(xa.id, letter.id))
    message, level = decision.entries
    assert message.thread is None
    assert (level.message, level.thread, level.pair) == (letter.id, letter.thread, (xb.id, xa.id))


def test_unreadable_record_is_refused_without_a_pair(ask, xa, xb) -> None:
    """Bytes that are no manifest get a receipt with a reason, and nothing of them is believed."""
    decision = ask(xa.publish(xa.manifest(xb.id), headers=((JWS_HEADER, b"{}"),)))
    assert (decision.code, decision.counted, decision.expected) == ("jws-malformed", False, None)
    assert decision.inboxes == {xa.id}
    (entry,) = decision.entries
    assert (entry.sender, entry.thread, entry.code) == (None, None, "jws-malformed")
    assert receipt(decision).message is None
    with pytest.raises(ValueError, match="no recipient"):
        notice(decision)


def test_flipped_byte_does_not_count_and_tells_how_to_go_on(ask, xa, xb) -> None:
    """A refusal that the sender may answer by sealing again carries the chain's expected place."""
    first = ask(xa.letter(xb.id))
    outgoing = xa.letter(xb.id)
    decision = ask(replace(outgoing, value=outgoing.value[:-1] + b"]"), after(first), offset=1)
    assert (decision.code, decision.counted, decision.link) == ("digest-mismatch", False, None)
    assert receipt(decision).expected == (2, first.jws)


def test_stolen_record_tells_the_thief_nothing(ask, xa, xb, xc) -> None:
    """Another's manifest in one's own outbox: refused, and no chain is shown."""
    outgoing = replace(xa.letter(xb.id), topic=xc.publish(xc.manifest(xb.id)).topic)
    decision = ask(outgoing)
    assert (decision.code, decision.owner, decision.expected) == ("sender-mismatch", xc.id, None)


def test_repeat_gets_the_first_receipt_again(ask, xa, xb) -> None:
    """The same record again, also after its window: the same claim under the same id, and nothing else."""
    outgoing = xa.letter(xb.id)
    first = ask(outgoing)
    again = ask(outgoing, after(first), offset=7, time_ms=first.record.time_ms + 100 * 24 * 3600 * 1000)
    assert receipt(first) == receipt(again)
    assert (again.accepted, again.link, again.inboxes) == (False, None, {xa.id})
    (entry,) = again.entries
    assert (entry.repeat, entry.outbox.offset, entry.accepted) == (True, 7, True)


def test_repeat_of_a_counted_refusal_is_that_refusal(ask, xa, xb) -> None:
    """A repeat of what was refused by policy gets the refusal again, with the same way to go on."""
    outgoing = xa.letter(xb.id)
    late = ask(outgoing, time_ms=xa.manifest(xb.id).expires_ms + 1)
    assert (late.code, late.counted, late.expected) == ("expired", True, (2, late.jws))
    again = ask(outgoing, after(late), offset=3)
    assert receipt(late) == receipt(again)
    assert again.entries[0].code == "expired"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sequence": 2, "previous": sha256(b"other")}, "previous-mismatch"),
        ({"sequence": 3, "previous": sha256(b"other")}, "sequence-gap"),
        ({"sequence": 1, "previous": None}, "already-used"),
    ],
)
def test_misplaced_message_does_not_count(ask, xa, xb, changes, code) -> None:
    """A message that is not next is refused and moves nothing; it learns what is next."""
    first = ask(xa.letter(xb.id))
    decision = ask(xa.publish(xa.manifest(xb.id, **changes)), after(first), offset=1)
    assert (decision.code, decision.counted, decision.expected) == (code, False, (2, first.jws))


def test_other_text_under_a_used_id_is_a_conflict(ask, xa, xb) -> None:
    """An id stands for one text for ever."""
    first = ask(xa.letter(xb.id))
    decision = ask(xa.letter(xb.id, id=first.manifest.id), after(first), offset=1)
    assert (decision.code, decision.counted) == ("id-conflict", False)


def test_unknown_recipient_does_not_count(ask, world, xa, xb) -> None:
    """A recipient that the list does not name leaves no state."""
    outgoing = xa.letter(xb.id)
    world.trust = replace(world.trust, authorities={xa.id: world.trust.authorities[xa.id]})
    decision = ask(outgoing)
    assert (decision.code, decision.counted, decision.link) == ("recipient-unknown", False, None)


def test_place_is_asked_before_the_recipient(ask, world, xa, xb) -> None:
    """Protocol 1.1: (g) its place, then whether the recipient is known."""
    outgoing = xa.publish(xa.manifest(xb.id, sequence=2, previous=sha256(b"other")))
    world.trust = replace(world.trust, authorities={xa.id: world.trust.authorities[xa.id]})
    assert ask(outgoing).code == "sequence-gap"


def test_revoked_recipient_counts_and_leaves_a_gap(ask, world, xa, xb) -> None:
    """A refusal by policy uses up the number, and the recipient gets the whole refused JWS."""
    outgoing = xa.letter(xb.id)
    world.change(xb.id, status=((Status.ACTIVE, 0), (Status.REVOKED, 1)))
    decision = ask(outgoing)
    assert (decision.code, decision.counted, decision.recipient) == ("recipient-revoked", True, xb.id)
    assert notice(decision).jws_text.encode() == dict(outgoing.headers)[JWS_HEADER]


def test_list_to_come_holds_its_outbox_only(world, xa, xb, xc) -> None:
    """What was sealed under a newer list holds its outbox from there on; nothing is refused, others go on."""
    records = [
        world.record(xa.letter(xb.id), 0),
        world.record(xa.letter(xb.id, trust_list=6), 1),
        world.record(xa.letter(xb.id), 2),
        world.record(xc.letter(xb.id), 0),
    ]
    checked = check(records, world.trust, paths=PathCache())
    assert [(each.record.topic, each.record.offset) for each in checked.judged] == [
        ("outbox.xa-moj", 0),
        ("outbox.xc-acc", 0),
    ]
    assert {owner: reason.code for owner, reason in checked.held.items()} == {xa.id: "trust-list-behind"}
