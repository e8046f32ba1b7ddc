"""The enrolment request: what an authority asks the secretariat to vouch for. Public parts only, signed by the authority.

A JWS General JSON (typ ``comity-enrol+jws``), signed by every algorithm of the suite with the leaf certificates inside::

    {"v": "comity-enrolment/1", "dom": deployment, "id": "xa-moj", "name": "...", "suite": "S1", "made": time,
     "anchors": [b64 DER of the State's CA], "signing": [{"kid", "alg", "crt": b64 DER}],
     "encryption": [{"kid", "alg", "use", "from", "until"}], "statements": [key statement (JWS), ...],
     "transport": b64 DER of a PKCS#10 request (RFC 2986) for Kafka's client certificate, subject CN=xa-moj}

The signature proves that the asker holds the keys, not that it is the ministry it says: whoever admits it compares the
request's SHA-256 with the authority over another channel, by voice (fingerprint).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hub.core.authority import Authority, EncryptionKey, KeyUse, PublicKey, SigningKey, Status, TrustList
from hub.core.ids import AuthorityId, Digest, KeyId, authority_id, digest, key_id
from hub.core.signing import Signer
from hub.core.times import format_time, parse_time
from hub.envelope import jws, strict_json
from hub.envelope.certificates import signing_public_key
from hub.envelope.encoding import b64, unb64
from hub.envelope.suites import SUITES, thumbprint
from hub.envelope.trust import read_key_statement
from hub.envelope.validity import der_validity
from hub.errors import Refused, VerificationFailed

VERSION: Final = "comity-enrolment/1"
ADMISSION_VERSION: Final = "comity-admission/1"
TYPE: Final = "comity-enrol+jws"
REQUEST_BYTES_MAX: Final = 256 * 1024  # a dozen key statements of 8 KiB and a few certificates
NAME_LENGTH_MAX: Final = 200
ENCRYPTION_VALID_MS_MAX: Final = 367 * 24 * 3600 * 1000  # 12 months, a leap day, and room for two clocks
ANCHORS_MAX: Final = 4
STATEMENTS_MAX: Final = 16
_FIELDS: Final = {
    "v", "dom", "id", "name", "suite", "made", "anchors", "signing", "encryption", "statements", "transport",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What goes back to an authority that was admitted: nothing secret."""

    authority: AuthorityId
    trust_list: int
    certificate_pem: bytes
    ca_pem: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentRequest:
    """A request, checked by ``read_request`` or about to be signed by ``sign_request``."""

    deployment: Digest
    authority: Authority  # status and validity as asked for; from ``made_ms`` on
    made_ms: int
    statements: tuple[bytes, ...]
    transport: bytes  # PKCS#10, DER


def sign_request(request: EnrolmentRequest, *, signers: Sequence[Signer]) -> bytes:
    """The request's bytes."""
    authority = request.authority
    payload = strict_json.dump(
        {
            "v": VERSION,
            "dom": request.deployment,
            "id": authority.id,
            "name": authority.name,
            "suite": authority.suite,
            "made": format_time(request.made_ms),
            "anchors": [b64(anchor) for anchor in authority.anchors],
            "signing": [
                {"kid": key.id, "alg": key.algorithm, "crt": b64(key.certificate)} for key in authority.signing
            ],
            "encryption": [
                {
                    "kid": key.id,
                    "alg": key.algorithm,
                    "use": key.use.value,
                    "from": format_time(key.from_ms),
                    "until": format_time(key.until_ms),
                }
                for key in authority.encryption
            ],
            "statements": [statement.decode() for statement in request.statements],
            "transport": b64(request.transport),
        }
    )
    return jws.sign(payload, typ=TYPE, signers=signers, issued_s=request.made_ms // 1000)


def read_request(data: bytes, *, trust: TrustList) -> EnrolmentRequest:
    """Check everything that a request says of itself against the deployment's newest list.

    Raises ``Refused``: ``jws-malformed``, ``request-malformed``, ``deployment-mismatch``, ``algorithms-mismatch``,
    ``certificate-invalid``, ``key-mismatch``, ``key-unknown``, ``signature-invalid``, ``statement-mismatch``,
    ``transport-invalid``.
    """
    signed = jws.parse(data, typ=TYPE, bytes_max=REQUEST_BYTES_MAX)
    request = _decode(signed.payload)
    authority = request.authority
    if request.deployment != trust.deployment:
        raise Refused("deployment-mismatch", "The enrolment request is for another deployment; check its anchor.json.")
    algorithms = SUITES[authority.suite].signatures
    if tuple(key.algorithm for key in authority.signing) != algorithms:
        raise Refused("algorithms-mismatch", "The request has not exactly one signing certificate per algorithm.")
    keys: dict[KeyId, PublicKey] = {}
    for key in authority.signing:
        public = signing_public_key(
            key.certificate, authority=authority, algorithm=key.algorithm, time_ms=request.made_ms
        )
        if thumbprint(key.algorithm, public) != key.id:
            raise Refused("key-mismatch", "A signing key's id is not the thumbprint of its certificate's key.")
        keys[key.id] = PublicKey(key.id, key.algorithm, public)
    jws.verify_all(signed, keys, algorithms=algorithms)
    _check_statements(request, trust)
    _check_transport(request)
    return request


def encode_admission(admission: Admission) -> bytes:
    """The admission as a file."""
    return strict_json.dump(
        {
            "v": ADMISSION_VERSION,
            "id": admission.authority,
            "tl": admission.trust_list,
            "certificate": admission.certificate_pem.decode(),
            "ca": admission.ca_pem.decode(),
        }
    )


def read_admission(data: bytes, *, authority: AuthorityId, public: bytes) -> Admission:
    """The admission, if its certificate is for this authority and key (DER SubjectPublicKeyInfo), from the CA beside it.

    Raises ``Refused(admission-invalid)``.
    """
    try:
        fields = strict_json.closed(strict_json.parse(data), required={"v", "id", "tl", "certificate", "ca"})
        admission = Admission(
            authority=authority_id(fields["id"]),
            trust_list=strict_json.integer(fields, "tl", low=1),
            certificate_pem=strict_json.text(fields, "certificate").encode(),
            ca_pem=strict_json.text(fields, "ca").encode(),
        )
        certificate = x509.load_pem_x509_certificate(admission.certificate_pem)
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(admission.ca_pem))
        spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        genuine = (fields["v"], admission.authority, spki) == (ADMISSION_VERSION, authority, public)
        if not genuine or certificate.subject.rfc4514_string() != f"CN={authority}":
            raise Refused("admission-invalid", "The admission is for another authority or key.")
    except (Refused, ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise Refused("admission-invalid", "This is not the admission of this authority and its Kafka key.") from error
    return admission


def certificate_request_subject(request: bytes) -> str:
    """The common name that a PKCS#10 request asks for, if its own signature verifies.

    Raises ``Refused(transport-invalid)``, also when the subject has anything but one common name.
    """
    invalid = Refused("transport-invalid", "The request for a Kafka certificate is not one for exactly CN=<authority>.")
    try:
        csr = x509.load_der_x509_csr(request)
        genuine = csr.is_signature_valid
        names = [(attribute.oid, attribute.value) for attribute in csr.subject]
    except (ValueError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise invalid from error
    if not genuine or len(names) != 1 or names[0][0] != x509.NameOID.COMMON_NAME or not isinstance(names[0][1], str):
        raise invalid
    return names[0][1]


def _decode(payload: bytes) -> EnrolmentRequest:
    try:
        fields = strict_json.closed(strict_json.parse(payload), required=_FIELDS)
        if strict_json.text(fields, "v") != VERSION:
            raise Refused("version-unknown", "The enrolment request is of another version.")
        made_ms = parse_time(fields["made"])
        return EnrolmentRequest(
            deployment=digest(fields["dom"]),
            authority=_authority(fields, made_ms),
            made_ms=made_ms,
            statements=tuple(
                _as_text(each).encode() for each in strict_json.items(fields, "statements", high=STATEMENTS_MAX)
            ),
            transport=unb64(strict_json.text(fields, "transport")),
        )
    except Refused as error:
        raise Refused("request-malformed", f"This is not an enrolment request: {error.sentence}") from error
    except ValueError as error:  # of cryptography: bytes that are no certificate or key
        raise Refused("request-malformed", "This is not an enrolment request: a certificate is broken.") from error


def _authority(fields: strict_json.JsonObject, made_ms: int) -> Authority:
    name, suite = strict_json.text(fields, "name"), strict_json.text(fields, "suite")
    if not 1 <= len(name) <= NAME_LENGTH_MAX or not name.isprintable():
        raise Refused("name-malformed", f"A name has 1 to {NAME_LENGTH_MAX} printable characters.")
    if suite not in SUITES:
        raise Refused("suite-unknown", "The suite is not in the registry.")
    return Authority(
        id=authority_id(fields["id"]),
        name=name,
        suite=suite,
        status=((Status.ACTIVE, made_ms),),
        anchors=tuple(unb64(_as_text(each)) for each in strict_json.items(fields, "anchors", low=1, high=ANCHORS_MAX)),
        signing=tuple(_leaf(each) for each in strict_json.items(fields, "signing", low=1, high=2)),
        encryption=tuple(
            _encryption(each) for each in strict_json.items(fields, "encryption", low=1, high=STATEMENTS_MAX)
        ),
    )


def _leaf(value: strict_json.JsonValue) -> SigningKey:
    fields = strict_json.closed(value, required={"kid", "alg", "crt"})
    certificate = unb64(strict_json.text(fields, "crt"))
    from_ms, until_ms = der_validity(certificate)
    return SigningKey(key_id(fields["kid"]), strict_json.text(fields, "alg"), certificate, from_ms, until_ms)


def _encryption(value: strict_json.JsonValue) -> EncryptionKey:
    fields = strict_json.closed(value, required={"kid", "alg", "use", "from", "until"})
    use = strict_json.text(fields, "use")
    if use not in set(KeyUse):
        raise Refused("use-unknown", "A key is for inbox or archive.")
    from_ms, until_ms = parse_time(fields["from"]), parse_time(fields["until"])
    if not from_ms < until_ms <= from_ms + ENCRYPTION_VALID_MS_MAX:
        raise Refused("validity-too-long", "An encryption key is valid for 12 months at most.")
    return EncryptionKey(key_id(fields["kid"]), strict_json.text(fields, "alg"), KeyUse(use), from_ms, until_ms)


def _as_text(value: strict_json.JsonValue) -> str:
    if not isinstance(value, str):
        raise Refused("field-type", "A list of texts holds something else.")
    return value


def _check_statements(request: EnrolmentRequest, trust: TrustList) -> None:
    """Every encryption key that is asked for has a statement by the authority itself, and nothing else has one."""
    authority = request.authority
    provisional = replace(trust, authorities={**trust.authorities, authority.id: authority})
    mismatch = Refused("statement-mismatch", "The request's key statements are not those of the keys it asks for.")
    try:
        stated = [read_key_statement(statement, provisional) for statement in request.statements]
    except VerificationFailed as error:
        raise mismatch from error
    asked = {(authority.id, key.id, key.algorithm, key.use) for key in authority.encryption}
    if {(each.authority, each.key.id, each.key.algorithm, each.use) for each in stated} != asked:
        raise mismatch


def _check_transport(request: EnrolmentRequest) -> None:
    if certificate_request_subject(request.transport) != request.authority.id:
        raise Refused("transport-invalid", "The request for a Kafka certificate is for another name.")
