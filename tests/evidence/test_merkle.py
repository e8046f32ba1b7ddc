from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.errors import VerificationFailed
from hub.evidence import merkle

LEAVES = [merkle.leaf_hash(bytes([number])) for number in range(40)]


def _cases(folder: Path) -> list[dict]:
    found = [json.loads(path.read_bytes()) for path in sorted(folder.rglob("*.json"))]
    assert len(found) == 98
    return found


def _outcome(verify, *arguments) -> bool:
    try:
        verify(*arguments)
    except VerificationFailed:
        return False
    return True


def test_inclusion_proofs_of_others_are_judged_as_they_say(vectors: Path) -> None:
    """All 98 inclusion cases of transparency-dev/merkle have their outcome."""
    for case in _cases(vectors / "merkle" / "testdata" / "inclusion"):
        proof = [b64decode(each) for each in case["proof"] or []]
        arguments = (b64decode(case["leafHash"] or ""), case["leafIdx"], case["treeSize"])
        verified = _outcome(merkle.verify_inclusion, *arguments, proof, b64decode(case["root"] or ""))
        assert verified != case["wantErr"], case["desc"]


def test_consistency_proofs_of_others_are_judged_as_they_say(vectors: Path) -> None:
    """All 98 consistency cases of transparency-dev/merkle have their outcome, an old size of 0 being refused."""
    for case in _cases(vectors / "merkle" / "testdata" / "consistency"):
        proof = [b64decode(each) for each in case["proof"] or []]
        roots = b64decode(case["root1"] or ""), b64decode(case["root2"] or "")
        verified = _outcome(merkle.verify_consistency, case["size1"], case["size2"], proof, *roots)
        assert verified != case["wantErr"], case["desc"]


def test_the_reference_tree_has_its_nodes_and_roots(vectors: Path) -> None:
    """Leaf hashes, all 9 roots and every subtree equal those of the RFC 6962 reference tree."""
    reference = json.loads((vectors / "merkle" / "reference-tree.transcribed.json").read_bytes())
    leaves = [merkle.leaf_hash(bytes.fromhex(each)) for each in reference["leaf_inputs"]]
    assert [merkle.root(leaves[:size]).hex() for size in range(9)] == reference["roots"]
    tree = merkle.Tree(leaves)
    for level, nodes in enumerate(reference["node_hashes"]):
        span = 1 << level
        assert [tree.subtree(i * span, (i + 1) * span).hex() for i in range(len(nodes))] == nodes


def test_the_roots_of_a_foreign_log_are_computed(vectors: Path) -> None:
    """The 16 checkpoints of the Tessera test log, sizes 0 to 15, have the roots of its entries."""
    entries = json.loads((vectors / "tessera" / "log.transcribed.json").read_bytes())["entries"]
    leaves = [merkle.leaf_hash(entry.encode()) for entry in entries]
    for size in range(16):
        lines = (vectors / "tessera" / "testdata" / "log" / f"checkpoint.{size}").read_text().splitlines()
        assert (int(lines[1]), b64decode(lines[2])) == (size, merkle.root(leaves[:size]))


def test_every_leaf_of_every_size_proves_its_place() -> None:
    """Each inclusion proof verifies at its own index and at no other."""
    for size in range(1, 20):
        root = merkle.root(LEAVES[:size])
        for index in range(size):
            proof = merkle.inclusion_proof(LEAVES[:size], index)
            merkle.verify_inclusion(LEAVES[index], index, size, proof, root)
            assert (
                not _outcome(merkle.verify_inclusion, LEAVES[index], (index + 1) % size, size, proof, root) or size == 1
            )


def test_every_range_leads_to_the_root_and_gives_single_paths() -> None:
    """Each range of each size gives the root, and each of its leaves the same path as the whole tree."""
    for size in range(1, 14):
        tree = merkle.Tree(LEAVES[:size])
        for start in range(size):
            for end in range(start + 1, size + 1):
                proof = tree.range_proof(start, end)
                assert merkle.root_from_range(LEAVES[start:end], start, size, proof) == tree.root
                cut = merkle.Range(LEAVES[start:end], start, size, proof)
                for index in range(start, end):
                    assert cut.inclusion_proof(index) == tree.inclusion_proof(index)


@given(st.data())
@settings(max_examples=100)
def test_a_changed_range_does_not_lead_to_the_root(data: st.DataObject) -> None:
    """Another leaf, start, size or proof hash gives another root or is refused."""
    size = data.draw(st.integers(2, 40))
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(start + 1, size))
    tree = merkle.Tree(LEAVES[:size])
    leaves, proof = LEAVES[start:end], tree.range_proof(start, end)
    change = data.draw(st.sampled_from(["leaf", "proof", "longer", "shorter", "start"]))
    if change == "leaf":
        leaves = [*leaves[:-1], bytes(32)]
    elif change == "proof":
        proof = [bytes(32), *proof[1:]] if proof else [bytes(32)]
    elif change == "longer":
        proof = [*proof, bytes(32)]
    elif change == "shorter":
        leaves = leaves[:-1]
    else:
        start += 1
    try:
        computed = merkle.root_from_range(leaves, start, size, proof)
    except VerificationFailed:
        return
    assert computed != tree.root


@pytest.mark.parametrize(
    ("leaves", "start", "size", "proof", "reason"),
    [
        ([], 0, 1, [bytes(32)], "beyond the tree"),
        (LEAVES[:2], -1, 2, [], "beyond the tree"),
        (LEAVES[:2], 1, 2, [bytes(32)], "beyond the tree"),
        (LEAVES[:1], 0, 2, [], "too short"),
        (LEAVES[:1], 0, 2, [b"short"], "32 bytes"),
        (LEAVES[:1], 0, 2, [bytes(32), bytes(32)], "too long"),
    ],
)
def test_a_range_that_does_not_fit_is_refused(leaves, start, size, *, proof, reason) -> None:
    """An empty range, one beyond the tree, a missing hash, a hash of another length, one hash too many."""
    with pytest.raises(VerificationFailed, match=reason) as caught:
        merkle.root_from_range(leaves, start, size, proof)
    assert caught.value.code == "proof-invalid"


@pytest.mark.parametrize(
    ("index", "size", "proof", "reason"),
    [
        (-1, 2, [bytes(32)], "beyond the tree"),
        (2, 2, [bytes(32)], "beyond the tree"),
        (0, 2, [], "too short"),
        (0, 1, [bytes(32)], "too long"),
    ],
)
def test_an_inclusion_proof_that_does_not_fit_is_refused(index, size, proof, reason) -> None:
    """An index beyond the tree, a path that is too short or too long."""
    with pytest.raises(VerificationFailed, match=reason):
        merkle.verify_inclusion(LEAVES[0], index, size, proof, merkle.root(LEAVES[:size]))


def test_there_is_no_proof_of_what_is_not_there() -> None:
    """Asking for a leaf or a range beyond the tree is a mistake of ours."""
    with pytest.raises(ValueError, match="no leaf 2"):
        merkle.inclusion_proof(LEAVES[:2], 2)
    with pytest.raises(ValueError, match="no range 1 to 3"):
        merkle.range_proof(LEAVES[:2], 1, 3)
    with pytest.raises(ValueError, match="no leaf 2"):
        merkle.Range(LEAVES[:2], 0, 2, []).inclusion_proof(2)
    with pytest.raises(ValueError, match="shorter"):
        merkle.Range(LEAVES[:2], 0, 3, [])


def test_a_consistency_proof_of_nothing_is_refused() -> None:
    """Between different sizes an empty proof shows nothing."""
    with pytest.raises(VerificationFailed, match="too short"):
        merkle.verify_consistency(3, 5, [], merkle.root(LEAVES[:3]), merkle.root(LEAVES[:5]))
