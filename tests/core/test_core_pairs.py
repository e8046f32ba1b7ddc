"""The chain of a pair: next, a repeat, or misplaced; nothing else moves it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core.ids import AuthorityId, Digest, MessageId, sha256, uuid7
from hub.core.limits import PAIR_WINDOW
from hub.core.pairs import Chain, Link, Misplaced, Next, Pair, Placement, Repeat, advance, place


def message(n: int) -> MessageId:
    """The id of message ``n``."""
    return uuid7(n, bytes(10))


def jws(n: int) -> Digest:
    """The hash of message ``n``."""
    return sha256(b"%d" % n)


def link(n: int) -> Link:
    """The link of message ``n``."""
    return Link(n, message(n), jws(n), outbox_offset=n, time_ms=n, trust_list=1, code=None)


def chain(length: int) -> Chain:
    """A chain of messages 1 to ``length``."""
    grown = Chain()
    for n in range(1, length + 1):
        grown = advance(grown, link(n))
    return grown


THREE = chain(3)


def test_pair_is_written_with_its_direction() -> None:
    """A pair's text names the sender first."""
    assert str(Pair(AuthorityId("xa-moj"), AuthorityId("xb-pgo"))) == "xa-moj>xb-pgo"


@pytest.mark.parametrize(
    ("before", "n", "sequence", "previous", "expected"),
    [
        (Chain(), 1, 1, None, Next()),
        (Chain(), 1, 1, jws(0), Misplaced("previous-mismatch")),
        (Chain(), 2, 2, jws(1), Misplaced("sequence-gap")),
        (THREE, 4, 4, jws(3), Next()),
        (THREE, 4, 4, jws(2), Misplaced("previous-mismatch")),
        (THREE, 4, 4, None, Misplaced("previous-mismatch")),
        (THREE, 4, 5, jws(3), Misplaced("sequence-gap")),
        (THREE, 4, 3, jws(2), Misplaced("already-used")),
        (THREE, 3, 3, jws(2), Repeat(link(3))),
        (THREE, 1, 1, None, Repeat(link(1))),
    ],
)
def test_place(before: Chain, n: int, sequence: int, previous: Digest | None, expected: Placement) -> None:
    """Each place in the chain has its name, and the codes are those of the check table."""
    assert expected == place(before, message=message(n), sequence=sequence, previous=previous, jws=jws(n))


def test_same_id_with_other_bytes_conflicts() -> None:
    """An id that the window knows with another hash is a conflict, even at the right place."""
    found = place(THREE, message=message(2), sequence=4, previous=jws(3), jws=jws(9))
    assert found == Misplaced("id-conflict")


def test_expected() -> None:
    """A chain tells what the next message must carry: for a sender restored from an old backup."""
    assert Chain().expected == (1, None)
    assert THREE.expected == (4, jws(3))


def test_advance_takes_the_next_link_only() -> None:
    """A link that does not follow is a fault of ours, never of a sender."""
    for n in (3, 5):
        with pytest.raises(ValueError, match="does not follow"):
            advance(THREE, link(n))


def test_a_counted_refusal_moves_the_chain() -> None:
    """A link with a refusal code takes its number like any other."""
    refused = replace(link(4), code="expired")
    assert advance(THREE, refused).expected == (5, jws(4))


def test_the_window_is_bounded() -> None:
    """A repeat is recognised among the last links; an older one has been used, and is not delivered again either."""
    long = chain(PAIR_WINDOW + 1)
    assert len(long.window) == PAIR_WINDOW
    assert place(long, message=message(2), sequence=2, previous=jws(1), jws=jws(2)) == Repeat(link(2))
    assert place(long, message=message(1), sequence=1, previous=None, jws=jws(1)) == Misplaced("already-used")


@given(sequence=st.integers(1, 6), previous=st.sampled_from([None, *map(jws, range(1, 6))]), n=st.integers(1, 6))
@settings(max_examples=80)
def test_next_is_exactly_the_expected_place(sequence: int, previous: Digest | None, n: int) -> None:
    """Only a new message at the expected number with the expected hash is next."""
    found = place(THREE, message=message(n), sequence=sequence, previous=previous, jws=jws(n))
    fresh = n > THREE.sequence
    assert isinstance(found, Next) is (fresh and (sequence, previous) == THREE.expected)
