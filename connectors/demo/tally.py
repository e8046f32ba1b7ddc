"""What came of it, counted from the topics and the connectors' own stores, never from what the story meant to do."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

from connectors.bootstrap import State
from connectors.demo.hostile import header, manifest_of
from connectors.folder.desk import Desk
from hub.adapters.reading import read_to_end
from hub.core.clocks import Flag
from hub.core.entries import FlagEntry, LevelEntry, MessageEntry
from hub.core.ids import AuthorityId
from hub.core.manifest import MessageType, ReceiptLevel
from hub.core.records import HUB_HEADER, Place, Record
from hub.core.topics import LEDGER, QUARANTINE, inbox
from hub.ports import Bus
from hub.wire.ledger import decode_ledger

Name = tuple[str, str]  # sender and message id

_SUBMITTED: Final = "SELECT id FROM outgoing WHERE tag IS NOT NULL"
_STORED: Final = "SELECT sender, id FROM incoming WHERE type <> 'receipt'"


@dataclass(slots=True)
class Tally:
    """The counts of ``comity demo --json``, and the sets behind them."""

    submitted: set[Name] = field(default_factory=set)
    accepted: set[Name] = field(default_factory=set)
    delivered: set[Name] = field(default_factory=set)
    opened: set[Name] = field(default_factory=set)
    acknowledged: set[Name] = field(default_factory=set)
    answered: set[Name] = field(default_factory=set)
    overdue: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    repeats: int = 0
    quarantined: int = 0
    copies: Counter[Name] = field(default_factory=Counter)  # in inboxes
    placed: Counter[Name] = field(default_factory=Counter)  # in the recipients' folders
    stored: Counter[Name] = field(default_factory=Counter)  # in the recipients' databases

    @property
    def lost(self) -> set[Name]:
        """Submitted, and not in an inbox, a recipient's database and its folder; or accepted and not delivered."""
        everywhere = self.copies.keys() & self.placed.keys() & self.stored.keys() & self.accepted & self.delivered
        return (self.submitted | self.accepted) - everywhere

    @property
    def duplicated(self) -> int:
        """Copies, rows and folders beyond the first of each message."""
        return sum(count - 1 for counts in (self.copies, self.placed, self.stored) for count in counts.values())

    def counts(self) -> dict[str, int]:
        """The counts by name."""
        return {
            "submitted": len(self.submitted),
            "accepted": len(self.accepted),
            "delivered": len(self.delivered),
            "opened": len(self.opened),
            "acknowledged": len(self.acknowledged),
            "answered": len(self.answered),
            "overdue": len(self.overdue),
            "late": len(self.late),
            "refused": self.refused.total(),
            "lost": len(self.lost),
            "duplicated": self.duplicated,
        }


async def take_stock(audit: Bus, states: Sequence[State], *, ledger_partitions: int) -> Tally:
    """Read the ledger, the quarantine, every inbox, every connector's database and folder."""
    tally = Tally()
    for record in await _whole(audit, [Place(LEDGER, number) for number in range(ledger_partitions)]):
        for entry in decode_ledger(record.value or b"").entries:
            _count(tally, entry)
    tally.quarantined = len(await _whole(audit, [Place(QUARANTINE, 0)]))
    for state in states:
        for record in await _whole(audit, [Place(inbox(state.folder.authority), 0)]):
            _count_copy(tally, record)
        _count_state(tally, state)
    return tally


def _count(tally: Tally, entry: object) -> None:
    match entry:
        case MessageEntry(repeat=True):
            tally.repeats += 1
        case MessageEntry(code=str() as code):
            tally.refused[code] += 1
        case MessageEntry(type=message_type, sender=str() as sender, message=str() as message) if (
            message_type is not MessageType.RECEIPT
        ):
            tally.accepted.add((sender, message))
            if message_type is MessageType.ACK:
                tally.acknowledged.add((entry.recipient or "", entry.in_reply_to or ""))
            elif message_type is MessageType.RESPONSE:
                tally.answered.add((entry.recipient or "", entry.in_reply_to or ""))
        case LevelEntry(level=ReceiptLevel.DELIVERED):
            tally.delivered.add((entry.pair.recipient, entry.message))
        case LevelEntry(level=ReceiptLevel.OPENED):
            tally.opened.add((entry.pair.recipient, entry.message))
        case FlagEntry(flag=Flag.OVERDUE):
            tally.overdue.add(entry.id)
        case FlagEntry(flag=Flag.MET_LATE):
            tally.late.add(entry.id)
        case _:
            pass  # warnings, receipt lists and clocks without effect have no count of their own


def _count_copy(tally: Tally, record: Record) -> None:
    if any(name == HUB_HEADER for name, _ in record.headers) or not header(record):
        return
    manifest = manifest_of(record)
    if manifest.type is not MessageType.RECEIPT:
        tally.copies[manifest.sender, manifest.id] += 1


def _count_state(tally: Tally, state: State) -> None:
    me: AuthorityId = state.folder.authority
    with closing(sqlite3.connect(f"file:{state.folder.database}?mode=ro", uri=True)) as database:
        tally.submitted |= {(me, str(message)) for (message,) in database.execute(_SUBMITTED)}
        tally.stored.update((str(sender), str(message)) for sender, message in database.execute(_STORED))
    tally.placed.update((str(each["from"]), str(each["id"])) for each in Desk(state.exchange).messages())


async def _whole(bus: Bus, places: Iterable[Place]) -> list[Record]:
    reader = await bus.reader(dict.fromkeys(places, 0))
    try:
        return [record async for record in read_to_end(reader)]
    finally:
        await reader.close()
