"""Public test vectors of others. Each test asserts how many cases it ran, and says where the profile differs and why."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from dataclasses import replace

import pytest
from cryptography.cobblestone import Cobblestone256Decryptor
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from connectors.seal.jwe import PROTECTED, Jwe, decrypt, decrypt_content, parse_value
from connectors.seal.key_wrap import derive_key
from connectors.seal.keys import generate_decryption_key, load_public
from hub.core.authority import KeyUse
from hub.envelope.encoding import b64, unb64
from hub.errors import Refused

X_WING_KEM, ML_KEM_1024_P384_KEM = 0x647A, 0x0051


def _load(path):
    return json.loads(path.read_bytes())


def _refusal(value):
    with pytest.raises(Refused) as caught:
        parse_value(value)
    return caught.value.code


def _general(flattened):
    """A flattened JWE in the profile's General form: its header goes to the recipient, but for what the profile protects.

    The header that the cipher covers stays the original one: the caller puts it back as additional data.
    """
    header = json.loads(unb64(flattened["protected"]))
    return json.dumps(
        {
            "protected": b64(json.dumps({**PROTECTED, "enc": header.get("enc", "A256GCM")}).encode()),
            "recipients": [
                {
                    "header": {name: value for name, value in header.items() if name != "enc"},
                    "encrypted_key": flattened.get("encrypted_key", ""),
                }
            ],
            "aad": flattened["aad"],
            "iv": flattened.get("iv", ""),
            "ciphertext": flattened["ciphertext"],
            "tag": flattened.get("tag", ""),
        }
    ).encode()


# --- JOSE HPKE ----------------------------------------------------------------------------------

OURS = ["HPKE-10-KE", "HPKE-12-KE"]


@pytest.mark.parametrize("algorithm", OURS)
def test_hpke_key_encryption_of_others_opens(vectors, algorithm):
    """draft-ietf-jose-hpke-pq-pqt: the seed makes the public key and kid, and the JWE opens to RFC 7520's text."""
    folder = vectors / "jose-hpke-pq-pqt" / "examples"
    jwk = _load(folder / "jwks" / f"{algorithm}.json")
    flattened = _load(folder / "jwe" / f"{algorithm}-flattened.json")
    key = generate_decryption_key(algorithm, KeyUse.INBOX, seed=unb64(jwk["priv"]))
    assert (jwk["pub"], jwk["kid"]) == (b64(key.public), key.kid)
    jwe = parse_value(_general(flattened))
    additional = f"{flattened['protected']}.{flattened['aad']}".encode()
    plaintext = decrypt(replace(jwe, additional=additional), jwe.recipients[0], key)
    cookbook = _load(vectors / "jose-cookbook" / "jwe" / "5_13.encrypting_to_multiple_recipients.json")
    assert cookbook["input"]["plaintext"] == plaintext.decode()
    assert jwe.aad == b"The Fellowship of the Ring"
    with pytest.raises(Refused, match="does not decrypt"):  # the header that was moved is under the cipher
        decrypt(jwe, jwe.recipients[0], key)


def test_every_other_algorithm_of_the_pq_draft_is_refused(vectors):
    """38 of 40: P-256 hybrids, ChaCha20, ML-KEM alone, integrated encryption are in no suite; the forms are refused too."""
    folder = vectors / "jose-hpke-pq-pqt" / "examples" / "jwe"
    flattened = sorted(folder.glob("*-flattened.json"))
    compact = sorted(folder.glob("*-compact.txt"))
    assert (len(flattened), len(compact)) == (20, 20)
    # As they are: the profile takes General JSON only, of ours too.
    assert [_refusal(each.read_bytes()) for each in flattened + compact] == ["jwe-malformed"] * 40
    # In General form: by their algorithm.
    others = [each for each in flattened if each.name.removesuffix("-flattened.json") not in OURS]
    assert len(others) == 18
    assert [_refusal(_general(_load(each))) for each in others] == ["jwe-malformed"] * 18


def test_every_algorithm_of_the_hpke_draft_is_refused(vectors):
    """draft-ietf-jose-hpke-encrypt: classical HPKE, 16 algorithms in two forms, is in no suite."""
    cases = _load(vectors / "jose-hpke-encrypt" / "examples" / "jose-vectors.json")
    forms = [json.dumps(case["flattened"]).encode() for case in cases]
    forms += [case["compact"].encode() for case in cases]
    assert [_refusal(form) for form in forms] == ["jwe-malformed"] * 32
    assert [_refusal(_general(case["flattened"])) for case in cases] == ["jwe-malformed"] * 16


def _x_wing_secret(seed, ciphertext):
    """X-Wing's decapsulation by the library's public parts (draft-connolly-cfrg-xwing-kem section 5.4)."""
    expanded = hashlib.shake_256(seed).digest(96)
    lattice = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
    curve = X25519PrivateKey.from_private_bytes(expanded[64:])
    point = ciphertext[1088:]
    parts = (
        lattice.decapsulate(ciphertext[:1088]),
        curve.exchange(X25519PublicKey.from_public_bytes(point)),
        point,
        curve.public_key().public_bytes_raw(),
        b"\\.//^\\",
    )
    return hashlib.sha3_256(b"".join(parts)).digest()


def test_x_wing_agrees_with_its_authors(vectors):
    """Seed to public key by our own function, ciphertext to secret by the library's parts: 3 of 3."""
    cases = _load(vectors / "xwing-kem" / "spec" / "test-vectors.json")
    for case in cases:
        seed, ciphertext = bytes.fromhex(case["seed"]), bytes.fromhex(case["ct"])
        assert case["pk"] == generate_decryption_key("HPKE-10-KE", KeyUse.INBOX, seed=seed).public.hex()
        assert case["ss"] == _x_wing_secret(seed, ciphertext).hex()
    assert len(cases) == 3


def test_hpke_s_hybrid_keys_agree(vectors):
    """hpke-pq: both hybrids' key pairs by our own function, X-Wing's secrets at KEM level.

    Not run: ``encryptions`` (all with additional data, which the library's public API does not take) and ``exports``.
    """
    cases = _load(vectors / "hpke-pq" / "test-vectors.json")
    assert len(cases) == 13
    kems = {X_WING_KEM: "HPKE-10-KE", ML_KEM_1024_P384_KEM: "HPKE-12-KE"}
    hybrids = [case for case in cases if case["kem_id"] in kems]
    for case in hybrids:
        seed = bytes.fromhex(case["skRm"])
        key = generate_decryption_key(kems[case["kem_id"]], KeyUse.INBOX, seed=seed)
        assert case["pkRm"] == key.public.hex()
        if case["kem_id"] == X_WING_KEM:
            assert case["shared_secret"] == _x_wing_secret(seed, bytes.fromhex(case["enc"])).hex()
    assert [case["kem_id"] for case in hybrids] == [X_WING_KEM, ML_KEM_1024_P384_KEM, X_WING_KEM]


# --- primitives ---------------------------------------------------------------------------------


def _wycheproof(vectors, name):
    suite = _load(vectors / "wycheproof" / "testvectors_v1" / f"{name}_test.json")
    return [(group, case) for group in suite["testGroups"] for case in group["tests"]]


def test_ml_kem_768_agrees_with_wycheproof(vectors):
    """Seed and ciphertext give the secret, in 153 cases; 40 bad ones are refused or give another. 193 in all."""
    cases = _wycheproof(vectors, "mlkem_768")
    agreed = [_ml_kem_answer(case) == (case["result"] == "valid") for _, case in cases]
    assert agreed == [True] * 193


def _ml_kem_answer(case):
    try:
        key = MLKEM768PrivateKey.from_seed_bytes(bytes.fromhex(case["seed"]))
        return bytes.fromhex(case["K"]) == key.decapsulate(bytes.fromhex(case["c"]))
    except (ValueError, KeyError):
        return False


def test_ml_kem_keys_out_of_range_are_refused(vectors):
    """CCTV: 780 X-Wing keys whose ML-KEM half has one coefficient out of range; none is sealed to."""
    lines = gzip.decompress((vectors / "cctv" / "ML-KEM" / "modulus" / "ML-KEM-768.txt.gz").read_bytes()).split()
    point = X25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    refused = 0
    for line in lines:
        with pytest.raises(Refused):
            load_public("HPKE-10-KE", bytes.fromhex(line.decode()) + point)
        refused += 1
    assert refused == 780


def test_x25519_agrees_with_wycheproof(vectors):
    """518 cases: 487 secrets agree, on the twist and not canonical ones too; 31 points with a secret of zero are refused."""
    agreed = refused = 0
    for _, case in _wycheproof(vectors, "x25519"):
        private = X25519PrivateKey.from_private_bytes(bytes.fromhex(case["private"]))
        public = X25519PublicKey.from_public_bytes(bytes.fromhex(case["public"]))
        if case["shared"] == "00" * 32:
            with pytest.raises(ValueError, match="shared key"):
                derive_key(private, public)
            refused += 1
        else:
            assert case["shared"] == private.exchange(public).hex()
            agreed += 1
    assert (agreed, refused) == (487, 31)


def test_aes_256_gcm_agrees_with_wycheproof(vectors):
    """The 66 cases of A256GCM's sizes through our own function. The other 250 have keys, IVs or tags of no suite."""
    cases = [
        case
        for group, case in _wycheproof(vectors, "aes_gcm")
        if (group["keySize"], group["ivSize"], group["tagSize"]) == (256, 96, 128)
    ]
    for case in cases:
        fields = {name: bytes.fromhex(case[name]) for name in ("key", "iv", "aad", "msg", "ct", "tag")}
        jwe = Jwe((), b"", fields["aad"], fields["iv"], fields["ct"], fields["tag"])
        if case["result"] == "valid":
            assert fields["msg"] == decrypt_content(fields["key"], jwe)
        else:
            with pytest.raises(Refused, match="does not decrypt"):
                decrypt_content(fields["key"], jwe)
    assert len(cases) == 66


def test_cobblestone_256_agrees_with_wycheproof(vectors):
    """10 objects decrypt to their text, 25 do not; of those that fail late, the verified chunks came out and no more."""
    opened = refused = 0
    for group, case in _wycheproof(vectors, "c2sp_chunked_encryption_aes_256_gcm"):
        assert group["aead"] == "AEAD_AES_256_GCM"
        text, whole = _cobblestone(case)
        assert (case["result"] == "valid") == whole
        if "msgSha512" in case:
            assert (case["msgLength"], case["msgSha512"]) == (len(text), hashlib.sha512(text).hexdigest())
        else:
            assert text == b""
        opened += whole
        refused += not whole
    assert (opened, refused) == (10, 25)


def _cobblestone(case):
    """What came out, and whether it is the whole."""
    text, stored = bytearray(), _object(case)
    try:
        decryptor = Cobblestone256Decryptor(bytes.fromhex(case["key"]), bytes.fromhex(case["ctx"]))
        for start in range(0, len(stored), 1000):
            text += decryptor.update(stored[start : start + 1000])
        text += decryptor.finalize()
    except (InvalidTag, ValueError):  # ValueError: the keys of another length
        return bytes(text), False
    return bytes(text), True


def _object(case):
    return zlib.decompress(bytes.fromhex(case["ct"]))  # the file holds 4 MiB objects in a few KB


# --- JWE of no suite ----------------------------------------------------------------------------


def test_compact_jwe_of_wycheproof_are_refused(vectors):
    """139 compact JWE, 65 of them valid for their algorithms: none is of the profile's form."""
    cases = _wycheproof(vectors, "json_web_encryption")
    assert [_refusal(_text(case["jwe"])) for _, case in cases] == ["jwe-malformed"] * 139


def _text(jwe):
    return jwe.encode() if isinstance(jwe, str) else json.dumps(jwe).encode()


def test_jwe_of_the_cookbook_are_refused(vectors):
    """RFC 7520 section 5: 13 examples in 34 forms. Refused by form, by header placement, by zip, or by algorithm."""
    outputs = [_load(path)["output"] for path in sorted((vectors / "jose-cookbook" / "jwe").glob("*.json"))]
    forms = [
        output[form].encode() if form == "compact" else json.dumps(output[form]).encode()
        for output in outputs
        for form in ("compact", "json", "json_flat")
        if form in output
    ]
    assert len(outputs) == 13
    assert ["jwe-malformed"] * len(forms) == [_refusal(form) for form in forms]
    assert len(forms) == 34
