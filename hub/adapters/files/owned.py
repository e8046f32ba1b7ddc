"""Files for the owner's eyes: written whole or not at all, never over another file, mode 0600 whatever the umask."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from hub.errors import UsageError

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def make_folder(folder: Path) -> None:
    """Make ``folder`` and its missing parents, each open to the owner only; folders that exist are left as they are."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=FOLDER_MODE, exist_ok=True)
        each.chmod(FOLDER_MODE)  # a umask can only take away, an inherited ACL could add


def write_new(path: Path, data: bytes) -> None:
    """Write ``data`` durably to ``path``, which must not exist.

    A crash leaves the whole file or none of it. Raises ``UsageError(file-exists)``.
    """
    temporary = _write_beside(path, data)
    try:
        os.link(temporary, path)  # unlike a rename, fails on a file that is there
    except FileExistsError as error:
        raise UsageError("file-exists", f"{path} exists and is not overwritten; move it away first.") from error
    finally:
        temporary.unlink()
    _sync_folder(path.parent)


def replace(path: Path, data: bytes) -> None:
    """Write ``data`` durably to ``path``, over what was there. A crash leaves the old file or the new one."""
    _write_beside(path, data).replace(path)
    _sync_folder(path.parent)


def read_private(path: Path) -> bytes:
    """The bytes of a file that only its owner may read.

    Raises ``UsageError(file-missing | file-open-to-others)``: a key that others could read is not used.
    """
    data = read(path)
    if path.stat().st_mode & _OTHERS:
        raise UsageError("file-open-to-others", f"{path} holds keys and is open to others; run: chmod 600 {path}")
    return data


def read(path: Path) -> bytes:
    """The bytes of a file. Raises ``UsageError(file-missing)``."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError("file-missing", f"{path} does not exist; see comity doctor.") from error
    except OSError as error:
        raise UsageError("file-unreadable", f"{path} cannot be read: {error.strerror}.") from error


def open_to_others(path: Path) -> bool:
    """Whether group or others may do anything with the file or folder."""
    return bool(path.stat().st_mode & _OTHERS)


def _write_beside(path: Path, data: bytes) -> Path:
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.unlink(missing_ok=True)  # left by a crash of a process that had our number
    number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE)
    with os.fdopen(number, "wb") as file:
        os.fchmod(file.fileno(), FILE_MODE)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return temporary


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
