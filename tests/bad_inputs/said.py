"""What the hub says of records: decisions, signed receipts, quarantine, copies, and whether content is in any of it."""

from __future__ import annotations

import base64
from collections import Counter
from typing import Final

from hub.core.authority import TrustList
from hub.core.entries import MessageEntry
from hub.core.ids import Digest
from hub.core.receipts import ReceiptClaim
from hub.core.records import HUB_HEADER, JWS_HEADER, Record
from hub.core.topics import LEDGER, QUARANTINE
from hub.envelope.receipts import HeadCache, read_bundle
from hub.wire.ledger import decode_ledger
from hub.wire.quarantine import decode_quarantine
from tests.bad_inputs.cases import Expected, Outcome
from tests.bad_inputs.smith import CANARY, jws_payload

At = tuple[str, int]
"""An outbox and an offset in it."""


def spellings(text: str) -> list[bytes]:
    """The text as it stands, and in base64 at its three alignments without the ends."""
    coded = [base64.b64encode(b"x" * shift + text.encode())[4:-4] for shift in range(3)]
    return [text.encode(), text.encode("utf-16-le"), *coded]


_NEEDLES: Final = spellings(CANARY)


def holds_canary(data: bytes) -> bool:
    """Whether something of a poison's content is in what the hub said."""
    return any(needle in data for needle in _NEEDLES)


class Said:
    """All that the hub wrote so far, as far as it was given here."""

    def __init__(self, trust: TrustList) -> None:
        self._trust = trust
        self._heads = HeadCache()
        self.decided: dict[At, MessageEntry] = {}
        self.receipts: dict[At, ReceiptClaim] = {}
        self.told: Counter[Digest | None] = Counter()
        self.quarantined: dict[At, str] = {}
        self.copies: Counter[tuple[str, str]] = Counter()  # by inbox and sender
        self.leaks: list[str] = []

    def take(self, record: Record) -> None:
        """One record of any topic."""
        if record.topic.startswith("outbox."):
            return
        own = record.topic.startswith("hub.") or HUB_HEADER in dict(record.headers)
        if own and holds_canary(record.value or b""):
            self.leaks.append(f"{record.topic}/{record.partition}/{record.offset}")
        if record.topic == LEDGER:
            entries = decode_ledger(record.value or b"").entries
            found = [entry for entry in entries if isinstance(entry, MessageEntry)]
            self.decided |= {(entry.outbox.topic, entry.outbox.offset): entry for entry in found}
        elif record.topic == QUARANTINE:
            model = decode_quarantine(record.value or b"")
            self.quarantined[model.topic, model.offset] = model.code
        elif record.topic.startswith("inbox."):
            self._take_inbox(record, bundle=own)

    def _take_inbox(self, record: Record, *, bundle: bool) -> None:
        if not bundle:
            self.copies[record.topic, jws_payload(dict(record.headers)[JWS_HEADER])["from"]] += 1
            return
        read = read_bundle(record.value or b"", inbox=record.topic, trust=self._trust, heads=self._heads)
        receipts = [claim for claim in read.claims if isinstance(claim, ReceiptClaim)]
        self.receipts |= {(claim.outbox.topic, claim.outbox.offset): claim for claim in receipts}
        self.told.update(claim.jws for claim in receipts)

    def became(self, at: At) -> Expected:
        """What was decided. Raises ``KeyError`` before it was."""
        entry = self.decided[at]
        if entry.repeat:
            return Expected(Outcome.REPEATED)
        return Expected(Outcome.ACCEPTED) if entry.code is None else Expected(Outcome.REFUSED, entry.code)

    def contradictions(self, at: At) -> list[str]:
        """The signed receipt and the quarantine record must say what the ledger says."""
        became, receipt, found = self.became(at), self.receipts.get(at), []
        if became.outcome is Outcome.REPEATED:
            if self.told[self.decided[at].jws] != 2:
                found.append("the receipt was not given again")
        elif receipt is None or receipt.code != became.code:
            found.append("no signed receipt that says so")
        elif receipt.counted != became.counted:
            found.append("the receipt counts otherwise")
        if self.quarantined.get(at) != (became.code if became.outcome is Outcome.REFUSED else None):
            found.append(f"quarantine says {self.quarantined.get(at)}")
        return found
