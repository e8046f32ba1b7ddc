"""The secretariat's folder: every trust list that was signed (``tl-<n>.jws``), key statements, the signers' keys.

A demonstration keeps all signers' keys here. In a deployment each signer keeps its own, offline, and this folder holds
the public files only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hub.adapters.files.keys import read_signers
from hub.adapters.files.owned import read, replace, write_new
from hub.core.ids import KeyId, key_id
from hub.envelope.signers import SoftwareSigner
from hub.errors import UsageError

_LIST_NAME: Final = re.compile(r"tl-([1-9][0-9]{0,8})\.jws\Z")
_SIGNER_NAME: Final = "signer-{}.json"
_STATEMENT_SUFFIX: Final = ".jws"


@dataclass(frozen=True, slots=True)
class SecretariatFolder:
    """Reading and writing of the folder's files."""

    root: Path

    @property
    def exists(self) -> bool:
        """Whether a secretariat is here at all."""
        return self.root.is_dir()

    def signer(self, number: int) -> Path:
        """The key file of signer 1, 2, ..."""
        return self.root / _SIGNER_NAME.format(number)

    def signers(self) -> tuple[tuple[SoftwareSigner, ...], ...]:
        """All signers whose keys are here, each with a key per algorithm. Raises ``UsageError``."""
        found: list[tuple[SoftwareSigner, ...]] = []
        while self.signer(len(found) + 1).exists():
            found.append(read_signers(self.signer(len(found) + 1)))
        if not found:
            raise UsageError("signers-missing", f"No signer's keys lie in {self.root}; run this where they are.")
        return tuple(found)

    def list_path(self, number: int) -> Path:
        """Where trust list ``number`` lies."""
        return self.root / f"tl-{number}.jws"

    def lists(self) -> Mapping[int, bytes]:
        """The bytes of every list, by number, rising; nothing is checked here."""
        names = [_LIST_NAME.match(path.name) for path in self.root.glob("tl-*.jws")]
        numbers = sorted(int(name.group(1)) for name in names if name is not None)
        return {number: read(self.list_path(number)) for number in numbers}

    def add_list(self, number: int, data: bytes) -> None:
        """Keep a signed list for ever. Raises ``UsageError(file-exists)``: a number is used once."""
        write_new(self.list_path(number), data)

    def statements(self) -> Mapping[KeyId, bytes]:
        """The key statements of all authorities, by key id."""
        folder = self.root / "statements"
        return {key_id(path.stem): read(path) for path in sorted(folder.glob("*" + _STATEMENT_SUFFIX))}

    def keep_statement(self, key: KeyId, data: bytes) -> None:
        """Keep a key statement; a newer one of the same key takes its place."""
        replace(self.root / "statements" / f"{key}{_STATEMENT_SUFFIX}", data)
