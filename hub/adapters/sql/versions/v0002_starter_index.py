"""Clocks by the message that started them: the index begins with the message, whose ids rise with time."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both indexes anew."""
    for table in ("case_clocks", "watch_clocks"):
        op.drop_index(f"{table}_starter", table)
        op.create_index(f"{table}_starter", table, ["starter", "thread"])
