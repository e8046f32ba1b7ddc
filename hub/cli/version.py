"""``comity version``."""

from __future__ import annotations

import platform
from importlib.metadata import version as installed_version

import typer

from hub.cli.app import Groups
from hub.cli.options import Output, OutputFormat
from hub.cli.output import emit_one

_SHOWN = ("comity-hub", "aiokafka", "faust-streaming", "cryptography", "pydantic", "sqlalchemy")


def register(app: typer.Typer, groups: Groups) -> None:  # noqa: ARG001 (every command module has this shape)
    """Add the command."""

    @app.command(epilog="Example: comity version -o json")
    def version(output: Output = OutputFormat.TABLE) -> None:
        """Versions of Comity, Python and the libraries that matter to a report."""
        emit_one({"python": platform.python_version()} | {name: installed_version(name) for name in _SHOWN}, output)
