"""Every record that the hub writes is read back as it was, and nothing else is read."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core.clocks import Flag
from hub.core.entries import FlagEntry, IgnoredEntry, LedgerRecord, LevelEntry, MessageEntry
from hub.core.ids import derived_id, sha256, uuid7
from hub.core.limits import PAIR_WINDOW
from hub.core.manifest import ClockKind, ClockOperation, ClockVerb, MessageType, ReceiptLevel
from hub.core.pairs import Chain, Link, Pair, advance
from hub.core.records import Position, Record
from hub.core.shard import Counters, Numbered, ShardState
from hub.errors import VerificationFailed
from hub.wire.ledger import ENTRY_BYTES_MAX, decode_ledger, encode_ledger, entry_bytes
from hub.wire.quarantine import decode_quarantine, encode_quarantine
from hub.wire.shards import decode_state, encode_change

numbers = st.integers(0, 2**53 - 1)
digests = st.binary(max_size=8).map(sha256)
messages = st.builds(uuid7, st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
authorities = st.builds(
    "{}-{}".format, st.text("az", min_size=2, max_size=2), st.text("abz019", min_size=2, max_size=24)
)
threads = st.binary(min_size=16, max_size=16).map(bytes.hex)
clocks = st.binary(min_size=8, max_size=8).map(bytes.hex)
codes = st.sampled_from(["jws-malformed", "expired", "id-conflict"])
pairs = st.builds(Pair, authorities, authorities)
positions = st.builds(Position, authorities.map("outbox.{}".format), st.just(0), numbers, numbers)
derived = st.text(max_size=4).map(derived_id)
operations = st.builds(
    ClockOperation, st.sampled_from(ClockVerb), clocks, st.sampled_from(ClockKind), st.none() | numbers
)
entries = st.one_of(
    st.builds(
        MessageEntry,
        jws=st.none() | digests,
        message=st.none() | messages,
        type=st.none() | st.sampled_from(MessageType),
        sender=st.none() | authorities,
        recipient=st.none() | authorities,
        thread=st.none() | threads,
        in_reply_to=st.none() | messages,
        sequence=st.none() | st.integers(1, 2**53 - 1),
        clocks=st.lists(operations, max_size=8).map(tuple),
        length=st.none() | numbers,
        attachments=st.integers(0, 16),
        code=st.none() | codes,
        counted=st.booleans(),
        repeat=st.booleans(),
        outbox=positions,
        trust_list=numbers,
    ),
    st.builds(
        LevelEntry,
        level=st.sampled_from(ReceiptLevel),
        message=messages,
        thread=threads,
        pair=pairs,
        why=st.none() | codes,
        proof=st.none() | digests,
        outbox=positions,
        trust_list=numbers,
    ),
    st.builds(
        FlagEntry,
        id=derived,
        flag=st.sampled_from(Flag),
        percent=st.integers(1, 100),
        pair=pairs,
        thread=threads,
        clock=clocks,
        message=messages,
        due_ms=numbers,
        time_ms=numbers,
    ),
    st.builds(
        IgnoredEntry,
        id=derived,
        pair=pairs,
        thread=threads,
        clock=clocks,
        message=messages,
        code=codes,
        time_ms=numbers,
    ),
)
records = st.builds(
    LedgerRecord,
    writer=st.sampled_from(["router-shard-0", "router-shard-31", "watch-3"]),
    n=st.integers(1, 2**53 - 1),
    time_ms=numbers,
    entries=st.lists(entries, min_size=1, max_size=4).map(tuple),
)
A_RECORD = LedgerRecord(
    writer="watch-0",
    n=1,
    time_ms=5,
    entries=(
        IgnoredEntry(
            id=derived_id("x"),
            pair=Pair("xa-moj", "xb-pgo"),
            thread="0" * 32,
            clock="1" * 16,
            message=uuid7(5, bytes(10)),
            code="clock-unknown",
            time_ms=5,
        ),
    ),
)


@settings(max_examples=60, deadline=None)
@given(record=records)
def test_ledger_record_comes_back(record: LedgerRecord) -> None:
    """A ledger record is read back as it was written, whatever entries it holds."""
    assert record == decode_ledger(encode_ledger(record))


@settings(max_examples=30, deadline=None)
@given(record=records)
def test_entry_bytes_bound_a_record(record: LedgerRecord) -> None:
    """A record is never larger than the sum of its entries' sizes and a frame of 256 bytes."""
    assert len(encode_ledger(record)) <= 256 + sum(entry_bytes(entry) for entry in record.entries)
    assert max(entry_bytes(entry) for entry in record.entries) <= ENTRY_BYTES_MAX


@settings(max_examples=60, deadline=None)
@given(
    data=st.binary(max_size=64)
    | st.recursive(st.none() | st.text(max_size=3), st.lists).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Bytes that the hub did not write give one error, never another."""
    for decode in (decode_ledger, decode_quarantine):
        with pytest.raises(VerificationFailed, match="record-malformed"):
            decode(data)


def changed(**changes) -> bytes:
    """A valid ledger record with members changed, added, or, for None, left out."""
    members = {**json.loads(encode_ledger(A_RECORD)), **changes}
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"v": "comity-ledger/2"},
        {"v": None},
        {"writer": "router"},
        {"n": 0},
        {"n": 1.0},
        {"n": True},
        {"n": "1"},
        {"n": 2**53},
        {"entries": []},
        {"entries": [{"kind": "other"}]},
        {"more": 1},
    ],
)
def test_ledger_record_is_strict(changes: dict) -> None:
    """Another version, type, range or member is refused."""
    decode_ledger(changed())
    with pytest.raises(VerificationFailed):
        decode_ledger(changed(**changes))


def test_doubled_member_is_refused() -> None:
    """Two members of one name have no single reading."""
    with pytest.raises(VerificationFailed):
        decode_ledger(encode_ledger(A_RECORD).replace(b'"n":1', b'"n":1,"n":1', 1))


def test_decision_and_code_agree() -> None:
    """A message entry that says accepted and names a reason is not believed."""
    entry = MessageEntry(
        jws=None,
        message=None,
        type=None,
        sender=None,
        recipient=None,
        thread=None,
        in_reply_to=None,
        sequence=None,
        code="expired",
        counted=True,
        outbox=Position("outbox.xa-moj", 0, 0, 0),
        trust_list=1,
    )
    data = encode_ledger(LedgerRecord(writer="router-shard-0", n=1, time_ms=0, entries=(entry,)))
    with pytest.raises(VerificationFailed):
        decode_ledger(data.replace(b'"decision":"refused"', b'"decision":"accepted"'))


def test_quarantine_record_comes_back() -> None:
    """A quarantine record says where and why, and holds no bytes of the record."""
    data = encode_quarantine(
        Position("outbox.xa-moj", 0, 7, 9), code="expired", jws=sha256(b"j"), digest=sha256(b"v"), length=1
    )
    model = decode_quarantine(data)
    assert ("outbox.xa-moj", 0, 7, 9, sha256(b"j"), sha256(b"v"), 1, "expired") == (
        model.topic,
        model.partition,
        model.offset,
        model.time_ms,
        model.jws,
        model.sha256,
        model.length,
        model.code,
    )


# --- hub.shards -----------------------------------------------------------------------------------


def a_chain(length: int) -> Chain:
    """A chain of some links."""
    chain = Chain()
    for number in range(1, length + 1):
        link = Link(number, uuid7(number, bytes(10)), sha256(b"%d" % number), number, number, 5, None)
        chain = advance(chain, link)
    return chain


STATE = ShardState(
    head=Numbered(3, sha256(b"head")),
    counters=Counters(5, 2, 1),
    chains={Pair("xa-moj", "xb-pgo"): a_chain(70), Pair("xb-pgo", "xa-moj"): a_chain(1)},
    offsets={"xa-moj": 12},
    bundles={"xa-moj": Numbered(4, sha256(b"bundle"))},
    ledgers={0: 3, 12: 1},
)


def as_records(*pairs: tuple[bytes | None, bytes | None]) -> list[Record]:
    """Records of hub.shards."""
    return [Record("hub.shards", 0, offset, 0, key, value) for offset, (key, value) in enumerate(pairs)]


def test_state_comes_back() -> None:
    """What a transaction wrote is the state that the next owner reads, the windows of the pairs included."""
    assert decode_state(as_records(*encode_change(STATE, before=ShardState()))) == STATE


def test_later_records_win() -> None:
    """Of each key the last record counts, as compaction leaves it."""
    later = ShardState(head=Numbered(4, sha256(b"next")), offsets={"xa-moj": 13})
    found = decode_state(as_records(*encode_change(STATE, before=ShardState()), *encode_change(later, before=STATE)))
    assert STATE.after(later) == found


@given(strides=st.lists(st.integers(1, PAIR_WINDOW + 40), min_size=1, max_size=8))
@settings(max_examples=60)
def test_a_window_comes_back_from_its_blocks(strides: Sequence[int]) -> None:
    """However many links each transaction adds: the blocks that it writes, over the older ones, spell the window."""
    pair, length, state, latest = Pair("xa-moj", "xb-pgo"), 0, ShardState(), {}
    for stride in strides:
        length += stride
        change = ShardState(chains={pair: a_chain(length)})
        latest |= dict(encode_change(change, before=state))
        state = state.after(change)
        assert decode_state(as_records(*latest.items())).chains == state.chains


def test_a_message_writes_its_own_block_only() -> None:
    """The whole window in each change would be 13 KB a pair."""
    before, after = (ShardState(chains={Pair("xa-moj", "xb-pgo"): a_chain(n)}) for n in (100, 101))
    blocks = {key: value for key, value in encode_change(after, before=before) if key.startswith(b"pair/")}
    assert list(blocks) == [b"pair/xa-moj>xb-pgo/1"]
    assert [each["seq"] for each in json.loads(blocks[b"pair/xa-moj>xb-pgo/1"])["links"]] == [96, 97, 98, 99, 100, 101]


def test_a_window_with_a_hole_stops_the_shard() -> None:
    """A block that is gone would turn a repeat into a refusal."""
    pair = Pair("xa-moj", "xb-pgo")
    records = dict(encode_change(ShardState(chains={pair: a_chain(100)}), before=ShardState()))
    for key in [each for each in records if each.startswith(b"pair/")]:
        rest = {name: value for name, value in records.items() if name != key}
        with pytest.raises(VerificationFailed, match="record-malformed"):
            decode_state(as_records(*rest.items()))


def test_empty_partition_is_a_new_shard() -> None:
    """A shard that never wrote begins at the beginning."""
    assert ShardState() == decode_state([])
    assert ShardState().next_offset("xa-moj") == 0


@pytest.mark.parametrize(
    "key",
    [
        None,
        b"",
        b"\xff",
        b"other/xa-moj",
        b"outbox/nobody",
        b"ledger/x",
        b"ledger/\xc2\xb2",
        b"pair/xa-moj",
        b"pair/xa-moj>xb-pgo",
        b"pair/xa-moj>xb-pgo/5",
    ],
)
def test_unknown_key_stops_the_shard(key: bytes | None) -> None:
    """A shard whose state cannot be read must not route."""
    with pytest.raises(VerificationFailed, match="record-malformed"):
        decode_state(as_records((key, b'{"v":"comity-shard/1","n":1}')))


@pytest.mark.parametrize("key", [b"#", b"pair/xa-moj>xb-pgo/0", b"outbox/xa-moj", b"inbox/xa-moj", b"ledger/0"])
def test_unreadable_value_stops_the_shard(key: bytes) -> None:
    """The same for a value, a removed one included."""
    for value in (None, b"{}", b'{"v":"comity-shard/2"}'):
        with pytest.raises(VerificationFailed, match="record-malformed"):
            decode_state(as_records((key, value)))
