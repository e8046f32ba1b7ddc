"""Private signing keys in software: the port ``Signer`` without a hardware module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import (
    MLDSA65PrivateKey,
    MLDSA65PublicKey,
    MLDSA87PrivateKey,
    MLDSA87PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from hub.core.authority import PublicKey
from hub.core.ids import Digest, KeyId
from hub.envelope.suites import RSA_BITS_MIN, certificate_digest, thumbprint
from hub.errors import UsageError

PrivateKey: TypeAlias = (
    Ed25519PrivateKey | MLDSA65PrivateKey | MLDSA87PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
)

_CURVES: Final[Mapping[str, str]] = MappingProxyType({"secp256r1": "ES256", "secp384r1": "ES384"})


class SoftwareSigner:
    """One private key in memory. Its text form shows the key's id, never the key."""

    __slots__ = ("_private", "_sign", "certificate_digest", "public")

    def __init__(self, private: PrivateKey, *, certificate_der: bytes | None = None) -> None:
        """Raises ``UsageError(key-unsuitable)`` for a key of no suite or a certificate of another key."""
        algorithm, raw = raw_public(private.public_key())
        self._private = private
        self._sign = _signing(private)
        self.public: Final = PublicKey(id=thumbprint(algorithm, raw), algorithm=algorithm, public=raw)
        self.certificate_digest: Final = None if certificate_der is None else _matching(certificate_der, raw)

    @property
    def key(self) -> KeyId:
        """The key's thumbprint."""
        return self.public.id

    @property
    def algorithm(self) -> str:
        """Its JOSE algorithm."""
        return self.public.algorithm

    def sign(self, message: bytes) -> bytes:
        """The signature in its JOSE form. ML-DSA, ECDSA and PSS draw fresh randomness for each."""
        return self._sign(message)

    def __repr__(self) -> str:
        return f"SoftwareSigner({self.algorithm}, {self.key})"


def raw_public(key: object) -> tuple[str, bytes]:
    """The JOSE algorithm and raw form (see ``hub.envelope.suites``) of a public key of ``cryptography``.

    Raises ``UsageError(key-unsuitable)`` for a key that no suite has.
    """
    if isinstance(key, Ed25519PublicKey):
        return "Ed25519", key.public_bytes_raw()
    if isinstance(key, MLDSA65PublicKey):
        return "ML-DSA-65", key.public_bytes_raw()
    if isinstance(key, MLDSA87PublicKey):
        return "ML-DSA-87", key.public_bytes_raw()
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        return _CURVES[key.curve.name], point
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= RSA_BITS_MIN:
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        return "PS256", key.public_bytes(serialization.Encoding.DER, spki)
    raise UsageError("key-unsuitable", "No suite of comity/1 has a key of this kind or size.")


def _matching(certificate_der: bytes, raw: bytes) -> Digest:
    try:
        certified = x509.load_der_x509_certificate(certificate_der).public_key()
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise UsageError(
            "certificate-unreadable", "This is no X.509 certificate in DER of a key that we know."
        ) from error
    if raw_public(certified)[1] != raw:
        raise UsageError("key-unsuitable", "The certificate belongs to another key.")
    return certificate_digest(certificate_der)


def _signing(private: PrivateKey) -> Callable[[bytes], bytes]:
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return _ecdsa(private)
    if isinstance(private, rsa.RSAPrivateKey):
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)
        return lambda message: private.sign(message, pss, hashes.SHA256())
    return private.sign


def _ecdsa(private: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    size = (private.curve.key_size + 7) // 8
    digest = hashes.SHA256() if private.curve.name == "secp256r1" else hashes.SHA384()

    def sign(message: bytes) -> bytes:
        r, s = decode_dss_signature(private.sign(message, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    return sign


_GENERATORS: Final[Mapping[str, Callable[[], PrivateKey]]] = MappingProxyType(
    {
        "Ed25519": Ed25519PrivateKey.generate,
        "ML-DSA-65": MLDSA65PrivateKey.generate,
        "ML-DSA-87": MLDSA87PrivateKey.generate,
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "PS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS_MIN),
    }
)


def generate_signer(algorithm: str) -> SoftwareSigner:
    """A signer with a new key, from the library's own generator. Raises ``UsageError(algorithm-unknown)``."""
    generate = _GENERATORS.get(algorithm)
    if generate is None:
        raise UsageError("algorithm-unknown", f"No key can be made for {algorithm}; choose {', '.join(_GENERATORS)}.")
    return SoftwareSigner(generate())


def private_pem(signer: SoftwareSigner) -> bytes:
    """The private key as PKCS#8 PEM without a password; whoever stores it sets mode 0600 (ML-DSA: the seed, RFC 9881)."""
    private = signer._private  # noqa: SLF001  the one door through which a private key leaves
    pkcs8 = serialization.PrivateFormat.PKCS8
    return private.private_bytes(serialization.Encoding.PEM, pkcs8, serialization.NoEncryption())


def signer_from_pem(pem: bytes, *, certificate_der: bytes | None = None) -> SoftwareSigner:
    """The signer of a PKCS#8 PEM file, with its certificate if it has one.

    Raises ``UsageError``: ``key-unreadable``, ``certificate-unreadable``, ``key-unsuitable``.
    """
    try:
        private = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: the key has a password
        raise UsageError("key-unreadable", "This is no private key in PKCS#8 PEM without a password.") from error
    if not isinstance(private, PrivateKey):
        raise UsageError("key-unsuitable", "No suite of comity/1 has a key of this kind or size.")
    return SoftwareSigner(private, certificate_der=certificate_der)
