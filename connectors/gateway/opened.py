"""Messages that were opened to be checked and are handed over in a moment: opened once, in memory only, and few."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from connectors.seal.opening import Opened
from hub.core.ids import Digest
from hub.core.manifest import Manifest

KEPT_MAX: Final = 256  # of 64 KiB at most
KEPT_BYTES_MAX: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class OpenedMessage:
    """A message that passed all checks, in clear."""

    manifest: Manifest
    opened: Opened = field(repr=False)


class OpenedMessages:
    """By the digest of the manifest; the oldest make room. What is not here is opened again."""

    def __init__(self) -> None:
        self._kept: dict[Digest, OpenedMessage] = {}
        self._bytes = 0

    def keep(self, digest: Digest, message: OpenedMessage) -> None:
        """Keep it until it is taken."""
        self.take(digest)
        self._kept[digest] = message
        self._bytes += len(message.opened.content)
        while len(self._kept) > KEPT_MAX or self._bytes > KEPT_BYTES_MAX:
            self.take(next(iter(self._kept)))

    def take(self, digest: Digest) -> OpenedMessage | None:
        """The message, which is not kept any longer."""
        found = self._kept.pop(digest, None)
        if found is not None:
            self._bytes -= len(found.opened.content)
        return found
