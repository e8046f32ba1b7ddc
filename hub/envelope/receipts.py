"""What the hub says, signed once per transaction: bundles of claims under one tree head, and single receipts.

The claims of a transaction, ordered by inbox, are the leaves of an RFC 6962 tree; a hub role signs its head. One record
for each inbox carries that inbox's claims, the hashes that lead from their range to the root, and the head::

    bundle   {"v": "comity-bundle/1", "head": JWS text, "start": first leaf, "path": [b64, ...], "claims": [text, ...]}
    receipt  {"v": "comity-receipt/1", "head": JWS text, "index": leaf, "path": [b64, ...], "claim": text}
    head     {"v": "comity-head/1", "writer", "n", "prev", "root", "size", "iat"}    the JWS payload

Nothing stands twice: the writer is in the signed head; inbox, number, previous bundle and number of claims in the
first claim, of kind ``chain``. A writer's role decides the key and which claims it may make. A hub's statement that
does not verify is ``VerificationFailed(bundle-invalid)``: an alarm, never a message's refusal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hub.core.access import INBOX_RECORD_BYTES_MAX
from hub.core.authority import HubRole, TrustList
from hub.core.ids import Digest, digest, sha256
from hub.core.receipts import (
    ChainClaim,
    Claim,
    ClockIgnoredClaim,
    FlagClaim,
    GapClaim,
    ReceiptClaim,
    RoutedClaim,
)
from hub.core.times import format_time, parse_time
from hub.envelope import jws as signed
from hub.envelope.claims import decode_claim, encode_claim
from hub.envelope.encoding import b64, unb64
from hub.envelope.strict_json import JsonObject, JsonValue, closed, dump, integer, items, optional, parse, text
from hub.envelope.trust import verify_hub
from hub.errors import Refused, VerificationFailed
from hub.evidence.merkle import (
    Range,
    Tree,
    leaf_hash,
    root_from_range,
    verify_inclusion,
)

__all__ = [
    "Bundle",
    "Bundles",
    "Cutter",
    "Head",
    "HeadCache",
    "WriterState",
    "cut_receipt",
    "decode_claim",
    "encode_claim",
    "make_bundles",
    "read_bundle",
    "read_receipt",
]

HEAD_BYTES_MAX: Final = 16 * 1024  # a hybrid signature and 300 bytes of payload take 5 KB
PATH_HASHES_MAX: Final = 128  # a range in a tree of 2^53 leaves needs at most two hashes a level
CLAIMS_MAX: Final = INBOX_RECORD_BYTES_MAX // 64  # a claim takes more than 64 bytes
HEADS_CACHED_MAX: Final = 1024

_HEAD: Final = "comity-head/1"
_BUNDLE: Final = "comity-bundle/1"
_RECEIPT: Final = "comity-receipt/1"
_WRITER: Final = re.compile(r"(router-shard|watch)-(0|[1-9][0-9]{0,5})\Z")
_ROLES: Final[Mapping[str, HubRole]] = {"router-shard": HubRole.ROUTER, "watch": HubRole.WATCH}
_MAY_CLAIM: Final[Mapping[HubRole, frozenset[type[Claim]]]] = {
    HubRole.ROUTER: frozenset({ReceiptClaim, RoutedClaim, GapClaim}),
    HubRole.WATCH: frozenset({FlagClaim, ClockIgnoredClaim}),
}


@dataclass(frozen=True, slots=True)
class WriterState:
    """Where a chain of heads or bundles stands: its last number (0: none yet) and the hash of that one's bytes."""

    n: int
    prev: Digest | None


@dataclass(frozen=True, slots=True)
class Bundles:
    """The records (values by inbox topic) of one transaction, and the states after it, when it is committed."""

    records: Mapping[str, bytes]
    head_state: WriterState
    inbox_states: Mapping[str, WriterState]


@dataclass(frozen=True, slots=True)
class Head:
    """A signed tree head, checked. ``digest`` is of the exact JWS bytes; ``prev`` of those of the writer's last one."""

    writer: str
    role: HubRole
    n: int
    prev: Digest | None
    root: bytes
    size: int
    issued_ms: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle, checked: ``claims`` without the chain claim; ``digest`` of the record's value; ``head`` of its head."""

    writer: str
    head: Digest
    chain: ChainClaim
    claims: tuple[Claim, ...]
    digest: Digest


def make_bundles(
    claims: Mapping[str, Sequence[Claim]],
    *,
    writer: str,
    head_state: WriterState,
    inbox_states: Mapping[str, WriterState],
    sign: Callable[[bytes], bytes],
    time_ms: int,
) -> Bundles:
    """One bundle for each inbox topic of ``claims``, under one head; ``sign`` makes the JWS of a head's payload.

    ``inbox_states`` has a state for each inbox. No claims at all: no records, and nothing is signed.
    """
    if not claims:
        return Bundles({}, head_state, {})
    texts: dict[str, list[str]] = {}
    for inbox in sorted(claims):
        state = inbox_states[inbox]
        chain = ChainClaim(inbox, state.n + 1, state.prev, len(claims[inbox]))
        texts[inbox] = [encode_claim(chain), *map(encode_claim, claims[inbox])]
    tree = Tree([leaf_hash(each.encode()) for lines in texts.values() for each in lines])
    head = sign(
        dump(
            {
                "v": _HEAD,
                "writer": writer,
                "n": head_state.n + 1,
                "prev": head_state.prev,
                "root": b64(tree.root),
                "size": tree.size,
                "iat": format_time(time_ms),
            }
        )
    )
    records: dict[str, bytes] = {}
    start = 0
    for inbox, lines in texts.items():
        path = tree.range_proof(start, start + len(lines))
        records[inbox] = _bundle_bytes(head, start, path, lines)
        start += len(lines)
    return Bundles(
        records=records,
        head_state=WriterState(head_state.n + 1, sha256(head)),
        inbox_states={inbox: WriterState(inbox_states[inbox].n + 1, sha256(records[inbox])) for inbox in records},
    )


def _bundle_bytes(head: bytes, start: int, path: Sequence[bytes], lines: Sequence[str]) -> bytes:
    return dump(
        {
            "v": _BUNDLE,
            "head": head.decode(),
            "start": start,
            "path": [b64(each) for each in path],
            "claims": list(lines),
        }
    )


class HeadCache:
    """Heads that were checked before, by their hash and the trust list: a signature is verified once."""

    def __init__(self) -> None:
        self._heads: dict[tuple[Digest, int], Head] = {}

    def verified(self, data: bytes, trust: TrustList) -> Head:
        """The head of the exact JWS bytes ``data``, signed by its writer's role. Raises ``Refused``."""
        key = sha256(data), trust.number
        head = self._heads.get(key)
        if head is None:
            head = _checked_head(data, key[0], trust)
            if len(self._heads) >= HEADS_CACHED_MAX:
                self._heads.pop(next(iter(self._heads)))
            self._heads[key] = head
        return head


def _checked_head(data: bytes, head_digest: Digest, trust: TrustList) -> Head:
    jws = _head_jws(data)
    members = _head_members(jws)
    writer = text(members, "writer")
    named = _WRITER.match(writer)
    if members["v"] != _HEAD or named is None:
        raise _invalid("the head is of another version or writer")
    role = _ROLES[named.group(1)]
    writers = trust.shards if role is HubRole.ROUTER else trust.ledger_partitions
    if int(named.group(2)) >= writers:
        raise _invalid("the deployment has no such writer")
    verify_hub(jws, role, trust)
    return Head(
        writer=writer,
        role=role,
        n=integer(members, "n", low=1),
        prev=optional(members, "prev", digest),
        root=_hash(members["root"]),
        size=integer(members, "size", low=1),
        issued_ms=parse_time(members["iat"]),
        digest=head_digest,
    )


def _head_jws(data: bytes) -> signed.Jws:
    return signed.parse(data, typ=signed.TYP_HEAD, bytes_max=HEAD_BYTES_MAX)


def _head_members(jws: signed.Jws) -> JsonObject:
    return closed(parse(jws.payload), required=("v", "writer", "n", "prev", "root", "size", "iat"))


def read_bundle(value: bytes, *, inbox: str, trust: TrustList, heads: HeadCache) -> Bundle:
    """A bundle of topic ``inbox``, if its writer's role signed it under ``trust``.

    ``chain`` says whether it is the next one of its writer: whoever keeps the numbers compares. Raises ``VerificationFailed(bundle-invalid)``, whatever the bytes.
    """
    try:
        head_bytes, start, path, lines = _bundle_parts(value)
        head = heads.verified(head_bytes, trust)
        leaves = [leaf_hash(line.encode()) for line in lines]
        if root_from_range(leaves, start, head.size, path) != head.root:
            raise _invalid("its claims do not lead to the signed root")
        chain, *claims = map(decode_claim, lines)
        if not isinstance(chain, ChainClaim) or (chain.inbox, chain.count) != (inbox, len(claims)):
            raise _invalid("it is another inbox's, or was cut")
        _check_may_claim(head, claims)
    except (Refused, VerificationFailed) as error:
        raise VerificationFailed("bundle-invalid", "A bundle of the hub does not verify.") from error
    return Bundle(head.writer, head.digest, chain, tuple(claims), sha256(value))


def cut_receipt(bundle_value: bytes, index: int) -> bytes:
    """One receipt of ``Cutter``."""
    return Cutter(bundle_value).receipt(index)


class Cutter:
    """Cuts single receipts out of a bundle: each stands alone, for a court or an archive.

    The bundle was checked when it came: here only its form is. Raises ``VerificationFailed(bundle-invalid)``.
    """

    def __init__(self, bundle_value: bytes) -> None:
        try:
            head, self._start, path, self._lines = _bundle_parts(bundle_value)
            size = integer(_head_members(_head_jws(head)), "size", low=1)
            if self._start + len(self._lines) > size:
                raise _invalid("its claims are beyond the tree")
            self._head = head.decode()
            self._range = Range([leaf_hash(line.encode()) for line in self._lines], self._start, size, path)
        except (Refused, ValueError) as error:  # ValueError: a path of another length than the range's
            raise VerificationFailed("bundle-invalid", "A bundle of the hub does not verify.") from error

    def receipt(self, index: int) -> bytes:
        """Claim ``index`` of the bundle's ``claims`` with its own path. Raises ``ValueError`` when it is not there."""
        if not 0 <= index < len(self._lines) - 1:
            raise ValueError(f"no claim {index} in a bundle of {len(self._lines) - 1}")
        leaf = self._start + 1 + index
        return dump(
            {
                "v": _RECEIPT,
                "head": self._head,
                "index": leaf,
                "path": [b64(each) for each in self._range.inclusion_proof(leaf)],
                "claim": self._lines[1 + index],
            }
        )


def read_receipt(data: bytes, *, trust: TrustList, heads: HeadCache) -> Claim:
    """The claim of a receipt that stands alone. Raises ``VerificationFailed(receipt-invalid)``, whatever the bytes."""
    try:
        if len(data) > INBOX_RECORD_BYTES_MAX:
            raise _invalid("it is too large")
        members = closed(parse(data), required=("v", "head", "index", "path", "claim"))
        if members["v"] != _RECEIPT:
            raise _invalid("it is of another version")
        head = heads.verified(text(members, "head").encode(), trust)
        line = text(members, "claim")
        leaf = leaf_hash(line.encode())
        verify_inclusion(leaf, integer(members, "index", low=0), head.size, _path(members), head.root)
        claim = decode_claim(line)
        _check_may_claim(head, [claim])
    except (Refused, VerificationFailed) as error:
        raise VerificationFailed("receipt-invalid", "A receipt of the hub does not verify.") from error
    return claim


def _bundle_parts(value: bytes) -> tuple[bytes, int, list[bytes], list[str]]:
    if len(value) > INBOX_RECORD_BYTES_MAX:
        raise _invalid("it is too large")
    members = closed(parse(value), required=("v", "head", "start", "path", "claims"))
    if members["v"] != _BUNDLE:
        raise _invalid("it is of another version")
    lines = [_line(each) for each in items(members, "claims", low=1, high=CLAIMS_MAX)]
    return text(members, "head").encode(), integer(members, "start", low=0), _path(members), lines


def _line(value: JsonValue) -> str:
    if not isinstance(value, str):
        raise _invalid("a claim is no text")
    return value


def _path(members: JsonObject) -> list[bytes]:
    return [_hash(each) for each in items(members, "path", high=PATH_HASHES_MAX)]


def _hash(value: JsonValue) -> bytes:
    return unb64(digest(value))


def _check_may_claim(head: Head, claims: Sequence[Claim]) -> None:
    if any(type(claim) not in _MAY_CLAIM[head.role] for claim in claims):
        raise _invalid("its writer's role may not claim this")


def _invalid(reason: str) -> Refused:
    return Refused("bundle-invalid", f"This is no statement of the hub: {reason}.")
