"""What a gateway asks of a national system, and the values that pass between them. Plaintext lives only here and there.

A national system implements ``NationalSystem`` once; ``connectors.folder`` is the reference. All its methods are
idempotent: after a crash the gateway says again what it said before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from hub.core.ids import AuthorityId, ClockId, Digest, MessageId, ThreadId
from hub.core.manifest import ClockKind, ClockOperation, ClockVerb, MessageType, Priority


@dataclass(frozen=True, slots=True)
class ClockWish:
    """A clock operation as a national system asks for it: ``clock`` is None for a start, whose id the gateway draws."""

    verb: ClockVerb
    kind: ClockKind
    clock: ClockId | None = None
    due_ms: int | None = None


@dataclass(frozen=True, slots=True)
class HandInFile:
    """A file to be sent: ``length`` in bytes and ``digest`` are those of the plaintext, and are checked while reading."""

    name: str
    media_type: str
    length: int
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class HandIn:
    """One message as a national system hands it in.

    ``key`` makes it idempotent: the same key and ``digest`` is the same message, another digest is a conflict. A key
    that is a UUIDv7 becomes the message's id. ``thread`` may be None: a new case, or that of the message answered.
    """

    key: str
    digest: Digest
    type: MessageType
    recipient: AuthorityId
    thread: ThreadId | None
    in_reply_to: MessageId | None
    priority: Priority
    clocks: tuple[ClockWish, ...]
    document: bytes
    files: tuple[HandInFile, ...]


@dataclass(frozen=True, slots=True)
class Unusable:
    """Something that was handed in and cannot become a message: ``code`` and ``sentence`` go to ``problem``."""

    key: str
    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Signed bytes that prove a step without us: ``hub-receipt`` (stands alone) or ``manifest`` (a JWS of the other side)."""

    kind: str
    text: str


class Step(StrEnum):
    """The levels that a national system is told of, in order (``hub.core.receipts.Level``)."""

    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    OPENED = "opened"
    ACKNOWLEDGED = "acknowledged"
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """A level that a message has reached, with its proof. ``by`` is the message that says so, for the last two levels."""

    key: str
    message: MessageId
    recipient: AuthorityId
    thread: ThreadId
    step: Step
    time_ms: int
    by: MessageId | None
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a hand-in will not arrive. ``message`` is None when none was made of it."""

    key: str
    code: str
    sentence: str
    message: MessageId | None = None
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something the hub says on its own: a flag on a clock, an operation without effect. ``facts`` hold no content."""

    id: str
    kind: str  # flag, clk-ignored
    facts: Mapping[str, str | int | None]
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class DeliveredFile:
    """A received file. ``name`` is the sender's text: hostile until made safe. ``length`` in bytes of plaintext."""

    number: int
    name: str
    media_type: str
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A received message, checked and opened. ``answered_key`` is the key of our hand-in that it answers."""

    message: MessageId
    sender: AuthorityId
    recipient: AuthorityId
    type: MessageType
    thread: ThreadId
    in_reply_to: MessageId | None
    answered_key: str | None
    priority: Priority
    clocks: tuple[ClockOperation, ...]
    accepted_ms: int  # the log's time
    document: bytes
    files: tuple[DeliveredFile, ...]


@dataclass(frozen=True, slots=True)
class Correspondent:
    """An authority of the trust list, as a national system shows it to its people."""

    id: AuthorityId
    name: str
    status: str


FileContent = Callable[[int], Iterator[bytes]]
"""The plaintext of file ``number`` in chunks; raises ``Refused`` at the first chunk that does not verify."""


class NationalSystem(Protocol):
    """A State's own system. Methods may block: the gateway calls them outside its event loop, several at once."""

    def watch(self, wake: Callable[[], None]) -> None:
        """Keep ``wake``, and call it, from any thread, when a hand-in comes: it is taken at once then.

        A system that never calls it, or not always, loses nothing: the gateway rescans ``outgoing`` all the time.
        """
        ...

    def outgoing(self) -> Sequence[HandIn | Unusable]:
        """What waits to be sent, oldest first. Nothing is taken by being listed."""
        ...

    def waits(self, key: str) -> bool:
        """Whether a hand-in of this key is still there."""
        ...

    def content(self, hand_in: HandIn, number: int) -> Iterator[bytes]:
        """The plaintext of file ``number`` (from 1) in chunks. Raises ``UsageError(hand-in-changed)``."""
        ...

    def taken(self, key: str) -> None:
        """The hand-in is stored durably with all its files: do not list it again."""
        ...

    def deliver(self, delivery: Delivery, content: FileContent) -> None:
        """Put a message into place for the authority, whole or not at all; once, however often it is called.

        Raises ``Refused`` as ``content`` does, ``Unreachable`` when there is no place now.
        """
        ...

    def confirm(self, confirmation: Confirmation) -> None:
        """A level was reached."""
        ...

    def problem(self, problem: Problem) -> None:
        """A hand-in has failed for good."""
        ...

    def notify(self, notice: Notice) -> None:
        """The hub says something about a clock."""
        ...

    def announce(self, correspondents: Sequence[Correspondent]) -> None:
        """The authorities that one can write to, after each new trust list."""
        ...
