"""Is this record what its sender signed? The checks (a) to (e) and (h) of protocol 1.1, the first failure ending them.

A record is judged at its own time (LogAppendTime), by the trust list that is given: the same bytes get the same answer
in a replay. Nothing is decrypted, the value is never parsed. (f) and (g), the place in the pair's chain, are
``hub.core.pairs``; the recipient asks all of it again with ``judge_copy``.

Headers: exactly one ``comity-jws``, which alone is believed. The rest are hints, at most 16 with 4 KiB together:
``traceparent`` and ``tracestate`` (W3C Trace Context) are not looked into; a ``ce_*`` header (CloudEvents, Kafka
binding) must be one of these, and say what the manifest says:

=================  =====================================  ================  ==========================
``ce_specversion`` ``1.0``                                ``ce_id``         ``id``
``ce_source``      ``urn:comity:authority:`` + ``from``   ``ce_type``       ``int.comity.`` + ``typ``
``ce_subject``     ``thr``; not in a receipt list
=================  =====================================  ================  ==========================

Any other header is refused, ``comity-hub`` above all: that name is for what the hub writes itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from hub.core.authority import Authority, KeyUse, Status, TrustList, TrustView
from hub.core.ids import AuthorityId, Digest, sha256
from hub.core.limits import (
    CLOCK_SKEW_MS_MAX,
    HINT_HEADER_BYTES_MAX,
    HINT_HEADERS_MAX,
    MANIFEST_JWS_BYTES_MAX,
    RECORD_KEY_BYTES_MAX,
    VALUE_BYTES_MAX,
)
from hub.core.manifest import Manifest
from hub.core.receipts import RoutedClaim
from hub.core.records import JWS_HEADER, Record
from hub.core.refusals import refuse
from hub.core.topics import inbox, outbox
from hub.envelope import jws as signed
from hub.envelope.certificates import AUTHORITY_URN, PathCache, verify_authority
from hub.envelope.manifest import decode
from hub.envelope.suites import SUITES
from hub.errors import Held, Refused, VerificationFailed

Hints: TypeAlias = Sequence[tuple[str, bytes]]
"""The headers beside ``comity-jws``."""

EVENT_TYPE: Final = "int.comity."
TRACE_HEADERS: Final = frozenset({"traceparent", "tracestate"})
EVENT_HEADERS: Final = frozenset({"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject"})
WAIVED_SUITE: Final = "S0"  # allowed by a dated waiver in the trust list, or not at all
# Refusals that no trust list to come can undo, so that damaged bytes and a thief's do not hold an outbox for ever.
_FINAL: Final = frozenset({"suite-unknown", "algorithms-mismatch", "key-revoked", "signature-invalid"})


@dataclass(frozen=True, slots=True)
class Judged:
    """A record after (a) to (e): ``code`` is None when it passed.

    ``manifest`` is there whenever it could be read: believe it only when ``code`` is None, since after a refusal nobody
    may have signed it. ``jws`` and ``jws_bytes`` are there when the record had exactly one ``comity-jws`` header.
    """

    record: Record
    jws: Digest | None
    jws_bytes: bytes | None
    manifest: Manifest | None
    code: str | None


@dataclass(frozen=True, slots=True)
class Checked:
    """A copy that passed all that can be checked without the pair's chain and without opening it."""

    manifest: Manifest
    jws: Digest


def judge(record: Record, trust: TrustList, *, paths: PathCache) -> Judged:
    """Checks (a) to (e) of an outbox record, by ``trust``, at ``record.time_ms``.

    Raises ``Held(trust-list-behind)`` when the manifest names a list that is still to come, and no list could make it
    pass or fail already; otherwise nothing, whatever the bytes: a refusal is a value here.
    """
    found = [value or b"" for name, value in record.headers if name == JWS_HEADER]  # Kafka's null is no value
    hints = [(name, value or b"") for name, value in record.headers if name != JWS_HEADER]
    header = found[0] if len(found) == 1 else None
    manifest, code = None, None
    try:
        _check_sizes(record, found, hints)  # (a)
        jws = signed.parse(found[0], typ=signed.TYP_MANIFEST, bytes_max=MANIFEST_JWS_BYTES_MAX)  # (b)
        manifest = decode(jws.payload)
        _check_key_and_hints(record, hints, manifest)
        if record.topic != outbox(manifest.sender):  # (c)
            raise refuse("sender-mismatch")
        _check_signed(manifest, jws, trust, time_ms=record.time_ms, paths=paths)  # (d)
        _check_value(record.value or b"", manifest)  # (e)
    except Refused as refusal:
        code = refusal.code
    return Judged(record, None if header is None else sha256(header), header, manifest, code)


def _check_sizes(record: Record, found: Sequence[bytes], hints: Hints) -> None:
    """(a): everything that is asked before anything is parsed."""
    if len(record.value or b"") > VALUE_BYTES_MAX:
        raise refuse("value-too-large")
    if len(record.key or b"") > RECORD_KEY_BYTES_MAX:
        raise refuse("key-too-large")
    if len(found) != 1:
        raise refuse("manifest-doubled" if found else "manifest-missing")
    if len(found[0]) > MANIFEST_JWS_BYTES_MAX:
        raise refuse("manifest-too-large")
    if any(name not in EVENT_HEADERS and name not in TRACE_HEADERS for name, _ in hints):
        raise refuse("header-not-allowed")
    # Allowed names are ASCII: characters are bytes.
    if len(hints) > HINT_HEADERS_MAX or sum(len(name) + len(value) for name, value in hints) > HINT_HEADER_BYTES_MAX:
        raise refuse("headers-too-many")


def _check_key_and_hints(record: Record, hints: Hints, manifest: Manifest) -> None:
    """(b), its second half: what stands beside the manifest repeats it, or is not there."""
    if record.key != manifest.record_key.encode():
        raise refuse("key-mismatch")
    if not hints:
        return
    said = {
        "ce_specversion": "1.0",
        "ce_id": manifest.id,
        "ce_source": AUTHORITY_URN + manifest.sender,
        "ce_type": EVENT_TYPE + manifest.type,
        "ce_subject": manifest.thread,
    }
    for name, value in hints:
        if name in EVENT_HEADERS:
            expected = said[name]
            if expected is None or value != expected.encode():
                raise refuse("header-mismatch")


def _check_signed(manifest: Manifest, jws: signed.Jws, trust: TrustList, *, time_ms: int, paths: PathCache) -> None:
    """(d): for this deployment, by this sender's keys, with the algorithms that the trust list demands of it."""
    if manifest.deployment != trust.deployment:
        raise refuse("deployment-mismatch")
    ahead = manifest.trust_list > trust.number
    try:
        authority = trust.authorities.get(manifest.sender)
        if authority is None:
            raise refuse("sender-unknown")
        _check_suite(manifest, authority, time_ms=time_ms)
        verify_authority(jws, authority, algorithms=manifest.signature_algorithms, time_ms=time_ms, paths=paths)
    except Refused as refusal:
        if ahead and refusal.code not in _FINAL:
            raise _behind(manifest) from refusal
        raise
    if ahead:
        raise _behind(manifest)
    # A suspended or revoked authority's keys are not in force either.
    if authority.status_at(time_ms) is not Status.ACTIVE:
        raise refuse("key-revoked")


def _check_suite(manifest: Manifest, authority: Authority, *, time_ms: int) -> None:
    suite = SUITES.get(manifest.suite)
    if suite is None:
        raise refuse("suite-unknown")
    waived = authority.waiver_until_ms is not None and time_ms <= authority.waiver_until_ms
    allowed = waived if suite.id == WAIVED_SUITE else suite.id == authority.suite
    if not allowed or not suite.in_force(time_ms):
        raise refuse("suite-not-allowed")
    if manifest.signature_algorithms != suite.signatures:
        raise refuse("algorithms-mismatch")


def _behind(manifest: Manifest) -> Held:
    return Held("trust-list-behind", f"A message was sealed under trust list {manifest.trust_list}, not here yet.")


def _check_value(value: bytes, manifest: Manifest) -> None:
    """(e): the exact bytes that were signed."""
    if len(value) != manifest.body.length:
        raise refuse("length-mismatch")
    if sha256(value) != manifest.body.digest:
        raise refuse("digest-mismatch")


def check_policy(manifest: Manifest, trust: TrustList, *, time_ms: int) -> None:
    """Checks (h) of an authentic message that is next in its chain, at the log's time; a failure counts.

    Raises ``Refused``: ``not-yet-valid``, ``expired``, ``recipient-revoked``, ``recipient-key-invalid``,
    ``clock-due-past``; and ``recipient-unknown``, which whoever knows the chain asks before (it does not count).
    """
    recipient = trust.authorities.get(manifest.recipient)
    if recipient is None:
        raise refuse("recipient-unknown")
    if manifest.issued_ms - CLOCK_SKEW_MS_MAX > time_ms:
        raise refuse("not-yet-valid")
    if manifest.expires_ms < time_ms:
        raise refuse("expired")
    if recipient.status_at(time_ms) is not Status.ACTIVE:
        raise refuse("recipient-revoked")
    _check_recipient_keys(manifest, recipient, trust)
    if any(operation.due_ms is not None and operation.due_ms <= time_ms for operation in manifest.clocks):
        raise refuse("clock-due-past")


def _check_recipient_keys(manifest: Manifest, recipient: Authority, trust: TrustList) -> None:
    """Every key is the recipient's for its inbox or the sender's for its archive, for the suite, in force at ``iat``.

    A receipt list has none; that a message has one of the recipient's is a rule of the grammar.
    """
    sender = trust.authorities.get(manifest.sender)
    uses = {manifest.recipient: (recipient, KeyUse.INBOX), manifest.sender: (sender, KeyUse.ARCHIVE)}
    for owner, kid in manifest.recipient_keys:
        authority, use = uses.get(owner, (None, KeyUse.INBOX))
        key = None if authority is None else authority.encryption_key(kid)
        fits = key is not None and (key.use, key.algorithm) == (use, SUITES[manifest.suite].key_wrap)
        if key is None or not fits or not key.in_force(manifest.issued_ms):
            raise refuse("recipient-key-invalid")


def judge_copy(record: Record, claim: RoutedClaim, view: TrustView, *, me: AuthorityId, paths: PathCache) -> Checked:
    """The recipient's re-check of a copy in its inbox at the values of the hub's signed claim (protocol 1.7).

    Raises ``Refused`` with the code of (a) to (e) or (h) that the hub should have refused it with, or
    ``recipient-mismatch`` when it is for somebody else; ``Held`` when the claim's trust list is not here yet;
    ``VerificationFailed``: ``claim-mismatch`` when the claim is about other bytes, ``routed-too-early`` when the hub
    judged by a list older than the message's.
    """
    if record.topic != inbox(me):
        raise VerificationFailed("claim-mismatch", "The record does not lie in this authority's inbox.")
    trust = view.at(claim.trust_list)
    outbox = claim.outbox
    original = replace(
        record, topic=outbox.topic, partition=outbox.partition, offset=outbox.offset, time_ms=outbox.time_ms
    )
    try:
        judged = judge(original, trust, paths=paths)
    except Held as error:
        raise VerificationFailed(
            "routed-too-early", "The hub routed a message before it had its trust list."
        ) from error
    if judged.jws is None or judged.jws != claim.jws:
        raise VerificationFailed("claim-mismatch", "The hub's claim is about another message.")
    if judged.code is not None or judged.manifest is None:
        raise refuse(judged.code or "manifest-malformed")
    if judged.manifest.recipient != me:
        raise refuse("recipient-mismatch")
    check_policy(judged.manifest, trust, time_ms=outbox.time_ms)
    return Checked(judged.manifest, judged.jws)
