"""The grammar that all wire models share: strict, closed, frozen; every text has a pattern, every number a range.

Models read, and are the schemas of whoever writes no Python. What the hub writes is put together beside them, and read back
by them in the tests.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hub.core.ids import (
    AUTHORITY_PATTERN,
    CLOCK_PATTERN,
    DERIVED_PATTERN,
    DIGEST_PATTERN,
    MESSAGE_PATTERN,
    THREAD_PATTERN,
    AuthorityId,
    ClockId,
    Digest,
    KeyId,
    MessageId,
    ThreadId,
)
from hub.core.limits import JSON_INTEGER_MAX
from hub.core.records import Position
from hub.core.times import TIME_PATTERN
from hub.envelope import strict_json
from hub.errors import Refused, VerificationFailed

AuthorityText = Annotated[AuthorityId, Field(pattern=AUTHORITY_PATTERN)]
MessageText = Annotated[MessageId, Field(pattern=MESSAGE_PATTERN)]
DerivedText = Annotated[str, Field(pattern=DERIVED_PATTERN)]
ThreadText = Annotated[ThreadId, Field(pattern=THREAD_PATTERN)]
ClockText = Annotated[ClockId, Field(pattern=CLOCK_PATTERN)]
DigestText = Annotated[Digest, Field(pattern=DIGEST_PATTERN)]
KeyText = Annotated[KeyId, Field(pattern=DIGEST_PATTERN)]
TimeText = Annotated[str, Field(pattern=TIME_PATTERN)]
BytesText = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]*$", description="base64url without padding (RFC 4648)")]
CodeText = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,47}$", description="a reason code")]
AlgorithmText = Annotated[str, Field(pattern=r"^[A-Za-z0-9+-]{1,32}$")]
WriterText = Annotated[str, Field(pattern=r"^(router-shard|watch)-(0|[1-9][0-9]{0,4})$")]
TopicText = Annotated[str, Field(pattern=r"^(outbox|inbox)\.[a-z]{2}-[a-z0-9]{2,24}$")]
Count = Annotated[int, Field(ge=0, le=JSON_INTEGER_MAX)]
Number = Annotated[int, Field(ge=1, le=JSON_INTEGER_MAX)]
Milliseconds = Annotated[int, Field(ge=0, le=JSON_INTEGER_MAX, description="milliseconds since 1970, UTC")]
Percent = Annotated[int, Field(ge=1, le=100)]


class Wire(BaseModel):
    """A JSON object with exactly its members, of exactly their types, that nobody changes."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )


class PositionModel(Wire):
    """Where an outbox record lies, and when the broker took it."""

    topic: TopicText
    partition: Count
    offset: Count
    time_ms: Milliseconds

    @property
    def value(self) -> Position:
        """The position that this spells."""
        return Position(self.topic, self.partition, self.offset, self.time_ms)


M = TypeVar("M", bound=Wire)


def read(model: type[M], data: bytes, noun: str) -> M:
    """Parse bytes that the hub itself wrote. Raises ``VerificationFailed(record-malformed)``.

    The strict parser goes first: pydantic's own takes the last of two equal names and reads on.
    """
    try:
        strict_json.parse(data)
        return model.model_validate_json(data)
    except (Refused, ValidationError):
        # The cause is not kept: pydantic's sentences repeat what stood in the record.
        raise VerificationFailed(
            "record-malformed", f"This is not {noun} that this version of the hub wrote."
        ) from None
