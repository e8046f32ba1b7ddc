"""Opening the database and bringing its tables up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.runtime.migration import RevisionStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError as UrlError
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import NoSuchModuleError as DriverMissing

from hub.errors import Unreachable, UsageError, VerificationFailed

__all__ = ["Connection", "Engine", "database_exists", "open_engine", "reading", "sqlite_url", "transaction", "upgrade"]

SQLITE_WAIT_SECONDS: Final = 30.0  # another process writes: its transactions last milliseconds, a backup's seconds
SQLITE_CACHE_KIB: Final = 32 * 1024  # ids are random: a batch touches pages all over its indexes
CONNECT_SECONDS_MAX: Final = 10
_MIGRATION_LOCK: Final = 7_236_021_001  # any number, the same for all processes of a deployment


def open_engine(url: str, *, read_only: bool = False) -> Engine:
    """An engine on ``url`` (``sqlite:////path/cases.db``, ``postgresql+psycopg://...``). Connects to nothing yet.

    SQLite: write-ahead log, synchronous FULL, and the write lock is taken when a transaction begins, so that what it
    reads cannot change under it; only ``reading`` takes no lock. Raises ``UsageError``.
    """
    try:
        parsed = make_url(url)
        sqlite = parsed.get_backend_name() == "sqlite"
        arguments: dict[str, Any] = {"timeout": SQLITE_WAIT_SECONDS} if sqlite else {}
        if parsed.get_backend_name() == "postgresql":
            arguments = {"connect_timeout": CONNECT_SECONDS_MAX}
        # hide_parameters: an error's text must not carry rows into a log.
        engine = create_engine(parsed, connect_args=arguments, hide_parameters=True, pool_pre_ping=not sqlite)
    except (UrlError, DriverMissing, ModuleNotFoundError) as error:
        raise UsageError(
            "database-url", "The database URL names no known database; see database_url in the settings."
        ) from error
    if sqlite:
        _prepare_sqlite(engine, read_only=read_only)
    elif read_only:
        engine = engine.execution_options(postgresql_readonly=True)
    return engine


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{path.absolute()}"


def database_exists(engine: Engine) -> bool:
    """Whether the tables are there, without creating a file. Raises ``Unreachable``."""
    url = engine.url
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).is_file():
        return False
    with transaction(engine) as connection:
        return inspect(connection).has_table("case_heads")


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction; the database's own errors become ours. Raises ``Unreachable``, ``VerificationFailed``."""
    with _own_errors(), engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One transaction that only reads, from one state of the database: it waits for no writer. Raises ``Unreachable``."""
    options: dict[str, Any] = {"reading": True}
    if engine.dialect.name == "postgresql":
        options["isolation_level"] = "REPEATABLE READ"  # else each statement would see another state
    with _own_errors(), engine.connect() as connection, connection.execution_options(**options).begin():
        yield connection


@contextmanager
def _own_errors() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise VerificationFailed(
            "database-conflict", "The database holds a row already that should be new; two processes do the same work."
        ) from error
    except DBAPIError as error:
        raise Unreachable(
            "database-unreachable", f"The database does not answer or refuses ({type(error.orig).__name__})."
        ) from error
    except SQLAlchemyError as error:
        raise Unreachable("database-unreachable", f"The database cannot be used ({type(error).__name__}).") from error


def upgrade(engine: Engine) -> None:
    """Bring the tables up to date; several processes may do so at once. Raises ``Unreachable``, ``VerificationFailed``."""
    script = ScriptDirectory(_versions(), version_locations=[_versions()])

    def steps(revision: str, _context: MigrationContext) -> Sequence[RevisionStep]:
        return script._upgrade_revs("head", revision)  # noqa: SLF001 (as alembic.command does; the public way runs a script on import)

    with transaction(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        context = MigrationContext.configure(connection, opts={"fn": steps, "script": script})
        known = {revision.revision for revision in script.walk_revisions()}
        if not set(context.get_current_heads()) <= known:
            raise VerificationFailed(
                "database-newer", "The database was made by a newer version of Comity; install that version."
            )
        with Operations.context(context):
            context.run_migrations()


def _versions() -> str:
    return str(files("hub.adapters.sql") / "versions")


def _prepare_sqlite(engine: Engine, *, read_only: bool) -> None:
    @event.listens_for(engine, "connect")
    def connected(raw: sqlite3.Connection, _record: object) -> None:
        raw.isolation_level = None  # the driver's own BEGIN would come late; ours is below
        cursor = raw.cursor()
        cursor.execute(f"PRAGMA cache_size = -{SQLITE_CACHE_KIB}")
        if read_only:
            cursor.execute("PRAGMA query_only = ON")
        else:
            cursor.execute("PRAGMA journal_mode = WAL")
            cursor.execute("PRAGMA synchronous = FULL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def began(connection: Connection) -> None:
        only_reads = read_only or connection.get_execution_options().get("reading", False)
        connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")
