"""The national side of the folder contract: handing in, and reading what came. For the commands, and as an example.

Whatever writes to ``out`` does it this way: build under ``tmp``, sync, rename.
"""

from __future__ import annotations

import hashlib
import mimetypes
import os
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from connectors.folder.contract import manifest_json
from connectors.folder.names import DOCUMENT, MANIFEST, MESSAGE, PROBLEM, check_file_name, is_hand_in_name
from connectors.folder.reading import CHUNK_BYTES, opened_folder, opened_root
from connectors.folder.system import AUTHORITIES, FolderSystem
from connectors.folder.writing import make_folder, move, remove, write_file
from connectors.ports import HandIn, HandInFile
from hub.core.ids import AuthorityId, Digest
from hub.core.limits import ATTACHMENT_BYTES_MAX, FILES_PER_MESSAGE_MAX
from hub.envelope import strict_json
from hub.errors import Conflict, Refused, UsageError

UNKNOWN_TYPE: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Failure:
    """What ``problem.json`` says."""

    code: str
    sentence: str


class Desk:
    """An exchange folder from the national system's side."""

    def __init__(self, exchange: Path) -> None:
        self._root = exchange

    def hand_in(self, hand_in: HandIn, files: Sequence[Path]) -> None:
        """Put ``hand_in`` with copies of ``files`` into ``out``; its own list of files is made here.

        Raises ``UsageError``: ``hand-in-name``, ``file-missing``, ``file-too-large``, ``file-name``, ``files-too-many``;
        ``Conflict(hand-in-waiting)`` when one of this name waits already.
        """
        if not is_hand_in_name(hand_in.key):
            raise UsageError("hand-in-name", "A hand-in's name is 1 to 64 letters, digits, - and _, without a dot.")
        if len(files) > FILES_PER_MESSAGE_MAX:
            raise UsageError("files-too-many", f"A message has at most {FILES_PER_MESSAGE_MAX} files.")
        _check_names(files)
        FolderSystem(self._root).prepare()
        building = f"out-{hand_in.key}"
        with opened_root(self._root) as root, opened_folder("tmp", root) as tmp, opened_folder("out", root) as out:
            remove(building, tmp)
            make_folder(building, tmp)
            with opened_folder(building, tmp) as folder:
                copied = tuple(_copied(path, folder) for path in files)
                write_file(DOCUMENT, folder, [hand_in.document])
                write_file(MANIFEST, folder, [manifest_json(replace(hand_in, files=copied))])
                os.fsync(folder)
            if not move(building, tmp, hand_in.key, out):
                raise Conflict("hand-in-waiting", f"A hand-in {hand_in.key} waits already; use another --id.")

    def waits(self, key: str) -> bool:
        """Whether the hand-in was not taken yet."""
        return (self._root / "out" / key).is_dir()

    def confirmation(self, key: str, level: str) -> Mapping[str, Any] | None:
        """``acks/<key>.<level>.json``, if it is there."""
        return _json(self._root / "acks" / f"{key}.{level}.json")

    def failure(self, key: str) -> Failure | None:
        """The newest problem of this hand-in."""
        found = sorted(self._root.glob(f"failed/{key}*/{PROBLEM}"), key=lambda path: path.stat().st_mtime_ns)
        mine = [path for path in found if path.parent.name.split(".")[0] == key]
        problem = _json(mine[-1]) if mine else None
        if problem is None:
            return None
        return Failure(str(problem["type"]).rsplit(":", 1)[-1], str(problem["detail"]))

    def correspondents(self) -> Mapping[AuthorityId, str] | None:
        """Whom one can write to, with their status; None when the connector never ran here."""
        listed = _json(self._root / AUTHORITIES)
        if listed is None:
            return None
        return {AuthorityId(each["id"]): str(each["status"]) for each in listed["authorities"]}

    def messages(self) -> Iterator[Mapping[str, Any]]:
        """All received messages, oldest first: ``message.json`` and, as ``document``, the document."""
        folders = [path.parent for path in self._root.glob(f"in/*/{MESSAGE}")]
        for folder in sorted(folders):
            message, document = _json(folder / MESSAGE), _json(folder / DOCUMENT)
            if message is not None:
                yield {**message, "document": document, "folder": str(folder)}

    def message(self, prefix: str) -> Mapping[str, Any]:
        """The one message whose id begins so. Raises ``UsageError``: ``message-unknown``, ``message-ambiguous``."""
        found = [each for each in self.messages() if str(each["id"]).startswith(prefix)]
        if not found:
            raise UsageError("message-unknown", f"There is no message {prefix} here; see comity inbox.")
        if len(found) > 1:
            raise UsageError("message-ambiguous", f"{len(found)} messages begin with {prefix}; give more of the id.")
        return found[0]

    def flags(self) -> Iterator[Mapping[str, Any]]:
        """What the hub said of clocks, oldest first."""
        found = sorted(self._root.glob("in/*.flag.json"), key=lambda path: path.stat().st_mtime_ns)
        yield from (flag for path in found if (flag := _json(path)) is not None)

    def replies(self, message: str) -> frozenset[str]:
        """The types of what was handed in as a reply to this message: ``ack``, ``response``."""
        manifests = [*self._root.glob(f"sent/*/{MANIFEST}"), *self._root.glob(f"out/*/{MANIFEST}")]
        found = [reply for path in manifests if (reply := _json(path)) is not None]
        return frozenset(str(reply["type"]) for reply in found if reply["in_reply_to"] == message)


def _check_names(files: Sequence[Path]) -> None:
    for path in files:
        check_file_name(path.name)
        if not path.is_file():
            raise UsageError("file-missing", f"{path} is not there, or is no file; check the name after --file.")
        if path.stat().st_size > ATTACHMENT_BYTES_MAX:
            raise UsageError("file-too-large", f"{path} is over 1 GiB; send it in parts.")
    names = [path.name.casefold() for path in files]
    if len(set(names)) != len(names):
        raise UsageError("file-name", "Two files have the same name; rename one.")


def _copied(path: Path, folder: int) -> HandInFile:
    seen = hashlib.sha256()
    length = 0

    def chunks() -> Iterator[bytes]:
        nonlocal length
        with path.open("rb") as source:
            while chunk := source.read(CHUNK_BYTES):
                seen.update(chunk)
                length += len(chunk)
                yield chunk

    write_file(path.name, folder, chunks())
    digest = Digest(urlsafe_b64encode(seen.digest()).rstrip(b"=").decode())
    media_type = mimetypes.guess_type(path.name)[0] or UNKNOWN_TYPE
    return HandInFile(path.name, media_type.lower(), length, digest)


def _json(path: Path) -> dict[str, Any] | None:
    try:
        value: Any = strict_json.parse(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, Refused) as error:
        raise UsageError("exchange-damaged", f"{path} cannot be read; it was changed by hand.") from error
    return value if isinstance(value, dict) else None
