"""An authority that writes letters of every kind: plain, with a clock, out of place, out of date, answers, lists."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from hub.core.authority import TrustList
from hub.core.ids import AuthorityId, ClockId, MessageId, ThreadId, sha256
from hub.core.manifest import (
    ClockKind,
    ClockOperation,
    ClockVerb,
    Manifest,
    MessageType,
    ReceiptLevel,
    ReceiptReference,
)
from hub.core.records import Outgoing
from hub.core.topics import outbox
from hub.ports import Clock
from hub.testing import FakeAuthority
from tests.bad_inputs.cases import Case, Outcome
from tests.bad_inputs.records import poison

VALUE_BYTES: Final = 300
PAST_MS: Final = 60_000  # how long ago a letter expired that is out of date
STEP: Final = 5  # how far a letter that is out of place runs ahead in its pair

Reference = tuple[MessageId, ThreadId]


@dataclass(frozen=True, slots=True)
class Letter:
    """A record, and what it was made for: ``accept``, ``refuse``, ``repeat``, or None where both may be.

    ``answer_ms``: how long after its delivery its clock is stopped; None: never. May be below 0 for no delay.
    """

    record: Outgoing
    expect: str | None
    answer_ms: int | None = None
    message: MessageId | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A delivered message whose clock is to be stopped by an answer."""

    sender: AuthorityId
    message: MessageId
    thread: ThreadId
    clock: ClockId


class Author:
    """One authority's pen. Safe to use from several threads, as long as each pair is written by one."""

    def __init__(self, fake: FakeAuthority, trust: TrustList, clock: Clock, chance: Random) -> None:
        self.id = fake.id
        self._fake = fake
        self._trust = trust
        self._clock = clock
        self._chance = chance
        self._lock = threading.Lock()

    def plain(self, recipient: AuthorityId) -> Letter:
        """A request."""
        with self._lock:
            manifest, value = self._draft(recipient)
            return Letter(self._publish(manifest, value), "accept", message=manifest.id)

    def clocked(self, recipient: AuthorityId, *, due_in_ms: int, answer_ms: int | None) -> Letter:
        """A request with a clock that runs out ``due_in_ms`` from now, in whole seconds."""
        with self._lock:
            due_ms = (self._clock.now_ms() + due_in_ms) // 1000 * 1000
            name = ClockId(self._chance.randbytes(8).hex())
            start = ClockOperation(ClockVerb.START, name, ClockKind.REPLY, due_ms)
            manifest, value = self._draft(recipient)
            record = self._publish(replace(manifest, clocks=(start,)), value)
            # On a slow day the log may take it after its due time: refused then, rightly.
            return Letter(record, None, answer_ms=answer_ms, message=manifest.id)

    def misplaced(self, recipient: AuthorityId) -> Letter:
        """A letter whose number is not next: refused, and its pair goes on as before."""
        with self._lock:
            manifest, value = self._draft(recipient)
            ahead = replace(manifest, sequence=manifest.sequence + STEP, previous=sha256(value))
            return Letter(self._fake.sign(ahead, value, now_ms=self._clock.now_ms()), "refuse")

    def conflicting(self, recipient: AuthorityId, message: MessageId) -> Letter:
        """Another text under the id of a message to ``recipient`` that was accepted: refused, and it moves nothing."""
        with self._lock:
            manifest, value = self._draft(recipient)
            other = replace(manifest, id=message)
            return Letter(self._fake.sign(other, value, now_ms=self._clock.now_ms()), "refuse")

    def poisoned(self, kind: Case, recipient: AuthorityId, neighbour: Author) -> Letter:
        """A record of a bad kind, as the table of bad inputs makes it."""
        with self._lock:
            made = poison(
                kind,
                self._fake,
                recipient,
                neighbour=neighbour._fake,
                trust=self._trust,
                now_ms=self._clock.now_ms(),
            )
            is_refused = kind.expected.outcome is Outcome.REFUSED
            return Letter(made.outgoing(outbox(self.id)), "refuse" if is_refused else "accept")

    def expired(self, recipient: AuthorityId) -> Letter:
        """A letter that came too late: refused, and its number is used up."""
        with self._lock:
            manifest, value = self._draft(recipient)
            issued_ms = manifest.issued_ms - 2 * PAST_MS
            late = replace(manifest, issued_ms=issued_ms, expires_ms=issued_ms + PAST_MS)
            return Letter(self._publish(late, value), "refuse")

    def answer(self, question: Question) -> Letter:
        """The response that stops a clock."""
        with self._lock:
            stop = ClockOperation(ClockVerb.STOP, question.clock, ClockKind.REPLY)
            manifest, value = self._draft(question.sender)
            response = replace(
                manifest,
                type=MessageType.RESPONSE,
                thread=question.thread,
                in_reply_to=question.message,
                clocks=(stop,),
            )
            return Letter(self._publish(response, value), "accept", message=manifest.id)

    def delivered(self, recipient: AuthorityId, references: Sequence[Reference]) -> Letter:
        """A receipt list that says of ``recipient``'s messages that they were delivered."""
        with self._lock:
            said = [
                ReceiptReference(ReceiptLevel.DELIVERED, message, thread, sha256(message.encode()), None)
                for message, thread in references
            ]
            now_ms = self._clock.now_ms()
            return Letter(self._fake.receipt_list(recipient, said, trust=self._trust, now_ms=now_ms), "accept")

    def _draft(self, recipient: AuthorityId) -> tuple[Manifest, bytes]:
        value = self._chance.randbytes(VALUE_BYTES)
        now_ms = self._clock.now_ms()
        return self._fake.manifest(recipient, trust=self._trust, now_ms=now_ms, value=value), value

    def _publish(self, manifest: Manifest, value: bytes) -> Outgoing:
        return self._fake.publish(manifest, value, now_ms=self._clock.now_ms())
