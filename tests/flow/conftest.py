"""A small world: three authorities with real keys, the router's keys, a trust list, a clock, and whoever writes letters."""

from __future__ import annotations

import asyncio
from collections import defaultdict
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
from hub.core.records import HUB_HEADER, JWS_HEADER, Outgoing, Record
from hub.core.times import parse_time
from hub.core.topics import outbox
from hub.envelope import jws, pki
from hub.envelope.manifest import encode
from hub.envelope.receipts import HeadCache, read_bundle
from hub.envelope.signers import SoftwareSigner, generate_signer, private_pem, signer_from_pem
from hub.envelope.suites import SUITES, thumbprint
from hub.settings import HubSettings
from hub.streams.process import Process
from hub.streams.router import run_router
from hub.testing import FixedClock, MemoryBroker, MemoryBus
from hub.wire.ledger import decode_ledger

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


class Hub:
    """A broker and workers of the router on it."""

    def __init__(self, world, home) -> None:
        self.world, self.home = world, home
        self.broker = world.broker()
        self.workers: list[tuple[Process, asyncio.Task]] = []

    def work(self, name: str = "1", *, bus: MemoryBus | None = None, **settings) -> asyncio.Task:
        """Start a worker."""
        process = Process("router", HubSettings(home=self.home, worker=name, **settings))
        running = run_router(
            process,
            bus=bus or MemoryBus(self.broker, "router"),
            directory=self.world,
            signers=self.world.router,
            clock=self.world.clock,
        )
        task = asyncio.create_task(running)
        self.workers.append((process, task))
        return task

    @property
    def process(self) -> Process:
        """The newest worker's process."""
        return self.workers[-1][0]

    async def leave(self, number: int = -1) -> None:
        """Stop a worker cleanly."""
        process, task = self.workers.pop(number)
        process.stop()
        await task

    async def send(self, *outgoing) -> None:
        """Publish outbox records as their owners."""
        for each in outgoing:
            writer = await MemoryBus(self.broker, each.topic.removeprefix("outbox.")).writer()
            await writer.send([each])

    def entries(self) -> list:
        """The message entries of the ledger; the numbers of each writer have no gap."""
        numbers = defaultdict(list)
        found = []
        for record in self.broker.records("hub.ledger"):
            read = decode_ledger(record.value)
            numbers[read.writer, record.partition].append(read.n)
            found.extend(entry for entry in read.entries if hasattr(entry, "counted"))
        for each in numbers.values():
            assert each == list(range(1, len(each) + 1))
        return found

    def codes(self) -> list[str]:
        """Where each decided record lies, and what was said of it."""
        return sorted(f"{each.outbox.topic}/{each.outbox.offset} {each.code or 'accepted'}" for each in self.entries())

    async def decided(self, count: int) -> None:
        """Wait until ``count`` records were decided."""
        async with asyncio.timeout(20):
            while len(self.entries()) < count:
                await asyncio.sleep(0.01)

    def copies(self, authority: str) -> list:
        """The copies in an inbox, its bundles verified and without a gap."""
        topic, heads, chains = f"inbox.{authority}", HeadCache(), {}
        found = []
        for record in self.broker.records(topic):
            if HUB_HEADER not in dict(record.headers):
                found.append(record)
                continue
            bundle = read_bundle(record.value, inbox=topic, trust=self.world.trust, heads=heads)
            n, prev = chains.get(bundle.writer, (0, None))
            assert (bundle.chain.n, bundle.chain.prev) == (n + 1, prev)
            chains[bundle.writer] = (n + 1, bundle.digest)
        return found

    def check_exactly_once(self) -> None:
        """Every outbox record was decided once, and every accepted one lies in its recipient's inbox once, in order."""
        places = [(entry.outbox.topic, entry.outbox.offset) for entry in self.entries()]
        wanted, copies = [], defaultdict(list)
        for name in self.world.trust.authorities:
            outbox = self.broker.records(f"outbox.{name}")
            wanted += [(record.topic, record.offset) for record in outbox]
            accepted = {
                entry.outbox.offset: entry for entry in self.entries() if entry.outbox.topic == f"outbox.{name}"
            }
            for record in outbox:
                entry = accepted[record.offset]
                if entry.accepted and not entry.repeat:
                    copies[entry.recipient].append((record.value, record.headers))
        assert sorted(places) == sorted(wanted)
        for name in self.world.trust.authorities:
            found = [(record.value, record.headers) for record in self.copies(name)]
            assert sorted(found) == sorted(copies[name])
            for sender in self.world.trust.authorities:
                own = [pair for pair in found if sender.encode() in pair[0]]
                assert own == [pair for pair in copies[name] if sender.encode() in pair[0]]


@pytest.fixture
async def hub(world, tmp_path):
    """A hub without a worker; what still runs at the end is ended."""
    made = Hub(world, tmp_path)
    yield made
    for _, task in made.workers:
        task.cancel()
    await asyncio.gather(*(task for _, task in made.workers), return_exceptions=True)


@pytest.fixture
def letters(world: World):
    """``letters(n)``: n letters among all three authorities, and back."""

    def written(count: int) -> list[Outgoing]:
        names = list(world.authors)
        return [
            world.authors[names[number % 3]].letter(names[(number + 1 + number // 3 % 2) % 3])
            for number in range(count)
        ]

    return written
