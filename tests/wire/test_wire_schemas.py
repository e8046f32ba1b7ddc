"""The committed schemas are those of the models."""

from __future__ import annotations

from schemas.export import FOLDER, files


def test_committed_schemas_are_exported_ones() -> None:
    """``schemas/v1`` holds exactly what ``python -m schemas.export`` writes."""
    assert {path: path.read_text() for path in FOLDER.glob("*.json")} == files()
