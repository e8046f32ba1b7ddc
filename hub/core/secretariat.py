"""What the secretariat may change from one trust list to the next (protocol section 5): each act makes a new number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from hub.core.authority import Authority, EncryptionKey, SigningKey, Status, TrustList
from hub.core.ids import AuthorityId, KeyId
from hub.errors import UsageError

# Signed offline by people who must meet for it; freshness statements cover the days between.
LIST_VALID_MS: Final = 90 * 24 * 3600 * 1000


def admit(trust: TrustList, authority: Authority, *, now_ms: int, next_update_ms: int) -> TrustList:
    """The next list, with one more authority. Raises ``UsageError(authority-known)``: an id is given once, for ever."""
    if authority.id in trust.authorities:
        raise UsageError("authority-known", f"{authority.id} is in the trust list already; an id is never given twice.")
    return _next(trust, [*trust.authorities.values(), authority], now_ms=now_ms, next_update_ms=next_update_ms)


def renew(trust: TrustList, *, now_ms: int, next_update_ms: int) -> TrustList:
    """The next list with the same content, before the old one passes its ``nextUpdate``."""
    return _next(trust, trust.authorities.values(), now_ms=now_ms, next_update_ms=next_update_ms)


def revoke_authority(
    trust: TrustList, authority: AuthorityId, *, now_ms: int, next_update_ms: int, suspect_since_ms: int | None = None
) -> TrustList:
    """The next list, in which the authority and all its signing keys are revoked from ``now_ms`` on.

    ``suspect_since_ms`` marks what was signed from then on as doubtful: for people to judge, refused by nobody.
    Raises ``UsageError(authority-unknown | authority-revoked)``.
    """
    member = _member(trust, authority)
    if member.status_at(now_ms) is Status.REVOKED:
        raise UsageError("authority-revoked", f"{authority} is revoked already; see comity authority show {authority}.")
    revoked = replace(
        member,
        status=(*member.status, (Status.REVOKED, now_ms)),
        signing=tuple(_revoked(key, now_ms, suspect_since_ms) for key in member.signing),
        encryption=tuple(_ended(key, now_ms) for key in member.encryption),
    )
    return _changed(trust, revoked, now_ms=now_ms, next_update_ms=next_update_ms)


def revoke_key(
    trust: TrustList,
    authority: AuthorityId,
    key: KeyId,
    *,
    now_ms: int,
    next_update_ms: int,
    suspect_since_ms: int | None = None,
) -> TrustList:
    """The next list, in which one signing key is revoked, or one encryption key ends, at ``now_ms``.

    Raises ``UsageError(authority-unknown | key-unknown)``.
    """
    member = _member(trust, authority)
    if key not in {each.id for each in member.signing} | {each.id for each in member.encryption}:
        raise UsageError("key-unknown", f"{authority} has no key {key}; see comity authority show {authority}.")
    changed = replace(
        member,
        signing=tuple(_revoked(each, now_ms, suspect_since_ms) if each.id == key else each for each in member.signing),
        encryption=tuple(_ended(each, now_ms) if each.id == key else each for each in member.encryption),
    )
    return _changed(trust, changed, now_ms=now_ms, next_update_ms=next_update_ms)


def _member(trust: TrustList, authority: AuthorityId) -> Authority:
    if authority not in trust.authorities:
        raise UsageError("authority-unknown", f"The trust list does not name {authority}; see comity authority list.")
    return trust.authorities[authority]


def _revoked(key: SigningKey, now_ms: int, suspect_since_ms: int | None) -> SigningKey:
    # A revocation is never moved to a later date: that would make refused records acceptable.
    revoked_ms = now_ms if key.revoked_ms is None else min(key.revoked_ms, now_ms)
    return replace(key, revoked_ms=revoked_ms, suspect_since_ms=suspect_since_ms or key.suspect_since_ms)


def _ended(key: EncryptionKey, now_ms: int) -> EncryptionKey:
    return replace(key, until_ms=min(key.until_ms, max(now_ms, key.from_ms)))


def _changed(trust: TrustList, member: Authority, *, now_ms: int, next_update_ms: int) -> TrustList:
    others = [each for each in trust.authorities.values() if each.id != member.id]
    return _next(trust, [*others, member], now_ms=now_ms, next_update_ms=next_update_ms)


def _next(trust: TrustList, members: Iterable[Authority], *, now_ms: int, next_update_ms: int) -> TrustList:
    if now_ms < trust.issued_ms:
        raise UsageError("clock-behind", "The clock is behind the newest trust list's date; set the clock.")
    by_id = {member.id: member for member in sorted(members, key=lambda member: member.id)}
    return replace(trust, number=trust.number + 1, issued_ms=now_ms, next_update_ms=next_update_ms, authorities=by_id)
