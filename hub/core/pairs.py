"""The chain of a pair: one number after the other, each naming the hash of the one before (envelope 4.1, checks 9 and 10).

The law of this file: what is authentic and next in its chain moves the chain, whether accepted or refused by policy;
nothing else does. Router and recipient use the same functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from hub.core.ids import AuthorityId, Digest, MessageId
from hub.core.limits import PAIR_WINDOW


class Pair(NamedTuple):
    """Sender and recipient, in this order."""

    sender: AuthorityId
    recipient: AuthorityId

    def __str__(self) -> str:
        return f"{self.sender}>{self.recipient}"


@dataclass(frozen=True, slots=True)
class Link:
    """A message that took its place in the chain, and what was said of it: enough to give the same receipt again."""

    sequence: int
    message: MessageId
    jws: Digest
    outbox_offset: int
    time_ms: int
    trust_list: int
    code: str | None  # None: accepted; else the counted refusal


@dataclass(frozen=True, slots=True)
class Chain:
    """Where a pair stands: the last number, the hash of the last manifest, the last links from the oldest on."""

    sequence: int = 0
    head: Digest | None = None
    window: Mapping[MessageId, Link] = field(default_factory=dict)  # an id has at most one place in it

    @property
    def expected(self) -> tuple[int, Digest | None]:
        """The sequence number and previous hash that the next message must carry."""
        return self.sequence + 1, self.head


@dataclass(frozen=True, slots=True)
class Next:
    """The message continues the chain."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """The message is the one of ``link`` again: the same receipt, no second delivery."""

    link: Link


@dataclass(frozen=True, slots=True)
class Misplaced:
    """The message has no place in the chain; ``code`` says why, and it does not count."""

    code: str


Placement = Next | Repeat | Misplaced


def place(chain: Chain, *, message: MessageId, sequence: int, previous: Digest | None, jws: Digest) -> Placement:
    """Where a message stands in the chain: next, a repeat, or misplaced with a reason code."""
    link = chain.window.get(message)
    if link is not None:
        return Repeat(link) if link.jws == jws else Misplaced("id-conflict")
    if sequence <= chain.sequence:
        return Misplaced("already-used")
    if sequence > chain.sequence + 1:
        return Misplaced("sequence-gap")
    if previous != chain.head:
        return Misplaced("previous-mismatch")
    return Next()


def advance(chain: Chain, link: Link) -> Chain:
    """The chain after ``link``, which must be next."""
    if link.sequence != chain.sequence + 1:
        raise ValueError(f"link {link.sequence} does not follow {chain.sequence}")
    window = {**chain.window, link.message: link}
    if len(window) > PAIR_WINDOW:
        del window[next(iter(window))]
    return Chain(link.sequence, link.jws, window)
