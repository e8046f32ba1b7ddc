"""The manifest as a model, for the published JSON Schema; ``hub.envelope.manifest`` reads and writes the signed bytes.

A JSON Schema cannot say what one member demands of another (schemas/envelope.md section 3): whatever the strict reader
takes, this model takes; not the other way round.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hub.core.limits import (
    ATTACHMENTS_MAX,
    CLOCK_OPERATIONS_MAX,
    RECEIPTS_PER_MANIFEST_MAX,
    RECIPIENT_KEYS_MAX,
    VALUE_BYTES_MAX,
)
from hub.core.manifest import ClockKind, ClockVerb, MessageType, Priority, ReceiptLevel
from hub.envelope.manifest import ATTACHMENT_OBJECT_BYTES_MAX, NAME_PATTERN, OBJECT_PATTERN, SIGNATURE_ALGORITHMS_MAX
from hub.wire.grammar import (
    AuthorityText,
    ClockText,
    CodeText,
    DigestText,
    KeyText,
    MessageText,
    Number,
    ThreadText,
    TimeText,
    Wire,
)

NameText = Annotated[str, Field(pattern=NAME_PATTERN)]


class ClockOperationModel(Wire):
    """``due`` is required for start and extend, allowed for resume, else null."""

    op: ClockVerb
    id: ClockText
    kind: ClockKind
    due: TimeText | None


class BodyModel(Wire):
    """Over the exact value bytes; ``com`` over the plaintext."""

    dig: DigestText
    len: Annotated[int, Field(ge=0, le=VALUE_BYTES_MAX)]
    com: DigestText | None


class AttachmentModel(Wire):
    """An encrypted object outside Kafka; ``len`` and ``dig`` are those of the ciphertext."""

    n: Annotated[int, Field(ge=1, le=ATTACHMENTS_MAX)]
    uri: Annotated[str, Field(pattern=OBJECT_PATTERN)]
    len: Annotated[int, Field(ge=1, le=ATTACHMENT_OBJECT_BYTES_MAX)]
    dig: DigestText
    enc: Literal["cobblestone-256"]


class ReceiptModel(Wire):
    """What became of one message: a proof, or for ``refused`` a reason."""

    lvl: ReceiptLevel
    id: MessageText
    thr: ThreadText
    prf: DigestText | None
    why: CodeText | None


class ManifestModel(Wire):
    """The payload of the ``comity-jws`` header."""

    v: Literal["comity/1"]
    suite: NameText
    id: MessageText
    typ: MessageType
    dom: DigestText
    sender: AuthorityText = Field(alias="from")
    to: Annotated[tuple[AuthorityText, ...], Field(min_length=1, max_length=1)]
    thr: ThreadText | None
    irt: MessageText | None
    seq: Number
    prev: DigestText | None
    iat: TimeText
    exp: TimeText
    pri: Priority
    clk: Annotated[tuple[ClockOperationModel, ...], Field(max_length=CLOCK_OPERATIONS_MAX)]
    sgs: Annotated[tuple[NameText, ...], Field(min_length=1, max_length=SIGNATURE_ALGORITHMS_MAX)]
    tl: Number
    body: BodyModel
    rcp: Annotated[tuple[tuple[AuthorityText, KeyText], ...], Field(max_length=RECIPIENT_KEYS_MAX)]
    att: Annotated[tuple[AttachmentModel, ...], Field(max_length=ATTACHMENTS_MAX)]
    rct: Annotated[tuple[ReceiptModel, ...], Field(max_length=RECEIPTS_PER_MANIFEST_MAX)]
