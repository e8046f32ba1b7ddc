"""Opening: each check refuses what only it can see, and the attacks of the specification fail."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from connectors.seal.attachments import SealedAttachment
from connectors.seal.binding import additional_data
from connectors.seal.content import Content, encode_content
from connectors.seal.jwe import encrypt, parse_value
from connectors.seal.key_wrap import unwrap, wrap
from connectors.seal.keys import generate_decryption_key, public
from connectors.seal.opening import open_message, proof
from connectors.seal.padding import pad
from hub.core.authority import KeyUse
from hub.core.ids import sha256
from hub.core.manifest import MessageType
from hub.envelope.encoding import b64
from hub.errors import Refused

CONTENT = encode_content(Content(bytes(32), b'{"title":"Request"}'))


def _code(value, manifest, party, keys=None):
    with pytest.raises(Refused) as caught:
        open_message(value, manifest, me=party.id, keys=party.keys if keys is None else keys)
    return caught.value.code


def test_an_honest_message_opens(world):
    """The forger's tool makes good messages too: what the tests below refuse is what they change."""
    value, manifest = world.forge(CONTENT)
    opened = open_message(value, manifest, me=world.xb.id, keys=world.xb.keys)
    assert (b'{"title":"Request"}', bytes(32)) == (opened.content, opened.salt)


def test_an_opened_message_shows_nothing_of_itself(s1):
    """Its text form holds neither document nor salt."""
    value, manifest = s1.forge(CONTENT)
    assert repr(open_message(value, manifest, me=s1.xb.id, keys=s1.xb.keys)) == "Opened(attachments=())"


def test_the_proof_is_the_salted_hash_of_the_specification():
    """SHA-256("comity/1 opened", 0x00, id, 0x00, salt)."""
    message = "01939fa8-c000-7000-8000-000000000000"
    assert sha256(b"comity/1 opened\x00" + message.encode() + b"\x00" + b"s" * 32) == proof(message, b"s" * 32)


# --- (1) the value is the one that was signed ---------------------------------------------------


def test_a_flipped_byte_is_refused(world):
    """A byte that was changed on the way is seen, wherever it stands."""
    sealed = world.seal()
    for position in range(0, len(sealed.value), len(sealed.value) // 50):
        value = bytearray(sealed.value)
        value[position] ^= 1
        assert _code(bytes(value), sealed.manifest, world.xb) == "digest-mismatch"


def test_a_cut_or_longer_value_is_refused(s1):
    """A value of another length is not looked into."""
    sealed = s1.seal()
    for value in (sealed.value[:-1], sealed.value + b" ", b""):
        assert _code(value, sealed.manifest, s1.xb) == "length-mismatch"


def test_a_key_that_is_wrapped_anew_for_a_third_state_is_refused(s1):
    """Surreptitious forwarding: xb hands xa's message on to xc as if xa had sent it there."""
    sealed = s1.seal()
    jwe = parse_value(sealed.value)
    content_key = unwrap(jwe.recipients[0], s1.xb.inbox)
    forwarded = wrap(public(s1.xc.inbox), content_key, chance=s1.chance)
    members = json.loads(sealed.value)
    members["recipients"][0] = {
        "header": {"alg": forwarded.algorithm, "kid": forwarded.kid, "ek": b64(forwarded.encapsulation)},
        "encrypted_key": b64(forwarded.encrypted_key),
    }
    value = json.dumps(members, separators=(",", ":")).encode()
    assert len(value) == len(sealed.value)
    assert _code(value, sealed.manifest, s1.xc) == "digest-mismatch"


# --- (2) a JWE of the profile (each rule: test_jwe.py) ------------------------------------------


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: m.update(unprotected={"alg": "dir"}),
        lambda m: m.update(
            protected=b64(b'{"enc":"A256GCM","typ":"comity+jwe","cty":"comity-content+json","zip":"DEF"}')
        ),
        lambda m: m["recipients"][0]["header"].update(alg="none"),
        lambda m: m.update(more=1),
    ],
    ids=["unprotected", "zip", "alg-none", "member"],
)
def test_a_value_outside_the_profile_is_refused(s1, edit):
    """Even if the sender signed it."""
    value, manifest = s1.forge(CONTENT, edit=edit)
    assert _code(value, manifest, s1.xb) == "jwe-malformed"


def test_a_receipt_list_has_nothing_to_open(s1):
    """An empty value is no JWE."""
    manifest = replace(s1.seal().manifest, body=replace(s1.seal().manifest.body, digest=sha256(b""), length=0))
    assert _code(b"", manifest, s1.xb) == "jwe-malformed"


# --- (3) sealed for exactly the named keys, one of them ours ------------------------------------


def test_a_value_for_others_is_refused(s1):
    """Xc gets a copy of what xa sealed to xb: not named, not opened."""
    sealed = s1.seal()
    assert _code(sealed.value, sealed.manifest, s1.xc) == "recipient-mismatch"
    # Holding the key is not enough: the manifest must name it as ours.
    assert _code(sealed.value, sealed.manifest, s1.xc, s1.xb.keys) == "recipient-mismatch"


def test_a_wrong_kid_is_refused(s1):
    """The value names another key than the manifest."""
    other = public(s1.xc.inbox).id
    value, manifest = s1.forge(CONTENT, edit=lambda m: m["recipients"][0]["header"].update(kid=other))
    assert _code(value, manifest, s1.xb) == "recipient-mismatch"


def test_two_recipients_with_my_kid_are_refused(s1):
    """Two wraps under one kid could hold two keys, and one value two texts."""
    mine, archive = public(s1.xb.inbox), public(s1.xa.archive)
    value, manifest = s1.forge(CONTENT, recipients=[mine, mine, archive])
    assert _code(value, manifest, s1.xb) == "recipient-mismatch"
    # Nor if the manifest says so: its grammar forbids it, and so do we.
    doubled = replace(manifest, recipient_keys=(manifest.recipient_keys[0], *manifest.recipient_keys))
    value, manifest = s1.forge(CONTENT, manifest=doubled, recipients=[mine, mine, archive])
    assert _code(value, manifest, s1.xb) == "recipient-mismatch"


def test_a_hidden_reader_is_refused(s1):
    """A key that the signed manifest does not name opens nothing unseen."""
    keys = [public(s1.xb.inbox), public(s1.xa.archive), public(s1.xc.inbox)]
    value, manifest = s1.forge(CONTENT, recipients=keys)
    assert _code(value, manifest, s1.xb) == "recipient-mismatch"


def test_a_missing_reader_is_refused(s1):
    """The archive that the manifest names is in the value."""
    value, manifest = s1.forge(CONTENT, recipients=[public(s1.xb.inbox)])
    assert _code(value, manifest, s1.xb) == "recipient-mismatch"


def test_another_order_of_keys_is_refused(s1):
    """Value and manifest list the same keys in the same order."""
    value, manifest = s1.forge(CONTENT, recipients=[public(s1.xa.archive), public(s1.xb.inbox)])
    assert _code(value, manifest, s1.xb) == "recipient-mismatch"


def test_an_algorithm_of_another_suite_is_refused(s1):
    """X25519 alone does not pass under suite S1, even with a key that is ours."""
    weak = generate_decryption_key("ECDH-ES+A256KW", KeyUse.INBOX, seed=b"w" * 32)
    named = replace(s1.seal().manifest, recipient_keys=((s1.xb.id, weak.kid),))
    value, manifest = s1.forge(CONTENT, manifest=named, recipients=[public(weak)])
    assert _code(value, manifest, s1.xb, [weak]) == "recipient-mismatch"


def test_a_suite_of_no_registry_is_refused(s1):
    """A suite that is unknown here has no key wrap."""
    value, manifest = s1.forge(CONTENT, manifest=replace(s1.seal().manifest, suite="S9"))
    assert _code(value, manifest, s1.xb) == "recipient-mismatch"


def test_a_key_that_is_gone_is_told(s1):
    """A message to a key of ours that was given up is refused, so that its sender learns of it."""
    sealed = s1.seal()
    assert _code(sealed.value, sealed.manifest, s1.xb, []) == "cannot-decrypt"
    assert _code(sealed.value, sealed.manifest, s1.xb, [s1.xb.archive]) == "cannot-decrypt"
    # A key that the manifest names as another authority's is not tried as ours.
    assert _code(sealed.value, sealed.manifest, s1.xb, [s1.xa.archive]) == "cannot-decrypt"


def test_the_key_that_is_held_opens(s1):
    """While keys are changed a value names the old and the new one; either opens."""
    new = generate_decryption_key("HPKE-10-KE", KeyUse.INBOX, seed=b"n" * 32)
    manifest = s1.seal().manifest
    named = replace(manifest, recipient_keys=((s1.xb.id, new.kid), *manifest.recipient_keys))
    keys = [public(new), public(s1.xb.inbox), public(s1.xa.archive)]
    value, manifest = s1.forge(CONTENT, manifest=named, recipients=keys)
    for held in ([new], [s1.xb.inbox], [s1.xb.inbox, new]):
        assert open_message(value, manifest, me=s1.xb.id, keys=held).content == b'{"title":"Request"}'


# --- (4) made for this manifest -----------------------------------------------------------------


def test_a_stolen_ciphertext_is_refused(s1):
    """Signature theft: xc signs xa's value as its own message to xb."""
    sealed = s1.seal()
    keys = ((s1.xb.id, s1.xb.inbox.kid), (s1.xc.id, s1.xa.archive.kid))
    stolen = replace(sealed.manifest, sender=s1.xc.id, recipient_keys=keys)
    assert _code(sealed.value, stolen, s1.xb) == "aad-mismatch"


@pytest.mark.parametrize(
    "change",
    [
        {"id": "01939fa8-c000-7000-8000-000000000001"},
        {"sender": "xc-acc"},
        {"recipient": "xc-acc"},
        {"thread": "6" * 32},
        {"type": MessageType.RESPONSE},
    ],
    ids=lambda change: next(iter(change)),
)
def test_additional_data_of_another_manifest_are_refused(s1, change):
    """Id, sides, keys, thread and class of the manifest are under the cipher."""
    manifest = s1.seal().manifest
    aad = additional_data(replace(manifest, **change))
    value, manifest = s1.forge(CONTENT, manifest=manifest, aad=aad)
    assert _code(value, manifest, s1.xb) == "aad-mismatch"


@pytest.mark.parametrize(
    "edit",
    [
        lambda a: a.update(v="comity/2"),
        lambda a: a.update(rcp=a["rcp"][:1]),
        lambda a: a.update(to="xb-pgo"),
        lambda a: a.update(more=1),
        lambda a: a.pop("typ"),
    ],
    ids=["v", "rcp", "to", "more", "typ"],
)
def test_additional_data_with_other_members_are_refused(s1, edit):
    """They repeat exactly what the manifest says."""
    manifest = s1.seal().manifest
    members = json.loads(additional_data(manifest))
    edit(members)
    value, manifest = s1.forge(CONTENT, manifest=manifest, aad=json.dumps(members).encode())
    assert _code(value, manifest, s1.xb) == "aad-mismatch"


@pytest.mark.parametrize("aad", [b"", b"The Fellowship of the Ring", b'{"v":1.5}'])
def test_additional_data_that_are_no_json_are_refused(s1, aad):
    """Whatever they are, they are not this manifest's."""
    value, manifest = s1.forge(CONTENT, aad=aad)
    assert _code(value, manifest, s1.xb) == "aad-mismatch"


# --- (5) it decrypts ----------------------------------------------------------------------------


@pytest.mark.parametrize("member", ["iv", "ciphertext", "tag"])
def test_a_value_that_does_not_decrypt_is_refused(world, member):
    """Even if its sender signed it."""

    def flip(members):
        members[member] = ("B" if members[member][0] == "A" else "A") + members[member][1:]

    value, manifest = world.forge(CONTENT, edit=flip)
    assert _code(value, manifest, world.xb) == "cannot-decrypt"


def test_a_wrap_for_another_key_is_refused(world):
    """The kid is ours, the wrap is not."""

    def swap(members):
        first, second = members["recipients"]
        first["header"]["kid"], second["header"]["kid"] = second["header"]["kid"], first["header"]["kid"]
        members["recipients"] = [second, first]

    value, manifest = world.forge(CONTENT, edit=swap)
    assert _code(value, manifest, world.xb) == "cannot-decrypt"


# --- (6) padding, (7) commitment, (8) content ---------------------------------------------------


@pytest.mark.parametrize("padded", [CONTENT, pad(CONTENT) + bytes(16), CONTENT + b"\x80", b""])
def test_a_value_with_other_padding_is_refused(s1, padded):
    """Padding is checked strictly."""
    value, manifest = s1.forge(CONTENT, padded=padded)
    assert _code(value, manifest, s1.xb) == "padding-invalid"


def test_another_plaintext_under_the_same_signature_is_refused(s1):
    """AES-GCM does not commit to its key: the signed digest of the plaintext does."""
    other = encode_content(Content(bytes(32), b'{"title":"Reqvest"}'))
    assert len(pad(other)) == len(pad(CONTENT))
    value, manifest = s1.forge(CONTENT, padded=pad(other))
    assert _code(value, manifest, s1.xb) == "commitment-mismatch"
    absent = replace(manifest, body=replace(manifest.body, commitment=None))
    assert _code(value, absent, s1.xb) == "commitment-mismatch"


@pytest.mark.parametrize("content", [b"", b"{}", b"not JSON", CONTENT.replace(b"content/1", b"content/2")])
def test_content_outside_its_schema_is_refused(s1, content):
    """Each rule of the schema: test_content.py."""
    value, manifest = s1.forge(content)
    assert _code(value, manifest, s1.xb) == "content-malformed"


def test_attachments_come_with_keys_and_names(s1, attach):
    """The content of an opened message has each attachment's key, name, type and true length."""
    sealed_attachment, _ = attach(b"evidence" * 100)
    sealed = s1.seal(s1.draft(attachments=(sealed_attachment,)))
    opened = open_message(sealed.value, sealed.manifest, me=s1.xb.id, keys=s1.xb.keys)
    assert (sealed_attachment.content,) == opened.attachments
    assert {1: sealed_attachment.content.key} == opened.attachment_keys
    assert opened.attachment_names == {1: "annex.pdf"}
    assert sealed_attachment.reference == sealed.manifest.attachments[0]


def test_attachments_that_the_manifest_does_not_list_are_refused(s1, attach):
    """Sealed and signed lists name the same attachments with lengths that fit."""
    good, _ = attach(b"evidence" * 100)
    longer = SealedAttachment(replace(good.content, length=9000), good.reference)
    sealed = s1.seal(s1.draft(attachments=(longer,)))
    assert _code(sealed.value, sealed.manifest, s1.xb) == "content-malformed"
    sealed = s1.seal(s1.draft(attachments=(good,)))
    for listed in ((), (good.reference, replace(good.reference, number=2))):
        assert _code(sealed.value, replace(sealed.manifest, attachments=listed), s1.xb) == "content-malformed"


def test_a_value_of_the_same_manifest_for_the_wrong_reader(s1):
    """A value whose recipients are none of the keys that are held is refused without a try."""
    manifest = replace(s1.seal().manifest, recipient_keys=())
    value = encrypt(pad(CONTENT), aad=additional_data(manifest), recipients=[public(s1.xb.inbox)], chance=s1.chance)
    named = replace(manifest, body=replace(manifest.body, digest=sha256(value), length=len(value)))
    assert _code(value, named, s1.xb) == "recipient-mismatch"
