"""Authorities and trust lists as values: what is in force when, and when nothing may be judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.core.authority import (
    Authority,
    EncryptionKey,
    Freshness,
    KeyUse,
    SigningKey,
    Status,
    TrustList,
    TrustView,
)
from hub.core.ids import AuthorityId, KeyId, sha256
from hub.core.limits import TRUST_FRESH_MS_MAX
from hub.errors import Held

DEPLOYMENT = sha256(b"deployment")
INBOX_KEY = EncryptionKey(KeyId(sha256(b"inbox")), "HPKE-10-KE", KeyUse.INBOX, 100, 200)
OLD_KEY = EncryptionKey(KeyId(sha256(b"old")), "HPKE-10-KE", KeyUse.INBOX, 0, 120)
ARCHIVE_KEY = EncryptionKey(KeyId(sha256(b"archive")), "HPKE-10-KE", KeyUse.ARCHIVE, 0, 200)
NOW = 1_000_000_000_000

AUTHORITY = Authority(
    id=AuthorityId("xa-moj"),
    name="Ministry of Justice",
    suite="S1",
    status=((Status.ACTIVE, 100), (Status.SUSPENDED, 200), (Status.ACTIVE, 300), (Status.REVOKED, 400)),
    anchors=(),
    signing=(),
    encryption=(OLD_KEY, INBOX_KEY, ARCHIVE_KEY),
)


def trust_list(number: int) -> TrustList:
    """A list that says nothing but its number and dates."""
    return TrustList(
        deployment=DEPLOYMENT,
        number=number,
        issued_ms=NOW,
        next_update_ms=NOW + 30 * TRUST_FRESH_MS_MAX,
        shards=1,
        ledger_partitions=1,
        authorities={},
        hub_keys={},
    )


@pytest.mark.parametrize(
    ("time_ms", "status"),
    [
        (99, Status.SUSPENDED),  # not enrolled yet
        (100, Status.ACTIVE),
        (199, Status.ACTIVE),
        (200, Status.SUSPENDED),
        (300, Status.ACTIVE),
        (400, Status.REVOKED),
        (9_999, Status.REVOKED),
    ],
)
def test_status_at(time_ms: int, status: Status) -> None:
    """The history decides what an authority was at a time, whatever it is now."""
    assert status is AUTHORITY.status_at(time_ms)


@pytest.mark.parametrize(
    ("time_ms", "revoked_ms", "expected"),
    [
        (99, None, False),
        (100, None, True),
        (200, None, True),
        (201, None, False),
        (149, 150, True),
        (150, 150, False),
        (199, 150, False),
    ],
)
def test_signing_key_in_force(time_ms: int, revoked_ms: int | None, expected: bool) -> None:
    """A signing key may sign between its dates, both included, until the instant of its revocation."""
    key = SigningKey(KeyId(sha256(b"k")), "Ed25519", b"", 100, 200, revoked_ms=revoked_ms)
    assert expected is key.in_force(time_ms)


def test_encryption_keys() -> None:
    """Keys to seal to are those of the use that are in force; a key is found by its id in any case."""
    assert AUTHORITY.keys_in_force(KeyUse.INBOX, 110) == (OLD_KEY, INBOX_KEY)
    assert AUTHORITY.keys_in_force(KeyUse.INBOX, 121) == (INBOX_KEY,)
    assert AUTHORITY.keys_in_force(KeyUse.INBOX, 201) == ()
    assert AUTHORITY.keys_in_force(KeyUse.ARCHIVE, 200) == (ARCHIVE_KEY,)
    assert AUTHORITY.encryption_key(OLD_KEY.id) == OLD_KEY
    assert AUTHORITY.encryption_key(KeyId(DEPLOYMENT)) is None


def test_newest_and_numbered_lists() -> None:
    """The newest list is the one with the highest number; one that was not read holds the judgement."""
    view = TrustView({2: trust_list(2), 10: trust_list(10), 9: trust_list(9)})
    assert (view.newest.number, view.at(9).number) == (10, 9)
    with pytest.raises(Held, match="trust-list-behind"):
        view.at(11)
    with pytest.raises(Held, match="trust-list-missing"):
        _ = TrustView().newest


VIEW = TrustView({1: trust_list(1), 2: trust_list(2)}, Freshness(2, NOW))


@pytest.mark.parametrize(
    ("view", "now_ms", "code"),
    [
        (TrustView(), NOW, "trust-list-missing"),
        (replace(VIEW, freshness=None), NOW, "trust-list-stale"),
        (VIEW, NOW + TRUST_FRESH_MS_MAX + 1, "trust-list-stale"),
        (replace(VIEW, freshness=Freshness(3, NOW)), NOW, "trust-list-behind"),
        (
            replace(VIEW, freshness=Freshness(2, NOW + 40 * TRUST_FRESH_MS_MAX)),
            NOW + 30 * TRUST_FRESH_MS_MAX + 1,
            "trust-list-expired",
        ),
    ],
)
def test_nothing_is_judged_without_a_fresh_list(view: TrustView, now_ms: int, code: str) -> None:
    """A missing, stale, outdated or expired list holds the outbox; nothing is refused."""
    with pytest.raises(Held) as held:
        view.fresh(now_ms)
    assert code == held.value.code


def test_fresh_list() -> None:
    """A statement of the last 24 hours makes the newest list fresh, also when it names an older one."""
    assert VIEW.fresh(NOW + TRUST_FRESH_MS_MAX).number == 2
    assert replace(VIEW, freshness=Freshness(1, NOW)).fresh(NOW).number == 2


@pytest.mark.parametrize(("time_ms", "revoked"), [(399, frozenset()), (400, frozenset({AUTHORITY.id}))])
def test_revoked_authorities(time_ms: int, revoked: frozenset[AuthorityId]) -> None:
    """A list names those who are revoked at a time; suspension is not revocation."""
    listed = replace(trust_list(1), authorities={AUTHORITY.id: AUTHORITY})
    assert revoked == listed.revoked(time_ms)
