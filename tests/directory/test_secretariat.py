"""The secretariat at work on a home folder and a broker in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub.adapters.directory import publish, read_directory, trust_list_record
from hub.adapters.secretariat import publish_all, renew_list, revoke
from hub.core.authority import KeyUse, Status
from hub.core.ids import AuthorityId, KeyId
from hub.core.records import Outgoing, Place
from hub.core.topics import DIRECTORY, inbox, outbox
from hub.envelope.trust import sign_trust_list
from hub.errors import ComityError, NotPermitted, Refused, UsageError, VerificationFailed

XA, XB = AuthorityId("xa-moj"), AuthorityId("xb-pgo")
MINUTE_MS = 60_000


async def _revoke(house: Any, name: AuthorityId, *, key: KeyId | None = None, **changed: Any) -> Any:
    values = {
        "suspect_since_ms": None,
        "secretariat": house.secretariat,
        "freshness": house.freshness,
        "bus": house.bus(),
        "administration": house.administration,
        "now_ms": house.clock.now_ms(),
    }
    return await revoke(name, key=key, **(values | changed))


async def _publish(house: Any) -> int:
    return await publish_all(house.bus(), house.secretariat, house.freshness, now_ms=house.clock.now_ms())


async def _write(house: Any, writer: str, owner: AuthorityId) -> None:
    await (await house.bus(writer).writer()).send([Outgoing(outbox(owner), b"k", b"v")])


async def test_two_authorities_are_enrolled_while_the_broker_runs(house: Any) -> None:
    """Each is in the published list with its keys, may write its own outbox and read its own inbox, and no other's."""
    numbers = [(await house.enrol(name)).trust_list for name in (XA, XB)]
    assert numbers == [2, 3]
    directory = await read_directory(house.bus(XA), house.secretariat.anchor)
    newest = directory.view.fresh(house.clock.now_ms())
    assert (newest.number, list(newest.authorities)) == (3, [XA, XB])
    listed = {key.id for member in newest.authorities.values() for key in member.encryption}
    assert directory.statements.keys() == listed
    assert len(listed) == 4
    await _write(house, XA, XA)
    await house.bus(XB).reader({Place(inbox(XB), 0): 0})
    with pytest.raises(NotPermitted):
        await _write(house, XA, XB)
    with pytest.raises(NotPermitted):
        await house.bus(XA).reader({Place(inbox(XB), 0): 0})


async def test_a_revoked_authority_may_do_nothing_and_stays_known(house: Any) -> None:
    """It can neither write nor read, its id and history stay in the list, and the other goes on."""
    for name in (XA, XB):
        await house.enrol(name)
    house.clock.advance(MINUTE_MS)
    since_ms = house.clock.now_ms() - 1000
    trust = await _revoke(house, XA, suspect_since_ms=since_ms)
    member = trust.authorities[XA]
    assert [status for status, _ in member.status] == [Status.ACTIVE, Status.REVOKED]
    assert [(key.revoked_ms, key.suspect_since_ms) for key in member.signing] == [(house.clock.now_ms(), since_ms)] * 2
    for act in (_write(house, XA, XA), house.bus(XA).reader({Place(DIRECTORY, 0): 0})):
        with pytest.raises(NotPermitted):
            await act
    await _write(house, XB, XB)
    assert (await read_directory(house.bus(XB), house.secretariat.anchor)).view.newest == trust
    with pytest.raises(UsageError, match="authority-revoked"):
        await _revoke(house, XA)
    with pytest.raises(UsageError, match="authority-known"):
        await house.admit(house.request(XA))


async def test_the_broker_denies_before_the_list_says_so(house: Any) -> None:
    """When publishing fails, the authority is denied already, and publish brings the list afterwards."""
    await house.enrol(XA)
    house.clock.advance(MINUTE_MS)
    bus = house.bus()
    bus.fail_next("lost")
    with pytest.raises(ComityError):
        await _revoke(house, XA, bus=bus)
    with pytest.raises(NotPermitted):
        await _write(house, XA, XA)
    assert max((await read_directory(house.bus(), house.secretariat.anchor)).view.lists) == 2
    await _publish(house)
    newest = (await read_directory(house.bus(), house.secretariat.anchor)).view.newest
    assert newest.revoked(house.clock.now_ms()) == {XA}


@pytest.mark.parametrize("use", list(KeyUse))
async def test_one_encryption_key_is_revoked_alone(house: Any, use: KeyUse) -> None:
    """Nobody seals to it any more; the authority's other keys and permissions stay."""
    await house.enrol(XA)
    key = next(each.id for each in house.secretariat.newest().authorities[XA].encryption if each.use is use)
    house.clock.advance(MINUTE_MS)
    member = (await _revoke(house, XA, key=key)).authorities[XA]
    later_ms = house.clock.now_ms() + 1
    assert {each: len(member.keys_in_force(each, later_ms)) for each in KeyUse} == {
        each: int(each is not use) for each in KeyUse
    }
    assert all(each.in_force(later_ms) for each in member.signing)
    await _write(house, XA, XA)


async def test_one_signing_key_is_revoked_alone(house: Any) -> None:
    """From that moment on the key signs nothing; the other one is left."""
    await house.enrol(XA)
    first, second = house.secretariat.newest().authorities[XA].signing
    house.clock.advance(MINUTE_MS)
    member = (await _revoke(house, XA, key=first.id)).authorities[XA]
    now_ms = house.clock.now_ms()
    assert [key.in_force(now_ms) for key in member.signing] == [False, True]
    assert member.signing[1] == second
    assert member.signing[0].in_force(now_ms - 1)


@pytest.mark.parametrize(
    ("name", "key", "code"), [(XB, None, "authority-unknown"), (XA, KeyId("A" * 43), "key-unknown")]
)
async def test_what_is_not_there_is_not_revoked(house: Any, name: AuthorityId, key: KeyId | None, code: str) -> None:
    """An unknown authority or key is a usage error, and no list is signed."""
    await house.enrol(XA)
    with pytest.raises(UsageError, match=code):
        await _revoke(house, name, key=key)
    assert list(house.secretariat.folder.lists()) == [1, 2]


async def test_a_renewed_list_has_later_dates_and_the_same_content(house: Any) -> None:
    """Renewing changes number and dates alone, and the new list is published as fresh."""
    await house.enrol(XA)
    before = house.secretariat.newest()
    house.clock.advance(MINUTE_MS)
    now_ms = house.clock.now_ms()
    after = await renew_list(secretariat=house.secretariat, freshness=house.freshness, bus=house.bus(), now_ms=now_ms)
    assert after == replace(before, number=3, issued_ms=now_ms, next_update_ms=before.next_update_ms + MINUTE_MS)
    assert (await read_directory(house.bus(), house.secretariat.anchor)).view.fresh(now_ms) == after


async def test_publishing_again_writes_the_freshness_only(house: Any) -> None:
    """Lists and statements that are there are not written twice; a cluster that lost everything gets everything."""
    await house.enrol(XA)
    assert await _publish(house) == 1
    records = len(house.broker.records(DIRECTORY))
    assert await _publish(house) == 1
    assert len(house.broker.records(DIRECTORY)) == records + 1
    house.broker.delete_topic(DIRECTORY)
    await house.administration.apply(house.secretariat.newest(), now_ms=house.clock.now_ms())
    assert await _publish(house) == 5  # two lists, freshness, two statements


async def test_two_histories_are_never_mixed(house: Any) -> None:
    """A cluster with another list of a number, or with a list the folder has not, stops publishing: nothing is written."""
    await house.enrol(XA)
    folder = house.secretariat.folder
    kept = folder.list_path(2).read_bytes()
    folder.list_path(2).unlink()
    with pytest.raises(VerificationFailed, match="secretariat-behind"):
        await _publish(house)
    other = replace(house.secretariat.newest(), number=2)
    folder.add_list(2, sign_trust_list(other, signers=folder.signers()[:2]))
    records = len(house.broker.records(DIRECTORY))
    with pytest.raises(VerificationFailed, match="trust-list-forked"):
        await _publish(house)
    assert len(house.broker.records(DIRECTORY)) == records
    folder.list_path(2).write_bytes(kept)
    assert await _publish(house) == 1


async def test_a_request_for_another_deployment_is_refused(house: Any, found_house: Any) -> None:
    """Keys made for one deployment are not admitted to another; nothing is signed."""
    other = found_house("other")
    with pytest.raises(Refused, match="deployment-mismatch"):
        await house.admit(other.request(XA))
    assert list(house.secretariat.folder.lists()) == [1]


async def test_a_classical_suite_needs_a_dated_waiver(house: Any) -> None:
    """S0 without a waiver is a usage error and changes nothing; with one, its date is in the list."""
    request = house.request(XA, "S0")
    with pytest.raises(UsageError, match="waiver-missing"):
        await house.admit(request)
    assert list(house.secretariat.folder.lists()) == [1]
    until_ms = house.clock.now_ms() + 1000 * MINUTE_MS
    await house.admit(request, waiver_until_ms=until_ms)
    assert house.secretariat.newest().authorities[XA].waiver_until_ms == until_ms
    assert (await house.admit(request, waiver_until_ms=until_ms)).trust_list == 2


@pytest.mark.parametrize("fault", ["lost", "stored"])
async def test_an_enrolment_that_was_cut_off_is_finished_with_the_same_keys(house: Any, fault: str) -> None:
    """The broker goes away during publishing: enrolling again gives one list, the same keys, and every record."""
    request, bus = house.request(XA), house.bus()
    bus.fail_next(fault)
    house.bus = lambda principal="directory": bus if principal == "directory" else type(house).bus(house, principal)
    with pytest.raises(ComityError):
        await house.admit(request)
    house.clock.advance(MINUTE_MS)
    assert house.request(XA) == request
    assert (await house.enrol(XA)).trust_list == 2
    directory = await read_directory(house.bus(XA), house.secretariat.anchor)
    assert list(directory.view.lists) == [1, 2]
    assert len(directory.statements) == 2
    await _write(house, XA, XA)


async def test_the_name_of_another_is_not_given_again(house: Any) -> None:
    """A second request under an id that is taken is refused, whatever keys it brings."""
    await house.enrol(XA)
    house.state(XA).root.rename(house.home.root / "moved")
    with pytest.raises(UsageError, match="authority-known"):
        await house.admit(house.request(XA))


async def test_too_few_signers_sign_nothing(house: Any) -> None:
    """With one signer's keys of the two that the anchor demands, no list is made."""
    folder = house.secretariat.folder
    for number in (2, 3):
        folder.signer(number).unlink()
    with pytest.raises(UsageError, match="signers-missing"):
        await house.admit(house.request(XA))
    folder.signer(1).unlink()
    with pytest.raises(UsageError, match="signers-missing"):
        folder.signers()
    assert list(folder.lists()) == [1]


async def test_garbage_on_the_directory_stops_no_publishing(house: Any) -> None:
    """Records that do not verify are told, and what is missing is published beside them."""
    await publish(house.bus(), [trust_list_record(1, b"{}"), Outgoing(DIRECTORY, b"key/" + b"A" * 43, b"{}")])
    alerts: list[Any] = []
    count = await publish_all(
        house.bus(), house.secretariat, house.freshness, now_ms=house.clock.now_ms(), alert=alerts.append
    )
    assert (count, len(alerts)) == (2, 1)


async def test_a_request_that_was_dated_back_gives_no_past(house: Any) -> None:
    """An authority takes part from its admission on, whatever date its request bears."""
    request = house.request(XA)
    house.clock.advance(30 * MINUTE_MS)
    await house.admit(request)
    member = house.secretariat.newest().authorities[XA]
    assert member.status == ((Status.ACTIVE, house.clock.now_ms()),)


async def test_a_request_is_not_answered_again_after_a_revocation(house: Any) -> None:
    """The keys of a revoked authority bring no new Kafka certificate."""
    await house.enrol(XA)
    house.clock.advance(MINUTE_MS)
    await _revoke(house, XA)
    with pytest.raises(UsageError, match="authority-known"):
        await house.admit(house.request(XA))
