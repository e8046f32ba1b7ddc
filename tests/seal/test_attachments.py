"""Attachments: sealed and opened in pieces, whole or not at all."""

from __future__ import annotations

import resource
import tracemalloc
from dataclasses import replace

import pytest
from cryptography.cobblestone import Cobblestone256Encryptor
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.seal.attachments import decrypt_stream, encrypt_stream, object_length, object_name
from connectors.seal.content import AttachmentContent
from connectors.seal.padding import padme
from hub.core.ids import sha256, uuid7
from hub.core.limits import ATTACHMENT_BYTES_MAX
from hub.core.manifest import AttachmentReference
from hub.envelope.manifest import ATTACHMENT_OBJECT_BYTES_MAX
from hub.errors import Refused, UsageError
from hub.testing import CountedChance

MESSAGE = uuid7(1_795_600_800_000, bytes(10))
KEY = b"a" * 32
URI = "xa-moj/" + "0" * 32
MEBIBYTE = 1024 * 1024


def _sealed(plaintext, *, pieces=1):
    size = max(1, len(plaintext) // pieces)
    stream = encrypt_stream(
        (plaintext[start : start + size] for start in range(0, len(plaintext), size)),
        key=KEY,
        message=MESSAGE,
        number=1,
    )
    stored = b"".join(stream)
    return stream.sealed(name="annex", media_type="text/plain", uri=URI), stored


def _opened(stored, sealed, *, message=MESSAGE, piece=1000):
    chunks = (stored[start : start + piece] for start in range(0, len(stored), piece))
    return b"".join(decrypt_stream(chunks, attachment=sealed.content, reference=sealed.reference, message=message))


@pytest.mark.parametrize("length", [0, 1, 2, 1000, 16_383, 16_384, 16_385, 32_768, 100_000])
def test_an_attachment_comes_back(length):
    """Any length is sealed to its Padmé bucket and opened to its true length."""
    plaintext = bytes(range(256)) * (length // 256 + 1)
    sealed, stored = _sealed(plaintext[:length], pieces=3)
    assert plaintext[:length] == _opened(stored, sealed)
    assert length == sealed.content.length
    assert object_length(length) == len(stored) == sealed.reference.length
    assert sha256(stored) == sealed.reference.digest


@given(st.binary(max_size=70_000), st.integers(1, 40), st.integers(1, 40_000))
@settings(max_examples=30, deadline=None)
def test_pieces_do_not_matter(plaintext, pieces, piece):
    """However the bytes are cut on the way in and out, they come back."""
    sealed, stored = _sealed(plaintext, pieces=pieces)
    assert plaintext == _opened(stored, sealed, piece=piece)


@given(st.integers(0, ATTACHMENT_BYTES_MAX))
@settings(max_examples=100, deadline=None)
def test_every_allowed_attachment_fits_the_manifest(length):
    """The object of up to 1 GiB, with padding and tags, is within the manifest's grammar."""
    assert 1 <= object_length(length) <= ATTACHMENT_OBJECT_BYTES_MAX


def test_the_largest_attachment_gets_no_padding_beyond_its_limit():
    """1 GiB is its own bucket, so the promise of 1 GiB holds on the wire too."""
    assert padme(ATTACHMENT_BYTES_MAX) == ATTACHMENT_BYTES_MAX
    assert object_length(ATTACHMENT_BYTES_MAX) <= ATTACHMENT_OBJECT_BYTES_MAX


CHANGES = {
    "first-byte": lambda stored: bytes([stored[0] ^ 1]) + stored[1:],
    "commitment": lambda stored: stored[:30] + bytes([stored[30] ^ 1]) + stored[31:],
    "last-byte": lambda stored: stored[:-1] + bytes([stored[-1] ^ 1]),
    "middle": lambda stored: stored[:20_000] + bytes([stored[20_000] ^ 1]) + stored[20_001:],
    "cut": lambda stored: stored[:-1],
    "cut-at-a-chunk": lambda stored: stored[: 56 + 16_400],
    "header-only": lambda stored: stored[:56],
    "empty": lambda _stored: b"",
    "longer": lambda stored: stored + b"\x00",
    "twice": lambda stored: stored * 2,
    "chunks-swapped": lambda stored: stored[:56] + stored[16_456:32_856] + stored[56:16_456] + stored[32_856:],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("piece", [999, 10**6])
def test_an_object_that_was_tampered_with_is_refused(change, piece):
    """A changed, cut, longer or reordered object does not verify."""
    sealed, stored = _sealed(b"0123456789abcdef" * 3000)
    with pytest.raises(Refused) as caught:
        _opened(change(stored), sealed, piece=piece)
    assert caught.value.code == "attachment-mismatch"


def test_an_object_of_another_place_is_refused():
    """Key, message and number are those of this attachment and of no other."""
    sealed, stored = _sealed(b"evidence")
    for content, message in (
        (replace(sealed.content, key=b"b" * 32), MESSAGE),
        (replace(sealed.content, number=2), MESSAGE),
        (sealed.content, uuid7(1, bytes(10))),
    ):
        with pytest.raises(Refused) as caught:
            _opened(stored, replace(sealed, content=content), message=message)
        assert caught.value.code == "attachment-mismatch"


def test_an_object_with_another_digest_is_refused():
    """A store that gives another object, even one under the same key, is found by the signed digest."""
    sealed, _ = _sealed(b"evidence")
    _, other = _sealed(b"Evidence")
    with pytest.raises(Refused) as caught:
        _opened(other, sealed)
    assert caught.value.code == "attachment-mismatch"


def test_an_object_of_another_length_than_signed_is_refused():
    """The signed length is that of the signed object, even when its digest fits."""
    sealed, stored = _sealed(b"evidence")
    for length in (len(stored) - 1, len(stored) + 1):
        with pytest.raises(Refused) as caught:
            _opened(stored, replace(sealed, reference=replace(sealed.reference, length=length)))
        assert caught.value.code == "attachment-mismatch"


@pytest.mark.parametrize(
    ("padded", "length"),
    [
        (b"x" * 9 + b"\x01", 9),  # a channel in the padding
        (b"x" * 9, 9),  # no padding
        (b"x" * 9 + bytes(2), 9),  # too much
        (b"x" * 8, 9),  # less than was promised
        (b"x" * 7, 8),  # the same, where no padding is due
        (b"x" * 9 + bytes(16_384), 9),
    ],
)
def test_an_object_with_other_padding_is_refused(padded, length):
    """The sender cannot hide bytes in the padding, nor promise another length, even when it signed the object."""
    encryptor = Cobblestone256Encryptor(KEY, f"comity/1 att|{MESSAGE}|1".encode())
    stored = encryptor.update(padded) + encryptor.finalize()
    content = AttachmentContent(1, "annex", "text/plain", length, KEY)
    reference = AttachmentReference(1, URI, len(stored), sha256(stored), "cobblestone-256")
    for piece in (7, 10**6):
        chunks = (stored[start : start + piece] for start in range(0, len(stored), piece))
        with pytest.raises(Refused) as caught:
            b"".join(decrypt_stream(chunks, attachment=content, reference=reference, message=MESSAGE))
        assert caught.value.code == "attachment-mismatch"


def test_a_store_that_never_ends_is_left():
    """Nothing is read beyond the signed length, so a store cannot keep a connector busy."""
    sealed, stored = _sealed(b"evidence")
    taken = []

    def endless():
        yield stored
        while True:
            taken.append(1)
            yield bytes(1000)

    with pytest.raises(Refused):
        b"".join(decrypt_stream(endless(), attachment=sealed.content, reference=sealed.reference, message=MESSAGE))
    assert taken == [1]


def test_an_attachment_over_its_limit_is_not_sealed(monkeypatch):
    """The limit, 1 GiB and smaller here, is found while the file is read; what is at the limit passes."""
    monkeypatch.setattr("connectors.seal.attachments.ATTACHMENT_BYTES_MAX", 100)
    assert b"".join(encrypt_stream([b"x" * 99, b"x"], key=KEY, message=MESSAGE, number=1))
    with pytest.raises(UsageError) as caught:
        b"".join(encrypt_stream([b"x" * 99, b"xx"], key=KEY, message=MESSAGE, number=1))
    assert caught.value.code == "attachment-too-large"


def test_a_stream_that_was_not_read_has_no_digest():
    """Digest and length are those of the whole object or none."""
    stream = encrypt_stream([b"evidence"], key=KEY, message=MESSAGE, number=1)
    with pytest.raises(ValueError, match="not read to its end"):
        stream.sealed(name="annex", media_type="text/plain", uri=URI)


def test_an_object_s_name_tells_its_authority_and_nothing_else():
    """``<authority>/<32 random hexadecimal digits>``: neither the file's name nor its message."""
    chance = CountedChance()
    assert f"xa-moj/{1:032x}" == object_name("xa-moj", chance)
    assert f"xa-moj/{2:032x}" == object_name("xa-moj", chance)


def _zeros(mebibytes):
    block = bytes(MEBIBYTE // 4)
    for _ in range(mebibytes * 4):
        yield block


def test_memory_does_not_grow_with_the_attachment(tmp_path):
    """32 MiB go in and out with a few blocks in memory."""
    stored = tmp_path / "object"
    tracemalloc.start()
    try:
        stream = encrypt_stream(_zeros(32), key=KEY, message=MESSAGE, number=1)
        with stored.open("wb") as sink:
            for piece in stream:
                sink.write(piece)
        sealed = stream.sealed(name="annex", media_type="text/plain", uri=URI)
        length = _drained(stored, sealed)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert length == 32 * MEBIBYTE
    assert peak < 3 * MEBIBYTE


def _drained(stored, sealed):
    with stored.open("rb") as source:
        chunks = iter(lambda: source.read(MEBIBYTE // 4), b"")
        opened = decrypt_stream(chunks, attachment=sealed.content, reference=sealed.reference, message=MESSAGE)
        return sum(len(piece) for piece in opened)


@pytest.mark.slow
def test_a_gibibyte_goes_through_in_constant_memory(tmp_path):
    """1 GiB, the README's promise, is sealed and opened within 64 MiB more than before."""
    stored = tmp_path / "object"
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stream = encrypt_stream(_zeros(1024), key=KEY, message=MESSAGE, number=1)
    with stored.open("wb") as sink:
        for piece in stream:
            sink.write(piece)
    sealed = stream.sealed(name="annex", media_type="text/plain", uri=URI)
    assert _drained(stored, sealed) == ATTACHMENT_BYTES_MAX
    stored.unlink()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 64 * 1024
