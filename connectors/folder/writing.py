"""Writing for others to read: durable, whole or not at all, never over anything, for the owner's eyes only."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from typing import Final

from hub.errors import Unreachable

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def make_folder(name: str, within: int) -> None:
    """Make the folder ``name`` unless it is there."""
    try:
        os.mkdir(name, FOLDER_MODE, dir_fd=within)
    except FileExistsError:
        return
    except OSError as error:
        raise _no_place(error) from error


def write_file(name: str, within: int, chunks: Iterable[bytes]) -> None:
    """Write a new file and sync it. Raises ``Unreachable(no-place)`` when the disk does not take it."""
    try:
        number = os.open(name, _NEW_FILE, FILE_MODE, dir_fd=within)
    except OSError as error:
        raise _no_place(error) from error
    try:
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                view = view[_written(number, view) :]
        os.fsync(number)
    finally:
        os.close(number)


def _written(number: int, view: memoryview) -> int:
    try:
        return os.write(number, view)
    except OSError as error:
        raise _no_place(error) from error


def move(name: str, source: int, new_name: str, target: int) -> bool:
    """Rename durably; False when ``new_name`` is taken already (a folder that is not empty, or a file)."""
    try:
        if _exists(new_name, target):
            return False
        os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=target)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR}:
            return False
        raise _no_place(error) from error
    os.fsync(target)
    if source != target:
        os.fsync(source)
    return True


def put_file(name: str, target: int, *, tmp: int, data: bytes, part: str = "") -> bool:
    """Write ``data`` under ``name`` by way of ``part`` in ``tmp``; False when the name is taken: what was told stays told."""
    part = part or f"{name}.part"
    remove(part, tmp)
    write_file(part, tmp, [data])
    return move(part, tmp, name, target)


def replace_file(name: str, target: int, *, tmp: int, data: bytes) -> None:
    """Write ``data`` over ``name``, for the one file that is a view and not a record."""
    part = f"{name}.part"
    remove(part, tmp)
    write_file(part, tmp, [data])
    os.rename(part, name, src_dir_fd=tmp, dst_dir_fd=target)


def remove(name: str, within: int) -> None:
    """Remove what we began under ``tmp`` before a crash: a file, or a folder of files two levels deep."""
    try:
        os.unlink(name, dir_fd=within)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        number = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=within)
        try:
            for inner in os.listdir(number):  # noqa: PTH208 (by descriptor: a path could be swapped)
                remove(inner, number)
        finally:
            os.close(number)
        os.rmdir(name, dir_fd=within)


def _exists(name: str, within: int) -> bool:
    try:
        os.stat(name, dir_fd=within, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _no_place(error: OSError) -> Unreachable:
    return Unreachable("no-place", f"The exchange folder does not take a file: {error.strerror}.")
