"""The first tables of registrar and watch. A copy of what ``hub.adapters.sql.tables`` said then, never edited."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SHORT = 32
_LONG = 64
_COUNTED = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_OPEN = sa.text("state IN ('running', 'paused')")
_CHECKED = sa.text("next_check_ms IS NOT NULL")
_OWED = sa.text("claim IS NOT NULL")


def upgrade() -> None:
    """Make all tables."""
    for prefix in ("case", "watch"):
        _both(prefix)
    _cases()
    _case_events()
    _watch()


def _key(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


def _given(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _may(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=True)


def _texts(size: int, *names: str) -> list[sa.Column[Any]]:
    return [_given(name, sa.String(size)) for name in names]


def _numbers(*names: str) -> list[sa.Column[Any]]:
    return [_given(name, sa.BigInteger()) for name in names]


def _case_key() -> list[sa.Column[Any]]:
    parties = [_key(name, sa.String(_SHORT)) for name in ("first_party", "second_party")]
    return [_key("thread", sa.String(_LONG)), *parties]


def _case() -> list[sa.Column[Any]]:
    return [*_texts(_LONG, "thread"), *_texts(_SHORT, "first_party", "second_party", "sender", "recipient")]


def _both(prefix: str) -> None:
    writers = [_key("partition", sa.Integer()), _key("writer", sa.String(_LONG)), _key("n", sa.BigInteger())]
    op.create_table(f"{prefix}_writers", *writers, *_texts(_LONG, "digest"))
    pair = [_key("sender", sa.String(_SHORT)), _key("recipient", sa.String(_SHORT))]
    op.create_table(f"{prefix}_open_clocks", _key("partition", sa.Integer()), *pair, _given("open", sa.Integer()))
    checked = [_may("next_check_ms", sa.BigInteger())] if prefix == "watch" else []
    op.create_table(
        f"{prefix}_clocks",
        *_case_key(),
        _key("clock", sa.String(_LONG)),
        _given("partition", sa.Integer()),
        *_texts(_SHORT, "sender", "recipient"),
        *_texts(_LONG, "kind", "starter"),
        *_numbers("started_ms", "due_ms"),
        *_texts(_LONG, "state"),
        _may("stopped_ms", sa.BigInteger()),
        *_texts(_LONG, "warned"),
        _may("overdue_due_ms", sa.BigInteger()),
        _may("met", sa.String(_LONG)),
        *checked,
    )
    op.create_index(f"{prefix}_clocks_starter", f"{prefix}_clocks", ["thread", "starter"])


def _cases() -> None:
    op.create_table("case_partitions", _key("partition", sa.Integer()), *_numbers("next_offset"))
    op.create_index("case_clocks_open", "case_clocks", ["due_ms"], sqlite_where=_OPEN, postgresql_where=_OPEN)
    op.create_table("case_heads", *_case_key(), *_numbers("opened_ms", "updated_ms"))
    op.create_index("case_heads_updated", "case_heads", ["updated_ms"])
    op.create_table(
        "case_messages",
        *_case_key(),
        _key("message", sa.String(_LONG)),
        *_texts(_SHORT, "sender", "recipient"),
        *_texts(_LONG, "type"),
        _may("in_reply_to", sa.String(_LONG)),
        *_numbers("sequence", "length"),
        _given("attachments", sa.SmallInteger()),
        *_texts(_LONG, "jws"),
        *_numbers("outbox_offset", "accepted_ms"),
        *(_may(name, sa.BigInteger()) for name in ("delivered_ms", "opened_ms", "refused_ms")),
        _may("why", sa.Text()),
    )
    pair = [_key("sender", sa.String(_SHORT)), _key("recipient", sa.String(_SHORT))]
    op.create_table("case_tallies", *pair, *_numbers("accepted", "refused", "repeated", "receipts", "misfits"))


def _case_events() -> None:
    op.create_table(
        "case_refusals",
        _key("topic", sa.String(_LONG)),
        _key("outbox_offset", sa.BigInteger()),
        *_case(),
        *_texts(_LONG, "message", "code"),
        _given("counted", sa.Boolean()),
        *_numbers("time_ms"),
    )
    flag = [*_texts(_LONG, "clock", "message", "flag"), _given("percent", sa.SmallInteger())]
    op.create_table("case_flags", _key("id", sa.String(_LONG)), *_case(), *flag, *_numbers("due_ms", "time_ms"))
    ignored = _texts(_LONG, "clock", "message", "code")
    op.create_table("case_ignored", _key("id", sa.String(_LONG)), *_case(), *ignored, *_numbers("time_ms"))
    for table in ("case_refusals", "case_flags", "case_ignored"):
        op.create_index(f"{table}_case", table, ["thread"])


def _watch() -> None:
    op.create_table(
        "watch_partitions",
        _key("partition", sa.Integer()),
        *_numbers("next_offset", "ledger_n", "head_n"),
        _may("head_prev", sa.String(_LONG)),
    )
    columns = ["partition", "next_check_ms"]
    op.create_index("watch_clocks_next", "watch_clocks", columns, sqlite_where=_CHECKED, postgresql_where=_CHECKED)
    op.create_table(
        "watch_claims",
        sa.Column("number", _COUNTED, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(_LONG), nullable=False, unique=True),
        _given("partition", sa.Integer()),
        _may("claim", sa.Text()),
    )
    columns = ["partition", "number"]
    op.create_index("watch_claims_owed", "watch_claims", columns, sqlite_where=_OWED, postgresql_where=_OWED)
    op.create_table(
        "watch_inboxes",
        _key("partition", sa.Integer()),
        _key("inbox", sa.String(_LONG)),
        *_numbers("n"),
        _may("prev", sa.String(_LONG)),
    )
    op.create_table(
        "watch_outgoing",
        sa.Column("number", _COUNTED, primary_key=True, autoincrement=True),
        _given("partition", sa.Integer()),
        *_texts(_LONG, "topic"),
        _given("value", sa.LargeBinary()),
    )
    op.create_index("watch_outgoing_partition", "watch_outgoing", ["partition", "number"])
