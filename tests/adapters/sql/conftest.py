"""A fresh database for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from hub.adapters.sql.engine import open_engine, sqlite_url, upgrade


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A SQLite file with all tables."""
    engine = open_engine(sqlite_url(tmp_path / "cases.db"))
    upgrade(engine)
    yield engine
    engine.dispose()
