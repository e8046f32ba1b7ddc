"""Lines of a history out of what a Kafka client reads and writes (the format is in ``tests.faults.checker``).

It decodes with ``json`` and ``base64`` by the published schemas, and imports nothing of the hub: a decoder of ours
cannot hide what it breaks.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

Line = dict[str, Any]
Headers = Sequence[tuple[str, bytes]]

JWS_HEADER: Final = "comity-jws"
HUB_HEADER: Final = "comity-hub"
INBOX: Final = "inbox."
OUTBOX: Final = "outbox."
LEDGER: Final = "hub.ledger"
QUARANTINE: Final = "hub.quarantine"
_FLAG: Final = ("id", "flag", "percent", "clock", "due_ms", "message", "time_ms")


def digest(data: bytes) -> str:
    """SHA-256 as the protocol spells it."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def record_digest(key: bytes | None, headers: Headers, value: bytes | None) -> str:
    """A Digest over a whole record: each part behind its length, so that no two records have one text."""
    parts = [key, value, *(part for name, content in headers for part in (name.encode(errors="replace"), content))]
    return digest(b"".join(b"-" if part is None else b"%d:%s" % (len(part), part) for part in parts))


def jws_digest(headers: Headers) -> str | None:
    """The Digest of the one JWS header; None unless there is exactly one."""
    found = [content for name, content in headers if name == JWS_HEADER]
    return digest(found[0]) if len(found) == 1 else None


def manifest(headers: Headers) -> Line:
    """The manifest in the JWS header, unverified. Raises ``ValueError`` where there is none that can be read."""
    return _payload(next((content for name, content in headers if name == JWS_HEADER), b""))


def submission(
    *,
    op: int,
    outcome: str,
    expect: str | None,
    topic: str,
    headers: Headers,
    value: bytes | None,
    offset: int | None,
    begun_ms: int,
    ended_ms: int,
) -> Line:
    """An attempt to publish a record. What no manifest says is null; one clock operation at most is told.

    Raises ``ValueError`` for two clock operations: the format has room for one.
    """
    try:
        said = manifest(headers)
    except (ValueError, RecursionError):
        said = {}
    clocks = said.get("clk") or []
    if len(clocks) > 1:
        raise ValueError("a history has room for one clock operation in a message")
    return {
        "event": "submit",
        "op": op,
        "outcome": outcome,
        "sender": topic.removeprefix(OUTBOX),
        "recipient": (said.get("to") or ["nobody"])[0],
        "id": said.get("id"),
        "seq": said.get("seq"),
        "jws": jws_digest(headers),
        "digest": digest(value or b""),
        "kind": said.get("typ", "none"),
        "thread": said.get("thr"),
        "topic": topic,
        "partition": 0,
        "offset": offset,
        "begun_ms": begun_ms,
        "ended_ms": ended_ms,
        "clock": _clock(clocks[0]) if clocks else None,
        "references": [{"id": each["id"], "level": each["lvl"]} for each in said.get("rct") or []],
        "expect": expect,
    }


def read(
    reader: str,
    *,
    topic: str,
    partition: int,
    offset: int,
    time_ms: int,
    key: bytes | None,
    headers: Headers,
    value: bytes | None,
) -> Line:
    """A record that a reader read. Raises ``ValueError`` or ``KeyError`` for what the hub must never write."""
    line: Line = {
        "reader": reader,
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "time_ms": time_ms,
        "record": record_digest(key, headers, value),
    }
    if topic.startswith(OUTBOX):
        return line | {"kind": "outbox", "jws": jws_digest(headers), "digest": digest(value or b"")}
    if topic == LEDGER:
        return line | _ledger(json.loads(value or b""))
    if topic == QUARANTINE:
        said = json.loads(value or b"")
        return line | {"kind": "quarantine", "outbox": _spot(said), "code": said["code"]}
    if topic.startswith(INBOX):
        is_bundle = any(name == HUB_HEADER for name, _ in headers)
        return line | (_bundle(json.loads(value or b"")) if is_bundle else _copy(headers, value))
    raise ValueError(f"a history does not tell of {topic}")


def delivery(copy: Line) -> Line:
    """That a recipient took over the copy of a line."""
    members = ("recipient", "sender", "id", "seq", "digest", "offset", "time_ms")
    return {"event": "deliver"} | {name: copy[name] for name in members}


def _copy(headers: Headers, value: bytes | None) -> Line:
    said = manifest(headers)
    return {
        "kind": "copy",
        "id": said["id"],
        "sender": said["from"],
        "recipient": said["to"][0],
        "seq": said["seq"],
        "jws": jws_digest(headers),
        "digest": digest(value or b""),
    }


def _bundle(said: Line) -> Line:
    chain, *claims = (json.loads(text) for text in said["claims"])
    writer = _payload(said["head"].encode())["writer"]
    return {"kind": "bundle", "writer": writer, "n": chain["n"], "claims": [_claim(each) for each in claims]}


def _claim(claim: Line) -> Line:
    kind = claim["kind"]
    match kind:
        case "receipt":
            return _chosen(claim, "id", "jws", "code", "counted") | {"outbox": _spot(claim["outbox"])}
        case "routed":
            return _chosen(claim, "jws") | {"outbox": _spot(claim["outbox"])}
        case "gap":
            return _chosen(claim, "code") | {
                "jws": digest(claim["jws_text"].encode()),
                "outbox": _spot(claim["outbox"]),
            }
        case "flag":
            return _chosen(claim, *_FLAG) | {"thread": claim["thr"]}
    return {"kind": kind}


def _ledger(said: Line) -> Line:
    entries = [_entry(each) for each in said["entries"]]
    return {"kind": "ledger", "writer": said["writer"], "n": said["n"], "entries": entries}


def _entry(entry: Line) -> Line:
    kind = entry["kind"]
    match kind:
        case "message":
            chosen = _chosen(entry, "id", "jws", "code", "counted", "repeat")
            return chosen | {"outbox": _spot(entry["outbox"])}
        case "level":
            return _chosen(entry, "id") | {"level": entry["lvl"], "outbox": _spot(entry["outbox"])}
        case "flag":
            return _chosen(entry, *_FLAG) | {"thread": entry["thr"]}
    return {"kind": kind}


def _chosen(said: Line, *names: str) -> Line:
    return {name: said[name] for name in ("kind", *names)}


def _spot(position: Line) -> Line:
    return {"topic": position["topic"], "offset": position["offset"]}


def _clock(operation: Line) -> Line:
    due = operation["due"]
    due_ms = None if due is None else round(datetime.fromisoformat(due).timestamp() * 1000)
    return {"id": operation["id"], "verb": operation["op"], "due_ms": due_ms}


def _payload(jws: bytes) -> Line:
    outer = json.loads(jws)
    if not isinstance(outer, dict) or not isinstance(outer.get("payload"), str):
        raise ValueError("this is no JWS in JSON")  # noqa: TRY004 (what the caller knows: it cannot be read)
    payload = json.loads(base64.urlsafe_b64decode(outer["payload"] + "=" * (-len(outer["payload"]) % 4)))
    if not isinstance(payload, dict):
        raise ValueError("the payload is no JSON object")  # noqa: TRY004 (the same)
    return payload
