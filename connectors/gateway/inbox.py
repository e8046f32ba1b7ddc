"""The durable inbox: messages to us, chains, claims, what is parked. SQL only; nothing is decided.

Every function works within the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from connectors.gateway.incoming import PairHead
from connectors.gateway.tables import BUNDLES, CLAIMS, INCOMING, INCOMING_PAIRS, LINKS, PARKED, POSITIONS
from hub.core.ids import AuthorityId, Digest, MessageId
from hub.core.manifest import Manifest
from hub.core.receipts import RoutedClaim
from hub.core.records import JWS_HEADER, Position, Record
from hub.envelope import strict_json
from hub.envelope.encoding import b64, unb64
from hub.envelope.strict_json import JsonObject


def next_offset(connection: Connection, topic: str) -> int:
    """Where to read on."""
    found = connection.execute(select(POSITIONS.c.next_offset).where(POSITIONS.c.topic == topic)).scalar_one_or_none()
    return 0 if found is None else int(found)


def advance(connection: Connection, topic: str, offset: int) -> None:
    """Everything before ``offset`` is stored."""
    connection.execute(
        upsert(POSITIONS)
        .values(topic=topic, next_offset=offset)
        .on_conflict_do_update(index_elements=["topic"], set_={"next_offset": offset})
    )


# --- bundles and claims ---------------------------------------------------------------------------


def last_bundle(connection: Connection, writer: str) -> tuple[int, Digest] | None:
    """The highest number of this writer, and its digest."""
    statement = select(BUNDLES).where(BUNDLES.c.writer == writer).order_by(BUNDLES.c.n.desc()).limit(1)
    row = connection.execute(statement).one_or_none()
    return None if row is None else (row.n, row.digest)


def bundle_digest(connection: Connection, writer: str, n: int) -> Digest | None:
    """The digest of bundle ``n`` of this writer."""
    statement = select(BUNDLES.c.digest).where(BUNDLES.c.writer == writer, BUNDLES.c.n == n)
    return connection.execute(statement).scalar_one_or_none()


def add_bundle(connection: Connection, writer: str, n: int, digest: Digest) -> None:
    """The bundle was read."""
    connection.execute(insert(BUNDLES).values(writer=writer, n=n, digest=digest))


def add_claim(connection: Connection, claim: RoutedClaim) -> None:
    """How a copy that comes is judged."""
    values = {
        "digest": claim.jws,
        "topic": claim.outbox.topic,
        "partition": claim.outbox.partition,
        "offset": claim.outbox.offset,
        "time_ms": claim.outbox.time_ms,
        "trust_list": claim.trust_list,
    }
    connection.execute(upsert(CLAIMS).values(values).on_conflict_do_nothing())


def find_claim(connection: Connection, digest: Digest) -> RoutedClaim | None:
    """The claim for a copy."""
    row = connection.execute(select(CLAIMS).where(CLAIMS.c.digest == digest)).one_or_none()
    if row is None:
        return None
    return RoutedClaim(
        jws=row.digest,
        outbox=Position(row.topic, row.partition, row.offset, row.time_ms),
        trust_list=row.trust_list,
    )


def spend_claim(connection: Connection, digest: Digest) -> None:
    """The claim has judged its copy; what it said stands with the message."""
    connection.execute(delete(CLAIMS).where(CLAIMS.c.digest == digest))


# --- chains ---------------------------------------------------------------------------------------


def read_pair(connection: Connection, sender: AuthorityId) -> PairHead:
    """Where the chain from a sender stands."""
    row = connection.execute(select(INCOMING_PAIRS).where(INCOMING_PAIRS.c.sender == sender)).one_or_none()
    return PairHead() if row is None else PairHead(row.sequence, row.head, row.blocked)


def write_pair(connection: Connection, sender: AuthorityId, pair: PairHead) -> None:
    """Keep where the chain stands."""
    values = {"sequence": pair.sequence, "head": pair.head, "blocked": pair.blocked}
    connection.execute(
        upsert(INCOMING_PAIRS)
        .values({"sender": sender, **values})
        .on_conflict_do_update(index_elements=["sender"], set_=values)
    )


def has_link(connection: Connection, digest: Digest) -> bool:
    """Whether this very manifest has moved its chain before."""
    return connection.execute(select(LINKS.c.sequence).where(LINKS.c.digest == digest)).first() is not None


def move_chain(connection: Connection, manifest: Manifest, digest: Digest, pair: PairHead) -> None:
    """The manifest is the newest of its pair."""
    connection.execute(insert(LINKS).values(digest=digest, sender=manifest.sender, sequence=manifest.sequence))
    write_pair(connection, manifest.sender, PairHead(manifest.sequence, digest, pair.blocked))


# --- messages -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A stored message: the exact bytes, and the log's time."""

    sender: AuthorityId
    id: MessageId
    jws: bytes
    value: bytes
    time_ms: int
    tries: int


def known(connection: Connection, sender: AuthorityId, message: MessageId) -> bool:
    """Whether a message of this id was taken in before."""
    statement = select(INCOMING.c.n).where(INCOMING.c.sender == sender, INCOMING.c.id == message)
    return connection.execute(statement).first() is not None


def add_message(
    connection: Connection,
    record: Record,
    manifest: Manifest,
    claim: RoutedClaim,
    *,
    state: str,
    code: str | None = None,
) -> None:
    """Keep a message. States: stored (to be handed over), delivered, refused, read (a receipt list)."""
    connection.execute(
        insert(INCOMING).values(
            sender=manifest.sender,
            id=manifest.id,
            digest=claim.jws,
            type=manifest.type.value,
            thread=manifest.thread,
            in_reply_to=manifest.in_reply_to,
            sequence=manifest.sequence,
            jws=header(record),
            value=record.value or b"",
            outbox_offset=claim.outbox.offset,
            time_ms=claim.outbox.time_ms,
            trust_list=claim.trust_list,
            inbox_offset=record.offset,
            state=state,
            code=code,
        )
    )


def stored(connection: Connection, *, count_max: int) -> Sequence[IncomingMessage]:
    """What is to be handed over, oldest first."""
    statement = select(INCOMING).where(INCOMING.c.state == "stored").order_by(INCOMING.c.n).limit(count_max)
    return [
        IncomingMessage(AuthorityId(row.sender), MessageId(row.id), row.jws, row.value, row.time_ms, row.tries)
        for row in connection.execute(statement)
    ]


def set_state(
    connection: Connection, sender: AuthorityId, message: MessageId, state: str, code: str | None = None
) -> bool:
    """Delivered or refused; False when it was so already."""
    statement = (
        update(INCOMING)
        .where(INCOMING.c.sender == sender, INCOMING.c.id == message, INCOMING.c.state == "stored")
        .values(state=state, code=code)
    )
    return connection.execute(statement).rowcount == 1


def tried(connection: Connection, sender: AuthorityId, message: MessageId) -> None:
    """One more attempt to read its attachments has failed."""
    connection.execute(
        update(INCOMING).where(INCOMING.c.sender == sender, INCOMING.c.id == message).values(tries=INCOMING.c.tries + 1)
    )


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
