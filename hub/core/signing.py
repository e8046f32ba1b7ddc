"""What signs, as a Protocol: the envelope asks for one, adapters and hardware modules implement it."""

from __future__ import annotations

from typing import Protocol

from hub.core.ids import KeyId


class Signer(Protocol):
    """One private key, wherever it lives. A hardware module implements this too."""

    @property
    def key(self) -> KeyId:
        """The key's id in the trust list."""
        ...

    @property
    def algorithm(self) -> str:
        """Its JOSE algorithm."""
        ...

    @property
    def certificate_digest(self) -> str | None:
        """``x5t#S256`` of its certificate, or None for a key without one."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The raw signature in its JOSE form."""
        ...
