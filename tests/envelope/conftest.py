"""A small world: three States with their CAs, an authority each, a hub, a secretariat of three, and a valid record."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from hub.core.authority import (
    Anchor,
    Authority,
    EncryptionKey,
    HubRole,
    KeyUse,
    PublicKey,
    SigningKey,
    Status,
    TrustList,
)
from hub.core.ids import AuthorityId, KeyId, MessageId, ThreadId, sha256
from hub.core.manifest import BodyReference, ClockKind, ClockOperation, ClockVerb, Manifest, MessageType, Priority
from hub.core.records import JWS_HEADER, Record
from hub.core.times import parse_time
from hub.envelope import jws, pki
from hub.envelope.manifest import encode
from hub.envelope.signers import SoftwareSigner, generate_signer, private_pem, signer_from_pem
from hub.envelope.suites import SUITES, thumbprint

FROM_MS = parse_time("2026-01-01T00:00:00Z")
NOW_MS = parse_time("2026-11-25T09:00:00Z")
UNTIL_MS = parse_time("2027-12-31T00:00:00Z")
HOUR_MS = 3600 * 1000
VALUE = b'{"ciphertext":"c2VhbGVk"}'
XA, XB, XC = AuthorityId("xa-moj"), AuthorityId("xb-pgo"), AuthorityId("xc-acc")


@dataclass(frozen=True)
class State:
    """One State: its CA, its authority as the list names it, the authority's signers with certificates."""

    ca: pki.CertificateAuthority
    authority: Authority
    signers: tuple[SoftwareSigner, ...]

    def key(self, use: KeyUse) -> KeyId:
        """The encryption key of a use."""
        return next(key.id for key in self.authority.encryption if key.use is use)


@dataclass(frozen=True)
class World:
    """Everything a check needs; ``record`` makes a valid one, with whatever a test changes."""

    states: dict[AuthorityId, State]
    hub: dict[HubRole, tuple[SoftwareSigner, ...]]
    secretariat: tuple[tuple[SoftwareSigner, ...], ...]
    anchor: Anchor
    trust: TrustList

    def manifest(self, **changes) -> Manifest:
        """A request of xa-moj to xb-pgo over ``VALUE``, with some members changed."""
        manifest = Manifest(
            suite="S1",
            id=MessageId("019abcde-0000-7000-8000-000000000001"),
            type=MessageType.REQUEST,
            deployment=self.trust.deployment,
            sender=XA,
            recipient=XB,
            thread=ThreadId("0123456789abcdef0123456789abcdef"),
            in_reply_to=None,
            sequence=1,
            previous=None,
            issued_ms=NOW_MS,
            expires_ms=NOW_MS + 72 * HOUR_MS,
            priority=Priority.NORMAL,
            clocks=(ClockOperation(ClockVerb.START, "0123456789abcdef", ClockKind.REPLY, NOW_MS + 720 * HOUR_MS),),
            signature_algorithms=("Ed25519", "ML-DSA-65"),
            trust_list=self.trust.number,
            body=BodyReference(sha256(VALUE), len(VALUE), sha256(b"content")),
            recipient_keys=(
                (XB, self.states[XB].key(KeyUse.INBOX)),
                (XA, self.states[XA].key(KeyUse.ARCHIVE)),
            ),
            attachments=(),
            receipts=(),
        )
        return replace(manifest, **changes)

    def sign(self, payload: bytes, *, signers=None, typ: str = jws.TYP_MANIFEST) -> bytes:
        """A manifest's JWS, by xa-moj unless others sign."""
        return jws.sign(payload, typ=typ, signers=signers or self.states[XA].signers, issued_s=NOW_MS // 1000)

    def sign_with_certificate(self, signer: SoftwareSigner, certificate: bytes) -> SoftwareSigner:
        """The same key, naming another certificate of it."""
        return with_certificate(signer, certificate)

    def record(
        self, manifest: Manifest | None = None, *, header: bytes | None = None, signers=None, **changes
    ) -> Record:
        """A valid record in xa-moj's outbox, with some of manifest, JWS bytes, signers or record fields changed."""
        manifest = manifest or self.manifest()
        header = header if header is not None else self.sign(encode(manifest), signers=signers)
        record = Record(
            topic="outbox.xa-moj",
            partition=0,
            offset=7,
            time_ms=NOW_MS + 1000,
            key=manifest.record_key.encode(),
            value=VALUE,
            headers=((JWS_HEADER, header),),
        )
        return replace(record, **changes)


def with_certificate(signer: SoftwareSigner, certificate: bytes) -> SoftwareSigner:
    """The same key, naming ``certificate``."""
    return signer_from_pem(private_pem(signer), certificate_der=certificate)


def make_state(name: AuthorityId, *, suite: str = "S1") -> State:
    """A State with a CA of its own and one authority, enrolled and active."""
    valid = pki.Validity(serial=7, from_ms=FROM_MS, until_ms=UNTIL_MS)
    ca = pki.make_authority_ca(f"CA of {name}", valid)
    signers, keys = [], []
    for algorithm in SUITES[suite].signatures:
        signer = generate_signer(algorithm)
        certificate = pki.issue_signing_certificate(ca, name, signer.public, valid)
        signers.append(with_certificate(signer, certificate))
        keys.append(SigningKey(signer.key, algorithm, certificate, FROM_MS, UNTIL_MS))
    wrap = SUITES[suite].key_wrap
    encryption = tuple(EncryptionKey(sealing_key(name, use, wrap).id, wrap, use, FROM_MS, UNTIL_MS) for use in KeyUse)
    authority = Authority(
        id=name,
        name=f"Authority {name}",
        suite=suite,
        status=((Status.ACTIVE, FROM_MS),),
        anchors=(ca.certificate,),
        signing=tuple(keys),
        encryption=encryption,
    )
    return State(ca, authority, tuple(signers))


def sealing_key(name: str, use: KeyUse, algorithm: str = "HPKE-10-KE") -> PublicKey:
    """A public key for sealing that nobody holds the other half of: enough for whoever only reads its id."""
    length = {"HPKE-10-KE": 1216, "HPKE-12-KE": 1665, "ECDH-ES+A256KW": 32}[algorithm]
    public = f"{name} {use} ".encode().ljust(length, b".")[:length]
    return PublicKey(thumbprint(algorithm, public), algorithm, public)


def make_world() -> World:
    """Three States, the hub's roles, two of three signers, trust list number 5."""
    states = {name: make_state(name) for name in (XA, XB, XC)}
    hub = {role: tuple(generate_signer(each) for each in ("Ed25519", "ML-DSA-65")) for role in HubRole}
    secretariat = tuple(tuple(generate_signer(each) for each in ("Ed25519", "ML-DSA-65")) for _ in range(3))
    deployment = sha256(b"the deployment of these tests")
    trust = TrustList(
        deployment=deployment,
        number=5,
        issued_ms=NOW_MS - HOUR_MS,
        next_update_ms=NOW_MS + 90 * 24 * HOUR_MS,
        shards=2,
        ledger_partitions=4,
        authorities={name: state.authority for name, state in states.items()},
        hub_keys={role: tuple(signer.public for signer in signers) for role, signers in hub.items()},
    )
    anchor = Anchor(
        deployment=deployment,
        threshold=2,
        signers=tuple(tuple(key.public for key in signer) for signer in secretariat),
    )
    return World(states, hub, secretariat, anchor, trust)


@pytest.fixture(scope="session")
def world() -> World:
    """The world of all tests of the envelope: values, so that none can spoil it for another."""
    return make_world()


@pytest.fixture(scope="session", name="sealing_key")
def _sealing_key():
    """``sealing_key`` for tests: authority and use to the public key that the list names."""
    return sealing_key
