"""Where the story is played: a real Kafka with a process per part, or everything in this process on the memory bus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from connectors.bootstrap import State
from hub.adapters.files.home import Home
from hub.core.ids import AuthorityId, KeyId
from hub.ports import BrokerIdentity, Bus


class Stage(Protocol):
    """What the story needs of the world."""

    @property
    def home(self) -> Home:
        """The deployment's folder."""
        ...

    async def open(self) -> BrokerIdentity:
        """Found the deployment, start the broker, begin every process of the hub. Raises ``UsageError``, ``Unreachable``."""
        ...

    async def enrol(self, authority: AuthorityId, name: str) -> State:
        """Make an authority's keys in its own folder, admit it, begin its connector."""
        ...

    async def ready(self) -> None:
        """Wait until all that was begun does its work. Raises ``Unreachable``."""
        ...

    async def revoke_key(self, authority: AuthorityId, key: KeyId) -> int:
        """Revoke a signing key; the number of the new trust list."""
        ...

    async def kill_router(self) -> None:
        """End the router at once, whatever it does."""
        ...

    async def start_router(self) -> None:
        """Start the router again."""
        ...

    def bus(self, principal: str) -> Bus:
        """The broker, as this principal, for acts outside the connectors. The stage closes it."""
        ...

    def check_alive(self) -> None:
        """Raise ``Unreachable`` when a part of the hub has ended by itself."""
        ...

    def hints(self) -> Sequence[str]:
        """What a person may try while everything runs."""
        ...

    async def close(self) -> None:
        """Stop everything that was started."""
        ...
