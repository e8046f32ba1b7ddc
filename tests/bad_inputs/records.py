"""The kinds of poison for whoever sends them: each is made for the place in the chain where its sender stands just then."""

from __future__ import annotations

from hub.core.authority import TrustList
from hub.core.ids import AuthorityId
from hub.testing import FakeAuthority
from tests.bad_inputs.batch_cases import batch_cases
from tests.bad_inputs.cases import Case, Outcome, Poison
from tests.bad_inputs.smith import Smith
from tests.bad_inputs.table import router_cases

CASTS = frozenset({"any", "others"})  # what two authorities of suite S1 with their ordinary keys can do


def record_kinds() -> list[Case]:
    """Every kind that a client library can write into an outbox, and the broker stores. None stops the outbox."""
    return [case for case in router_cases() if case.cast in CASTS and case.expected.outcome is not Outcome.BROKER]


def batch_kinds(*, stopping: bool = False) -> list[Case]:
    """The kinds that are raw batches which the broker stores; with ``stopping`` those only that stop their outbox."""
    stored = (case for case in batch_cases() if case.expected.outcome is not Outcome.BROKER)
    return [case for case in stored if (case.expected.outcome is Outcome.SET_ASIDE) is stopping]


def poison(
    kind: Case,
    sender: FakeAuthority,
    recipient: AuthorityId,
    *,
    neighbour: FakeAuthority,
    trust: TrustList,
    now_ms: int,
) -> Poison:
    """A poison of a kind for ``sender``'s outbox: key, value and headers, or ``batch`` (``tests.bad_inputs.batches.write``).

    Send it before ``sender`` writes anything else, ``before`` in front of it. ``sender.letter`` goes on behind it: a
    poison that takes a number (``kind.expected.counted``) is counted as sent. ``neighbour`` is another authority of
    the list, whose ids and keys some kinds misuse; nothing is sent in its name and its chain stays as it is.
    """
    smith = Smith(sender, recipient, trust=trust, now_ms=now_ms, others={"neighbour": neighbour})
    return kind.forge(smith)
