"""What is decided about messages of ours, from what the hub said of each copy. Pure.

The laws of this file: (1) the bytes that were sealed are sent again until the hub's receipt is in; (2) a message is
sealed again only with the same id, and only when every copy has an uncounted refusal other than ``already-used``
(protocol 1.3); (3) the hub's numbers only grow, so the highest that it named is where the pair stands; (4) a pair in
which a number was refused waits until all its copies are judged, then goes on in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from hub.core.ids import Digest
from hub.core.limits import PAIR_WINDOW

IN_FLIGHT_MAX: Final = PAIR_WINDOW // 2  # a copy sent again must still be in the hub's window, to be known as a repeat
SEALS_MAX: Final = 4  # a message whose own bytes are refused so often will not pass
MOVED_SEALS_MAX: Final = 40  # a message refused for its place: as often as its neighbours fail
RESEND_MS_MIN: Final = 5_000
RESEND_MS_MAX: Final = 300_000

PLACE_CODES: Final = frozenset({"sequence-gap", "previous-mismatch"})
"""The message itself is good, its place in the chain is not."""

DAMAGE_CODES: Final = frozenset(
    {
        "key-revoked",
        "key-unknown",
        "suite-not-allowed",
        "algorithms-mismatch",
        "certificate-invalid",
        "signature-invalid",
        "length-mismatch",
        "digest-mismatch",
    }
)
"""Sealing again may help: with other keys, a newer trust list, undamaged bytes. After any other code it cannot."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One published copy of the sealed bytes, and the hub's word on it once ``settled`` (``code`` None: accepted)."""

    offset: int
    settled: bool
    code: str | None = None
    counted: bool = False


class Verdict(StrEnum):
    """What becomes of a sealed message."""

    WAIT = "wait"
    ACCEPTED = "accepted"
    SEAL_AGAIN = "seal-again"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict; ``code`` of the refusal, ``counted`` when it used up the number."""

    verdict: Verdict
    code: str | None = None
    counted: bool = False


def judge(copies: Sequence[Copy], *, seals: int, last_attempt_known: bool) -> Judgement:
    """What the hub's receipts for all copies of one sealing mean together.

    ``last_attempt_known``: whether the offset of the last attempt is known. The hub answers an outbox in order, so an
    attempt of unknown outcome that lies before a settled copy was answered, or was never stored.
    """
    settled = [copy for copy in copies if copy.settled]
    if any(copy.code is None for copy in settled):
        return Judgement(Verdict.ACCEPTED)
    for copy in settled:
        if copy.counted:
            return Judgement(Verdict.FAILED, copy.code, counted=True)
    if not settled or len(settled) < len(copies) or not last_attempt_known:
        return Judgement(Verdict.WAIT)
    codes = [copy.code for copy in settled]
    final = [code for code in codes if code not in PLACE_CODES | DAMAGE_CODES]
    if final:
        return Judgement(Verdict.FAILED, final[-1])
    limit = SEALS_MAX if any(code in DAMAGE_CODES for code in codes) else MOVED_SEALS_MAX
    return Judgement(Verdict.SEAL_AGAIN if seals < limit else Verdict.FAILED, codes[-1])


@dataclass(frozen=True, slots=True)
class PairState:
    """Where our chain to a recipient stands: as sealed, and as far as the hub has said."""

    sequence: int = 0
    head: Digest | None = None
    confirmed_sequence: int = 0
    confirmed_head: Digest | None = None
    stalled: bool = False

    @property
    def next(self) -> tuple[int, Digest | None]:
        """The ``seq`` and ``prev`` of the next message to seal."""
        return self.sequence + 1, self.head


def sealed(pair: PairState, digest: Digest) -> PairState:
    """The pair after one more message was sealed."""
    return replace(pair, sequence=pair.sequence + 1, head=digest)


def confirmed(pair: PairState, sequence: int, head: Digest | None) -> PairState:
    """The pair after the hub named ``sequence`` as used up; an older number changes nothing."""
    if sequence < pair.confirmed_sequence:
        return pair
    return replace(pair, confirmed_sequence=sequence, confirmed_head=head)


def stalled(pair: PairState) -> PairState:
    """The pair after an uncounted refusal: nothing more is sealed until all copies in flight are judged."""
    return replace(pair, stalled=True)


def restarted(pair: PairState) -> PairState:
    """The pair after all was judged: it goes on from the highest number that the hub named."""
    return replace(pair, sequence=pair.confirmed_sequence, head=pair.confirmed_head, stalled=False)


def room(pair: PairState, *, lowest_in_flight: int | None) -> int:
    """How many more messages of the pair may be sealed now."""
    if pair.stalled:
        return 0
    return IN_FLIGHT_MAX - (0 if lowest_in_flight is None else pair.sequence + 1 - lowest_in_flight)


def seal_now(free: int, waiting: int) -> int:
    """How many of ``waiting`` messages to seal when there is room for ``free``.

    A backlog goes in halves of the window: sealing each one as soon as its place is free would make a transaction, here
    and at the hub, of each.
    """
    return 0 if waiting > free < IN_FLIGHT_MAX // 2 else min(waiting, free)


def resend_after_ms(attempts: int) -> int:
    """How long the hub's receipt is awaited after the ``attempts``-th publishing."""
    return min(RESEND_MS_MIN * 2 ** (attempts - 1), RESEND_MS_MAX) if attempts else 0
