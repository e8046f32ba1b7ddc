"""The folder contract at work: implements ``connectors.ports.NationalSystem`` on an exchange folder.

The timed rescan of ``out`` is the truth; a watcher of the file system may only make it come sooner (it is blind on
network mounts). Every result is put into place by a rename and never written twice.
"""

from __future__ import annotations

import hashlib
import os
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from connectors.folder.contract import (
    confirmation_json,
    correspondents_json,
    message_json,
    notice_json,
    problem_json,
    read_hand_in,
    sender_of,
)
from connectors.folder.names import DOCUMENT, MANIFEST, MESSAGE, PROBLEM, is_hand_in_name, safe_name, stand_in
from connectors.folder.reading import opened_folder, opened_root, read_chunks, read_whole
from connectors.folder.writing import make_folder, move, put_file, remove, replace_file, write_file
from connectors.ports import Confirmation, Correspondent, Delivery, FileContent, HandIn, Notice, Problem, Unusable
from hub.core.limits import BODY_BYTES_MAX, FILES_PER_MESSAGE_MAX, FOLDER_MANIFEST_BYTES_MAX
from hub.errors import Refused, Unreachable, UsageError

PARTS: Final = ("tmp", "out", "sent", "acks", "failed", "in")
HAND_INS_PER_SCAN_MAX: Final = 200  # the rest waits for the next scan
REPEATS_MAX: Final = 1000  # of one name in sent/ or failed/
AUTHORITIES: Final = "authorities.json"
HAND_IN: Final = "hand-in"
_NOTICE_ID: Final = re.compile(r"[0-9a-f-]{1,64}\Z")


class _Parts(NamedTuple):
    root: int
    tmp: int
    out: int
    sent: int
    acks: int
    failed: int
    incoming: int


class FolderSystem:
    """An exchange folder. Its methods block; each may run in a thread of its own."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def prepare(self) -> None:
        """Make the folder and its parts. Raises ``Unreachable``."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with opened_root(self._root) as root:
            for name in PARTS:
                make_folder(name, root)

    def watch(self, wake: Callable[[], None]) -> None:
        """Nothing tells of a new folder in ``out`` but the rescan."""

    def outgoing(self) -> Sequence[HandIn | Unusable]:
        """All hand-ins in ``out``, oldest first, at most ``HAND_INS_PER_SCAN_MAX``."""
        with self._parts() as parts:
            names = [name for name in os.listdir(parts.out) if not name.startswith(".")]  # noqa: PTH208 (by descriptor)
            dated = sorted((_changed_ns(name, parts.out), name) for name in names)
            return [_read(name, parts.out) for _, name in dated[:HAND_INS_PER_SCAN_MAX]]

    def waits(self, key: str) -> bool:
        """Whether ``out/<key>`` is there."""
        with self._parts() as parts:
            try:
                os.stat(key, dir_fd=parts.out, follow_symlinks=False)
            except FileNotFoundError:
                return False
            return True

    def content(self, hand_in: HandIn, number: int) -> Iterator[bytes]:
        """The bytes of file ``number``, checked against its length and SHA-256 as they pass."""
        file = hand_in.files[number - 1]
        seen = hashlib.sha256()
        with self._parts() as parts, opened_folder(hand_in.key, parts.out) as folder:
            for chunk in read_chunks(file.name, folder, length=file.length):
                seen.update(chunk)
                yield chunk
        if urlsafe_b64encode(seen.digest()).rstrip(b"=").decode() != file.digest:
            raise UsageError(
                "hand-in-changed", "A file of the hand-in is not the one whose SHA-256 stands in manifest.json."
            )

    def taken(self, key: str) -> None:
        """Move ``out/<key>`` to ``sent/<key>``; a second hand-in of the same to ``sent/<key>.2``."""
        with self._parts() as parts:
            _move_aside(key, parts.out, key, parts.sent)

    def deliver(self, delivery: Delivery, content: FileContent) -> None:
        """Build ``in/<message>`` under ``tmp`` and rename it into place."""
        with self._parts() as parts:
            name = _delivery_name(delivery, parts.incoming)
            if name is None:
                return
            building = f"in-{name}"
            remove(building, parts.tmp)
            make_folder(building, parts.tmp)
            with opened_folder(building, parts.tmp) as folder:
                write_file(DOCUMENT, folder, [delivery.document])
                make_folder("files", folder)
                with opened_folder("files", folder) as files:
                    for file in delivery.files:
                        write_file(safe_name(file.number, file.name), files, content(file.number))
                    os.fsync(files)
                write_file(MESSAGE, folder, [message_json(delivery)])
                os.fsync(folder)
            move(building, parts.tmp, name, parts.incoming)

    def confirm(self, confirmation: Confirmation) -> None:
        """Write ``acks/<id>.<level>.json``."""
        with self._parts() as parts:
            name = f"{confirmation.key}.{confirmation.step.value}.json"
            put_file(name, parts.acks, tmp=parts.tmp, data=confirmation_json(confirmation))

    def problem(self, problem: Problem) -> None:
        """Write ``failed/<id>/problem.json``; what was handed in and not taken moves to ``failed/<id>/hand-in``."""
        key = problem.key
        shown = key if is_hand_in_name(key) else stand_in(key)
        data = problem_json(replace(problem, key=shown))
        with self._parts() as parts:
            name = _failed_name(shown, data, parts)
            with opened_folder(name, parts.failed) as folder:
                put_file(PROBLEM, folder, tmp=parts.tmp, data=data, part=f"{name}.problem.part")
                if problem.message is None:
                    _move_aside(key, parts.out, HAND_IN, folder)

    def notify(self, notice: Notice) -> None:
        """Write ``in/<flag>.flag.json``."""
        if _NOTICE_ID.match(notice.id) is None:
            raise UsageError("notice-id", "A notice's id is no derived id.")
        with self._parts() as parts:
            put_file(f"{notice.id}.flag.json", parts.incoming, tmp=parts.tmp, data=notice_json(notice))

    def announce(self, correspondents: Sequence[Correspondent]) -> None:
        """Write ``authorities.json`` anew."""
        with self._parts() as parts:
            replace_file(AUTHORITIES, parts.root, tmp=parts.tmp, data=correspondents_json(correspondents))

    @contextmanager
    def _parts(self) -> Iterator[_Parts]:
        with (
            opened_root(self._root) as root,
            opened_folder("tmp", root) as tmp,
            opened_folder("out", root) as out,
            opened_folder("sent", root) as sent,
            opened_folder("acks", root) as acks,
            opened_folder("failed", root) as failed,
            opened_folder("in", root) as incoming,
        ):
            yield _Parts(root, tmp, out, sent, acks, failed, incoming)


def _changed_ns(name: str, within: int) -> int:
    try:
        return os.stat(name, dir_fd=within, follow_symlinks=False).st_mtime_ns
    except FileNotFoundError:
        return 0  # moved away since it was listed; reading it says so


def _read(name: str, out: int) -> HandIn | Unusable:
    if not is_hand_in_name(name):
        return Unusable(name, "hand-in-name", "A hand-in's name is 1 to 64 letters, digits, - and _, without a dot.")
    try:
        with opened_folder(name, out) as folder:
            entries = len(os.listdir(folder))  # noqa: PTH208 (by descriptor)
            if entries > FILES_PER_MESSAGE_MAX + 2:
                raise UsageError("files-too-many", f"A hand-in has at most {FILES_PER_MESSAGE_MAX} files.")
            manifest = read_whole(MANIFEST, folder, bytes_max=FOLDER_MANIFEST_BYTES_MAX)
            document = read_whole(DOCUMENT, folder, bytes_max=BODY_BYTES_MAX)
        hand_in = read_hand_in(name, manifest, document)
    except UsageError as error:
        return Unusable(name, error.code, error.sentence)
    if entries != len(hand_in.files) + 2:
        return Unusable(
            name, "files-unlisted", "The folder holds a file that manifest.json does not name, or lacks one."
        )
    return hand_in


def _delivery_name(delivery: Delivery, incoming: int) -> str | None:
    """The folder's name; None when the message is there. An id is its author's choice, so two may choose the same."""
    for name in (delivery.message, f"{delivery.message}.{delivery.sender}"):
        try:
            with opened_folder(name, incoming) as folder:
                there = read_whole(MESSAGE, folder, bytes_max=FOLDER_MANIFEST_BYTES_MAX)
        except UsageError:
            return name
        if sender_of(there) in {delivery.sender, None}:
            return None
    raise Refused("id-conflict", "Messages of two other authorities lie under this id.")


def _failed_name(name: str, data: bytes, parts: _Parts) -> str:
    """A folder of ``failed`` for this problem: the one that tells it already, else a new one."""
    for candidate in _numbered(name):
        make_folder(candidate, parts.failed)
        try:
            with opened_folder(candidate, parts.failed) as folder:
                there = read_whole(PROBLEM, folder, bytes_max=FOLDER_MANIFEST_BYTES_MAX)
        except UsageError as error:
            if error.code == "file-missing":
                return candidate
            continue
        if there == data:
            return candidate
    raise UsageError("too-many-repeats", f"A hand-in has failed {REPEATS_MAX} times; move failed/ away.")


def _move_aside(name: str, source: int, new_name: str, target: int) -> None:
    """Move an entry, under a numbered name where its own is taken; nothing when it is gone already."""
    for candidate in _numbered(new_name):
        try:
            if move(name, source, candidate, target):
                return
        except Unreachable as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return
            raise
    raise UsageError("too-many-repeats", f"A hand-in came {REPEATS_MAX} times; move sent/ or failed/ away.")


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}.{number}" for number in range(2, REPEATS_MAX + 1))
