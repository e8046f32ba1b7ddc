"""The secretariat at work: signs the next trust list, m of n, and brings ``hub.directory`` in line with its folder.

Every function takes a ``Bus`` and an ``Administration``, so a real cluster and the memory broker are served alike. Order
of an admission: topics and permissions, the list, then its freshness and the key statements; of a revocation: the
denial first. What the folder holds and the cluster has not is published by ``publish_all``: a broken line loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from hub.adapters.directory import (
    key_statement_record,
    publish,
    read_directory,
    sign_freshness,
    trust_list_record,
)
from hub.adapters.files.home import Home
from hub.adapters.files.lists import SecretariatFolder
from hub.adapters.files.owned import read
from hub.adapters.files.transport import TransportAuthority
from hub.core.authority import Anchor, Status, TrustList, TrustView
from hub.core.effects import Alert
from hub.core.ids import AuthorityId, KeyId
from hub.core.records import Outgoing
from hub.core.secretariat import LIST_VALID_MS, admit, renew, revoke_authority, revoke_key
from hub.core.signing import Signer
from hub.envelope.enrolment import Admission, EnrolmentRequest, read_request
from hub.envelope.pki import request_public
from hub.envelope.trust import fold_directory, read_anchor, read_key_statement, read_trust_list, sign_trust_list
from hub.errors import UsageError, VerificationFailed
from hub.ports import Bus, Chance


class Administration(Protocol):
    """What the secretariat asks of a cluster's administrator. Nothing needs a restart."""

    async def apply(self, trust: TrustList, *, now_ms: int) -> None:
        """Make the topics of all authorities and the permissions of those who are not revoked; take the others away.

        Idempotent. Raises ``Unreachable``, ``NotPermitted``.
        """
        ...

    async def deny(self, authority: AuthorityId, *, trust: TrustList, now_ms: int) -> None:
        """Refuse every act of an authority, whatever else allows it. Idempotent. Raises as ``apply``."""
        ...


@dataclass(frozen=True, slots=True)
class Secretariat:
    """The folder of signed lists, and the anchor that they are checked against."""

    folder: SecretariatFolder
    anchor: Anchor

    @classmethod
    def open(cls, home: Home) -> Secretariat:
        """The secretariat of a home folder. Raises ``UsageError(file-missing)``: run ``comity init`` first."""
        return cls(SecretariatFolder(home.secretariat), read_anchor(read(home.anchor)))

    def view(self) -> TrustView:
        """All lists of the folder, each verified. Raises ``VerificationFailed``."""
        view = TrustView()
        for number, data in self.folder.lists().items():
            view = fold_directory(view, b"tl/%d" % number, data, self.anchor)
        return view

    def newest(self) -> TrustList:
        """The newest list. Raises ``VerificationFailed``, ``Held`` when there is none."""
        return self.view().newest

    def sign(self, trust: TrustList) -> TrustList:
        """Sign a list by as many signers as the anchor demands, check it as everybody will, keep it.

        Raises ``UsageError(signers-missing)`` when too few signers' keys are here.
        """
        signers = self.folder.signers()
        if len(signers) < self.anchor.threshold:
            raise UsageError(
                "signers-missing", f"{self.anchor.threshold} signers must sign; the keys of {len(signers)} are here."
            )
        data = sign_trust_list(trust, signers=signers[: self.anchor.threshold])
        signed = read_trust_list(data, self.anchor)
        self.folder.add_list(trust.number, data)
        return signed


async def admit_authority(
    request: bytes,
    *,
    secretariat: Secretariat,
    transport: TransportAuthority,
    freshness: Sequence[Signer],
    bus: Bus,
    administration: Administration,
    now_ms: int,
    chance: Chance,
    waiver_until_ms: int | None = None,
) -> Admission:
    """Admit an authority by its request: the secretariat's whole side of an enrolment. It sees public parts only.

    A request that was admitted before is answered again (a new transport certificate, no new list), so that an
    enrolment that was cut off can be finished. Raises ``Refused``, ``UsageError(authority-known)``, ``Unreachable``.
    """
    newest = secretariat.newest()
    checked = read_request(request, trust=newest)
    public = request_public(checked.transport)
    # From when it takes part is the secretariat's word: a request could be dated back before a revocation.
    authority = replace(checked.authority, status=((Status.ACTIVE, now_ms),), waiver_until_ms=waiver_until_ms)
    if authority.suite == "S0" and waiver_until_ms is None:
        raise UsageError("waiver-missing", "Suite S0 is not post-quantum: it needs a dated waiver; see --waiver-until.")
    admitted = newest
    if not _was_admitted(checked, newest):
        admitted = admit(newest, authority, now_ms=now_ms, next_update_ms=now_ms + LIST_VALID_MS)
    # Whoever reads the list must find the inbox that it promises, so topics come first.
    await administration.apply(admitted, now_ms=now_ms)
    if admitted is not newest:
        secretariat.sign(admitted)
    for statement in checked.statements:
        secretariat.folder.keep_statement(_statement_key(statement, admitted), statement)
    await publish_all(bus, secretariat, freshness, now_ms=now_ms)
    certificate = transport.issue(authority.id, public, now_ms=now_ms, chance=chance)
    return Admission(
        authority=authority.id,
        trust_list=admitted.number,
        certificate_pem=certificate,
        ca_pem=transport.certificate_pem,
    )


async def revoke(
    authority: AuthorityId,
    *,
    key: KeyId | None,
    suspect_since_ms: int | None,
    secretariat: Secretariat,
    freshness: Sequence[Signer],
    bus: Bus,
    administration: Administration,
    now_ms: int,
) -> TrustList:
    """Revoke an authority, or one of its keys. Raises ``UsageError``, ``Unreachable``, ``NotPermitted``."""
    newest = secretariat.newest()
    next_update_ms = now_ms + LIST_VALID_MS
    if key is None:
        changed = revoke_authority(
            newest, authority, now_ms=now_ms, next_update_ms=next_update_ms, suspect_since_ms=suspect_since_ms
        )
        # The broker forgets the authority before anybody reads why: nothing more comes in meanwhile.
        await administration.deny(authority, trust=newest, now_ms=now_ms)
    else:
        changed = revoke_key(
            newest, authority, key, now_ms=now_ms, next_update_ms=next_update_ms, suspect_since_ms=suspect_since_ms
        )
    secretariat.sign(changed)
    await administration.apply(changed, now_ms=now_ms)
    await publish_all(bus, secretariat, freshness, now_ms=now_ms)
    return changed


async def renew_list(*, secretariat: Secretariat, freshness: Sequence[Signer], bus: Bus, now_ms: int) -> TrustList:
    """Sign and publish the newest list again with later dates."""
    renewed = renew(secretariat.newest(), now_ms=now_ms, next_update_ms=now_ms + LIST_VALID_MS)
    secretariat.sign(renewed)
    await publish_all(bus, secretariat, freshness, now_ms=now_ms)
    return renewed


async def publish_all(
    bus: Bus,
    secretariat: Secretariat,
    freshness: Sequence[Signer],
    *,
    now_ms: int,
    alert: Callable[[Alert], None] = lambda _: None,
) -> int:
    """Publish the lists and statements that ``hub.directory`` has not, and that the newest list is fresh.

    Returns how many records were written. Raises ``VerificationFailed(trust-list-forked | secretariat-behind)`` before
    anything is written when the cluster holds lists that this folder has not signed, or signed otherwise.
    """
    view = secretariat.view()
    there = await read_directory(bus, secretariat.anchor, alert=alert)
    for number, trust in there.view.lists.items():
        if number not in view.lists:
            raise VerificationFailed(
                "secretariat-behind", f"hub.directory has trust list {number}, this folder has not: restore the folder."
            )
        if view.lists[number] != trust:
            raise VerificationFailed("trust-list-forked", f"There are two different trust lists of number {number}.")
    records: list[Outgoing] = [
        trust_list_record(number, data)
        for number, data in secretariat.folder.lists().items()
        if number not in there.view.lists
    ]
    records.append(sign_freshness(view.newest, freshness, now_ms=now_ms))
    for key, data in secretariat.folder.statements().items():
        stated = there.statements.get(key)
        if stated is None or stated != read_key_statement(data, view.newest):
            records.append(key_statement_record(key, data))
    await publish(bus, records)
    return len(records)


def _was_admitted(request: EnrolmentRequest, trust: TrustList) -> bool:
    """Whether exactly these keys are in the list under this id already, and nothing was revoked since."""
    known = trust.authorities.get(request.authority.id)
    if known is None or [status for status, _ in known.status] != [Status.ACTIVE]:
        return False
    return replace(known, status=request.authority.status, waiver_until_ms=None) == request.authority


def _statement_key(statement: bytes, trust: TrustList) -> KeyId:
    return read_key_statement(statement, trust).key.id
