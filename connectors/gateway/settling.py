"""What the hub's receipts mean for messages of ours: accepted, sealed again, failed. Within the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from sqlalchemy import Connection

from connectors.gateway import copies, outbox, owed, results
from connectors.gateway.outgoing import Judgement, PairState, Verdict, confirmed, judge, restarted, stalled
from connectors.ports import Evidence, Step
from hub.core.effects import Alert
from hub.core.ids import AuthorityId, Digest, MessageId
from hub.core.manifest import MessageType
from hub.core.receipts import ReceiptClaim
from hub.core.refusals import REASONS
from hub.core.topics import outbox as outbox_topic

HUB_RECEIPT = "hub-receipt"

Receipt = tuple[ReceiptClaim, Callable[[], bytes]]
"""A verified receipt of the hub, and what makes it stand alone: only what is told or refused is cut."""


def fail(
    connection: Connection,
    message: outbox.OutgoingMessage,
    code: str,
    sentence: str,
    evidence: Evidence | None,
) -> None:
    """The message will not arrive: its author is told; receipts of a list that used up its number are owed again."""
    outbox.set_states(connection, [message.id], "failed", code)
    if message.type is not MessageType.RECEIPT:
        results.add(connection, [results.problem(message.id, code=code, sentence=sentence, evidence=evidence)])
    elif code in {"expired", "not-yet-valid"}:
        owed.owe_again(connection, message.id)


def settle(connection: Connection, receipts: Sequence[Receipt], *, me: AuthorityId) -> list[Alert]:
    """Take in a bundle's receipts, within the transaction that reads it; runs of accepted ones at once."""
    alerts: list[Alert] = []
    for accepted, run in groupby(receipts, key=lambda receipt: receipt[0].accepted):
        if accepted:
            alerts += _Settling(connection, me, list(run)).accepted()
            continue
        for receipt in run:  # each may change how the next one is judged
            alerts += _Settling(connection, me, [receipt]).refused()
    return alerts


def settled_meanwhile(connection: Connection, recipient: AuthorityId, messages: Iterable[MessageId]) -> None:
    """The offsets of these messages' copies became known while their pair waits: judge what was left open."""
    for message in dict.fromkeys(messages):
        _judge(connection, message)
    _restart(connection, recipient)


class _Settling:
    """Receipts with the messages that they are about."""

    def __init__(self, connection: Connection, me: AuthorityId, receipts: Sequence[Receipt]) -> None:
        self._connection = connection
        self._me = me
        digests = {
            claim.jws for claim, _ in receipts if claim.jws is not None and claim.outbox.topic == outbox_topic(me)
        }
        current = outbox.find_sealed(connection, digests)
        earlier = copies.owners(connection, digests - current.keys()) if digests - current.keys() else {}
        owners = outbox.find_all(connection, set(earlier.values())) if earlier else {}
        self._messages: dict[Digest, outbox.OutgoingMessage] = {
            **current,
            **{digest: owners[message] for digest, message in earlier.items() if message in owners},
        }
        self._receipts = receipts

    def accepted(self) -> list[Alert]:
        """All were accepted."""
        connection, alerts = self._connection, self._foreign()
        ours = [(claim, cut, self._messages[claim.jws]) for claim, cut in self._receipts if claim.jws in self._messages]
        if not ours:
            return alerts
        places = [copies.Place(message.id, claim.jws, claim.outbox.offset) for claim, _, message in ours if claim.jws]
        copies.settle(connection, places, code=None, counted=False, evidence=None)
        before = copies.read_pairs(connection, {message.recipient for _, _, message in ours})
        pairs = dict(before)
        for claim, _, message in ours:
            pairs[message.recipient] = _confirmed(pairs[message.recipient], claim, message)
        copies.write_pairs(connection, {name: pair for name, pair in pairs.items() if pair != before[name]})
        steps = [
            results.step(
                message.id,
                Step.ACCEPTED,
                time_ms=claim.outbox.time_ms,
                evidence=Evidence(HUB_RECEIPT, cut().decode()),
            )
            for claim, cut, message in ours
            if message.state != "accepted" and message.type is not MessageType.RECEIPT
        ]
        results.add(connection, steps)
        open_now = [message.id for _, _, message in ours if message.state in {"sealed", "ready"}]
        if open_now:
            outbox.set_states(connection, open_now, "accepted")
        for recipient, pair in pairs.items():
            if pair.stalled:
                _restart(connection, recipient)
        return alerts

    def refused(self) -> list[Alert]:
        """The only one was refused."""
        ((claim, cut),) = self._receipts
        message = None if claim.jws is None else self._messages.get(claim.jws)
        if message is None or claim.jws is None:
            return self._foreign()
        connection, place = self._connection, copies.Place(message.id, claim.jws, claim.outbox.offset)
        copies.settle(connection, [place], code=claim.code, counted=claim.counted, evidence=cut())
        pair = _confirmed(copies.read_pair(connection, message.recipient), claim, message)
        if not claim.counted and message.state == "sealed":
            pair = stalled(pair)
        copies.write_pairs(connection, {message.recipient: pair})
        _judge(connection, message.id)
        _restart(connection, message.recipient)
        return [Alert(claim.code or "unknown", message.id, "The hub refused a copy of a message of ours.")]

    def _foreign(self) -> list[Alert]:
        """Somebody wrote to our outbox who holds our transport key, or the hub speaks of what never was."""
        alerts: list[Alert] = []
        for claim, cut in self._receipts:
            if claim.jws is None or claim.jws not in self._messages:
                facts = {
                    "code": claim.code,
                    "offset": claim.outbox.offset,
                    "time_ms": claim.outbox.time_ms,
                    "jws": claim.jws,
                }
                proof = Evidence(HUB_RECEIPT, cut().decode())
                results.add(self._connection, [results.notice(claim.id, "record-not-ours", facts, proof)])
                sentence = "The hub judged a record in our outbox that we did not publish."
                alerts.append(Alert("record-not-ours", self._me, sentence))
        return alerts


def _confirmed(pair: PairState, claim: ReceiptClaim, message: outbox.OutgoingMessage) -> PairState:
    if (claim.accepted or claim.counted) and message.digest == claim.jws and message.sequence is not None:
        return confirmed(pair, message.sequence, claim.jws)
    if claim.expected is not None:
        return confirmed(pair, claim.expected[0] - 1, claim.expected[1])
    return pair


def _judge(connection: Connection, message: MessageId) -> None:
    current = outbox.find(connection, message)
    if current is None or current.state not in {"sealed", "ready"}:
        return
    judgement = _judgement(connection, current)
    if judgement.verdict is Verdict.FAILED:
        code = judgement.code or "unknown"
        reason = REASONS.get(code)
        sentence = f"The hub refused it: {reason.meaning}; {reason.remedy}." if reason else "The hub refused it."
        evidence = copies.refusal_evidence(connection, current.digest, code) if current.digest else None
        proof = None if evidence is None else Evidence(HUB_RECEIPT, evidence.decode())
        fail(connection, current, code, sentence, proof)


def _judgement(connection: Connection, message: outbox.OutgoingMessage) -> Judgement:
    if message.digest is None or message.state != "sealed":
        return Judgement(Verdict.WAIT)
    return judge(copies.of_sealing(connection, message.digest), seals=message.seals, last_attempt_known=message.known)


def _restart(connection: Connection, recipient: AuthorityId) -> None:
    """When all copies of a stalled pair are judged, go on from the number that the hub expects."""
    pair = copies.read_pair(connection, recipient)
    if not pair.stalled:
        return
    flight = outbox.in_flight(connection, recipient)
    if any(_judgement(connection, each).verdict is Verdict.WAIT for each in flight):
        return
    outbox.set_states(connection, [each.id for each in flight], "ready")
    copies.write_pairs(connection, {recipient: restarted(pair)})
