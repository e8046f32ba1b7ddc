"""The import contracts hold, and each catches a violation that is planted in a copy of the tree."""

from __future__ import annotations

import re
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


HEADING = re.compile(r"^(.+)\n-+$", re.MULTILINE)  # a contract's name, underlined


def contracts() -> dict[str, str]:
    """All contracts in ``pyproject.toml``: id and name."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return {contract["id"]: contract["name"] for contract in settings["tool"]["importlinter"]["contracts"]}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the packages in ``folder``."""
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([program, "--no-logo", "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


def test_contracts_hold() -> None:
    """Every import in the tree keeps every contract."""
    run = lint(ROOT)
    assert run.returncode == 0, run.stdout


def test_every_contract_has_a_planted_violation() -> None:
    """A contract without a planted violation may be one that cannot fail."""
    assert set(PLANTED) == set(contracts())


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What import-linter says of each contract, by its name, in one copy of the tree with every violation planted."""
    folder = tmp_path_factory.mktemp("planted")
    for package in ("hub", "connectors"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name, line in PLANTED.values():
        module = folder / name
        before = module.read_text() if module.exists() else '"""Planted."""\n'
        module.write_text(before + line + "\n")
    run = lint(folder)
    assert run.returncode == 1, run.stdout + run.stderr
    sections = HEADING.split(run.stdout.partition("Broken contracts")[2])
    return dict(zip(sections[1::2], sections[2::2], strict=True))


@pytest.mark.parametrize("contract", sorted(PLANTED))
def test_planted_violation_is_caught(contract: str, broken: dict[str, str]) -> None:
    """The contract breaks at the one forbidden import that was planted for it."""
    name, line = PLANTED[contract]
    module, imported = name.removesuffix(".py").replace("/", "."), line.removeprefix("import ")
    if contract == "no-cycles":  # it speaks of siblings, by their last names
        module, imported = (f".{each.rpartition('.')[2]}" for each in (module, imported))
    assert f"{module} -> {imported} (" in broken[contracts()[contract]]
