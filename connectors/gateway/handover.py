"""Stored messages, from the store to the national system, and what follows: receipts owed, levels reached.

A message that was handed over just before a crash is handed over again: the national system puts it into place once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from connectors.gateway import inbox, outbox, results
from connectors.gateway.receiving import MANIFEST_EVIDENCE
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
from hub.errors import Refused

MESSAGES_AT_ONCE: Final = 50
RESULTS_AT_ONCE: Final = 200
MISSING_TRIES_MAX: Final = 3  # an object store may show a new object late
_REPLY_STEPS: Final = {MessageType.ACK: Step.ACKNOWLEDGED, MessageType.RESPONSE: Step.ANSWERED}

ReadObject = Callable[[str, AuthorityId], Iterator[bytes]]
"""The bytes of the object ``uri`` of an owner."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A stored message, opened: what is handed over, and how its files are read."""

    delivery: Delivery
    content: FileContent
    manifest: Manifest
    opened: Opened
    jws: bytes


News = Confirmation | Problem | Notice


def tell(system: NationalSystem, news: News) -> None:
    """Tell the national system; it blocks as that does."""
    if isinstance(news, Confirmation):
        system.confirm(news)
    elif isinstance(news, Problem):
        system.problem(news)
    else:
        system.notify(news)


class HandOver:
    """The last step on the way in."""

    def __init__(self, store: Store, *, me: AuthorityId, sealer: Sealer, read_object: ReadObject) -> None:
        self._store = store
        self._me = me
        self._sealer = sealer
        self._read_object = read_object

    def waiting(self) -> Sequence[inbox.IncomingMessage]:
        """What is to be handed over, oldest first."""
        with self._store.transaction() as connection:
            return inbox.stored(connection, count_max=MESSAGES_AT_ONCE)

    def prepare(self, message: inbox.IncomingMessage) -> Ready:
        """Open a stored message again: plaintext was never kept. Raises ``Refused`` when a key of ours is gone."""
        jws = signed.parse(message.jws, typ=signed.TYP_MANIFEST, bytes_max=MANIFEST_JWS_BYTES_MAX)
        manifest = decode(jws.payload)
        opened = self._sealer.open(message.value, manifest)
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
        return Ready(delivery, self._content(manifest, opened), manifest, opened, message.jws)

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
            if answered is None or answered.recipient != manifest.sender or answered.type is MessageType.RECEIPT:
                return None
            return outbox.read_draft(connection, self._store.vault, answered.id).key

    def done(self, ready: Ready) -> None:
        """The national system has it: the receipts are owed, and a reply moves the level of what it answers."""
        manifest = ready.manifest
        shown = proof(manifest.id, ready.opened.salt)
        with self._store.transaction() as connection:
            if not inbox.set_state(connection, manifest.sender, manifest.id, "delivered"):
                return
            for level in (ReceiptLevel.DELIVERED, ReceiptLevel.OPENED):
                results.owe_receipt(connection, manifest.sender, manifest.id, ready.delivery.thread, level, proof=shown)
            step = _REPLY_STEPS.get(manifest.type)
            if step is not None and ready.delivery.answered_key is not None and manifest.in_reply_to is not None:
                results.add_step(
                    connection,
                    manifest.in_reply_to,
                    step,
                    time_ms=ready.delivery.accepted_ms,
                    evidence=Evidence(MANIFEST_EVIDENCE, ready.jws.decode()),
                    by=manifest.id,
                )

    def failed(self, message: inbox.IncomingMessage, manifest: Manifest, error: Refused) -> bool:
        """Its files do not verify: its sender is told. False when it is tried again first."""
        with self._store.transaction() as connection:
            if error.code == "attachment-missing" and message.tries + 1 < MISSING_TRIES_MAX:
                inbox.tried(connection, message.sender, message.id)
                return False
            if inbox.set_state(connection, message.sender, message.id, "refused", error.code) and manifest.thread:
                results.owe_receipt(
                    connection,
                    message.sender,
                    message.id,
                    manifest.thread,
                    ReceiptLevel.REFUSED,
                    why=error.code,
                )
        return True

    # --- results --------------------------------------------------------------------------------

    def untold(self) -> Sequence[results.Result]:
        """What the national system must still be told, oldest first."""
        with self._store.transaction() as connection:
            return results.untold(connection, count_max=RESULTS_AT_ONCE)

    def news(self, result: results.Result) -> News:
        """The result as a value for the national system, with the name of the hand-in that it is about."""
        if result.kind == results.NOTICE:
            return self._notice(result)
        with self._store.transaction() as connection:
            message, key = self._told_of(connection, result)
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

    def told(self, result: results.Result) -> None:
        """The national system has it."""
        with self._store.transaction() as connection:
            results.told(connection, result)

    def _told_of(self, connection: Connection, result: results.Result) -> tuple[outbox.OutgoingMessage, str]:
        message = None if result.message is None else outbox.find(connection, result.message)
        if message is None:
            raise ValueError("a result names no message of ours")
        return message, outbox.read_draft(connection, self._store.vault, message.id).key

    def _notice(self, result: results.Result) -> Notice:
        facts = dict(result.facts)
        notice, kind = str(facts.pop("id")), str(facts.pop("kind"))
        named = facts.get("message")
        if isinstance(named, str):
            with self._store.transaction() as connection:
                ours = outbox.find(connection, named)
                # The hand-in's name, so that a national system finds the case without a table of its own.
                facts["hand_in"] = (
                    outbox.read_draft(connection, self._store.vault, ours.id).key
                    if ours is not None and ours.type is not MessageType.RECEIPT
                    else None
                )
        return Notice(id=notice, kind=kind, facts=facts, evidence=result.evidence or Evidence("none", ""))
