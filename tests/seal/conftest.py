"""Three fictional authorities with keys and a trust list for each suite, and a forger who signs what no one should."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from connectors.seal.attachments import SealedAttachment, encrypt_stream, object_name
from connectors.seal.binding import additional_data
from connectors.seal.jwe import encrypt
from connectors.seal.keys import DecryptionKey, generate_decryption_key, public
from connectors.seal.padding import pad
from connectors.seal.sealing import Draft, Sealed, encrypt_draft, sign_encrypted
from hub.core.authority import Authority, EncryptionKey, KeyUse, PublicKey, Status, TrustList
from hub.core.ids import AuthorityId, sha256, thread_id, uuid7
from hub.core.manifest import BodyReference, Manifest, MessageType
from hub.envelope.signers import SoftwareSigner, generate_signer
from hub.envelope.suites import SUITES
from hub.testing import CountedChance

NOW_MS = 1_795_600_800_000  # 2026-11-25T10:00:00Z
YEAR_MS = 365 * 24 * 3600 * 1000


@dataclass(frozen=True)
class Party:
    """An authority with its private keys."""

    id: AuthorityId
    inbox: DecryptionKey
    archive: DecryptionKey
    signers: tuple[SoftwareSigner, ...]

    @property
    def keys(self) -> tuple[DecryptionKey, ...]:
        """All that it can open with."""
        return self.inbox, self.archive


@dataclass(frozen=True)
class World:
    """``xa`` sends to ``xb``; ``xc`` looks on. ``chance`` differs at each draw."""

    suite: str
    xa: Party
    xb: Party
    xc: Party
    trust: TrustList
    chance: CountedChance
    now_ms: int = NOW_MS

    def draft(self, **changes) -> Draft:
        """A request from xa to xb."""
        draft = Draft(
            id=uuid7(NOW_MS, bytes(10)),
            type=MessageType.REQUEST,
            sender=self.xa.id,
            recipient=self.xb.id,
            thread=thread_id("5" * 32),
            content=b'{"title":"Request for bank records","articles":["46"]}',
        )
        return replace(draft, **changes)

    def seal(self, draft: Draft | None = None, **changes) -> Sealed:
        """Seal a draft as xa, with anything changed."""
        arguments = {
            "chain": (1, None),
            "recipient_keys": [public(self.xb.inbox)],
            "archive_keys": [public(self.xa.archive)],
            "signers": self.xa.signers,
            "trust": self.trust,
            "now_ms": self.now_ms,
            "chance": self.chance,
            **changes,
        }
        chain = arguments.pop("chain")
        encrypted = encrypt_draft(draft or self.draft(), **arguments)
        return sign_encrypted(encrypted, chain=chain, signers=arguments["signers"])

    def forge(
        self,
        content: bytes = b"",
        *,
        manifest: Manifest | None = None,
        padded: bytes | None = None,
        aad: bytes | None = None,
        recipients: Sequence[PublicKey] | None = None,
        edit: Callable[[dict], object] | None = None,
    ) -> tuple[bytes, Manifest]:
        """A value of any kind and the manifest that names exactly it: what a dishonest xa could sign."""
        base = manifest or self.seal().manifest
        keys = [public(self.xb.inbox), public(self.xa.archive)] if recipients is None else recipients
        value = encrypt(
            pad(content) if padded is None else padded,
            aad=additional_data(base) if aad is None else aad,
            recipients=keys,
            chance=self.chance,
        )
        if edit is not None:
            members = json.loads(value)
            edit(members)
            value = json.dumps(members).encode()
        return value, replace(base, body=BodyReference(sha256(value), len(value), sha256(content)))


def _party(name: str, suite: str, first_seed: int) -> Party:
    wrap = SUITES[suite].key_wrap
    return Party(
        AuthorityId(name),
        generate_decryption_key(wrap, KeyUse.INBOX, seed=bytes([first_seed]) * 32),
        generate_decryption_key(wrap, KeyUse.ARCHIVE, seed=bytes([first_seed + 1]) * 32),
        tuple(generate_signer(algorithm) for algorithm in SUITES[suite].signatures),
    )


def _enrolled(party: Party, suite: str) -> Authority:
    return Authority(
        id=party.id,
        name=f"The authority {party.id}",
        suite=suite,
        status=((Status.ACTIVE, 0),),
        anchors=(),
        signing=(),
        encryption=tuple(
            EncryptionKey(key.kid, key.algorithm, key.use, NOW_MS - YEAR_MS, NOW_MS + YEAR_MS) for key in party.keys
        ),
        waiver_until_ms=NOW_MS + YEAR_MS if suite == "S0" else None,
    )


def _world(suite: str) -> World:
    parties = [_party(name, suite, seed) for name, seed in (("xa-moj", 1), ("xb-pgo", 3), ("xc-acc", 5))]
    trust = TrustList(
        deployment=sha256(b"the tests' deployment"),
        number=7,
        issued_ms=NOW_MS - 1000,
        next_update_ms=NOW_MS + YEAR_MS,
        shards=1,
        ledger_partitions=1,
        authorities={party.id: _enrolled(party, suite) for party in parties},
        hub_keys={},
    )
    return World(suite, *parties, trust, CountedChance())


@pytest.fixture(scope="session")
def worlds() -> dict[str, World]:
    """One world for each suite."""
    return {suite: _world(suite) for suite in SUITES}


@pytest.fixture(params=["S1", "S2", "S0"])
def world(request, worlds) -> World:
    """Each suite in turn."""
    return worlds[request.param]


@pytest.fixture
def s1(worlds) -> World:
    """The default suite."""
    return worlds["S1"]


@pytest.fixture
def attach(s1) -> Callable[..., SealedAttachment]:
    """Makes attachment 1 of the standard draft from its plaintext, with the object's bytes beside it."""

    def make(plaintext: bytes, *, number: int = 1, name: str = "annex.pdf", media_type: str = "application/pdf"):
        stream = encrypt_stream([plaintext], key=s1.chance.bytes(32), message=s1.draft().id, number=number)
        stored = b"".join(stream)
        uri = object_name(s1.xa.id, s1.chance)
        return stream.sealed(name=name, media_type=media_type, uri=uri), stored

    return make
