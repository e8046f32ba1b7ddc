"""A deployment in memory: secretariat, hub keys, a broker; and authorities that are listed without any file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import pytest

from connectors.commands.enrolment import install, prepare
from hub.adapters.clock import SystemChance
from hub.adapters.files.founding import Counts, found
from hub.adapters.files.home import Home, StateFolder
from hub.adapters.files.keys import read_signers
from hub.adapters.files.owned import read
from hub.adapters.files.transport import TransportAuthority
from hub.adapters.memory.administration import MemoryAdministration
from hub.adapters.secretariat import Secretariat, admit_authority
from hub.core import secretariat
from hub.core.access import access_rules, topic_specs
from hub.core.authority import (
    Anchor,
    Authority,
    EncryptionKey,
    Freshness,
    HubRole,
    KeyUse,
    PublicKey,
    SigningKey,
    Status,
    TrustList,
)
from hub.core.ids import AuthorityId, sha256
from hub.envelope import pki
from hub.envelope.enrolment import Admission, encode_admission
from hub.envelope.signers import SoftwareSigner, generate_signer, private_pem, signer_from_pem
from hub.envelope.suites import public_from_jwk, public_jwk
from hub.envelope.trust import KeyStatement, encode_freshness, encode_key_statement, sign_trust_list
from hub.testing import FixedClock, MemoryBroker, MemoryBus

DAY_MS = 24 * 3600 * 1000
NOW_MS = 1_795_600_000_000  # in November 2026
ALGORITHMS = ("Ed25519", "ML-DSA-65")


def person() -> tuple[SoftwareSigner, ...]:
    """One signer of the secretariat, or one role of the hub: a key per algorithm."""
    return tuple(generate_signer(algorithm) for algorithm in ALGORITHMS)


@dataclass
class World:
    """Everything that signs, and the newest list."""

    signers: tuple[tuple[SoftwareSigner, ...], ...]
    freshness_keys: tuple[SoftwareSigner, ...]
    anchor: Anchor
    trust: TrustList
    broker: MemoryBroker
    clock: FixedClock
    members: dict[str, tuple[SoftwareSigner, ...]] = field(default_factory=dict)

    def bus(self, principal: str = "directory") -> MemoryBus:
        """The broker as a principal."""
        return MemoryBus(self.broker, principal)

    def sign(self, trust: TrustList, *who: int) -> bytes:
        """The list, signed by these of the three signers; the first two if none is named."""
        return sign_trust_list(trust, signers=[self.signers[number] for number in who or (0, 1)])

    def freshness(self, number: int | None = None, time_ms: int | None = None) -> bytes:
        """A freshness statement; of the newest list and now unless told."""
        statement = Freshness(number or self.trust.number, time_ms or self.clock.now_ms())
        return encode_freshness(statement, self.anchor.deployment, signers=self.freshness_keys)

    def admit(self, name: str, key: PublicKey) -> TrustList:
        """The next list, with an authority whose inbox key is ``key``."""
        self.trust = secretariat.admit(
            self.trust, self._member(name, key), now_ms=self.clock.now_ms(), next_update_ms=NOW_MS + 90 * DAY_MS
        )
        return self.trust

    def statement(self, name: str, key: PublicKey) -> bytes:
        """The authority's statement of its inbox key."""
        said = KeyStatement(AuthorityId(name), key, KeyUse.INBOX, NOW_MS, NOW_MS + 300 * DAY_MS)
        return encode_key_statement(said, signers=self.members[name], issued_ms=NOW_MS)

    def _member(self, name: str, key: PublicKey) -> Authority:
        authority = AuthorityId(name)
        dates = pki.Validity(serial=1, from_ms=NOW_MS - DAY_MS, until_ms=NOW_MS + 700 * DAY_MS)
        ca = pki.make_authority_ca(f"{name} CA", dates)
        signing, signers = [], []
        for signer in person():
            der = pki.issue_signing_certificate(ca, authority, signer.public, dates)
            signing.append(SigningKey(signer.key, signer.algorithm, der, dates.from_ms, dates.until_ms))
            signers.append(signer_from_pem(private_pem(signer), certificate_der=der))
        self.members[name] = tuple(signers)
        return Authority(
            id=authority,
            name=name,
            suite="S1",
            status=((Status.ACTIVE, NOW_MS),),
            anchors=(ca.certificate,),
            signing=tuple(signing),
            encryption=(EncryptionKey(key.id, key.algorithm, KeyUse.INBOX, NOW_MS, NOW_MS + 300 * DAY_MS),),
        )


def encryption_key(filler: int) -> PublicKey:
    """A public key of X-Wing's size; nobody seals to it here."""
    return public_from_jwk({**public_jwk("HPKE-10-KE", bytes([filler]) * 1216)})


@dataclass
class House:
    """A home folder as ``comity init`` makes it, and a broker in memory; the States' folders lie in it too."""

    home: Home
    clock: FixedClock
    broker: MemoryBroker

    def bus(self, principal: str = "directory") -> MemoryBus:
        """The broker as a principal."""
        return MemoryBus(self.broker, principal)

    @cached_property
    def administration(self) -> MemoryAdministration:
        """The broker's administrator."""
        return MemoryAdministration(self.broker)

    @property
    def secretariat(self) -> Secretariat:
        """The secretariat, read anew."""
        return Secretariat.open(self.home)

    @cached_property
    def freshness(self) -> Sequence[SoftwareSigner]:
        """The hub's freshness keys."""
        return read_signers(self.home.role_keys(HubRole.FRESHNESS))

    def state(self, name: str) -> StateFolder:
        """An authority's own folder."""
        return self.home.state(AuthorityId(name))

    def request(self, name: str, suite: str = "S1") -> bytes:
        """The authority's enrolment request; its keys are made on the first call."""
        return prepare(
            self.state(name),
            name=f"Authority {name}",
            suite=suite,
            anchor_file=read(self.home.anchor),
            now_ms=self.clock.now_ms(),
            chance=SystemChance(),
        )

    async def admit(self, request: bytes, *, waiver_until_ms: int | None = None) -> Admission:
        """The secretariat's side of an enrolment."""
        return await admit_authority(
            request,
            secretariat=self.secretariat,
            transport=TransportAuthority.load(self.home.transport_ca),
            freshness=self.freshness,
            bus=self.bus(),
            administration=self.administration,
            now_ms=self.clock.now_ms(),
            chance=SystemChance(),
            waiver_until_ms=waiver_until_ms,
        )

    async def enrol(self, name: str) -> Admission:
        """The whole of it: keys, admission, installation."""
        admission = await self.admit(self.request(name))
        install(self.state(name), encode_admission(admission))
        return admission


@pytest.fixture
def found_house(tmp_path: Path) -> Callable[[str], House]:
    """Found a deployment in a folder of this name."""

    def make(name: str) -> House:
        home, clock = Home(tmp_path / name), FixedClock(NOW_MS)
        found(home, Counts(shards=2, ledger_partitions=2), now_ms=NOW_MS, chance=SystemChance())
        specs = topic_specs([], shards=2, ledger_partitions=2, replication=1)
        return House(home, clock, MemoryBroker(clock, specs=specs, rules=access_rules([], shards=2)))

    return make


@pytest.fixture
def house(found_house: Callable[[str], House]) -> House:
    """A deployment in files; no authority yet, nothing published."""
    return found_house("house")


@pytest.fixture
def world() -> World:
    """A deployment of three signers, two of whom must sign; no authority yet, nothing published."""
    signers = tuple(person() for _ in range(3))
    freshness_keys = person()
    anchor = Anchor(
        deployment=sha256(b"test deployment"),
        threshold=2,
        signers=tuple(tuple(key.public for key in signer) for signer in signers),
    )
    trust = TrustList(
        deployment=anchor.deployment,
        number=1,
        issued_ms=NOW_MS,
        next_update_ms=NOW_MS + 90 * DAY_MS,
        shards=2,
        ledger_partitions=2,
        authorities={},
        hub_keys=dict.fromkeys(HubRole, ()) | {HubRole.FRESHNESS: tuple(key.public for key in freshness_keys)},
    )
    clock = FixedClock(NOW_MS)
    specs = topic_specs([], shards=2, ledger_partitions=2, replication=1)
    broker = MemoryBroker(clock, specs=specs, rules=access_rules([], shards=2))
    return World(signers, freshness_keys, anchor, trust, broker, clock)


@pytest.fixture
def other_deployment(world: World) -> TrustList:
    """The same list under another deployment's name, to be signed by the same people."""
    return replace(world.trust, deployment=sha256(b"another deployment"))


@pytest.fixture
def key() -> PublicKey:
    """An inbox key."""
    return encryption_key(7)
