"""``python -m schemas.export``: what is written from the program itself, so that no document can differ from it.

The JSON Schemas in ``schemas/v1`` come from the wire models, ``docs/lifecycles.md`` from the tables of the core. Commit
them with what changed them. The test vectors are made apart, since each run draws new keys: ``python -m schemas.generator``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from hub.wire.schema import export
from schemas.lifecycles import render

FOLDER: Final = Path(__file__).parent / "v1"
DOCS: Final = Path(__file__).parents[1] / "docs"


def files() -> dict[Path, str]:
    """The text of each schema file, by its path."""
    return {
        FOLDER / f"{name}.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in export().items()
    }


def documents() -> dict[Path, str]:
    """The text of each document that is written from a table, by its path."""
    return {DOCS / "lifecycles.md": render()}


def main() -> None:
    """Write them all."""
    for path, text in {**files(), **documents()}.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
