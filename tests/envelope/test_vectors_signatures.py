"""Published signatures, keys and JWS of others, run through our own suites and codec."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey, MLDSA87PublicKey

from hub.envelope import jws, suites
from hub.envelope.encoding import b64, unb64
from hub.envelope.signers import SoftwareSigner
from hub.errors import Refused

BYTES_MAX = 1024 * 1024


def wycheproof(vectors: Path, name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The groups and cases of a Wycheproof file; as many as it announces."""
    document = json.loads((vectors / "wycheproof" / "testvectors_v1" / f"{name}_test.json").read_text())
    cases = [(group, case) for group in document["testGroups"] for case in group["tests"]]
    assert document["numberOfTests"] == len(cases)
    yield from cases


def verifies(algorithm: str, public: bytes, case: dict[str, Any]) -> bool:
    """Whether our suite accepts a case's signature."""
    try:
        suites.verify(algorithm, public, bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"]))
    except Refused:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "algorithm", "key", "count"),
    [
        ("ed25519", "Ed25519", "pk", 151),
        ("ecdsa_secp384r1_sha384_p1363", "ES384", "uncompressed", 280),
    ],
)
def test_wycheproof_signatures(vectors: Path, name: str, algorithm: str, key: str, count: int) -> None:
    """Every valid signature verifies, every other is refused: no deviation."""
    results = [
        (verifies(algorithm, bytes.fromhex(group["publicKey"][key]), case), case["result"] == "valid", case["tcId"])
        for group, case in wycheproof(vectors, name)
    ]
    assert count == len(results)
    assert [number for ours, theirs, number in results if ours is not theirs] == []


def test_wycheproof_ml_dsa_65(vectors: Path) -> None:
    """Every signature in the empty context agrees; those in another context are refused, since JOSE has the empty one.

    Deviations: 3 and 4, the valid cases with a context. The primitive accepts them when it is told the context.
    """
    results = [
        (verifies("ML-DSA-65", bytes.fromhex(group["publicKey"]), case), case["result"] == "valid", group, case)
        for group, case in wycheproof(vectors, "mldsa_65_verify")
    ]
    assert len(results) == 210
    differing = [(group, case) for ours, theirs, group, case in results if ours is not theirs]
    assert [case["tcId"] for _, case in differing] == [3, 4]
    for group, case in differing:
        assert case["ctx"]
        key = MLDSA65PublicKey.from_public_bytes(bytes.fromhex(group["publicKey"]))
        parts = (bytes.fromhex(case[name]) for name in ("sig", "msg", "ctx"))
        key.verify(*parts)


def test_nist_ml_dsa_87() -> None:
    """NIST's answers for ML-DSA-87 all have a context: the primitive accepts them with it, JOSE's empty one refuses."""
    text = files("cryptography_vectors").joinpath("asymmetric/MLDSA/kat_MLDSA_87_det_pure.rsp").read_text()
    cases = [dict(line.split(" = ") for line in part.splitlines() if " = " in line) for part in text.split("count")[1:]]
    assert len(cases) == 100
    for case in cases:
        public, message, signed, context = (bytes.fromhex(case[name]) for name in ("pk", "msg", "sm", "ctx"))
        signature = signed[:4627]
        MLDSA87PublicKey.from_public_bytes(public).verify(signature, message, context)
        with pytest.raises(Refused, match="signature-invalid"):
            suites.verify("ML-DSA-87", public, signature, message)


def test_cctv_ed25519(vectors: Path) -> None:
    """A signature is accepted exactly when its R is canonical and no low-order residue is left over (RFC 8032, strict).

    A change here means that two verifiers may disagree about a manifest. Keys of low order are accepted: they can
    enter only by the secretariat's own list.
    """
    cases = json.loads((vectors / "cctv" / "ed25519" / "ed25519vectors.json").read_text())
    accepted = 0
    for case in cases:
        flags = set(case["flags"] or [])
        hexed = {"sig": case["sig"], "msg": case["msg"].encode().hex()}
        ours = verifies("Ed25519", bytes.fromhex(case["key"]), hexed)
        assert ours is flags.isdisjoint({"non_canonical_R", "low_order_residue"}), case["number"]
        accepted += ours
    assert (len(cases), accepted) == (914, 208)


def example(vectors: Path, name: str) -> dict[str, Any]:
    """An example of RFC 9964."""
    path = vectors / "jose-mldsa" / "examples" / "jose" / "examples" / f"{name}.jose.json"
    return dict(json.loads(path.read_text()))


def test_jose_ml_dsa_65(vectors: Path) -> None:
    """The key of RFC 9964's example has its thumbprint as kid, comes from its seed, and verifies the JWS."""
    case = example(vectors, "ML_DSA_65")
    with pytest.raises(Refused, match="field-unknown"):
        suites.public_from_jwk(case["jwk"])  # it has priv too: a private key is no public one
    public = suites.public_from_jwk({name: value for name, value in case["jwk"].items() if name != "priv"})
    assert public == SoftwareSigner(MLDSA65PrivateKey.from_seed_bytes(bytes.fromhex(case["priv"]))).public
    signing_input, _, signature = case["jws"].rpartition(".")
    suites.verify("ML-DSA-65", public.public, unb64(signature), signing_input.encode())
    assert (unb64(signature), signing_input.encode()) == (
        bytes.fromhex(case["raw_signature"]),
        bytes.fromhex(case["raw_to_be_signed"]),
    )


def test_jose_ml_dsa_44(vectors: Path) -> None:
    """The other example is refused: no suite has ML-DSA-44."""
    with pytest.raises(Refused, match="algorithm-unknown"):
        suites.public_from_jwk(example(vectors, "ML_DSA_44")["jwk"])


def general(compact: str) -> bytes:
    """A compact JWS in the form that we read."""
    protected, payload, signature = [*compact.split("."), "", ""][:3]
    return json.dumps({"payload": payload, "signatures": [{"protected": protected, "signature": signature}]}).encode()


def test_wycheproof_json_web_signature(vectors: Path) -> None:
    """All 401 are refused as they are and in General JSON, the 46 valid ones too: no kid, typ and iat of ours.

    Deviations: the 46, which are compact and of HS, RS, PS and ES256, none of them in a suite.
    """
    valid = 0
    for _, case in (cases := list(wycheproof(vectors, "json_web_signature"))):
        valid += case["result"] == "valid"
        for data in (case["jws"].encode(), general(case["jws"])):
            with pytest.raises(Refused, match="jws-malformed"):
                jws.parse(data, typ=jws.TYP_MANIFEST, bytes_max=BYTES_MAX)
    assert (len(cases), valid) == (401, 46)


def test_jose_cookbook(vectors: Path) -> None:
    """Every JWS of RFC 7520, RFC 7797 and RFC 8037 is refused in all its forms: closed headers, attached payload.

    Deviations: all of them. They are correct JWS, with other algorithms or without kid, typ and iat of ours; among them
    are unprotected headers (4_6, 4_7), detached content (4_5) and b64 false (RFC 7797).
    """
    folder = vectors / "jose-cookbook"
    paths = [*folder.glob("jws/*.json"), *folder.glob("rfc7797/*.json"), folder / "curve25519" / "jws.json"]
    forms = 0
    for path in paths:
        for form in json.loads(path.read_text())["output"].values():
            for data in [json.dumps(form).encode()] + ([form.encode(), general(form)] if isinstance(form, str) else []):
                forms += 1
                with pytest.raises(Refused, match="jws-malformed"):
                    jws.parse(data, typ=jws.TYP_MANIFEST, bytes_max=BYTES_MAX)
    assert (len(paths), forms) == (11, 42)


def test_jose_cookbook_ed25519(vectors: Path) -> None:
    """The signature of RFC 8037 verifies under its key: the older name EdDSA is the same algorithm."""
    case = json.loads((vectors / "jose-cookbook" / "curve25519" / "jws.json").read_text())
    signing = case["signing"]
    key = unb64(case["input"]["key"]["x"])
    suites.verify("Ed25519", key, unb64(signing["sig"]), signing["sig-input"].encode())
    assert signing["sig-input"].split(".")[1] == b64(case["input"]["payload"].encode())


def test_context_is_what_differs(vectors: Path) -> None:
    """A case with a context fails in the primitive too when the context is left out."""
    group, case = next(each for each in wycheproof(vectors, "mldsa_65_verify") if each[1].get("ctx"))
    with pytest.raises(InvalidSignature):
        MLDSA65PublicKey.from_public_bytes(bytes.fromhex(group["publicKey"])).verify(
            bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"])
        )
