"""Reads ``schemas/vectors``: the shared world, and bytes and records as cases spell them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.seal.keys import DecryptionKey, decode_decryption_key
from hub.core.authority import Anchor, TrustView
from hub.core.pairs import Chain, Link
from hub.core.records import Record
from hub.envelope.certificates import PathCache
from hub.envelope.encoding import unb64
from hub.envelope.receipts import HeadCache
from hub.envelope.trust import read_anchor, read_trust_list

ROOT = Path(__file__).parents[2]


class OwnVectors:
    """The committed cases, and what all of them share."""

    areas = ("chain", "envelope", "opening", "receipts", "trust")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world: dict[str, Any] = json.loads((folder / "world.json").read_text())
        self.anchor: Anchor = read_anchor(json.dumps(self.world["anchor"]).encode())
        lists = {
            int(number): read_trust_list(text.encode(), self.anchor) for number, text in self.world["lists"].items()
        }
        self.view = TrustView(lists)
        self.paths = PathCache()
        self.heads = HeadCache()

    def cases(self, area: str) -> dict[str, dict[str, Any]]:
        """The cases of an area, by name."""
        return {path.stem: json.loads(path.read_text()) for path in sorted((self.folder / area).glob("*.json"))}

    def keys(self, authority: str) -> list[DecryptionKey]:
        """The keys that an authority opens with."""
        return [
            decode_decryption_key(json.dumps({name: each[name] for name in each if name != "authority"}).encode())
            for each in self.world["decryption_keys"]
            if each["authority"] == authority
        ]

    @staticmethod
    def bytes_of(shown: dict[str, Any] | None) -> bytes | None:
        """Bytes as a case spells them."""
        if shown is None:
            return None
        ((form, value),) = shown.items()
        readers: dict[str, Callable[[Any], bytes]] = {"text": str.encode, "b64": unb64, "zeros": bytes}
        return readers[form](value)

    def record(self, shown: dict[str, Any]) -> Record:
        """A Kafka record as a case spells it."""
        return Record(
            topic=shown["topic"],
            partition=shown["partition"],
            offset=shown["offset"],
            time_ms=shown["time_ms"],
            key=self.bytes_of(shown["key"]),
            value=self.bytes_of(shown["value"]),
            headers=tuple((name, self.bytes_of(value) or b"") for name, value in shown["headers"]),
        )

    @staticmethod
    def chain(shown: dict[str, Any] | None) -> Chain:
        """A pair's chain as a case spells it; an empty one where it says nothing."""
        if shown is None:
            return Chain()
        links = [Link(each["seq"], each["id"], each["jws"], 0, 0, 1, None) for each in shown["window"]]
        window = {link.message: link for link in links}
        return Chain(shown["seq"], shown["head"], window)


@pytest.fixture(scope="session")
def own_vectors() -> OwnVectors:
    """The vectors that we publish."""
    return OwnVectors(ROOT / "schemas" / "vectors")
