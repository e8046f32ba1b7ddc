"""Three States with real keys on the memory bus, each with its gateway, and a hub that runs the real steps of ``flow``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from connectors.gateway.keyring import Keyring
from connectors.ports import ClockWish
from connectors.seal.keys import DecryptionKey, generate_decryption_key, public
from hub.adapters.clock import SystemChance
from hub.core.access import ROUTER, WATCH, access_rules, topic_specs
from hub.core.authority import (
    Authority,
    EncryptionKey,
    Freshness,
    HubRole,
    KeyUse,
    SigningKey,
    Status,
    TrustList,
    TrustView,
)
from hub.core.ids import AuthorityId, KeyId, sha256
from hub.core.manifest import ClockKind, ClockVerb
from hub.core.receipts import Claim
from hub.core.records import HUB_HEADER, Outgoing
from hub.core.shard import ShardState
from hub.core.times import format_time, parse_time
from hub.core.topics import inbox, outbox
from hub.envelope import jws, pki
from hub.envelope.certificates import PathCache
from hub.envelope.receipts import WriterState, make_bundles
from hub.envelope.signers import SoftwareSigner, generate_signer, private_pem, signer_from_pem
from hub.envelope.suites import SUITES
from hub.envelope.trust import KeyStatement
from hub.flow import check, route
from hub.testing import FixedClock, MemoryBroker

FROM_MS = parse_time("2026-01-01T00:00:00Z")
NOW_MS = parse_time("2026-11-25T09:00:00Z")
UNTIL_MS = parse_time("2027-12-31T00:00:00Z")
HOUR_MS = 3_600_000
XA, XB, XC = AuthorityId("xa-moj"), AuthorityId("xb-pgo"), AuthorityId("xc-acc")
CANARY = "canary-7f3a-plaintext"


@dataclass(frozen=True)
class Enrolled:
    """An authority's private keys and what the trust list says of it."""

    authority: Authority
    keyring: Keyring


def enrol(name: AuthorityId) -> Enrolled:
    """A State of its own with an active authority."""
    valid = pki.Validity(serial=7, from_ms=FROM_MS, until_ms=UNTIL_MS)
    ca = pki.make_authority_ca(f"CA of {name}", valid)
    signers, keys = [], []
    for algorithm in SUITES["S1"].signatures:
        bare = generate_signer(algorithm)
        leaf = pki.issue_signing_certificate(ca, name, bare.public, valid)
        signers.append(signer_from_pem(private_pem(bare), certificate_der=leaf))
        keys.append(SigningKey(bare.key, algorithm, leaf, FROM_MS, UNTIL_MS))
    chance = SystemChance()
    opening: tuple[DecryptionKey, ...] = tuple(
        generate_decryption_key(SUITES["S1"].key_wrap, use, seed=chance.bytes(32)) for use in KeyUse
    )
    authority = Authority(
        id=name,
        name=f"Authority {name}",
        suite="S1",
        status=((Status.ACTIVE, FROM_MS),),
        anchors=(ca.certificate,),
        signing=tuple(keys),
        encryption=tuple(EncryptionKey(key.kid, key.algorithm, key.use, FROM_MS, UNTIL_MS) for key in opening),
    )
    return Enrolled(authority, Keyring(tuple(signers), opening, chance.bytes(32)))


@dataclass(frozen=True)
class Keys:
    """All keys of the world: they take a while to make."""

    members: dict[AuthorityId, Enrolled]
    hub: dict[HubRole, tuple[SoftwareSigner, ...]]


@pytest.fixture(scope="session")
def keys() -> Keys:
    """Made once for all tests."""
    pair = ("Ed25519", "ML-DSA-65")
    roles = {role: tuple(generate_signer(each) for each in pair) for role in (HubRole.ROUTER, HubRole.WATCH)}
    return Keys({name: enrol(name) for name in (XA, XB, XC)}, roles)


class Trust:
    """What a directory follower shows: implements ``view`` and ``statements``."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self.trust = TrustList(
            deployment=sha256(b"deployment"),
            number=1,
            issued_ms=FROM_MS,
            next_update_ms=UNTIL_MS,
            shards=1,
            ledger_partitions=1,
            authorities={name: each.authority for name, each in keys.members.items()},
            hub_keys={role: tuple(signer.public for signer in signers) for role, signers in keys.hub.items()},
        )
        self.lists = {1: self.trust}
        self.freshness = Freshness(1, NOW_MS)

    @property
    def view(self) -> TrustView:
        """All lists and the freshness statement."""
        return TrustView(dict(self.lists), self.freshness)

    @property
    def statements(self) -> dict[KeyId, KeyStatement]:
        """The public keys of all authorities."""
        return {
            key.kid: KeyStatement(name, public(key), key.use, FROM_MS, UNTIL_MS)
            for name, each in self._keys.members.items()
            for key in each.keyring.decryption
        }

    async def changed(self) -> None:
        """No list comes while a test runs the loops."""
        await asyncio.Event().wait()

    def change(self, name: AuthorityId, **changes: Any) -> None:
        """The next list, in which one authority is changed."""
        members = dict(self.trust.authorities)
        members[name] = replace(members[name], **changes)
        self.trust = replace(self.trust, number=self.trust.number + 1, authorities=members)
        self.lists[self.trust.number] = self.trust
        self.freshness = replace(self.freshness, number=self.trust.number)


@dataclass
class Hub:
    """Router and watch as one object, on the broker: the real steps, one transaction per call."""

    broker: MemoryBroker
    trust: Trust
    signers: dict[HubRole, tuple[SoftwareSigner, ...]]
    state: ShardState = field(default_factory=ShardState)
    paths: PathCache = field(default_factory=PathCache)
    tamper: Callable[[Outgoing], list[Outgoing]] = field(default=lambda record: [record])
    watched: dict[str, WriterState] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)

    def sign(self, role: HubRole) -> Callable[[bytes], bytes]:
        """Signs heads as a role."""
        return lambda head: jws.sign(head, typ=jws.TYP_HEAD, signers=self.signers[role], issued_s=NOW_MS // 1000)

    def route(self) -> int:
        """Route all that waits in the outboxes; how many records were decided."""
        decided = 0
        for name in self.trust.trust.authorities:
            topic = outbox(name)
            waiting = self.broker.records(topic)[self.offsets.get(topic, 0) :]
            if not waiting:
                continue
            judged = check(waiting, self.trust.trust, paths=self.paths).judged
            routing = route(judged, self.state, shard=0, trust=self.trust.trust, sign=self.sign(HubRole.ROUTER))
            self.state = routing.state
            for record in routing.records:
                for each in self.tamper(record) if record.topic.startswith("inbox.") else [record]:
                    self.broker.append(ROUTER, each)
            self.offsets[topic] = self.offsets.get(topic, 0) + len(judged)
            decided += len(judged)
        return decided

    def say(self, claims: list[Claim], *names: AuthorityId) -> None:
        """The watch tells these authorities something."""
        topics = [inbox(name) for name in names]
        none = WriterState(0, None)
        bundles = make_bundles(
            dict.fromkeys(topics, claims),
            writer="watch-0",
            head_state=self.watched.get("#", none),
            inbox_states={topic: self.watched.get(topic, none) for topic in topics},
            sign=self.sign(HubRole.WATCH),
            time_ms=NOW_MS,
        )
        self.watched |= {"#": bundles.head_state, **bundles.inbox_states}
        for topic, value in bundles.records.items():
            self.broker.append(WATCH, Outgoing(topic, None, value, ((HUB_HEADER, b"bundle/1"),)))


def request(subject: str = "road contract") -> bytes:
    """A complete request."""
    return json.dumps(
        {
            "event": "mla.request.submitted",
            "version": 1,
            "legal_basis": "UNCAC article 46",
            "occurred_at": format_time(NOW_MS),
            "requesting_authority": {"name": "Ministry of Justice", "contact": None},
            "subject_matter": subject,
            "nature": "investigation",
            "conducting_authority": {"name": "Investigating judge", "functions": "pre-trial investigation"},
            "summary_of_facts": f"Payments without services. {CANARY}",
            "assistance_types": ["f"],
            "assistance_sought": "Bank records.",
            "purpose": "To trace the proceeds.",
            "language": "en",
            "reference": "XA/1",
        }
    ).encode()


def acknowledgement() -> bytes:
    """A complete acknowledgement."""
    return json.dumps(
        {
            "event": "mla.acknowledged",
            "version": 1,
            "legal_basis": "UNCAC article 46",
            "occurred_at": format_time(NOW_MS),
            "reference": "XB/1",
            "handling_unit": {"name": "International cooperation", "contact": None},
            "received_on": "2026-11-25",
            "complete": True,
            "estimated_response_date": "2026-12-20",
        }
    ).encode()


def executed() -> bytes:
    """A complete answer."""
    return json.dumps(
        {
            "event": "mla.executed",
            "version": 1,
            "legal_basis": "UNCAC article 46",
            "occurred_at": format_time(NOW_MS),
            "reference": "XB/1",
            "items": ["bank records"],
        }
    ).encode()


@pytest.fixture
def hub(keys: Keys) -> Hub:
    """A hub on a broker of its own, with all topics and permissions; nothing was written yet."""
    trust = Trust(keys)
    specs = topic_specs(trust.trust.authorities, shards=1, ledger_partitions=1, replication=1)
    broker = MemoryBroker(FixedClock(NOW_MS), specs=specs, rules=access_rules(trust.trust.authorities, shards=1))
    return Hub(broker, trust, keys.hub)


@pytest.fixture
def reply_clock() -> ClockWish:
    """A clock that runs for a month."""
    return ClockWish(ClockVerb.START, ClockKind.REPLY, None, NOW_MS + 720 * HOUR_MS)


@pytest.fixture
def documents() -> dict[str, bytes]:
    """Complete documents by name."""
    return {"request": request(), "ack": acknowledgement(), "executed": executed()}


@pytest.fixture
def canary() -> str:
    """A text that must stay sealed."""
    return CANARY
