"""All that a decision may ask of the world: a step returns these, a shell performs them."""

from __future__ import annotations

from dataclasses import dataclass

from hub.core.records import Outgoing


@dataclass(frozen=True, slots=True)
class Publish:
    """Write this record."""

    record: Outgoing


@dataclass(frozen=True, slots=True)
class Alert:
    """Tell the operator: a metric and a log line. ``subject`` is an authority, a partition or an id, never content."""

    code: str
    subject: str
    sentence: str


Effect = Publish | Alert
