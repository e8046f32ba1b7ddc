"""Where the story is played: a real Kafka with a process per part, or everything in this process on the memory bus."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from connectors.bootstrap import State
from connectors.commands.enrolment import install, prepare
from connectors.settings import ConnectorSettings
from hub.adapters.files.founding import Counts, found
from hub.adapters.files.home import Home
from hub.adapters.files.keys import read_signers
from hub.adapters.files.transport import TransportAuthority
from hub.adapters.secretariat import Administration, Secretariat, admit_authority, publish_all, revoke
from hub.core.authority import HubRole
from hub.core.ids import AuthorityId, KeyId
from hub.core.signing import Signer
from hub.envelope.enrolment import encode_admission
from hub.ports import BrokerIdentity, Bus, Chance, Clock

COUNTS: Final = Counts(shards=4, ledger_partitions=4)
SCAN_MS: Final = 200  # a person waits: look into the out folders often


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


class Deployment:
    """The acts of the secretariat and of the States, the same on every stage."""

    def __init__(self, root: Path, clock: Clock, chance: Chance) -> None:
        self.home = Home(root)
        self._clock = clock
        self._chance = chance

    def found(self) -> None:
        """Make the deployment's keys and first trust list."""
        found(self.home, COUNTS, now_ms=self._clock.now_ms(), chance=self._chance)

    async def publish_first(self, bus: Bus, administration: Administration) -> None:
        """Make the hub's topics and publish the first trust list."""
        secretariat, now_ms = Secretariat.open(self.home), self._clock.now_ms()
        await administration.apply(secretariat.newest(), now_ms=now_ms)
        await publish_all(bus, secretariat, self._freshness(), now_ms=now_ms)

    async def enrol(self, authority: AuthorityId, name: str, *, bus: Bus, administration: Administration) -> State:
        """The State makes its keys and a request, the secretariat admits it, the State installs the answer."""
        folder, now_ms = self.home.state(authority), self._clock.now_ms()
        anchor = self.home.anchor.read_bytes()
        request = prepare(folder, name=name, suite="S1", anchor_file=anchor, now_ms=now_ms, chance=self._chance)
        admission = await admit_authority(
            request,
            secretariat=Secretariat.open(self.home),
            transport=TransportAuthority.load(self.home.transport_ca),
            freshness=self._freshness(),
            bus=bus,
            administration=administration,
            now_ms=now_ms,
            chance=self._chance,
        )
        install(folder, encode_admission(admission))
        return State(folder, ConnectorSettings(scan_ms=SCAN_MS), self.home)

    async def revoke_key(self, authority: AuthorityId, key: KeyId, *, bus: Bus, administration: Administration) -> int:
        """The number of the list that revokes the key."""
        trust = await revoke(
            authority,
            key=key,
            suspect_since_ms=None,
            secretariat=Secretariat.open(self.home),
            freshness=self._freshness(),
            bus=bus,
            administration=administration,
            now_ms=self._clock.now_ms(),
        )
        return trust.number

    def _freshness(self) -> Sequence[Signer]:
        return read_signers(self.home.role_keys(HubRole.FRESHNESS))
