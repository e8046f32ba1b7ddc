"""Suites, public keys and software signers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from jwcrypto import jwk  # type: ignore[import-untyped]  # an oracle without stubs

from hub.core.ids import sha256
from hub.core.times import parse_time
from hub.envelope import suites
from hub.envelope.encoding import b64
from hub.envelope.signers import SoftwareSigner, generate_signer, private_pem, signer_from_pem
from hub.errors import Refused, UsageError

SIGNING = ("Ed25519", "ML-DSA-65", "ML-DSA-87", "ES256", "ES384", "PS256")
SIGNATURE_BYTES = {"Ed25519": 64, "ML-DSA-65": 3309, "ML-DSA-87": 4627, "ES256": 64, "ES384": 96, "PS256": 384}
# Published: RFC 8037 appendix A.3 (Ed25519), RFC 7638 section 3.1 has RSA-2048, below our minimum.
RFC8037_X = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
RFC8037_THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
OTHER_KIND = bytes.fromhex("3009300406022a03030100")  # a SubjectPublicKeyInfo of the unknown kind 1.2.3


@pytest.fixture(scope="module")
def signers() -> dict[str, SoftwareSigner]:
    """One signer of each algorithm."""
    return {algorithm: generate_signer(algorithm) for algorithm in SIGNING}


def certificate(private: ec.EllipticCurvePrivateKey) -> bytes:
    """A self-signed certificate (DER)."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "xa-moj")])
    start = datetime(2026, 11, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, private.public_key(), 7, start, start + timedelta(days=90))
    return builder.sign(private, hashes.SHA384()).public_bytes(serialization.Encoding.DER)


def test_registry_is_closed() -> None:
    """Three suites; their signature algorithms are those of the specification; nobody can add one."""
    assert {name: suite.signatures for name, suite in suites.SUITES.items()} == {
        "S1": ("Ed25519", "ML-DSA-65"),
        "S2": ("ES384", "ML-DSA-87"),
        "S0": ("Ed25519",),
    }
    assert {suite.key_wrap for suite in suites.SUITES.values()} == {"HPKE-10-KE", "HPKE-12-KE", "ECDH-ES+A256KW"}
    with pytest.raises(TypeError):
        suites.SUITES["S9"] = suites.SUITES["S1"]  # type: ignore[index]  # what the test is about


@pytest.mark.parametrize(
    ("name", "time", "expected"),
    [
        ("S1", "2026-11-25T09:00:00Z", True),
        ("S1", "2024-12-31T23:59:59Z", False),
        ("S1", "2046-01-01T00:00:00Z", False),
        ("S0", "2030-12-31T23:59:59Z", True),
        ("S0", "2031-01-01T00:00:00Z", False),
    ],
)
def test_suites_have_dates(name: str, time: str, expected: bool) -> None:
    """A suite is in force between its dates; the one without post-quantum algorithms ends with 2030."""
    assert expected is suites.SUITES[name].in_force(parse_time(time))


@pytest.mark.parametrize("algorithm", SIGNING)
def test_sign_and_verify(signers: dict[str, SoftwareSigner], algorithm: str) -> None:
    """A signature has its algorithm's length and verifies; any change of it, message or key is refused."""
    signer = signers[algorithm]
    signature = signer.sign(b"message")
    public = signer.public.public
    assert SIGNATURE_BYTES[algorithm] == len(signature)
    suites.verify(algorithm, public, signature, b"message")
    flipped = bytes([signature[0], signature[1] ^ 1]) + signature[2:]
    other = public[:-1] + bytes([public[-1] ^ 1])
    for bad in (
        (public, flipped, b"message"),
        (public, signature[:-1], b"message"),
        (public, signature + b"\x00", b"message"),
        (public, b"", b"message"),
        (public, signature, b"massage"),
        (other, signature, b"message"),
        (public[:-1], signature, b"message"),
        (b"", signature, b"message"),
    ):
        with pytest.raises(Refused) as refusal:
            suites.verify(algorithm, *bad)
        assert refusal.value.code == "signature-invalid"


def test_no_key_serves_another_algorithm(signers: dict[str, SoftwareSigner]) -> None:
    """A signature and key of one algorithm are refused under every other."""
    for algorithm, signer in signers.items():
        signature = signer.sign(b"message")
        for other in {*SIGNING} - {algorithm}:
            with pytest.raises(Refused, match="signature-invalid"):
                suites.verify(other, signer.public.public, signature, b"message")


@pytest.mark.parametrize(("algorithm", "length"), [("HPKE-10-KE", 1216), ("ECDH-ES+A256KW", 32)])
def test_encryption_keys_verify_nothing(algorithm: str, length: int) -> None:
    """One key is never for signing and encryption."""
    with pytest.raises(Refused, match="signature-invalid"):
        suites.verify(algorithm, bytes(length), bytes(64), b"message")


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS256", "EdDSA", "ES512", "ML-DSA-44", "ed25519", ""])
def test_unknown_algorithm(algorithm: str) -> None:
    """What is not in the registry is refused everywhere."""
    for act in (
        lambda: suites.verify(algorithm, bytes(32), bytes(64), b""),
        lambda: suites.thumbprint(algorithm, bytes(32)),
        lambda: suites.public_jwk(algorithm, bytes(32)),
        lambda: suites.public_from_jwk({"alg": algorithm, "kty": "OKP", "crv": "Ed25519", "x": RFC8037_X}),
    ):
        with pytest.raises(Refused, match="algorithm-unknown"):
            act()
    with pytest.raises(UsageError, match="algorithm-unknown"):
        generate_signer(algorithm)


@pytest.mark.parametrize("algorithm", SIGNING)
def test_jwk_round_trip(signers: dict[str, SoftwareSigner], algorithm: str) -> None:
    """A public key survives its JWK, whose kid another library computes alike."""
    public = signers[algorithm].public
    key = suites.public_jwk(algorithm, public.public)
    assert public == suites.public_from_jwk({**key})
    assert public.id == suites.thumbprint(algorithm, public.public) == jwk.JWK(**key).thumbprint()


@pytest.mark.parametrize(("algorithm", "length"), [("HPKE-10-KE", 1216), ("HPKE-12-KE", 1665), ("ECDH-ES+A256KW", 32)])
def test_jwk_of_encryption_keys(algorithm: str, length: int) -> None:
    """Encryption keys have JWKs too; an HPKE key's thumbprint covers its algorithm (RFC 9964 section 6)."""
    raw = bytes(range(256)) * 7
    key = suites.public_from_jwk({**suites.public_jwk(algorithm, raw[:length])})
    assert (algorithm, raw[:length]) == (key.algorithm, key.public)
    if algorithm.startswith("HPKE"):
        assert str(key.id) == sha256(f'{{"alg":"{algorithm}","kty":"AKP","pub":"{b64(raw[:length])}"}}'.encode())
    else:
        assert str(key.id) == sha256(f'{{"crv":"X25519","kty":"OKP","x":"{b64(raw[:length])}"}}'.encode())


def test_published_thumbprint() -> None:
    """The thumbprint of the Ed25519 key of RFC 8037 is the one of its appendix A.3."""
    jwk_object = {"kty": "OKP", "alg": "Ed25519", "crv": "Ed25519", "x": RFC8037_X, "kid": RFC8037_THUMBPRINT}
    assert suites.public_from_jwk({**jwk_object}).id == RFC8037_THUMBPRINT


@pytest.mark.parametrize("algorithm", SIGNING)
def test_changed_jwk_is_refused(signers: dict[str, SoftwareSigner], algorithm: str) -> None:
    """A JWK whose members miss, are foreign, differ in kind, or do not give its kid, is refused."""
    good = suites.public_jwk(algorithm, signers[algorithm].public.public)
    changes = [{**good, "use": "sig"}, {**good, "kid": sha256(b"")}, {**good, "kty": "oct"}]
    changes += [{name: text for name, text in good.items() if name != missing} for missing in good]
    changes += [{**good, name: text[:-4]} for name, text in good.items() if name in {"x", "y", "pub", "n", "e"}]
    changes += [{**good, name: text + "="} for name, text in good.items() if name in {"x", "y", "pub", "n", "e"}]
    for changed in changes:
        with pytest.raises(Refused):
            suites.public_from_jwk({**changed})


@pytest.mark.parametrize("value", [None, [], "jwk", {}, {"alg": 7}, {"alg": ["Ed25519"]}])
def test_no_jwk(value: object) -> None:
    """What is no object with an algorithm is no key."""
    with pytest.raises(Refused):
        suites.public_from_jwk(value)  # type: ignore[arg-type]  # what the test is about


def test_rsa_keys_have_a_size() -> None:
    """An RSA key that is too small, too large, or no RSA key is refused."""
    small = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    spki = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    curve = ec.generate_private_key(ec.SECP256R1())
    for public in (
        small.public_key().public_bytes(*spki),
        curve.public_key().public_bytes(*spki),
        b"",
        b"\x30\x00",
        OTHER_KIND,
    ):
        with pytest.raises(Refused, match="key-malformed"):
            suites.thumbprint("PS256", public)
        with pytest.raises(Refused, match="signature-invalid"):
            suites.verify("PS256", public, bytes(256), b"")
    huge = {"kty": "RSA", "alg": "PS256", "kid": sha256(b""), "e": "AQAB", "n": b64(b"\xff" * 1025)}
    even = {**huge, "n": b64(b"\xff" * 512), "e": "Ag"}
    for key in (huge, even):
        with pytest.raises(Refused, match="key-malformed"):
            suites.public_from_jwk({**key})
    with pytest.raises(UsageError, match="key-unsuitable"):
        SoftwareSigner(small)


@pytest.mark.parametrize("algorithm", SIGNING)
def test_pem_round_trip(signers: dict[str, SoftwareSigner], algorithm: str) -> None:
    """A key read back from its PEM signs for the same public key; its text form does not show it."""
    signer = signers[algorithm]
    again = signer_from_pem(private_pem(signer))
    assert (signer.public, signer.key, signer.algorithm, None) == (
        again.public,
        again.key,
        again.algorithm,
        again.certificate_digest,
    )
    suites.verify(algorithm, signer.public.public, again.sign(b"message"), b"message")
    assert repr(signer) == f"SoftwareSigner({algorithm}, {signer.key})"


def test_certificate_of_a_signer() -> None:
    """A signer with a certificate names the SHA-256 of its DER bytes; a certificate of another key is refused."""
    private = ec.generate_private_key(ec.SECP384R1())
    der = certificate(private)
    pem = private_pem(SoftwareSigner(private))
    assert signer_from_pem(pem, certificate_der=der).certificate_digest == sha256(der)
    foreign = certificate(ec.generate_private_key(ec.SECP384R1()))
    for bad, code in (
        (foreign, "key-unsuitable"),
        (der[:-1], "certificate-unreadable"),
        (
            der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x09", 1),
            "certificate-unreadable",
        ),  # X.509 version 10
        # The curve P-384 (1.3.132.0.34) replaced by one that does not exist.
        (der.replace(bytes.fromhex("06052b81040022"), bytes.fromhex("06052b8104007f"), 1), "certificate-unreadable"),
        (b"", "certificate-unreadable"),
    ):
        with pytest.raises(UsageError) as error:
            signer_from_pem(pem, certificate_der=bad)
        assert code == error.value.code


def test_unreadable_keys() -> None:
    """A file that is no key, a key with a password, and a key for something else are told apart."""
    private = ec.generate_private_key(ec.SECP384R1())
    pkcs8 = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    locked = private.private_bytes(*pkcs8, serialization.BestAvailableEncryption(b"password"))
    exchange = x25519.X25519PrivateKey.generate().private_bytes(*pkcs8, serialization.NoEncryption())
    curve = ec.generate_private_key(ec.SECP521R1()).private_bytes(*pkcs8, serialization.NoEncryption())
    for pem, code in (
        (b"", "key-unreadable"),
        (b"-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----\n", "key-unreadable"),
        (
            b"-----BEGIN PRIVATE KEY-----\nMA0CAQAwBAYCKgMEAgQA\n-----END PRIVATE KEY-----\n",
            "key-unreadable",
        ),  # kind 1.2.3
        (locked, "key-unreadable"),
        (exchange, "key-unsuitable"),
        (curve, "key-unsuitable"),
    ):
        with pytest.raises(UsageError) as error:
            signer_from_pem(pem)
        assert code == error.value.code
