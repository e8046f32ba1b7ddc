"""The acts of the secretariat and of the States that make a deployment, the same on every broker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

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
from hub.ports import Bus, Chance, Clock

COUNTS: Final = Counts(shards=4, ledger_partitions=4)
SCAN_MS: Final = 200  # a person waits: look into the out folders often


class Deployment:
    """A home folder and who acts on it. ``scan_ms``: how often connectors look into their out folders."""

    def __init__(
        self, root: Path, clock: Clock, chance: Chance, *, counts: Counts = COUNTS, scan_ms: int = SCAN_MS
    ) -> None:
        self.home = Home(root)
        self._counts = counts
        self._clock = clock
        self._chance = chance
        self._scan_ms = scan_ms

    def found(self) -> None:
        """Make the deployment's keys and first trust list."""
        found(self.home, self._counts, now_ms=self._clock.now_ms(), chance=self._chance)

    async def publish_first(self, bus: Bus, administration: Administration) -> None:
        """Make the hub's topics and publish the first trust list."""
        secretariat, now_ms = Secretariat.open(self.home), self._clock.now_ms()
        await administration.apply(secretariat.newest(), now_ms=now_ms)
        await publish_all(bus, secretariat, self.freshness(), now_ms=now_ms)

    async def enrol(self, authority: AuthorityId, name: str, *, bus: Bus, administration: Administration) -> State:
        """The State makes its keys and a request, the secretariat admits it, the State installs the answer."""
        folder, now_ms = self.home.state(authority), self._clock.now_ms()
        anchor = self.home.anchor.read_bytes()
        request = prepare(folder, name=name, suite="S1", anchor_file=anchor, now_ms=now_ms, chance=self._chance)
        admission = await admit_authority(
            request,
            secretariat=Secretariat.open(self.home),
            transport=TransportAuthority.load(self.home.transport_ca),
            freshness=self.freshness(),
            bus=bus,
            administration=administration,
            now_ms=now_ms,
            chance=self._chance,
        )
        install(folder, encode_admission(admission))
        return State(folder, ConnectorSettings(scan_ms=self._scan_ms), self.home)

    async def revoke_key(self, authority: AuthorityId, key: KeyId, *, bus: Bus, administration: Administration) -> int:
        """The number of the list that revokes the key."""
        trust = await revoke(
            authority,
            key=key,
            suspect_since_ms=None,
            secretariat=Secretariat.open(self.home),
            freshness=self.freshness(),
            bus=bus,
            administration=administration,
            now_ms=self._clock.now_ms(),
        )
        return trust.number

    def freshness(self) -> Sequence[Signer]:
        """Who says that the newest trust list is fresh. Raises ``UsageError``."""
        return read_signers(self.home.role_keys(HubRole.FRESHNESS))
