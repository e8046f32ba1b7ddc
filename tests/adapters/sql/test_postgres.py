from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from hub.adapters.sql.case_reading import cases_by_prefix, waiting_cases
from hub.adapters.sql.case_store import CaseStore
from hub.adapters.sql.engine import database_exists, open_engine, reading, sqlite_url, transaction, upgrade
from hub.adapters.sql.tables import METADATA
from hub.adapters.sql.watch_store import WatchStore
from hub.core.emission import Chains, Emission
from hub.core.records import Outgoing
from hub.core.shard import Numbered
from hub.core.timekeeping import raise_due
from hub.core.timekeeping import watch as watch_entry
from hub.core.topics import LEDGER
from hub.errors import Unreachable, UsageError

pytestmark = pytest.mark.slow
HOUR_MS = 3600 * 1000
ROUTER = "router-shard-0"


def _program(name: str) -> str | None:
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(debian[-1]) if debian else shutil.which(name)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of an empty PostgreSQL of our own, on 127.0.0.1."""
    initdb, postgres = _program("initdb"), _program("postgres")
    if initdb is None or postgres is None:
        pytest.skip("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    pytest.importorskip("psycopg", reason="the driver is in the extra: comity-hub[postgres]")
    user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="comity-pg-"))
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"
    subprocess.run([initdb, "-D", data, "-U", "comity", "-A", "trust", "-E", "UTF8", "--no-sync"], user=user, check=True,
                   capture_output=True, cwd=folder)  # fmt: skip
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder, "-F"]
    running = subprocess.Popen([postgres, *options], user=user, cwd=folder, stderr=subprocess.DEVNULL)
    url = f"postgresql+psycopg://comity@127.0.0.1:{port}/postgres"
    try:
        _wait(url, running)
        yield url
    finally:
        running.terminate()
        running.wait(20)
        shutil.rmtree(folder)


def _wait(url: str, running: subprocess.Popen[bytes]) -> None:
    engine = open_engine(url)
    for _ in range(100):
        try:
            with transaction(engine) as connection:
                connection.execute(text("SELECT 1"))
        except Unreachable:
            assert running.poll() is None
            try:
                running.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        break
    engine.dispose()


@pytest.fixture
def engine(server: str) -> Iterator[Engine]:
    """All tables, empty."""
    engine = open_engine(server)
    upgrade(engine)
    yield engine
    with transaction(engine) as connection:
        METADATA.drop_all(connection)
        connection.execute(text("DROP TABLE alembic_version"))
    engine.dispose()


def test_the_migrations_make_the_same_tables(server: str, engine: Engine):
    """Nothing is SQLite's own; a second upgrade changes nothing."""
    upgrade(engine)
    with transaction(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    reader = open_engine(server, read_only=True)
    assert database_exists(reader)
    with pytest.raises(Unreachable), transaction(reader) as connection:
        connection.execute(text("DELETE FROM case_heads"))
    reader.dispose()


def test_the_case_view_is_the_same_as_in_sqlite(engine: Engine, story, tmp_path: Path, empty_database: Path):
    """Byte for byte, whatever the database and its sort order."""
    from hub.core.cases import register

    def step(view, entry, partition):
        return register(view, entry, partition=partition, open_max=10)

    request = story.message("xa-moj>xb-pgo", "request", story.clock("start", due_in_ms=HOUR_MS))
    answer = story.message("xb-pgo>xa-moj", "response", irt=request)
    entries = [
        request,
        story.level("delivered", request),
        answer,
        story.level("refused", answer, why="cannot-decrypt"),
        story.message("xa-moj>xc-acc", "request", story.clock("start", due_in_ms=HOUR_MS), thread=2),
        story.message("xa-moj>xb-pgo", code="expired"),
    ]
    records = [story.record(ROUTER, n, entry) for n, entry in enumerate(entries, start=1)]
    sqlite = open_engine(sqlite_url(Path(shutil.copy(empty_database, tmp_path / "cases.db"))))
    for store in (CaseStore(engine), CaseStore(sqlite)):
        store.apply(records[:3], step)
        store.apply(records[2:], step)
    assert list(CaseStore(engine).export()) == list(CaseStore(sqlite).export())
    with transaction(engine) as connection:
        assert len(list(waiting_cases(connection))) == 2
        assert len(cases_by_prefix(connection, "0", 10)) == 2
    assert CaseStore(engine).overdue_counts(story.now_ms + 2 * HOUR_MS) == {
        ("xb-pgo", "reply"): 1,
        ("xc-acc", "reply"): 1,
    }
    sqlite.dispose()


def test_the_watch_raises_and_stores_there_too(engine: Engine, story):
    """Once, numbered, and kept until it was sent."""
    request = story.message("xa-moj>xb-pgo", "request", story.clock("start", due_in_ms=HOUR_MS))
    store = WatchStore(engine, warn_percents=(50,))
    store.apply(
        [story.record(ROUTER, 1, request)],
        lambda view, entry, partition: watch_entry(view, entry, partition=partition, open_max=10),
    )
    now_ms = story.now_ms + 2 * HOUR_MS

    def emit(_partition, claims, chains: Chains) -> Emission:
        states = {"inbox.xb-pgo": Numbered(len(claims), None)}
        record = Outgoing(LEDGER, None, b"signed")
        return Emission((record,), Chains(chains.ledger_n + 1, Numbered(1, None), states))

    def due(clock):
        return raise_due(clock, now_ms=now_ms, warn_percents=(50,))

    assert store.due_partitions([0, 1], now_ms) == [0]
    assert [store.fire(0, now_ms=now_ms, due=due, emit=emit) for _ in range(2)] == [1, 0]
    (stored,) = store.outgoing([0], 10)
    assert stored.record.value == b"signed"
    store.sent([stored.number])
    assert (store.outgoing([0], 10), store.due_partitions([0], now_ms)) == ([], [])


def test_who_reads_sees_one_state(engine: Engine):
    """Offsets and cases of a fingerprint belong together, whatever is committed meanwhile."""
    query = text("SELECT count(*) FROM case_partitions")
    with reading(engine) as connection:
        before = connection.execute(query).scalar()
        with transaction(engine) as other:
            other.execute(text("INSERT INTO case_partitions VALUES (0, 0)"))
        assert (before, connection.execute(query).scalar()) == (0, 0)
    with reading(engine) as connection:
        assert connection.execute(query).scalar() == 1


def test_a_server_that_is_not_there_is_unreachable():
    """Within seconds, in one sentence."""
    engine = open_engine("postgresql+psycopg://comity@127.0.0.1:9/postgres")
    with pytest.raises(Unreachable):
        upgrade(engine)


def test_a_missing_driver_is_a_usage_error():
    """The sentence names the setting."""
    with pytest.raises(UsageError, match="database_url"):
        open_engine("postgresql+pg8000://comity@127.0.0.1:9/postgres")
