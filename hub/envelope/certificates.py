"""A signing certificate and its path (RFC 5280): whose key it is, and that this authority's own State says so.

The path ends at an anchor that the trust list gives for this authority, never at another State's. ``cryptography``
builds the path, at the record's time; its policy for leaves knows web servers only (documentSigning fails it), so the
leaf's extensions are checked here. It knows no revocation: that is the trust list's, checked by whoever calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

from cryptography import x509
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from hub.core.authority import Authority, PublicKey, SigningKey
from hub.core.ids import AuthorityId, KeyId
from hub.core.refusals import refuse
from hub.envelope.jws import Jws, JwsSignature, verify_all
from hub.envelope.signers import raw_public
from hub.envelope.suites import certificate_digest
from hub.errors import UsageError

DOCUMENT_SIGNING: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")  # RFC 9336
AUTHORITY_URN: Final = "urn:comity:authority:"
PATHS_CACHED_MAX: Final = 4096  # two leaves for each of 200 States, ten renewals deep

_CRITICAL_KNOWN: Final = frozenset(
    {
        x509.KeyUsage.oid,
        x509.ExtendedKeyUsage.oid,
        x509.SubjectAlternativeName.oid,
        x509.BasicConstraints.oid,
    }
)
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class Path:
    """A checked path: the leaf's key, and the whole seconds since 1970 in which all its certificates are valid."""

    algorithm: str
    public: bytes
    from_s: int
    until_s: int


class PathCache:
    """Paths that were checked before.

    A path depends on certificate, authority, anchors and time: the first three are the key here, and outside the path's
    dates it is checked anew. So neither a new trust list nor a replay of old records is misled by it.
    """

    def __init__(self) -> None:
        self._paths: dict[tuple[bytes, AuthorityId, tuple[bytes, ...]], Path] = {}

    def signing_public_key(
        self, certificate_der: bytes, *, authority: Authority, algorithm: str, time_ms: int
    ) -> bytes:
        """As the function of this name, from memory where possible."""
        key = certificate_der, authority.id, authority.anchors
        path = self._paths.get(key)
        if path is None or not path.from_s <= time_ms // 1000 <= path.until_s:
            path = _checked_path(certificate_der, authority, time_ms // 1000)
            if len(self._paths) >= PATHS_CACHED_MAX:
                self._paths.pop(next(iter(self._paths)))
            self._paths[key] = path
        return _public(path, algorithm)


def signing_public_key(certificate_der: bytes, *, authority: Authority, algorithm: str, time_ms: int) -> bytes:
    """The raw public key (forms of ``hub.envelope.suites``) of a leaf that ``authority`` may sign with at ``time_ms``.

    Demands: a path to one of the authority's own anchors; key usage digitalSignature and contentCommitment, nothing
    else; extended key usage documentSigning; subject CN the authority's id, and SAN URI ``urn:comity:authority:<id>``;
    no critical extension that is not understood; a key for ``algorithm``. Raises ``Refused(certificate-invalid)``.
    """
    return _public(_checked_path(certificate_der, authority, time_ms // 1000), algorithm)


def verify_authority(
    jws: Jws, authority: Authority, *, algorithms: tuple[str, ...], time_ms: int, paths: PathCache
) -> None:
    """Check that ``authority`` signed with exactly ``algorithms``, by keys in force and certificates valid at ``time_ms``.

    Raises ``Refused``: ``algorithms-mismatch``, ``key-unknown``, ``key-revoked`` (also outside of the key's dates),
    ``certificate-invalid`` (also when ``x5t#S256`` is not that of the key's certificate), ``signature-invalid``.
    """
    if tuple(each.algorithm for each in jws.signatures) != algorithms:
        raise refuse("algorithms-mismatch")
    named = [_named(signature, authority) for signature in jws.signatures]
    if not all(key.in_force(time_ms) for key in named):
        raise refuse("key-revoked")
    keys: dict[KeyId, PublicKey] = {}
    for key in named:
        public = paths.signing_public_key(
            key.certificate, authority=authority, algorithm=key.algorithm, time_ms=time_ms
        )
        keys[key.id] = PublicKey(key.id, key.algorithm, public)
    verify_all(jws, keys, algorithms=algorithms)


def _named(signature: JwsSignature, authority: Authority) -> SigningKey:
    """The key that a signature names. A key may have several certificates: ``x5t#S256`` says which."""
    held = [key for key in authority.signing if (key.id, key.algorithm) == (signature.key, signature.algorithm)]
    if not held:
        raise refuse("key-unknown")
    for key in held:
        if certificate_digest(key.certificate) == signature.certificate_digest:
            return key
    raise refuse("certificate-invalid")


def _public(path: Path, algorithm: str) -> bytes:
    if path.algorithm != algorithm:
        raise refuse("certificate-invalid")
    return path.public


def _checked_path(certificate_der: bytes, authority: Authority, time_s: int) -> Path:
    try:
        leaf = x509.load_der_x509_certificate(certificate_der)
        anchors = [x509.load_der_x509_certificate(anchor) for anchor in authority.anchors]
        _check_leaf(leaf, authority.id)
        algorithm, public = raw_public(leaf.public_key())
        chain = _chain(leaf, anchors, time_s)
    # What certificates of somebody else's make: bytes that do not parse, doubled or missing extensions, a foreign kind
    # of name or key, no path (VerificationError), a time that no calendar has (OverflowError).
    except (
        ValueError,
        OverflowError,
        TypeError,
        x509.DuplicateExtension,
        x509.ExtensionNotFound,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
        VerificationError,
        UsageError,
    ) as error:
        raise refuse("certificate-invalid") from error
    return Path(
        algorithm=algorithm,
        public=public,
        from_s=max(int(each.not_valid_before_utc.timestamp()) for each in chain),
        until_s=min(int(each.not_valid_after_utc.timestamp()) for each in chain),
    )


def _chain(leaf: x509.Certificate, anchors: list[x509.Certificate], time_s: int) -> list[x509.Certificate]:
    verifier = (
        PolicyBuilder()
        .store(Store(anchors))
        .time(datetime.fromtimestamp(time_s, tz=UTC))
        .extension_policies(
            ca_policy=ExtensionPolicy.webpki_defaults_ca(),
            ee_policy=ExtensionPolicy.permit_all(),
        )
        .build_client_verifier()
    )
    return verifier.verify(leaf, []).chain


def _check_leaf(leaf: x509.Certificate, authority: AuthorityId) -> None:
    if any(each.critical and each.oid not in _CRITICAL_KNOWN for each in leaf.extensions):
        raise ValueError("a critical extension is not understood")
    usage = _extension(leaf, x509.KeyUsage)
    others = (
        usage.key_encipherment, usage.data_encipherment, usage.key_agreement, usage.key_cert_sign, usage.crl_sign,
    )  # fmt: skip
    if not (usage.digital_signature and usage.content_commitment) or any(others):
        raise ValueError("the key usage is not digitalSignature and contentCommitment alone")
    if DOCUMENT_SIGNING not in _extension(leaf, x509.ExtendedKeyUsage):
        raise ValueError("the extended key usage is not documentSigning")
    uris = _extension(leaf, x509.SubjectAlternativeName).get_values_for_type(x509.UniformResourceIdentifier)
    if uris != [AUTHORITY_URN + authority]:
        raise ValueError("the subject alternative name is not the authority's")
    names = [each.value for each in leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    if names != [authority]:
        raise ValueError("the common name is not the authority's")


def _extension(leaf: x509.Certificate, kind: type[_Extension]) -> _Extension:
    return leaf.extensions.get_extension_for_class(kind).value
