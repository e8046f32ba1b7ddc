"""The fictional deployment that all cases share: four authorities in order, five that are not, the hub, its secretariat.

Private keys for signing live only while the cases are made; seeds of decryption keys are published with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from connectors.seal.keys import DecryptionKey, encode_decryption_key, generate_decryption_key, public
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
from hub.core.times import parse_time
from hub.envelope import pki
from hub.envelope.signers import SoftwareSigner, generate_signer, private_pem, signer_from_pem
from hub.envelope.strict_json import JsonObject, JsonValue, parse
from hub.envelope.suites import SUITES
from hub.envelope.trust import KeyStatement, anchor_json, encode_freshness, encode_key_statement, sign_trust_list

FROM_MS: Final = parse_time("2026-01-01T00:00:00Z")
NOW_MS: Final = parse_time("2026-11-25T09:00:00Z")
UNTIL_MS: Final = parse_time("2027-12-31T00:00:00Z")
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
LIST: Final = 5

XA, XB, XC, XD = (AuthorityId(name) for name in ("xa-moj", "xb-pgo", "xc-acc", "xd-fiu"))
REVOKED, SUSPENDED = AuthorityId("xe-moj"), AuthorityId("xf-moj")
FOREIGN_PATH, OTHER_NAME, EXPIRED_PATH = (AuthorityId(name) for name in ("xg-moj", "xh-moj", "xi-moj"))
UNKNOWN: Final = AuthorityId("xz-moj")
SUITE_OF: Final = {XC: "S2", XD: "S0"}
HYBRID: Final = ("Ed25519", "ML-DSA-65")


class CountedChance:
    """Bytes that differ at each draw and are the same in each run. For vectors only: everybody can compute them."""

    def __init__(self) -> None:
        self._drawn = 0

    def bytes(self, count: int) -> bytes:
        """``count`` bytes."""
        self._drawn += 1
        return hashlib.shake_256(b"comity vectors %d" % self._drawn).digest(count)


@dataclass(frozen=True)
class Party:
    """An authority with its private keys. ``old_signers`` were revoked a day before ``NOW_MS``."""

    authority: Authority
    ca: pki.CertificateAuthority
    signers: tuple[SoftwareSigner, ...]
    old_signers: tuple[SoftwareSigner, ...]
    keys: tuple[DecryptionKey, ...]

    @property
    def id(self) -> AuthorityId:
        """Its id."""
        return self.authority.id

    def key(self, use: KeyUse, algorithm: str) -> PublicKey:
        """The public key of a use that is in force."""
        return public(next(key for key in self.keys if (key.use, key.algorithm) == (use, algorithm)))


@dataclass(frozen=True)
class World:
    """All parties, keys and lists. ``trust`` is list 5; list 6 is shorter."""

    parties: dict[AuthorityId, Party]
    hub: dict[HubRole, tuple[SoftwareSigner, ...]]
    secretariat: tuple[tuple[SoftwareSigner, ...], ...]
    anchor: Anchor
    trust: TrustList
    chance: CountedChance

    def signed_list(self, trust: TrustList, *, signers: Sequence[Sequence[SoftwareSigner]] | None = None) -> bytes:
        """A trust list's JWS, by two of the three unless others sign."""
        return sign_trust_list(trust, signers=self.secretariat[:2] if signers is None else signers)

    def next_list(self) -> TrustList:
        """List 6, a day later, with the two authorities that most cases are about."""
        trust = self.trust
        return replace(
            trust,
            authorities={name: trust.authorities[name] for name in (XA, XB)},
            number=trust.number + 1,
            issued_ms=trust.issued_ms + DAY_MS,
            next_update_ms=trust.next_update_ms + DAY_MS,
        )


def make_world() -> World:
    """A new world: its structure is always the same, its keys and signatures never."""
    names = (XA, XB, XC, XD, REVOKED, SUSPENDED, FOREIGN_PATH, OTHER_NAME, EXPIRED_PATH)
    foreign = pki.make_authority_ca("CA of another State", _validity())
    parties = {name: _party(name, number, foreign) for number, name in enumerate(names, start=1)}
    hub = {role: tuple(generate_signer(each) for each in HYBRID) for role in HubRole}
    secretariat = tuple(tuple(generate_signer(each) for each in HYBRID) for _ in range(3))
    deployment = sha256(b"the deployment of comity's test vectors")
    trust = TrustList(
        deployment=deployment,
        number=LIST,
        issued_ms=NOW_MS - HOUR_MS,
        next_update_ms=NOW_MS + 90 * DAY_MS,
        shards=2,
        ledger_partitions=4,
        authorities={name: party.authority for name, party in parties.items()},
        hub_keys={role: tuple(signer.public for signer in signers) for role, signers in hub.items()},
    )
    anchor = Anchor(
        deployment=deployment,
        threshold=2,
        signers=tuple(tuple(key.public for key in signer) for signer in secretariat),
    )
    return World(parties, hub, secretariat, anchor, trust, CountedChance())


def _validity(from_ms: int = FROM_MS, until_ms: int = UNTIL_MS) -> pki.Validity:
    return pki.Validity(serial=7, from_ms=from_ms, until_ms=until_ms)


def with_certificate(signer: SoftwareSigner, certificate: bytes) -> SoftwareSigner:
    """The same key, naming ``certificate``."""
    return signer_from_pem(private_pem(signer), certificate_der=certificate)


def _party(name: AuthorityId, number: int, foreign: pki.CertificateAuthority) -> Party:
    suite = SUITES[SUITE_OF.get(name, "S1")]
    ca = pki.make_authority_ca(f"CA of {name}", _validity())
    signers, listed = _leaves(name, ca, foreign, suite.signatures)
    old_signers: tuple[SoftwareSigner, ...] = ()
    if name == XA:
        old_signers, old = _leaves(name, ca, foreign, suite.signatures)
        listed += tuple(replace(key, revoked_ms=NOW_MS - DAY_MS) for key in old)
    keys = tuple(
        generate_decryption_key(algorithm, use, seed=hashlib.sha256(f"{name} {use} {algorithm}".encode()).digest())
        for algorithm in sorted({each.key_wrap for each in SUITES.values()})
        for use in KeyUse
    )
    given_up = generate_decryption_key("HPKE-10-KE", KeyUse.INBOX, seed=hashlib.sha256(f"{name} old".encode()).digest())
    encryption = [EncryptionKey(key.kid, key.algorithm, key.use, FROM_MS, UNTIL_MS) for key in keys]
    encryption.append(EncryptionKey(given_up.kid, given_up.algorithm, given_up.use, FROM_MS, NOW_MS - DAY_MS))
    status = {REVOKED: Status.REVOKED, SUSPENDED: Status.SUSPENDED}.get(name)
    history = ((Status.ACTIVE, FROM_MS), *(((status, NOW_MS - DAY_MS),) if status else ()))
    authority = Authority(
        id=name,
        name=f"Fictional authority {number}",
        suite=suite.id,
        status=history,
        anchors=(ca.certificate,),
        signing=listed,
        encryption=tuple(encryption),
        waiver_until_ms=NOW_MS + DAY_MS if suite.id == "S0" else None,
    )
    return Party(authority, ca, signers, old_signers, (*keys, given_up))


def _leaves(
    name: AuthorityId, ca: pki.CertificateAuthority, foreign: pki.CertificateAuthority, algorithms: Sequence[str]
) -> tuple[tuple[SoftwareSigner, ...], tuple[SigningKey, ...]]:
    """New signers with certificates, and how the list names them. Three authorities get one flaw each."""
    issuer = foreign if name == FOREIGN_PATH else ca
    subject = XA if name == OTHER_NAME else name
    valid = _validity(until_ms=NOW_MS - DAY_MS) if name == EXPIRED_PATH else _validity()
    signers, keys = [], []
    for algorithm in algorithms:
        signer = generate_signer(algorithm)
        certificate = pki.issue_signing_certificate(issuer, subject, signer.public, valid)
        signers.append(with_certificate(signer, certificate))
        keys.append(SigningKey(signer.key, algorithm, certificate, FROM_MS, UNTIL_MS))
    return tuple(signers), tuple(keys)


def freshness(world: World, *, number: int = LIST, time_ms: int = NOW_MS) -> bytes:
    """A freshness statement."""
    statement = Freshness(number, time_ms)
    return encode_freshness(statement, world.trust.deployment, signers=world.hub[HubRole.FRESHNESS])


def key_statement(world: World, name: AuthorityId = XB, **changes: object) -> bytes:
    """The authority's statement about its inbox key of S1, signed by its own signers unless others are given."""
    party = world.parties[name]
    signers = changes.pop("signers", party.signers)
    key = party.key(KeyUse.INBOX, "HPKE-10-KE")
    statement = replace(KeyStatement(name, key, KeyUse.INBOX, FROM_MS, UNTIL_MS), **changes)  # type: ignore[arg-type]  # fields by name
    return encode_key_statement(statement, signers=signers, issued_ms=NOW_MS)  # type: ignore[arg-type]  # signers


def world_json(world: World) -> JsonObject:
    """``world.json``: what every case may need."""
    seeds: list[JsonValue] = [
        {"authority": name, **_object(parse(encode_decryption_key(key)))}
        for name, party in world.parties.items()
        for key in party.keys
        if name in {XA, XB, XC, XD}
    ]
    return {
        "comment": "Shared by all cases. Every key here is published: none may be used for anything but tests.",
        "anchor": parse(anchor_json(world.anchor)),
        "lists": {str(each.number): world.signed_list(each).decode() for each in (world.trust, world.next_list())},
        "freshness": freshness(world).decode(),
        "decryption_keys": seeds,
    }


def _object(value: JsonValue) -> JsonObject:
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return value
