"""For tests and for whoever writes a connector: a broker in memory, a still clock, counted chance, a fake authority.

A running hub takes nothing from here but the memory broker of ``comity demo --bus memory``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from hub.adapters.memory import MemoryBroker, MemoryBus
from hub.adapters.memory.bus import Fault
from hub.core.authority import Authority, EncryptionKey, HubRole, KeyUse, PublicKey, SigningKey, Status, TrustList
from hub.core.ids import AuthorityId, Digest, KeyId, MessageId, ThreadId, sha256, uuid7
from hub.core.limits import VALIDITY_MS_MAX
from hub.core.manifest import BodyReference, ClockOperation, Manifest, MessageType, Priority, ReceiptReference
from hub.core.records import JWS_HEADER, Outgoing
from hub.core.topics import outbox
from hub.envelope import jws, pki
from hub.envelope.manifest import encode
from hub.envelope.signers import SoftwareSigner, generate_signer, private_pem, signer_from_pem
from hub.envelope.suites import SUITES

__all__ = ["CountedChance", "FakeAuthority", "Fault", "FixedClock", "MemoryBroker", "MemoryBus", "fake_trust_list"]

_DAY_MS: Final = 24 * 3600 * 1000


class FixedClock:
    """A clock that a test moves. Implements ``hub.ports.Clock``."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""
        return self._now_ms

    def advance(self, span_ms: int) -> None:
        """Let ``span_ms`` milliseconds pass."""
        self._now_ms += span_ms


class CountedChance:
    """Chance that is different at each draw and the same in each run. Implements ``hub.ports.Chance``. Never for keys."""

    def __init__(self, start: int = 0) -> None:
        self._drawn = start

    def bytes(self, count: int) -> bytes:
        """``count`` bytes: the number of the draw, from the right."""
        self._drawn += 1
        return self._drawn.to_bytes(max(count, 8), "big")[-count:] if count else b""


class FakeAuthority:
    """An authority with real keys that signs manifests over opaque values, and keeps its chains as a gateway does.

    What it writes passes every check of the hub. Nothing in it can be opened: sealing is a connector's work. Its keys
    are new in each run; they are valid from a day before ``now_ms`` for 30 days.
    """

    def __init__(self, authority: AuthorityId, *, now_ms: int, suite: str = "S1") -> None:
        self.id = authority
        self._suite = SUITES[suite]
        from_ms, until_ms = now_ms - _DAY_MS, now_ms + 30 * _DAY_MS
        validity = pki.Validity(serial=1, from_ms=from_ms, until_ms=until_ms)
        ca = pki.make_authority_ca(f"{authority} CA", validity)
        self.signers = tuple(_certified(ca, authority, name, validity) for name in self._suite.signatures)
        self.authority = Authority(
            id=authority,
            name=f"Fake authority {authority}",
            suite=self._suite.id,
            status=((Status.ACTIVE, from_ms),),
            anchors=(ca.certificate,),
            signing=tuple(
                SigningKey(signer.key, signer.algorithm, certificate, from_ms, until_ms)
                for signer, certificate in self.signers
            ),
            encryption=tuple(
                EncryptionKey(self.encryption_key(use), self._suite.key_wrap, use, from_ms, until_ms) for use in KeyUse
            ),
        )
        self._chains: dict[AuthorityId, tuple[int, Digest | None]] = {}
        self._chance = CountedChance()

    def encryption_key(self, use: KeyUse) -> KeyId:
        """The id of a key that nobody has."""
        return KeyId(sha256(f"{self.id} {use}".encode()))

    def letter(
        self,
        recipient: AuthorityId,
        *,
        trust: TrustList,
        now_ms: int,
        value: bytes = b'{"opaque":true}',
        kind: MessageType = MessageType.REQUEST,
        thread: ThreadId | None = None,
        in_reply_to: MessageId | None = None,
        clocks: Sequence[ClockOperation] = (),
    ) -> Outgoing:
        """The next message to ``recipient``, as a record for this authority's outbox. A new thread unless told."""
        manifest = self.manifest(
            recipient,
            trust=trust,
            now_ms=now_ms,
            value=value,
            kind=kind,
            thread=thread,
            in_reply_to=in_reply_to,
            clocks=clocks,
        )
        return self.publish(manifest, value, now_ms=now_ms)

    def manifest(
        self,
        recipient: AuthorityId,
        *,
        trust: TrustList,
        now_ms: int,
        value: bytes = b'{"opaque":true}',
        kind: MessageType = MessageType.REQUEST,
        thread: ThreadId | None = None,
        in_reply_to: MessageId | None = None,
        clocks: Sequence[ClockOperation] = (),
    ) -> Manifest:
        """What the next message to ``recipient`` says. Nothing is signed or counted yet."""
        sequence, previous = self._chains.get(recipient, (0, None))
        inbox_key = next(
            (key.id for key in trust.authorities[recipient].encryption if key.use is KeyUse.INBOX),
            self.encryption_key(KeyUse.INBOX),
        )
        return Manifest(
            suite=self._suite.id,
            id=uuid7(now_ms, sha256(self.id.encode()).encode()[:6] + self._chance.bytes(4)),
            type=kind,
            deployment=trust.deployment,
            sender=self.id,
            recipient=recipient,
            thread=thread or ThreadId(self._chance.bytes(16).hex()),
            in_reply_to=in_reply_to,
            sequence=sequence + 1,
            previous=previous,
            issued_ms=now_ms // 1000 * 1000,
            expires_ms=now_ms // 1000 * 1000 + VALIDITY_MS_MAX,
            priority=Priority.NORMAL,
            clocks=tuple(clocks),
            signature_algorithms=self._suite.signatures,
            trust_list=trust.number,
            body=BodyReference(sha256(value), len(value), sha256(b"no plaintext" + value)),
            recipient_keys=((recipient, inbox_key), (self.id, self.encryption_key(KeyUse.ARCHIVE))),
            attachments=(),
            receipts=(),
        )

    def receipt_list(
        self, recipient: AuthorityId, receipts: Sequence[ReceiptReference], *, trust: TrustList, now_ms: int
    ) -> Outgoing:
        """What became of ``recipient``'s messages, as the next record of the pair."""
        letter = self.manifest(recipient, trust=trust, now_ms=now_ms, value=b"", kind=MessageType.RECEIPT)
        body = BodyReference(sha256(b""), 0, None)
        manifest = replace(letter, thread=None, body=body, recipient_keys=(), receipts=tuple(receipts))
        return self.publish(manifest, b"", now_ms=now_ms)

    def publish(self, manifest: Manifest, value: bytes, *, now_ms: int) -> Outgoing:
        """Sign any manifest, true or false, and count it as sent."""
        record = self.sign(manifest, value, now_ms=now_ms)
        self._chains[manifest.recipient] = (manifest.sequence, sha256(dict(record.headers)[JWS_HEADER]))
        return record

    def sign(self, manifest: Manifest, value: bytes, *, now_ms: int) -> Outgoing:
        """Sign any manifest, true or false. Its pair goes on as if it had not been."""
        signers = tuple(signer for signer, _ in self.signers)
        header = jws.sign(encode(manifest), typ=jws.TYP_MANIFEST, signers=signers, issued_s=now_ms // 1000)
        return Outgoing(outbox(self.id), manifest.record_key.encode(), value, ((JWS_HEADER, header),))


def fake_trust_list(
    authorities: Iterable[FakeAuthority],
    *,
    now_ms: int,
    number: int = 1,
    shards: int = 2,
    ledger_partitions: int = 2,
    hub_keys: Mapping[HubRole, tuple[PublicKey, ...]] | None = None,
) -> TrustList:
    """A trust list that names these authorities, as a value; nobody signed it."""
    return TrustList(
        deployment=sha256(b"a fake deployment"),
        number=number,
        issued_ms=now_ms,
        next_update_ms=now_ms + 30 * _DAY_MS,
        shards=shards,
        ledger_partitions=ledger_partitions,
        authorities={each.id: each.authority for each in authorities},
        hub_keys=hub_keys or {},
    )


def _certified(
    ca: pki.CertificateAuthority, authority: AuthorityId, algorithm: str, validity: pki.Validity
) -> tuple[SoftwareSigner, bytes]:
    """A new signing key with its certificate."""
    bare = generate_signer(algorithm)
    certificate = pki.issue_signing_certificate(ca, authority, bare.public, validity)
    return signer_from_pem(private_pem(bare), certificate_der=certificate), certificate
