"""The command as a whole: each part is found by its name, and a process imports no other part."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from connectors.cli import COMMAND_MODULES as OF_CONNECTORS
from hub.cli.app import COMMAND_MODULES, build_app

NAMES = list(dict.fromkeys([*COMMAND_MODULES, *OF_CONNECTORS]))


def names(wanted: str | None) -> list[str]:
    """What the command offers."""
    return list(typer.main.get_command(build_app(wanted)).commands)


@pytest.mark.parametrize("name", NAMES)
def test_a_part_alone_is_the_same_as_in_the_whole(name: str) -> None:
    """A command or group that is asked for is there, with all that belongs to it."""
    whole, part = (typer.main.get_command(build_app(wanted)).commands[name] for wanted in (None, name))
    assert list(getattr(part, "commands", ())) == list(getattr(whole, "commands", ()))
    assert [each.name for each in part.params] == [each.name for each in whole.params]


@pytest.mark.parametrize("unknown", [None, "serv", ""])
def test_an_unknown_command_gets_the_whole(unknown: str | None) -> None:
    """So that the help is whole, and a mistake meets a suggestion."""
    assert set(names(unknown)) == set(NAMES)


def test_a_router_imports_no_library_of_others() -> None:
    """A router that starts again waits for its own libraries only: neither SQL, nor Faust, nor the administration's."""
    code = (
        "import sys; from hub.cli.app import build_app; build_app('serve'); import hub.bootstrap; print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(run.stdout.split())
    assert imported >= {"aiokafka", "hub.streams.router"}
    assert not imported & {"sqlalchemy", "alembic", "faust", "kafka.admin", "connectors.bootstrap"}
