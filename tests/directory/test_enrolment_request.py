"""The enrolment request and the admission as bytes: only what an authority signed, whole, gets past the reader."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from connectors.commands.enrolment import prepare
from connectors.gateway.keyring import read_keyring
from hub.adapters.clock import SystemChance
from hub.adapters.files.founding import Counts, found
from hub.adapters.files.home import Home
from hub.adapters.files.owned import read
from hub.adapters.files.transport import TransportAuthority
from hub.core import secretariat
from hub.core.authority import KeyUse, TrustList
from hub.core.ids import AuthorityId, sha256
from hub.core.times import format_time
from hub.envelope import jws, pki
from hub.envelope.encoding import b64, unb64
from hub.envelope.enrolment import (
    NAME_LENGTH_MAX,
    REQUEST_BYTES_MAX,
    TYPE,
    Admission,
    EnrolmentRequest,
    encode_admission,
    read_admission,
    read_request,
    sign_request,
)
from hub.envelope.signers import SoftwareSigner, generate_signer
from hub.errors import Refused

NOW_MS = 1_795_600_000_000
YEAR_MS = 365 * 24 * 3600 * 1000
XA, XB = AuthorityId("xa-moj"), AuthorityId("xb-pgo")


@dataclass(frozen=True)
class Asked:
    """Two authorities' requests to one deployment, and the keys of the first."""

    trust: TrustList
    transport: TransportAuthority
    data: bytes
    signers: tuple[SoftwareSigner, ...]
    other: EnrolmentRequest
    transport_key: bytes

    def signed(self, change: Callable[[dict[str, Any]], Any], *, typ: str = TYPE, signers: Any = None) -> bytes:
        """The request, changed and signed again by the authority's own keys."""
        payload = json.loads(jws.parse(self.data, typ=TYPE, bytes_max=REQUEST_BYTES_MAX).payload)
        changed = change(payload)
        data = json.dumps(payload if changed is None else changed).encode()
        return jws.sign(data, typ=typ, signers=signers or self.signers, issued_s=NOW_MS // 1000)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """Requests as ``comity authority enrol`` makes them; the second authority is in the list already."""
    home, chance = Home(tmp_path_factory.mktemp("requests") / "home"), SystemChance()
    trust = found(home, Counts(shards=2, ledger_partitions=2), now_ms=NOW_MS, chance=chance)
    requests = [
        prepare(home.state(name), name=name, suite="S1", anchor_file=read(home.anchor), now_ms=NOW_MS, chance=chance)
        for name in (XA, XB)
    ]
    other = read_request(requests[1], trust=trust)
    trust = secretariat.admit(trust, other.authority, now_ms=NOW_MS, next_update_ms=trust.next_update_ms)
    return Asked(
        trust,
        TransportAuthority.load(home.transport_ca),
        requests[0],
        read_keyring(home.state(XA).keys).signers,
        other,
        read(home.state(XA).client.keystore.with_suffix(".key")),
    )


def _csr(*names: tuple[x509.ObjectIdentifier, str]) -> str:
    subject = x509.Name([x509.NameAttribute(*name) for name in names])
    request = x509.CertificateSigningRequestBuilder(subject_name=subject)
    signed = request.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return b64(signed.public_bytes(serialization.Encoding.DER))


def _broken(base64: str) -> str:
    data = bytearray(unb64(base64))
    data[-1] ^= 1
    return b64(bytes(data))


def test_a_request_is_read_as_it_was_signed(asked: Asked) -> None:
    """Name, suite, keys, statements and certificate request come back, and signing them gives the payload again."""
    request = read_request(asked.data, trust=asked.trust)
    assert (request.deployment, request.made_ms) == (asked.trust.deployment, NOW_MS)
    assert (request.authority.id, request.authority.name, request.authority.suite) == (XA, XA, "S1")
    assert [key.use for key in request.authority.encryption] == list(KeyUse)
    again = sign_request(request, signers=asked.signers)
    assert [jws.parse(each, typ=TYPE, bytes_max=REQUEST_BYTES_MAX).payload for each in (asked.data, again)] == [
        jws.parse(asked.data, typ=TYPE, bytes_max=REQUEST_BYTES_MAX).payload
    ] * 2


MALFORMED: list[Callable[[dict[str, Any]], Any]] = [
    lambda _: [],
    lambda said: said.pop("transport"),
    lambda said: said.update(more=1),
    lambda said: said.update(v="comity-enrolment/2"),
    lambda said: said.update(v=1),
    lambda said: said.update(dom="short"),
    lambda said: said.update(made="yesterday"),
    lambda said: said.update(id="XA"),
    lambda said: said.update(name=""),
    lambda said: said.update(name="x" * (NAME_LENGTH_MAX + 1)),
    lambda said: said.update(name="two\nlines"),
    lambda said: said.update(name="\u202ejom-ax"),
    lambda said: said.update(suite="S9"),
    lambda said: said.update(anchors=[]),
    lambda said: said.update(anchors=[7]),
    lambda said: said.update(anchors=said["anchors"] * 5),
    lambda said: said.update(signing=[]),
    lambda said: said["signing"][0].update(crt="AAAA"),
    lambda said: said["signing"][0].update(kid="short"),
    lambda said: said.update(encryption=[]),
    lambda said: said["encryption"][0].update(use="outbox"),
    lambda said: said["encryption"][0].update(until=7),
    lambda said: said["encryption"][0].update(until=said["encryption"][0]["from"]),
    lambda said: said["encryption"][0].update(until=format_time(NOW_MS + YEAR_MS + YEAR_MS // 12)),
    lambda said: said.update(statements=[7]),
    lambda said: said.update(statements=said["statements"] * 9),
    lambda said: said.update(transport="?"),
]


@pytest.mark.parametrize("change", MALFORMED)
def test_a_request_of_another_form_is_malformed(asked: Asked, change: Callable[[dict[str, Any]], Any]) -> None:
    """A field too few, too many, of another type or out of its bounds: refused, though the authority signed it."""
    # A popped member is what the lambda returns: the payload is what was changed.
    data = asked.signed(lambda said: [] if change(said) == [] else None)
    with pytest.raises(Refused) as caught:
        read_request(data, trust=asked.trust)
    assert caught.value.code == "request-malformed"


FALSE: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("deployment-mismatch", lambda said: said.update(dom=sha256(b"another deployment"))),
    ("algorithms-mismatch", lambda said: said.update(suite="S2")),
    ("algorithms-mismatch", lambda said: said["signing"].reverse()),
    ("algorithms-mismatch", lambda said: said["signing"].pop() and None),
    ("certificate-invalid", lambda said: said.update(id=XB)),
    ("certificate-invalid", lambda said: said.update(made=format_time(NOW_MS + 9 * YEAR_MS))),
    ("certificate-invalid", lambda said: said.update(anchors=["AAAA"])),
    ("key-mismatch", lambda said: said["signing"][0].update(kid=said["signing"][1]["kid"])),
    ("statement-mismatch", lambda said: said["encryption"].pop() and None),
    ("statement-mismatch", lambda said: said["statements"].pop() and None),
    ("statement-mismatch", lambda said: said.update(statements=["{}"])),
    ("statement-mismatch", lambda said: said["encryption"][0].update(alg="HPKE-12-KE")),
    ("transport-invalid", lambda said: said.update(transport="AAAA")),
    ("transport-invalid", lambda said: said.update(transport=_broken(said["transport"]))),
    ("transport-invalid", lambda said: said.update(transport=_csr((x509.NameOID.COMMON_NAME, XB)))),
    ("transport-invalid", lambda said: said.update(transport=_csr((x509.NameOID.COMMON_NAME, "admin")))),
    ("transport-invalid", lambda said: said.update(transport=_csr((x509.NameOID.ORGANIZATION_NAME, XA)))),
    (
        "transport-invalid",
        lambda said: said.update(transport=_csr(*[(x509.NameOID.COMMON_NAME, name) for name in (XA, "router")])),
    ),
    ("transport-invalid", lambda said: said.update(transport=_csr())),
]


@pytest.mark.parametrize(("code", "change"), FALSE)
def test_a_request_that_says_false_things_is_refused(
    asked: Asked, code: str, change: Callable[[dict[str, Any]], Any]
) -> None:
    """Another deployment, name, certificate, key or statement than the signer's own: each has its code."""
    data = asked.signed(change)
    with pytest.raises(Refused) as caught:
        read_request(data, trust=asked.trust)
    assert caught.value.code == code


def test_the_keys_of_another_cannot_be_asked_for(asked: Asked) -> None:
    """An authority that lists another's key beside its own, with the other's true statement, is refused."""
    key, statement = asked.other.authority.encryption[0], asked.other.statements[0]

    def steal(said: dict[str, Any]) -> None:
        said["encryption"].append({**said["encryption"][0], "kid": key.id, "use": key.use.value})
        said["statements"].append(statement.decode())

    with pytest.raises(Refused, match="statement-mismatch"):
        read_request(asked.signed(steal), trust=asked.trust)


def test_who_holds_not_all_the_keys_asks_for_nothing(asked: Asked) -> None:
    """Stranger's signatures, one signature of two, or another kind of document: refused."""
    strangers = tuple(generate_signer(signer.algorithm) for signer in asked.signers)
    wrong: dict[str, bytes] = {
        "key-unknown": asked.signed(lambda _: None, signers=strangers),
        "algorithms-mismatch": asked.signed(lambda _: None, signers=asked.signers[:1]),
        "jws-malformed": asked.signed(lambda _: None, typ=jws.TYP_MANIFEST),
    }
    for code, data in wrong.items():
        with pytest.raises(Refused) as caught:
            read_request(data, trust=asked.trust)
        assert caught.value.code == code


@hypothesis_settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_refused(asked: Asked, data: bytes) -> None:
    """Whatever comes as a request or as its payload raises ``Refused`` and nothing else."""
    whole = jws.sign(data, typ=TYPE, signers=asked.signers[:1], issued_s=0)
    for each in (data, whole):
        with pytest.raises(Refused):
            read_request(each, trust=asked.trust)


@hypothesis_settings(max_examples=50, deadline=None)
@given(place=st.integers(min_value=0), flip=st.integers(min_value=1, max_value=255))
def test_no_byte_of_a_request_can_be_changed(asked: Asked, place: int, flip: int) -> None:
    """A request with one byte changed is refused, wherever the byte stands."""
    tampered = bytearray(asked.data)
    tampered[place % len(tampered)] ^= flip
    with pytest.raises(Refused):
        read_request(bytes(tampered), trust=asked.trust)


@pytest.fixture
def admission(asked: Asked) -> Admission:
    """The answer to the request."""
    certificate = asked.transport.issue(
        XA, pki.transport_public(asked.transport_key), now_ms=NOW_MS, chance=SystemChance()
    )
    return Admission(authority=XA, trust_list=2, certificate_pem=certificate, ca_pem=asked.transport.certificate_pem)


def test_an_admission_is_read_back(asked: Asked, admission: Admission) -> None:
    """The authority whose key was certified reads what the secretariat wrote."""
    public = pki.transport_public(asked.transport_key)
    assert read_admission(encode_admission(admission), authority=XA, public=public) == admission


@pytest.mark.parametrize(
    "change",
    [
        lambda whole, _: whole[:0],
        lambda whole, _: whole[:-1],
        lambda whole, _: whole.replace(b"comity-admission/1", b"comity-admission/2"),
        lambda whole, _: whole.replace(b'"tl":2', b'"tl":0'),
        lambda whole, _: whole.replace(b'"id":"xa-moj"', b'"id":"xb-pgo"'),
        lambda whole, _: whole.replace(b"BEGIN CERTIFICATE", b"BEGIN NOTHING"),
        lambda whole, other: whole.replace(*[json.dumps(pem.decode())[1:-1].encode() for pem in (other[0], other[1])]),
    ],
)
def test_an_admission_of_another_form_or_name_is_invalid(
    asked: Asked, admission: Admission, change: Callable[[bytes, tuple[bytes, bytes]], bytes]
) -> None:
    """Version, number, name, certificate or CA changed: one code for all."""
    stranger = TransportAuthority.found(now_ms=NOW_MS, chance=SystemChance())
    whole = encode_admission(admission)
    changed = change(whole, (admission.ca_pem, stranger.certificate_pem))
    assert changed != whole
    with pytest.raises(Refused) as caught:
        read_admission(changed, authority=XA, public=pki.transport_public(asked.transport_key))
    assert caught.value.code == "admission-invalid"


def test_a_certificate_for_another_key_or_name_is_not_installed(asked: Asked, admission: Admission) -> None:
    """A certificate of the right CA for another key, or another principal, is refused."""
    public = pki.transport_public(asked.transport_key)
    wrong = [
        asked.transport.issue(
            XA, pki.transport_public(pki.generate_transport_key()), now_ms=NOW_MS, chance=SystemChance()
        ),
        asked.transport.issue("router", public, now_ms=NOW_MS, chance=SystemChance()),
    ]
    for certificate in wrong:
        data = encode_admission(replace(admission, certificate_pem=certificate))
        with pytest.raises(Refused, match="admission-invalid"):
            read_admission(data, authority=XA, public=public)
