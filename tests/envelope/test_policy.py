"""Checks (h), at the log's time: what is authentic and next, and may not pass all the same. A failure counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.core.authority import KeyUse, Status
from hub.core.ids import AuthorityId
from hub.core.limits import CLOCK_SKEW_MS_MAX
from hub.core.refusals import REASONS
from hub.envelope.checking import check_policy
from hub.errors import Refused

XA, XB, XC = AuthorityId("xa-moj"), AuthorityId("xb-pgo"), AuthorityId("xc-acc")
HOUR_MS = 3600 * 1000


def _policy(world, manifest, *, time_ms=None, trust=None) -> str | None:
    try:
        check_policy(manifest, trust or world.trust, time_ms=world.record().time_ms if time_ms is None else time_ms)
    except Refused as refusal:
        return refusal.code
    return None


def test_the_window_is_the_logs(world) -> None:
    """From five minutes before ``iat`` to ``exp``, both included."""
    manifest = replace(world.manifest(), clocks=())
    for time_ms, code in (
        (manifest.issued_ms - CLOCK_SKEW_MS_MAX - 1, "not-yet-valid"),
        (manifest.issued_ms - CLOCK_SKEW_MS_MAX, None),
        (manifest.expires_ms, None),
        (manifest.expires_ms + 1, "expired"),
    ):
        assert _policy(world, manifest, time_ms=time_ms) == code


@pytest.mark.parametrize("status", [Status.SUSPENDED, Status.REVOKED])
def test_a_recipient_that_is_not_active_gets_nothing(world, status: Status) -> None:
    """Counted, since the message was authentic and next."""
    recipient = world.trust.authorities[XB]
    time_ms = world.record().time_ms
    revoked = replace(recipient, status=(*recipient.status, (status, time_ms)))
    trust = replace(world.trust, authorities={**world.trust.authorities, XB: revoked})
    assert _policy(world, world.manifest(), trust=trust) == "recipient-revoked"
    assert REASONS["recipient-revoked"].counted


def test_an_unknown_recipient_is_told(world) -> None:
    """Not counted: whoever knows the chain asks before."""
    assert _policy(world, world.manifest(recipient=AuthorityId("xz-new"))) == "recipient-unknown"


def test_a_due_time_lies_ahead(world) -> None:
    """After the log's time, not at it; operations without one pass."""
    manifest = world.manifest()
    due_ms = manifest.clocks[0].due_ms
    short = replace(manifest, expires_ms=due_ms + HOUR_MS)
    assert _policy(world, short, time_ms=due_ms - 1) is None
    assert _policy(world, short, time_ms=due_ms) == "clock-due-past"
    assert _policy(world, replace(short, clocks=(replace(manifest.clocks[0], due_ms=None),)), time_ms=due_ms) is None


def test_sealing_keys_are_those_of_the_list(world) -> None:
    """Unknown, another's, of the other use, of another suite, out of its dates, or a third authority's: refused."""
    manifest = world.manifest()
    inbox_b, archive_a = manifest.recipient_keys
    states = world.states
    for keys in (
        ((XB, "A" * 43), archive_a),
        ((XB, states[XA].key(KeyUse.INBOX)), archive_a),
        ((XB, states[XB].key(KeyUse.ARCHIVE)), archive_a),
        (inbox_b, (XA, states[XA].key(KeyUse.INBOX))),
        (inbox_b, (XC, states[XC].key(KeyUse.INBOX))),
    ):
        assert _policy(world, replace(manifest, recipient_keys=keys)) == "recipient-key-invalid"
    assert _policy(world, replace(manifest, suite="S2")) == "recipient-key-invalid"
    assert _policy(world, replace(manifest, sender=AuthorityId("xz-new"))) == "recipient-key-invalid"
    assert _policy(world, replace(manifest, recipient_keys=(inbox_b,))) is None


@pytest.mark.parametrize(("dates", "code"), [({"until_ms": -1}, "recipient-key-invalid"), ({"until_ms": 0}, None)])
def test_a_sealing_key_is_judged_at_issue(world, dates, code) -> None:
    """A key that ended between issue and log is good; one that had ended before is not."""
    manifest = world.manifest()
    recipient = world.trust.authorities[XB]
    ended = tuple(replace(key, until_ms=manifest.issued_ms + dates["until_ms"]) for key in recipient.encryption)
    trust = replace(world.trust, authorities={**world.trust.authorities, XB: replace(recipient, encryption=ended)})
    assert _policy(world, manifest, trust=trust) == code
