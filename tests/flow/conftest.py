"""A small world: three authorities with real keys, the router's keys, a trust list, a clock, and whoever writes letters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from hub.core.access import access_rules, topic_specs
from hub.core.authority import (
    Authority,
    EncryptionKey,
    Freshness,
    HubRole,
    KeyUse,
    PublicKey,
    SigningKey,
    Status,
    TrustList,
    TrustView,
)
from hub.core.ids import AuthorityId, Digest, KeyId, MessageId, ThreadId, sha256, uuid7
from hub.core.manifest import (
    BodyReference,
    ClockKind,
    ClockOperation,
    ClockVerb,
    Manifest,
    MessageType,
    Priority,
    ReceiptLevel,
    ReceiptReference,
)
from hub.core.records import JWS_HEADER, Outgoing, Record
from hub.core.times import parse_time
from hub.core.topics import outbox
from hub.envelope import jws, pki
from hub.envelope.manifest import encode
from hub.envelope.signers import SoftwareSigner, generate_signer, private_pem, signer_from_pem
from hub.envelope.suites import SUITES, thumbprint
from hub.testing import FixedClock, MemoryBroker

FROM_MS = parse_time("2026-01-01T00:00:00Z")
NOW_MS = parse_time("2026-11-25T09:00:00Z")
UNTIL_MS = parse_time("2027-12-31T00:00:00Z")
HOUR_MS = 3600 * 1000
XA, XB, XC = AuthorityId("xa-moj"), AuthorityId("xb-pgo"), AuthorityId("xc-acc")
THREAD = ThreadId("0123456789abcdef0123456789abcdef")


@dataclass
class Author:
    """An authority that signs, and keeps its chains: what its gateway would do. Values are not sealed: nobody looks."""

    authority: Authority
    signers: tuple[SoftwareSigner, ...]
    trust: Callable[[], TrustList]
    chains: dict[AuthorityId, tuple[int, Digest | None]] = field(default_factory=dict)
    written: int = 0

    @property
    def id(self) -> AuthorityId:
        """Its name."""
        return self.authority.id

    def manifest(self, recipient: AuthorityId, **changes) -> Manifest:
        """The next manifest to ``recipient``, with some members changed."""
        self.written += 1
        last, previous = self.chains.get(recipient, (0, None))
        value = changes.pop("value", self.value(self.written))
        trust = self.trust()
        other = trust.authorities.get(recipient)
        manifest = Manifest(
            suite="S1",
            id=uuid7(NOW_MS, self.id.encode()[:6] + self.written.to_bytes(4, "big")),
            type=MessageType.REQUEST,
            deployment=trust.deployment,
            sender=self.id,
            recipient=recipient,
            thread=THREAD,
            in_reply_to=None,
            sequence=last + 1,
            previous=previous,
            issued_ms=NOW_MS,
            expires_ms=NOW_MS + 72 * HOUR_MS,
            priority=Priority.NORMAL,
            clocks=(),
            signature_algorithms=SUITES["S1"].signatures,
            trust_list=trust.number,
            body=BodyReference(sha256(value), len(value), sha256(b"content")),
            recipient_keys=(
                (recipient, key_of(other, KeyUse.INBOX) if other else key_of(self.authority, KeyUse.INBOX)),
                (self.id, key_of(self.authority, KeyUse.ARCHIVE)),
            ),
            attachments=(),
            receipts=(),
        )
        return replace(manifest, **changes)

    def value(self, number: int) -> bytes:
        """The value bytes of its ``number``-th message."""
        return b'{"ciphertext":"%s %d"}' % (self.id.encode(), number)

    def publish(self, manifest: Manifest, *, keep: bool = True, **changes) -> Outgoing:
        """The outbox record of a manifest; the chain moves on if ``keep``. Record fields may be changed."""
        header = jws.sign(encode(manifest), typ=jws.TYP_MANIFEST, signers=self.signers, issued_s=NOW_MS // 1000)
        if keep:
            self.chains[manifest.recipient] = (manifest.sequence, sha256(header))
        value = b"" if manifest.type is MessageType.RECEIPT else self.value(self.written)
        outgoing = Outgoing(outbox(self.id), manifest.record_key.encode(), value, ((JWS_HEADER, header),))
        return replace(outgoing, **changes)

    def letter(self, recipient: AuthorityId, **changes) -> Outgoing:
        """The next valid message to ``recipient``, as an outbox record."""
        return self.publish(self.manifest(recipient, **changes))

    def receipts(self, recipient: AuthorityId, *messages: MessageId) -> Outgoing:
        """A receipt list: these messages were delivered."""
        manifest = self.manifest(
            recipient,
            type=MessageType.RECEIPT,
            thread=None,
            clocks=(),
            body=BodyReference(sha256(b""), 0, None),
            recipient_keys=(),
            receipts=tuple(
                ReceiptReference(ReceiptLevel.DELIVERED, message, THREAD, sha256(b"proof"), None)
                for message in messages
            ),
        )
        return self.publish(manifest)


@dataclass
class World:
    """Everything that the router needs but a broker. ``trust`` may be replaced by the next list."""

    authors: dict[AuthorityId, Author]
    router: tuple[SoftwareSigner, ...]
    trust: TrustList
    clock: FixedClock
    freshness_ms: int = NOW_MS

    @property
    def view(self) -> TrustView:
        """What a directory follower shows."""
        return TrustView({self.trust.number: self.trust}, Freshness(self.trust.number, self.freshness_ms))

    def sign(self, head: bytes) -> bytes:
        """A head's JWS by the router."""
        return jws.sign(head, typ=jws.TYP_HEAD, signers=self.router, issued_s=NOW_MS // 1000)

    def broker(self) -> MemoryBroker:
        """A broker with all topics and permissions of the trust list."""
        specs = topic_specs(
            self.trust.authorities,
            shards=self.trust.shards,
            ledger_partitions=self.trust.ledger_partitions,
            replication=1,
        )
        return MemoryBroker(
            self.clock, specs=specs, rules=access_rules(self.trust.authorities, shards=self.trust.shards)
        )

    def record(self, outgoing: Outgoing, offset: int = 0, *, time_ms: int = NOW_MS + 1000) -> Record:
        """The record that a broker would make of it."""
        return Record(outgoing.topic, 0, offset, time_ms, outgoing.key, outgoing.value, outgoing.headers)

    def change(self, name: AuthorityId, **changes) -> None:
        """The next trust list, in which one authority is changed."""
        authorities = dict(self.trust.authorities)
        authorities[name] = replace(authorities[name], **changes)
        self.trust = replace(self.trust, number=self.trust.number + 1, authorities=authorities)


def key_of(authority: Authority, use: KeyUse) -> KeyId:
    """The id of an authority's encryption key."""
    return next(key.id for key in authority.encryption if key.use is use)


def make_author(name: AuthorityId, trust: Callable[[], TrustList]) -> Author:
    """An authority of a State of its own, enrolled and active."""
    valid = pki.Validity(serial=7, from_ms=FROM_MS, until_ms=UNTIL_MS)
    ca = pki.make_authority_ca(f"CA of {name}", valid)
    signers, keys = [], []
    for algorithm in SUITES["S1"].signatures:
        signer = generate_signer(algorithm)
        certificate = pki.issue_signing_certificate(ca, name, signer.public, valid)
        signers.append(signer_from_pem(private_pem(signer), certificate_der=certificate))
        keys.append(SigningKey(signer.key, algorithm, certificate, FROM_MS, UNTIL_MS))
    wrap = SUITES["S1"].key_wrap
    encryption = tuple(
        EncryptionKey(thumbprint(wrap, f"{name} {use} ".encode().ljust(1216, b".")), wrap, use, FROM_MS, UNTIL_MS)
        for use in KeyUse
    )
    authority = Authority(
        id=name,
        name=f"Authority {name}",
        suite="S1",
        status=((Status.ACTIVE, FROM_MS),),
        anchors=(ca.certificate,),
        signing=tuple(keys),
        encryption=encryption,
    )
    return Author(authority, tuple(signers), trust)


def make_world(*names: AuthorityId, shards: int = 2) -> World:
    """A world of these authorities, trust list number 5."""
    router = tuple(generate_signer(each) for each in ("Ed25519", "ML-DSA-65"))
    public: tuple[PublicKey, ...] = tuple(signer.public for signer in router)
    holder: list[World] = []
    authors = {name: make_author(name, lambda: holder[0].trust) for name in names}
    trust = TrustList(
        deployment=sha256(b"deployment"),
        number=5,
        issued_ms=FROM_MS,
        next_update_ms=UNTIL_MS,
        shards=shards,
        ledger_partitions=4,
        authorities={name: author.authority for name, author in authors.items()},
        hub_keys={HubRole.ROUTER: public},
    )
    holder.append(World(authors, router, trust, FixedClock(NOW_MS)))
    return holder[0]


@pytest.fixture(scope="session")
def _keys() -> World:
    """Keys take a while to make: once for all tests."""
    return make_world(XA, XB, XC)


@pytest.fixture
def world(_keys: World) -> World:
    """A fresh world with the same keys: nothing written yet, list number 5."""
    fresh = World(dict(_keys.authors), _keys.router, _keys.trust, FixedClock(NOW_MS))
    fresh.authors = {
        name: Author(author.authority, author.signers, lambda: fresh.trust) for name, author in _keys.authors.items()
    }
    return fresh


@pytest.fixture
def xa(world: World) -> Author:
    """The authority that mostly writes."""
    return world.authors[XA]


@pytest.fixture
def xb(world: World) -> Author:
    """The authority that mostly answers."""
    return world.authors[XB]


@pytest.fixture
def xc(world: World) -> Author:
    """A third one."""
    return world.authors[XC]


@pytest.fixture
def reply_clock() -> ClockOperation:
    """A clock that runs for a month."""
    return ClockOperation(ClockVerb.START, "0123456789abcdef", ClockKind.REPLY, NOW_MS + 720 * HOUR_MS)
