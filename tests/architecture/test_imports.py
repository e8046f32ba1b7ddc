"""The import contracts hold, and each catches a violation that is planted in a copy of the tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# contract -> (module that is written anew or extended, the offending line)
PLANTED = {
    "hub-layers": ("hub/core/planted.py", "import hub.flow"),
    "connector-layers": ("connectors/ports.py", "import connectors.cli"),
    "core-pure": ("hub/core/planted.py", "import socket"),
    "decisions-pure": ("hub/envelope/planted.py", "import pathlib"),
    "hub-cannot-open": ("hub/adapters/planted.py", "import connectors.ports"),
    "seal-protected": ("connectors/folder/planted.py", "import connectors.seal"),
    "faust-protected": ("hub/adapters/planted.py", "import faust"),
    "kafka-protected": ("connectors/gateway/planted.py", "import aiokafka"),
    "pydantic-protected": ("hub/core/planted.py", "import pydantic"),
    "cryptography-protected": ("hub/adapters/planted.py", "import cryptography"),
    "sql-protected": ("hub/streams/planted.py", "import sqlalchemy"),
    "cli-protected": ("hub/streams/planted.py", "import typer"),
    "connectors-outside": ("connectors/gateway/planted.py", "import hub.adapters.kafka"),
    "no-cycles": ("hub/errors.py", "import hub.core"),
}


def contracts() -> list[str]:
    """The ids of all contracts in ``pyproject.toml``."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [contract["id"] for contract in settings["tool"]["importlinter"]["contracts"]]


def lint(folder: Path, *contract: str) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the packages in ``folder``."""
    program = Path(sys.executable).with_name("lint-imports")
    chosen = [argument for name in contract for argument in ("--contract", name)]
    return subprocess.run(
        [program, "--no-logo", "--no-cache", *chosen], cwd=folder, capture_output=True, text=True, check=False
    )


def test_contracts_hold() -> None:
    """Every import in the tree keeps every contract."""
    run = lint(ROOT)
    assert run.returncode == 0, run.stdout


def test_every_contract_has_a_planted_violation() -> None:
    """A contract without a planted violation may be one that cannot fail."""
    assert set(PLANTED) == set(contracts())


@pytest.mark.parametrize("contract", sorted(PLANTED))
def test_planted_violation_is_caught(contract: str, tmp_path: Path) -> None:
    """The contract breaks when one forbidden import is added."""
    for package in ("hub", "connectors"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    name, line = PLANTED[contract]
    module = tmp_path / name
    before = module.read_text() if module.exists() else '"""Planted."""\n'
    module.write_text(before + line + "\n")
    run = lint(tmp_path, contract)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "BROKEN" in run.stdout
