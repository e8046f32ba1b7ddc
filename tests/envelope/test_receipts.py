"""Bundles and receipts of the hub: what stands in them is what was signed, whole, and said by whom it may be said."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.core.authority import HubRole
from hub.core.clocks import Flag
from hub.core.ids import derived_id, sha256
from hub.core.manifest import ClockKind
from hub.core.pairs import Pair
from hub.core.receipts import ChainClaim, FlagClaim, ReceiptClaim, RoutedClaim
from hub.core.records import Position
from hub.envelope import jws, receipts, strict_json
from hub.envelope.encoding import b64
from hub.envelope.receipts import Cutter, HeadCache, WriterState, cut_receipt, make_bundles, read_bundle, read_receipt
from hub.errors import VerificationFailed
from hub.evidence.merkle import Tree, leaf_hash

NOW_MS = 1_795_597_200_000
INBOXES = ("inbox.xa-moj", "inbox.xb-pgo", "inbox.xc-acc")
START = WriterState(0, None)


def _position(number: int) -> Position:
    return Position("outbox.xa-moj", 0, number, NOW_MS)


def _receipt(number: int) -> ReceiptClaim:
    return ReceiptClaim(
        id=derived_id("receipt", number),
        outbox=_position(number),
        jws=sha256(b"%d" % number),
        message=None,
        thread=None,
        code=None,
        counted=True,
        expected=None,
        trust_list=5,
    )


def _routed(number: int) -> RoutedClaim:
    return RoutedClaim(jws=sha256(b"%d" % number), outbox=_position(number), trust_list=5)


FLAG = FlagClaim(
    id=derived_id("flag", 1),
    flag=Flag.OVERDUE,
    percent=100,
    pair=Pair("xa-moj", "xb-pgo"),
    thread="0123456789abcdef0123456789abcdef",
    clock="0123456789abcdef",
    kind=ClockKind.REPLY,
    message="019abcde-0000-7000-8000-000000000001",
    due_ms=NOW_MS,
    time_ms=NOW_MS + 1,
)
CLAIMS = {
    "inbox.xb-pgo": tuple(_routed(number) for number in range(4)),
    "inbox.xa-moj": tuple(_receipt(number) for number in range(6)),
    "inbox.xc-acc": (),
}


def _signing(world, role=HubRole.ROUTER, *, typ=jws.TYP_HEAD, change=None):
    def sign(payload: bytes) -> bytes:
        if change is not None:
            members = strict_json.parse(payload)
            members.update(change)
            payload = strict_json.dump(members)
        return jws.sign(payload, typ=typ, signers=world.hub[role], issued_s=NOW_MS // 1000)

    return sign


def _make(world, claims=CLAIMS, *, writer="router-shard-0", head=START, inboxes=None, **signing):
    return make_bundles(
        claims,
        writer=writer,
        head_state=head,
        inbox_states=inboxes or dict.fromkeys(INBOXES, START),
        sign=_signing(world, **signing),
        time_ms=NOW_MS,
    )


@pytest.fixture(scope="session")
def made(world):
    """The bundles of one transaction to three inboxes."""
    return _make(world)


def _read(world, value: bytes, inbox: str = "inbox.xa-moj", *, trust=None, heads=None):
    return read_bundle(value, inbox=inbox, trust=trust or world.trust, heads=heads or HeadCache())


def _refused(world, value: bytes, inbox: str = "inbox.xa-moj", **arguments) -> None:
    with pytest.raises(VerificationFailed, match="bundle-invalid"):
        _read(world, value, inbox, **arguments)


def test_each_inbox_reads_its_own_claims(world, made) -> None:
    """In the order in which they were made, under one head, with the bundle's own hash."""
    heads = HeadCache()
    for inbox, claims in CLAIMS.items():
        value = made.records[inbox]
        bundle = _read(world, value, inbox, heads=heads)
        assert bundle.claims == claims
        assert bundle.chain == ChainClaim(inbox, 1, None, len(claims))
        assert (bundle.writer, bundle.digest) == ("router-shard-0", sha256(value))
        assert bundle.head == made.head_state.prev
    assert len(heads._heads) == 1


def test_heads_and_bundles_are_chained(world, made) -> None:
    """The next transaction counts on and names the hashes of the last; an inbox without claims stays where it was."""
    again = _make(world, {"inbox.xa-moj": [_receipt(9)]}, head=made.head_state, inboxes=made.inbox_states)
    bundle = _read(world, again.records["inbox.xa-moj"])
    assert bundle.chain == ChainClaim("inbox.xa-moj", 2, sha256(made.records["inbox.xa-moj"]), 1)
    assert again.head_state.n == 2
    assert again.inbox_states == {"inbox.xa-moj": WriterState(2, sha256(again.records["inbox.xa-moj"]))}
    head = strict_json.parse(again.records["inbox.xa-moj"])["head"].encode()
    assert HeadCache().verified(head, world.trust).prev == made.head_state.prev


def test_nothing_to_say_is_not_signed(world) -> None:
    """No claims, no records, no signature, no number used."""

    def refuse(payload: bytes) -> bytes:
        raise AssertionError(payload)

    empty = make_bundles({}, writer="watch-0", head_state=START, inbox_states={}, sign=refuse, time_ms=NOW_MS)
    assert (empty.records, empty.head_state, empty.inbox_states) == ({}, START, {})


def test_the_watch_signs_its_own_claims(world) -> None:
    """Flags under the watch's key, for a ledger partition that exists."""
    made = _make(world, {"inbox.xa-moj": [FLAG]}, writer="watch-3", role=HubRole.WATCH)
    assert _read(world, made.records["inbox.xa-moj"]).claims == (FLAG,)


def _with(value: bytes, **changes) -> bytes:
    return strict_json.dump({**strict_json.parse(value), **changes})


def _claims_of(value: bytes) -> list[str]:
    return strict_json.parse(value)["claims"]


@pytest.mark.parametrize(
    "change",
    [
        lambda value: _with(value, v="comity-bundle/2"),
        lambda value: _with(value, more=1),
        lambda value: _with(value, head="{}"),
        lambda value: _with(value, start=1),
        lambda value: _with(value, start=-1),
        lambda value: _with(value, path=[]),
        lambda value: _with(value, path=[b64(bytes(32))] * 2),
        lambda value: _with(value, path=["short"]),
        lambda value: _with(value, path=7),
        lambda value: _with(value, claims=[]),
        lambda value: _with(value, claims=[7]),
        lambda value: _with(value, claims=_claims_of(value)[::-1]),
        lambda value: _with(value, claims=[*_claims_of(value)[:-1], _claims_of(value)[-1].replace("true", "false")]),
        lambda value: _with(value, claims=[*_claims_of(value), _claims_of(value)[-1]]),
        lambda value: value[:-1],
        lambda value: value[:0],
        lambda value: value.ljust(2_097_153),
    ],
)
def test_a_changed_bundle_is_refused(world, made, change) -> None:
    """Version, members, head, range, path and claims: what was not signed so is not read so."""
    _refused(world, change(made.records["inbox.xa-moj"]))


@given(data=st.data())
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_bundle_with_changed_bytes_is_refused_or_the_same(world, made, data: st.DataObject) -> None:
    """No other bytes say anything else: white space and escapes aside, every change is seen."""
    value = made.records["inbox.xa-moj"]
    place = data.draw(st.integers(0, len(value) - 1))
    spoiled = value[:place] + data.draw(st.binary(max_size=2)) + value[place + 1 :]
    try:
        claims = _read(world, spoiled).claims
    except VerificationFailed:
        claims = CLAIMS["inbox.xa-moj"]
    assert claims == CLAIMS["inbox.xa-moj"]


def test_a_bundle_is_not_another_inboxs(world, made) -> None:
    """The broker may put it elsewhere: the first claim says where it belongs."""
    _refused(world, made.records["inbox.xa-moj"], "inbox.xb-pgo")


def test_a_cut_bundle_is_refused(world, made) -> None:
    """Claims cut off the end, with a path that leads to the signed root all the same."""
    value = made.records["inbox.xa-moj"]
    texts = [text for inbox in sorted(CLAIMS) for text in _claims_of(made.records[inbox])]
    tree = Tree([leaf_hash(text.encode()) for text in texts])
    for claims in (_claims_of(value)[:-2], _claims_of(value)[1:]):
        start = texts.index(claims[0])
        path = [b64(each) for each in tree.range_proof(start, start + len(claims))]
        _refused(world, _with(value, start=start, claims=claims, path=path))


@pytest.mark.parametrize(
    ("writer", "role"),
    [
        ("router-shard-0", HubRole.WATCH),
        ("watch-0", HubRole.ROUTER),
        ("watch-0", HubRole.WATCH),
        ("router-shard-2", HubRole.ROUTER),
        ("router-shard-00", HubRole.ROUTER),
        ("router-shard-", HubRole.ROUTER),
        ("sequencer-0", HubRole.SEQUENCER),
    ],
)
def test_a_writer_signs_with_its_roles_key_what_its_role_may_say(world, writer, role) -> None:
    """Another role's key, a claim of the other role, a shard beyond the deployment's, an unknown writer."""
    made = _make(world, writer=writer, role=role)
    _refused(world, made.records["inbox.xa-moj"])


def test_the_router_raises_no_flags(world) -> None:
    """A stolen router key cannot speak for the watch; a second chain claim is no claim either."""
    for claim in (FLAG, ChainClaim("inbox.xa-moj", 1, None, 0)):
        made = _make(world, {"inbox.xa-moj": [claim]})
        _refused(world, made.records["inbox.xa-moj"])


@pytest.mark.parametrize(
    "signing",
    [
        {"typ": jws.TYP_FRESHNESS},
        {"change": {"v": "comity-head/2"}},
        {"change": {"n": 0}},
        {"change": {"size": 7}},
        {"change": {"root": b64(bytes(32))}},
        {"change": {"root": b64(bytes(31))}},
        {"change": {"iat": 7}},
        {"change": {"more": 1}},
        {"change": {"prev": "x"}},
    ],
)
def test_a_head_outside_of_its_grammar_is_refused(world, signing) -> None:
    """Type, version, numbers, root and size of the head, though the router signed it."""
    _refused(world, _make(world, **signing).records["inbox.xa-moj"])


def test_a_known_head_is_asked_again_under_another_list(world, made) -> None:
    """A remembered head serves the list under which it was checked: a key that was taken away is not remembered."""
    heads = HeadCache()
    value = made.records["inbox.xa-moj"]
    _read(world, value, heads=heads)
    stranger = world.trust.hub_keys[HubRole.WATCH]
    later = replace(world.trust, number=6, hub_keys={**world.trust.hub_keys, HubRole.ROUTER: stranger})
    _refused(world, value, trust=later, heads=heads)
    assert _read(world, value, heads=heads).claims


def test_the_memory_of_heads_is_bounded(world, made, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest makes room."""
    monkeypatch.setattr(receipts, "HEADS_CACHED_MAX", 1)
    heads = HeadCache()
    for bundles in (made, _make(world)):
        _read(world, bundles.records["inbox.xa-moj"], heads=heads)
        assert len(heads._heads) == 1


# --- a single receipt ---------------------------------------------------------------------------------


def test_every_claim_stands_alone_when_cut_out(world, made) -> None:
    """With its own path and the head, without the bundle and its other claims."""
    heads = HeadCache()
    for inbox, claims in CLAIMS.items():
        cutter = Cutter(made.records[inbox])
        for index, claim in enumerate(claims):
            data = cutter.receipt(index)
            assert data == cut_receipt(made.records[inbox], index)
            assert read_receipt(data, trust=world.trust, heads=heads) == claim
            assert len(json.loads(data)["path"]) <= 4


@pytest.mark.parametrize(
    "change",
    [
        {"v": "comity-receipt/2"},
        {"index": 2},
        {"index": 99},
        {"path": []},
        {"head": "{}"},
        {"claim": "{}"},
        {"more": 1},
    ],
)
def test_a_changed_receipt_is_refused(world, made, change) -> None:
    """Version, place, path, head and claim are those that were signed."""
    data = _with(cut_receipt(made.records["inbox.xa-moj"], 0), **change)
    with pytest.raises(VerificationFailed, match="receipt-invalid"):
        read_receipt(data, trust=world.trust, heads=HeadCache())


def test_other_bytes_are_no_receipt(world, made) -> None:
    """Too many, cut, a bundle, or the chain claim on its own."""
    value = made.records["inbox.xa-moj"]
    texts = [text for inbox in sorted(CLAIMS) for text in _claims_of(made.records[inbox])]
    leaves = [leaf_hash(text.encode()) for text in texts]
    chain = strict_json.dump(
        {
            "v": "comity-receipt/1",
            "head": strict_json.parse(value)["head"],
            "index": 0,
            "path": [b64(each) for each in Tree(leaves).inclusion_proof(0)],
            "claim": texts[0],
        }
    )
    for data in (cut_receipt(value, 0).ljust(2_097_153), cut_receipt(value, 0)[:-1], value, b"", chain):
        with pytest.raises(VerificationFailed, match="receipt-invalid"):
            read_receipt(data, trust=world.trust, heads=HeadCache())


def test_only_what_is_there_is_cut(made) -> None:
    """A claim beyond the last or before the first is our mistake."""
    for index in (-1, 6):
        with pytest.raises(ValueError, match="no claim"):
            cut_receipt(made.records["inbox.xa-moj"], index)


def test_nothing_is_cut_out_of_something_broken(made) -> None:
    """No bundle, a range beyond the tree, a path that is too short."""
    value = made.records["inbox.xa-moj"]
    for broken in (b"", _with(value, start=9), _with(value, path=[])):
        with pytest.raises(VerificationFailed, match="bundle-invalid"):
            cut_receipt(broken, 0)
