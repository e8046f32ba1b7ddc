"""Messages of ours, from the hand-in to the hub's receipt: decisions of ``outgoing`` on the rows of ``outbox``.

No broker here: ``loops`` publishes what ``to_publish`` gives and reports where it lies. Every method is one durable
transaction, so that a crash between any two leaves work that the next start finds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from connectors.casework.documents import check_carried
from connectors.gateway import outbox, results
from connectors.gateway.drafts import UUID_RANDOM_BYTES, KeptDraft, keep
from connectors.gateway.outgoing import (
    RESEND_MS_MIN,
    Judgement,
    Verdict,
    confirmed,
    judge,
    may_seal,
    resend_after_ms,
    restarted,
    sealed,
    stalled,
)
from connectors.gateway.sealing import Sealer
from connectors.gateway.store import Store
from connectors.ports import Evidence, HandIn, Step
from hub.core.authority import TrustList, TrustView
from hub.core.effects import Alert
from hub.core.ids import AuthorityId, Digest, KeyId, MessageId, ThreadId, uuid7
from hub.core.limits import BATCH_BYTES_MAX
from hub.core.manifest import MessageType
from hub.core.receipts import ReceiptClaim
from hub.core.records import JWS_HEADER, Outgoing
from hub.core.refusals import REASONS
from hub.core.topics import outbox as outbox_topic
from hub.envelope.trust import KeyStatement
from hub.errors import Held, Refused, UsageError, VerificationFailed
from hub.ports import Chance

PUBLISH_COUNT_MAX = 64  # records of one send
HUB_RECEIPT = "hub-receipt"


@dataclass(frozen=True, slots=True)
class Parcel:
    """Bytes to publish, and whose they are."""

    message: MessageId
    digest: Digest
    record: Outgoing


class Sender:
    """The sending half of a gateway."""

    def __init__(self, store: Store, *, me: AuthorityId, sealer: Sealer, chance: Chance) -> None:
        self._store = store
        self._me = me
        self._sealer = sealer
        self._chance = chance

    # --- the hand-in ----------------------------------------------------------------------------

    def take(self, hand_in: HandIn, *, now_ms: int) -> KeptDraft | None:
        """Keep a hand-in; its draft if files are still to be uploaded, else None.

        Raises ``UsageError``: ``recipient-self``, ``reply-unknown`` when it answers a message that we do not have, and
        as ``connectors.casework.documents.check_carried``; ``Conflict``: ``hand-in-conflict``, ``id-used``.
        """
        if hand_in.recipient == self._me:
            raise UsageError("recipient-self", "The message is addressed to its own sender.")
        check_carried(hand_in.document, hand_in.type)
        with self._store.transaction() as connection:
            vault = self._store.vault
            known = outbox.known_hand_in(connection, vault, hand_in.key, hand_in.digest)
            if known is None:
                thread = self._answered_thread(connection, hand_in)
                draft = keep(hand_in, answered_thread=thread, now_ms=now_ms, chance=self._chance.bytes)
                outbox.add_draft(connection, vault, draft, hand_in.digest)
                return draft if draft.files else None
            return outbox.read_draft(connection, vault, known.id) if known.state == "draft" else None

    def _answered_thread(self, connection: Connection, hand_in: HandIn) -> ThreadId | None:
        if hand_in.in_reply_to is None:
            return None
        thread = outbox.thread_between(connection, hand_in.recipient, hand_in.in_reply_to)
        if thread is None:
            raise UsageError(
                "reply-unknown", f"There is no message {hand_in.in_reply_to} from or to {hand_in.recipient}."
            )
        if hand_in.thread not in {None, thread}:
            raise UsageError("thread-differs", "The thread is not that of the message that is answered; leave it null.")
        return thread

    def uploaded(self, draft: KeptDraft) -> None:
        """All files of the draft are in the object store."""
        with self._store.transaction() as connection:
            outbox.uploaded(connection, self._store.vault, draft)

    def lost_drafts(self, still_there: Callable[[str], bool]) -> Sequence[MessageId]:
        """Drafts whose files were never uploaded and whose hand-in is not there any more: they fail now."""
        lost: list[MessageId] = []
        with self._store.transaction() as connection:
            for message in outbox.drafts(connection):
                if not still_there(outbox.read_draft(connection, self._store.vault, message.id).key):
                    lost.append(message.id)
                    sentence = (
                        "The hand-in was taken away before its files were read; hand it in again, under a new name."
                    )
                    self._fail(connection, message, "hand-in-vanished", sentence, None)
        return lost

    def unusable(self, draft: KeptDraft, code: str, sentence: str) -> None:
        """A file of the draft is not what its manifest says: the message fails."""
        with self._store.transaction() as connection:
            message = outbox.find(connection, draft.id)
            if message is not None and message.state == "draft":
                self._fail(connection, message, code, sentence, None)

    # --- sealing --------------------------------------------------------------------------------

    def seal_waiting(self, view: TrustView, statements: Mapping[KeyId, KeyStatement], *, now_ms: int) -> list[Alert]:
        """Seal all that may be sealed now. Receipts that are owed to a recipient go before anything else to it.

        Each message takes its number, is sealed and stored in one transaction. Alerts say what has to wait and why.
        """
        try:
            trust = view.fresh(now_ms)
        except Held as error:
            return [Alert(error.code, self._me, error.sentence)]
        alerts: list[Alert] = []
        with self._store.transaction() as connection:
            for peer in results.owed_peers(connection):
                self._list_receipts(connection, peer, now_ms)
            recipients = outbox.ready_recipients(connection)
        for recipient in recipients:
            try:
                while self._seal_next(recipient, statements, trust, now_ms=now_ms):
                    pass
            except (UsageError, Refused, VerificationFailed) as error:
                alerts.append(Alert(error.code, recipient, error.sentence))
        return alerts

    def _list_receipts(self, connection: Connection, peer: AuthorityId, now_ms: int) -> None:
        message = uuid7(now_ms, self._chance.bytes(UUID_RANDOM_BYTES))
        references = results.take_owed(connection, peer, message)
        if references:
            outbox.add_receipt_list(connection, self._store.vault, message, peer, references)

    def _seal_next(
        self,
        recipient: AuthorityId,
        statements: Mapping[KeyId, KeyStatement],
        trust: TrustList,
        *,
        now_ms: int,
    ) -> bool:
        with self._store.transaction() as connection:
            message = outbox.next_ready(connection, recipient)
            pair = outbox.read_pair(connection, recipient)
            flight = outbox.in_flight(connection, recipient)
            lowest = min((each.sequence for each in flight if each.sequence is not None), default=None)
            if message is None or not may_seal(pair, lowest_in_flight=lowest):
                return False
            try:
                if message.type is MessageType.RECEIPT:
                    references = outbox.receipt_references(connection, message.id)
                    done = self._sealer.receipts(
                        message.id, recipient, references, chain=pair.next, trust=trust, now_ms=now_ms
                    )
                else:
                    draft = outbox.read_draft(connection, self._store.vault, message.id)
                    done = self._sealer.message(draft, statements, chain=pair.next, trust=trust, now_ms=now_ms)
            except UsageError as error:
                if error.code not in self._sealer.final_codes:
                    raise
                self._fail(connection, message, error.code, error.sentence, None)
                return True
            outbox.store_sealed(connection, done)
            outbox.write_pair(connection, recipient, sealed(pair, done.digest))
        return True

    # --- publishing -----------------------------------------------------------------------------

    def to_publish(self, *, now_ms: int) -> Sequence[Parcel]:
        """What was never published, or waits for its receipt too long, in the pairs' order; the attempt is noted."""
        parcels: list[Parcel] = []
        size = 0
        with self._store.transaction() as connection:
            waiting = outbox.unanswered(
                connection, tried_before_ms=now_ms - RESEND_MS_MIN, count_max=4 * PUBLISH_COUNT_MAX
            )
            for each in waiting:
                size += len(each.jws) + len(each.value)
                if len(parcels) == PUBLISH_COUNT_MAX or (parcels and size > BATCH_BYTES_MAX):
                    break
                if each.tried_ms is None or now_ms - each.tried_ms >= resend_after_ms(each.attempts):
                    record = Outgoing(
                        topic=outbox_topic(self._me),
                        key=each.record_key.encode(),
                        value=each.value,
                        headers=((JWS_HEADER, each.jws),),
                    )
                    parcels.append(Parcel(each.id, each.digest, record))
            outbox.trying(connection, [parcel.message for parcel in parcels], now_ms)
        return parcels

    def published(self, parcels: Sequence[tuple[Parcel, int]]) -> None:
        """Where the copies lie: ``(parcel, offset)``. A receipt may have come before we learnt it."""
        with self._store.transaction() as connection:
            for parcel, offset in parcels:
                outbox.published(connection, parcel.message, parcel.digest, offset)
            for message in dict.fromkeys(parcel.message for parcel, _ in parcels):
                known = outbox.find(connection, message)
                if known is not None and outbox.read_pair(connection, known.recipient).stalled:
                    self._judge(connection, message)
                    self._restart(connection, known.recipient)

    # --- the hub's receipts ---------------------------------------------------------------------

    def receipt(self, connection: Connection, claim: ReceiptClaim, cut: Callable[[], bytes]) -> list[Alert]:
        """Take in a verified receipt of the hub, within the transaction that reads its bundle.

        ``cut`` makes it stand alone: it costs milliseconds in a full bundle, so only what is told or refused is cut.
        """
        message = None if claim.jws is None else self._message_of(connection, claim.jws)
        if message is None or claim.jws is None or claim.outbox.topic != outbox_topic(self._me):
            return self._foreign(connection, claim, cut())
        current = outbox.find(connection, message)
        if current is None:
            return self._foreign(connection, claim, cut())
        outbox.settle_copy(
            connection,
            message,
            claim.jws,
            claim.outbox.offset,
            code=claim.code,
            counted=claim.counted,
            evidence=None if claim.accepted else cut(),
        )
        pair = outbox.read_pair(connection, current.recipient)
        if (claim.accepted or claim.counted) and current.digest == claim.jws and current.sequence is not None:
            pair = confirmed(pair, current.sequence, claim.jws)
        elif claim.expected is not None:
            pair = confirmed(pair, claim.expected[0] - 1, claim.expected[1])
        refused = not claim.accepted and not claim.counted
        if refused and current.state == "sealed":
            pair = stalled(pair)
        outbox.write_pair(connection, current.recipient, pair)
        if claim.accepted and current.state != "accepted" and current.type is not MessageType.RECEIPT:
            proof = Evidence(HUB_RECEIPT, cut().decode())
            results.add_step(connection, message, Step.ACCEPTED, time_ms=claim.outbox.time_ms, evidence=proof)
        if current.state in {"sealed", "ready"}:
            self._judge(connection, message, accepted_now=claim.accepted)
        self._restart(connection, current.recipient)
        return (
            [] if claim.code is None else [Alert(claim.code, message, "The hub refused a copy of a message of ours.")]
        )

    def _message_of(self, connection: Connection, jws: Digest) -> MessageId | None:
        message = outbox.find_sealed(connection, jws)
        return outbox.owner_of_copy(connection, jws) if message is None else message.id

    def _foreign(self, connection: Connection, claim: ReceiptClaim, evidence: bytes) -> list[Alert]:
        # Somebody wrote to our outbox who holds our transport key, or the hub speaks of what never was.
        facts = {"code": claim.code, "offset": claim.outbox.offset, "time_ms": claim.outbox.time_ms, "jws": claim.jws}
        results.add_notice(connection, claim.id, "record-not-ours", facts, Evidence(HUB_RECEIPT, evidence.decode()))
        return [Alert("record-not-ours", self._me, "The hub judged a record in our outbox that we did not publish.")]

    def _judge(self, connection: Connection, message: MessageId, *, accepted_now: bool = False) -> None:
        current = outbox.find(connection, message)
        if current is None or current.state not in {"sealed", "ready"}:
            return
        if accepted_now:
            outbox.set_state(connection, message, "accepted")
            return
        judgement = self._judgement(connection, current)
        if judgement.verdict is Verdict.FAILED:
            code = judgement.code or "unknown"
            reason = REASONS.get(code)
            sentence = f"The hub refused it: {reason.meaning}; {reason.remedy}." if reason else "The hub refused it."
            evidence = outbox.refusal_evidence(connection, current.digest, code) if current.digest else None
            proof = None if evidence is None else Evidence(HUB_RECEIPT, evidence.decode())
            self._fail(connection, current, code, sentence, proof)

    def _judgement(self, connection: Connection, message: outbox.OutgoingMessage) -> Judgement:
        if message.digest is None or message.state != "sealed":
            return Judgement(Verdict.WAIT)
        copies = outbox.copies(connection, message.digest)
        return judge(copies, seals=message.seals, last_attempt_known=message.known)

    def _restart(self, connection: Connection, recipient: AuthorityId) -> None:
        """When all copies of a stalled pair are judged, go on from the number that the hub expects."""
        pair = outbox.read_pair(connection, recipient)
        if not pair.stalled:
            return
        flight = outbox.in_flight(connection, recipient)
        if any(self._judgement(connection, each).verdict is Verdict.WAIT for each in flight):
            return
        for each in flight:
            outbox.set_state(connection, each.id, "ready")
        outbox.write_pair(connection, recipient, restarted(pair))

    def _fail(
        self,
        connection: Connection,
        message: outbox.OutgoingMessage,
        code: str,
        sentence: str,
        evidence: Evidence | None,
    ) -> None:
        outbox.set_state(connection, message.id, "failed", code)
        if message.type is not MessageType.RECEIPT:
            results.add_problem(connection, message.id, code=code, sentence=sentence, evidence=evidence)
        elif code in {"expired", "not-yet-valid"}:
            results.owe_again(connection, message.id)
