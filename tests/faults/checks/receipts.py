"""I5: what is said of a message is said once, by one receipt, and its levels come one after the other."""

from __future__ import annotations

from collections import Counter
from typing import Final

from tests.faults.checks.history import INBOX
from tests.faults.checks.index import Index
from tests.faults.checks.model import Entry, Found, Kind, Receipt, Spot

Message = tuple[str, str, str]
"""Sender, recipient and id of a message."""

BELOW: Final = {"opened": "delivered"}
"""The level that must come before, besides ``accepted``."""


def receipts_are_single(index: Index, found: Found) -> None:
    """One receipt for each decision, and the same again for each of its repeats."""
    again: Counter[Spot] = Counter()
    for jws, repeats in index.repeats.items():
        for repeat in repeats:
            first = next((each for each in index.firsts.get(jws, ()) if each.spot[0] == repeat.spot[0]), None)
            if first is not None:
                again[first.spot] += 1
    for spot, receipts in index.receipts.items():
        owed = 1 + again[spot]
        if len(receipts) > owed:
            found.add(Kind.DOUBLE_RECEIPT, index.subject(spot), f"It has {len(receipts)} receipts instead of {owed}.")
        elif len(receipts) < owed:
            found.add(Kind.TORN, index.subject(spot), "A repeat of it has no receipt.")


def receipts_are_distinct(index: Index, found: Found) -> None:
    """An id is of one receipt, a decision has one id, a message is accepted by one receipt."""
    by_id: dict[str, Receipt] = {}
    by_jws: dict[tuple[str, str], str] = {}
    for receipt in index.seen.receipts:
        other = by_id.setdefault(receipt.id, receipt)
        if (other.spot, other.jws, other.code, other.counted) != (
            receipt.spot,
            receipt.jws,
            receipt.code,
            receipt.counted,
        ):
            found.add(Kind.DOUBLE_RECEIPT, receipt.id, "Two different receipts have this id.")
        if (
            receipt.jws is not None
            and receipt.code is None
            and by_jws.setdefault((receipt.spot[0], receipt.jws), receipt.id) != receipt.id
        ):
            found.add(Kind.DOUBLE_RECEIPT, index.subject(receipt.spot), "Two different receipts accepted the message.")
    for spot, receipts in index.receipts.items():
        if len({each.id for each in receipts}) > 1:
            found.add(Kind.DOUBLE_RECEIPT, index.subject(spot), "One decision has receipts of two ids.")


def levels_fit_lists(index: Index, found: Found) -> None:
    """The ledger has the levels of each accepted receipt list, and no others."""
    for entry in index.seen.entries:
        writer = index.writers.get(entry.spot)
        if entry.repeat or writer is None:
            continue
        said = Counter((each["level"], each["id"]) for each in writer.references) if entry.code is None else Counter()
        told = Counter((each.level, each.id) for each in index.levels.get(entry.spot, ()))
        if said == told:
            continue
        for level, message in said - told:
            found.add(Kind.TORN, f"{writer.subject} {level} {message}", "The ledger lacks a level of the receipt list.")
        for level, message in told - said:
            kind = Kind.DOUBLE_LEVEL if (level, message) in said else Kind.PHANTOM
            found.add(kind, f"{writer.subject} {level} {message}", "The receipt list does not say this, or not twice.")
    for spot in index.levels.keys() - index.entries.keys():
        found.add(Kind.TORN, index.subject(spot), "The ledger has levels of a receipt list that it did not decide.")


def levels_are_single(index: Index, found: Found) -> None:
    """No message reaches a level twice."""
    known: set[tuple[Message, str]] = set()
    for level in index.seen.levels:
        message = _message(index, level.spot, level.id)
        if message is not None and (message, level.level) in known:
            found.add(Kind.DOUBLE_LEVEL, f"{level.level} {level.id}", "The ledger has this level twice.")
        elif message is not None:
            known.add((message, level.level))


def levels_rise(index: Index, found: Found) -> None:
    """In the ledger a message is accepted before it is delivered, and delivered before it is opened."""
    if not index.seen.levels:
        return
    accepted = _accepted(index)
    places = {(_message(index, each.spot, each.id), each.level): each.place for each in reversed(index.seen.levels)}
    for level in index.seen.levels:
        message = _message(index, level.spot, level.id)
        if message is None:
            continue
        below = [accepted[message].place if message in accepted else None]
        if level.level in BELOW:
            below.append(places.get((message, BELOW[level.level])))
        if any(place is None or place[0] != level.place[0] or place >= level.place for place in below):
            subject = f"{level.level} {level.id}"
            found.add(Kind.LEVEL_OUT_OF_ORDER, subject, "The ledger's thread lacks the level below, or has it later.")


def lists_come_after_receipts(index: Index, found: Found) -> None:
    """In the sender's inbox, a receipt list about a message lies behind the hub's receipt for it."""
    if not index.seen.levels:
        return
    accepted = _accepted(index)
    for spot in index.levels:
        writer, entry = index.writers.get(spot), index.first(spot)
        if writer is None or entry is None or entry.jws is None:
            continue
        for copy in index.copies.get(entry.jws, ()):
            for reference in writer.references:
                about = accepted.get((writer.recipient, writer.sender, reference["id"]))
                receipts = [] if about is None else index.receipts.get(about.spot, [])
                here = [each.offset for each in receipts if each.topic == copy.topic == INBOX + writer.recipient]
                if here and min(here) >= copy.offset:
                    subject = f"{reference['level']} {reference['id']}"
                    found.add(Kind.LEVEL_OUT_OF_ORDER, subject, "Its sender read it before the hub's receipt.")


def _message(index: Index, spot: Spot, message: str) -> Message | None:
    """The message of this id that the receipt list at ``spot`` is about: its sender is whom the list is for."""
    writer = index.writers.get(spot)
    return None if writer is None else (writer.recipient, writer.sender, message)


def _accepted(index: Index) -> dict[Message, Entry]:
    accepted: dict[Message, Entry] = {}
    for entries in index.firsts.values():
        for entry in entries:
            writer = index.writers.get(entry.spot)
            if entry.code is None and writer is not None and writer.id is not None:
                accepted[writer.sender, writer.recipient, writer.id] = entry
    return accepted
