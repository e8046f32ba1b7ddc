"""What every test may ask for: the public test vectors, read where they lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of public test vectors: ``COMITY_VECTORS``, else ``shared/vectors`` beside the repository."""
    folder = Path(os.environ.get("COMITY_VECTORS", ROOT.parent / "shared" / "vectors"))
    if not folder.is_dir():
        pytest.skip(f"the public test vectors are not at {folder}; set COMITY_VECTORS to their folder")
    return folder
