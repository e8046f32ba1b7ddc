"""What a case is, and how bytes and records stand in its file (``schemas/vectors/README.md``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hub.core.records import Record
from hub.envelope.encoding import b64
from hub.envelope.strict_json import JsonObject, JsonValue

VALID: Final = "valid"
ZEROS_BYTES_MIN: Final = 16 * 1024  # a longer run of zeros is written as its length


@dataclass(frozen=True, slots=True)
class Case:
    """One file of an area: ``given`` is what is checked, ``result`` what a valid one must give besides."""

    name: str
    expect: str
    comment: str
    given: Mapping[str, JsonValue]
    result: Mapping[str, JsonValue] = field(default_factory=dict)

    def write(self, area: str, folder: Path) -> None:
        """Write ``<folder>/<area>/<name>.json``."""
        members: JsonObject = {"area": area, "comment": self.comment, "expect": self.expect, **self.given}
        if self.result:
            members["result"] = dict(self.result)
        path = folder / area / f"{self.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(members, ensure_ascii=True, indent=1) + "\n")


def shown(data: bytes | None) -> JsonValue:
    """Bytes in a case: null, ``{"text"}`` where they are printable ASCII, ``{"zeros": n}``, else ``{"b64"}``."""
    if data is None:
        return None
    if len(data) >= ZEROS_BYTES_MIN and not data.strip(b"\x00"):
        return {"zeros": len(data)}
    if data.isascii() and data.decode("ascii").isprintable():
        return {"text": data.decode("ascii")}
    return {"b64": b64(data)}


def record_json(record: Record) -> JsonObject:
    """A Kafka record in a case."""
    headers: list[JsonValue] = [[name, shown(value)] for name, value in record.headers]
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "time_ms": record.time_ms,
        "key": shown(record.key),
        "value": shown(record.value),
        "headers": headers,
    }
