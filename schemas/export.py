"""``python -m schemas.export``: writes ``schemas/v1/*.schema.json`` from the models. Commit them with what changed them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from hub.wire.schema import export

FOLDER: Final = Path(__file__).parent / "v1"


def files() -> dict[Path, str]:
    """The text of each schema file, by its path."""
    return {
        FOLDER / f"{name}.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in export().items()
    }


def main() -> None:
    """Write all schemas."""
    FOLDER.mkdir(exist_ok=True)
    for path, text in files().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
