from __future__ import annotations

import hashlib
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hub.core.authority import Authority, PublicKey, Status
from hub.core.ids import AuthorityId
from hub.core.times import parse_time
from hub.envelope import certificates, pki
from hub.envelope.certificates import PathCache, signing_public_key
from hub.envelope.signers import generate_signer
from hub.envelope.validity import der_validity, pem_validity
from hub.errors import Refused, UsageError

FROM_MS = parse_time("2026-01-01T00:00:00Z")
NOW_MS = parse_time("2026-11-25T09:00:00Z")
UNTIL_MS = parse_time("2027-12-31T00:00:00Z")
VALID = pki.Validity(serial=pki.serial_number(bytes(16)), from_ms=FROM_MS, until_ms=UNTIL_MS)
XA = AuthorityId("xa-moj")
CA = pki.make_authority_ca("State XA CA", VALID)
OTHER_CA = pki.make_authority_ca("State XA CA", VALID)  # the same name, another State's key
SIGNER = generate_signer("Ed25519")
LEAF = pki.issue_signing_certificate(CA, XA, SIGNER.public, VALID)


def _authority(*anchors: bytes, name: str = "xa-moj") -> Authority:
    return Authority(
        id=AuthorityId(name),
        name="Ministry",
        suite="S1",
        status=((Status.ACTIVE, FROM_MS),),
        anchors=anchors or (CA.certificate,),
        signing=(),
        encryption=(),
    )


def _leaf(  # one thing changed at a time
    *,
    common_names=("xa-moj",),
    uris=("urn:comity:authority:xa-moj",),
    purposes=(certificates.DOCUMENT_SIGNING,),
    usage=("digital_signature", "content_commitment"),
    without: type | None = None,
    more: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    ca: pki.CertificateAuthority = CA,
) -> bytes:
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign"
    )
    bits = {name: name in usage for name in [*names.split(), "encipher_only", "decipher_only"]}
    builder = x509.CertificateBuilder(
        issuer_name=x509.load_der_x509_certificate(ca.certificate).subject,
        subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in common_names]),
        public_key=x509.load_der_x509_certificate(LEAF).public_key(),
        serial_number=7,
        not_valid_before=datetime.fromtimestamp(FROM_MS // 1000, UTC),
        not_valid_after=datetime.fromtimestamp(UNTIL_MS // 1000, UTC),
    )
    extensions = (
        (x509.KeyUsage(**bits), True),
        (x509.ExtendedKeyUsage(purposes), False),
        (x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.private.public_key()), False),
        *more,
    )
    for extension, critical in extensions:
        if not (without and isinstance(extension, without)):
            builder = builder.add_extension(extension, critical=critical)
    return builder.sign(ca.private, hashes.SHA384()).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("algorithm", ["Ed25519", "ML-DSA-65", "ML-DSA-87", "ES384"])
def test_a_leaf_of_every_suite_gives_its_key(algorithm: str) -> None:
    """A leaf with a post-quantum or Edwards key under a P-384 CA is valid, and holds the signer's key."""
    signer = generate_signer(algorithm)
    leaf = pki.issue_signing_certificate(CA, XA, signer.public, VALID)
    public = signing_public_key(leaf, authority=_authority(), algorithm=algorithm, time_ms=NOW_MS)
    assert public == signer.public.public


def test_the_hand_made_leaf_of_these_tests_is_valid() -> None:
    """What the refusals below change is good before the change."""
    assert signing_public_key(_leaf(), authority=_authority(), algorithm="Ed25519", time_ms=NOW_MS)


@pytest.mark.parametrize(
    "change",
    [
        {"common_names": ("xb-pgo",)},
        {"common_names": ("xa-moj", "xa-moj")},
        {"common_names": ()},
        {"uris": ("urn:comity:authority:xb-pgo",)},
        {"uris": ("urn:comity:authority:xa-moj", "urn:comity:authority:xb-pgo")},
        {"common_names": ("xb-pgo",), "uris": ("urn:comity:authority:xb-pgo",)},
        {"purposes": (ExtendedKeyUsageOID.CLIENT_AUTH,)},
        {"usage": ("digital_signature",)},
        {"usage": ("content_commitment",)},
        {"usage": ("digital_signature", "content_commitment", "key_agreement")},
        {"usage": ("digital_signature", "content_commitment", "key_cert_sign")},
        {"without": x509.KeyUsage},
        {"without": x509.ExtendedKeyUsage},
        {"without": x509.SubjectAlternativeName},
        {"more": ((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True),)},
        {"more": ((x509.TLSFeature([x509.TLSFeatureType.status_request]), True),)},
        {"more": ((x509.InhibitAnyPolicy(0), True),)},
        {"more": ((x509.PolicyConstraints(0, None), True),)},
        {"more": ((x509.NameConstraints([x509.DNSName("xa")], None), True),)},
        {"more": ((x509.IssuerAlternativeName([x509.DNSName("xa")]), True),)},
        {"ca": OTHER_CA},
    ],
)
def test_a_leaf_outside_of_the_profile_is_refused(change: dict) -> None:
    """One thing changed: CN or SAN not the authority's, usage, purpose, a foreign critical extension, another CA."""
    with pytest.raises(Refused) as caught:
        signing_public_key(_leaf(**change), authority=_authority(), algorithm="Ed25519", time_ms=NOW_MS)
    assert caught.value.code == "certificate-invalid"


def test_an_extension_that_is_not_critical_is_let_be() -> None:
    """A State's own PKI may say more in its certificates."""
    leaf = _leaf(more=((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), False),))
    assert signing_public_key(leaf, authority=_authority(), algorithm="Ed25519", time_ms=NOW_MS)


@pytest.mark.parametrize("time_ms", [FROM_MS - 1, UNTIL_MS + 1000, -(10**18), 10**18])
def test_a_certificate_is_judged_at_the_time_given(time_ms: int) -> None:
    """Before and after its dates, and at times that no calendar has, it is refused; on the last second it is good."""
    assert signing_public_key(LEAF, authority=_authority(), algorithm="Ed25519", time_ms=UNTIL_MS)
    with pytest.raises(Refused, match="certificate-invalid"):
        signing_public_key(LEAF, authority=_authority(), algorithm="Ed25519", time_ms=time_ms)


@pytest.mark.parametrize(
    ("certificate", "authority", "algorithm"),
    [
        (LEAF, _authority(), "ML-DSA-65"),
        (LEAF, _authority(name="xb-pgo"), "Ed25519"),
        (LEAF, _authority(OTHER_CA.certificate), "Ed25519"),
        (LEAF, _authority(b"no certificate"), "Ed25519"),
        (LEAF, replace(_authority(), anchors=()), "Ed25519"),
        (LEAF[:-1], _authority(), "Ed25519"),
        (b"", _authority(), "Ed25519"),
        (CA.certificate, _authority(), "ES384"),
    ],
)
def test_a_key_is_nobody_elses(certificate, authority, algorithm) -> None:
    """Another algorithm, authority, State's CA, a broken leaf or anchor, no anchor, and the CA as a leaf are refused."""
    with pytest.raises(Refused, match="certificate-invalid"):
        signing_public_key(certificate, authority=authority, algorithm=algorithm, time_ms=NOW_MS)


def test_one_of_several_anchors_is_enough() -> None:
    """While a State changes its CA, the list holds both."""
    both = _authority(OTHER_CA.certificate, CA.certificate)
    assert signing_public_key(LEAF, authority=both, algorithm="Ed25519", time_ms=NOW_MS)


def test_a_remembered_path_is_as_strict_as_a_new_one() -> None:
    """The cache answers for this certificate, authority, anchors, algorithm and dates, and no other."""
    paths = PathCache()
    for _ in range(2):
        public = paths.signing_public_key(LEAF, authority=_authority(), algorithm="Ed25519", time_ms=NOW_MS)
        assert public == SIGNER.public.public
    for change in (
        {"time_ms": UNTIL_MS + 1000},
        {"time_ms": FROM_MS - 1},
        {"algorithm": "ML-DSA-65"},
        {"authority": _authority(OTHER_CA.certificate)},
        {"authority": _authority(name="xb-pgo")},
    ):
        arguments = {"authority": _authority(), "algorithm": "Ed25519", "time_ms": NOW_MS, **change}
        with pytest.raises(Refused, match="certificate-invalid"):
            paths.signing_public_key(LEAF, **arguments)


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest path makes room."""
    monkeypatch.setattr(certificates, "PATHS_CACHED_MAX", 1)
    paths = PathCache()
    for leaf in (LEAF, _leaf(), LEAF):
        assert paths.signing_public_key(leaf, authority=_authority(), algorithm="Ed25519", time_ms=NOW_MS)
        assert len(paths._paths) == 1


def test_the_ml_dsa_certificate_of_others_is_read(vectors: Path) -> None:
    """RFC 9881's example: the key is the one published beside it, and its own signature verifies with it."""
    folder = vectors / "x509-mldsa" / "examples"
    certificate = x509.load_pem_x509_certificate((folder / "ML-DSA-65.crt").read_bytes())
    published = serialization.load_pem_public_key((folder / "ML-DSA-65.pub").read_bytes())
    assert certificate.public_key() == published
    published.verify(certificate.signature, certificate.tbs_certificate_bytes)


def test_a_transport_certificate_names_its_principal_and_nothing_else() -> None:
    """Kafka reads the whole subject: it is CN=<principal>; only a broker's may serve TLS."""
    ca = pki.make_transport_ca("Comity transport CA", VALID)
    key = pki.generate_transport_key()
    client = x509.load_der_x509_certificate(
        pki.issue_transport_certificate(ca, "xa-moj", pki.transport_public(key), VALID)
    )
    server = x509.load_der_x509_certificate(
        pki.issue_transport_certificate(
            ca, "broker-1", pki.transport_public(key), VALID, server_names=("localhost", "127.0.0.1")
        )
    )
    assert client.subject.rfc4514_string() == "CN=xa-moj"
    assert list(_value(client, x509.ExtendedKeyUsage)) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert ExtendedKeyUsageOID.SERVER_AUTH in _value(server, x509.ExtendedKeyUsage)
    names = _value(server, x509.SubjectAlternativeName)
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def _value(certificate: x509.Certificate, kind: type):
    return certificate.extensions.get_extension_for_class(kind).value


def test_tls_takes_the_transport_certificates(tmp_path: Path) -> None:
    """OpenSSL, by Python's ssl, shakes hands with them in both directions and checks the server's name."""
    ca = pki.make_transport_ca("Comity transport CA", _today())
    contexts = []
    for principal, names, side in (
        ("broker-1", ("localhost",), ssl.PROTOCOL_TLS_SERVER),
        ("xa-moj", (), ssl.PROTOCOL_TLS_CLIENT),
    ):
        key = pki.generate_transport_key()
        leaf = pki.issue_transport_certificate(ca, principal, pki.transport_public(key), _today(), server_names=names)
        (tmp_path / principal).write_bytes(key + pki.certificate_pem(leaf))
        context = ssl.SSLContext(side)
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.load_cert_chain(tmp_path / principal)
        context.load_verify_locations(cadata=pki.certificate_pem(ca.certificate).decode())
        contexts.append(context)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = contexts[0].wrap_bio(to_server, to_client, server_side=True)
    client = contexts[1].wrap_bio(to_client, to_server, server_hostname="localhost")
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert server.getpeercert()["subject"] == ((("commonName", "xa-moj"),),)


def _today() -> pki.Validity:
    # OpenSSL asks the machine's clock, so these certificates are valid for a century around it.
    return pki.Validity(
        serial=9, from_ms=parse_time("2000-01-01T00:00:00Z"), until_ms=parse_time("2099-01-01T00:00:00Z")
    )


def test_a_request_carries_key_and_name() -> None:
    """A PKCS#10 request is made from the key alone, and gives its public key back."""
    key = pki.generate_transport_key()
    request = pki.transport_request(key, "xa-moj")
    assert x509.load_der_x509_csr(request).subject.rfc4514_string() == "CN=xa-moj"
    assert pki.request_public(request) == pki.transport_public(key)


def test_a_ca_is_kept_in_two_files() -> None:
    """Key and certificate in PEM give the same CA, which shows no key in its text form."""
    again = pki.load_ca(pki.ca_key_pem(CA), pki.certificate_pem(CA.certificate))
    assert again.certificate == CA.certificate
    assert again.private.private_numbers() == CA.private.private_numbers()
    assert "private" not in repr(again)


def test_serial_numbers_are_positive_and_short_enough() -> None:
    """RFC 5280 allows 20 octets with the sign."""
    assert pki.serial_number(bytes(16)) > 0
    assert pki.serial_number(b"\xff" * 16).bit_length() < 160
    assert pki.serial_number(hashlib.sha256(b"1").digest()) != pki.serial_number(hashlib.sha256(b"2").digest())


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda: pki.load_ca(b"none", pki.certificate_pem(CA.certificate)), "key-unreadable"),
        (lambda: pki.load_ca(pki.ca_key_pem(CA), b"none"), "certificate-unreadable"),
        (lambda: pki.load_ca(pki.ca_key_pem(OTHER_CA), pki.certificate_pem(CA.certificate)), "key-unsuitable"),
        (lambda: pki.load_ca(_locked(), pki.certificate_pem(CA.certificate)), "key-unreadable"),
        (lambda: pki.transport_public(_ed25519()), "key-unsuitable"),
        (lambda: pki.request_public(b"none"), "request-malformed"),
        (lambda: pki.issue_signing_certificate(CA, XA, replace(SIGNER.public, algorithm="HPKE-10-KE"), VALID), "key-unsuitable"),
        (lambda: pki.issue_transport_certificate(CA, "xa-moj", _ed25519_public(), VALID), "key-unsuitable"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_a_sentence(act, code: str) -> None:
    """Bytes that are no key, certificate or request, or those of another key, are the user's mistake."""
    with pytest.raises(UsageError) as caught:
        act()
    assert caught.value.code == code


def _locked() -> bytes:
    locked = serialization.BestAvailableEncryption(b"secret")
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)


def _ed25519() -> bytes:
    return SIGNER._private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _ed25519_public() -> bytes:
    key = x509.load_der_x509_certificate(LEAF).public_key()
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_dates_are_cut_to_whole_seconds() -> None:
    """X.509 has no fractions of a second."""
    odd = pki.Validity(serial=1, from_ms=FROM_MS + 999, until_ms=UNTIL_MS + 1)
    leaf = x509.load_der_x509_certificate(pki.issue_signing_certificate(CA, XA, SIGNER.public, odd))
    assert leaf.not_valid_before_utc == datetime.fromtimestamp(FROM_MS // 1000, UTC)
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc < timedelta(days=730)


def test_a_public_key_of_no_suite_makes_no_leaf() -> None:
    """The raw bytes of another length are refused by the library."""
    with pytest.raises(ValueError, match="32 bytes"):
        pki.issue_signing_certificate(CA, XA, PublicKey(SIGNER.key, "Ed25519", b"short"), VALID)


def test_the_validity_of_certificates_is_read_from_both_forms():
    """First and last moment, of DER and of each certificate in PEM; a key before them is skipped."""
    pem = pki.ca_key_pem(CA) + pki.certificate_pem(LEAF) + pki.certificate_pem(OTHER_CA.certificate)
    assert pem_validity(pem) == ((FROM_MS, UNTIL_MS),) * 2
    assert der_validity(LEAF) == (FROM_MS, UNTIL_MS)
