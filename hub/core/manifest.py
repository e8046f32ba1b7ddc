"""What a manifest says (schemas/envelope.md section 3). Values only: grammar and bytes are in ``hub.envelope``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hub.core.ids import AuthorityId, ClockId, Digest, KeyId, MessageId, ThreadId

VERSION: Final = "comity/1"


class MessageType(StrEnum):
    """The class of a message, nothing more: a type of procedure would tell the hub too much (UNCAC 46(20))."""

    REQUEST = "request"
    RESPONSE = "response"
    ACK = "ack"
    RECEIPT = "receipt"


class Priority(StrEnum):
    """A hint to operators."""

    NORMAL = "normal"
    URGENT = "urgent"


class ClockVerb(StrEnum):
    """What a signed clock operation does."""

    START = "start"
    STOP = "stop"
    PAUSE = "pause"
    RESUME = "resume"
    EXTEND = "extend"


class ClockKind(StrEnum):
    """Neutral words only: ``custody`` would tell the procedure."""

    ACK = "ack"
    REPLY = "reply"
    INFORMATION = "information"
    REVIEW = "review"


class ReceiptLevel(StrEnum):
    """What a recipient's connector says in a receipt list."""

    DELIVERED = "delivered"
    OPENED = "opened"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ClockOperation:
    """``{op, id, kind, due?}``; ``due_ms`` is required for start and extend, allowed for resume."""

    verb: ClockVerb
    clock: ClockId
    kind: ClockKind
    due_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ReceiptReference:
    """``{lvl, id, thr, prf|why}``: what became of one message."""

    level: ReceiptLevel
    message: MessageId
    thread: ThreadId
    proof: Digest | None
    why: str | None


@dataclass(frozen=True, slots=True)
class AttachmentReference:
    """``{n, uri, len, dig, enc}``: an object outside Kafka; lengths and digests are those of the ciphertext."""

    number: int
    uri: str
    length: int
    digest: Digest
    encryption: str


@dataclass(frozen=True, slots=True)
class BodyReference:
    """``{dig, len, com}``: the exact value bytes, and the salted commitment to the plaintext (null for receipts)."""

    digest: Digest
    length: int
    commitment: Digest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest's content. JSON names: v suite id typ dom from to thr irt seq prev iat exp pri clk sgs tl body rcp att rct."""

    suite: str
    id: MessageId
    type: MessageType
    deployment: Digest
    sender: AuthorityId
    recipient: AuthorityId
    thread: ThreadId | None
    in_reply_to: MessageId | None
    sequence: int
    previous: Digest | None
    issued_ms: int
    expires_ms: int
    priority: Priority
    clocks: tuple[ClockOperation, ...]
    signature_algorithms: tuple[str, ...]
    trust_list: int
    body: BodyReference
    recipient_keys: tuple[tuple[AuthorityId, KeyId], ...]
    attachments: tuple[AttachmentReference, ...]
    receipts: tuple[ReceiptReference, ...]

    @property
    def record_key(self) -> str:
        """The key of its Kafka record: the thread, or the id of a receipt list."""
        return self.thread or self.id
