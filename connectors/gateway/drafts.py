"""A draft: a hand-in as the outbox keeps it until it is sealed, with what was drawn for it once: ids and keys.

Its bytes are protected by the local key wherever they are stored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from connectors.ports import ClockWish, HandIn, HandInFile
from hub.core.ids import (
    AuthorityId,
    ClockId,
    Digest,
    MessageId,
    ThreadId,
    authority_id,
    clock_id,
    digest,
    message_id,
    thread_id,
    uuid7,
)
from hub.core.manifest import ClockKind, ClockOperation, ClockVerb, MessageType, Priority
from hub.envelope import strict_json
from hub.envelope.encoding import b64, unb64
from hub.envelope.strict_json import JsonObject, JsonValue
from hub.errors import Refused

CLOCK_ID_BYTES: Final = 8
THREAD_ID_BYTES: Final = 16
UUID_RANDOM_BYTES: Final = 10


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An encrypted attachment in the object store: ``length`` and ``digest`` of the ciphertext; its key, secret."""

    uri: str
    length: int
    digest: Digest
    key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDraft:
    """A hand-in with its message id, thread and clock ids; ``objects`` once all files are uploaded."""

    key: str
    id: MessageId
    type: MessageType
    recipient: AuthorityId
    thread: ThreadId
    in_reply_to: MessageId | None
    priority: Priority
    clocks: tuple[ClockOperation, ...]
    document: bytes
    files: tuple[HandInFile, ...]
    objects: tuple[StoredObject, ...] = ()


def keep(
    hand_in: HandIn, *, answered_thread: ThreadId | None, now_ms: int, chance: Callable[[int], bytes]
) -> KeptDraft:
    """The draft of a new hand-in. A hand-in whose key is a UUIDv7 gets it as its message id."""
    try:
        message = message_id(hand_in.key)
    except Refused:
        message = uuid7(now_ms, chance(UUID_RANDOM_BYTES))
    thread = hand_in.thread or answered_thread or ThreadId(chance(THREAD_ID_BYTES).hex())
    return KeptDraft(
        key=hand_in.key,
        id=message,
        type=hand_in.type,
        recipient=hand_in.recipient,
        thread=thread,
        in_reply_to=hand_in.in_reply_to,
        priority=hand_in.priority,
        clocks=tuple(_operation(wish, chance) for wish in hand_in.clocks),
        document=hand_in.document,
        files=hand_in.files,
    )


def _operation(wish: ClockWish, chance: Callable[[int], bytes]) -> ClockOperation:
    clock = wish.clock or ClockId(chance(CLOCK_ID_BYTES).hex())
    return ClockOperation(wish.verb, clock, wish.kind, wish.due_ms)


def encode_draft(draft: KeptDraft) -> bytes:
    """The draft in clear, a line of JSON and the document as it is: protect it before it is stored."""
    members: JsonObject = {
        "key": draft.key,
        "id": draft.id,
        "type": draft.type.value,
        "recipient": draft.recipient,
        "thread": draft.thread,
        "in_reply_to": draft.in_reply_to,
        "priority": draft.priority.value,
        "clocks": [[each.verb.value, each.clock, each.kind.value, each.due_ms] for each in draft.clocks],
        "files": [[each.name, each.media_type, each.length, each.digest] for each in draft.files],
        "objects": [[each.uri, each.length, each.digest, b64(each.key)] for each in draft.objects],
    }
    return strict_json.dump(members) + b"\n" + draft.document


def decode_draft(data: bytes) -> KeptDraft:
    """The draft of ``encode_draft``'s bytes; they were authentic, so any other shape is a fault of ours."""
    line, _, document = data.partition(b"\n")  # JSON spells a line's end inside a text as an escape
    members = strict_json.parse(line)
    if not isinstance(members, dict):
        raise _foreign()
    clocks = [_row(each, 4) for each in strict_json.items(members, "clocks", high=1000)]
    files = [_row(each, 4) for each in strict_json.items(members, "files", high=1000)]
    objects = [_row(each, 4) for each in strict_json.items(members, "objects", high=1000)]
    return KeptDraft(
        key=strict_json.text(members, "key"),
        id=message_id(members["id"]),
        type=MessageType(strict_json.text(members, "type")),
        recipient=authority_id(members["recipient"]),
        thread=thread_id(members["thread"]),
        in_reply_to=strict_json.optional(members, "in_reply_to", message_id),
        priority=Priority(strict_json.text(members, "priority")),
        clocks=tuple(
            ClockOperation(
                ClockVerb(str(verb)), clock_id(clock), ClockKind(str(kind)), None if due is None else _number(due)
            )
            for verb, clock, kind, due in clocks
        ),
        document=document,
        files=tuple(HandInFile(str(name), str(kind), _number(size), digest(sha)) for name, kind, size, sha in files),
        objects=tuple(
            StoredObject(str(uri), _number(size), digest(sha), unb64(str(key))) for uri, size, sha, key in objects
        ),
    )


def _row(value: JsonValue, count: int) -> list[JsonValue]:
    if not isinstance(value, list) or len(value) != count:
        raise _foreign()
    return value


def _number(value: JsonValue) -> int:
    if not isinstance(value, int):
        raise _foreign()
    return value


def _foreign() -> ValueError:
    return ValueError("a stored draft has another shape than this version writes")
