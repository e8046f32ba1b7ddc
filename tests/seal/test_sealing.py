"""Sealing: what leaves the State's house is signed, named byte by byte, and for two pairs of eyes only."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.seal.keys import generate_decryption_key, public
from connectors.seal.opening import open_message, proof
from connectors.seal.sealing import seal_receipts
from hub.core.authority import EncryptionKey, KeyUse, PublicKey, Status
from hub.core.ids import ClockId, sha256, uuid7
from hub.core.limits import MANIFEST_JWS_BYTES_MAX, RECEIPTS_PER_MANIFEST_MAX, VALIDITY_MS_MAX
from hub.core.manifest import (
    ClockKind,
    ClockOperation,
    ClockVerb,
    MessageType,
    ReceiptLevel,
    ReceiptReference,
)
from hub.envelope import jws
from hub.envelope.manifest import decode
from hub.envelope.suites import SUITES, thumbprint
from hub.errors import Refused, UsageError, VerificationFailed


def _verified(sealed, world):
    parsed = jws.parse(sealed.jws, typ=jws.TYP_MANIFEST, bytes_max=MANIFEST_JWS_BYTES_MAX)
    keys = {signer.key: signer.public for signer in world.xa.signers}
    jws.verify_all(parsed, keys, algorithms=SUITES[world.suite].signatures)
    return decode(parsed.payload)


def test_a_sealed_message_is_opened_by_its_recipient_and_its_archive(world):
    """Both sides read the same document; the salt proves it to the sender."""
    draft = world.draft(clocks=(ClockOperation(ClockVerb.START, ClockId("c" * 16), ClockKind.REPLY, world.now_ms + 1),))
    sealed = world.seal(draft, chain=(17, sha256(b"the sixteenth")))
    manifest = _verified(sealed, world)
    assert sealed.manifest == manifest
    for party in (world.xb, world.xa):
        opened = open_message(sealed.value, manifest, me=party.id, keys=party.keys)
        assert draft.content == opened.content
        assert sealed.proof == proof(draft.id, opened.salt)


def test_the_manifest_names_the_exact_bytes(world):
    """Digest and length of the value, the suite, the list and the place in the chain stand in the signed manifest."""
    draft = world.draft()
    sealed = world.seal(draft, chain=(2, sha256(b"the first")))
    manifest = _verified(sealed, world)
    assert (sha256(sealed.value), len(sealed.value)) == (manifest.body.digest, manifest.body.length)
    assert sha256(sealed.jws) == sealed.digest
    assert (world.suite, 7, world.trust.deployment) == (manifest.suite, manifest.trust_list, manifest.deployment)
    assert (2, sha256(b"the first")) == (manifest.sequence, manifest.previous)
    assert (world.now_ms, world.now_ms + VALIDITY_MS_MAX) == (manifest.issued_ms, manifest.expires_ms)
    owners = ((world.xb.id, world.xb.inbox.kid), (world.xa.id, world.xa.archive.kid))
    assert owners == manifest.recipient_keys


def test_nothing_of_the_case_is_in_clear(s1):
    """The document stands neither in the header, nor in the value, nor in the text forms."""
    draft = s1.draft(content=b'{"witness":"Arvid Holm"}')
    sealed = s1.seal(draft)
    assert b"Holm" not in sealed.jws + sealed.value
    assert "Holm" not in repr(draft) + repr(sealed)


def test_sealing_again_makes_other_bytes(s1):
    """Salt, key and IV are fresh, also for the same draft: nothing links the two."""
    first, second = s1.seal(), s1.seal()
    assert first.manifest.id == second.manifest.id
    assert first.manifest.body.commitment != second.manifest.body.commitment
    assert first.proof != second.proof


def test_a_length_tells_a_bucket_and_no_more(s1):
    """16 documents of different lengths around 1 KiB make values of at most two lengths."""
    lengths = {len(s1.seal(s1.draft(content=b'{"a":"' + b"x" * (1000 + 4 * n) + b'"}')).value) for n in range(16)}
    assert len(lengths) <= 2


def test_an_archive_is_not_needed(s1):
    """A message may be sealed to its recipient only."""
    sealed = s1.seal(archive_keys=[])
    assert ((s1.xb.id, s1.xb.inbox.kid),) == sealed.manifest.recipient_keys


def _trust(world, who, **changes):
    authorities = {**world.trust.authorities, who: replace(world.trust.authorities[who], **changes)}
    return replace(world.trust, authorities=authorities)


def _listed(world, key, **changes):
    listed = EncryptionKey(key.id, key.algorithm, KeyUse.INBOX, 0, world.now_ms + 1)
    return _trust(world, world.xb.id, encryption=(replace(listed, **changes),))


def test_keys_of_nobody_else_are_sealed_to(s1):
    """A third authority's key, an archive key as inbox key, a retired one: refused, since a leak cannot be undone."""
    stranger, mine, theirs = public(s1.xc.inbox), public(s1.xb.inbox), public(s1.xb.archive)
    cases = [
        {"recipient_keys": [stranger]},
        {"recipient_keys": [mine, stranger]},
        {"recipient_keys": [theirs]},
        {"recipient_keys": []},
        {"archive_keys": [stranger]},
        {"archive_keys": [public(s1.xa.inbox)]},
        {"archive_keys": [mine]},
        {"trust": _listed(s1, mine, until_ms=s1.now_ms - 1)},
        {"trust": _listed(s1, mine, from_ms=s1.now_ms + 1)},
        {"trust": _listed(s1, mine, algorithm="HPKE-12-KE")},
    ]
    for case in cases:
        with pytest.raises(UsageError) as caught:
            s1.seal(**case)
        assert caught.value.code == "recipient-key-invalid"


def test_a_key_of_another_suite_is_not_sealed_to(s1):
    """A message has one key wrap, that of its suite: X25519 alone must not open what X-Wing protects."""
    weak = public(generate_decryption_key("ECDH-ES+A256KW", KeyUse.INBOX, seed=b"w" * 32))
    with pytest.raises(UsageError) as caught:
        s1.seal(recipient_keys=[weak], trust=_listed(s1, weak))
    assert caught.value.code == "recipient-key-invalid"


def test_other_bytes_under_a_listed_id_are_not_sealed_to(s1):
    """A key that was swapped under its id would hand the message to whoever swapped it."""
    forged = replace(public(s1.xc.inbox), id=s1.xb.inbox.kid)
    with pytest.raises(VerificationFailed) as caught:
        s1.seal(recipient_keys=[forged])
    assert caught.value.code == "key-id-mismatch"


def test_bytes_that_are_no_key_are_not_sealed_to(s1):
    """A listed id of bytes that are no X-Wing key is refused."""
    raw = b"\xff" * 1216
    broken = PublicKey(id=thumbprint("HPKE-10-KE", raw), algorithm="HPKE-10-KE", public=raw)
    with pytest.raises(Refused) as caught:
        s1.seal(recipient_keys=[broken], trust=_listed(s1, broken))
    assert caught.value.code == "key-malformed"


def test_a_draft_that_the_hub_would_refuse_is_not_sealed(s1):
    """Mistakes are found before a sequence number is spent."""
    cases = [
        (s1.draft(valid_for_ms=VALIDITY_MS_MAX + 1), {}, "draft-malformed"),
        (s1.draft(), {"chain": (1, sha256(b"x"))}, "draft-malformed"),
        (s1.draft(), {"chain": (2, None)}, "draft-malformed"),
        (s1.draft(recipient=s1.xa.id), {"recipient_keys": [public(s1.xa.inbox)]}, "draft-malformed"),
        (s1.draft(content=b"no JSON"), {}, "content-malformed"),
        (s1.draft(content=b'{"a":"' + b"x" * 70_000 + b'"}'), {}, "content-too-large"),
        (s1.draft(recipient="xx-none"), {}, "recipient-unknown"),
        (s1.draft(sender="xx-none"), {}, "sender-unknown"),
        (s1.draft(), {"signers": s1.xa.signers[:1]}, "signers-unsuitable"),
        (s1.draft(), {"signers": s1.xa.signers[::-1]}, "signers-unsuitable"),
        (s1.draft(), {"trust": _trust(s1, s1.xb.id, status=((Status.REVOKED, 0),))}, "recipient-revoked"),
        (s1.draft(), {"trust": _trust(s1, s1.xb.id, status=())}, "recipient-revoked"),
        (s1.draft(), {"trust": _trust(s1, s1.xa.id, suite="S9")}, "suite-not-allowed"),
        (s1.draft(), {"now_ms": SUITES["S1"].not_after_ms + 1}, "suite-not-allowed"),
    ]
    for draft, changes, code in cases:
        with pytest.raises(UsageError) as caught:
            s1.seal(draft, **changes)
        assert code == caught.value.code


@pytest.mark.parametrize("waiver", [None, -1])
def test_s0_needs_a_waiver_in_force(worlds, waiver):
    """Without post-quantum keys nothing is sealed but by a dated waiver."""
    world = worlds["S0"]
    until_ms = None if waiver is None else world.now_ms + waiver
    with pytest.raises(UsageError) as caught:
        world.seal(trust=_trust(world, world.xa.id, waiver_until_ms=until_ms))
    assert caught.value.code == "suite-not-allowed"


def _references(world, count):
    delivered = ReceiptReference(ReceiptLevel.DELIVERED, world.draft().id, world.draft().thread, sha256(b"p"), None)
    return [delivered] * count


def _seal_receipts(world, references):
    return seal_receipts(
        references,
        sender=world.xa.id,
        recipient=world.xb.id,
        message_id=uuid7(world.now_ms, bytes(10)),
        chain=(3, sha256(b"the second")),
        signers=world.xa.signers,
        trust=world.trust,
        now_ms=world.now_ms,
    )


def test_a_full_receipt_list_fits_its_header(world):
    """As many references as the limit allows are signed by every suite, with room for certificates' digests."""
    sealed = _seal_receipts(world, _references(world, RECEIPTS_PER_MANIFEST_MAX))
    manifest = _verified(sealed, world)
    assert (sealed.value, sealed.proof) == (b"", None)
    assert MessageType.RECEIPT is manifest.type
    assert len(manifest.receipts) == RECEIPTS_PER_MANIFEST_MAX
    assert len(sealed.jws) < MANIFEST_JWS_BYTES_MAX - 512


@pytest.mark.parametrize("count", [0, RECEIPTS_PER_MANIFEST_MAX + 1])
def test_a_receipt_list_has_at_least_one_and_not_too_many(s1, count):
    """An empty list says nothing, and a longer one would not fit."""
    with pytest.raises(UsageError) as caught:
        _seal_receipts(s1, _references(s1, count))
    assert caught.value.code == "draft-malformed"


def test_a_header_over_its_limit_is_not_signed_away(s1):
    """A signer whose signatures do not fit the header is found before the hub refuses."""

    class Verbose:
        key, algorithm, certificate_digest = s1.xa.signers[0].key, "Ed25519", None

        def sign(self, message):
            assert message
            return bytes(MANIFEST_JWS_BYTES_MAX)

    with pytest.raises(UsageError) as caught:
        s1.seal(signers=(Verbose(), s1.xa.signers[1]))
    assert caught.value.code == "draft-malformed"
