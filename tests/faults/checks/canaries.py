"""I9: no plaintext anywhere. Looks for canaries in raw bytes, whatever file they are in, and in usual encodings.

What is compressed or encrypted hides a canary: look at files of a broker whose topics are not compressed.
"""

from __future__ import annotations

import base64
import mmap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from tests.faults.checks.model import INVARIANTS, Anomaly, Kind

CANARY_BYTES_MIN: Final = 12  # a shorter one may be there by chance, in base64 above all


def find_canaries(paths: Iterable[Path], canaries: Iterable[bytes]) -> list[Anomaly]:
    """Where a canary is, as it is or as hex, UTF-16, base64 or base64url. A folder stands for all files below it.

    Raises ``ValueError`` for a canary under 12 bytes, ``OSError`` for a file that cannot be read.
    """
    patterns = {canary: _patterns(canary) for canary in canaries}
    found: list[Anomaly] = []
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else (path,):
            if file.is_file() and file.stat().st_size:
                found.extend(_search(file, patterns))
    return found


def _search(file: Path, patterns: Mapping[bytes, Mapping[bytes, str]]) -> Iterable[Anomaly]:
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for number, (_, encoded) in enumerate(patterns.items(), 1):
            for pattern, encoding in encoded.items():
                at = content.find(pattern)
                if at >= 0:
                    sentence = f"Canary {number} lies at byte {at}, as {encoding}."
                    yield Anomaly(Kind.CANARY, INVARIANTS[Kind.CANARY], str(file), sentence)
                    break


def _patterns(canary: bytes) -> dict[bytes, str]:
    if len(canary) < CANARY_BYTES_MIN:
        raise ValueError(f"a canary has at least {CANARY_BYTES_MIN} bytes")
    patterns = {canary: "it is", canary.hex().encode(): "hex", canary.hex().upper().encode(): "hex"}
    texts = {canary: ""}
    try:
        text = canary.decode()
    except UnicodeDecodeError:
        pass
    else:
        for name in ("utf-16-le", "utf-16-be"):
            patterns[text.encode(name)] = name
            texts[text.encode(name)] = f" of {name}"
    for content, of in texts.items():
        for lead in range(3):
            for encode, name in ((base64.b64encode, "base64"), (base64.urlsafe_b64encode, "base64url")):
                patterns[_inner(encode(bytes(lead) + content), lead, len(content))] = name + of
    return patterns


def _inner(encoded: bytes, lead: int, length: int) -> bytes:
    """The characters that only the canary's bytes decide, ``lead`` bytes after a boundary of three."""
    first = -(-lead * 8 // 6)
    last = (lead + length) * 8 // 6
    return encoded[first:last]
