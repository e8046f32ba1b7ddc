"""The fast base64url of values is the strict one of the envelope."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.seal.encoding import b64, unb64
from hub.envelope import encoding
from hub.errors import Refused


def _reading(read, text):
    try:
        return read(text)
    except Refused as error:
        return error.code


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_both_write_the_same_text(data):
    """pybase64 and the standard library spell the same bytes alike."""
    assert encoding.b64(data) == b64(data)
    assert data == unb64(b64(data))


@given(st.text(alphabet="AQgw-_+/= \nZ9\u00e9", max_size=9) | st.text(max_size=9))
@settings(max_examples=200, deadline=None)
def test_both_accept_and_refuse_the_same_texts(text):
    """No text is read here and refused there, nor read as other bytes."""
    assert _reading(encoding.unb64, text) == _reading(unb64, text)


@pytest.mark.parametrize("text", ["YQ==", "YR", "Y", "Y Q", "YQ\n", "a/+b", "\u00e9\u00e9", "YQ="])
def test_a_second_spelling_is_refused(text):
    """Padding, white space, the other alphabet, unused bits and impossible lengths are no base64url here."""
    with pytest.raises(Refused) as caught:
        unb64(text)
    assert caught.value.code == "base64-malformed"
