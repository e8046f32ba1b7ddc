"""The JSON files of the folder contract, both ways. Pure: bytes in, values out, and back (schemas/folder.md).

A hand-in's ``manifest.json``::

    {"v": "comity-handin/1", "type": "request", "to": "xb-pgo", "thread": null, "in_reply_to": null, "priority": "normal",
     "clocks": [{"op": "start", "kind": "reply", "id": null, "due": "2026-12-24T23:00:00Z"}],
     "document": "<SHA-256 of document.json>",
     "files": [{"name": "evidence.pdf", "type": "application/pdf", "length": 1048576, "sha256": "<SHA-256>"}]}
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from connectors.folder.names import check_file_name, safe_name
from connectors.ports import (
    ClockWish,
    Confirmation,
    Correspondent,
    Delivery,
    Evidence,
    HandIn,
    HandInFile,
    Notice,
    Problem,
)
from hub.core.ids import authority_id, clock_id, digest, message_id, sha256, thread_id
from hub.core.limits import ATTACHMENT_BYTES_MAX, CLOCK_OPERATIONS_MAX, FILES_PER_MESSAGE_MAX
from hub.core.manifest import ClockKind, ClockOperation, ClockVerb, MessageType, Priority
from hub.core.times import format_time, parse_time
from hub.envelope import strict_json
from hub.envelope.strict_json import JsonValue
from hub.errors import Refused, UsageError

VERSION: Final = "comity-handin/1"
PROBLEM_TYPE: Final = "urn:comity:problem:"
HAND_IN_TYPES: Final = (MessageType.REQUEST, MessageType.RESPONSE, MessageType.ACK)
_MANIFEST_MEMBERS: Final = (
    "v",
    "type",
    "to",
    "thread",
    "in_reply_to",
    "priority",
    "clocks",
    "document",
    "files",
)
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}\Z")


def read_hand_in(key: str, manifest: bytes, document: bytes) -> HandIn:
    """The hand-in of these bytes. Raises ``UsageError``: ``manifest-malformed``, ``file-name``, ``document-changed``."""
    try:
        hand_in = _read(key, manifest, document)
    except Refused as error:
        raise UsageError("manifest-malformed", f"manifest.json is not usable. {error.sentence}") from error
    names = [file.name.casefold() for file in hand_in.files]
    if len(set(names)) != len(names):
        raise UsageError("manifest-malformed", "manifest.json names a file twice.")
    if hand_in.type is not MessageType.REQUEST and hand_in.in_reply_to is None:
        raise UsageError("manifest-malformed", "An acknowledgement or a response needs in_reply_to.")
    return hand_in


def _read(key: str, manifest: bytes, document: bytes) -> HandIn:
    members = strict_json.closed(strict_json.parse(manifest), required=_MANIFEST_MEMBERS)
    if members["v"] != VERSION:
        raise Refused("version-unknown", f"The member v must be {VERSION}.")
    if sha256(document) != digest(members["document"]):
        raise UsageError("document-changed", "document.json is not the one whose SHA-256 stands in manifest.json.")
    return HandIn(
        key=key,
        digest=sha256(manifest),
        type=MessageType(_word(members["type"], "type", [each.value for each in HAND_IN_TYPES])),
        recipient=authority_id(members["to"]),
        thread=strict_json.optional(members, "thread", thread_id),
        in_reply_to=strict_json.optional(members, "in_reply_to", message_id),
        priority=Priority(_word(members["priority"], "priority", [each.value for each in Priority])),
        clocks=tuple(map(_clock, strict_json.items(members, "clocks", high=CLOCK_OPERATIONS_MAX))),
        document=document,
        files=tuple(map(_file, strict_json.items(members, "files", high=FILES_PER_MESSAGE_MAX))),
    )


def _clock(value: JsonValue) -> ClockWish:
    members = strict_json.closed(value, required=("op", "kind", "id", "due"))
    wish = ClockWish(
        verb=ClockVerb(_word(members["op"], "op", [each.value for each in ClockVerb])),
        kind=ClockKind(_word(members["kind"], "kind", [each.value for each in ClockKind])),
        clock=strict_json.optional(members, "id", clock_id),
        due_ms=strict_json.optional(members, "due", parse_time),
    )
    starts = wish.verb is ClockVerb.START
    if starts != (wish.clock is None):
        raise Refused("clock-malformed", "A clock that starts has id null, every other operation names its clock.")
    needs_due = wish.verb in {ClockVerb.START, ClockVerb.EXTEND}
    if (needs_due and wish.due_ms is None) or (wish.verb in {ClockVerb.STOP, ClockVerb.PAUSE} and wish.due_ms):
        raise Refused("clock-malformed", "due is needed for start and extend, and not allowed for stop and pause.")
    return wish


def _file(value: JsonValue) -> HandInFile:
    members = strict_json.closed(value, required=("name", "type", "length", "sha256"))
    media_type = strict_json.text(members, "type")
    if _MEDIA_TYPE.match(media_type) is None:
        raise Refused("field-type", "The member type of a file is a media type such as application/pdf.")
    return HandInFile(
        name=check_file_name(members["name"]),
        media_type=media_type,
        length=strict_json.integer(members, "length", low=0, high=ATTACHMENT_BYTES_MAX),
        digest=digest(members["sha256"]),
    )


def _word(value: JsonValue, name: str, words: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in words:
        raise Refused("field-type", f"The member {name} is one of: {', '.join(words)}.")
    return value


def manifest_json(hand_in: HandIn) -> bytes:
    """The manifest of a hand-in, as ``comity send`` writes it; ``digest`` and ``key`` stand elsewhere."""
    clocks: list[JsonValue] = [
        {
            "op": wish.verb.value,
            "kind": wish.kind.value,
            "id": wish.clock,
            "due": None if wish.due_ms is None else format_time(wish.due_ms),
        }
        for wish in hand_in.clocks
    ]
    files: list[JsonValue] = [
        {"name": file.name, "type": file.media_type, "length": file.length, "sha256": file.digest}
        for file in hand_in.files
    ]
    return _shown(
        {
            "v": VERSION,
            "type": hand_in.type.value,
            "to": hand_in.recipient,
            "thread": hand_in.thread,
            "in_reply_to": hand_in.in_reply_to,
            "priority": hand_in.priority.value,
            "clocks": clocks,
            "document": sha256(hand_in.document),
            "files": files,
        }
    )


def confirmation_json(confirmation: Confirmation) -> bytes:
    """``acks/<id>.<level>.json``."""
    return _shown(
        {
            "v": "comity-ack/1",
            "id": confirmation.key,
            "message": confirmation.message,
            "level": confirmation.step.value,
            "to": confirmation.recipient,
            "thread": confirmation.thread,
            "time": format_time(confirmation.time_ms),
            "by": confirmation.by,
            "evidence": _evidence(confirmation.evidence),
        }
    )


def problem_json(problem: Problem) -> bytes:
    """``failed/<id>/problem.json`` (RFC 9457): ``type`` is stable, ``detail`` says what to do."""
    return _shown(
        {
            "type": PROBLEM_TYPE + problem.code,
            "title": problem.code.replace("-", " "),
            "detail": problem.sentence,
            "id": problem.key,
            "message": problem.message,
            "evidence": None if problem.evidence is None else _evidence(problem.evidence),
        }
    )


def notice_json(notice: Notice) -> bytes:
    """``in/<flag>.flag.json``."""
    facts: dict[str, JsonValue] = dict(notice.facts)
    return _shown(
        {"v": "comity-flag/1", "id": notice.id, "kind": notice.kind, **facts, "evidence": _evidence(notice.evidence)}
    )


def message_json(delivery: Delivery) -> bytes:
    """``in/<message>/message.json``: what the manifest and the hub said, the clocks, and the files as written."""
    files: list[JsonValue] = [
        {
            "file": "files/" + safe_name(file.number, file.name),
            "name": file.name,
            "type": file.media_type,
            "length": file.length,
        }
        for file in delivery.files
    ]
    clocks: list[JsonValue] = [clock_json(operation) for operation in delivery.clocks]
    return _shown(
        {
            "v": "comity-message/1",
            "id": delivery.message,
            "from": delivery.sender,
            "to": delivery.recipient,
            "type": delivery.type.value,
            "thread": delivery.thread,
            "in_reply_to": delivery.in_reply_to,
            "answers": delivery.answered_key,
            "priority": delivery.priority.value,
            "accepted": format_time(delivery.accepted_ms),
            "clocks": clocks,
            "files": files,
        }
    )


def correspondents_json(correspondents: Sequence[Correspondent]) -> bytes:
    """``authorities.json``."""
    listed: list[JsonValue] = [{"id": each.id, "name": each.name, "status": each.status} for each in correspondents]
    return _shown({"v": "comity-authorities/1", "authorities": listed})


def sender_of(message: bytes) -> str | None:
    """The sender that a ``message.json`` names; None when a person has changed the file beyond reading."""
    try:
        members = strict_json.parse(message)
    except Refused:
        return None
    sender = members.get("from") if isinstance(members, dict) else None
    return sender if isinstance(sender, str) else None


def clock_json(operation: ClockOperation) -> dict[str, JsonValue]:
    """A clock operation of a received message."""
    due = None if operation.due_ms is None else format_time(operation.due_ms)
    return {"op": operation.verb.value, "kind": operation.kind.value, "id": operation.clock, "due": due}


def _evidence(evidence: Evidence) -> dict[str, JsonValue]:
    # The exact bytes as text: parsing and writing them again could break what is signed.
    return {"kind": evidence.kind, "bytes": evidence.text}


def _shown(members: Mapping[str, JsonValue]) -> bytes:
    return json.dumps(dict(members), ensure_ascii=False, indent=2, allow_nan=False).encode() + b"\n"
