"""The durable inbox: messages to us and what is parked. SQL only; nothing is decided. ``intake`` writes most of it.

Every function works within the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from connectors.gateway.statements import Change, Query, one_of, replacement
from connectors.gateway.tables import INCOMING, PARKED, POSITIONS, RECEIVED
from hub.core.ids import AuthorityId, Digest, MessageId
from hub.core.manifest import Manifest
from hub.core.records import JWS_HEADER, Record
from hub.envelope import strict_json
from hub.envelope.encoding import b64, unb64
from hub.envelope.strict_json import JsonObject

_NEXT: Final = Query(select(POSITIONS.c.next_offset).where(POSITIONS.c.topic == bindparam("of")))
_ADVANCE: Final = Change(replacement(POSITIONS, "topic"))
_STORED: Final = Query(
    select(INCOMING).where(INCOMING.c.state == "stored").order_by(INCOMING.c.n).limit(bindparam("count_max"))
)
_STILL_STORED: Final = Query(
    select(INCOMING.c.digest).where(INCOMING.c.state == "stored", one_of(INCOMING.c.digest, "digests"))
)
_SETTLE: Final = Change(
    update(INCOMING)
    .where(one_of(INCOMING.c.digest, "digests"))
    .values(state=bindparam("new_state"), code=bindparam("new_code"))
)
_ANY_PARKED: Final = Query(select(PARKED.c.part).where(PARKED.c.done.is_(False)).limit(1))


def next_offset(connection: Connection, topic: str) -> int:
    """Where to read on."""
    found = _NEXT.row(connection, of=topic)
    return 0 if found is None else int(found.next_offset)


def advance(connection: Connection, topic: str, offset: int) -> None:
    """Statements that run all the time are made once: SQLAlchemy takes longer to make one than to run it. Everything before ``offset`` is stored."""
    _ADVANCE.run(connection, topic=topic, next_offset=offset)


# --- messages -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A stored message without its bytes, and the log's time."""

    sender: AuthorityId
    id: MessageId
    digest: Digest
    time_ms: int
    tries: int


def stored(connection: Connection, *, count_max: int) -> Sequence[IncomingMessage]:
    """What is to be handed over, oldest first."""
    return [
        IncomingMessage(AuthorityId(row.sender), MessageId(row.id), row.digest, row.time_ms, row.tries)
        for row in _STORED.rows(connection, count_max=count_max)
    ]


def received_bytes(connection: Connection, digest: Digest) -> tuple[bytes, bytes]:
    """The exact JWS and value of a stored message."""
    row = connection.execute(select(RECEIVED).where(RECEIVED.c.digest == digest)).one()
    return row.jws, row.value


def settle(connection: Connection, digests: Iterable[Digest], state: str, code: str | None = None) -> set[Digest]:
    """Delivered or refused; returns those that were not so already."""
    still = {Digest(row.digest) for row in _STILL_STORED.rows(connection, digests=digests)}
    if still:
        _SETTLE.run(connection, digests=still, new_state=state, new_code=code)
    return still


def tried(connection: Connection, digest: Digest) -> None:
    """One more attempt to read its attachments has failed."""
    connection.execute(update(INCOMING).where(INCOMING.c.digest == digest).values(tries=INCOMING.c.tries + 1))


def counts(connection: Connection) -> dict[str, int]:
    """How many messages (receipt lists aside) are in each state, and what is parked."""
    statement = (
        select(INCOMING.c.state, func.count().label("total"))
        .where(INCOMING.c.state != "read")
        .group_by(INCOMING.c.state)
    )
    found = {row.state: row.total for row in connection.execute(statement)}
    waiting = select(func.count()).select_from(PARKED).where(PARKED.c.done.is_(False))
    return {**found, "parked": connection.execute(waiting).scalar_one()}


# --- what is parked -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parked:
    """A record, or a gap claim (``part``: its index in the bundle), that could not be taken in when it came."""

    kind: str
    record: Record
    part: int
    code: str


def park(
    connection: Connection,
    record: Record,
    *,
    kind: str,
    code: str,
    part: int = 0,
    digest: Digest | None = None,
    manifest: Manifest | None = None,
) -> None:
    """Keep a record aside, or say anew why it stays aside."""
    values = {
        "digest": digest,
        "sender": manifest.sender if manifest else None,
        "sequence": manifest.sequence if manifest else None,
        "code": code,
        "done": False,
    }
    row = {
        "inbox_offset": record.offset,
        "part": part,
        "kind": kind,
        "record": _encode_record(record),
        **values,
    }
    connection.execute(
        upsert(PARKED).values(row).on_conflict_do_update(index_elements=["inbox_offset", "part"], set_=values)
    )


def any_parked(connection: Connection) -> bool:
    """Whether anything is set aside now: hardly ever."""
    return _ANY_PARKED.row(connection) is not None


def parked_next(connection: Connection, sender: AuthorityId, sequence: int) -> Sequence[Parked]:
    """What is parked for this place in a chain."""
    return _parked(connection, PARKED.c.sender == sender, PARKED.c.sequence == sequence)


def parked_copy(connection: Connection, digest: Digest) -> Sequence[Parked]:
    """A copy that came without its claim."""
    return _parked(connection, PARKED.c.digest == digest, PARKED.c.kind == "copy", PARKED.c.sender.is_(None))


def parked_unjudged(connection: Connection) -> Sequence[Parked]:
    """What did not verify: a newer trust list may change that."""
    return _parked(connection, PARKED.c.sender.is_(None))


def unpark(connection: Connection, parked: Parked) -> None:
    """It was taken in after all."""
    connection.execute(
        update(PARKED)
        .where(PARKED.c.inbox_offset == parked.record.offset, PARKED.c.part == parked.part)
        .values(done=True)
    )


def _parked(connection: Connection, *conditions: ColumnElement[bool]) -> Sequence[Parked]:
    statement = select(PARKED).where(PARKED.c.done.is_(False), *conditions)
    rows = connection.execute(statement.order_by(PARKED.c.inbox_offset, PARKED.c.part))
    return [_parked_row(row) for row in rows]


def _parked_row(row: Row[*tuple[Any, ...]]) -> Parked:
    return Parked(row.kind, _decode_record(row.record), row.part, row.code)


def header(record: Record) -> bytes:
    """The manifest's JWS; empty unless there is exactly one."""
    found = [value for name, value in record.headers if name == JWS_HEADER]
    return found[0] if len(found) == 1 else b""


def _encode_record(record: Record) -> bytes:
    members: JsonObject = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "time_ms": record.time_ms,
        "key": None if record.key is None else b64(record.key),
        "value": None if record.value is None else b64(record.value),
        "headers": [[name, b64(value)] for name, value in record.headers],
    }
    return strict_json.dump(members)


def _decode_record(data: bytes) -> Record:
    members = strict_json.parse(data)
    members = strict_json.closed(
        members, required=("topic", "partition", "offset", "time_ms", "key", "value", "headers")
    )
    headers = [
        (str(each[0]), unb64(str(each[1])))
        for each in strict_json.items(members, "headers", high=1_000_000)
        if isinstance(each, list)
    ]
    return Record(
        topic=strict_json.text(members, "topic"),
        partition=strict_json.integer(members, "partition", low=0),
        offset=strict_json.integer(members, "offset", low=0),
        time_ms=strict_json.integer(members, "time_ms", low=0),
        key=strict_json.optional(members, "key", _bytes),
        value=strict_json.optional(members, "value", _bytes),
        headers=tuple(headers),
    )


def _bytes(value: strict_json.JsonValue) -> bytes:
    return unb64(str(value))
