"""Keys that open: from a seed, to a file and back."""

from __future__ import annotations

import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from connectors.seal.key_wrap import WrappedKey, derive_key, unwrap, wrap
from connectors.seal.keys import (
    decode_decryption_key,
    encode_decryption_key,
    generate_decryption_key,
    load_public,
    public,
)
from hub.core.authority import KeyUse, PublicKey
from hub.envelope.suites import public_from_jwk, public_jwk
from hub.errors import Refused, UsageError
from hub.testing import CountedChance

LENGTHS = {"HPKE-10-KE": 1216, "HPKE-12-KE": 1665, "ECDH-ES+A256KW": 32}
ALGORITHMS = list(LENGTHS)
SEED = bytes(range(32))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_same_seed_makes_the_same_key(algorithm):
    """A key is its seed; another seed is another key."""
    key = generate_decryption_key(algorithm, KeyUse.INBOX, seed=SEED)
    assert generate_decryption_key(algorithm, KeyUse.INBOX, seed=SEED) == key
    assert generate_decryption_key(algorithm, KeyUse.INBOX, seed=SEED[::-1]).kid != key.kid
    assert LENGTHS[algorithm] == len(key.public)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_public_key_is_a_jwk_of_the_key_statement(algorithm):
    """What others seal to passes through the JWK form of key statements unchanged."""
    key = public(generate_decryption_key(algorithm, KeyUse.INBOX, seed=SEED))
    assert key == public_from_jwk(public_jwk(key.algorithm, key.public))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("use", list(KeyUse))
def test_a_key_file_is_read_again(algorithm, use):
    """What is written is read as the same key with the same use."""
    key = generate_decryption_key(algorithm, use, seed=SEED)
    assert key == decode_decryption_key(encode_decryption_key(key))


def test_a_key_shows_nothing_of_itself():
    """Neither the seed nor the key stands in its text form."""
    key = generate_decryption_key("HPKE-10-KE", KeyUse.INBOX, seed=b"S" * 32)
    assert f"DecryptionKey(kid='{key.kid}', algorithm='HPKE-10-KE', use=<KeyUse.INBOX: 'inbox'>)" == repr(key)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"v": "comity-decryption-key/2"}, "key-unreadable"),
        ({"alg": "HPKE-11-KE"}, "algorithm-unknown"),
        ({"alg": "HPKE-12-KE"}, "key-unreadable"),  # the id is no longer the key's
        ({"alg": 5}, "key-unreadable"),
        ({"use": "both"}, "key-unreadable"),
        ({"kid": "A" * 43}, "key-unreadable"),
        ({"seed": "AAAA"}, "key-unreadable"),
        ({"seed": "====", "kid": "x"}, "key-unreadable"),
        ({"more": 1}, "key-unreadable"),
    ],
)
def test_a_changed_key_file_is_not_read(change, code):
    """A key file that was changed, or is another thing, is told from a good one."""
    members = json.loads(encode_decryption_key(generate_decryption_key("HPKE-10-KE", KeyUse.INBOX, seed=SEED)))
    with pytest.raises(UsageError) as caught:
        decode_decryption_key(json.dumps({**members, **change}).encode())
    assert code == caught.value.code


@pytest.mark.parametrize(
    ("algorithm", "seed", "code"),
    [("HPKE-11-KE", SEED, "algorithm-unknown"), ("HPKE-10-KE", SEED[:-1], "key-unsuitable")],
)
def test_no_key_is_made_of_another_algorithm_or_a_short_seed(algorithm, seed, code):
    """The registry is closed, and a seed has 32 bytes."""
    with pytest.raises(UsageError) as caught:
        generate_decryption_key(algorithm, KeyUse.INBOX, seed=seed)
    assert code == caught.value.code


@pytest.mark.parametrize(
    ("algorithm", "raw"),
    [
        ("HPKE-10-KE", bytes(1215)),
        ("HPKE-10-KE", b"\xff" * 1216),  # coefficients out of range
        ("HPKE-12-KE", bytes(1665)),  # no point of the curve
        ("HPKE-12-KE", b"\xff" * 1568 + bytes(97)),
        ("ECDH-ES+A256KW", bytes(31)),
        ("HPKE-11-KE", bytes(1216)),
    ],
)
def test_a_public_key_that_is_none_is_refused(algorithm, raw):
    """Nothing is sealed to bytes that are no key."""
    with pytest.raises(Refused) as caught:
        load_public(algorithm, raw)
    assert caught.value.code == "key-malformed"


def _wrapped(algorithm):
    key = generate_decryption_key(algorithm, KeyUse.INBOX, seed=SEED)
    return key, wrap(public(key), b"c" * 32, chance=CountedChance())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_content_key_is_unwrapped_by_its_key_only(algorithm):
    """The key opens what was wrapped for it, another one does not."""
    key, wrapped = _wrapped(algorithm)
    assert unwrap(wrapped, key) == b"c" * 32
    other = generate_decryption_key(algorithm, KeyUse.INBOX, seed=SEED[::-1])
    with pytest.raises(Refused, match="does not decrypt"):
        unwrap(wrapped, other)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("part", ["encapsulation", "encrypted_key"])
@pytest.mark.parametrize("change", [lambda b: bytes([b[0] ^ 1]) + b[1:], lambda b: b[:-1], lambda b: bytes(len(b))])
def test_a_changed_wrap_does_not_unwrap(algorithm, part, change):
    """A changed byte, a cut, or zeros in either part is refused with one code (X25519: zeros are of small order)."""
    key, wrapped = _wrapped(algorithm)
    parts = {"encapsulation": wrapped.encapsulation, "encrypted_key": wrapped.encrypted_key}
    parts[part] = change(parts[part])
    with pytest.raises(Refused) as caught:
        unwrap(WrappedKey(algorithm, key.kid, **parts), key)
    assert caught.value.code == "cannot-decrypt"


def test_a_wrap_of_another_algorithm_is_not_tried():
    """The key says how it unwraps, never the message."""
    key, wrapped = _wrapped("HPKE-10-KE")
    with pytest.raises(Refused) as caught:
        unwrap(WrappedKey("HPKE-12-KE", key.kid, wrapped.encapsulation, wrapped.encrypted_key), key)
    assert caught.value.code == "cannot-decrypt"


def test_nothing_is_wrapped_for_a_point_of_small_order():
    """An X25519 key that makes every secret zero would publish the content key (RFC 7748 section 6.1)."""
    with pytest.raises(Refused) as caught:
        wrap(PublicKey(id="x", algorithm="ECDH-ES+A256KW", public=bytes(32)), b"c" * 32, chance=CountedChance(7))
    assert caught.value.code == "key-malformed"


def test_the_wrapping_key_of_ecdh_is_agreed_on_by_both_sides():
    """RFC 7748 section 6.1: Alice and Bob; the Concat KDF's answer was made with hashlib by hand."""
    alice = X25519PrivateKey.from_private_bytes(
        bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4e2fb2c1c7a6b1bfd9d6b6d2c3a1b8")
    )
    bob = X25519PrivateKey.from_private_bytes(SEED)
    secret = alice.exchange(bob.public_key())
    # RFC 7518 section 4.6.2: round 1, Z, AlgorithmID with its length, two empty infos, 256 bits.
    by_hand = hashlib.sha256(
        bytes([0, 0, 0, 1]) + secret + bytes([0, 0, 0, 14]) + b"ECDH-ES+A256KW" + bytes(8) + bytes([0, 0, 1, 0])
    ).digest()
    assert by_hand == derive_key(alice, bob.public_key()) == derive_key(bob, alice.public_key())
