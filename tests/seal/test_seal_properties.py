"""Laws of sealing and opening, for any document and any bytes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.seal.keys import public
from connectors.seal.opening import Opened, open_message
from hub.core.ids import sha256
from hub.core.manifest import BodyReference
from hub.errors import Refused, VerificationFailed

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _attempt(value, manifest, party):
    """Opened, or the code of the refusal; any other error fails the test."""
    try:
        return open_message(value, manifest, me=party.id, keys=party.keys)
    except Refused as refused:
        return refused.code


def _naming(value, manifest):
    """The manifest of a sender that signs any bytes as its value."""
    return replace(manifest, body=BodyReference(sha256(value), len(value), manifest.body.commitment))


@given(document=st.dictionaries(TEXT, VALUES, max_size=5))
@SETTINGS
def test_what_is_sealed_is_opened(s1, document):
    """Any document comes back as the same JSON value."""
    sealed = s1.seal(s1.draft(content=json.dumps(document).encode()))
    opened = open_message(sealed.value, sealed.manifest, me=s1.xb.id, keys=s1.xb.keys)
    assert document == json.loads(opened.content)


@given(value=st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
@SETTINGS
def test_any_bytes_are_refused_and_nothing_else(s1, value):
    """A signed value of any bytes ends in a refusal, never in another error."""
    assert _attempt(value, _naming(value, s1.seal().manifest), s1.xb) == "jwe-malformed"


PATHS = [
    *[(member,) for member in ("protected", "recipients", "aad", "iv", "ciphertext", "tag")],
    *[("recipients", 0, member) for member in ("header", "encrypted_key")],
    *[("recipients", 0, "header", member) for member in ("alg", "kid", "ek", "epk")],
    ("recipients", 1),
]


@given(
    suite=st.sampled_from(["S1", "S2", "S0"]),
    path=st.sampled_from(PATHS),
    replacement=VALUES | st.sampled_from(["HPKE-10-KE", "HPKE-12-KE", "ECDH-ES+A256KW", "A" * 43, "AAAA", "e30"]),
)
@SETTINGS
def test_any_member_is_refused_in_place_of_its_own(worlds, suite, path, replacement):
    """A value with one member replaced ends in a refusal, or opens when it is the same."""
    world = worlds[suite]
    sealed = world.seal()
    members = json.loads(sealed.value)
    place = members
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = replacement
    value = json.dumps(members).encode()
    result = _attempt(value, _naming(value, sealed.manifest), world.xb)
    assert isinstance(result, str) or members == json.loads(sealed.value)


@given(data=st.data())
@SETTINGS
def test_a_flipped_bit_is_refused(worlds, data):
    """Anywhere in the value, in every suite: the signed digest sees it."""
    world = worlds[data.draw(st.sampled_from(["S1", "S2", "S0"]))]
    sealed = world.seal()
    value = bytearray(sealed.value)
    value[data.draw(st.integers(0, len(value) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert _attempt(bytes(value), sealed.manifest, world.xb) == "digest-mismatch"


@given(data=st.data())
@settings(SETTINGS, max_examples=100)
def test_a_flipped_bit_that_was_signed_is_refused_too(worlds, data):
    """Without the digest a flip is refused by codec, cipher or commitment: no byte for the reader is without a guard."""
    world = worlds[data.draw(st.sampled_from(["S1", "S0"]))]
    sealed = world.seal(archive_keys=[])
    value = bytearray(sealed.value)
    value[data.draw(st.integers(0, len(value) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    result = _attempt(bytes(value), _naming(bytes(value), sealed.manifest), world.xb)
    # X25519 leaves out the top bit of a public key (RFC 7748 section 5): the same point, so the same key and text.
    assert result != "digest-mismatch"
    assert isinstance(result, str) or (world.suite == "S0" and isinstance(result, Opened))


@given(flip=st.integers(0, 1215), bit=st.integers(0, 7))
@settings(SETTINGS, max_examples=30)
def test_a_flipped_public_key_is_not_the_listed_one(s1, flip, bit):
    """Whatever was changed in a key, its id tells it."""
    key = public(s1.xb.inbox)
    raw = bytearray(key.public)
    raw[flip] ^= 1 << bit
    with pytest.raises(VerificationFailed):
        s1.seal(recipient_keys=[replace(key, public=bytes(raw))])
