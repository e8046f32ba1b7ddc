"""``comity serve``: usage that cannot work is told before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.cli.app import build_app
from hub.errors import UsageError


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine's reaches a test."""
    for name in ("COMITY_HOME", "COMITY_BOOTSTRAP_SERVER", "COMITY_COMMAND_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def serve(*arguments: str) -> None:
    """Run the command in this process; its error is raised."""
    result = CliRunner().invoke(build_app(), ["serve", *arguments])
    if result.exception is not None:
        raise result.exception


@pytest.mark.parametrize("option", [("--health-port", "1"), ("--command-config", "client.properties")])
def test_all_takes_no_option_of_one_process(tmp_path: Path, option: tuple[str, str]) -> None:
    """Three processes cannot share a port or a principal's files."""
    with pytest.raises(UsageError, match="option-per-process"):
        serve("all", "--home", str(tmp_path), *option)


def test_without_a_broker_the_router_says_what_to_do(tmp_path: Path) -> None:
    """No local broker and no address: the sentence names both ways out."""
    with pytest.raises(UsageError, match="comity broker start"):
        serve("router", "--home", str(tmp_path))


def test_wrong_setting_is_usage(tmp_path: Path) -> None:
    """A log level that does not exist is named."""
    with pytest.raises(UsageError, match="log_level"):
        serve("router", "--home", str(tmp_path), "--log-level", "loud")
