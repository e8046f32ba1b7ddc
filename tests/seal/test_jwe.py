"""The value's codec: a closed profile of JWE General JSON."""

from __future__ import annotations

import json

import pytest
from joserfc import jwe as oracle
from joserfc.jwk import OKPKey

from connectors.seal.jwe import decrypt, encrypt, parse_value
from connectors.seal.keys import public
from hub.envelope.encoding import b64, unb64
from hub.errors import Refused

PLAINTEXT, AAD = b"a plaintext", b'{"v":"comity/1"}'


@pytest.fixture
def keys(world):
    """The keys of both sides."""
    return [world.xb.inbox, world.xa.archive]


@pytest.fixture
def value(world, keys):
    """A value for both sides."""
    return encrypt(PLAINTEXT, aad=AAD, recipients=[public(key) for key in keys], chance=world.chance)


def test_each_recipient_decrypts(keys, value):
    """Every key that the value names opens it."""
    jwe = parse_value(value)
    assert jwe.aad == AAD
    for recipient, key in zip(jwe.recipients, keys, strict=True):
        assert key.kid == recipient.kid
        assert decrypt(jwe, recipient, key) == PLAINTEXT


def test_the_value_has_the_form_of_the_specification(world, keys, value):
    """Members, protected header and recipients' headers are those of schemas/envelope.md section 5.1."""
    members = json.loads(value)
    assert list(members) == ["protected", "recipients", "aad", "iv", "ciphertext", "tag"]
    assert unb64(members["protected"]) == b'{"enc":"A256GCM","typ":"comity+jwe","cty":"comity-content+json"}'
    header = members["recipients"][0]["header"]
    assert ["alg", "kid", "epk" if world.suite == "S0" else "ek"] == list(header)
    assert keys[0].kid == header["kid"]


def test_no_two_values_are_alike(world, keys):
    """Key, IV and encapsulation are fresh for each value."""
    first, second = (
        parse_value(encrypt(PLAINTEXT, aad=AAD, recipients=[public(keys[0])], chance=world.chance)) for _ in range(2)
    )
    assert first.iv != second.iv
    assert first.ciphertext != second.ciphertext
    assert first.recipients[0].encapsulation != second.recipients[0].encapsulation


def _header(members):
    return members["recipients"][0]["header"]


def _protect(**changes):
    header = {"enc": "A256GCM", "typ": "comity+jwe", "cty": "comity-content+json", **changes}
    return b64(json.dumps({name: value for name, value in header.items() if value is not None}).encode())


EDITS = {
    "zip": lambda m: m.update(protected=_protect(zip="DEF")),
    "crit": lambda m: m.update(protected=_protect(crit=["exp"])),
    "alg-protected": lambda m: m.update(protected=_protect(alg="dir")),
    "enc-other": lambda m: m.update(protected=_protect(enc="A128GCM")),
    "enc-missing": lambda m: m.update(protected=_protect(enc=None)),
    "typ-other": lambda m: m.update(protected=_protect(typ="comity+jws")),
    "cty-other": lambda m: m.update(protected=_protect(cty="JWT")),
    "cty-missing": lambda m: m.update(protected=_protect(cty=None)),
    "protected-no-json": lambda m: m.update(protected="AAAA"),
    "protected-no-base64": lambda m: m.update(protected=m["protected"] + "="),
    "protected-number": lambda m: m.update(protected=5),
    "unprotected": lambda m: m.update(unprotected={"zip": "DEF"}),
    "foreign-member": lambda m: m.update(more=1),
    "no-aad": lambda m: m.pop("aad"),
    "aad-padded": lambda m: m.update(aad=m["aad"] + "="),
    "no-protected": lambda m: m.pop("protected"),
    "no-tag": lambda m: m.pop("tag"),
    "no-recipients": lambda m: m.update(recipients=[]),
    "recipients-object": lambda m: m.update(recipients={}),
    "17-recipients": lambda m: m.update(recipients=m["recipients"][:1] * 17),
    "recipient-text": lambda m: m.update(recipients=["xb-pgo"]),
    "recipient-foreign": lambda m: m["recipients"][0].update(more=1),
    "recipient-no-key": lambda m: m["recipients"][0].pop("encrypted_key"),
    "header-text": lambda m: m["recipients"][0].update(header="alg"),
    "header-missing": lambda m: m["recipients"][0].pop("header"),
    "header-foreign": lambda m: _header(m).update(enc="A256GCM"),
    "header-jwk": lambda m: _header(m).update(jwk={}),
    "alg-none": lambda m: _header(m).update(alg="none"),
    "alg-dir": lambda m: _header(m).update(alg="dir"),
    "alg-rsa": lambda m: _header(m).update(alg="RSA1_5"),
    "alg-integrated": lambda m: _header(m).update(alg="HPKE-10"),
    "alg-pure": lambda m: _header(m).update(alg="HPKE-11-KE"),
    "alg-list": lambda m: _header(m).update(alg=["HPKE-10-KE"]),
    "alg-missing": lambda m: _header(m).pop("alg"),
    "kid-missing": lambda m: _header(m).pop("kid"),
    "kid-no-thumbprint": lambda m: _header(m).update(kid="1"),
    "key-short": lambda m: m["recipients"][0].update(encrypted_key="AAAA"),
    "key-no-base64": lambda m: m["recipients"][0].update(encrypted_key="+" * 64),
    "iv-16": lambda m: m.update(iv=b64(bytes(16))),
    "iv-8": lambda m: m.update(iv=b64(bytes(8))),
    "tag-12": lambda m: m.update(tag=b64(unb64(m["tag"])[:12])),
    "tag-17": lambda m: m.update(tag=b64(unb64(m["tag"]) + b"\x00")),
    "ciphertext-padded": lambda m: m.update(ciphertext=m["ciphertext"] + "="),
    "ciphertext-null": lambda m: m.update(ciphertext=None),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_what_is_not_the_profile_is_refused(value, edit):
    """A foreign or missing member, a foreign algorithm, another length or spelling: refused before any key is used."""
    members = json.loads(value)
    edit(members)
    with pytest.raises(Refused) as caught:
        parse_value(json.dumps(members).encode())
    assert caught.value.code == "jwe-malformed"


@pytest.mark.parametrize("change", [{"ek": "AAAA"}, {"ek": 5}, {"epk": {"kty": "OKP", "crv": "X25519", "x": "AAAA"}}])
def test_an_encapsulation_of_another_form_is_refused(s1, change):
    """HPKE has ``ek`` of its KEM's length, and no ``epk``."""
    members = json.loads(encrypt(PLAINTEXT, aad=AAD, recipients=[public(s1.xb.inbox)], chance=s1.chance))
    _header(members).update(change)
    with pytest.raises(Refused) as caught:
        parse_value(json.dumps(members).encode())
    assert caught.value.code == "jwe-malformed"


@pytest.mark.parametrize(
    "change",
    [
        {"epk": {"kty": "EC", "crv": "X25519", "x": b64(bytes(32))}},
        {"epk": {"kty": "OKP", "crv": "X448", "x": b64(bytes(32))}},
        {"epk": {"kty": "OKP", "crv": "X25519", "x": b64(bytes(31))}},
        {"epk": {"kty": "OKP", "crv": "X25519", "x": b64(bytes(32)), "d": b64(bytes(32))}},
        {"epk": "x"},
        {"apu": "AAAA"},
        {"ek": b64(bytes(32))},
    ],
)
def test_an_ephemeral_key_of_another_form_is_refused(worlds, change):
    """ECDH-ES has an ``epk`` on X25519, without ``apu`` and ``apv``."""
    world = worlds["S0"]
    members = json.loads(encrypt(PLAINTEXT, aad=AAD, recipients=[public(world.xb.inbox)], chance=world.chance))
    _header(members).update(change)
    with pytest.raises(Refused) as caught:
        parse_value(json.dumps(members).encode())
    assert caught.value.code == "jwe-malformed"


@pytest.mark.parametrize(
    "data",
    [b"", b"null", b"[]", b"{}", b"\xef\xbb\xbf{}", b"{" * 10_000, b"a.b.c.d.e", bytes(1024 * 1024 + 1)],
    ids=["empty", "null", "list", "nothing", "bom", "deep", "compact", "too-large"],
)
def test_bytes_that_are_no_value_are_refused(data):
    """Any other bytes are refused with the same code."""
    with pytest.raises(Refused) as caught:
        parse_value(data)
    assert caught.value.code == "jwe-malformed"


def test_a_value_over_its_limit_is_not_parsed(value):
    """1 MiB is read, one byte more is not, even of white space."""
    assert parse_value(value.ljust(1024 * 1024)) == parse_value(value)
    with pytest.raises(Refused) as caught:
        parse_value(value.ljust(1024 * 1024 + 1))
    assert caught.value.code == "jwe-malformed"


def test_a_member_that_comes_twice_is_refused(value):
    """Two readers must not see two ciphertexts in one value."""
    with pytest.raises(Refused) as caught:
        parse_value(value[:-1] + b',"tag":"AAAAAAAAAAAAAAAAAAAAAA"}')
    assert caught.value.code == "jwe-malformed"


@pytest.mark.parametrize("member", ["aad", "iv", "ciphertext", "tag"])
def test_every_part_is_under_the_cipher(keys, value, member):
    """A changed byte in any part of the content encryption does not decrypt."""
    members = json.loads(value)
    data = unb64(members[member])
    members[member] = b64(bytes([data[0] ^ 1]) + data[1:])
    jwe = parse_value(json.dumps(members).encode())
    with pytest.raises(Refused) as caught:
        decrypt(jwe, jwe.recipients[0], keys[0])
    assert caught.value.code == "cannot-decrypt"


def test_a_library_of_others_opens_suite_s0(worlds):
    """joserfc, which shares no code with ours, opens what suite S0 seals: RFC 7516, 7518 and 8037 and nothing of ours."""
    world = worlds["S0"]
    value = encrypt(PLAINTEXT, aad=AAD, recipients=[public(world.xb.inbox)], chance=world.chance)
    jwk = {"kty": "OKP", "crv": "X25519", "x": b64(world.xb.inbox.public), "d": b64(world.xb.inbox.seed)}
    opened = oracle.decrypt_json(json.loads(value), OKPKey.import_key(jwk), algorithms=["ECDH-ES+A256KW", "A256GCM"])
    assert opened.plaintext == PLAINTEXT


def test_suite_s0_opens_what_a_library_of_others_seals(worlds):
    """A value by joserfc opens, so that a State with any RFC library can send."""
    world = worlds["S0"]
    header = {"enc": "A256GCM", "typ": "comity+jwe", "cty": "comity-content+json"}
    message = oracle.GeneralJSONEncryption(header, PLAINTEXT, aad=AAD)
    key = OKPKey.import_key({"kty": "OKP", "crv": "X25519", "x": b64(world.xb.inbox.public)})
    message.add_recipient({"alg": "ECDH-ES+A256KW", "kid": world.xb.inbox.kid}, key)
    value = json.dumps(oracle.encrypt_json(message, None, algorithms=["ECDH-ES+A256KW", "A256GCM"])).encode()
    jwe = parse_value(value)
    assert decrypt(jwe, jwe.recipients[0], world.xb.inbox) == PLAINTEXT
