from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from hub.adapters.sql.engine import database_exists, open_engine, reading, sqlite_url, transaction, upgrade
from hub.adapters.sql.tables import METADATA
from hub.errors import Unreachable, UsageError, VerificationFailed


def test_the_migrations_make_the_tables_that_the_code_uses(engine: Engine):
    """Nothing is missing, nothing is left over; a second upgrade changes nothing."""
    upgrade(engine)
    with transaction(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_sqlite_writes_ahead_and_syncs_fully(engine: Engine):
    """A power cut takes nothing that was committed."""
    with transaction(engine) as connection:
        journal = connection.execute(text("PRAGMA journal_mode")).scalar()
        synchronous = connection.execute(text("PRAGMA synchronous")).scalar()
    assert (journal, synchronous) == ("wal", 2)


def test_asking_for_a_database_does_not_make_one(tmp_path: Path):
    """A command that only reads leaves no empty file behind."""
    path = tmp_path / "none.db"
    engine = open_engine(sqlite_url(path), read_only=True)
    assert (database_exists(engine), path.exists()) == (False, False)


def test_a_read_only_engine_writes_nothing(engine: Engine, tmp_path: Path):
    """Not even by mistake."""
    reader = open_engine(sqlite_url(tmp_path / "cases.db"), read_only=True)
    assert database_exists(reader)
    with pytest.raises(Unreachable), transaction(reader) as connection:
        connection.execute(text("DELETE FROM case_heads"))
    reader.dispose()


def test_who_reads_waits_for_no_writer(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    """The registrar's backlog does not keep the watch from looking at its clocks; both see whole transactions only."""
    monkeypatch.setattr("hub.adapters.sql.engine.SQLITE_WAIT_SECONDS", 0.01)
    other = open_engine(str(engine.url))
    query = text("SELECT count(*) FROM case_partitions")
    with transaction(engine) as writer:
        writer.execute(text("INSERT INTO case_partitions VALUES (0, 0)"))
        with reading(other) as connection:
            assert connection.execute(query).scalar() == 0
        with pytest.raises(Unreachable), transaction(other):
            pass
    with reading(other) as connection:
        assert connection.execute(query).scalar() == 1
    other.dispose()


def test_a_newer_databases_tables_are_not_touched(engine: Engine):
    """An old program says so, rather than guess."""
    with transaction(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(VerificationFailed) as caught:
        upgrade(engine)
    assert caught.value.code == "database-newer"


@pytest.mark.parametrize("url", ["", "nonsense", "oracle9://x"])
def test_a_wrong_url_is_the_users_to_mend(url: str):
    """One sentence, no traceback."""
    with pytest.raises(UsageError):
        open_engine(url)


def test_a_database_that_does_not_answer_is_unreachable(tmp_path: Path):
    """The sentence names no row and no secret."""
    engine = open_engine(sqlite_url(tmp_path / "no-folder" / "cases.db"))
    with pytest.raises(Unreachable) as caught:
        upgrade(engine)
    assert caught.value.code == "database-unreachable"


def test_a_row_twice_is_a_conflict(engine: Engine):
    """Two processes that do the same work are found out by the database."""
    with pytest.raises(VerificationFailed) as caught, transaction(engine) as connection:
        connection.execute(text("INSERT INTO case_partitions VALUES (0, 0), (0, 0)"))
    assert caught.value.code == "database-conflict"
