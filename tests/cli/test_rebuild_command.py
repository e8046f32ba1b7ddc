"""``comity case rebuild``: exit codes and what it prints; the work itself is tested with the streams."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hub.cli import rebuild
from hub.cli.app import build_app
from hub.errors import UsageError


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch):
    """Let the command find this, instead of a broker."""

    def answers(identical: bool | None) -> None:
        async def found(_bus: Any, _into: Path, _live: Any) -> Mapping[str, Any]:
            return {"records": 3, "entries": 4, "identical": identical}

        monkeypatch.setattr(rebuild, "rebuilt", found)
        monkeypatch.setattr(rebuild, "client_config", lambda *_given, **_named: None)
        monkeypatch.setattr(rebuild, "KafkaBus", Closed)

    return answers


class Closed:
    """A bus that only closes. Stands for ``KafkaBus``."""

    def __init__(self, _config: Any, *, client_id: str) -> None:
        self.client_id = client_id

    async def close(self) -> None:
        """Nothing to let go."""


@pytest.mark.parametrize(("identical", "code"), [(True, 0), (None, 0), (False, 1)])
def test_the_exit_code_says_whether_the_views_are_the_same(answer, tmp_path: Path, identical: bool | None, code: int):
    """Without a registrar's view there is nothing to differ from."""
    answer(identical)
    arguments = ["case", "rebuild", "--home", str(tmp_path), "--into", str(tmp_path / "new.db"), "-o", "json"]
    result = CliRunner().invoke(build_app(), arguments)
    assert result.exit_code == code
    assert json.loads(result.stdout)["identical"] is identical


def test_no_file_is_overwritten(answer, tmp_path: Path):
    """Neither the registrar's own by mistake, nor an older audit's."""
    answer(True)
    (tmp_path / "old.db").touch()
    arguments = ["case", "rebuild", "--home", str(tmp_path), "--into", str(tmp_path / "old.db")]
    result = CliRunner().invoke(build_app(), arguments)
    assert isinstance(result.exception, UsageError)
