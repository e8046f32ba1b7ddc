"""The tables: ``case_*`` are the registrar's, ``watch_*`` the watch's. Times are milliseconds since 1970, UTC.

Each process owns its tables and its offsets: neither waits for the other, and either can be rebuilt alone.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
)
from sqlalchemy.types import TypeEngine

METADATA: Final = MetaData()

OPEN_STATES: Final = ("running", "paused")  # spelt in an index: a query that spells them so, as values, can use it

Kind = TypeEngine[Any] | type[TypeEngine[Any]]

_AUTHORITY: Final = 32
_ID: Final = 64  # ids and digests: 16 to 43 characters
_CODE: Final = 64
_TOPIC: Final = 64


def _key(name: str, kind: Kind) -> Column[Any]:
    return Column(name, kind, primary_key=True, autoincrement=False)


def _given(name: str, kind: Kind) -> Column[Any]:
    return Column(name, kind, nullable=False)


def _case_key() -> list[Column[Any]]:
    return [
        _key("thread", String(_ID)),
        _key("first_party", String(_AUTHORITY)),
        _key("second_party", String(_AUTHORITY)),
    ]


def _case_reference() -> list[Column[Any]]:
    return [
        _given("thread", String(_ID)),
        _given("first_party", String(_AUTHORITY)),
        _given("second_party", String(_AUTHORITY)),
    ]


def _pair() -> list[Column[Any]]:
    return [_given("sender", String(_AUTHORITY)), _given("recipient", String(_AUTHORITY))]


def _clocks(name: str, *further: Column[Any]) -> Table:
    return Table(
        name,
        METADATA,
        *_case_key(),
        _key("clock", String(_ID)),
        _given("partition", Integer),
        *_pair(),  # who waits, on whom
        _given("kind", String(_CODE)),
        _given("starter", String(_ID)),
        _given("started_ms", BigInteger),
        _given("due_ms", BigInteger),
        _given("state", String(_CODE)),
        Column("stopped_ms", BigInteger),
        _given("warned", String(_CODE)),  # percents, comma between
        Column("overdue_due_ms", BigInteger),
        Column("met", String(_CODE)),
        *further,
        # Ids of messages rise with time, threads are drawn by lot: new rows go to the end of this index, not all over it.
        Index(f"{name}_starter", "starter", "thread"),
    )


def _writers(name: str) -> Table:
    """The last numbers of each writer in each partition, with the digest of the bytes."""
    return Table(
        name,
        METADATA,
        _key("partition", Integer),
        _key("writer", String(_ID)),
        _key("n", BigInteger),
        _given("digest", String(_ID)),
    )


def _partitions(name: str, *further: Column[Any]) -> Table:
    return Table(
        name,
        METADATA,
        _key("partition", Integer),
        _given("next_offset", BigInteger),
        *further,
    )


def _open_clocks(name: str) -> Table:
    return Table(
        name,
        METADATA,
        _key("partition", Integer),
        _key("sender", String(_AUTHORITY)),
        _key("recipient", String(_AUTHORITY)),
        _given("open", Integer),
    )


case_partitions = _partitions("case_partitions")
case_writers = _writers("case_writers")
case_heads = Table(
    "case_heads",
    METADATA,
    *_case_key(),
    _given("opened_ms", BigInteger),
    _given("updated_ms", BigInteger),
    Index("case_heads_updated", "updated_ms"),
)
case_messages = Table(
    "case_messages",
    METADATA,
    *_case_key(),
    _key("message", String(_ID)),
    *_pair(),
    _given("type", String(_CODE)),
    Column("in_reply_to", String(_ID)),
    _given("sequence", BigInteger),
    _given("length", BigInteger),
    _given("attachments", SmallInteger),
    _given("jws", String(_ID)),
    _given("outbox_offset", BigInteger),
    _given("accepted_ms", BigInteger),
    Column("delivered_ms", BigInteger),
    Column("opened_ms", BigInteger),
    Column("refused_ms", BigInteger),
    Column("why", Text),
)
case_clocks = _clocks("case_clocks")
Index(
    "case_clocks_open",
    case_clocks.c.due_ms,
    sqlite_where=case_clocks.c.state.in_(OPEN_STATES),
    postgresql_where=case_clocks.c.state.in_(OPEN_STATES),
)
case_open_clocks = _open_clocks("case_open_clocks")
case_refusals = Table(
    "case_refusals",
    METADATA,
    _key("topic", String(_TOPIC)),
    _key("outbox_offset", BigInteger),
    *_case_reference(),
    *_pair(),
    _given("message", String(_ID)),
    _given("code", String(_CODE)),
    _given("counted", Boolean),
    _given("time_ms", BigInteger),
    Index("case_refusals_case", "thread"),
)
case_flags = Table(
    "case_flags",
    METADATA,
    _key("id", String(_ID)),
    *_case_reference(),
    *_pair(),
    _given("clock", String(_ID)),
    _given("message", String(_ID)),
    _given("flag", String(_CODE)),
    _given("percent", SmallInteger),
    _given("due_ms", BigInteger),
    _given("time_ms", BigInteger),
    Index("case_flags_case", "thread"),
)
case_ignored = Table(
    "case_ignored",
    METADATA,
    _key("id", String(_ID)),
    *_case_reference(),
    *_pair(),
    _given("clock", String(_ID)),
    _given("message", String(_ID)),
    _given("code", String(_CODE)),
    _given("time_ms", BigInteger),
    Index("case_ignored_case", "thread"),
)
case_tallies = Table(
    "case_tallies",
    METADATA,
    _key("sender", String(_AUTHORITY)),
    _key("recipient", String(_AUTHORITY)),
    _given("accepted", BigInteger),
    _given("refused", BigInteger),
    _given("repeated", BigInteger),
    _given("receipts", BigInteger),
    _given("misfits", BigInteger),
)

watch_partitions = _partitions(
    "watch_partitions",
    _given("ledger_n", BigInteger),  # of our last record in this partition
    _given("head_n", BigInteger),
    Column("head_prev", String(_ID)),
)
watch_writers = _writers("watch_writers")
watch_clocks = _clocks("watch_clocks", Column("next_check_ms", BigInteger))
Index(
    "watch_clocks_next",
    watch_clocks.c.partition,
    watch_clocks.c.next_check_ms,
    sqlite_where=watch_clocks.c.next_check_ms.is_not(None),
    postgresql_where=watch_clocks.c.next_check_ms.is_not(None),
)
watch_open_clocks = _open_clocks("watch_open_clocks")
watch_claims = Table(
    "watch_claims",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String(_ID), nullable=False, unique=True),
    _given("partition", Integer),
    Column("claim", Text),  # None: raised, or read in the ledger; the id stays, so that it is never raised again
)
Index(
    "watch_claims_owed",
    watch_claims.c.partition,
    watch_claims.c.number,
    sqlite_where=watch_claims.c.claim.is_not(None),
    postgresql_where=watch_claims.c.claim.is_not(None),
)
watch_inboxes = Table(
    "watch_inboxes",
    METADATA,
    _key("partition", Integer),
    _key("inbox", String(_TOPIC)),
    _given("n", BigInteger),
    Column("prev", String(_ID)),
)
watch_outgoing = Table(
    "watch_outgoing",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    _given("partition", Integer),
    _given("topic", String(_TOPIC)),
    _given("value", LargeBinary),
    Index("watch_outgoing_partition", "partition", "number"),
)
