"""The gateway's tables. They hold ciphertext and what the manifest shows anyway; plaintext only under the local key.

Nothing is deleted but what is told elsewhere for ever: claims once their copy is stored. Large bytes lie in tables of
their own that are written once: SQLite writes a row anew, with all its pages, when a state in it changes. Small rows that
are found by one key have no number of their own: that would be a second tree.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA_VERSION: Final = "2"
METADATA: Final = MetaData()

META: Final = Table(
    "meta",
    METADATA,
    Column("name", String, primary_key=True),  # schema, authority, check (a value under the local key)
    Column("value", LargeBinary, nullable=False),
)

OUTGOING: Final = Table(
    "outgoing",
    METADATA,
    Column("n", Integer, primary_key=True, autoincrement=True),  # the order of the hand-ins
    Column("id", String, nullable=False, unique=True),
    Column("tag", String, unique=True),  # keyed hash of the hand-in's name; null for receipt lists
    Column("hand_in", String),  # digest of the hand-in; null for receipt lists
    Column("type", String, nullable=False),
    Column("recipient", String, nullable=False),
    Column("thread", String),
    Column("in_reply_to", String),
    Column("state", String, nullable=False),
    Column("name", LargeBinary),  # the hand-in's name, under the local key; null for receipt lists
    Column("sequence", BigInteger),  # since the last sealing
    Column("digest", String, unique=True),
    Column("proof", String),  # what the recipient's receipt must show
    Column("seals", Integer, nullable=False, default=0),
    Column("attempts", Integer, nullable=False, default=0),  # of publishing, since the last sealing
    Column("tried_ms", BigInteger),
    Column("known", Boolean, nullable=False, default=False),  # whether the last attempt's offset is known
    Column("code", String),
    CheckConstraint("state IN ('draft', 'ready', 'sealed', 'accepted', 'failed')"),
    Index("outgoing_state", "state", "recipient", "n"),
)

DRAFTS: Final = Table(
    "drafts",
    METADATA,
    Column("id", String, primary_key=True),  # the message's
    Column("draft", LargeBinary, nullable=False),  # under the local key: name, document, attachments' keys
)

SEALED: Final = Table(
    "sealed",
    METADATA,
    Column("id", String, primary_key=True),  # the message's; its newest sealing
    Column("jws", LargeBinary, nullable=False),
    Column("value", LargeBinary, nullable=False),
)

COPIES: Final = Table(
    "copies",
    METADATA,
    Column("digest", String, primary_key=True),
    Column("offset", BigInteger, primary_key=True),  # in our outbox
    Column("message", String, nullable=False),
    Column("settled", Boolean, nullable=False, default=False),  # the hub's receipt for this copy is in
    Column("code", String),
    Column("counted", Boolean, nullable=False, default=False),
    Column("evidence", LargeBinary),  # the hub's receipt, standing alone
    Index("copies_message", "message"),
    sqlite_with_rowid=False,
)

OUTGOING_PAIRS: Final = Table(
    "outgoing_pairs",
    METADATA,
    Column("recipient", String, primary_key=True),
    Column("sequence", BigInteger, nullable=False),  # last one sealed
    Column("head", String),
    Column("confirmed_sequence", BigInteger, nullable=False),  # highest one that the hub said is used up
    Column("confirmed_head", String),
    Column("stalled", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

RECEIPTS: Final = Table(
    "receipts",
    METADATA,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("peer", String, nullable=False),
    Column("message", String, nullable=False),
    Column("thread", String, nullable=False),
    Column("level", String, nullable=False),
    Column("proof", String),
    Column("why", String),
    Column("list", String),  # the receipt list that carries it
    UniqueConstraint("peer", "message", "level"),
    Index("receipts_list", "list", "peer", "n"),
)

INCOMING: Final = Table(
    "incoming",
    METADATA,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("sender", String, nullable=False),
    Column("id", String, nullable=False),
    Column("digest", String, nullable=False, unique=True),
    Column("type", String, nullable=False),
    Column("thread", String),
    Column("in_reply_to", String),
    Column("sequence", BigInteger, nullable=False),
    Column("outbox_offset", BigInteger, nullable=False),
    Column("time_ms", BigInteger, nullable=False),  # the log's
    Column("trust_list", Integer, nullable=False),
    Column("inbox_offset", BigInteger, nullable=False),
    Column("state", String, nullable=False),
    Column("tries", Integer, nullable=False, default=0),  # of reading attachments
    Column("code", String),
    UniqueConstraint("sender", "id"),  # every id is delivered once, for ever
    CheckConstraint("state IN ('stored', 'delivered', 'refused', 'read')"),
    Index("incoming_state", "state", "n"),
)

RECEIVED: Final = Table(
    "received",
    METADATA,
    Column("digest", String, primary_key=True),  # of the manifest
    Column("jws", LargeBinary, nullable=False),
    Column("value", LargeBinary, nullable=False),
)

INCOMING_PAIRS: Final = Table(
    "incoming_pairs",
    METADATA,
    Column("sender", String, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("head", String),
    Column("blocked", String),  # a fork: nothing is delivered until a person has looked
    sqlite_with_rowid=False,
)

LINKS: Final = Table(
    "links",
    METADATA,
    Column("digest", String, primary_key=True),  # of every manifest that moved a chain, delivered or refused
    Column("sender", String, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

CLAIMS: Final = Table(
    "claims",
    METADATA,
    Column("digest", String, primary_key=True),
    Column("topic", String, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("trust_list", Integer, nullable=False),
    sqlite_with_rowid=False,
)

BUNDLES: Final = Table(
    "bundles",
    METADATA,
    Column("writer", String, primary_key=True),
    Column("n", BigInteger, primary_key=True),
    Column("digest", String, nullable=False),
    sqlite_with_rowid=False,
)

PARKED: Final = Table(
    "parked",
    METADATA,
    Column("inbox_offset", BigInteger, primary_key=True),
    Column("part", Integer, primary_key=True),  # index of a claim in its bundle; 0 for a whole record
    Column("kind", String, nullable=False),  # copy, gap, bundle
    Column("digest", String),  # of the manifest
    Column("sender", String),  # once it was judged
    Column("sequence", BigInteger),
    Column("code", String, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Column("done", Boolean, nullable=False, default=False),
    Index("parked_pair", "sender", "sequence"),
    Index("parked_waiting", "done"),
)

RESULTS: Final = Table(
    "results",
    METADATA,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("name", String, nullable=False, unique=True),  # what is told, once
    Column("kind", String, nullable=False),  # step, problem, notice
    Column("message", String),  # of ours
    Column("facts", Text, nullable=False),  # JSON: codes, ids and times
    Column("evidence", String),  # id of the proof
    Column("told", Boolean, nullable=False, default=False),
    Index("results_told", "told", "n"),
)

EVIDENCE: Final = Table(
    "evidence",
    METADATA,
    Column("id", String, primary_key=True),  # digest of its bytes: a receipt list proves dozens of levels
    Column("kind", String, nullable=False),
    Column("bytes", LargeBinary, nullable=False),
)

POSITIONS: Final = Table(
    "positions",
    METADATA,
    Column("topic", String, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
