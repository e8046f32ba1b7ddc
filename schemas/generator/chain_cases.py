"""Cases of a pair's chain, without any cryptography: where a message stands after others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hub.core.ids import Digest, MessageId, sha256, uuid7
from hub.core.pairs import Chain, Link, advance
from hub.envelope.strict_json import JsonObject
from schemas.generator.cases import VALID, Case
from schemas.generator.envelope_cases import chain_json
from schemas.generator.world import LIST, NOW_MS


@dataclass(frozen=True)
class _Message:
    """What a chain looks at."""

    id: MessageId
    seq: int
    prev: Digest | None
    jws: Digest


def _message(number: int, *, text: str = "", seq: int | None = None, prev: Digest | None = None) -> _Message:
    """The ``number``-th message of the pair; ``text`` makes another one of it."""
    before = _message(number - 1).jws if number > 1 else None
    jws = sha256(f"message {number} {text}".encode())
    return _Message(uuid7(NOW_MS, number.to_bytes(10, "big")), seq or number, prev or before, jws)


def _chain(length: int) -> Chain:
    chain = Chain()
    for number in range(1, length + 1):
        message = _message(number)
        chain = advance(chain, Link(number, message.id, message.jws, number - 1, NOW_MS, LIST, None))
    return chain


def _case(name: str, expect: str, comment: str, length: int, message: _Message, *, repeat: bool = False) -> Case:
    given: JsonObject = {"id": message.id, "seq": message.seq, "prev": message.prev, "jws": message.jws}
    result: JsonObject = {"repeat": repeat} if expect == VALID else {}
    return Case(name, expect, comment, {"chain": chain_json(_chain(length)), "message": given}, result)


def chain_cases() -> Iterator[Case]:
    """All of them."""
    yield _case("valid-first", VALID, "The first message.", 0, _message(1))
    yield _case("valid-next", VALID, "The next one.", 3, _message(4))
    yield _case("valid-repeat", VALID, "The last one again.", 3, _message(3), repeat=True)
    yield _case("valid-repeat-oldest", VALID, "The oldest of a window of 64 again.", 70, _message(7), repeat=True)
    used = "already-used"
    yield _case("used-outside-window", used, "A repeat beyond the window.", 70, _message(6))
    for number, text in ((1, "first"), (2, "middle"), (3, "last")):
        other = _Message(_message(99).id, number, _message(number).prev, sha256(text.encode()))
        yield _case(f"used-{text}", used, f"Another message under number {number} of 3.", 3, other)
    gap = "sequence-gap"
    for name, length, number in (("first", 0, 2), ("one", 3, 5), ("many", 3, 1000), ("largest", 3, 2**53 - 1)):
        ahead = _Message(_message(99).id, number, sha256(b"of a message that is not there"), sha256(b"ahead"))
        yield _case(f"gap-{name}", gap, f"{number} after {length}.", length, ahead)
    previous = "previous-mismatch"
    for name, prev in (("fork", sha256(b"fork")), ("older", _message(2).jws), ("own", _message(4).jws)):
        forked = _Message(_message(4).id, 4, prev, _message(4).jws)
        yield _case(f"previous-{name}", previous, "4 after 3, naming another message.", 3, forked)
    conflict = "id-conflict"
    for name, seq in (("next", 4), ("used", 3), ("ahead", 9)):
        again = _Message(_message(2).id, seq, _message(3).jws, sha256(b"another text"))
        yield _case(
            f"id-{name}", conflict, "An id of the window in another message: asked before the number.", 3, again
        )
