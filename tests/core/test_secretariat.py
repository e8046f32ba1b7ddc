"""The secretariat's acts: each makes the next list, and none makes a refused record acceptable."""

from __future__ import annotations

import pytest

from hub.core import secretariat
from hub.core.authority import Authority, EncryptionKey, HubRole, KeyUse, PublicKey, SigningKey, Status, TrustList
from hub.core.ids import AuthorityId, KeyId, sha256
from hub.errors import UsageError

START_MS, NOW_MS, NEXT_MS = 1_000, 5_000, 90_000
XA = AuthorityId("xa-moj")
CLASSICAL, LATTICE, INBOX = KeyId(sha256(b"ed")), KeyId(sha256(b"ml")), KeyId(sha256(b"inbox"))


def authority(name: str = "xa-moj") -> Authority:
    """An authority with two signing keys and one inbox key."""
    return Authority(
        id=AuthorityId(name),
        name="Ministry of Justice of Xa",
        suite="S1",
        status=((Status.ACTIVE, START_MS),),
        anchors=(b"anchor",),
        signing=(
            SigningKey(CLASSICAL, "Ed25519", b"crt", START_MS, NEXT_MS),
            SigningKey(LATTICE, "ML-DSA-65", b"crt", START_MS, NEXT_MS),
        ),
        encryption=(EncryptionKey(INBOX, "HPKE-10-KE", KeyUse.INBOX, START_MS, NEXT_MS),),
    )


@pytest.fixture
def first() -> TrustList:
    """List 1, without authorities."""
    return TrustList(
        deployment=sha256(b"deployment"),
        number=1,
        issued_ms=START_MS,
        next_update_ms=2_000,
        shards=2,
        ledger_partitions=4,
        authorities={},
        hub_keys={HubRole.ROUTER: (PublicKey(CLASSICAL, "Ed25519", b"public"),)},
    )


@pytest.fixture
def second(first: TrustList) -> TrustList:
    """List 2, which names xa-moj."""
    return secretariat.admit(first, authority(), now_ms=START_MS, next_update_ms=NEXT_MS)


def test_admission_makes_the_next_number_and_changes_nothing_else(first: TrustList) -> None:
    """Deployment, counts and hub keys stay; authorities are in the order of their ids."""
    one = secretariat.admit(first, authority("xb-pgo"), now_ms=NOW_MS, next_update_ms=NEXT_MS)
    two = secretariat.admit(one, authority(), now_ms=NOW_MS, next_update_ms=NEXT_MS)
    assert (
        two.number, two.issued_ms, two.next_update_ms, list(two.authorities),
    ) == (3, NOW_MS, NEXT_MS, ["xa-moj", "xb-pgo"])  # fmt: skip
    assert (first.deployment, 2, 4, first.hub_keys) == (two.deployment, two.shards, two.ledger_partitions, two.hub_keys)


def test_an_id_is_given_once(second: TrustList) -> None:
    """Whoever asks for a name that is taken, even a revoked one, is refused."""
    gone = secretariat.revoke_authority(second, XA, now_ms=NOW_MS, next_update_ms=NEXT_MS)
    with pytest.raises(UsageError, match="authority-known"):
        secretariat.admit(gone, authority(), now_ms=NOW_MS, next_update_ms=NEXT_MS)


def test_renewal_changes_number_and_dates_only(second: TrustList) -> None:
    """A renewed list names the same authorities."""
    renewed = secretariat.renew(second, now_ms=NOW_MS, next_update_ms=NEXT_MS + 1)
    assert (3, NEXT_MS + 1, second.authorities) == (renewed.number, renewed.next_update_ms, renewed.authorities)


def test_a_revoked_authority_keeps_its_history(second: TrustList) -> None:
    """Before the revocation the authority was active and its keys in force; from then on neither."""
    gone = secretariat.revoke_authority(second, XA, now_ms=NOW_MS, next_update_ms=NEXT_MS, suspect_since_ms=3_000)
    member = gone.authorities[XA]
    assert (member.status_at(NOW_MS - 1), member.status_at(NOW_MS)) == (Status.ACTIVE, Status.REVOKED)
    assert [key.in_force(NOW_MS - 1) for key in member.signing] == [True, True]
    assert [key.in_force(NOW_MS) for key in member.signing] == [False, False]
    assert [key.suspect_since_ms for key in member.signing] == [3_000, 3_000]
    assert member.keys_in_force(KeyUse.INBOX, NOW_MS + 1) == ()


def test_a_revoked_authority_is_not_revoked_again(second: TrustList) -> None:
    """A second revocation would move the date."""
    gone = secretariat.revoke_authority(second, XA, now_ms=NOW_MS, next_update_ms=NEXT_MS)
    with pytest.raises(UsageError, match="authority-revoked"):
        secretariat.revoke_authority(gone, XA, now_ms=NOW_MS + 1, next_update_ms=NEXT_MS)


def test_one_signing_key_is_revoked_and_its_date_never_moves_on(second: TrustList) -> None:
    """The other key stays in force; a later revocation of the same key keeps the first date."""
    gone = secretariat.revoke_key(second, XA, CLASSICAL, now_ms=NOW_MS, next_update_ms=NEXT_MS, suspect_since_ms=7)
    again = secretariat.revoke_key(gone, XA, CLASSICAL, now_ms=NOW_MS + 9, next_update_ms=NEXT_MS)
    assert [(key.revoked_ms, key.suspect_since_ms) for key in again.authorities[XA].signing] == [
        (NOW_MS, 7),
        (None, None),
    ]


def test_an_encryption_key_ends(second: TrustList) -> None:
    """Nobody may seal to an ended key."""
    gone = secretariat.revoke_key(second, XA, INBOX, now_ms=NOW_MS, next_update_ms=NEXT_MS)
    assert [key.until_ms for key in gone.authorities[XA].encryption] == [NOW_MS]
    assert [key.revoked_ms for key in gone.authorities[XA].signing] == [None, None]


def test_unknown_names_are_told(second: TrustList) -> None:
    """An authority or key that the list does not name is a mistake of the command."""
    other = AuthorityId("xb-pgo")
    with pytest.raises(UsageError, match="authority-unknown"):
        secretariat.revoke_authority(second, other, now_ms=NOW_MS, next_update_ms=NEXT_MS)
    with pytest.raises(UsageError, match="key-unknown"):
        secretariat.revoke_key(second, XA, KeyId(sha256(b"?")), now_ms=NOW_MS, next_update_ms=NEXT_MS)


def test_a_clock_behind_the_newest_list_is_noticed(second: TrustList) -> None:
    """A list dated before its predecessor would confuse everybody who compares dates."""
    with pytest.raises(UsageError, match="clock-behind"):
        secretariat.renew(second, now_ms=START_MS - 1, next_update_ms=NEXT_MS)
