"""What the router decided about one record, and what it says of that: to the sender, to the recipient, to the ledger.

The laws of this file: (1) every outbox record gets exactly one message entry in the ledger and one receipt; (2) a
repeat gets the receipt of the first time again, and moves nothing; (3) the recipient learns of each message that moved
the pair's chain, by a copy or by a gap notice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from hub.core.entries import Entry, FlagEntry, IgnoredEntry, LevelEntry, MessageEntry
from hub.core.ids import AuthorityId, Digest, derived_id, slot
from hub.core.manifest import Manifest
from hub.core.pairs import Link, Pair
from hub.core.receipts import GapClaim, ReceiptClaim, RoutedClaim
from hub.core.records import Position, Record
from hub.core.topics import outbox_owner


@dataclass(frozen=True, kw_only=True)  # no slots: what is asked a dozen times is kept
class Decision:
    """The router's decision about one outbox record."""

    record: Record
    jws: Digest | None
    jws_bytes: bytes | None
    manifest: Manifest | None  # None when it could not be read
    code: str | None  # None: accepted; else the reason of the refusal
    counted: bool  # whether the sequence number is used up; accepted messages use theirs up too
    expected: tuple[int, Digest | None] | None  # what the pair's next message must carry, for a refusal
    trust_list: int
    repeat: Link | None = None  # the decision was made before: this one

    @cached_property
    def owner(self) -> AuthorityId:
        """Whose outbox the record lies in: whom the receipt goes to."""
        return outbox_owner(self.record.topic)

    @property
    def accepted(self) -> bool:
        """Whether the record is routed now, for the first time."""
        return self.code is None and self.repeat is None

    @property
    def outbox(self) -> Position:
        """Where the record lies, and when the broker took it."""
        return Position(self.record.topic, self.record.partition, self.record.offset, self.record.time_ms)

    @cached_property
    def link(self) -> Link | None:
        """The record's place in the chain of its pair, if it moves it: accepted, or refused and counted; no repeat."""
        if self.manifest is None or self.jws is None or not self.counted or self.repeat is not None:
            return None
        return Link(
            sequence=self.manifest.sequence,
            message=self.manifest.id,
            jws=self.jws,
            outbox_offset=self.record.offset,
            time_ms=self.record.time_ms,
            trust_list=self.trust_list,
            code=self.code,
        )

    @property
    def recipient(self) -> AuthorityId | None:
        """Who is told of the record: of whatever moves the chain of the pair; else None."""
        return self.manifest.recipient if self.manifest is not None and self.link is not None else None

    @cached_property
    def inboxes(self) -> frozenset[AuthorityId]:
        """Whose inboxes must take something for this record."""
        return frozenset({self.owner} if self.recipient is None else {self.owner, self.recipient})

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """What the ledger keeps: the message, and for an accepted receipt list each of its levels."""
        manifest = self.manifest
        message = MessageEntry(
            jws=self.jws,
            message=manifest.id if manifest else None,
            type=manifest.type if manifest else None,
            sender=manifest.sender if manifest else None,
            recipient=manifest.recipient if manifest else None,
            thread=manifest.thread if manifest else None,
            in_reply_to=manifest.in_reply_to if manifest else None,
            sequence=manifest.sequence if manifest else None,
            clocks=manifest.clocks if manifest else (),
            length=manifest.body.length if manifest else None,
            attachments=len(manifest.attachments) if manifest else 0,
            code=self.code,
            counted=self.counted,
            repeat=self.repeat is not None,
            outbox=self.outbox,
            trust_list=self.trust_list,
        )
        if manifest is None or not self.accepted:
            return (message,)
        levels = (
            LevelEntry(
                level=reference.level,
                message=reference.message,
                thread=reference.thread,
                pair=Pair(manifest.sender, manifest.recipient),
                why=reference.why,
                proof=reference.proof,
                outbox=self.outbox,
                trust_list=self.trust_list,
            )
            for reference in manifest.receipts
        )
        return (message, *levels)


def receipt(decision: Decision) -> ReceiptClaim:
    """The claim for the owner of the topic. A repeat gets the claim of the first time, under the same id."""
    first = decision.outbox
    if decision.repeat is not None:
        first = Position(first.topic, first.partition, decision.repeat.outbox_offset, decision.repeat.time_ms)
    return ReceiptClaim(
        id=derived_id("receipt", first.topic, first.offset, decision.jws or ""),
        outbox=first,
        jws=decision.jws,
        message=decision.manifest.id if decision.manifest else None,
        thread=decision.manifest.thread if decision.manifest else None,
        code=decision.code,
        counted=decision.counted,
        expected=decision.expected,
        trust_list=decision.trust_list,
    )


def notice(decision: Decision) -> RoutedClaim | GapClaim:
    """The claim for ``decision.recipient``: beside a copy, or in place of a counted refusal (protocol 1.6, 1.7).

    Raises ``ValueError`` for a decision that no recipient is told of.
    """
    if decision.recipient is None or decision.jws is None or decision.jws_bytes is None:
        raise ValueError("no recipient is told of this decision")
    if decision.code is None:
        return RoutedClaim(jws=decision.jws, outbox=decision.outbox, trust_list=decision.trust_list)
    return GapClaim(
        jws_text=decision.jws_bytes.decode(),
        outbox=decision.outbox,
        code=decision.code,
        trust_list=decision.trust_list,
    )


def ledger_partition(entry: Entry, partitions: int) -> int:
    """The partition of an entry: its thread's; without a thread its pair's; without a manifest the topic owner's."""
    match entry:
        case LevelEntry() | FlagEntry() | IgnoredEntry():
            return slot(entry.thread, partitions)
        case MessageEntry(thread=str() as thread):
            return slot(thread, partitions)
        case MessageEntry(sender=str() as sender, recipient=str() as recipient):
            return slot(str(Pair(sender, recipient)), partitions)
        case _:
            return slot(outbox_owner(entry.outbox.topic), partitions)
