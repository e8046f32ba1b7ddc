"""Base64url: what is written and read is what the standard library makes of it, in one spelling only."""

from __future__ import annotations

import base64
import binascii

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.envelope.encoding import b64, unb64
from hub.errors import Refused


def by_the_standard_library(text: str) -> bytes | str:
    """The bytes of the one text that spells them, or the code of the refusal."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        return "base64-malformed"
    return data if base64.urlsafe_b64encode(data).rstrip(b"=").decode() == text else "base64-malformed"


def by_ours(text: str) -> bytes | str:
    """The same by our reader."""
    try:
        return unb64(text)
    except Refused as error:
        return error.code


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_the_standard_spelling(data: bytes) -> None:
    """pybase64 and the standard library spell the same bytes alike."""
    assert base64.urlsafe_b64encode(data).rstrip(b"=").decode() == b64(data)
    assert data == unb64(b64(data))


@given(st.text(alphabet="AQgw-_+/= \nZ9\u00e9", max_size=9) | st.text(max_size=9))
@settings(max_examples=500, deadline=None)
def test_what_is_read_is_what_was_written(text: str) -> None:
    """No text is read that was not written so, nor read as other bytes."""
    assert by_the_standard_library(text) == by_ours(text)


@pytest.mark.parametrize(
    "text",
    [
        "A",  # no bytes have this length
        "AAAAA",
        "QQ==",  # padding
        "QQ=",
        "AAAA=",
        "QR",  # unused bits that are not zero
        "QUJ",
        "QQ\n",
        " QQ",
        "Q Q",
        "+/+/",  # the other alphabet
        "QQ.QQ",
        "QQ!",
        "QQ==QQ",
        "Q\u00e9",
        "\u00e9\u00e9",
        "\ud800QQ",
        "\x00QQ",
    ],
)
def test_a_second_spelling_is_refused(text: str) -> None:
    """Padding, white space, the other alphabet, unused bits and impossible lengths are no base64url here."""
    with pytest.raises(Refused) as caught:
        unb64(text)
    assert caught.value.code == "base64-malformed"
