"""What the State's commands share: finding the State's folder, handing in, waiting for a level."""

from __future__ import annotations

import difflib
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from connectors.bootstrap import State
from connectors.casework.documents import check_carried
from connectors.folder.desk import Desk
from connectors.ports import ClockWish, HandIn
from connectors.settings import load_settings
from hub.adapters.clock import SystemChance, SystemClock
from hub.adapters.files.home import Home, StateFolder
from hub.cli.options import DEFAULT_HOME
from hub.core.ids import AuthorityId, Digest, MessageId, authority_id, sha256, uuid7
from hub.core.limits import BODY_BYTES_MAX
from hub.core.manifest import ClockKind, ClockVerb, MessageType, Priority
from hub.core.times import format_time, parse_time
from hub.errors import Refused, Unreachable, UsageError

POLL_SECONDS: Final = 0.1
_UUID_RANDOM_BYTES: Final = 10

StateOption = Annotated[Path | None, typer.Option("--state", help="The State's own folder.")]
AsOption = Annotated[
    str | None, typer.Option("--as", help="The authority, when its folder lies in the home folder: xa-moj.")
]
HomeOption = Annotated[
    Path | None,
    typer.Option("--home", envvar="COMITY_HOME", help="Home folder of this deployment. Default: comity-home."),
]
IdOption = Annotated[
    str | None,
    typer.Option("--id", help="Name of the hand-in: the same name and content is sent once. Default: a new UUIDv7."),
]
Files = Annotated[list[Path] | None, typer.Option("--file", help="A file to attach, up to 1 GiB; may be repeated.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0, help="Seconds to wait with --wait.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="The same as -o json.")]


class WaitLevel(StrEnum):
    """What ``--wait`` can wait for."""

    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    OPENED = "opened"
    ACKNOWLEDGED = "acknowledged"
    ANSWERED = "answered"


Wait = Annotated[WaitLevel | None, typer.Option("--wait", help="Wait until the message has reached this level.")]


def open_state(state: Path | None, authority: str | None, home: Path | None, **settings: object) -> State:
    """The State's folder that the options name, with its settings.

    Raises ``UsageError``: ``state-unnamed``, ``state-missing``, ``authority-differs`` and as ``load_settings``.
    """
    root = state
    if root is None:
        if authority is None:
            raise UsageError("state-unnamed", "Name the State: --as xa-moj, or --state with its folder.")
        root = Home(home or DEFAULT_HOME).state(_authority(authority)).root
    if not root.is_dir():
        raise UsageError("state-missing", f"{root} is not there; enrol the authority first: comity authority enrol.")
    root = root.absolute()
    read = load_settings(root / "connector.toml", **settings)
    me = _authority(authority or read.authority or root.name)
    if read.authority not in {None, me}:
        raise UsageError("authority-differs", f"connector.toml names another authority than {me}.")
    return State(StateFolder(root, me), read, _home_of(root, home))


def _home_of(root: Path, home: Path | None) -> Home | None:
    if root.parent.name == "states" and (root.parent.parent / "hub").is_dir():
        return Home(root.parent.parent)
    return None if home is None else Home(home.absolute())


def _authority(text: str) -> AuthorityId:
    try:
        return authority_id(text)
    except Refused as error:
        raise UsageError(
            "authority-malformed", f"{text!r} is no authority id such as xa-moj; name one with --as."
        ) from error


def new_hand_in(
    state: State,
    *,
    key: str | None,
    message_type: MessageType,
    recipient: AuthorityId,
    document: bytes,
    clocks: tuple[ClockWish, ...],
    in_reply_to: MessageId | None = None,
    priority: Priority = Priority.NORMAL,
) -> HandIn:
    """A hand-in with a complete document. Raises ``UsageError``: ``recipient-unknown``, ``recipient-revoked``, ``document-*``."""
    check_carried(document, message_type)
    _check_recipient(Desk(state.exchange), recipient)
    name = key or uuid7(SystemClock().now_ms(), SystemChance().bytes(_UUID_RANDOM_BYTES))
    return HandIn(
        key=name,
        digest=Digest(sha256(b"")),  # that of the manifest, which the desk writes
        type=message_type,
        recipient=recipient,
        thread=None,
        in_reply_to=in_reply_to,
        priority=priority,
        clocks=clocks,
        document=document,
        files=(),
    )


def _check_recipient(desk: Desk, recipient: AuthorityId) -> None:
    known = desk.correspondents()
    if known is None:
        return  # the connector has not run yet: it will say so in failed/
    if recipient not in known:
        near = difflib.get_close_matches(recipient, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(sorted(known)) or 'none'}."
        raise UsageError("recipient-unknown", f"The trust list names no authority {recipient}; {hint}")
    if known[recipient] != "active":
        raise UsageError(
            "recipient-revoked", f"The enrolment of {recipient} is {known[recipient]}; use another channel."
        )


def read_document(path: Path) -> bytes:
    """The bytes of a document's file. Raises ``UsageError``: ``file-missing``, ``document-too-large``."""
    if not path.is_file():
        raise UsageError("file-missing", f"{path} is not there, or is no file; check the name after --document.")
    if path.stat().st_size > BODY_BYTES_MAX:
        raise UsageError("document-too-large", f"{path} is over 64 KiB; attach large parts with --file.")
    return path.read_bytes()


def start_clock(kind: ClockKind, due: str | None, option: str) -> tuple[ClockWish, ...]:
    """The clock that an option asks for. Raises ``UsageError``: ``time-malformed``, ``time-past``."""
    if due is None:
        return ()
    try:
        due_ms = parse_time(due)
    except Refused as error:
        raise UsageError("time-malformed", f"{option}: {error.sentence}") from error
    if due_ms <= SystemClock().now_ms():
        raise UsageError("time-past", f"{option} {format_time(due_ms)} has passed already.")
    return (ClockWish(ClockVerb.START, kind, None, due_ms),)


def stop_clocks(message: dict[str, Any], kinds: frozenset[ClockKind]) -> tuple[ClockWish, ...]:
    """Stops for the clocks that a received message started."""
    started = [each for each in message["clocks"] if each["op"] == "start" and ClockKind(each["kind"]) in kinds]
    return tuple(ClockWish(ClockVerb.STOP, ClockKind(each["kind"]), each["id"]) for each in started)


def hand_over(
    state: State, hand_in: HandIn, files: list[Path], *, wait: WaitLevel | None, timeout: float
) -> dict[str, Any]:
    """Hand in, wait if asked; the row to show. Raises as ``Desk.hand_in`` and ``await_level``."""
    desk = Desk(state.exchange)
    desk.hand_in(hand_in, files)
    row: dict[str, Any] = {"id": hand_in.key, "to": hand_in.recipient, "type": hand_in.type.value, "level": "handed-in"}
    if wait is not None:
        reached = await_level(desk, hand_in.key, wait, timeout)
        row |= {
            "level": reached["level"],
            "message": reached["message"],
            "thread": reached["thread"],
            "time": reached["time"],
        }
    return row


def await_level(desk: Desk, key: str, level: WaitLevel, timeout: float) -> dict[str, Any]:
    """Look until the level is there. Raises ``Refused`` with the problem's code, ``Unreachable(wait-timeout)``."""
    end = time.monotonic() + timeout
    while True:
        if not desk.waits(key):
            failure = desk.failure(key)
            if failure is not None:
                raise Refused(failure.code, failure.sentence)
            confirmation = desk.confirmation(key, level.value)
            if confirmation is not None:
                return dict(confirmation)
        if time.monotonic() >= end:
            raise Unreachable(
                "wait-timeout",
                f"{key} is not {level.value} after {timeout:g} seconds; it goes on by itself while the connector runs.",
            )
        time.sleep(POLL_SECONDS)  # a command at a terminal: nothing else runs here, and the folder is the only signal
