"""``comity inbox``: what has come, one message whole, or what the hub said of clocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from connectors.commands.state import AsOption, HomeOption, JsonFlag, StateOption, open_state
from connectors.folder.desk import Desk
from hub.cli.app import Groups
from hub.cli.options import Output, OutputFormat
from hub.cli.output import emit, emit_one

MESSAGE_COLUMNS: Final = ("id", "from", "type", "event", "accepted", "reply_due", "files", "replied")
FLAG_COLUMNS: Final = ("time", "kind", "flag", "clock_kind", "waits", "owes", "due", "message", "hand_in", "id")


def register(app: typer.Typer, groups: Groups) -> None:  # noqa: ARG001 (every command module has this shape)
    """Add the command."""
    app.command(
        epilog="Example: comity inbox --as xb-pgo, then comity inbox 0198c1 --as xb-pgo -o json. Exit codes: 0 ok; 2 no "
        "such message or State."
    )(inbox)


def inbox(  # noqa: PLR0917 (Typer passes options by name)
    message: Annotated[str | None, typer.Argument(metavar="[ID]", help="A message's id, or its first digits.")] = None,
    flags: Annotated[bool, typer.Option("--flags", help="Warnings and overdue flags instead of messages.")] = False,
    as_: AsOption = None,
    state: StateOption = None,
    home: HomeOption = None,
    output: Output = OutputFormat.TABLE,
    json: JsonFlag = False,
) -> None:
    """List the messages that have come, oldest first, or show one with its document and files."""
    desk = Desk(open_state(state, as_, home).exchange)
    form = OutputFormat.JSON if json else output
    if message is not None:
        emit_one(desk.message(message), form)
    elif flags:
        emit([{key: flag.get(key) for key in FLAG_COLUMNS} for flag in desk.flags()], FLAG_COLUMNS, form)
    else:
        emit([_row(desk, each) for each in desk.messages()], MESSAGE_COLUMNS, form)


def _row(desk: Desk, message: Mapping[str, Any]) -> dict[str, Any]:
    due = [each["due"] for each in message["clocks"] if each["op"] == "start" and each["kind"] == "reply"]
    return {
        "id": message["id"],
        "from": message["from"],
        "type": message["type"],
        "event": (message["document"] or {}).get("event"),
        "accepted": message["accepted"],
        "reply_due": due[0] if due else None,
        "files": len(message["files"]),
        "replied": ", ".join(sorted(desk.replies(message["id"]))) or None,
    }
