"""Records of our inbox, from the log to the store: each is taken in with its offset in one durable transaction.

Whatever a record is, it is stored, parked or refused, and the next one is read; only a trust list that is not fresh, or
still to come, makes the reading wait (``Held``). No broker and no national system here.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from connectors.casework.documents import check_carried
from connectors.gateway import inbox, outbox, results
from connectors.gateway.incoming import BundleStand, PairHead, Stand, bundle_stand, stand
from connectors.gateway.sealing import Sealer
from connectors.gateway.sending import HUB_RECEIPT, Sender
from connectors.gateway.store import Store
from connectors.ports import Evidence, Step
from connectors.seal.opening import proof
from hub.core.authority import TrustView
from hub.core.effects import Alert
from hub.core.ids import AuthorityId, Digest, sha256
from hub.core.limits import MANIFEST_JWS_BYTES_MAX
from hub.core.manifest import Manifest, MessageType, ReceiptLevel, ReceiptReference
from hub.core.receipts import Claim, ClockIgnoredClaim, FlagClaim, GapClaim, ReceiptClaim, RoutedClaim
from hub.core.records import HUB_HEADER, JWS_HEADER, Record
from hub.core.refusals import RECIPIENT_REASONS
from hub.core.times import format_time
from hub.core.topics import inbox as inbox_topic
from hub.core.topics import outbox as outbox_topic
from hub.envelope import jws as signed
from hub.envelope.certificates import PathCache
from hub.envelope.checking import judge, judge_copy
from hub.envelope.manifest import decode
from hub.envelope.receipts import HeadCache, cut_receipt, read_bundle
from hub.errors import Refused, UsageError, VerificationFailed

MANIFEST_EVIDENCE: Final = "manifest"
_STEPS: Final = {ReceiptLevel.DELIVERED: Step.DELIVERED, ReceiptLevel.OPENED: Step.OPENED}
# Check (e) is the last of a judgement: whoever fails there has passed everything before, the signatures above all.
_SIGNED_CODES: Final = frozenset({None, "length-mismatch", "digest-mismatch"})


class Receiver:
    """The receiving half of a gateway."""

    def __init__(self, store: Store, *, me: AuthorityId, sealer: Sealer, sender: Sender) -> None:
        self._store = store
        self._me = me
        self._topic = inbox_topic(me)
        self._sealer = sealer
        self._sender = sender
        self._paths = PathCache()
        self._heads = HeadCache()

    def next_offset(self) -> int:
        """Where the inbox is read on."""
        with self._store.transaction() as connection:
            return inbox.next_offset(connection, self._topic)

    def take(self, record: Record, view: TrustView, *, now_ms: int) -> list[Alert]:
        """Take in one record; a record that was taken in before changes nothing.

        Raises ``Held`` when there is no fresh trust list, or the record's is still to come: nothing was stored then.
        """
        view.fresh(now_ms)
        with self._store.transaction() as connection:
            if record.offset < inbox.next_offset(connection, self._topic):
                return []
            if any(name == HUB_HEADER for name, _ in record.headers):
                alerts = self._bundle(connection, record, view)
            else:
                alerts = self._copy(connection, record, view)
            inbox.advance(connection, self._topic, record.offset + 1)
        return alerts

    def judge_again(self, view: TrustView, *, now_ms: int) -> list[Alert]:
        """What did not verify so far, by a newer trust list. Raises ``Held``."""
        view.fresh(now_ms)
        alerts: list[Alert] = []
        with self._store.transaction() as connection:
            for parked in inbox.parked_unjudged(connection):
                alerts += self._again(connection, parked, view)
        return alerts

    # --- bundles --------------------------------------------------------------------------------

    def _bundle(self, connection: Connection, record: Record, view: TrustView) -> list[Alert]:
        value = record.value or b""
        try:
            bundle = read_bundle(value, inbox=self._topic, trust=view.newest, heads=self._heads)
        except (Refused, VerificationFailed) as error:
            inbox.park(connection, record, kind="bundle", code=error.code)
            return [Alert(error.code, f"{self._topic}/{record.offset}", error.sentence)]
        standing = bundle_stand(
            bundle.chain,
            bundle.digest,
            last=inbox.last_bundle(connection, bundle.writer),
            same_number=inbox.bundle_digest(connection, bundle.writer, bundle.chain.n),
        )
        subject = f"{bundle.writer}/{bundle.chain.n}"
        if standing is BundleStand.REPEAT:
            return []
        if standing is BundleStand.FORK:
            inbox.park(connection, record, kind="bundle", code=standing.value)
            return [Alert(standing.value, subject, "The hub signed two different bundles for one place.")]
        inbox.add_bundle(connection, bundle.writer, bundle.chain.n, bundle.digest)
        alerts: list[Alert] = []
        if standing is not BundleStand.NEXT:
            alerts.append(
                Alert(standing.value, subject, "A bundle of the hub is missing before this one, or came late.")
            )
        for index, claim in enumerate(bundle.claims):
            alerts += self._claim(connection, claim, record=record, index=index, view=view)
        return alerts

    def _claim(
        self, connection: Connection, claim: Claim, *, record: Record, index: int, view: TrustView
    ) -> list[Alert]:
        value = record.value or b""
        if isinstance(claim, ReceiptClaim):
            return self._sender.receipt(connection, claim, lambda: cut_receipt(value, index))
        if isinstance(claim, RoutedClaim):
            return self._routed(connection, claim, view)
        if isinstance(claim, GapClaim):
            return self._gap(connection, claim, record=record, index=index, view=view)
        if isinstance(claim, FlagClaim | ClockIgnoredClaim):
            _notice(connection, claim, Evidence(HUB_RECEIPT, cut_receipt(value, index).decode()))
        return []

    def _routed(self, connection: Connection, claim: RoutedClaim, view: TrustView) -> list[Alert]:
        if inbox.has_link(connection, claim.jws):
            return []
        inbox.add_claim(connection, claim)
        alerts: list[Alert] = []
        for parked in inbox.parked_copy(connection, claim.jws):
            alerts += self._again(connection, parked, view)
        return alerts

    def _gap(
        self, connection: Connection, claim: GapClaim, *, record: Record, index: int, view: TrustView
    ) -> list[Alert]:
        """A counted refusal: the refused manifest itself moves the chain, if it is authentic and next (protocol 1.6)."""
        digest = sha256(claim.jws_text.encode())
        try:
            manifest = self._refused_manifest(claim, view)
        except (Refused, VerificationFailed) as error:
            inbox.park(connection, record, kind="gap", part=index, code=error.code, digest=digest)
            return [Alert(error.code, f"{self._topic}/{record.offset}", "A gap notice does not verify.")]
        pair = inbox.read_pair(connection, manifest.sender)
        standing = _standing(connection, pair, manifest, digest)
        if standing is Stand.SEEN:
            return []
        if standing is not Stand.NEXT:
            return self._park(connection, record, manifest, digest, standing, kind="gap", part=index)
        inbox.move_chain(connection, manifest, digest, pair)
        alerts = [Alert("message-gap", manifest.sender, f"The hub refused a message to us: {claim.code}.")]
        return alerts + self._release(connection, manifest.sender, view)

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

    def _copy(self, connection: Connection, record: Record, view: TrustView) -> list[Alert]:
        digest = sha256(inbox.header(record))
        subject = f"{self._topic}/{record.offset}"
        if inbox.has_link(connection, digest):
            return [Alert("copy-repeated", subject, "A message came again; it was delivered before.")]
        claim = inbox.find_claim(connection, digest)
        if claim is None:
            inbox.park(connection, record, kind="copy", code="unclaimed", digest=digest)
            return [Alert("unclaimed", subject, "A message came without the hub's claim; it waits for it.")]
        try:
            checked = judge_copy(record, claim, view, me=self._me, paths=self._paths)
        except (Refused, VerificationFailed) as error:
            # The hub routed what it should have refused: nothing of it is delivered, and its sender gets no receipt.
            inbox.park(connection, record, kind="copy", code=error.code, digest=digest)
            return [Alert(error.code, subject, "A message that the hub routed does not pass our checks.")]
        manifest = checked.manifest
        pair = inbox.read_pair(connection, manifest.sender)
        standing = _standing(connection, pair, manifest, digest)
        if standing is not Stand.NEXT:
            return self._park(connection, record, manifest, digest, standing, kind="copy", part=0)
        alerts = self._accept(connection, record, manifest, claim)
        inbox.move_chain(connection, manifest, digest, pair)
        inbox.spend_claim(connection, digest)
        return alerts + self._release(connection, manifest.sender, view)

    def _accept(self, connection: Connection, record: Record, manifest: Manifest, claim: RoutedClaim) -> list[Alert]:
        """The message is the next of its pair: keep it, or say why it cannot be opened. One id is delivered once."""
        if inbox.known(connection, manifest.sender, manifest.id):
            return [Alert("id-repeated", manifest.sender, "A message came under an id that was delivered before.")]
        if manifest.type is MessageType.RECEIPT:
            inbox.add_message(connection, record, manifest, claim, state="read")
            return self._levels(connection, record, manifest, claim)
        if manifest.thread is None:
            raise ValueError("a message without a thread passed the manifest's grammar")
        try:
            opened = self._sealer.open(record.value or b"", manifest)
            check_document(opened.content, manifest.type)
        except Refused as error:
            code = error.code if error.code in RECIPIENT_REASONS else "cannot-decrypt"
            inbox.add_message(connection, record, manifest, claim, state="refused", code=code)
            refused = ReceiptLevel.REFUSED
            results.owe_receipt(connection, manifest.sender, manifest.id, manifest.thread, refused, why=code)
            return [Alert(code, manifest.id, "A message to us was refused; its sender is told.")]
        inbox.add_message(connection, record, manifest, claim, state="stored")
        if not manifest.attachments:
            shown = proof(manifest.id, opened.salt)
            delivered = ReceiptLevel.DELIVERED
            results.owe_receipt(connection, manifest.sender, manifest.id, manifest.thread, delivered, proof=shown)
        return []

    def _levels(self, connection: Connection, record: Record, manifest: Manifest, claim: RoutedClaim) -> list[Alert]:
        """A receipt list about messages of ours: believed where id, thread, pair and proof fit."""
        evidence = Evidence(MANIFEST_EVIDENCE, inbox.header(record).decode())
        alerts: list[Alert] = []
        for reference in manifest.receipts:
            message = outbox.find(connection, reference.message)
            if message is None or (message.recipient, message.thread) != (manifest.sender, reference.thread):
                alerts.append(
                    Alert("receipt-unfitting", manifest.sender, "A receipt names a message that is not its own.")
                )
            elif reference.level is ReceiptLevel.REFUSED:
                _refused_by_recipient(connection, message, reference, evidence)
            elif reference.proof != message.proof:
                alerts.append(Alert("receipt-unproved", message.id, "A receipt does not prove that it was opened."))
            else:
                step, time_ms = _STEPS[reference.level], claim.outbox.time_ms
                results.add_step(connection, message.id, step, time_ms=time_ms, evidence=evidence)
        return alerts

    # --- what is parked -------------------------------------------------------------------------

    def _park(
        self,
        connection: Connection,
        record: Record,
        manifest: Manifest,
        digest: Digest,
        standing: Stand,
        *,
        kind: str,
        part: int,
    ) -> list[Alert]:
        code = standing.value
        inbox.park(connection, record, kind=kind, part=part, code=code, digest=digest, manifest=manifest)
        if standing is Stand.FORK:
            pair = inbox.read_pair(connection, manifest.sender)
            inbox.write_pair(connection, manifest.sender, PairHead(pair.sequence, pair.head, blocked=code))
        sentence = "A message does not follow the one before; it and all that follow wait, nothing is delivered."
        return [Alert(code, manifest.sender, sentence)]

    def _release(self, connection: Connection, sender: AuthorityId, view: TrustView) -> list[Alert]:
        """What is parked for the place that came free; each release may free the next."""
        pair = inbox.read_pair(connection, sender)
        alerts: list[Alert] = []
        for parked in inbox.parked_next(connection, sender, pair.sequence + 1):
            alerts += self._again(connection, parked, view)
        return alerts

    def _again(self, connection: Connection, parked: inbox.Parked, view: TrustView) -> list[Alert]:
        inbox.unpark(connection, parked)  # parking it anew undoes this
        if parked.kind == "copy":
            return self._copy(connection, parked.record, view)
        if parked.kind == "bundle":
            return self._bundle(connection, parked.record, view)
        value = parked.record.value or b""
        bundle = read_bundle(value, inbox=self._topic, trust=view.newest, heads=self._heads)
        claim = bundle.claims[parked.part]
        return self._claim(connection, claim, record=parked.record, index=parked.part, view=view)


def check_document(content: bytes, message_type: MessageType) -> None:
    """Raise ``Refused(content-malformed)`` for a document that the legal plane does not know or finds incomplete."""
    try:
        check_carried(content, message_type)
    except UsageError as error:
        raise Refused("content-malformed", error.sentence) from None


def _standing(connection: Connection, pair: PairHead, manifest: Manifest, digest: Digest) -> Stand:
    return stand(
        pair,
        message=manifest.id,
        sequence=manifest.sequence,
        previous=manifest.previous,
        jws=digest,
        seen=inbox.has_link(connection, digest),
    )


def _refused_by_recipient(
    connection: Connection, message: outbox.OutgoingMessage, reference: ReceiptReference, evidence: Evidence
) -> None:
    code = reference.why or "cannot-decrypt"
    outbox.set_state(connection, message.id, "failed", code)
    meaning = RECIPIENT_REASONS.get(code, "its connector gives an unknown reason")
    sentence = (
        f"The recipient's connector refused it after the hub had accepted it: {meaning}. Send it as a new message."
    )
    results.add_problem(connection, message.id, code=code, sentence=sentence, evidence=evidence)


def _notice(connection: Connection, claim: FlagClaim | ClockIgnoredClaim, evidence: Evidence) -> None:
    facts: dict[str, str | int | None] = {
        "thread": claim.thread,
        "clock": claim.clock,
        "message": claim.message,
        "time": format_time(claim.time_ms),
    }
    if isinstance(claim, FlagClaim):
        facts |= {
            "flag": claim.flag.value,
            "percent": claim.percent,
            "clock_kind": claim.kind.value,
            "waits": claim.pair.sender,
            "owes": claim.pair.recipient,
            "due": format_time(claim.due_ms),
        }
        results.add_notice(connection, claim.id, "flag", facts, evidence)
    else:
        facts |= {"code": claim.code, "from": claim.pair.sender, "to": claim.pair.recipient}
        results.add_notice(connection, claim.id, "clk-ignored", facts, evidence)
