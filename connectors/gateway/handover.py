"""Stored messages, from the store to the national system, and what follows: receipts owed, levels reached.

A message that was handed over just before a crash is handed over again: the national system puts it into place once.
Messages and results go in batches, each of which is read and noted in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from connectors.gateway import inbox, outbox, owed, results
from connectors.gateway.levels import MANIFEST_EVIDENCE
from connectors.gateway.opened import OpenedMessage, OpenedMessages
from connectors.gateway.owed import OwedReceipt
from connectors.gateway.results import Result
from connectors.gateway.sealing import Sealer
from connectors.gateway.store import Store
from connectors.ports import (
    Confirmation,
    DeliveredFile,
    Delivery,
    Evidence,
    FileContent,
    NationalSystem,
    Notice,
    Problem,
    Step,
)
from connectors.seal.attachments import decrypt_stream
from connectors.seal.opening import Opened, proof
from hub.core.ids import AuthorityId, MessageId
from hub.core.limits import MANIFEST_JWS_BYTES_MAX
from hub.core.manifest import Manifest, MessageType, ReceiptLevel
from hub.envelope import jws as signed
from hub.envelope.manifest import decode
from hub.errors import ComityError, Refused

MESSAGES_AT_ONCE: Final = 50
RESULTS_AT_ONCE: Final = 200
MISSING_TRIES_MAX: Final = 3  # an object store may show a new object late
_REPLY_STEPS: Final = {MessageType.ACK: Step.ACKNOWLEDGED, MessageType.RESPONSE: Step.ANSWERED}

ReadObject = Callable[[str, AuthorityId], Iterator[bytes]]
"""The bytes of the object ``uri`` of an owner."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A stored message, opened: what is handed over, and how its files are read."""

    message: inbox.IncomingMessage
    delivery: Delivery
    content: FileContent
    manifest: Manifest
    opened: Opened

    @property
    def has_files(self) -> bool:
        """Whether it may take long to hand over."""
        return bool(self.delivery.files)


News = Confirmation | Problem | Notice


def deliver(system: NationalSystem, batch: Sequence[Ready]) -> list[ComityError | None]:
    """Hand over a batch in order; what came of each. After an error that may pass, its pair's next are not tried.

    It blocks as the national system does.
    """
    outcomes: list[ComityError | None] = []
    waiting: dict[AuthorityId, ComityError] = {}
    for ready in batch:
        sender = ready.message.sender
        outcome = waiting.get(sender)
        if outcome is None:
            try:
                system.deliver(ready.delivery, ready.content)
            except Refused as error:
                outcome = error
            except ComityError as error:
                outcome = waiting[sender] = error
        outcomes.append(outcome)
    return outcomes


def tell(system: NationalSystem, news: Sequence[tuple[int, News]]) -> tuple[list[int], ComityError | None]:
    """Tell the national system; the numbers that it took, and the first error. It blocks as that does."""
    told: list[int] = []
    first: ComityError | None = None
    for number, each in news:
        try:
            if isinstance(each, Confirmation):
                system.confirm(each)
            elif isinstance(each, Problem):
                system.problem(each)
            else:
                system.notify(each)
        except ComityError as error:
            first = first or error
        else:
            told.append(number)
    return told, first


class HandOver:
    """The last step on the way in."""

    def __init__(
        self, store: Store, *, me: AuthorityId, sealer: Sealer, opened: OpenedMessages, read_object: ReadObject
    ) -> None:
        self._store = store
        self._me = me
        self._sealer = sealer
        self._opened = opened
        self._read_object = read_object

    def waiting(self) -> Sequence[inbox.IncomingMessage]:
        """What is to be handed over, oldest first."""
        with self._store.transaction() as connection:
            return inbox.stored(connection, count_max=MESSAGES_AT_ONCE)

    def prepare(self, message: inbox.IncomingMessage) -> Ready:
        """Open a stored message, unless it was a moment ago. Raises ``Refused`` when a key of ours is gone."""
        found = self._opened.take(message.digest) or self._open(message)
        manifest, opened = found.manifest, found.opened
        if manifest.thread is None:
            raise ValueError("a message without a thread was stored")
        delivery = Delivery(
            message=message.id,
            sender=message.sender,
            recipient=self._me,
            type=manifest.type,
            thread=manifest.thread,
            in_reply_to=manifest.in_reply_to,
            answered_key=self._answered_key(manifest),
            priority=manifest.priority,
            clocks=manifest.clocks,
            accepted_ms=message.time_ms,
            document=opened.content,
            files=tuple(
                DeliveredFile(each.number, each.name, each.media_type, each.length) for each in opened.attachments
            ),
        )
        return Ready(message, delivery, self._content(manifest, opened), manifest, opened)

    def _open(self, message: inbox.IncomingMessage) -> OpenedMessage:
        with self._store.transaction() as connection:
            header, value = inbox.received_bytes(connection, message.digest)
        jws = signed.parse(header, typ=signed.TYP_MANIFEST, bytes_max=MANIFEST_JWS_BYTES_MAX)
        manifest = decode(jws.payload)
        return OpenedMessage(manifest, self._sealer.open(value, manifest))

    def _content(self, manifest: Manifest, opened: Opened) -> FileContent:
        def read(number: int) -> Iterator[bytes]:
            reference, attachment = manifest.attachments[number - 1], opened.attachments[number - 1]
            chunks = self._read_object(reference.uri, manifest.sender)
            return decrypt_stream(chunks, attachment=attachment, reference=reference, message=manifest.id)

        return read

    def _answered_key(self, manifest: Manifest) -> str | None:
        if manifest.in_reply_to is None:
            return None
        with self._store.transaction() as connection:
            answered = outbox.find(connection, manifest.in_reply_to)
            if answered is None or answered.recipient != manifest.sender:
                return None
            return outbox.names(connection, self._store.vault, [answered.id]).get(answered.id)

    def done(self, batch: Sequence[Ready]) -> None:
        """The national system has these: the receipts are owed, and a reply moves the level of what it answers."""
        with self._store.transaction() as connection:
            new = inbox.settle(connection, [ready.message.digest for ready in batch], "delivered")
            moved = [ready for ready in batch if ready.message.digest in new]
            owed.add(connection, [receipt for ready in moved for receipt in _owed_for(ready)])
            replies = [ready for ready in moved if ready.manifest.type in _REPLY_STEPS and ready.delivery.answered_key]
            results.add(connection, [_reply_step(connection, ready) for ready in replies])

    def failed(self, ready: Ready, error: Refused) -> bool:
        """Its files do not verify: its sender is told. False when it is tried again first."""
        message = ready.message
        with self._store.transaction() as connection:
            if error.code == "attachment-missing" and message.tries + 1 < MISSING_TRIES_MAX:
                inbox.tried(connection, message.digest)
                return False
            if inbox.settle(connection, [message.digest], "refused", error.code):
                refused = OwedReceipt(
                    peer=message.sender,
                    message=message.id,
                    thread=ready.delivery.thread,
                    level=ReceiptLevel.REFUSED,
                    why=error.code,
                )
                owed.add(connection, [refused])
        return True

    # --- results --------------------------------------------------------------------------------

    def untold(self) -> Sequence[tuple[int, News]]:
        """What the national system must still be told with its number, oldest first, as values for it."""
        with self._store.transaction() as connection:
            found = results.untold(connection, count_max=RESULTS_AT_ONCE)
            if not found:
                return ()
            about = {str(result.message or result.facts.get("message")) for _, result in found}
            messages = outbox.find_all(connection, about)
            names = outbox.names(connection, self._store.vault, about)
        return [(number, _news(result, messages, names)) for number, result in found]

    def told(self, numbers: Sequence[int]) -> None:
        """The national system has these."""
        if numbers:
            with self._store.transaction() as connection:
                results.told(connection, numbers)


def _owed_for(ready: Ready) -> Iterator[OwedReceipt]:
    shown = proof(ready.message.id, ready.opened.salt)
    for level in (ReceiptLevel.DELIVERED, ReceiptLevel.OPENED):
        yield OwedReceipt(
            peer=ready.message.sender,
            message=ready.message.id,
            thread=ready.delivery.thread,
            level=level,
            proof=shown,
        )


def _reply_step(connection: Connection, ready: Ready) -> Result:
    if ready.manifest.in_reply_to is None:
        raise ValueError("a reply to nothing was answered")
    jws, _ = inbox.received_bytes(connection, ready.message.digest)
    return results.step(
        ready.manifest.in_reply_to,
        _REPLY_STEPS[ready.manifest.type],
        time_ms=ready.delivery.accepted_ms,
        evidence=Evidence(MANIFEST_EVIDENCE, jws.decode()),
        by=ready.message.id,
    )


def _news(result: Result, messages: Mapping[str, outbox.OutgoingMessage], names: Mapping[str, str]) -> News:
    """The result as a value for the national system, with the name of the hand-in that it is about."""
    if result.kind == results.NOTICE:
        return _notice(result, names)
    message = None if result.message is None else messages.get(result.message)
    if message is None:
        raise ValueError("a result names no message of ours")
    key = names[message.id]
    if result.kind == results.PROBLEM:
        code, sentence = str(result.facts["code"]), str(result.facts["sentence"])
        return Problem(key=key, code=code, sentence=sentence, message=message.id, evidence=result.evidence)
    by = result.facts["by"]
    if result.evidence is None or message.thread is None:
        raise ValueError("a level was stored without its proof")
    return Confirmation(
        key=key,
        message=message.id,
        recipient=message.recipient,
        thread=message.thread,
        step=Step(str(result.facts["step"])),
        time_ms=int(result.facts["time_ms"] or 0),
        by=None if by is None else MessageId(str(by)),
        evidence=result.evidence,
    )


def _notice(result: Result, names: Mapping[str, str]) -> Notice:
    facts = dict(result.facts)
    notice, kind = str(facts.pop("id")), str(facts.pop("kind"))
    named = facts.get("message")
    if isinstance(named, str):
        # The hand-in's name, so that a national system finds the case without a table of its own.
        facts["hand_in"] = names.get(named)
    return Notice(id=notice, kind=kind, facts=facts, evidence=result.evidence or Evidence("none", ""))
