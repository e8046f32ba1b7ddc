"""Records of ``hub.quarantine``: where a refused record lies, and why; never its bytes, which the outbox keeps."""

from __future__ import annotations

from typing import Final, Literal

from hub.core.ids import Digest
from hub.core.records import Position
from hub.envelope.strict_json import dump
from hub.wire.grammar import CodeText, Count, DigestText, Milliseconds, TopicText, Wire, read

VERSION: Final = "comity-quarantine/1"


class QuarantineModel(Wire):
    """One refused record, or one place that cannot be read at all: then digests and length are null."""

    v: Literal["comity-quarantine/1"]
    topic: TopicText
    partition: Count
    offset: Count
    time_ms: Milliseconds
    jws: DigestText | None
    sha256: DigestText | None
    length: Count | None
    code: CodeText


def encode_quarantine(
    position: Position, *, code: str, jws: Digest | None = None, digest: Digest | None = None, length: int | None = None
) -> bytes:
    """The value for a record at ``position``; ``digest`` and ``length`` are those of its value."""
    return dump({"v": VERSION, **position._asdict(), "jws": jws, "sha256": digest, "length": length, "code": code})


def decode_quarantine(data: bytes) -> QuarantineModel:
    """The model that a value spells. Raises ``VerificationFailed(record-malformed)``."""
    return read(QuarantineModel, data, "a quarantine record")
