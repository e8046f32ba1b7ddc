from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core.clocks import Flag
from hub.core.ids import derived_id, sha256
from hub.core.manifest import ClockKind
from hub.core.pairs import Pair
from hub.core.receipts import ChainClaim, ClockIgnoredClaim, FlagClaim, GapClaim, ReceiptClaim, RoutedClaim
from hub.core.records import Position
from hub.envelope.claims import decode_claim, encode_claim
from hub.errors import Refused

OUTBOX = Position("outbox.xa-moj", 0, 17, 1_795_597_200_000)
MESSAGE = "019abcde-0000-7000-8000-000000000001"
THREAD = "0123456789abcdef0123456789abcdef"
PAIR = Pair("xa-moj", "xb-pgo")
CHAIN = ChainClaim("inbox.xa-moj", 3, sha256(b"before"), 5)
RECEIPT = ReceiptClaim(
    id=derived_id("receipt", 1),
    outbox=OUTBOX,
    jws=sha256(b"jws"),
    message=MESSAGE,
    thread=THREAD,
    code=None,
    counted=True,
    expected=None,
    trust_list=5,
)
ROUTED = RoutedClaim(jws=sha256(b"jws"), outbox=OUTBOX, trust_list=5)
GAP = GapClaim(jws_text='{"payload":"x"}', outbox=OUTBOX, code="expired", trust_list=5)
FLAG = FlagClaim(
    id=derived_id("flag", 1),
    flag=Flag.MET_LATE,
    percent=100,
    pair=PAIR,
    thread=THREAD,
    clock="0123456789abcdef",
    kind=ClockKind.REPLY,
    message=MESSAGE,
    due_ms=1,
    time_ms=2,
)
IGNORED = ClockIgnoredClaim(
    id=derived_id("clk-ignored", 1),
    pair=PAIR,
    thread=THREAD,
    clock="0123456789abcdef",
    message=MESSAGE,
    code="clock-unknown",
    time_ms=2,
)
UNREADABLE = replace(
    RECEIPT, jws=None, message=None, thread=None, code="manifest-missing", counted=False, expected=(1, None)
)
CLAIMS = [
    CHAIN,
    replace(CHAIN, n=1, prev=None, count=0),
    RECEIPT,
    UNREADABLE,
    replace(RECEIPT, code="previous-mismatch", counted=False, expected=(9, sha256(b"head"))),
    ROUTED,
    GAP,
    FLAG,
    IGNORED,
]


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_comes_back_from_its_text(claim) -> None:
    """Every kind, with every optional member there and not there."""
    assert decode_claim(encode_claim(claim)) == claim


@pytest.mark.parametrize(
    ("claim", "member", "value"),
    [
        (CHAIN, "kind", "fork"),
        (CHAIN, "kind", ["chain"]),
        (CHAIN, "kind", "routed"),
        (CHAIN, "n", 0),
        (CHAIN, "inbox", 7),
        (CHAIN, "prev", "short"),
        (CHAIN, "count", -1),
        (CHAIN, "more", 1),
        (RECEIPT, "id", MESSAGE),
        (RECEIPT, "code", "because"),
        (RECEIPT, "code", 7),
        (RECEIPT, "counted", 1),
        (RECEIPT, "message", "x"),
        (RECEIPT, "thr", "x"),
        (RECEIPT, "jws", "x"),
        (RECEIPT, "expected", {"seq": 0, "prev": None}),
        (RECEIPT, "expected", [1, None]),
        (RECEIPT, "outbox", {"topic": "inbox.xa-moj", "partition": 0, "offset": 1, "time_ms": 1}),
        (RECEIPT, "outbox", {"topic": "outbox.xa-moj", "partition": 0, "offset": -1, "time_ms": 1}),
        (ROUTED, "jws", None),
        (ROUTED, "tl", 0),
        (GAP, "code", "already-used"),
        (GAP, "code", "because"),
        (GAP, "jws_text", "x" * 16385),
        (FLAG, "flag", "late"),
        (FLAG, "percent", 101),
        (FLAG, "pair", ["xa-moj"]),
        (FLAG, "pair", "xa"),
        (FLAG, "of", "custody"),
        (IGNORED, "code", "Because"),
        (IGNORED, "clock", "x"),
    ],
)
def test_a_claim_outside_of_its_grammar_is_refused(claim, member, value) -> None:
    """One member changed: another kind, a foreign word, a number out of range, a member too many."""
    members = {**json.loads(encode_claim(claim)), member: value}
    with pytest.raises(Refused, match="claim-malformed"):
        decode_claim(json.dumps(members))


@given(
    st.one_of(st.text(max_size=40), st.sampled_from(["[]", "null", "{}", '{"kind":"chain"}', "\ud800", '"\\ud800"']))
)
@settings(max_examples=50)
def test_any_text_is_refused_in_one_way(text: str) -> None:
    """Whatever the text, the error is the same."""
    with pytest.raises(Refused, match="claim-malformed"):
        decode_claim(text)
