"""A fresh database for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from hub.adapters.sql.engine import open_engine, sqlite_url


@pytest.fixture
def engine(tmp_path: Path, empty_database: Path) -> Iterator[Engine]:
    """A SQLite file with all tables."""
    engine = open_engine(sqlite_url(shutil.copy(empty_database, tmp_path / "cases.db")))
    yield engine
    engine.dispose()
