"""Instants: integers, milliseconds since 1970 in UTC; written as RFC 3339 with ``Z``, whole seconds or three digits."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from hub.errors import Refused

# Hour 24 is left out: some versions of Python read it as the next day.
TIME_PATTERN: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(\.[0-9]{3})?Z$"
_TIME: Final = re.compile(TIME_PATTERN.replace("$", r"\Z"), re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(text: object) -> int:
    """Milliseconds since 1970 of an RFC 3339 time in UTC. Raises ``Refused``; a leap second is refused too."""
    if not isinstance(text, str) or _TIME.match(text) is None:
        raise Refused("time-malformed", "This is not an RFC 3339 time in UTC such as 2026-11-25T09:00:00Z.")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused("time-malformed", "This RFC 3339 time names no existing moment.") from error
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def format_time(time_ms: int) -> str:
    """RFC 3339 in UTC: without a fraction for whole seconds, else with three digits."""
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    fraction = f".{time_ms % 1000:03d}" if time_ms % 1000 else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + fraction + "Z"
