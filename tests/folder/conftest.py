"""An exchange folder with a hand-in of the contract, made by hand as any program would."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connectors.folder.system import FolderSystem


def digest(data: bytes) -> str:
    """SHA-256 as the manifest writes it."""
    return urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@dataclass
class Exchange:
    """The folder, and what a person does in it."""

    root: Path
    system: FolderSystem

    def manifest(self, sent: dict[str, bytes], text: bytes, **changes: Any) -> dict[str, Any]:
        """A valid manifest, with some members changed."""
        listed = [
            {"name": name, "type": "application/pdf", "length": len(data), "sha256": digest(data)}
            for name, data in sent.items()
        ]
        return {
            "v": "comity-handin/1",
            "type": "request",
            "to": "xb-pgo",
            "thread": None,
            "in_reply_to": None,
            "priority": "normal",
            "clocks": [],
            "document": digest(text),
            "files": listed,
        } | changes

    def put(self, name: str, files: dict[str, bytes] | None = None, **changes: Any) -> Path:
        """A hand-in in ``out``."""
        document = b'{"event":"x"}'
        folder = self.root / "out" / name
        folder.mkdir()
        (folder / "document.json").write_bytes(document)
        for each, data in (files or {}).items():
            (folder / each).write_bytes(data)
        (folder / "manifest.json").write_text(json.dumps(self.manifest(files or {}, document, **changes)))
        return folder

    def only(self) -> Any:
        """The one thing that waits."""
        [found] = self.system.outgoing()
        return found


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    """An empty exchange folder."""
    root = tmp_path / "exchange"
    system = FolderSystem(root)
    system.prepare()
    return Exchange(root, system)
