"""Messages of ours, from the hand-in to the log: decisions of ``outgoing`` on the rows of ``outbox``.

No broker here: ``loops`` publishes what ``seal_waiting`` and ``to_publish`` give and reports where it lies. Every
method is one durable transaction, so that a crash between any two leaves work that the next start finds; each takes as
much as waits, up to a batch, since a transaction's flush to the disk costs more than what it writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from connectors.casework.documents import check_carried
from connectors.gateway import copies, outbox, owed
from connectors.gateway.drafts import UUID_RANDOM_BYTES, KeptDraft, keep
from connectors.gateway.outgoing import RESEND_MS_MIN, PairState, resend_after_ms, room, seal_now, sealed
from connectors.gateway.sealing import Sealer
from connectors.gateway.settling import fail, settled_meanwhile
from connectors.gateway.store import Store
from connectors.ports import HandIn
from connectors.seal.sealing import Encrypted, Sealed
from hub.core.authority import TrustList, TrustView
from hub.core.effects import Alert
from hub.core.ids import AuthorityId, Digest, KeyId, MessageId, ThreadId, uuid7
from hub.core.limits import BATCH_BYTES_MAX, RECEIPTS_PER_MANIFEST_MAX
from hub.core.records import JWS_HEADER, Outgoing
from hub.core.topics import outbox as outbox_topic
from hub.envelope.trust import KeyStatement
from hub.errors import ComityError, Conflict, Held, Refused, UsageError, VerificationFailed
from hub.ports import Chance

SEAL_COUNT_MAX: Final = 96  # of one batch: they take 0.2 s, in which nothing else is done
PUBLISH_COUNT_MAX: Final = 64  # records that are sent again at once


@dataclass(frozen=True, slots=True)
class Parcel:
    """Bytes to publish, and whose they are."""

    message: MessageId
    recipient: AuthorityId
    digest: Digest
    record: Outgoing


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What was sealed, to be published in this order; alerts say what has to wait and why.

    ``failed``: whether messages failed for good; ``again_in_ms``: when receipts that wait for company are due.
    """

    parcels: Sequence[Parcel]
    alerts: Sequence[Alert]
    failed: bool = False
    again_in_ms: int | None = None


Taken = KeptDraft | UsageError | None
"""What became of a hand-in: a draft whose files are still to be uploaded, an error, or None: all is well."""


class Sender:
    """The sending half of a gateway.

    ``receipts_wait_ms``: how long receipts wait for others to the same peer, since a list of 32 costs as much as a list of
    one, and all lists go in one batch. Those that a reply has to follow do not wait.
    """

    def __init__(
        self, store: Store, *, me: AuthorityId, sealer: Sealer, chance: Chance, receipts_wait_ms: int = 0
    ) -> None:
        self._store = store
        self._me = me
        self._sealer = sealer
        self._chance = chance
        self._receipts_wait_ms = receipts_wait_ms
        self._owed_since: dict[AuthorityId, int] = {}

    # --- the hand-in ----------------------------------------------------------------------------

    def take(self, hand_ins: Sequence[HandIn], *, now_ms: int) -> Sequence[Taken]:
        """Keep hand-ins; what became of each.

        Errors: ``UsageError``: ``recipient-self``, ``reply-unknown`` when it answers a message that we do not have, and
        as ``connectors.casework.documents.check_carried``; ``Conflict``: ``hand-in-conflict``, ``id-used``.
        """
        taken: list[Taken] = []
        new: dict[MessageId, tuple[KeptDraft, Digest]] = {}
        with self._store.transaction() as connection:
            known = outbox.known_hand_ins(connection, self._store.vault, hand_ins)
            used = outbox.used_ids(connection, [hand_in.key for hand_in in hand_ins])  # a key may become the id
            kept: dict[str, tuple[KeptDraft, Digest]] = {}
            for hand_in in hand_ins:
                try:
                    self._check(hand_in)
                    before = known.get(hand_in.key) or kept.get(hand_in.key)
                    if before is not None:
                        _check_same(hand_in, before[1])
                        taken.append(self._unfinished(connection, known.get(hand_in.key)))
                        continue
                    draft = self._new(connection, hand_in, now_ms)
                    if draft.id in new or draft.id in used:
                        raise Conflict(
                            "id-used", "A message of this id was sent before; use a new name for the hand-in."
                        )
                except UsageError as error:
                    taken.append(error)
                else:
                    new[draft.id] = kept[hand_in.key] = draft, hand_in.digest
                    taken.append(draft if draft.files else None)
            outbox.add_drafts(connection, self._store.vault, list(new.values()))
        return taken

    def _check(self, hand_in: HandIn) -> None:
        if hand_in.recipient == self._me:
            raise UsageError("recipient-self", "The message is addressed to its own sender.")
        check_carried(hand_in.document, hand_in.type)

    def _unfinished(
        self, connection: Connection, known: tuple[outbox.OutgoingMessage, Digest] | None
    ) -> KeptDraft | None:
        if known is None or known[0].state != "draft":
            return None
        return outbox.read_draft(connection, self._store.vault, known[0].id)

    def _new(self, connection: Connection, hand_in: HandIn, now_ms: int) -> KeptDraft:
        thread = self._answered_thread(connection, hand_in)
        return keep(hand_in, answered_thread=thread, now_ms=now_ms, chance=self._chance.bytes)

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
            drafts = outbox.drafts(connection)
            names = outbox.names(connection, self._store.vault, [each.id for each in drafts]) if drafts else {}
            for message in drafts:
                if not still_there(names[message.id]):
                    lost.append(message.id)
                    sentence = (
                        "The hand-in was taken away before its files were read; hand it in again, under a new name."
                    )
                    fail(connection, message, "hand-in-vanished", sentence, None)
        return lost

    def unusable(self, draft: KeptDraft, code: str, sentence: str) -> None:
        """A file of the draft is not what its manifest says: the message fails."""
        with self._store.transaction() as connection:
            message = outbox.find(connection, draft.id)
            if message is not None and message.state == "draft":
                fail(connection, message, code, sentence, None)

    # --- sealing --------------------------------------------------------------------------------

    def seal_waiting(self, view: TrustView, statements: Mapping[KeyId, KeyStatement], *, now_ms: int) -> Batch:
        """Seal what may be sealed now, up to a batch. Receipts that a message has to follow go before it.

        The messages take their numbers, are sealed and stored, and their publishing is noted, in one transaction.
        """
        try:
            trust = view.fresh(now_ms)
        except Held as error:
            return Batch(parcels=(), alerts=[Alert(error.code, self._me, error.sentence)])
        alerts: list[Alert] = []
        done: list[Sealed] = []
        failed = False
        with self._store.transaction() as connection:
            again_in_ms = self._list_receipts(connection, now_ms)
            ready = outbox.ready_recipients(connection)
            if ready:
                pairs = copies.read_pairs(connection, ready)
                lowest = outbox.lowest_in_flight(connection, ready)
                for recipient, waiting in ready.items():
                    count_max = SEAL_COUNT_MAX - len(done)
                    work = _Work(recipient, waiting, pairs[recipient], lowest.get(recipient), count_max)
                    alerts += self._seal(connection, work, statements, trust, now_ms=now_ms)
                    done += work.done
                    failed = failed or work.failed
                    pairs[recipient] = work.pair
                outbox.store_sealed(connection, done, now_ms=now_ms)
                changed = {each.manifest.recipient for each in done}
                copies.write_pairs(connection, {recipient: pairs[recipient] for recipient in changed})
        parcels = [self._parcel(each) for each in done]
        return Batch(parcels=parcels, alerts=alerts, failed=failed, again_in_ms=again_in_ms)

    def _seal(
        self,
        connection: Connection,
        work: _Work,
        statements: Mapping[KeyId, KeyStatement],
        trust: TrustList,
        *,
        now_ms: int,
    ) -> list[Alert]:
        """Seal the next messages of one pair. An alert says why the rest of it waits."""
        free = room(work.pair, lowest_in_flight=work.lowest)
        count = min(seal_now(free, work.waiting), work.count_max)
        if count <= 0:
            return []
        alerts: list[Alert] = []
        encrypted: list[tuple[outbox.OutgoingMessage, Encrypted | None]] = []
        for message, draft in outbox.next_ready(connection, self._store.vault, work.recipient, count_max=count):
            try:
                body = None if draft is None else self._sealer.encrypt(draft, statements, trust=trust, now_ms=now_ms)
            except (UsageError, Refused, VerificationFailed) as error:
                if not self._is_final(error):
                    alerts.append(Alert(error.code, work.recipient, error.sentence))
                    break
                work.fail(connection, message, error)
            else:
                encrypted.append((message, body))
        for message, body in encrypted:
            try:
                work.add(self._sign(connection, message, body, work, trust, now_ms=now_ms))
            except (UsageError, Refused, VerificationFailed) as error:
                if not self._is_final(error):
                    return [Alert(error.code, work.recipient, error.sentence)]
                work.fail(connection, message, error)
        return alerts

    def _is_final(self, error: ComityError) -> bool:
        return isinstance(error, UsageError) and error.code in self._sealer.final_codes

    def _sign(
        self,
        connection: Connection,
        message: outbox.OutgoingMessage,
        body: Encrypted | None,
        work: _Work,
        trust: TrustList,
        *,
        now_ms: int,
    ) -> Sealed:
        if body is not None:
            return self._sealer.sign(body, chain=work.pair.next)
        references = owed.references(connection, message.id)
        return self._sealer.receipts(
            message.id, work.recipient, references, chain=work.pair.next, trust=trust, now_ms=now_ms
        )

    def _list_receipts(self, connection: Connection, now_ms: int) -> int | None:
        """Make lists of what is due; in how many milliseconds more will be."""
        counts = owed.counts(connection)
        replying = outbox.replying_recipients(connection) if counts else set()
        since = {peer: self._owed_since.get(peer, now_ms) for peer in counts}
        for peer, count in counts.items():
            if peer in replying or now_ms - since[peer] >= self._receipts_wait_ms:
                for _ in range(0, count, RECEIPTS_PER_MANIFEST_MAX):
                    message = uuid7(now_ms, self._chance.bytes(UUID_RANDOM_BYTES))
                    owed.take(connection, peer, message)
                    outbox.add_receipt_list(connection, message, peer)
                del since[peer]
        self._owed_since = since
        return max(0, min(since.values()) + self._receipts_wait_ms - now_ms) if since else None

    def _parcel(self, done: Sealed) -> Parcel:
        manifest = done.manifest
        record = self._record(manifest.record_key, done.jws, done.value)
        return Parcel(manifest.id, manifest.recipient, done.digest, record)

    def _record(self, key: str, jws: bytes, value: bytes) -> Outgoing:
        return Outgoing(topic=outbox_topic(self._me), key=key.encode(), value=value, headers=((JWS_HEADER, jws),))

    # --- publishing -----------------------------------------------------------------------------

    def to_publish(self, *, now_ms: int) -> Sequence[Parcel]:
        """What waits for its receipt too long, in the pairs' order; the attempt is noted."""
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
                if now_ms - each.tried_ms >= resend_after_ms(each.attempts):
                    record = self._record(each.record_key, each.jws, each.value)
                    parcels.append(Parcel(each.id, each.recipient, each.digest, record))
            if parcels:
                outbox.trying(connection, [parcel.message for parcel in parcels], now_ms)
        return parcels

    def published(self, parcels: Sequence[tuple[Parcel, int]]) -> None:
        """Where the copies lie: ``(parcel, offset)``. A receipt may have come before we learnt it."""
        places = [copies.Place(parcel.message, parcel.digest, offset) for parcel, offset in parcels]
        with self._store.transaction() as connection:
            copies.published(connection, places)
            pairs = copies.read_pairs(connection, {parcel.recipient for parcel, _ in parcels})
            for recipient, pair in pairs.items():
                if pair.stalled:
                    messages = [parcel.message for parcel, _ in parcels if parcel.recipient == recipient]
                    settled_meanwhile(connection, recipient, messages)


class _Work:
    """One pair's share of a batch."""

    def __init__(
        self, recipient: AuthorityId, waiting: int, pair: PairState, lowest: int | None, count_max: int
    ) -> None:
        self.recipient = recipient
        self.waiting = waiting
        self.pair = pair
        self.lowest = lowest
        self.count_max = count_max
        self.done: list[Sealed] = []
        self.failed = False

    def add(self, done: Sealed) -> None:
        """One more was sealed."""
        self.done.append(done)
        self.pair = sealed(self.pair, done.digest)

    def fail(self, connection: Connection, message: outbox.OutgoingMessage, error: ComityError) -> None:
        """One can never be sealed."""
        fail(connection, message, error.code, error.sentence, None)
        self.failed = True


def _check_same(hand_in: HandIn, digest: Digest) -> None:
    if hand_in.digest != digest:
        raise Conflict(
            "hand-in-conflict", "A hand-in of this name was taken before, with other content; use a new name."
        )
