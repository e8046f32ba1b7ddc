"""The Merkle tree of RFC 6962 section 2.1 and RFC 9162 section 2.1: roots, inclusion, consistency, and whole ranges.

Hashes are the 32 raw bytes of SHA-256. A proof is a list of hashes; a check raises ``VerificationFailed``. The proof of
a range is ours: what an inbox's bundle carries, so that all its claims lead to one signed root.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from hub.errors import VerificationFailed

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf: SHA-256(0x00, data), so that no node passes as a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256(0x01, left, right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree with all its nodes, so that many proofs cost one hashing: ``levels[k][i]`` is over leaves i·2^k and on."""

    def __init__(self, leaf_hashes: Sequence[bytes]) -> None:
        level = list(leaf_hashes)
        self._levels = [level]
        # Pairing from the left, a last odd node moving up unchanged, makes the same tree as RFC 9162's splits.
        while len(level) > 1:
            paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
            level = paired + level[len(paired) * 2 :]
            self._levels.append(level)

    @property
    def size(self) -> int:
        """The number of leaves."""
        return len(self._levels[0])

    @property
    def root(self) -> bytes:
        """The root over all leaves; over none SHA-256 of nothing."""
        return self._levels[-1][0] if self.size else EMPTY_ROOT

    def subtree(self, low: int, high: int) -> bytes:
        """The root over leaves ``low`` to ``high`` (exclusive), which must be a subtree of this tree."""
        level = (high - low - 1).bit_length()
        return self._levels[level][low >> level]

    def inclusion_proof(self, index: int) -> list[bytes]:
        """The path of leaf ``index``, from the leaf's sibling up (RFC 9162 section 2.1.3.1)."""
        if not 0 <= index < self.size:
            raise ValueError(f"no leaf {index} in a tree of {self.size}")
        return [self.subtree(*span) for span in reversed(_siblings(index, self.size))]

    def range_proof(self, start: int, end: int) -> list[bytes]:
        """The roots of the largest subtrees outside of leaves ``start`` to ``end`` (exclusive), from left to right."""
        if not 0 <= start < end <= self.size:
            raise ValueError(f"no range {start} to {end} in a tree of {self.size}")
        return [self.subtree(low, high) for low, high in _outside(0, self.size, start, end)]


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root over all leaves; over none SHA-256 of nothing."""
    return Tree(leaf_hashes).root


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """As ``Tree.inclusion_proof``."""
    return Tree(leaf_hashes).inclusion_proof(index)


def range_proof(leaf_hashes: Sequence[bytes], start: int, end: int) -> list[bytes]:
    """As ``Tree.range_proof``."""
    return Tree(leaf_hashes).range_proof(start, end)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root_hash: bytes) -> None:
    """Check that the leaf of hash ``leaf`` is number ``index`` of ``size`` (RFC 9162 section 2.1.3.2).

    Raises ``VerificationFailed(proof-invalid)``.
    """
    if not 0 <= index < size:
        raise _failed("the index is beyond the tree")
    computed = next(_whole([leaf]))
    for side in _climb(index, size - 1, proof):
        computed = node_hash(side.hash, computed) if side.left else node_hash(computed, side.hash)
    _check_equal(computed, root_hash)


def verify_consistency(old_size: int, new_size: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Check that the tree of ``new_size`` continues the one of ``old_size`` leaves (RFC 9162 section 2.1.4.2).

    An empty old tree proves nothing and is refused: a caller to whom nothing is enough does not ask.
    Raises ``VerificationFailed(proof-invalid)``.
    """
    if not 0 < old_size <= new_size:
        raise _failed("the sizes do not rise")
    if old_size == new_size:
        if proof:
            raise _failed("the proof is too long")
        _check_equal(old_root, new_root)
        return
    # A power of two is a whole subtree: its root starts the proof (step 2 of the RFC).
    nodes = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    if not nodes:
        raise _failed("the proof is too short")
    # Up to the largest subtree that ends with the old tree: where the trailing ones of the last index end.
    level = (old_size & -old_size).bit_length() - 1
    old = new = nodes[0]
    for side in _climb((old_size - 1) >> level, (new_size - 1) >> level, nodes[1:]):
        if side.left:
            old, new = node_hash(side.hash, old), node_hash(side.hash, new)
        else:
            new = node_hash(new, side.hash)
    _check_equal(old, old_root)
    _check_equal(new, new_root)


def root_from_range(leaf_hashes: Sequence[bytes], start: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root of a tree of ``size`` leaves from the leaves from ``start`` on and their range proof.

    Raises ``VerificationFailed(proof-invalid)`` when range, size and number of hashes do not fit. Whoever calls
    compares the root.
    """
    if not 0 <= start < start + len(leaf_hashes) <= size:
        raise _failed("the range is beyond the tree")
    hashes = _whole(proof)
    computed = _rooted(0, size, start, leaf_hashes, hashes)
    if next(hashes, None) is not None:
        raise _failed("the proof is too long")
    return computed


class Range:
    """A range whose root was compared: single paths are cut out of it, all of them at the cost of one hashing.

    Raises ``ValueError`` for a proof of another length than the range's.
    """

    def __init__(self, leaf_hashes: Sequence[bytes], start: int, size: int, proof: Sequence[bytes]) -> None:
        self._start = start
        self._end = start + len(leaf_hashes)
        self._size = size
        self._nodes = {(start + index, start + index + 1): each for index, each in enumerate(leaf_hashes)}
        self._nodes.update(zip(_outside(0, size, start, self._end), proof, strict=True))

    def inclusion_proof(self, index: int) -> list[bytes]:
        """The path of leaf ``index`` of the whole tree, as ``Tree.inclusion_proof``."""
        if not self._start <= index < self._end <= self._size:
            raise ValueError(f"no leaf {index} in this range")
        return [self._node(low, high) for low, high in reversed(_siblings(index, self._size))]

    def _node(self, low: int, high: int) -> bytes:
        known = self._nodes.get((low, high))
        if known is None:
            middle = low + _split(high - low)
            known = self._nodes[low, high] = node_hash(self._node(low, middle), self._node(middle, high))
        return known


class _Side:
    """One step up: the sibling's hash, and whether it stands on the left."""

    __slots__ = ("hash", "left")

    def __init__(self, digest: bytes, *, left: bool) -> None:
        self.hash = digest
        self.left = left


def _climb(node: int, last: int, proof: Sequence[bytes]) -> Iterator[_Side]:
    """The steps from ``node`` to the root of a tree whose last node, on the same level, is ``last``."""
    for sibling in _whole(proof):
        if last == 0:
            raise _failed("the proof is too long")
        left = bool(node & 1) or node == last
        yield _Side(sibling, left=left)
        if left:
            # A last odd node has no sibling on these levels: it moves up unchanged.
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        node, last = node >> 1, last >> 1
    if last != 0:
        raise _failed("the proof is too short")


def _whole(proof: Sequence[bytes]) -> Iterator[bytes]:
    if any(len(each) != HASH_BYTES for each in proof):
        raise _failed("a hash has not 32 bytes")
    return iter(proof)


def _siblings(index: int, size: int) -> list[tuple[int, int]]:
    """The spans beside the way from the root down to leaf ``index``."""
    spans: list[tuple[int, int]] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            spans.append((middle, high))
            high = middle
        else:
            spans.append((low, middle))
            low = middle
    return spans


def _outside(low: int, high: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    if end <= low or high <= start:
        yield low, high
    elif not (start <= low and high <= end):
        middle = low + _split(high - low)
        yield from _outside(low, middle, start, end)
        yield from _outside(middle, high, start, end)


def _rooted(low: int, high: int, start: int, leaf_hashes: Sequence[bytes], hashes: Iterator[bytes]) -> bytes:
    """The root over leaves ``low`` to ``high``, from the range where it reaches and from ``hashes`` elsewhere."""
    end = start + len(leaf_hashes)
    if end <= low or high <= start:
        outside = next(hashes, None)
        if outside is None:
            raise _failed("the proof is too short")
        return outside
    if start <= low and high <= end:
        return root(leaf_hashes[low - start : high - start])
    middle = low + _split(high - low)
    left = _rooted(low, middle, start, leaf_hashes, hashes)
    return node_hash(left, _rooted(middle, high, start, leaf_hashes, hashes))


def _split(count: int) -> int:
    """The largest power of two below ``count`` (RFC 9162 section 2.1.1)."""
    return 1 << ((count - 1).bit_length() - 1)


def _check_equal(computed: bytes, expected: bytes) -> None:
    if computed != expected:
        raise _failed("the roots differ")


def _failed(reason: str) -> VerificationFailed:
    return VerificationFailed("proof-invalid", f"A Merkle proof does not verify: {reason}.")
