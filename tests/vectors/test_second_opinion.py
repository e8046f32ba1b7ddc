"""What others make of our valid vectors: jwcrypto and joserfc for JOSE, a range proof written anew from receipts.md."""

from __future__ import annotations

import hashlib
import json

import pytest
from cryptography import x509
from joserfc import jwe
from joserfc.jwk import OKPKey
from jwcrypto import jwk  # type: ignore[import-untyped]  # an oracle without stubs
from jwcrypto import jws as oracle

from hub.envelope.encoding import b64, unb64
from hub.envelope.receipts import read_bundle
from hub.envelope.signers import raw_public
from hub.envelope.suites import public_jwk
from hub.errors import VerificationFailed
from hub.evidence.merkle import Tree, leaf_hash


def authority_keys(own):
    """The JWK of each signing key of list 5, by kid, from its certificate."""
    keys = {}
    for authority in own.view.at(5).authorities.values():
        for key in authority.signing:
            certificate = x509.load_der_x509_certificate(key.certificate)
            keys[key.id] = public_jwk(*raw_public(certificate.public_key()))
    return keys


def hub_keys(own):
    """The JWK of each key of the hub, by kid."""
    return {key.id: public_jwk(key.algorithm, key.public) for role in own.view.at(5).hub_keys.values() for key in role}


def verified(text, keys):
    """The payload and the algorithms of a JWS, each signature verified by jwcrypto alone."""
    members = json.loads(text)
    algorithms = []
    for signature in members["signatures"]:
        header = json.loads(unb64(signature["protected"]))
        token = oracle.JWS()
        token.allowed_algs = [header["alg"]]
        token.deserialize(json.dumps({"payload": members["payload"], **signature}))
        token.verify(jwk.JWK(**keys[header["kid"]]))
        algorithms.append(header["alg"])
    return unb64(members["payload"]), algorithms


def test_jwcrypto_verifies_every_valid_manifest(own_vectors):
    """A library that shares no code with ours verifies all signatures of all suites, the post-quantum ones too."""
    keys, seen = authority_keys(own_vectors), set()
    for case in own_vectors.cases("envelope").values():
        if case["expect"] == "valid":
            payload, algorithms = verified(dict(case["record"]["headers"])["comity-jws"]["text"], keys)
            assert algorithms == json.loads(payload)["sgs"]
            seen.update(algorithms)
    assert seen == {"Ed25519", "ML-DSA-65", "ES384", "ML-DSA-87"}


def test_jwcrypto_verifies_statements_of_trust(own_vectors):
    """The lists of the world verify by the anchor's keys, the freshness statement by the hub's."""
    keys = {key["kid"]: key for signer in own_vectors.world["anchor"]["signers"] for key in signer}
    for text in own_vectors.world["lists"].values():
        assert verified(text, keys)[1] == ["Ed25519", "ML-DSA-65"] * 2
    assert verified(own_vectors.world["freshness"], hub_keys(own_vectors))[1] == ["Ed25519", "ML-DSA-65"]


def test_joserfc_opens_the_value_of_suite_s0(own_vectors):
    """The seed in world.json and any RFC library open it: RFC 7516, 7518 and 8037 and nothing of ours."""
    case = own_vectors.cases("opening")["valid-s0"]
    value = json.loads(own_vectors.bytes_of(case["record"]["value"]))
    kid = value["recipients"][0]["header"]["kid"]
    key = next(each for each in own_vectors.keys("xb-pgo") if each.kid == kid)
    private = {"kty": "OKP", "crv": "X25519", "kid": kid, "d": b64(key.seed), "x": b64(key.public)}
    value["recipients"] = value["recipients"][:1]
    opened = jwe.decrypt_json(value, OKPKey.import_key(private), algorithms=["ECDH-ES+A256KW", "A256GCM"])
    content = (opened.plaintext or b"").rstrip(b"\x00").removesuffix(b"\x80")
    assert json.loads(content)["event"] == case["result"]["document"]


class Walk:
    """Section 4.2 of receipts.md, word for word, and nothing of ``hub.evidence``."""

    def __init__(self, texts, start, path):
        self.leaves = [hashlib.sha256(b"\x00" + text.encode()).digest() for text in texts]
        self.start, self.end = start, start + len(texts)
        self.path = list(path)

    def root(self, low, high):
        """The root over leaves ``low`` to ``high``."""
        if high <= self.start or self.end <= low:
            return self.path.pop(0)
        if high - low == 1:
            return self.leaves[low - self.start]
        k = 1
        while k * 2 < high - low:
            k *= 2
        return hashlib.sha256(b"\x01" + self.root(low, low + k) + self.root(low + k, high)).digest()


def walk(value):
    """Whether the claims of a bundle lead to the root that its head names."""
    bundle = json.loads(value)
    head = json.loads(unb64(json.loads(bundle["head"])["payload"]))
    way = Walk(bundle["claims"], bundle["start"], [unb64(each) for each in bundle["path"]])
    if way.end > head["size"]:
        return False
    try:
        root = way.root(0, head["size"])
    except IndexError:
        return False
    return b64(root) == head["root"] and not way.path


def test_the_documents_range_proof_takes_every_valid_bundle(own_vectors):
    """An implementation of the document alone leads each valid bundle to its root, and jwcrypto verifies the head."""
    valid = [
        case for case in own_vectors.cases("receipts").values() if (case["kind"], case["expect"]) == ("bundle", "valid")
    ]
    assert len(valid) == 4
    for case in valid:
        assert walk(case["data"])
        assert verified(json.loads(case["data"])["head"], hub_keys(own_vectors))[1] == ["Ed25519", "ML-DSA-65"]


def test_the_documents_range_proof_and_ours_agree_on_every_range():
    """For every range of every tree up to 17 leaves, both give one root; with a hash less or more, neither does."""
    count = 0
    for size in range(1, 18):
        texts = [f"claim {number}" for number in range(size)]
        tree = Tree([leaf_hash(text.encode()) for text in texts])
        for start in range(size):
            for end in range(start + 1, size + 1):
                way = Walk(texts[start:end], start, tree.range_proof(start, end))
                assert (way.root(0, size), way.path) == (tree.root, [])
                count += 1
    assert count == 969


def test_what_the_walk_refuses_ours_refuses(own_vectors):
    """Bundles that were changed on their way are refused by the document's walk and by our reader."""
    names = (
        "claim",
        "space",
        "cut",
        "first",
        "added",
        "order",
        "start",
        "start-far",
        "path-short",
        "path-long",
        "path-bit",
    )
    cases = own_vectors.cases("receipts")
    for name in names:
        case = cases[f"bundle-{name}"]
        assert not walk(case["data"]), name
        with pytest.raises(VerificationFailed) as caught:
            read_bundle(
                case["data"].encode(), inbox=case["inbox"], trust=own_vectors.view.at(5), heads=own_vectors.heads
            )
        assert caught.value.code == case["expect"]
