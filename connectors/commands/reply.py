"""``comity ack`` and ``comity answer``: reply to a received message, and stop the clocks that it started."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import Annotated, Any

import typer

from connectors.bootstrap import State
from connectors.commands.state import (
    AsOption,
    Files,
    HomeOption,
    IdOption,
    JsonFlag,
    StateOption,
    Timeout,
    Wait,
    WaitLevel,
    hand_over,
    new_hand_in,
    open_state,
    read_document,
    stop_clocks,
)
from connectors.folder.desk import Desk
from hub.adapters.clock import SystemClock
from hub.cli.app import Groups
from hub.cli.options import Output, OutputFormat
from hub.cli.output import emit_one
from hub.core.ids import AuthorityId, MessageId
from hub.core.manifest import ClockKind, MessageType
from hub.core.times import format_time
from hub.errors import UsageError

MessageArgument = Annotated[str, typer.Argument(metavar="ID", help="A message of comity inbox, or its first digits.")]


def register(app: typer.Typer, groups: Groups) -> None:  # noqa: ARG001 (every command module has this shape)
    """Add the commands."""
    app.command(
        epilog="Example: comity ack 0198c1 --as xb-pgo --reference INT-7 --unit 'International cooperation' --estimate "
        "2026-12-20. Exit codes: 0 handed in, or level reached; 2 a wrong option or document; 3 the level was not "
        "reached in time; 5 refused."
    )(ack)
    app.command(
        epilog="Example: comity answer 0198c1 --as xb-pgo --document answer.json --file records.pdf. Exit codes: 0 "
        "handed in, or level reached; 2 a wrong option, file or document; 3 the level was not reached in time; 5 refused."
    )(answer)


def ack(  # noqa: PLR0917 (Typer passes options by name)
    message: MessageArgument,
    document: Annotated[
        Path | None, typer.Option("--document", help="The acknowledgement as JSON, in place of the options below.")
    ] = None,
    reference: Annotated[str | None, typer.Option("--reference", help="Your file number.")] = None,
    unit: Annotated[str | None, typer.Option("--unit", help="The unit that handles the request.")] = None,
    estimate: Annotated[
        str | None, typer.Option("--estimate", help="Estimated date of the answer: 2026-12-20.")
    ] = None,
    update_days: Annotated[
        int | None, typer.Option("--update-days", min=1, max=366, help="Without an estimate: how often you report.")
    ] = None,
    incomplete: Annotated[bool, typer.Option("--incomplete", help="The request lacks something.")] = False,
    hand_in_id: IdOption = None,
    wait: Wait = None,
    timeout: Timeout = 60.0,
    as_: AsOption = None,
    state: StateOption = None,
    home: HomeOption = None,
    output: Output = OutputFormat.TABLE,
    json: JsonFlag = False,
) -> None:
    """Acknowledge a request as the authority, with an estimated date or how often you report. Stops its ack clock."""
    opened = open_state(state, as_, home)
    received = dict(Desk(opened.exchange).message(message))
    if document is not None:
        content = read_document(document)
    else:
        content = _acknowledgement(received, reference, unit, estimate, update_days, complete=not incomplete)
    row = _reply(
        opened,
        received,
        key=hand_in_id,
        message_type=MessageType.ACK,
        content=content,
        kinds=frozenset({ClockKind.ACK}),
        files=[],
        wait=wait,
        timeout=timeout,
    )
    emit_one(row, OutputFormat.JSON if json else output)


def answer(  # noqa: PLR0917 (the same)
    message: MessageArgument,
    document: Annotated[Path, typer.Option("--document", help="The answer as JSON: mla.executed or mla.refused.")],
    file: Files = None,
    hand_in_id: IdOption = None,
    wait: Wait = None,
    timeout: Timeout = 60.0,
    as_: AsOption = None,
    state: StateOption = None,
    home: HomeOption = None,
    output: Output = OutputFormat.TABLE,
    json: JsonFlag = False,
) -> None:
    """Answer a request: results, or a refusal with reasons. Stops its reply clock, and its ack clock if that still runs."""
    opened = open_state(state, as_, home)
    desk = Desk(opened.exchange)
    received = dict(desk.message(message))
    kinds = {ClockKind.REPLY}
    if MessageType.ACK.value not in desk.replies(received["id"]):
        kinds.add(ClockKind.ACK)
    row = _reply(
        opened,
        received,
        key=hand_in_id,
        message_type=MessageType.RESPONSE,
        content=read_document(document),
        kinds=frozenset(kinds),
        files=file or [],
        wait=wait,
        timeout=timeout,
    )
    emit_one(row, OutputFormat.JSON if json else output)


def _reply(
    state: State,
    received: dict[str, Any],
    *,
    key: str | None,
    message_type: MessageType,
    content: bytes,
    kinds: frozenset[ClockKind],
    files: list[Path],
    wait: WaitLevel | None,
    timeout: float,
) -> dict[str, Any]:
    if received["type"] != MessageType.REQUEST.value:
        raise UsageError(
            "not-a-request", f"{received['id']} is no request; only a request is acknowledged or answered."
        )
    hand_in = new_hand_in(
        state,
        key=key,
        message_type=message_type,
        recipient=AuthorityId(received["from"]),
        document=content,
        clocks=stop_clocks(received, kinds),
        in_reply_to=MessageId(received["id"]),
    )
    return hand_over(state, hand_in, files, wait=wait, timeout=timeout)


def _acknowledgement(
    received: dict[str, Any],
    reference: str | None,
    unit: str | None,
    estimate: str | None,
    update_days: int | None,
    *,
    complete: bool,
) -> bytes:
    if reference is None or unit is None or (estimate is None and update_days is None):
        raise UsageError(
            "acknowledgement-incomplete",
            "Give --reference, --unit and --estimate or --update-days; or the whole acknowledgement with --document.",
        )
    document = {
        "event": "mla.acknowledged",
        "version": 1,
        "legal_basis": received["document"]["legal_basis"],
        "occurred_at": format_time(SystemClock().now_ms()),
        "reference": reference,
        "handling_unit": {"name": unit, "contact": None},
        "received_on": received["accepted"][:10],
        "complete": complete,
        "estimated_response_date": estimate,
        "update_frequency_days": update_days,
    }
    return json_text.dumps(document, ensure_ascii=False).encode()
