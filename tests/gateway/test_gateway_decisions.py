"""The pure decisions on copies, pairs, bundles and chains, cell by cell."""

from __future__ import annotations

import pytest

from connectors.gateway.incoming import BundleStand, PairHead, Stand, bundle_stand, stand
from connectors.gateway.outgoing import (
    IN_FLIGHT_MAX,
    MOVED_SEALS_MAX,
    RESEND_MS_MAX,
    SEALS_MAX,
    Copy,
    PairState,
    Verdict,
    confirmed,
    judge,
    resend_after_ms,
    restarted,
    room,
    seal_now,
    sealed,
    stalled,
)
from hub.core.ids import sha256
from hub.core.receipts import ChainClaim
from hub.core.refusals import REASONS

A, B, C = sha256(b"a"), sha256(b"b"), sha256(b"c")
ACCEPTED = Copy(1, settled=True)
OPEN = Copy(2, settled=False)


def refused(code: str, offset: int = 1) -> Copy:
    """A copy that the hub refused."""
    return Copy(offset, settled=True, code=code, counted=REASONS[code].counted)


@pytest.mark.parametrize(
    ("copies", "known", "verdict"),
    [
        ([], True, Verdict.WAIT),
        ([OPEN], True, Verdict.WAIT),
        ([ACCEPTED], True, Verdict.ACCEPTED),
        ([ACCEPTED], False, Verdict.ACCEPTED),
        ([ACCEPTED, OPEN], True, Verdict.ACCEPTED),
        ([refused("digest-mismatch"), Copy(3, settled=True)], True, Verdict.ACCEPTED),
        ([refused("digest-mismatch"), OPEN], True, Verdict.WAIT),
        ([refused("digest-mismatch")], False, Verdict.WAIT),
        ([refused("digest-mismatch")], True, Verdict.SEAL_AGAIN),
        ([refused("sequence-gap"), refused("previous-mismatch", 2)], True, Verdict.SEAL_AGAIN),
        ([refused("already-used")], True, Verdict.FAILED),
        ([refused("sequence-gap"), refused("already-used", 2)], True, Verdict.FAILED),
        ([refused("expired"), OPEN], True, Verdict.FAILED),
        ([refused("recipient-unknown")], True, Verdict.FAILED),
        ([refused("id-conflict")], True, Verdict.FAILED),
    ],
)
def test_what_the_copies_mean_together(copies, known, verdict):
    """Sealed again only when every copy has an uncounted refusal other than already-used (protocol 1.3)."""
    assert verdict is judge(copies, seals=1, last_attempt_known=known).verdict


@pytest.mark.parametrize("code", [code for code, reason in REASONS.items() if reason.counted])
def test_counted_refusal_is_final(code):
    """A refusal that used up the number is never a licence to seal again."""
    judgement = judge([refused(code)], seals=1, last_attempt_known=True)
    assert (Verdict.FAILED, code, True) == (judgement.verdict, judgement.code, judgement.counted)


def test_attempts_at_sealing_are_limited():
    """Bytes that are refused again and again fail; a message refused for its place gets more attempts."""
    damaged, moved = [refused("signature-invalid")], [refused("sequence-gap")]
    assert Verdict.FAILED is judge(damaged, seals=SEALS_MAX, last_attempt_known=True).verdict
    assert Verdict.SEAL_AGAIN is judge(moved, seals=SEALS_MAX, last_attempt_known=True).verdict
    assert Verdict.FAILED is judge(moved, seals=MOVED_SEALS_MAX, last_attempt_known=True).verdict


def test_pair_goes_on_from_what_the_hub_named():
    """After a refusal the pair restarts at the highest number that the hub said is used."""
    pair = sealed(sealed(PairState(), A), B)
    assert pair.next == (3, B)
    pair = stalled(confirmed(pair, 1, A))
    assert room(pair, lowest_in_flight=None) == 0
    assert restarted(confirmed(pair, 0, None)).next == (2, A)
    assert restarted(confirmed(pair, 7, C)).next == (8, C)


def test_few_are_in_flight():
    """No more than the hub's window can recognise as repeats."""
    pair = PairState(sequence=IN_FLIGHT_MAX)
    assert room(pair, lowest_in_flight=1) == 0
    assert room(pair, lowest_in_flight=2) == 1
    assert room(pair, lowest_in_flight=None) == IN_FLIGHT_MAX


def test_backlog_goes_in_halves_of_the_window():
    """A few messages go at once; of many, none before half of the window is free."""
    half = IN_FLIGHT_MAX // 2
    assert seal_now(1, 1) == 1
    assert seal_now(half - 1, half - 1) == half - 1
    assert seal_now(half - 1, half) == 0
    assert seal_now(half, 1000) == half
    assert seal_now(IN_FLIGHT_MAX, 1000) == IN_FLIGHT_MAX
    assert seal_now(0, 1) == 0


def test_resending_slows_down():
    """From seconds to minutes, and no further."""
    assert [resend_after_ms(n) for n in range(3)] == [0, 5_000, 10_000]
    assert resend_after_ms(30) == RESEND_MS_MAX


@pytest.mark.parametrize(
    ("pair", "sequence", "previous", "seen", "expected"),
    [
        (PairHead(), 1, None, False, Stand.NEXT),
        (PairHead(1, A), 2, A, False, Stand.NEXT),
        (PairHead(1, A), 1, None, True, Stand.SEEN),
        (PairHead(1, A), 1, None, False, Stand.FORK),
        (PairHead(1, A), 2, C, False, Stand.FORK),
        (PairHead(1, A), 3, B, False, Stand.AHEAD),
        (PairHead(1, A, "fork"), 2, A, False, Stand.FORK),
        (PairHead(1, A, "fork"), 3, A, False, Stand.AHEAD),
    ],
)
def test_where_a_manifest_stands(pair, sequence, previous, seen, expected):
    """Only the next of an unbroken pair moves it."""
    assert expected is stand(pair, message="m", sequence=sequence, previous=previous, jws=B, seen=seen)


@pytest.mark.parametrize(
    ("n", "prev", "last", "same", "expected"),
    [
        (1, None, None, None, BundleStand.NEXT),
        (2, A, (1, A), None, BundleStand.NEXT),
        (1, None, (1, C), C, BundleStand.REPEAT),
        (1, None, (1, A), A, BundleStand.FORK),
        (2, B, (1, A), None, BundleStand.FORK),
        (3, B, (1, A), None, BundleStand.MISSING),
        (2, None, None, None, BundleStand.MISSING),
        (2, A, (3, B), None, BundleStand.LATE),
    ],
)
def test_where_a_bundle_stands(n, prev, last, same, expected):
    """A missing bundle and two for one place are seen."""
    assert expected is bundle_stand(ChainClaim("inbox.xa-moj", n, prev, 0), C, last=last, same_number=same)
