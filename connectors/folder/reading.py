"""Reading folders that others write: through descriptors, no link followed, regular files only, every size bounded.

A name is opened once and judged by its descriptor, so that nothing can be swapped between a check and its use.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hub.errors import Unreachable, UsageError

CHUNK_BYTES: Final = 1024 * 1024  # read at a time: 1 GiB passes in constant memory
_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO must not wait for its writer; it is refused by its type right after.
_FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@contextmanager
def opened_root(root: Path) -> Iterator[int]:
    """A descriptor of the exchange folder. Raises ``Unreachable(exchange-missing)``."""
    try:
        number = os.open(root, _FOLDER_FLAGS)
    except OSError as error:
        raise Unreachable(
            "exchange-missing", f"The exchange folder {root} cannot be opened: {error.strerror}."
        ) from error
    try:
        yield number
    finally:
        os.close(number)


@contextmanager
def opened_folder(name: str, within: int) -> Iterator[int]:
    """A descriptor of the folder ``name``, which must be a real folder. Raises ``UsageError(not-a-folder)``."""
    try:
        number = os.open(name, _FOLDER_FLAGS, dir_fd=within)
    except OSError as error:
        raise UsageError("not-a-folder", f"It is no folder of its own: {_reason(error)}.") from error
    try:
        yield number
    finally:
        os.close(number)


@contextmanager
def opened_file(name: str, within: int, *, bytes_max: int) -> Iterator[int]:
    """A descriptor of the regular file ``name`` of at most ``bytes_max`` bytes.

    Raises ``UsageError``: ``file-missing``, ``file-irregular`` (a link, FIFO, device, folder, or a file with a second
    name), ``file-too-large``.
    """
    try:
        number = os.open(name, _FILE_FLAGS, dir_fd=within)
    except FileNotFoundError as error:
        raise UsageError("file-missing", "A file that the manifest names is not in the folder.") from error
    except OSError as error:
        raise UsageError("file-irregular", f"A file of the hand-in cannot be opened: {_reason(error)}.") from error
    try:
        _check_file(os.fstat(number), bytes_max)
        yield number
    finally:
        os.close(number)


def _check_file(facts: os.stat_result, bytes_max: int) -> None:
    # A second hard link may be somebody else's file, and whoever holds it can change the bytes at any time.
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
        raise UsageError("file-irregular", "A file of the hand-in is no regular file with one name.")
    if facts.st_size > bytes_max:
        raise UsageError("file-too-large", f"A file of the hand-in has over {bytes_max} bytes.")


def read_whole(name: str, within: int, *, bytes_max: int) -> bytes:
    """The bytes of a small file. Raises as ``opened_file``; a file that grows meanwhile is ``file-too-large``."""
    with opened_file(name, within, bytes_max=bytes_max) as number:
        data = b""
        while len(data) <= bytes_max and (chunk := os.read(number, min(CHUNK_BYTES, bytes_max + 1 - len(data)))):
            data += chunk
    if len(data) > bytes_max:
        raise UsageError("file-too-large", f"A file of the hand-in has over {bytes_max} bytes.")
    return data


def read_chunks(name: str, within: int, *, length: int) -> Iterator[bytes]:
    """Exactly ``length`` bytes of a file, in chunks. Raises ``UsageError(hand-in-changed)`` if it has more or fewer."""
    with opened_file(name, within, bytes_max=length) as number:
        left = length
        while left and (chunk := os.read(number, min(CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk
        if left or os.read(number, 1):
            raise UsageError("hand-in-changed", "A file of the hand-in is not as long as its manifest says.")


def _reason(error: OSError) -> str:
    if error.errno in {errno.ELOOP, errno.ENOTDIR}:
        return "it is a link, or no folder"
    return error.strerror or "unknown reason"
