"""What is decided about records of our inbox. Pure.

The laws of this file: (1) a message is delivered only as the next of its pair; (2) a gap or fork parks what comes after;
(3) a gap notice moves the chain by the refused manifest itself, never by the hub's word alone; (4) bundles of a writer
are counted, so that a missing one is seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hub.core.ids import Digest, MessageId
from hub.core.pairs import Chain, Misplaced, place
from hub.core.receipts import ChainClaim


class Stand(StrEnum):
    """Where an authentic manifest stands in its pair."""

    NEXT = "next"
    SEEN = "seen"  # the very same again
    AHEAD = "sequence-gap"  # something before it is missing
    FORK = "fork"  # its number was taken by another manifest, or it continues another history


@dataclass(frozen=True, slots=True)
class PairHead:
    """The last manifest of a sender that moved the chain; ``blocked`` names a fork."""

    sequence: int = 0
    head: Digest | None = None
    blocked: str | None = None


def stand(
    pair: PairHead, *, message: MessageId, sequence: int, previous: Digest | None, jws: Digest, seen: bool
) -> Stand:
    """Where a manifest stands; ``seen`` tells whether these very bytes have moved the chain before."""
    if seen:
        return Stand.SEEN
    chain = Chain(sequence=pair.sequence, head=pair.head)
    placement = place(chain, message=message, sequence=sequence, previous=previous, jws=jws)
    if not isinstance(placement, Misplaced):
        return Stand.FORK if pair.blocked else Stand.NEXT
    return Stand.AHEAD if placement.code == "sequence-gap" else Stand.FORK


class BundleStand(StrEnum):
    """Where a bundle stands among its writer's."""

    NEXT = "next"
    REPEAT = "repeat"
    MISSING = "bundle-missing"  # some before it did not come: what it says counts, and an alarm goes out
    LATE = "bundle-late"  # it was missing so far: what it says counts
    FORK = "bundle-fork"  # the writer signed two histories: this one is kept as evidence and not believed


def bundle_stand(
    chain: ChainClaim, digest: Digest, *, last: tuple[int, Digest] | None, same_number: Digest | None
) -> BundleStand:
    """Where a bundle stands. ``last``: newest number and digest of this writer; ``same_number``: digest stored under ``n``."""
    if same_number is not None:
        return BundleStand.REPEAT if same_number == digest else BundleStand.FORK
    expected = 1 if last is None else last[0] + 1
    if chain.n != expected:
        return BundleStand.LATE if chain.n < expected else BundleStand.MISSING
    previous = None if last is None else last[1]
    return BundleStand.NEXT if chain.prev == previous else BundleStand.FORK
