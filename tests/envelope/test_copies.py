"""The recipient's check of a copy at the hub's values, and the law that no bytes make a check fail otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.core.authority import Status, TrustView
from hub.core.ids import AuthorityId, sha256
from hub.core.receipts import RoutedClaim
from hub.core.records import JWS_HEADER, Position, Record
from hub.core.refusals import REASONS
from hub.envelope import strict_json
from hub.envelope.certificates import PathCache
from hub.envelope.checking import Checked, judge, judge_copy
from hub.envelope.encoding import b64
from hub.envelope.manifest import encode
from hub.errors import Held, Refused, VerificationFailed

XA, XB, XC = AuthorityId("xa-moj"), AuthorityId("xb-pgo"), AuthorityId("xc-acc")


def _copy(record: Record, **changes) -> Record:
    return replace(record, topic="inbox.xb-pgo", offset=99, time_ms=record.time_ms + 10**9, **changes)


def _claim(record: Record, number: int = 5, **changes) -> RoutedClaim:
    outbox = Position(record.topic, record.partition, record.offset, record.time_ms)
    return replace(RoutedClaim(jws=sha256(record.headers[0][1]), outbox=outbox, trust_list=number), **changes)


def _judge(world, copy: Record, claim: RoutedClaim, *, me: AuthorityId = XB, trust=None) -> Checked:
    view = TrustView({world.trust.number: trust or world.trust})
    return judge_copy(copy, claim, view, me=me, paths=PathCache())


def test_a_good_copy_passes_however_late_it_is_read(world) -> None:
    """At the outbox record's time, not the copy's, which lies far after ``exp`` here."""
    record = world.record()
    assert _judge(world, _copy(record), _claim(record)) == Checked(world.manifest(), sha256(record.headers[0][1]))


def test_a_revocation_after_the_claim_changes_nothing(world) -> None:
    """Judged by the claim's list, though a newer one revokes the sender."""
    record = world.record()
    sender = world.trust.authorities[XA]
    revoked = replace(sender, status=((Status.REVOKED, 0),))
    newer = replace(world.trust, number=6, authorities={**world.trust.authorities, XA: revoked})
    view = TrustView({5: world.trust, 6: newer})
    assert judge_copy(_copy(record), _claim(record), view, me=XB, paths=PathCache())
    with pytest.raises(Refused, match="key-revoked"):
        judge_copy(_copy(record), _claim(record, 6), view, me=XB, paths=PathCache())


def test_a_claim_under_a_list_to_come_waits(world) -> None:
    """The connector reads the directory on and tries again."""
    record = world.record()
    with pytest.raises(Held, match="trust-list-behind"):
        _judge(world, _copy(record), _claim(record, 6))


def test_a_hub_that_judged_too_early_is_told(world) -> None:
    """A message under list 6 that the hub says it judged by list 5: it should have been held."""
    record = world.record(world.manifest(trust_list=6))
    with pytest.raises(VerificationFailed, match="routed-too-early"):
        _judge(world, _copy(record), _claim(record))


def test_a_claim_about_something_else_is_no_claim(world) -> None:
    """Other bytes, no header at all, or a record of another topic."""
    record = world.record()
    for copy, claim in (
        (_copy(record), _claim(record, jws=sha256(b"other"))),
        (_copy(record, headers=()), _claim(record)),
        (record, _claim(record)),
    ):
        with pytest.raises(VerificationFailed, match="claim-mismatch"):
            _judge(world, copy, claim)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda record, claim: (replace(record, value=b"other"), claim), "length-mismatch"),
        (lambda record, claim: (replace(record, key=None), claim), "key-mismatch"),
        (lambda record, claim: (record, replace(claim, outbox=claim.outbox._replace(topic="outbox.xc-acc"))), "sender-mismatch"),
        (lambda record, claim: (record, replace(claim, outbox=claim.outbox._replace(topic="nothing"))), "sender-mismatch"),
        (lambda record, claim: (record, replace(claim, outbox=claim.outbox._replace(time_ms=1_796_000_000_000))), "expired"),
    ],
)  # fmt: skip
def test_a_copy_that_the_hub_should_have_refused_is_refused(world, change, code: str) -> None:
    """The hub is not believed: value, key, owner and window are checked again."""
    record = world.record()
    copy, claim = change(_copy(record), _claim(record))
    with pytest.raises(Refused) as caught:
        _judge(world, copy, claim)
    assert caught.value.code == code


def test_a_message_for_somebody_else_is_not_taken(world) -> None:
    """A copy that the hub put into a third authority's inbox."""
    record = world.record()
    with pytest.raises(Refused, match="recipient-mismatch"):
        _judge(world, replace(_copy(record), topic="inbox.xc-acc"), _claim(record), me=XC)


def test_a_recipient_outside_of_the_list_takes_nothing(world) -> None:
    """Whom the claim's list does not name is nobody's recipient."""
    record = world.record()
    without = replace(world.trust, authorities={XA: world.trust.authorities[XA]})
    with pytest.raises(Refused, match="recipient-unknown"):
        _judge(world, _copy(record), _claim(record), trust=without)


NAMES = st.one_of(st.sampled_from([JWS_HEADER, "ce_id", "ce_type", "tracestate", "comity-hub"]), st.text(max_size=8))
HEADERS = st.lists(st.tuples(NAMES, st.one_of(st.none(), st.binary(max_size=60))), max_size=5).map(tuple)


@given(
    key=st.one_of(st.none(), st.binary(max_size=80)),
    value=st.one_of(st.none(), st.binary(max_size=80)),
    headers=HEADERS,
    time_ms=st.integers(-(2**63), 2**63 - 1),
    topic=st.one_of(st.just("outbox.xa-moj"), st.text(max_size=12)),
)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_get_a_code(world, *, key, value, headers, time_ms, topic) -> None:
    """Whatever a record holds, a check gives a reason code and raises nothing."""
    record = Record(topic, 0, 0, time_ms, key, value, headers)
    assert judge(record, world.trust, paths=PathCache()).code in REASONS


@given(data=st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_changed_record_gets_a_code(world, data: st.DataObject) -> None:
    """A valid record, cut or changed in its header, payload, time or value, is refused or held, and nothing else."""
    record = world.record()
    header = record.headers[0][1]
    kind = data.draw(st.sampled_from(["header", "payload", "value", "time"]))
    if kind == "time":
        record = replace(record, time_ms=data.draw(st.integers(-(2**63), record.time_ms - 400 * 24 * 3600 * 1000)))
    elif kind == "value":
        record = replace(record, value=_spoiled(data, record.value))
    else:
        if kind == "payload":
            members = strict_json.parse(header)
            members["payload"] = b64(_spoiled(data, encode(world.manifest())))
            header = strict_json.dump(members)
        else:
            header = _spoiled(data, header)
        record = replace(record, headers=((JWS_HEADER, header),))
    try:
        code = judge(record, world.trust, paths=PathCache()).code
    except Held:
        return
    assert code in REASONS


def _spoiled(data: st.DataObject, whole: bytes) -> bytes:
    place = data.draw(st.integers(0, len(whole) - 1))
    end = data.draw(st.integers(place, min(len(whole), place + 3)))
    other = data.draw(st.binary(max_size=3))
    spoiled = whole[:place] + other + whole[end:]
    return spoiled if spoiled != whole else whole[:-1]
