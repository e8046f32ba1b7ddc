"""``python -m schemas.generator``: makes all vectors anew, with new keys. Commit them with what made them change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

from schemas.generator.chain_cases import chain_cases
from schemas.generator.envelope_cases import envelope_cases
from schemas.generator.opening_cases import opening_cases
from schemas.generator.receipt_cases import receipt_cases
from schemas.generator.trust_cases import trust_cases
from schemas.generator.world import make_world, world_json

FOLDER: Final = Path(__file__).parents[1] / "vectors"


def main() -> None:
    """Write ``schemas/vectors``."""
    world = make_world()
    areas = {
        "envelope": envelope_cases(world),
        "opening": opening_cases(world),
        "receipts": receipt_cases(world),
        "trust": trust_cases(world),
        "chain": chain_cases(),
    }
    for area, cases in areas.items():
        shutil.rmtree(FOLDER / area, ignore_errors=True)
        for case in cases:
            case.write(area, FOLDER)
    (FOLDER / "world.json").write_text(json.dumps(world_json(world), indent=1) + "\n")


if __name__ == "__main__":
    main()
