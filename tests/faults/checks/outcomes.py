"""I1 and torn: each submission ends in exactly one outcome, and every part of the hub says the same of it, or nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tests.faults.checks.index import Index
from tests.faults.checks.model import Entry, Found, Kind, Spot, Submission

CHAIN_CODES: Final = frozenset({"sequence-gap", "previous-mismatch", "already-used", "id-conflict"})
"""Refusals that an earlier submission of the pair explains, if nobody knows what became of it."""


def acknowledged_are_there(index: Index, found: Found) -> None:
    """What the broker acknowledged lies at its offset, with its bytes."""
    for each in index.seen.submissions:
        if each.outcome != "ok" or each.expect == "quarantine" or each.offset is None:
            continue
        sent = index.seen.outboxes.get((each.topic, each.offset))
        if sent is None:
            found.add(Kind.LOST_WRITE, each.subject, "The broker acknowledged it, and it is not in the outbox.")
        elif (sent.jws, sent.digest) != (each.jws, each.digest):
            found.add(Kind.INCONSISTENT_OFFSET, each.subject, "Another record lies at its offset.")


def outboxes_hold_submissions_once(index: Index, found: Found) -> None:
    """Each outbox record was written by one attempt that did not fail."""
    for sent, kind, sentence in index.strays:
        found.add(kind, sent.subject, sentence)


def decided_once(index: Index, found: Found) -> None:
    """The ledger has one entry for each outbox record, unless its outbox waits rightly or its place cannot be read."""
    for spot in index.seen.outboxes:
        count = len(index.entries.get(spot, ()))
        waits = spot[1] >= index.seen.held.get(spot[0], spot[1] + 1)
        if count > 1:
            found.add(Kind.DUPLICATE, index.subject(spot), "The ledger has more than one entry for one outbox record.")
        elif not (count or waits or spot in index.quarantine):
            found.add(Kind.LOST_WRITE, index.subject(spot), "The hub never decided about it.")
    for each in index.seen.submissions:
        if each.expect == "quarantine" and each.outcome == "ok" and each.offset is not None:
            spot = (each.topic, each.offset)
            if not (spot in index.quarantine or spot in index.entries):
                found.add(Kind.LOST_WRITE, each.subject, "It is neither decided nor quarantined.")


def accepted_are_copied(index: Index, found: Found) -> None:
    """A message that was accepted lies in an inbox once."""
    for jws, entries in index.firsts.items():
        accepted = [each for each in entries if each.code is None]
        if accepted and not index.copies.get(jws):
            found.add(Kind.LOST_WRITE, index.subject(accepted[0].spot), "It was accepted, and no inbox has it.")
        if len(entries) > 1:
            found.add(Kind.DUPLICATE, index.subject(entries[0].spot), "It took its place in the chain more than once.")


def copies_are_single(index: Index, found: Found) -> None:
    """No message, and no id of a pair, is copied twice."""
    known: dict[tuple[str, str, str], str] = {}
    for copies in index.copies.values():
        for copy in copies:
            other = known.setdefault((copy.sender, copy.recipient, copy.id), copy.subject)
            if other is not copy.subject and other != copy.subject:
                found.add(Kind.DUPLICATE, copy.subject, f"The message was copied before: {other}.")


def notices_are_single(index: Index, found: Found) -> None:
    """Routed claims, gap claims and quarantine records exist once for each decision; places may be told again."""
    for name, groups in (("routed claim", index.routed), ("gap claim", index.gaps)):
        for spot, notices in groups.items():
            if len(notices) > 1:
                found.add(Kind.DUPLICATE, index.subject(spot), f"It has more than one {name}.")
    for spot, records in index.quarantine.items():
        if len(records) > 1 and spot in index.entries:
            found.add(Kind.DUPLICATE, index.subject(spot), "It was quarantined more than once.")


def decisions_are_whole(index: Index, found: Found) -> None:
    """The parts of one decision exist all or none."""
    for entry in index.seen.entries:
        if not entry.repeat:
            missing = [name for name, there in _parts(index, entry) if not there]
            if missing:
                sentence = f"The ledger has its decision, and there is no {', no '.join(missing)}."
                found.add(Kind.TORN, index.subject(entry.spot), sentence)
    for name, spots in (
        ("receipt", index.receipts.keys()),
        ("routed claim", index.routed.keys()),
        ("gap claim", index.gaps.keys()),
    ):
        for spot in spots - index.entries.keys():
            found.add(Kind.TORN, index.subject(spot), f"It has a {name}, and the ledger has no decision.")
    for jws, copies in index.copies.items():
        if jws in index.attempts and jws not in index.firsts:
            found.add(Kind.TORN, copies[0].subject, "It was copied, and the ledger has no decision.")


def _parts(index: Index, entry: Entry) -> Iterable[tuple[str, bool]]:
    yield "receipt", entry.spot in index.receipts
    if entry.code is not None:
        yield "quarantine record", entry.spot in index.quarantine
        if entry.counted:
            yield "gap claim", entry.spot in index.gaps
    elif entry.jws is not None:
        yield "routed claim", entry.spot in index.routed
        yield "copy", bool(index.copies.get(entry.jws))


def nothing_is_said_of_nothing(index: Index, found: Found) -> None:
    """Entries and claims are about records that lie in an outbox, and name their JWS."""
    for name, groups in (
        ("ledger's entry", index.entries),
        ("receipt", index.receipts),
        ("routed claim", index.routed),
        ("gap claim", index.gaps),
    ):
        for spot, said in groups.items():
            sent = index.seen.outboxes.get(spot)
            if sent is None:
                found.add(Kind.PHANTOM, f"{spot[0]}/{spot[1]}", f"A {name} is about a record that is not there.")
            elif any(each.jws != sent.jws for each in said):
                found.add(Kind.CONTRADICTION, index.subject(spot), f"The {name} names another JWS.")


def parts_agree(index: Index, found: Found) -> None:
    """No part of the hub says that a message was accepted while another says that it was refused, or with which code."""
    for entry in index.seen.entries:
        if entry.repeat:
            continue
        subject = index.subject(entry.spot)
        if any((each.code, each.counted) != (entry.code, entry.counted) for each in index.receipts.get(entry.spot, ())):
            found.add(Kind.CONTRADICTION, subject, "Its receipt and the ledger differ.")
        told = [each.code for each in (*index.quarantine.get(entry.spot, ()), *index.gaps.get(entry.spot, ()))]
        if any(code != entry.code for code in told):
            found.add(Kind.CONTRADICTION, subject, "Its quarantine record or gap claim and the ledger differ.")
        if entry.code is not None and _passed(index, entry):
            found.add(Kind.CONTRADICTION, subject, "It was refused, and it was routed.")


def _passed(index: Index, entry: Entry) -> bool:
    copied = entry.jws is not None and entry.counted and bool(index.copies.get(entry.jws))
    return copied or entry.spot in index.routed


def repeats_repeat(index: Index, found: Found) -> None:
    """A repeat has the outcome of the first time, and comes after it."""
    for jws, entries in index.repeats.items():
        for each in entries:
            first = [other for other in index.firsts.get(jws, ()) if _before(other.spot, each.spot)]
            if not first:
                found.add(
                    Kind.CONTRADICTION, index.subject(each.spot), "It was called a repeat, and nothing was first."
                )
            elif first[0].code != each.code:
                found.add(Kind.CONTRADICTION, index.subject(each.spot), "The repeat has another outcome.")


def _before(first: Spot, second: Spot) -> bool:
    return first[0] == second[0] and first[1] < second[1]


def outcomes_are_expected(index: Index, found: Found) -> None:
    """What was made to be refused is refused, and the rest is not, unless an unknown outcome of the pair explains it."""
    unsure = {(each.sender, each.recipient) for each in index.seen.submissions if each.outcome != "ok"}
    for spot, writer in index.writers.items():
        for entry in index.entries.get(spot, ()):
            if not _expected(entry, writer, unsure=(writer.sender, writer.recipient) in unsure):
                sentence = f"Made for {writer.expect!r}, it came out as {entry.code or 'accepted'}."
                found.add(Kind.UNEXPECTED_OUTCOME, writer.subject, sentence)


def _expected(entry: Entry, writer: Submission, *, unsure: bool) -> bool:
    match writer.expect:
        case "accept":
            return entry.code is None or (unsure and entry.code in CHAIN_CODES)
        case "refuse" | "quarantine":
            return entry.code is not None
        case "repeat":
            return entry.repeat or unsure
    return True


def is_drained(index: Index, found: Found) -> None:
    """The run ended when the hub had nothing left to do."""
    if index.seen.facts.get("drained") is not True:
        found.add(Kind.UNDRAINED, "the run", "It ended before the hub had finished.")
