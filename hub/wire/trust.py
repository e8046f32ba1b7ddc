"""Trust list, freshness statement, key statement, anchor as models, for the published JSON Schemas.

``hub.envelope.trust`` and ``hub.envelope.trust_list`` read and write the signed bytes; see ``hub.wire.manifest``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hub.core.authority import KeyUse, Status
from hub.envelope.trust import ANCHOR_SIGNERS_MAX
from hub.envelope.trust_list import (
    ANCHORS_MAX,
    AUTHORITIES_MAX,
    HUB_KEYS_MAX,
    KEYS_MAX,
    NAME_CHARACTERS_MAX,
    PARTITIONS_MAX,
    STATUS_ENTRIES_MAX,
)
from hub.wire.grammar import AlgorithmText, AuthorityText, BytesText, DigestText, KeyText, Number, TimeText, Wire
from hub.wire.manifest import NameText

Partitions = Annotated[int, Field(ge=1, le=PARTITIONS_MAX)]


class AkpModel(Wire):
    """ML-DSA and HPKE keys: the raw public key (RFC 9964 and the JOSE drafts)."""

    kty: Literal["AKP"]
    pub: BytesText
    alg: AlgorithmText
    kid: KeyText


class OkpModel(Wire):
    """Ed25519 and X25519 (RFC 8037)."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519", "X25519"]
    x: BytesText
    alg: AlgorithmText
    kid: KeyText


class EcModel(Wire):
    """P-256, P-384 (RFC 7518 section 6.2)."""

    kty: Literal["EC"]
    crv: Literal["P-256", "P-384", "P-521"]
    x: BytesText
    y: BytesText
    alg: AlgorithmText
    kid: KeyText


class RsaModel(Wire):
    """RSA for PS256 (RFC 7518 section 6.3)."""

    kty: Literal["RSA"]
    n: BytesText
    e: BytesText
    alg: AlgorithmText
    kid: KeyText


JwkModel = Annotated[AkpModel | OkpModel | EcModel | RsaModel, Field(discriminator="kty")]


class StatusModel(Wire):
    """A status, and from when on it holds."""

    status: Status
    start: TimeText = Field(alias="from")


class SigningKeyModel(Wire):
    """One leaf certificate of an authority."""

    kid: KeyText
    alg: str
    crt: BytesText
    start: TimeText = Field(alias="from")
    until: TimeText
    revoked: TimeText | None
    suspect: TimeText | None


class EncryptionKeyModel(Wire):
    """A key id that may be sealed to."""

    kid: KeyText
    alg: str
    use: KeyUse
    start: TimeText = Field(alias="from")
    until: TimeText


class AuthorityModel(Wire):
    """An authority as the secretariat vouches for it."""

    id: AuthorityText
    name: Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS_MAX)]
    suite: NameText
    waiver: TimeText | None
    status: Annotated[tuple[StatusModel, ...], Field(min_length=1, max_length=STATUS_ENTRIES_MAX)]
    anchors: Annotated[tuple[BytesText, ...], Field(min_length=1, max_length=ANCHORS_MAX)]
    signing: Annotated[tuple[SigningKeyModel, ...], Field(max_length=KEYS_MAX)]
    encryption: Annotated[tuple[EncryptionKeyModel, ...], Field(max_length=KEYS_MAX)]


HubKeys = Annotated[tuple[JwkModel, ...], Field(max_length=HUB_KEYS_MAX)]


class HubKeysModel(Wire):
    """The hub's keys by role."""

    router: HubKeys
    watch: HubKeys
    sequencer: HubKeys
    freshness: HubKeys


class TrustListModel(Wire):
    """The payload of a trust list."""

    v: Literal["comity-tl/1"]
    dom: DigestText
    tl: Number
    iat: TimeText
    next: TimeText
    shards: Partitions
    partitions: Partitions
    authorities: Annotated[tuple[AuthorityModel, ...], Field(max_length=AUTHORITIES_MAX)]
    hub: HubKeysModel


class FreshnessModel(Wire):
    """The payload of a freshness statement."""

    v: Literal["comity-fresh/1"]
    dom: DigestText
    tl: Number
    time: TimeText


class KeyStatementModel(Wire):
    """The payload of a key statement."""

    v: Literal["comity-key/1"]
    authority: AuthorityText
    use: KeyUse
    start: TimeText = Field(alias="from")
    until: TimeText
    key: JwkModel


class AnchorModel(Wire):
    """The file that a participant pins."""

    v: Literal["comity-anchor/1"]
    dom: DigestText
    threshold: Annotated[int, Field(ge=1, le=ANCHOR_SIGNERS_MAX)]
    signers: Annotated[
        tuple[Annotated[tuple[JwkModel, ...], Field(min_length=1, max_length=2)], ...],
        Field(min_length=1, max_length=ANCHOR_SIGNERS_MAX),
    ]
