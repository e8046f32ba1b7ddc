"""Commands that need keys: found through the entry-point group ``comity.commands``, so that the hub imports no connector."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import typer

    from hub.cli.app import Groups

COMMAND_MODULES: Final[tuple[str, ...]] = (
    "connectors.demo.command",
    "connectors.commands.authority",
    "connectors.commands.connector",
    "connectors.commands.send",
    "connectors.commands.inbox",
    "connectors.commands.reply",
    "connectors.bench.router",
    "connectors.bench.end_to_end",
    "connectors.bench.start",
    "connectors.bench.watch",
)
"""Modules with a command each, in the order of the help text."""


def register(app: typer.Typer, groups: Groups) -> None:
    """Add the connectors' commands."""
    for name in COMMAND_MODULES:
        importlib.import_module(name).register(app, groups)
