"""``comity doctor``: what it sees in files and on ``hub.directory``, and what it says to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hub.adapters.directory import FRESHNESS_INTERVAL_SECONDS
from hub.adapters.files.checkup import CERTIFICATE_WARN_MS, LIST_WARN_MS, Finding, Result, examine_files
from hub.adapters.files.transport import LEAF_VALID_MS
from hub.cli.doctor import examine_directory
from hub.core.authority import Freshness, TrustView
from hub.core.ids import AuthorityId
from hub.core.limits import CLOCK_SKEW_MS_MAX, TRUST_FRESH_MS_MAX
from hub.core.secretariat import LIST_VALID_MS

XA = AuthorityId("xa-moj")
HOUR_MS = 3600 * 1000


def look(house: Any, *, after_ms: int = 0) -> dict[str, Finding]:
    """The findings by their check."""
    return {each.check: each for each in examine_files(house.home, now_ms=house.clock.now_ms() + after_ms)}


def results(findings: dict[str, Finding]) -> dict[str, str]:
    """Check and result alone."""
    return {check: each.result.value for check, each in findings.items()}


async def test_a_new_deployment_is_well(house: Any) -> None:
    """After init and an enrolment every check passes, and none has a remedy."""
    await house.enrol(XA)
    found = look(house)
    assert set(results(found).values()) == {"ok"}
    assert set(found) == {"home", "key files", "certificates", "trust list", "authorities' keys", "clock"}
    assert [each.remedy for each in found.values()] == [""] * 6


def test_a_folder_that_is_no_deployment_is_sent_to_init(house: Any, tmp_path: Any) -> None:
    """Nothing raises where nothing is: the home is a failure with the command that makes it."""
    empty = replace(house, home=type(house.home)(tmp_path / "nowhere"))
    assert results(look(empty)) == {"home": "fail", "key files": "ok", "certificates": "warn"}
    assert look(empty)["home"].remedy.startswith("comity init")


def test_a_missing_file_is_not_made_anew(house: Any) -> None:
    """A deployment that lost a key is sent to its backup, not to init."""
    house.home.client("router").keystore.unlink()
    found = look(house)["home"]
    assert (found.result, found.remedy) == (Result.FAIL, "restore them from the backup")


@pytest.mark.parametrize(
    "key",
    [
        lambda house: house.home.client("admin").keystore,
        lambda house: house.home.transport_ca / "key.pem",
        lambda house: house.home.secretariat / "signer-2.json",
        lambda house: house.state(XA).keys / "storage.key",
        lambda house: house.state(XA).client.keystore.with_suffix(".key"),
        lambda house: house.state(XA).authority_ca / "key.pem",
    ],
)
def test_a_key_file_open_to_others_is_found(house: Any, key: Callable[[Any], Any]) -> None:
    """Whosever key it is, the path and the command that closes it are told."""
    house.request(XA)
    key(house).chmod(0o640)
    found = look(house)["key files"]
    assert found.result is Result.FAIL
    assert found.remedy.startswith(f"chmod 600 {key(house)}")


def test_certificates_are_called_in_time(house: Any) -> None:
    """30 days before the first one ends a warning, after it a failure."""
    ends = LEAF_VALID_MS
    assert look(house, after_ms=ends - CERTIFICATE_WARN_MS - HOUR_MS)["certificates"].result is Result.OK
    assert look(house, after_ms=ends - CERTIFICATE_WARN_MS + HOUR_MS)["certificates"].result is Result.WARN
    assert look(house, after_ms=ends + HOUR_MS)["certificates"].result is Result.FAIL
    (house.home.transport_ca / "cert.pem").write_text("no certificate")
    assert look(house)["certificates"].result is Result.FAIL


def test_the_trust_list_is_called_in_time(house: Any) -> None:
    """Two weeks before nextUpdate a warning, after it a failure; both say how to sign the next."""
    warned = look(house, after_ms=LIST_VALID_MS - LIST_WARN_MS + HOUR_MS)["trust list"]
    failed = look(house, after_ms=LIST_VALID_MS + HOUR_MS)["trust list"]
    assert [(each.result, each.remedy) for each in (warned, failed)] == [
        (Result.WARN, "comity authority renew"),
        (Result.FAIL, "comity authority renew"),
    ]


def test_a_list_that_was_changed_on_disk_is_found(house: Any) -> None:
    """A list that does not verify is a failure, not a traceback."""
    path = house.home.secretariat / "tl-1.jws"
    path.write_bytes(path.read_bytes()[:-8] + b'AAAA"}]}')
    assert look(house)["trust list"].result is Result.FAIL


async def test_keys_of_authorities_are_called_in_time(house: Any) -> None:
    """A month before an authority's first key ends, its name is told."""
    await house.enrol(XA)
    found = look(house, after_ms=365 * 24 * HOUR_MS - CERTIFICATE_WARN_MS + HOUR_MS)["authorities' keys"]
    assert (found.result, "xa-moj" in found.remedy) == (Result.WARN, True)


def test_a_clock_behind_the_newest_list_is_found(house: Any) -> None:
    """A machine whose clock is more than five minutes behind is told to set it."""
    assert look(house, after_ms=-CLOCK_SKEW_MS_MAX)["clock"].result is Result.OK
    assert look(house, after_ms=-CLOCK_SKEW_MS_MAX - 1)["clock"].result is Result.FAIL


@pytest.mark.parametrize(
    ("age_ms", "published", "expected", "remedy"),
    [
        (0, True, Result.OK, ""),
        (int(FRESHNESS_INTERVAL_SECONDS * 1000) * 3 + 1, True, Result.WARN, "comity authority publish"),
        (TRUST_FRESH_MS_MAX + 1, True, Result.FAIL, "comity authority publish"),
        (None, True, Result.FAIL, "comity authority publish"),
        (0, False, Result.FAIL, "comity authority publish"),
    ],
)
def test_the_published_list_is_compared_with_the_signed_one(
    house: Any, age_ms: int | None, published: bool, expected: Result, remedy: str
) -> None:
    """Fresh: ok; three statements missed: a warning; a day, none at all, or an unpublished list: a failure."""
    own, now_ms = house.secretariat.view(), house.clock.now_ms()
    stated = None if age_ms is None else Freshness(1, now_ms - age_ms)
    view = TrustView(own.lists if published else {}, stated)
    (found,) = examine_directory(view, own, now_ms=now_ms)
    assert (found.result, found.remedy.startswith(remedy)) == (expected, True)


def test_an_expired_published_list_and_refused_records_are_told(house: Any) -> None:
    """The first asks for a new list; the second for whoever wrote there."""
    own = house.secretariat.view()
    now_ms = house.clock.now_ms() + LIST_VALID_MS + HOUR_MS
    refused, expired = examine_directory(TrustView(own.lists, Freshness(1, now_ms)), own, now_ms=now_ms, refused=2)
    assert (refused.result, expired.result, expired.remedy) == (Result.WARN, Result.FAIL, "comity authority renew")
