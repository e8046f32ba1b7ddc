"""What every test may ask for: the public test vectors, read where they lie; entries of a ledger."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hub.core.entries import Entry, LedgerRecord, LevelEntry, Logged, MessageEntry
from hub.core.ids import AuthorityId, ClockId, MessageId, ThreadId, sha256, uuid7
from hub.core.manifest import ClockKind, ClockOperation, ClockVerb, MessageType, ReceiptLevel
from hub.core.pairs import Pair
from hub.core.records import Position

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of public test vectors: ``COMITY_VECTORS``, else ``shared/vectors`` beside the repository."""
    folder = Path(os.environ.get("COMITY_VECTORS", ROOT.parent / "shared" / "vectors"))
    if not folder.is_dir():
        pytest.skip(f"the public test vectors are not at {folder}; set COMITY_VECTORS to their folder")
    return folder


class Story:
    """Ledger entries as router and watch write them: counted ids, and a log that adds one second at each entry."""

    def __init__(self) -> None:
        self.now_ms = 1_795_600_800_000  # 2026-11-25T10:00:00Z
        self._drawn = 0
        self._offsets: Counter[str] = Counter()

    def thread(self, number: int) -> ThreadId:
        """The number as a thread."""
        return ThreadId(f"{number:032x}")

    def clock(self, verb: str, number: int = 1, kind: str = "reply", *, due_in_ms: int | None = None) -> ClockOperation:
        """An operation on clock ``number``; ``due_in_ms`` counts from now."""
        due_ms = None if due_in_ms is None else self.now_ms + due_in_ms
        return ClockOperation(ClockVerb(verb), ClockId(f"{number:016x}"), ClockKind(kind), due_ms)

    def message(
        self,
        way: str,
        kind: str = "request",
        *clocks: ClockOperation,
        thread: int | None = 1,
        irt: MessageEntry | None = None,
        owner: str | None = None,
        **changed: Any,
    ) -> MessageEntry:
        """An entry for ``"xa-moj>xb-pgo"``; ``owner`` is the topic's owner if another, ``changed`` any field."""
        sender, recipient = way.split(">")
        position = self._position(owner or sender)
        values: dict[str, Any] = {
            "jws": sha256(f"{position}".encode()),
            "message": uuid7(self.now_ms, self._drawn.to_bytes(10, "big")),
            "type": MessageType(kind),
            "sender": AuthorityId(sender),
            "recipient": AuthorityId(recipient),
            "thread": None if thread is None else self.thread(thread),
            "in_reply_to": None if irt is None else irt.message,
            "sequence": position.offset + 1,
            "clocks": clocks,
            "length": 4096,
            "counted": True,
            "outbox": position,
            "trust_list": 1,
        }
        return MessageEntry(**(values | changed))

    def level(self, level: str, message: MessageEntry, *, way: str | None = None, why: str | None = None) -> LevelEntry:
        """What the recipient of ``message`` says of it; ``way`` is the receipt list's, if another."""
        sender, recipient = way.split(">") if way else (str(message.recipient), str(message.sender))
        return LevelEntry(
            level=ReceiptLevel(level),
            message=MessageId(str(message.message)),
            thread=ThreadId(str(message.thread)),
            pair=Pair(AuthorityId(sender), AuthorityId(recipient)),
            why=why,
            proof=None,
            outbox=self._position(sender),
            trust_list=1,
        )

    def record(self, writer: str, n: int, *entries: Entry, partition: int = 0, offset: int | None = None) -> Logged:
        """A ledger record; its offset is ``n - 1`` unless told."""
        record = LedgerRecord(writer=writer, n=n, time_ms=self.now_ms, entries=entries)
        return Logged(partition, n - 1 if offset is None else offset, sha256(repr(record).encode()), record)

    def _position(self, owner: str) -> Position:
        self.now_ms += 1000
        self._drawn += 1
        self._offsets[owner] += 1
        return Position(f"outbox.{owner}", 0, self._offsets[owner] - 1, self.now_ms)


@pytest.fixture
def story() -> Story:
    """Entries of a ledger, told one after the other."""
    return Story()
