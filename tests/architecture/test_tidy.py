"""Rules 7 and 8 as a test: small files, small functions, no nameless drawers, no machine's paths."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
BANNED_NAMES = {"utils", "util", "helpers", "misc", "common", "base", "manager"}
BANNED_WORDS = re.compile(r"\b(TODO|FIXME|XXX)\b")
MACHINE_PATHS = re.compile(r"(?<![\w.-])/(work|root|home/\w+)/")


def tracked(*patterns: str) -> list[Path]:
    """Files that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


PYTHON = tracked("*.py")


def test_python_files_are_small_and_named() -> None:
    """A file has at most 400 lines, its functions at most 60, and its name says what it holds."""
    texts = {path: path.read_text() for path in PYTHON}
    assert [str(path) for path, text in texts.items() if text.count("\n") > FILE_LINES_MAX] == []
    assert [str(path) for path in texts if path.stem in BANNED_NAMES] == []
    long = [
        f"{path}: {node.name}: {lines} lines"
        for path, text in texts.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert long == []


def test_nothing_is_left_for_later() -> None:
    """No file holds a mark for unfinished work."""
    marked = [str(path) for path in PYTHON if path != Path(__file__) and BANNED_WORDS.search(path.read_text())]
    assert marked == []


def test_no_path_of_a_machine() -> None:
    """No text file names a folder of the machine that it was written on."""
    suffixes = {".py", ".md", ".toml", ".yaml", ".yml", ".json", ".sh", ".xml", ".txt", ""}
    texts = [p for p in tracked() if p.suffix in suffixes and p != Path(__file__) and p.is_file()]
    named = [str(path.relative_to(ROOT)) for path in texts if MACHINE_PATHS.search(path.read_text(errors="replace"))]
    assert named == []


def test_streams_send_nothing_from_agents() -> None:
    """No Faust agent decorator, no autodiscovery, no exactly_once anywhere (DESIGN decision 4)."""
    banned = re.compile(r"@app\.agent|autodiscover\s*=\s*True|exactly_once[\"']")
    found = [str(path) for path in tracked("hub/*.py", "connectors/*.py") if banned.search(path.read_text())]
    assert found == []
