"""I2, I3, I4: inboxes and recipients hold what was submitted, byte for byte, in order, and nobody else's."""

from __future__ import annotations

from typing import Final

from tests.faults.checks.history import INBOX, LEDGER, OUTBOX, RECEIPT
from tests.faults.checks.index import Index
from tests.faults.checks.model import Copy, Found, Kind, Notice, Submission

Pair = tuple[str, str]
_UNKNOWN: Final = "Nobody submitted this message."


def copies_were_submitted(index: Index, found: Found) -> None:
    """Each copy is what its sender submitted, and its record is the outbox's record."""
    for jws, copies in index.copies.items():
        for copy in copies:
            attempts = [each for each in index.attempts.get(jws, ()) if each.topic == OUTBOX + copy.sender]
            if not attempts:
                found.add(Kind.PHANTOM, copy.subject, _UNKNOWN)
            elif not any(_is_of(copy, each) for each in attempts):
                found.add(Kind.ALTERED_BYTES, copy.subject, "Its sender submitted other bytes.")
            elif all(each.outcome == "fail" for each in attempts):
                found.add(Kind.ABORTED_READ, copy.subject, "Its submission failed.")


def _is_of(copy: Copy, attempt: Submission) -> bool:
    return (copy.digest, copy.id, copy.recipient, copy.seq) == (
        attempt.digest,
        attempt.id,
        attempt.recipient,
        attempt.seq,
    )


def records_are_exact(index: Index, found: Found) -> None:
    """Key, headers and value of a copy are those of the outbox record."""
    for jws, copies in index.copies.items():
        accepted = index.accepted(jws)
        sent = None if accepted is None else index.seen.outboxes.get(accepted.spot)
        for copy in copies:
            if sent is not None and sent.record != copy.record:
                found.add(Kind.ALTERED_BYTES, copy.subject, "Key, headers or value differ from the outbox record.")


def inboxes_hold_their_own(index: Index, found: Found) -> None:
    """Copies, receipts, notices and flags lie with those whom they concern."""
    for copies in index.copies.values():
        for copy in copies:
            if copy.topic != INBOX + copy.recipient:
                found.add(Kind.FOREIGN_INBOX, copy.subject, f"The copy is for {copy.recipient}.")
    for receipt in index.seen.receipts:
        if receipt.topic.removeprefix(INBOX) != receipt.spot[0].removeprefix(OUTBOX):
            found.add(Kind.FOREIGN_INBOX, index.subject(receipt.spot), f"Its receipt lies in {receipt.topic}.")
    for notice in (*index.seen.routed, *index.seen.gaps):
        writer = index.writers.get(notice.spot)
        if writer is not None and notice.topic != INBOX + writer.recipient:
            found.add(Kind.FOREIGN_INBOX, writer.subject, f"A claim for its recipient lies in {notice.topic}.")


def flags_go_to_both_sides(index: Index, found: Found) -> None:
    """A flag lies in the ledger and with the two sides of its clock only."""
    sides: dict[tuple[str | None, str], set[str]] = {}
    for each in index.writers.values():
        if each.clock is not None:
            sides.setdefault((each.thread, each.clock["id"]), set()).update((each.sender, each.recipient))
    for flag in index.seen.flags:
        known = sides.get((flag.thread, flag.clock))
        if flag.where != LEDGER and known is not None and flag.where.removeprefix(INBOX) not in known:
            found.add(Kind.FOREIGN_INBOX, f"{flag.where} {flag.clock}", "The flag's clock is between others.")


def pairs_are_in_order(index: Index, found: Found) -> None:
    """In an inbox the numbers of a pair rise, from 1, and a gap claim before the next copy covers each that is missing."""
    copies: dict[Pair, list[Copy]] = {}
    for copy in index.seen.copies:
        if copy.topic == INBOX + copy.recipient:
            copies.setdefault((copy.sender, copy.recipient), []).append(copy)
    gaps = _gaps(index)
    for pair, found_copies in copies.items():
        _order(pair, found_copies, gaps.get(pair, {}), found)


def _order(pair: Pair, copies: list[Copy], gaps: dict[int, Notice], found: Found) -> None:
    numbers = {copy.seq for copy in copies}
    last = 0
    ids: dict[int, str] = {}
    for copy in copies:
        if ids.setdefault(copy.seq, copy.id) != copy.id:
            found.add(Kind.DUPLICATE, copy.subject, "Another message of the pair has this number.")
        if copy.seq < last:
            found.add(Kind.REORDER, copy.subject, f"Number {last} of the pair came before.")
        for number in range(last + 1, copy.seq):
            subject = f"{pair[0]}>{pair[1]} {number}"
            if number in gaps:
                if gaps[number].offset >= copy.offset:
                    found.add(Kind.REORDER, subject, "The gap claim came after the next copy.")
            elif number not in numbers:
                found.add(Kind.GAP, subject, "There is neither a copy nor a gap claim with this number.")
        last = max(last, copy.seq)


def _gaps(index: Index) -> dict[Pair, dict[int, Notice]]:
    gaps: dict[Pair, dict[int, Notice]] = {}
    for notice in index.seen.gaps:
        writer = index.writers.get(notice.spot)
        if writer is not None and writer.seq is not None:
            gaps.setdefault((writer.sender, writer.recipient), {})[writer.seq] = notice
    return gaps


def claims_come_first(index: Index, found: Found) -> None:
    """The routed claim of a message lies before its copy."""
    for jws, copies in index.copies.items():
        accepted = index.accepted(jws)
        for routed in index.routed.get(accepted.spot, ()) if accepted is not None else ():
            if any(routed.topic == copy.topic and routed.offset >= copy.offset for copy in copies):
                found.add(Kind.REORDER, copies[0].subject, "Its routed claim comes after it.")


def deliveries_are_copies(index: Index, found: Found) -> None:
    """A recipient took over what lies in its inbox, as it lies there."""
    for recipient, deliveries in index.deliveries.items():
        for each in deliveries:
            copy = index.copies_at.get((INBOX + recipient, each.offset))
            if copy is None:
                found.add(Kind.PHANTOM_DELIVERY, each.subject, "There is no copy where it was taken from.")
            elif (copy.sender, copy.id, copy.seq) != (each.sender, each.id, each.seq):
                found.add(Kind.PHANTOM_DELIVERY, each.subject, "Another message lies where it was taken from.")
            elif copy.digest != each.digest:
                found.add(Kind.ALTERED_BYTES, each.subject, "Its value differs from the copy's.")


def deliveries_are_single(index: Index, found: Found) -> None:
    """A recipient takes each message over once, and a pair's in the order of their numbers."""
    for recipient, deliveries in index.deliveries.items():
        known: set[tuple[str, str]] = set()
        last: dict[str, int] = {}
        for each in deliveries:
            if (each.sender, each.id) in known:
                found.add(Kind.DUPLICATE, f"{recipient} {each.subject}", "It was delivered twice.")
            elif each.seq <= last.get(each.sender, 0):
                found.add(Kind.REORDER, f"{recipient} {each.subject}", "A later number was delivered before it.")
            known.add((each.sender, each.id))
            last[each.sender] = max(each.seq, last.get(each.sender, 0))


def copies_are_delivered(index: Index, found: Found) -> None:
    """A recipient that takes messages over takes every copy over, receipt lists aside."""
    taken = {name: {(each.sender, each.id) for each in found_here} for name, found_here in index.deliveries.items()}
    for jws, copies in index.copies.items():
        copy = copies[0]
        is_list = any(each.kind == RECEIPT for each in index.attempts.get(jws, ()))
        there = taken.get(copy.recipient)
        if there is not None and not is_list and (copy.sender, copy.id) not in there:
            found.add(Kind.LOST_WRITE, copy.subject, "It lies in the inbox, and its recipient never took it over.")
