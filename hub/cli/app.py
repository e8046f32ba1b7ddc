"""The command ``comity``: built from the hub's own modules and the entry points of ``comity.commands``."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Final

import typer

from hub.errors import ComityError

COMMAND_MODULES: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {
        "init": ("hub.cli.init",),
        "broker": ("hub.cli.broker",),
        "topics": ("hub.cli.topics",),
        "authority": ("hub.cli.authority",),
        "serve": ("hub.cli.serve",),
        "case": ("hub.cli.case", "hub.cli.rebuild"),
        "doctor": ("hub.cli.doctor",),
        "version": ("hub.cli.version",),
    }
)
"""Commands and groups in the order of the help text, and the modules that ``register`` them. The entry points have the same."""

EXIT_CODES: Final = """Exit codes: 0 ok; 1 findings (overdue, expired, a failed expectation); 2 usage or settings;
3 a broker or database cannot be reached; 4 not permitted; 5 verification failed or refused; 70 internal error."""

GROUP_HELP: Final[dict[str, str]] = {
    "broker": "A local Apache Kafka with TLS and access rules.",
    "topics": "Topics, settings and access rules of a cluster, from code.",
    "authority": "Authorities, their keys and the trust list.",
    "case": "Cases as the hub sees them: who waits on whom, since when. Metadata only.",
    "connector": "The gateway in a State's own house.",
    "bench": "How fast this machine does it, beside what the same work costs without the hub.",
}


class Groups:
    """The sub-commands' groups, made on first use, so that the hub and the connectors can share one."""

    def __init__(self, app: typer.Typer) -> None:
        self._app = app
        self._groups: dict[str, typer.Typer] = {}

    def __getitem__(self, name: str) -> typer.Typer:
        if name not in self._groups:
            group = typer.Typer(no_args_is_help=True, help=GROUP_HELP[name])
            self._app.add_typer(group, name=name)
            self._groups[name] = group
        return self._groups[name]


def build_app(wanted: str | None = None) -> typer.Typer:
    """The whole command, the connectors' parts included where they are installed; of a known ``wanted`` that part alone.

    The libraries of all commands take a second to import, for which a router that starts again should not wait.
    """
    app = typer.Typer(name="comity", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich")

    @app.callback(epilog=EXIT_CODES)
    def comity() -> None:
        """Comity: signed, sealed requests between the authorities of States, with receipts and clocks."""

    groups = Groups(app)
    tables = [COMMAND_MODULES, *(entry.load() for entry in entry_points(group="comity.commands"))]
    known = any(wanted in table for table in tables)
    rows = [row for table in tables for row in table.items()]
    modules = dict.fromkeys(each for command, names in rows if command == wanted or not known for each in names)
    for module in modules:
        importlib.import_module(module).register(app, groups)
    return app


def main() -> None:
    """Run ``comity``; every error ends as one sentence on standard error and a documented exit code."""
    # A library's own complaint beside our sentence would confuse; processes that serve set their logs up themselves.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        build_app(next((word for word in sys.argv[1:] if not word.startswith("-")), None))()
    except ComityError as error:
        sys.stderr.write(f"comity: {error.sentence} [{error.code}]\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the exit flush stays silent
        sys.exit(141)
    except Exception as error:  # noqa: BLE001 (the last net: a person sees a sentence, a developer the traceback)
        if os.getenv("COMITY_DEBUG"):
            traceback.print_exc()
        sys.stderr.write(
            f"comity: internal error ({type(error).__name__}); please report it with the output of COMITY_DEBUG=1 [internal]\n"
        )
        sys.exit(70)
