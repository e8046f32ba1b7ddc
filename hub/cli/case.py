"""``comity case list|show|waiting|overdue``: the registrar's case view, read-only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from hub.adapters.clock import SystemClock
from hub.adapters.sql.case_reading import cases_by_prefix, latest_cases, waiting_cases
from hub.adapters.sql.engine import Connection, database_exists, open_engine, sqlite_url, transaction
from hub.cli.app import Groups
from hub.cli.case_rows import (
    LIST_COLUMNS,
    MESSAGE_COLUMNS,
    OVERDUE_COLUMNS,
    TIMELINE_COLUMNS,
    WAITING_COLUMNS,
    list_row,
    overdue_rows,
    short_case,
    timeline_rows,
    waiting_rows,
)
from hub.cli.options import DEFAULT_HOME, HomeFolder, Output, OutputFormat
from hub.cli.output import emit, emit_one, say
from hub.core.case_document import case_document
from hub.core.cases import Case
from hub.core.ids import authority_id
from hub.errors import Refused, UsageError
from hub.settings import load_settings

FINDINGS: Final = 1
LIST_MAX: Final = 100
_PREFIX: Final = re.compile(r"[0-9a-f]{1,32}\Z")

CaseId = Annotated[str, typer.Argument(metavar="ID", help="A case, or its first digits.")]
Party = Annotated[
    str | None, typer.Option("--party", help="One of the two authorities, where a case has several pairs of them.")
]
Timeline = Annotated[bool, typer.Option("--timeline", help="Everything that happened, in the order of the log.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many cases, the latest first.")]


_EPILOG_LIST: Final = (
    "Example: comity case list -o json. Exit codes: 0 ok; 2 there is no case view yet; 3 the database does not answer."
)
_EPILOG_SHOW: Final = (
    "Example: comity case show 4f1c --timeline. Exit codes: 0 ok; 2 no such case, or several; 3 the database does not"
    " answer."
)
_EPILOG_WAITING: Final = (
    "Example: comity case waiting -o csv. Exit codes: 0 ok; 2 there is no case view yet; 3 the database does not"
    " answer."
)
_EPILOG_OVERDUE: Final = (
    "Example: comity case overdue -o json. Exit codes: 0 nothing is overdue; 1 something is; 2 there is no case view yet;"
    " 3 the database does not answer."
)


def register(app: typer.Typer, groups: Groups) -> None:  # noqa: ARG001 (every command module has this shape)
    """Add the commands."""
    group = groups["case"]
    group.command(name="list", epilog=_EPILOG_LIST)(list_cases)
    group.command(epilog=_EPILOG_SHOW)(show)
    group.command(epilog=_EPILOG_WAITING)(waiting)
    group.command(epilog=_EPILOG_OVERDUE)(overdue)


def list_cases(
    *, home: HomeFolder = DEFAULT_HOME, limit: Limit = LIST_MAX, output: Output = OutputFormat.TABLE
) -> None:
    """List the cases in which something happened last."""
    with _case_view(home) as connection:
        found = latest_cases(connection, limit + 1)
    rows = [list_row(case, SystemClock().now_ms()) for case in found[:limit]]
    _emit(rows, LIST_COLUMNS, output)
    if len(found) > limit:
        say(f"There are more than {limit} cases; ask for more with --limit.")


def show(
    case: CaseId,
    *,
    timeline: Timeline = False,
    party: Party = None,
    home: HomeFolder = DEFAULT_HOME,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Show one case: its messages with their levels, its clocks and flags."""
    with _case_view(home) as connection:
        found = _one(cases_by_prefix(connection, _prefix(case), 1000), party)
    if timeline:
        _emit(timeline_rows(found), TIMELINE_COLUMNS, output)
    elif output in {OutputFormat.JSON, OutputFormat.JSONL}:
        emit_one(case_document(found), output)
    else:
        _show(found, output)


def waiting(*, home: HomeFolder = DEFAULT_HOME, output: Output = OutputFormat.TABLE) -> None:
    """Who waits on whom, until when: every open clock, the next due first."""
    with _case_view(home) as connection:
        rows = waiting_rows(waiting_cases(connection), SystemClock().now_ms())
    _emit(rows, WAITING_COLUMNS, output)


def overdue(*, home: HomeFolder = DEFAULT_HOME, output: Output = OutputFormat.TABLE) -> None:
    """Which replies are overdue, since when, and when both sides were told."""
    now_ms = SystemClock().now_ms()
    with _case_view(home) as connection:
        rows = overdue_rows(waiting_cases(connection, due_before_ms=now_ms), now_ms)
    _emit(rows, OVERDUE_COLUMNS, output)
    if rows:
        raise typer.Exit(FINDINGS)


@contextmanager
def _case_view(home: Path) -> Iterator[Connection]:
    """The case view, read-only. Raises ``UsageError`` when there is none yet."""
    settings = load_settings(home=home)
    engine = open_engine(settings.database_url or sqlite_url(settings.folder.case_database), read_only=True)
    try:
        if not database_exists(engine):
            raise UsageError(
                "case-view-missing",
                f"There is no case view of {home} yet; start its registrar with: comity serve registrar.",
            )
        with transaction(engine) as connection:
            yield connection
    finally:
        engine.dispose()


def _prefix(text: str) -> str:
    prefix = text.strip().lower()
    if _PREFIX.match(prefix) is None:
        raise UsageError("case-id", "A case is named by up to 32 hexadecimal digits; see comity case list.")
    return prefix


def _one(found: Sequence[Case], party: str | None) -> Case:
    if party is not None:
        try:
            wanted = authority_id(party)
        except Refused as error:
            raise UsageError("party", f"--party: {error.sentence}") from error
        found = [case for case in found if wanted in case.head.key.parties]
    if not found:
        raise UsageError("case-unknown", "There is no such case; see comity case list.")
    if len(found) > 1:
        several = "give more digits" if len({case.head.key.thread for case in found}) > 1 else "choose with --party"
        raise UsageError("case-ambiguous", f"{len(found)} cases begin with these digits; {several}.")
    return found[0]


def _show(case: Case, output: OutputFormat) -> None:
    document = case_document(case)
    if output is OutputFormat.TABLE:
        head = {name: document[name] for name in ("case", "opened", "updated")}
        emit_one(head | {"parties": " ".join(document["parties"])}, output)
    _emit(document["messages"], MESSAGE_COLUMNS, output)
    if output is OutputFormat.TABLE and document["clocks"]:
        emit(document["clocks"], ("kind", "waits", "owes", "state", "due", "stopped", "met", "id"), output)


def _emit(rows: list[dict[str, Any]], columns: Sequence[str], output: OutputFormat) -> None:
    shown = [short_case(row) for row in rows] if output is OutputFormat.TABLE else rows
    if output is OutputFormat.CSV:
        columns = [f"{name}_seconds" if name in {"left", "since"} else name for name in columns]
    emit(shown, columns, output)
