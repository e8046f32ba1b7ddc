"""Records of our inbox, from the log to the store: a batch is taken in with its offset in one durable transaction.

Whatever a record is, it is stored, parked or refused, and the next one is read; only a trust list that is not fresh, or
still to come, makes the reading wait (``Held``). No broker and no national system here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Final

from connectors.casework.documents import check_carried
from connectors.gateway import inbox
from connectors.gateway.incoming import BundleStand, Stand, bundle_stand, stand
from connectors.gateway.intake import Intake
from connectors.gateway.levels import notice, read_levels
from connectors.gateway.opened import OpenedMessage, OpenedMessages
from connectors.gateway.owed import OwedReceipt
from connectors.gateway.sealing import Sealer
from connectors.gateway.settling import HUB_RECEIPT, settle
from connectors.gateway.store import Store
from connectors.ports import Evidence
from connectors.seal.opening import proof
from hub.core.authority import TrustView
from hub.core.effects import Alert
from hub.core.ids import AuthorityId, Digest, sha256
from hub.core.limits import MANIFEST_JWS_BYTES_MAX
from hub.core.manifest import Manifest, MessageType, ReceiptLevel
from hub.core.receipts import Claim, ClockIgnoredClaim, FlagClaim, GapClaim, ReceiptClaim, RoutedClaim
from hub.core.records import HUB_HEADER, JWS_HEADER, Record
from hub.core.refusals import RECIPIENT_REASONS, refuse
from hub.core.topics import inbox as inbox_topic
from hub.core.topics import outbox as outbox_topic
from hub.envelope import jws as signed
from hub.envelope.certificates import PathCache
from hub.envelope.checking import Checked, judge, judge_copy
from hub.envelope.manifest import decode
from hub.envelope.receipts import Cutter, HeadCache, read_bundle
from hub.errors import Held, Refused, UsageError, VerificationFailed

# Check (e) is the last of a judgement: whoever fails there has passed everything before, the signatures above all.
_SIGNED_CODES: Final = frozenset({None, "length-mismatch", "digest-mismatch"})


class Receiver:
    """The receiving half of a gateway."""

    def __init__(self, store: Store, *, me: AuthorityId, sealer: Sealer, opened: OpenedMessages) -> None:
        self._store = store
        self._me = me
        self._topic = inbox_topic(me)
        self._sealer = sealer
        self._opened = opened
        self._paths = PathCache()
        self._heads = HeadCache()

    def next_offset(self) -> int:
        """Where the inbox is read on."""
        with self._store.transaction() as connection:
            return inbox.next_offset(connection, self._topic)

    def take(self, records: Sequence[Record], view: TrustView, *, now_ms: int) -> Taken:
        """Take in the first of ``records``, which follow each other; one that was taken in before changes nothing.

        It ends before a record whose trust list is still to come. Raises ``Held`` when that is the first one, or there
        is no fresh trust list: nothing was stored then.
        """
        view.fresh(now_ms)
        progress = _Progress()
        try:
            return self._take(records, view, progress)
        except Held:  # all was rolled back
            if progress.taken == 0:
                raise
            return self._take(records[: progress.taken], view, _Progress())

    def _take(self, records: Sequence[Record], view: TrustView, progress: _Progress) -> Taken:
        alerts: list[Alert] = []
        with self._store.transaction() as connection:
            begin = inbox.next_offset(connection, self._topic)
            intake = Intake(connection)
            new = [record for record in records if record.offset >= begin]
            progress.taken = len(records) - len(new)
            for is_bundle, run in groupby(new, key=_is_bundle):
                batch = list(run)
                steps: Iterator[list[Alert]] = (
                    (self._bundle(intake, record, view) for record in batch)
                    if is_bundle
                    else (self._copy(intake, copy, view) for copy in self._judged(intake, batch, view))
                )
                for told in steps:
                    alerts += told
                    progress.taken += 1
            if new:
                intake.flush()
                inbox.advance(connection, self._topic, new[-1].offset + 1)
        return Taken(len(records), alerts)

    def judge_again(self, view: TrustView, *, now_ms: int) -> list[Alert]:
        """What did not verify so far, by a newer trust list. Raises ``Held``."""
        view.fresh(now_ms)
        alerts: list[Alert] = []
        with self._store.transaction() as connection:
            intake = Intake(connection)
            for parked in inbox.parked_unjudged(connection):
                alerts += self._again(intake, parked, view)
            intake.flush()
        return alerts

    # --- bundles --------------------------------------------------------------------------------

    def _bundle(self, intake: Intake, record: Record, view: TrustView) -> list[Alert]:
        value = record.value or b""
        try:
            bundle = read_bundle(value, inbox=self._topic, trust=view.newest, heads=self._heads)
        except (Refused, VerificationFailed) as error:
            self._set_aside(intake, record, kind="bundle", code=error.code)
            return [Alert(error.code, f"{self._topic}/{record.offset}", error.sentence)]
        standing = bundle_stand(
            bundle.chain,
            bundle.digest,
            last=intake.last_bundle(bundle.writer),
            same_number=intake.bundle_digest(bundle.writer, bundle.chain.n),
        )
        subject = f"{bundle.writer}/{bundle.chain.n}"
        if standing is BundleStand.REPEAT:
            return []
        if standing is BundleStand.FORK:
            self._set_aside(intake, record, kind="bundle", code=standing.value)
            return [Alert(standing.value, subject, "The hub signed two different bundles for one place.")]
        intake.add_bundle(bundle.writer, bundle.chain.n, bundle.digest)
        alerts: list[Alert] = []
        if standing is not BundleStand.NEXT:
            alerts.append(
                Alert(standing.value, subject, "A bundle of the hub is missing before this one, or came late.")
            )
        return alerts + self._claims(intake, record, list(enumerate(bundle.claims)), view)

    def _claims(
        self, intake: Intake, record: Record, claims: Sequence[tuple[int, Claim]], view: TrustView
    ) -> list[Alert]:
        """Take in claims of a bundle, each with its index. Receipts are about messages of ours: they go together."""
        cut = _Cut(record.value or b"")
        receipts = [(claim, partial(cut, index)) for index, claim in claims if isinstance(claim, ReceiptClaim)]
        alerts = settle(intake.connection, receipts, me=self._me) if receipts else []
        intake.know([claim.jws for _, claim in claims if isinstance(claim, RoutedClaim)])
        for index, claim in claims:
            if isinstance(claim, RoutedClaim):
                alerts += self._routed(intake, claim, view)
            elif isinstance(claim, GapClaim):
                alerts += self._gap(intake, claim, record=record, index=index, view=view)
            elif isinstance(claim, FlagClaim | ClockIgnoredClaim):
                intake.results.append(notice(claim, Evidence(HUB_RECEIPT, cut(index).decode())))
        return alerts

    def _routed(self, intake: Intake, claim: RoutedClaim, view: TrustView) -> list[Alert]:
        if intake.has_link(claim.jws):
            return []
        intake.add_claim(claim)
        alerts: list[Alert] = []
        if intake.any_parked:
            for parked in inbox.parked_copy(intake.connection, claim.jws):
                alerts += self._again(intake, parked, view)
        return alerts

    def _gap(self, intake: Intake, claim: GapClaim, *, record: Record, index: int, view: TrustView) -> list[Alert]:
        """A counted refusal: the refused manifest itself moves the chain, if it is authentic and next (protocol 1.6)."""
        digest = sha256(claim.jws_text.encode())
        try:
            manifest = self._refused_manifest(claim, view)
        except (Refused, VerificationFailed) as error:
            self._set_aside(intake, record, kind="gap", part=index, code=error.code, digest=digest)
            return [Alert(error.code, f"{self._topic}/{record.offset}", "A gap notice does not verify.")]
        standing = _standing(intake, manifest, digest)
        if standing is Stand.SEEN:
            return []
        if standing is not Stand.NEXT:
            return self._park(intake, record, manifest, digest, standing, kind="gap", part=index)
        intake.move_chain(manifest, digest)
        alerts = [Alert("message-gap", manifest.sender, f"The hub refused a message to us: {claim.code}.")]
        return alerts + self._release(intake, manifest.sender, view)

    def _refused_manifest(self, claim: GapClaim, view: TrustView) -> Manifest:
        trust = view.at(claim.trust_list)
        header = claim.jws_text.encode()
        manifest = decode(signed.parse(header, typ=signed.TYP_MANIFEST, bytes_max=MANIFEST_JWS_BYTES_MAX).payload)
        record = Record(
            topic=outbox_topic(manifest.sender),
            partition=claim.outbox.partition,
            offset=claim.outbox.offset,
            time_ms=claim.outbox.time_ms,
            key=manifest.record_key.encode(),
            value=b"",
            headers=((JWS_HEADER, header),),
        )
        code = judge(record, trust, paths=self._paths).code
        if code not in _SIGNED_CODES:
            raise Refused(code or "jws-malformed", "The refused manifest is not authentic.")
        if manifest.recipient != self._me or claim.outbox.topic != record.topic:
            raise VerificationFailed("claim-mismatch", "The gap notice is about another pair.")
        return manifest

    # --- copies ---------------------------------------------------------------------------------

    def _judged(self, intake: Intake, records: Sequence[Record], view: TrustView) -> Iterator[_Copy]:
        """The copies with their claims, checked as far as it goes without their chains; ends before one that is held.

        Raises ``Held`` there.
        """
        digests = [sha256(inbox.header(record)) for record in records]
        intake.know(digests)
        found: list[_Copy] = []
        held: Held | None = None
        for record, digest in zip(records, digests, strict=True):
            try:
                found.append(self._checked(intake, record, digest, view))
            except Held as error:
                held = error
                break
        intake.know_ids([copy.checked.manifest.id for copy in found if isinstance(copy.checked, Checked)])
        yield from found
        if held is not None:
            raise held

    def _checked(self, intake: Intake, record: Record, digest: Digest, view: TrustView) -> _Copy:
        claim = intake.claim(digest)
        checked: Checked | Refused | VerificationFailed | None = None
        if claim is not None:
            try:
                checked = judge_copy(record, claim, view, me=self._me, paths=self._paths)
            except (Refused, VerificationFailed) as error:
                checked = error
        return _Copy(record, digest, claim, checked)

    def _copy(self, intake: Intake, copy: _Copy, view: TrustView) -> list[Alert]:
        record, digest, claim, checked = copy.record, copy.digest, copy.claim, copy.checked
        subject = f"{self._topic}/{record.offset}"
        if intake.has_link(digest):
            return [Alert("copy-repeated", subject, "A message came again; it was delivered before.")]
        if claim is None or checked is None:
            self._set_aside(intake, record, kind="copy", code="unclaimed", digest=digest)
            return [Alert("unclaimed", subject, "A message came without the hub's claim; it waits for it.")]
        if not isinstance(checked, Checked):
            # The hub routed what it should have refused: nothing of it is delivered, and its sender gets no receipt.
            self._set_aside(intake, record, kind="copy", code=checked.code, digest=digest)
            return [Alert(checked.code, subject, "A message that the hub routed does not pass our checks.")]
        manifest = checked.manifest
        standing = _standing(intake, manifest, digest)
        if standing is not Stand.NEXT:
            return self._park(intake, record, manifest, digest, standing, kind="copy", part=0)
        alerts = self._accept(intake, record, manifest, claim)
        intake.move_chain(manifest, digest)
        intake.spend_claim(digest)
        return alerts + self._release(intake, manifest.sender, view)

    def _accept(self, intake: Intake, record: Record, manifest: Manifest, claim: RoutedClaim) -> list[Alert]:
        """The message is the next of its pair: keep it, or say why it cannot be opened. One id is delivered once."""
        if intake.known(manifest.sender, manifest.id):
            return [Alert("id-repeated", manifest.sender, "A message came under an id that was delivered before.")]
        if manifest.type is MessageType.RECEIPT:
            intake.add_message(record, manifest, claim, state="read")
            return read_levels(intake, inbox.header(record), manifest, time_ms=claim.outbox.time_ms)
        if manifest.thread is None:
            raise ValueError("a message without a thread passed the manifest's grammar")
        owe = partial(OwedReceipt, peer=manifest.sender, message=manifest.id, thread=manifest.thread)
        try:
            opened = self._sealer.open(record.value or b"", manifest)
            check_document(opened.content, manifest.type)
        except Refused as error:
            code = error.code if error.code in RECIPIENT_REASONS else "cannot-decrypt"
            intake.add_message(record, manifest, claim, state="refused", code=code)
            intake.owed.append(owe(level=ReceiptLevel.REFUSED, why=code))
            return [Alert(code, manifest.id, "A message to us was refused; its sender is told.")]
        intake.add_message(record, manifest, claim, state="stored")
        self._opened.keep(claim.jws, OpenedMessage(manifest, opened))
        if not manifest.attachments:
            intake.owed.append(owe(level=ReceiptLevel.DELIVERED, proof=proof(manifest.id, opened.salt)))
        return []

    # --- what is parked -------------------------------------------------------------------------

    def _set_aside(
        self,
        intake: Intake,
        record: Record,
        *,
        kind: str,
        code: str,
        part: int = 0,
        digest: Digest | None = None,
        manifest: Manifest | None = None,
    ) -> None:
        inbox.park(intake.connection, record, kind=kind, code=code, part=part, digest=digest, manifest=manifest)
        intake.any_parked = True

    def _park(
        self,
        intake: Intake,
        record: Record,
        manifest: Manifest,
        digest: Digest,
        standing: Stand,
        *,
        kind: str,
        part: int,
    ) -> list[Alert]:
        code = standing.value
        self._set_aside(intake, record, kind=kind, part=part, code=code, digest=digest, manifest=manifest)
        if standing is Stand.FORK:
            intake.write_pair(manifest.sender, replace(intake.pair(manifest.sender), blocked=code))
        sentence = "A message does not follow the one before; it and all that follow wait, nothing is delivered."
        return [Alert(code, manifest.sender, sentence)]

    def _release(self, intake: Intake, sender: AuthorityId, view: TrustView) -> list[Alert]:
        """What is parked for the place that came free; each release may free the next."""
        alerts: list[Alert] = []
        if intake.any_parked:
            for parked in inbox.parked_next(intake.connection, sender, intake.pair(sender).sequence + 1):
                alerts += self._again(intake, parked, view)
        return alerts

    def _again(self, intake: Intake, parked: inbox.Parked, view: TrustView) -> list[Alert]:
        record = parked.record
        inbox.unpark(intake.connection, parked)  # parking it anew undoes this
        if parked.kind == "copy":
            return self._copy(intake, self._checked(intake, record, sha256(inbox.header(record)), view), view)
        if parked.kind == "bundle":
            return self._bundle(intake, record, view)
        bundle = read_bundle(record.value or b"", inbox=self._topic, trust=view.newest, heads=self._heads)
        return self._claims(intake, record, [(parked.part, bundle.claims[parked.part])], view)


@dataclass(frozen=True, slots=True)
class Taken:
    """How many records are stored now, and what an operator should look at."""

    count: int
    alerts: Sequence[Alert]


@dataclass(slots=True)
class _Progress:
    """How many records a transaction has got through."""

    taken: int = 0


@dataclass(frozen=True, slots=True)
class _Copy:
    """A copy with the claim for it; ``checked`` is None when there is no claim, or why it does not pass."""

    record: Record
    digest: Digest
    claim: RoutedClaim | None
    checked: Checked | Refused | VerificationFailed | None


class _Cut:
    """Makes a bundle's receipts stand alone; the bundle is taken apart at the first."""

    def __init__(self, value: bytes) -> None:
        self._value = value
        self._cutter: Cutter | None = None

    def __call__(self, index: int) -> bytes:
        self._cutter = self._cutter or Cutter(self._value)
        return self._cutter.receipt(index)


def _is_bundle(record: Record) -> bool:
    return any(name == HUB_HEADER for name, _ in record.headers)


def check_document(content: bytes, message_type: MessageType) -> None:
    """Raise ``Refused(content-malformed)`` for a document that the legal plane does not know or finds incomplete."""
    try:
        check_carried(content, message_type)
    except UsageError:
        raise refuse("content-malformed") from None  # the sentence for its author names members, maybe unknown ones


def _standing(intake: Intake, manifest: Manifest, digest: Digest) -> Stand:
    return stand(
        intake.pair(manifest.sender),
        message=manifest.id,
        sequence=manifest.sequence,
        previous=manifest.previous,
        jws=digest,
        seen=intake.has_link(digest),
    )
