"""Settings: read once, frozen, and nothing unknown passes."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from hub.errors import UsageError
from hub.settings import PROCESSES, load_settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine's reaches a test."""
    import os

    for name in [name for name in os.environ if name.upper().startswith("COMITY_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder with an empty ``hub.toml``."""
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "hub.toml").write_text("")
    return tmp_path


def write(home: Path, text: str) -> None:
    """Put ``text`` into hub.toml."""
    (home / "hub" / "hub.toml").write_text(text)


def test_defaults_hold_without_any_file(tmp_path: Path) -> None:
    """A home folder without settings has the defaults that held under kills."""
    settings = load_settings(home=tmp_path)
    assert (settings.session_ms, settings.heartbeat_ms, settings.transaction_ms) == (6_000, 2_000, 10_000)
    assert tmp_path == settings.folder.root


def test_arguments_go_before_environment_before_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command's option wins over the environment, which wins over hub.toml."""
    write(home, "tick_ms = 100\nwarn_percents = [10, 20]\nlog_level = 'debug'\n")
    monkeypatch.setenv("COMITY_TICK_MS", "200")
    monkeypatch.setenv("COMITY_LOG_LEVEL", "error")
    settings = load_settings(home=home, log_level="warning", bootstrap_server=None)
    assert (
        settings.warn_percents,
        settings.tick_ms,
        settings.log_level,
        settings.bootstrap_server,
    ) == ((10, 20), 200, "warning", None)


def test_home_may_come_from_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """hub.toml is looked for in the home folder that the environment names."""
    write(home, "tick_ms = 100\n")
    monkeypatch.setenv("COMITY_HOME", str(home))
    assert load_settings().tick_ms == 100


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("unknown = 1\n", "setting-unknown"),
        ("tick_ms = 0\n", "setting-invalid"),
        ("tick_ms = 'secret'\n", "setting-invalid"),
        ("warn_percents = [80, 50]\n", "setting-invalid"),
        ("warn_percents = [100]\n", "setting-invalid"),
        ("tick_ms =\n", "setting-invalid"),
    ],
)
def test_file_is_strict(home: Path, text: str, code: str) -> None:
    """What hub.toml says wrongly is named, and its value is not repeated."""
    write(home, text)
    with pytest.raises(UsageError) as error:
        load_settings(home=home)
    assert code == error.value.code
    assert "secret" not in error.value.sentence


@pytest.mark.parametrize("name", ["COMITY_TICKMS", "comity_nonsense"])
def test_environment_is_strict(home: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A misspelt variable refuses to start instead of doing nothing."""
    monkeypatch.setenv(name, "1")
    with pytest.raises(UsageError, match="setting-unknown"):
        load_settings(home=home)


def test_unreadable_variable_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that is no JSON is a setting that is not valid."""
    monkeypatch.setenv("COMITY_WARN_PERCENTS", "fifty")
    with pytest.raises(UsageError, match="warn_percents") as error:
        load_settings(home=home)
    assert "fifty" not in error.value.sentence


def test_variables_of_others_are_left_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands and connectors read variables of the same prefix."""
    monkeypatch.setenv("COMITY_DEBUG", "1")
    monkeypatch.setenv("COMITY_CONNECTOR_HOME", "x")
    load_settings(home=home)


def test_settings_are_frozen_and_do_not_tell_the_database(home: Path) -> None:
    """Nobody changes a setting after the start; a database's password is in no repr."""
    settings = load_settings(home=home, database_url="postgresql://comity:hidden@db/comity")
    with pytest.raises(ValidationError):
        settings.tick_ms = 1  # type: ignore[misc]  # that is the point
    assert "hidden" not in repr(settings)


def test_each_process_has_its_port(home: Path) -> None:
    """The processes' health ports are settings of their own."""
    settings = load_settings(
        home=home, health_port_router=1, health_port_registrar=2, health_port_watch=3, health_port_directory=4
    )
    assert [settings.health_port(process) for process in PROCESSES] == [4, 1, 2, 3]
