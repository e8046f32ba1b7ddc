"""Names in the folder contract: strict for what is handed in, made safe for what was received (bad inputs, set B4)."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final

from hub.core.limits import FILE_NAME_BYTES_MAX
from hub.errors import UsageError

HAND_IN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
"""A hand-in's name is its idempotency key. It goes into file names, so it has no dot, and never holds case content."""

MANIFEST: Final = "manifest.json"
DOCUMENT: Final = "document.json"
MESSAGE: Final = "message.json"
PROBLEM: Final = "problem.json"
RESERVED: Final = frozenset({MANIFEST, DOCUMENT})

_SAFE_STEM_CHARACTERS_MAX: Final = 80
_UNSAFE: Final = re.compile(r"[^\w.()+ -]")
_SUFFIX: Final = re.compile(r"\.[A-Za-z0-9]{1,8}\Z")


def is_hand_in_name(name: str) -> bool:
    """Whether ``name`` can be a hand-in's name."""
    return HAND_IN_NAME.match(name) is not None


def stand_in(name: str) -> str:
    """A name of ours for a hand-in whose own name cannot be used; the same each time."""
    return "unnamed-" + hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def check_file_name(name: object) -> str:
    """A file's name as it may stand in a hand-in's manifest: one plain name, no path.

    Raises ``UsageError(file-name)``.
    """
    plain = (
        isinstance(name, str)
        and 0 < len(name.encode("utf-8", "replace")) <= FILE_NAME_BYTES_MAX
        and name.isprintable()
        and not any(character in name for character in '/\\:*?"<>|')
        and not name.startswith(".")
        and not name.endswith((".", " "))
        and name.lower() not in RESERVED
    )
    if not plain:
        raise UsageError("file-name", "A file's name in the manifest must be one plain name of at most 255 bytes.")
    return str(name)


def safe_name(number: int, name: str) -> str:
    """The name under which received file ``number`` is written: unique by its number, harmless on every system.

    The number stands first, so that no name is hidden, reserved (``CON``) or equal to another; letters, digits and a
    short suffix of the sender's name stay, so that a person recognises the file.
    """
    known = "".join(
        character for character in unicodedata.normalize("NFC", name) if unicodedata.category(character)[0] != "C"
    )
    plain = _UNSAFE.sub("_", known.replace("\\", "/").rsplit("/", 1)[-1])
    found = _SUFFIX.search(plain)
    suffix = found.group() if found else ""
    stem = plain[: len(plain) - len(suffix)].strip(". ")[:_SAFE_STEM_CHARACTERS_MAX].rstrip(". ") or "file"
    while len((stem + suffix).encode()) > FILE_NAME_BYTES_MAX - 4:
        stem = stem[:-1]
    return f"{number:02d}-{stem}{suffix}"
