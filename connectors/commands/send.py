"""``comity send``: hand in a request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connectors.commands.state import (
    AsOption,
    Files,
    HomeOption,
    IdOption,
    JsonFlag,
    StateOption,
    Timeout,
    Wait,
    hand_over,
    new_hand_in,
    open_state,
    read_document,
    start_clock,
)
from hub.cli.app import Groups
from hub.cli.options import Output, OutputFormat
from hub.cli.output import emit_one
from hub.core.ids import authority_id
from hub.core.manifest import ClockKind, MessageType, Priority
from hub.errors import Refused, UsageError


def register(app: typer.Typer, groups: Groups) -> None:  # noqa: ARG001 (every command module has this shape)
    """Add the command."""
    app.command(
        epilog="Example: comity send --as xa-moj --to xb-pgo --document request.json --file evidence.pdf --reply-by "
        "2026-12-24T23:00:00Z --wait delivered. Exit codes: 0 handed in, or level reached; 2 a wrong option, file or "
        "document; 3 the level was not reached in time; 5 refused."
    )(send)


def send(  # noqa: PLR0917 (Typer passes options by name)
    to: Annotated[str, typer.Option("--to", help="The authority that is asked: xb-pgo.")],
    document: Annotated[Path, typer.Option("--document", help="The request, JSON with the contents of UNCAC 46(15).")],
    file: Files = None,
    reply_by: Annotated[
        str | None, typer.Option("--reply-by", help="When the answer is due: 2026-12-24T23:00:00Z.")
    ] = None,
    acknowledge_by: Annotated[
        str | None, typer.Option("--acknowledge-by", help="When the authority's acknowledgement is due.")
    ] = None,
    urgent: Annotated[bool, typer.Option("--urgent", help="A hint to operators.")] = False,
    hand_in_id: IdOption = None,
    wait: Wait = None,
    timeout: Timeout = 60.0,
    as_: AsOption = None,
    state: StateOption = None,
    home: HomeOption = None,
    output: Output = OutputFormat.TABLE,
    json: JsonFlag = False,
) -> None:
    """Hand in a request for assistance. The connector seals and sends it; acks/ and failed/ tell what became of it."""
    opened = open_state(state, as_, home)
    try:
        recipient = authority_id(to)
    except Refused as error:
        raise UsageError("authority-malformed", f"--to {to!r} is no authority id such as xb-pgo.") from error
    clocks = start_clock(ClockKind.ACK, acknowledge_by, "--acknowledge-by")
    clocks += start_clock(ClockKind.REPLY, reply_by, "--reply-by")
    hand_in = new_hand_in(
        opened,
        key=hand_in_id,
        message_type=MessageType.REQUEST,
        recipient=recipient,
        document=read_document(document),
        clocks=clocks,
        priority=Priority.URGENT if urgent else Priority.NORMAL,
    )
    row = hand_over(opened, hand_in, file or [], wait=wait, timeout=timeout)
    emit_one(row, OutputFormat.JSON if json else output)
