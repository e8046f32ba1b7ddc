"""Authorities and the trust list as values (protocol section 5). Reading and checking its bytes: ``hub.envelope.trust``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from hub.core.ids import AuthorityId, Digest, KeyId
from hub.core.limits import TRUST_FRESH_MS_MAX
from hub.errors import Held


class Status(StrEnum):
    """Of an authority's enrolment, from a moment on."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


class KeyUse(StrEnum):
    """What an encryption key opens."""

    INBOX = "inbox"
    ARCHIVE = "archive"


class HubRole(StrEnum):
    """Who in the hub signs with a key: each role has its own."""

    ROUTER = "router"
    WATCH = "watch"
    SEQUENCER = "sequencer"
    FRESHNESS = "freshness"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One leaf certificate (DER) of an authority; ``revoked_ms`` counts against the log's time."""

    id: KeyId
    algorithm: str  # Ed25519, ML-DSA-65, ES384, ...
    certificate: bytes
    from_ms: int
    until_ms: int
    revoked_ms: int | None = None
    suspect_since_ms: int | None = None

    def in_force(self, time_ms: int) -> bool:
        """Whether the key may sign at ``time_ms``."""
        revoked = self.revoked_ms is not None and time_ms >= self.revoked_ms
        return self.from_ms <= time_ms <= self.until_ms and not revoked


@dataclass(frozen=True, slots=True)
class EncryptionKey:
    """A key id that may be sealed to; the key itself is in a key statement in ``hub.directory``."""

    id: KeyId
    algorithm: str  # HPKE-10-KE, ...
    use: KeyUse
    from_ms: int
    until_ms: int

    def in_force(self, time_ms: int) -> bool:
        """Whether the key may be sealed to at ``time_ms``."""
        return self.from_ms <= time_ms <= self.until_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A competent authority (UNCAC 46(13)) as the secretariat vouches for it."""

    id: AuthorityId
    name: str
    suite: str
    status: tuple[tuple[Status, int], ...]  # history, oldest first: (status, from_ms)
    anchors: tuple[bytes, ...]  # the State's CA certificates (DER): they vouch for this authority only
    signing: tuple[SigningKey, ...]
    encryption: tuple[EncryptionKey, ...]
    waiver_until_ms: int | None = None  # for suite S0

    def status_at(self, time_ms: int) -> Status:
        """The status in force at ``time_ms``; suspended before the first entry."""
        past = [status for status, from_ms in self.status if from_ms <= time_ms]
        return past[-1] if past else Status.SUSPENDED

    def encryption_key(self, key: KeyId) -> EncryptionKey | None:
        """The encryption key of this id, or None."""
        return next((each for each in self.encryption if each.id == key), None)

    def keys_in_force(self, use: KeyUse, time_ms: int) -> tuple[EncryptionKey, ...]:
        """The keys to seal to at ``time_ms``."""
        return tuple(key for key in self.encryption if key.use is use and key.in_force(time_ms))


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A raw public key with its JOSE algorithm: of the hub's roles, of the secretariat."""

    id: KeyId
    algorithm: str
    public: bytes  # raw: 32 bytes for Ed25519, 1,952 for ML-DSA-65


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """What a participant pins before it believes anything: the deployment and its secretariat's keys, m of n.

    A signer is a group of keys, one per algorithm: m counts signers, and each must sign with all its keys.
    """

    deployment: Digest
    threshold: int
    signers: tuple[tuple[PublicKey, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustList:
    """One numbered trust list, checked."""

    deployment: Digest
    number: int
    issued_ms: int
    next_update_ms: int
    shards: int
    ledger_partitions: int
    authorities: Mapping[AuthorityId, Authority]
    hub_keys: Mapping[HubRole, tuple[PublicKey, ...]]

    def revoked(self, time_ms: int) -> frozenset[AuthorityId]:
        """The authorities that are revoked at ``time_ms``."""
        return frozenset(
            name for name, member in self.authorities.items() if member.status_at(time_ms) is Status.REVOKED
        )


@dataclass(frozen=True, slots=True)
class Freshness:
    """The online statement that list ``number`` was the newest one at ``time_ms``."""

    number: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class TrustView:
    """All lists that were read so far, and the newest freshness statement."""

    lists: Mapping[int, TrustList] = field(default_factory=dict)
    freshness: Freshness | None = None

    @property
    def newest(self) -> TrustList:
        """The list with the highest number. Raises ``Held`` when there is none."""
        if not self.lists:
            raise Held("trust-list-missing", "No trust list was read yet; publish one on hub.directory.")
        return self.lists[max(self.lists)]

    def fresh(self, now_ms: int) -> TrustList:
        """The newest list, if a freshness statement within 24 h and its own dates say that it is in force.

        Raises ``Held``: with no fresh list, nothing is judged and nothing refused (protocol section 5).
        """
        newest = self.newest
        if self.freshness is None or now_ms - self.freshness.time_ms > TRUST_FRESH_MS_MAX:
            raise Held("trust-list-stale", "The trust list has no freshness statement of the last 24 hours.")
        if self.freshness.number > newest.number:
            raise Held("trust-list-behind", "A newer trust list was announced and is not here yet.")
        if now_ms > newest.next_update_ms:
            raise Held(
                "trust-list-expired", "The trust list has passed its nextUpdate; the secretariat must sign a new one."
            )
        return newest

    def at(self, number: int) -> TrustList:
        """List ``number``. Raises ``Held`` when it was not read yet."""
        if number not in self.lists:
            raise Held("trust-list-behind", f"Trust list {number} is not here yet.")
        return self.lists[number]
