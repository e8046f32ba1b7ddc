"""Issuing certificates: an authority's signing leaves under its State's CA, Kafka's client certificates under the hub's.

The two never mix (protocol section 5): State CAs certify signing keys and are in no broker's truststore; the transport
CA names principals and is in no trust list. Serial numbers and dates are arguments; private keys come from the
library's own generator. CA keys are P-384, transport keys P-256: what every TLS stack and path check knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey, MLDSA87PublicKey
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

from hub.core.authority import PublicKey
from hub.core.ids import AuthorityId
from hub.envelope.certificates import AUTHORITY_URN, DOCUMENT_SIGNING
from hub.errors import UsageError

SERIAL_BYTES: Final = 16  # random bytes for a serial number: RFC 5280 4.1.2.2 allows 20 octets, sign bit included

_Extensions: TypeAlias = Sequence[tuple[x509.ExtensionType, bool]]
_LOADERS: Final[Mapping[str, Callable[[bytes], CertificatePublicKeyTypes]]] = MappingProxyType(
    {
        "Ed25519": Ed25519PublicKey.from_public_bytes,
        "ML-DSA-65": MLDSA65PublicKey.from_public_bytes,
        "ML-DSA-87": MLDSA87PublicKey.from_public_bytes,
        "ES384": lambda point: ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), point),
    }
)


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """A CA's certificate (DER) and its private key, which no text form shows."""

    certificate: bytes
    private: ec.EllipticCurvePrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """What whoever issues decides: a serial number (from ``serial_number``) and dates, cut to whole seconds."""

    serial: int
    from_ms: int
    until_ms: int


def serial_number(random: bytes) -> int:
    """A positive serial number from ``SERIAL_BYTES`` random bytes."""
    return int.from_bytes(random[:SERIAL_BYTES], "big") | 1 << (8 * SERIAL_BYTES)


def make_authority_ca(name: str, validity: Validity) -> CertificateAuthority:
    """A State's CA for signing keys, self-signed, with a new P-384 key. For demonstrations: a State has its own."""
    return _make_ca(name, validity)


def make_transport_ca(name: str, validity: Validity) -> CertificateAuthority:
    """The hub's CA for Kafka's client and server certificates, self-signed, with a new P-384 key."""
    return _make_ca(name, validity)


def issue_signing_certificate(
    ca: CertificateAuthority, authority: AuthorityId, key: PublicKey, validity: Validity
) -> bytes:
    """A leaf (DER) for one signing key of ``authority``: the profile that ``hub.envelope.certificates`` checks.

    Raises ``UsageError(key-unsuitable)`` for a key that signs in no suite.
    """
    extensions: _Extensions = (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(digital_signature=True, content_commitment=True), True),
        (x509.ExtendedKeyUsage([DOCUMENT_SIGNING]), False),
        (x509.SubjectAlternativeName([x509.UniformResourceIdentifier(AUTHORITY_URN + authority)]), False),
    )
    return _issue(ca, authority, _public_key(key), validity, extensions)


def issue_transport_certificate(
    ca: CertificateAuthority, principal: str, public: bytes, validity: Validity, *, server_names: Sequence[str] = ()
) -> bytes:
    """A leaf (DER) for TLS with Kafka, subject exactly ``CN=<principal>``: the broker maps it to the principal.

    ``public`` is the key as ``transport_public`` or ``request_public`` give it. With ``server_names`` (DNS names, IP
    addresses) it is a broker's: also for the server's side of TLS.
    """
    key = serialization.load_der_public_key(public)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise UsageError("key-unsuitable", "A Kafka certificate is for an elliptic curve key.")
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(digital_signature=True), True),
    ]
    if server_names:
        purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)
        extensions.append((x509.SubjectAlternativeName([_general_name(name) for name in server_names]), False))
    extensions.append((x509.ExtendedKeyUsage(purposes), False))
    return _issue(ca, principal, key, validity, extensions)


def generate_transport_key() -> bytes:
    """A new P-256 key for TLS: PKCS#8 PEM without a password; whoever stores it sets mode 0600."""
    return _private_pem(ec.generate_private_key(ec.SECP256R1()))


def transport_public(key_pem: bytes) -> bytes:
    """The public key (DER SubjectPublicKeyInfo) of a transport key."""
    return _spki(_private_key(key_pem))


def transport_request(key_pem: bytes, principal: str) -> bytes:
    """A request (PKCS#10, RFC 2986; DER) for a transport certificate with the subject ``CN=<principal>``."""
    builder = x509.CertificateSigningRequestBuilder(subject_name=_name(principal))
    return builder.sign(_private_key(key_pem), hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def request_public(request_der: bytes) -> bytes:
    """The public key (DER SubjectPublicKeyInfo) of a request. Raises ``UsageError(request-malformed)``."""
    try:
        key = x509.load_der_x509_csr(request_der).public_key()
    except ValueError as error:
        raise UsageError("request-malformed", "This is no certificate request (PKCS#10) in DER.") from error
    return _spki(key)


def ca_key_pem(ca: CertificateAuthority) -> bytes:
    """The CA's private key: PKCS#8 PEM without a password; whoever stores it sets mode 0600."""
    return _private_pem(ca.private)


def load_ca(key_pem: bytes, certificate_pem: bytes) -> CertificateAuthority:
    """A CA from its two PEM files. Raises ``UsageError``: ``key-unreadable``, ``certificate-unreadable``, ``key-unsuitable``."""
    private = _private_key(key_pem)
    certificate = certificate_der(certificate_pem)
    if x509.load_der_x509_certificate(certificate).public_key() != private.public_key():
        raise UsageError("key-unsuitable", "The CA's certificate belongs to another key.")
    return CertificateAuthority(certificate, private)


def certificate_pem(certificate: bytes) -> bytes:
    """A certificate (DER) as PEM."""
    return x509.load_der_x509_certificate(certificate).public_bytes(serialization.Encoding.PEM)


def certificate_der(pem: bytes) -> bytes:
    """The first certificate of a PEM text as DER. Raises ``UsageError(certificate-unreadable)``."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise UsageError("certificate-unreadable", "This is no X.509 certificate in PEM.") from error
    return certificate.public_bytes(serialization.Encoding.DER)


def _make_ca(name: str, validity: Validity) -> CertificateAuthority:
    private = ec.generate_private_key(ec.SECP384R1())
    public = private.public_key()
    extensions: _Extensions = (
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (_key_usage(key_cert_sign=True, crl_sign=True), True),
        (x509.SubjectKeyIdentifier.from_public_key(public), False),
    )
    certificate = _signed(_name(name), public, validity, issuer=_name(name), extensions=extensions, private=private)
    return CertificateAuthority(certificate, private)


def _issue(
    ca: CertificateAuthority, name: str, key: CertificatePublicKeyTypes, validity: Validity, extensions: _Extensions
) -> bytes:
    issuer = x509.load_der_x509_certificate(ca.certificate)
    links: _Extensions = (
        (x509.SubjectKeyIdentifier.from_public_key(key), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.private.public_key()), False),
    )
    return _signed(
        _name(name), key, validity, issuer=issuer.subject, extensions=(*extensions, *links), private=ca.private
    )


def _signed(
    subject: x509.Name,
    key: CertificatePublicKeyTypes,
    validity: Validity,
    *,
    issuer: x509.Name,
    extensions: _Extensions,
    private: ec.EllipticCurvePrivateKey,
) -> bytes:
    builder = x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key,
        serial_number=validity.serial,
        not_valid_before=_moment(validity.from_ms),
        not_valid_after=_moment(validity.until_ms),
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(private, hashes.SHA384()).public_bytes(serialization.Encoding.DER)


def _public_key(key: PublicKey) -> CertificatePublicKeyTypes:
    if key.algorithm not in _LOADERS:
        raise UsageError("key-unsuitable", f"No signing certificate is made for {key.algorithm}.")
    return _LOADERS[key.algorithm](key.public)


def _moment(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms // 1000, tz=UTC)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(
    *,
    digital_signature: bool = False,
    content_commitment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(private: ec.EllipticCurvePrivateKey) -> bytes:
    pkcs8 = serialization.PrivateFormat.PKCS8
    return private.private_bytes(serialization.Encoding.PEM, pkcs8, serialization.NoEncryption())


def _private_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        private = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:  # TypeError: the key has a password
        raise UsageError("key-unreadable", "This is no private key in PKCS#8 PEM without a password.") from error
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise UsageError("key-unsuitable", "CA and Kafka keys are elliptic curve keys.")
    return private


def _spki(key: ec.EllipticCurvePrivateKey | CertificatePublicKeyTypes) -> bytes:
    public = key.public_key() if isinstance(key, ec.EllipticCurvePrivateKey) else key
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
