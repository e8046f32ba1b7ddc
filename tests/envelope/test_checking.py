"""One valid record, one thing changed, one reason code: the hub's table of checks, row by row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.core.authority import Status
from hub.core.ids import AuthorityId, MessageId, ThreadId, sha256
from hub.core.limits import MANIFEST_JWS_BYTES_MAX, VALUE_BYTES_MAX
from hub.core.manifest import BodyReference, MessageType, ReceiptLevel, ReceiptReference
from hub.core.records import HUB_HEADER
from hub.core.refusals import REASONS
from hub.envelope import jws, pki, strict_json
from hub.envelope.certificates import PathCache
from hub.envelope.checking import check_policy, judge
from hub.envelope.encoding import b64, unb64
from hub.envelope.manifest import encode
from hub.envelope.signers import generate_signer
from hub.errors import Held

XA, XB, XC = AuthorityId("xa-moj"), AuthorityId("xb-pgo"), AuthorityId("xc-acc")
HOUR_MS = 3600 * 1000
EVENT_HINTS = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"019abcde-0000-7000-8000-000000000001"),
    ("ce_source", b"urn:comity:authority:xa-moj"),
    ("ce_type", b"int.comity.request"),
    ("ce_subject", b"0123456789abcdef0123456789abcdef"),
    ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("tracestate", b"anything"),
)


def _code(world, record, trust=None) -> str | None:
    return judge(record, trust or world.trust, paths=PathCache()).code


def _with_hints(record, *hints):
    return replace(record, headers=(*record.headers, *hints))


def _with_member(world, **changes):
    """A record whose signed payload has members that the codec would not write."""
    payload = strict_json.parse(encode(world.manifest()))
    payload.update(changes)
    return world.record(header=world.sign(strict_json.dump(payload)))


def _with_protected(world, change):
    """A record in whose first protected header one thing was changed after signing."""
    members = strict_json.parse(world.record().headers[0][1])
    protected = strict_json.parse(unb64(members["signatures"][0]["protected"]))
    change(protected)
    members["signatures"][0]["protected"] = b64(strict_json.dump(protected))
    return world.record(header=strict_json.dump(members))


def _with_authority(world, **changes):
    """The trust list in which xa-moj is otherwise."""
    changed = replace(world.trust.authorities[XA], **changes)
    return replace(world.trust, authorities={**world.trust.authorities, XA: changed})


def test_a_valid_record_passes(world) -> None:
    """Everything that the rows below change is good before the change, with and without hints."""
    record = world.record()
    judged = judge(record, world.trust, paths=PathCache())
    header = record.headers[0][1]
    assert (judged.code, judged.manifest) == (None, world.manifest())
    assert (judged.jws, judged.jws_bytes, judged.record) == (sha256(header), header, record)
    assert _code(world, _with_hints(record, *EVENT_HINTS)) is None
    check_policy(world.manifest(), world.trust, time_ms=record.time_ms)


def test_a_receipt_list_passes(world) -> None:
    """Without value, thread and keys; Kafka's null value is no value either."""
    manifest = _receipt_list(world)
    for value in (b"", None):
        assert _code(world, world.record(manifest, value=value)) is None
    check_policy(manifest, world.trust, time_ms=manifest.issued_ms)
    subject = _with_hints(world.record(manifest, value=b""), ("ce_subject", b""))
    assert _code(world, subject) == "header-mismatch"


def _receipt_list(world):
    reference = ReceiptReference(
        ReceiptLevel.DELIVERED,
        MessageId("019abcde-0000-7000-8000-00000000000b"),
        ThreadId("0123456789abcdef0123456789abcdef"),
        sha256(b"proof"),
        None,
    )
    return world.manifest(
        type=MessageType.RECEIPT,
        thread=None,
        clocks=(),
        body=BodyReference(sha256(b""), 0, None),
        recipient_keys=(),
        receipts=(reference,),
    )


RECORDS = {
    # (a) size, headers
    "value-too-large": lambda w: w.record(value=bytes(VALUE_BYTES_MAX + 1)),
    "key-too-large": lambda w: w.record(key=bytes(65)),
    "manifest-missing": lambda w: w.record(headers=()),
    "manifest-doubled": lambda w: _with_hints(w.record(), w.record().headers[0]),
    "manifest-too-large": lambda w: w.record(header=w.record().headers[0][1].ljust(MANIFEST_JWS_BYTES_MAX + 1)),
    "header-not-allowed": lambda w: _with_hints(w.record(), (HUB_HEADER, b"bundle/1")),
    "headers-too-many": lambda w: _with_hints(w.record(), *(("tracestate", b"x"),) * 17),
    # (b) grammar
    "jws-malformed": lambda w: w.record(header=w.record().headers[0][1] + b"}"),
    "manifest-malformed": lambda w: _with_member(w, more=1),
    "version-unknown": lambda w: _with_member(w, v="comity/2"),
    "key-mismatch": lambda w: w.record(key=b"fedcba9876543210fedcba9876543210"),
    "header-mismatch": lambda w: _with_hints(w.record(), ("ce_id", b"019abcde-0000-7000-8000-000000000002")),
    # (c) owner
    "sender-mismatch": lambda w: w.record(topic="outbox.xc-acc"),
    # (d) suite, signatures, keys
    "deployment-mismatch": lambda w: w.record(w.manifest(deployment=sha256(b"the test deployment"))),
    "sender-unknown": lambda w: w.record(
        w.manifest(sender="xz-new", recipient_keys=w.manifest().recipient_keys[:1]), topic="outbox.xz-new"
    ),
    "suite-unknown": lambda w: w.record(w.manifest(suite="S9")),
    "suite-not-allowed": lambda w: w.record(w.manifest(suite="S2")),
    "algorithms-mismatch": lambda w: w.record(w.manifest(signature_algorithms=("Ed25519",))),
    "key-unknown": lambda w: w.record(signers=(generate_signer("Ed25519"), w.states[XA].signers[1])),
    "signature-invalid": lambda w: _with_protected(w, lambda header: header.update(iat=header["iat"] + 1)),
    # (e) length, digest
    "length-mismatch": lambda w: w.record(value=w.record().value + b" "),
    "digest-mismatch": lambda w: w.record(value=bytes([w.record().value[0] ^ 1]) + w.record().value[1:]),
}


@pytest.mark.parametrize("code", RECORDS)
def test_one_change_has_one_reason(world, code: str) -> None:
    """Each row of (a) to (e): the changed record is refused with the row's code, and does not count."""
    assert _code(world, RECORDS[code](world)) == code
    assert not REASONS[code].counted


def test_the_rows_are_complete() -> None:
    """Every code of (a) to (e) has a record here, or a trust list below."""
    here = {code for code, reason in REASONS.items() if reason.step in "abcde"}
    assert here - RECORDS.keys() == {"key-revoked", "certificate-invalid"}


def test_the_manifest_of_a_refused_record_is_shown_unbelieved(world) -> None:
    """The receipt of a refusal names message and thread wherever they could be read."""
    judged = judge(world.record(value=b""), world.trust, paths=PathCache())
    assert (judged.code, judged.manifest) == ("length-mismatch", world.manifest())
    unread = judge(world.record(header=b"{}"), world.trust, paths=PathCache())
    assert (unread.manifest, unread.jws) == (None, sha256(b"{}"))
    doubled = judge(RECORDS["manifest-doubled"](world), world.trust, paths=PathCache())
    assert (doubled.jws, doubled.jws_bytes) == (None, None)


def test_the_first_failure_decides(world) -> None:
    """A record with a fault in every step is refused for the earliest; mended, for the next."""
    record = world.record(world.manifest(deployment=sha256(b"other")), value=b"", key=b"x", topic="outbox.xc-acc")
    assert _code(world, replace(record, headers=())) == "manifest-missing"
    assert _code(world, record) == "key-mismatch"
    record = replace(record, key=world.manifest().thread.encode())
    assert _code(world, record) == "sender-mismatch"
    record = replace(record, topic="outbox.xa-moj")
    assert _code(world, record) == "deployment-mismatch"


@pytest.mark.parametrize("name", ["hub-flag", "ce_time", "ce_", "CE_ID", "Comity-JWS", "", "baggage", "comity-jws "])
def test_no_other_header_passes(world, name: str) -> None:
    """Headers of the hub, unknown hints, other spellings."""
    assert _code(world, _with_hints(world.record(), (name, b"x"))) == "header-not-allowed"


@pytest.mark.parametrize("hint", EVENT_HINTS[:5])
def test_a_hint_says_what_the_manifest_says(world, hint) -> None:
    """Each CloudEvents header with another value, longer, or null."""
    name, value = hint
    for other in (b"", value + b" ", value.upper() + b"X", None):
        assert _code(world, _with_hints(world.record(), (name, other))) == "header-mismatch"


def test_hints_are_small(world) -> None:
    """4 KiB of names and values together pass, one byte more does not."""
    room = 4096 - len("tracestate")
    assert _code(world, _with_hints(world.record(), ("tracestate", bytes(room)))) is None
    assert _code(world, _with_hints(world.record(), ("tracestate", bytes(room + 1)))) == "headers-too-many"


# --- the attacks of envelope.md 4.3, as far as they meet the hub ------------------------------------


@pytest.mark.parametrize("place", range(0, 5000, 277))
def test_a_flipped_bit_in_the_header_is_refused(world, place: int) -> None:
    """Wherever it lies in the JWS, and never by an exception."""
    header = bytearray(world.record().headers[0][1])
    header[place % len(header)] ^= 1
    assert _code(world, world.record(header=bytes(header))) is not None


def test_a_stripped_post_quantum_signature_is_seen(world) -> None:
    """Without the ML-DSA signature, or with one algorithm twice, the rest is worth nothing."""
    members = strict_json.parse(world.record().headers[0][1])
    both = members["signatures"]
    for kept in (both[:1], both[1:], [both[0], both[0]], both[::-1], [*both, both[0]]):
        header = strict_json.dump({**members, "signatures": kept})
        assert _code(world, world.record(header=header)) == "algorithms-mismatch"


def test_stripping_with_the_senders_help_is_seen(world) -> None:
    """A manifest that lists one algorithm, and has one signature, is below what the trust list demands."""
    manifest = world.manifest(signature_algorithms=("Ed25519",))
    record = world.record(manifest, signers=world.states[XA].signers[:1])
    assert _code(world, record) == "algorithms-mismatch"
    weak = world.record(
        world.manifest(suite="S0", signature_algorithms=("Ed25519",)), signers=world.states[XA].signers[:1]
    )
    assert _code(world, weak) == "suite-not-allowed"


@pytest.mark.parametrize("algorithm", ["none", "HS256", "EdDSA", "ES256", "ML-DSA-44"])
def test_an_algorithm_of_the_message_is_not_obeyed(world, algorithm: str) -> None:
    """``alg`` none and every other foreign one."""
    record = _with_protected(world, lambda header: header.update(alg=algorithm))
    assert _code(world, record) == "algorithms-mismatch"


def test_another_authoritys_signature_is_not_the_senders(world) -> None:
    """xc-acc signs xa-moj's manifest, or replays it in its own outbox, or signs it as its own over the same value."""
    assert _code(world, world.record(signers=world.states[XC].signers)) == "key-unknown"
    assert _code(world, world.record(topic="outbox.xc-acc")) == "sender-mismatch"
    assert _code(world, world.record(topic="inbox.xa-moj")) == "sender-mismatch"


def test_a_foreign_statement_is_no_manifest(world) -> None:
    """A JWS of the same keys and another type cannot be sent as a message."""
    header = world.sign(encode(world.manifest()), typ=jws.TYP_KEY_STATEMENT)
    assert _code(world, world.record(header=header)) == "jws-malformed"


def test_another_states_ca_vouches_for_nobody_here(world) -> None:
    """Xc's CA certifies a key as xa-moj, and even with the key in the list the path does not hold."""
    valid = pki.Validity(serial=9, from_ms=0, until_ms=4_000_000_000_000)
    key = world.states[XA].signers[0]
    certificate = pki.issue_signing_certificate(world.states[XC].ca, XA, key.public, valid)
    _check_listed(world, key, certificate)


def test_a_certificate_of_another_name_is_refused(world) -> None:
    """Xa's own CA certifies xa's key as xb-pgo: CN and SAN are not the sender's."""
    valid = pki.Validity(serial=9, from_ms=0, until_ms=4_000_000_000_000)
    key = world.states[XA].signers[0]
    _check_listed(world, key, pki.issue_signing_certificate(world.states[XA].ca, XB, key.public, valid))


def _check_listed(world, key, certificate: bytes) -> None:
    from_list = world.trust.authorities[XA].signing
    listed = _with_authority(world, signing=(replace(from_list[0], certificate=certificate), from_list[1]))
    record = _with_certificate(world, certificate)
    assert _code(world, record, listed) == "certificate-invalid"


def _with_certificate(world, certificate: bytes):
    named = world.sign_with_certificate(world.states[XA].signers[0], certificate)
    return world.record(signers=(named, world.states[XA].signers[1]))


def test_a_renewed_certificate_of_the_same_key_is_told_apart(world) -> None:
    """``x5t#S256`` names one of two certificates of a key; one that the list does not have is refused."""
    valid = pki.Validity(serial=10, from_ms=world.trust.issued_ms, until_ms=4_000_000_000_000)
    key = world.states[XA].signers[0]
    renewed = pki.issue_signing_certificate(world.states[XA].ca, XA, key.public, valid)
    record = _with_certificate(world, renewed)
    assert _code(world, record) == "certificate-invalid"
    old = world.trust.authorities[XA].signing
    both = _with_authority(world, signing=(*old, replace(old[0], certificate=renewed)))
    assert _code(world, record, both) is None
    assert _code(world, world.record(), both) is None


def test_a_certificate_of_another_key_is_worth_nothing(world) -> None:
    """The list names a certificate under a key's id that holds another key: the signature does not verify with it."""
    valid = pki.Validity(serial=9, from_ms=0, until_ms=4_000_000_000_000)
    state = world.states[XA]
    stranger = generate_signer("ML-DSA-65")
    certificate = pki.issue_signing_certificate(state.ca, XA, stranger.public, valid)
    old = world.trust.authorities[XA].signing
    listed = _with_authority(world, signing=(replace(old[0], certificate=certificate), old[1]))
    record = _with_protected(world, lambda header: header.update({"x5t#S256": sha256(certificate)}))
    assert _code(world, record, listed) == "certificate-invalid"
    same_kind = generate_signer("Ed25519")
    other = pki.issue_signing_certificate(state.ca, XA, same_kind.public, valid)
    listed = _with_authority(world, signing=(replace(old[0], certificate=other), old[1]))
    record = _with_protected(world, lambda header: header.update({"x5t#S256": sha256(other)}))
    assert _code(world, record, listed) == "signature-invalid"


@pytest.mark.parametrize("offset_ms", [0, -1])
def test_a_revoked_key_signs_nothing_from_then_on(world, offset_ms: int) -> None:
    """Judged at the log's time, whenever the list came: refused at the moment itself, good a millisecond before."""
    record = world.record()
    signing = world.trust.authorities[XA].signing
    revoked = replace(signing[1], revoked_ms=record.time_ms - offset_ms)
    listed = _with_authority(world, signing=(signing[0], revoked))
    assert _code(world, record, listed) == ("key-revoked" if offset_ms == 0 else None)


def test_a_key_signs_within_its_dates_only(world) -> None:
    """Dates of the list, besides those of the certificate."""
    record = world.record()
    signing = world.trust.authorities[XA].signing
    for dates in ({"from_ms": record.time_ms + 1}, {"until_ms": record.time_ms - 1}):
        listed = _with_authority(world, signing=(replace(signing[0], **dates), signing[1]))
        assert _code(world, record, listed) == "key-revoked"


@pytest.mark.parametrize("status", [Status.SUSPENDED, Status.REVOKED])
def test_a_suspended_or_revoked_sender_says_nothing(world, status: Status) -> None:
    """From the moment on that the history gives; until then its messages are good."""
    record = world.record()
    enrolled = world.trust.authorities[XA].status
    for from_ms, code in ((record.time_ms, "key-revoked"), (record.time_ms + 1, None)):
        assert _code(world, record, _with_authority(world, status=(*enrolled, (status, from_ms)))) == code


def test_a_certificate_is_judged_at_the_logs_time(world) -> None:
    """After the certificate's end the record is refused, though the list's dates would let it pass."""
    signing = world.trust.authorities[XA].signing
    later = signing[0].until_ms + 1000
    listed = _with_authority(world, signing=tuple(replace(key, until_ms=later) for key in signing))
    assert _code(world, world.record(time_ms=later), listed) == "certificate-invalid"


def test_the_weak_suite_needs_a_dated_waiver(world) -> None:
    """S0 passes until the waiver's end, and never beyond; a waiver takes nothing from S1."""
    manifest = world.manifest(suite="S0", signature_algorithms=("Ed25519",))
    record = world.record(manifest, signers=world.states[XA].signers[:1])
    for until_ms, code in (
        (None, "suite-not-allowed"),
        (record.time_ms - 1, "suite-not-allowed"),
        (record.time_ms, None),
    ):
        listed = _with_authority(world, waiver_until_ms=until_ms)
        assert _code(world, record, listed) == code
        assert _code(world, world.record(), listed) is None
    assert _code(world, record, _with_authority(world, suite="S0")) == "suite-not-allowed"


def test_a_suite_has_its_dates(world) -> None:
    """S0 ends with the year 2030, whatever the waiver says."""
    manifest = world.manifest(suite="S0", signature_algorithms=("Ed25519",))
    record = world.record(manifest, signers=world.states[XA].signers[:1], time_ms=1_924_992_000_000)
    assert _code(world, record, _with_authority(world, waiver_until_ms=2_000_000_000_000)) == "suite-not-allowed"


# --- a trust list that is still to come ---------------------------------------------------------------


def test_a_list_ahead_holds_the_outbox(world) -> None:
    """Nothing is refused that the list to come may make good: sender, key, certificate, suite, enrolment."""
    ahead = world.manifest(trust_list=world.trust.number + 1)
    signing = world.trust.authorities[XA].signing
    suspended = ((Status.ACTIVE, 0), (Status.SUSPENDED, world.trust.issued_ms))
    for record, trust in (
        (world.record(ahead), world.trust),
        (world.record(ahead), replace(world.trust, authorities={})),
        (world.record(ahead), _with_authority(world, signing=signing[:1])),
        (world.record(ahead), _with_authority(world, signing=(replace(signing[0], certificate=b"old"), signing[1]))),
        (world.record(ahead), _with_authority(world, suite="S2")),
        (world.record(ahead), _with_authority(world, status=suspended)),
    ):
        with pytest.raises(Held, match="trust-list-behind"):
            judge(record, trust, paths=PathCache())


def test_a_list_ahead_saves_nothing_that_is_wrong_for_ever(world) -> None:
    """A flipped number, a thief's revoked key, another deployment, half a signature: refused, not held."""
    ahead = world.manifest(trust_list=world.trust.number + 1)
    flipped = strict_json.parse(world.record().headers[0][1])
    flipped["payload"] = b64(encode(ahead))
    signing = world.trust.authorities[XA].signing
    revoked = _with_authority(world, signing=(replace(signing[0], revoked_ms=0), signing[1]))
    half = strict_json.parse(world.record(ahead).headers[0][1])
    half["signatures"].pop()
    for record, trust, code in (
        (world.record(header=strict_json.dump(flipped)), world.trust, "signature-invalid"),
        (world.record(ahead), revoked, "key-revoked"),
        (world.record(replace(ahead, deployment=sha256(b"other"))), world.trust, "deployment-mismatch"),
        (world.record(replace(ahead, suite="S9")), world.trust, "suite-unknown"),
        (world.record(header=strict_json.dump(half)), world.trust, "algorithms-mismatch"),
    ):
        assert _code(world, record, trust) == code


def test_a_list_behind_is_judged_by_the_newest(world) -> None:
    """The sender's connector may not have read the newest list yet."""
    assert _code(world, world.record(world.manifest(trust_list=1))) is None
