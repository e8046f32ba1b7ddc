"""Padmé lengths and strict padding."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.seal.padding import pad, padme, unpad
from hub.errors import Refused


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (0, 0),
        (1, 1),
        (2, 2),
        (3, 3),
        (8, 8),
        (9, 10),  # the worst case: E = 3, S = 2
        (100, 104),
        (1000, 1024),
        (1024, 1024),
        (1025, 1088),
        (65_536, 65_536),
        (65_537, 67_584),
        (2**30, 2**30),
        (2**30 + 1, 2**30 + 2**25),
    ],
)
def test_a_length_is_rounded_up_to_its_padme_bucket(length, expected):
    """E = floor(log2 L), S = floor(log2 E) + 1; up to a multiple of 2^(E - S)."""
    assert expected == padme(length)


@given(st.integers(2, 2**31))
@settings(max_examples=100, deadline=None)
def test_a_bucket_costs_at_most_twelve_percent_and_is_its_own_bucket(length):
    """Padmé adds at most 12 %, and padding what is padded adds nothing."""
    bucket = padme(length)
    assert length <= bucket <= length * 1.12
    assert bucket == padme(bucket)


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_content_comes_back_from_its_padding(content):
    """Any content is told from its padding, also one that ends in zeros or in the mark."""
    for each in (content, content + b"\x00\x00", content + b"\x80", content + b"\x80\x00"):
        padded = pad(each)
        assert padme(len(each) + 1) == len(padded)
        assert each == unpad(padded)


@pytest.mark.parametrize(
    "padded",
    [
        b"",
        b"\x00\x00",
        b"no mark at all!!",
        b"a mark\x81\x00",
        pad(b"x" * 100) + b"\x00",
        pad(b"x" * 100) + bytes(8),  # the next bucket, 112: one more spelling of the same content
        pad(b"x" * 100)[:-1],
        pad(b"x" * 100)[:-1] + b"\x01",
        b"x" * 100 + b"\x80",
    ],
    ids=["empty", "zeros", "no-mark", "other-mark", "one-more", "next-bucket", "one-less", "not-zero", "not-padded"],
)
def test_other_padding_is_refused(padded):
    """There is exactly one padding for each content."""
    with pytest.raises(Refused) as caught:
        unpad(padded)
    assert caught.value.code == "padding-invalid"
