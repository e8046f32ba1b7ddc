"""What a broker stores and what we ask it to store: plain values, whatever the client library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

JWS_HEADER: Final = "comity-jws"
HUB_HEADER: Final = "comity-hub"  # records that the hub wrote itself: bundle/1

Headers = tuple[tuple[str, bytes], ...]


class Place(NamedTuple):
    """A topic's partition."""

    topic: str
    partition: int


class Position(NamedTuple):
    """Where a record lies, and when the broker took it (LogAppendTime, milliseconds since 1970)."""

    topic: str
    partition: int
    offset: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Record:
    """A stored record, as read."""

    topic: str
    partition: int
    offset: int
    time_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def place(self) -> Place:
        """The partition it lies in."""
        return Place(self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to be written."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int = 0
