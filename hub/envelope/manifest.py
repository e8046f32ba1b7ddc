"""The manifest's grammar: bytes to values and back (schemas/envelope.md section 3). What it demands is signed.

One rule set serves both ways: ``encode`` writes nothing that ``decode`` would refuse.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, TypeVar

from hub.core.ids import (
    AuthorityId,
    KeyId,
    authority_id,
    clock_id,
    digest,
    key_id,
    message_id,
    sha256,
    thread_id,
)
from hub.core.limits import (
    ATTACHMENT_BYTES_MAX,
    ATTACHMENTS_MAX,
    CLOCK_OPERATIONS_MAX,
    RECEIPTS_PER_MANIFEST_MAX,
    RECIPIENT_KEYS_MAX,
    VALIDITY_MS_MAX,
    VALUE_BYTES_MAX,
)
from hub.core.manifest import (
    VERSION,
    AttachmentReference,
    BodyReference,
    ClockKind,
    ClockOperation,
    ClockVerb,
    Manifest,
    MessageType,
    Priority,
    ReceiptLevel,
    ReceiptReference,
)
from hub.core.refusals import RECIPIENT_REASONS, refuse
from hub.core.times import format_time, parse_time
from hub.envelope.strict_json import JsonObject, JsonValue, closed, dump, integer, items, optional, parse, text
from hub.errors import Refused

E = TypeVar("E", bound=StrEnum)

# fmt: off
MEMBERS: Final = (
    "v", "suite", "id", "typ", "dom", "from", "to", "thr", "irt", "seq", "prev",
    "iat", "exp", "pri", "clk", "sgs", "tl", "body", "rcp", "att", "rct",
)
# fmt: on
"""All members, in the order in which they are written."""

SIGNATURE_ALGORITHMS_MAX: Final = 4  # a suite has one or two
ATTACHMENT_ENCRYPTION: Final = "cobblestone-256"
# Cobblestone-256 adds 56 bytes, and a tag of 16 bytes to each chunk of 16 KiB.
ATTACHMENT_OBJECT_BYTES_MAX: Final = ATTACHMENT_BYTES_MAX + ATTACHMENT_BYTES_MAX // 1024 + 4096

NAME_PATTERN: Final = r"^[A-Za-z0-9+-]{1,32}$"  # a suite, an algorithm: known or not is judged later, with a code
OBJECT_PATTERN: Final = r"^[a-z]{2}-[a-z0-9]{2,24}/[0-9a-f]{32}$"
_NAME: Final = re.compile(NAME_PATTERN.replace("$", r"\Z"))
_OBJECT: Final = re.compile(OBJECT_PATTERN.replace("$", r"\Z"))
_EMPTY: Final = sha256(b"")
_DUE: Final = {  # whether an operation needs, may have (None) or must not have a due time
    ClockVerb.START: True,
    ClockVerb.EXTEND: True,
    ClockVerb.RESUME: None,
    ClockVerb.PAUSE: False,
    ClockVerb.STOP: False,
}


def encode(manifest: Manifest) -> bytes:
    """The JWS payload. Raises ``Refused(manifest-malformed)`` for values that ``decode`` would refuse."""
    payload = dump(
        {
            "v": VERSION,
            "suite": manifest.suite,
            "id": manifest.id,
            "typ": manifest.type.value,
            "dom": manifest.deployment,
            "from": manifest.sender,
            "to": [manifest.recipient],
            "thr": manifest.thread,
            "irt": manifest.in_reply_to,
            "seq": manifest.sequence,
            "prev": manifest.previous,
            "iat": format_time(manifest.issued_ms),
            "exp": format_time(manifest.expires_ms),
            "pri": manifest.priority.value,
            "clk": [_clock_json(each) for each in manifest.clocks],
            "sgs": list(manifest.signature_algorithms),
            "tl": manifest.trust_list,
            "body": {
                "dig": manifest.body.digest,
                "len": manifest.body.length,
                "com": manifest.body.commitment,
            },
            "rcp": [[authority, key] for authority, key in manifest.recipient_keys],
            "att": [_attachment_json(each) for each in manifest.attachments],
            "rct": [_receipt_json(each) for each in manifest.receipts],
        }
    )
    decode(payload)
    return payload


def _clock_json(operation: ClockOperation) -> JsonObject:
    due = None if operation.due_ms is None else format_time(operation.due_ms)
    return {"op": operation.verb.value, "id": operation.clock, "kind": operation.kind.value, "due": due}


def _attachment_json(attachment: AttachmentReference) -> JsonObject:
    return {
        "n": attachment.number,
        "uri": attachment.uri,
        "len": attachment.length,
        "dig": attachment.digest,
        "enc": attachment.encryption,
    }


def _receipt_json(receipt: ReceiptReference) -> JsonObject:
    return {
        "lvl": receipt.level.value,
        "id": receipt.message,
        "thr": receipt.thread,
        "prf": receipt.proof,
        "why": receipt.why,
    }


def decode(payload: bytes) -> Manifest:
    """The manifest that a JWS payload spells.

    Raises ``Refused``: ``version-unknown`` for an object whose ``v`` names another version, else
    ``manifest-malformed``, whatever the bytes.
    """
    try:
        value = parse(payload)
        if isinstance(value, dict) and isinstance(value.get("v"), str) and value["v"] != VERSION:
            raise refuse("version-unknown")
        members = closed(value, required=MEMBERS)
        if members["v"] != VERSION:
            raise refuse("manifest-malformed")  # not even a name of a version
        manifest = _manifest(members)
        _check_consistent(manifest)
    except Refused as error:
        if error.code in {"manifest-malformed", "version-unknown"}:
            raise
        raise refuse("manifest-malformed") from error
    return manifest


def _manifest(members: JsonObject) -> Manifest:
    (recipient,) = items(members, "to", low=1, high=1)
    body = closed(members["body"], required=("dig", "len", "com"))
    return Manifest(
        suite=_name(members["suite"]),
        id=message_id(members["id"]),
        type=_word(MessageType, members["typ"]),
        deployment=digest(members["dom"]),
        sender=authority_id(members["from"]),
        recipient=authority_id(recipient),
        thread=optional(members, "thr", thread_id),
        in_reply_to=optional(members, "irt", message_id),
        sequence=integer(members, "seq", low=1),
        previous=optional(members, "prev", digest),
        issued_ms=parse_time(members["iat"]),
        expires_ms=parse_time(members["exp"]),
        priority=_word(Priority, members["pri"]),
        clocks=tuple(_clock(each) for each in items(members, "clk", high=CLOCK_OPERATIONS_MAX)),
        signature_algorithms=tuple(_name(each) for each in items(members, "sgs", low=1, high=SIGNATURE_ALGORITHMS_MAX)),
        trust_list=integer(members, "tl", low=1),
        body=BodyReference(
            digest=digest(body["dig"]),
            length=integer(body, "len", low=0, high=VALUE_BYTES_MAX),
            commitment=optional(body, "com", digest),
        ),
        recipient_keys=tuple(_recipient_key(each) for each in items(members, "rcp", high=RECIPIENT_KEYS_MAX)),
        attachments=tuple(_attachment(each) for each in items(members, "att", high=ATTACHMENTS_MAX)),
        receipts=tuple(_receipt(each) for each in items(members, "rct", high=RECEIPTS_PER_MANIFEST_MAX)),
    )


def _name(value: JsonValue) -> str:
    if not isinstance(value, str) or _NAME.match(value) is None:
        raise refuse("manifest-malformed")
    return value


def _word(kind: type[E], value: JsonValue) -> E:
    try:
        return kind(str(value))
    except ValueError as error:
        raise refuse("manifest-malformed") from error


def _clock(value: JsonValue) -> ClockOperation:
    members = closed(value, required=("op", "id", "kind", "due"))
    verb = _word(ClockVerb, members["op"])
    due_ms = optional(members, "due", parse_time)
    if _DUE[verb] is not None and _DUE[verb] is not (due_ms is not None):
        raise refuse("manifest-malformed")
    return ClockOperation(verb, clock_id(members["id"]), _word(ClockKind, members["kind"]), due_ms)


def _recipient_key(value: JsonValue) -> tuple[AuthorityId, KeyId]:
    if not isinstance(value, list) or len(value) != 2:  # noqa: PLR2004  [authority, kid]
        raise refuse("manifest-malformed")
    return authority_id(value[0]), key_id(value[1])


def _attachment(value: JsonValue) -> AttachmentReference:
    members = closed(value, required=("n", "uri", "len", "dig", "enc"))
    uri = text(members, "uri")
    if _OBJECT.match(uri) is None or members["enc"] != ATTACHMENT_ENCRYPTION:
        raise refuse("manifest-malformed")
    return AttachmentReference(
        number=integer(members, "n", low=1, high=ATTACHMENTS_MAX),
        uri=uri,
        length=integer(members, "len", low=1, high=ATTACHMENT_OBJECT_BYTES_MAX),
        digest=digest(members["dig"]),
        encryption=ATTACHMENT_ENCRYPTION,
    )


def _receipt(value: JsonValue) -> ReceiptReference:
    members = closed(value, required=("lvl", "id", "thr", "prf", "why"))
    level = _word(ReceiptLevel, members["lvl"])
    proof = optional(members, "prf", digest)
    why = None if members["why"] is None else text(members, "why")
    refused = level is ReceiptLevel.REFUSED
    if (proof is None) is not refused or (why in RECIPIENT_REASONS) is not refused or (why is None) is refused:
        raise refuse("manifest-malformed")
    return ReceiptReference(level, message_id(members["id"]), thread_id(members["thr"]), proof, why)


def _check_consistent(manifest: Manifest) -> None:
    """What one member demands of another. Raises ``Refused(manifest-malformed)``."""
    lists_receipts = manifest.type is MessageType.RECEIPT
    fits = (
        manifest.sender != manifest.recipient
        and (manifest.previous is None) is (manifest.sequence == 1)
        and 0 < manifest.expires_ms - manifest.issued_ms <= VALIDITY_MS_MAX
        and (_fits_receipts(manifest) if lists_receipts else _fits_message(manifest))
    )
    if not fits:
        raise refuse("manifest-malformed")


def _fits_receipts(manifest: Manifest) -> bool:
    """Whether a receipt list carries nothing else (protocol section 3)."""
    nothing_else = manifest.thread is None and manifest.in_reply_to is None and not manifest.clocks
    sealed_for_nobody = not manifest.recipient_keys and not manifest.attachments
    no_value = manifest.body == BodyReference(_EMPTY, 0, None)
    return nothing_else and sealed_for_nobody and no_value and len(manifest.receipts) > 0


def _fits_message(manifest: Manifest) -> bool:
    """Whether a message has a thread, a value, keys of both sides only, and attachments numbered 1, 2, 3, ..."""
    owners = {authority for authority, _ in manifest.recipient_keys}
    keys = {key for _, key in manifest.recipient_keys}
    sealed = manifest.thread is not None and manifest.body.length > 0 and manifest.body.commitment is not None
    # A key of a third authority would be a message to it, past its own chain.
    for_both_only = manifest.recipient in owners and owners <= {manifest.sender, manifest.recipient}
    each_key_once = len(keys) == len(manifest.recipient_keys)
    return sealed and for_both_only and each_key_once and not manifest.receipts and _fits_attachments(manifest)


def _fits_attachments(manifest: Manifest) -> bool:
    """Whether the numbers run 1, 2, 3, ... and each object lies once, under the sender's own prefix."""
    numbers = [each.number for each in manifest.attachments]
    places = {each.uri for each in manifest.attachments}
    own = all(each.uri.startswith(f"{manifest.sender}/") for each in manifest.attachments)
    return own and len(places) == len(numbers) and numbers == list(range(1, len(numbers) + 1))
