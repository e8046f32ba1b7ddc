"""What others say of messages of ours, and the hub on its own: levels reached, refusals after ``accepted``, notices."""

from __future__ import annotations

from typing import Final

from connectors.gateway import outbox, results
from connectors.gateway.intake import Intake
from connectors.ports import Evidence, Step
from hub.core.effects import Alert
from hub.core.manifest import Manifest, ReceiptLevel, ReceiptReference
from hub.core.receipts import ClockIgnoredClaim, FlagClaim
from hub.core.refusals import RECIPIENT_REASONS
from hub.core.times import format_time

MANIFEST_EVIDENCE: Final = "manifest"
_STEPS: Final = {ReceiptLevel.DELIVERED: Step.DELIVERED, ReceiptLevel.OPENED: Step.OPENED}


def read_levels(intake: Intake, header: bytes, manifest: Manifest, *, time_ms: int) -> list[Alert]:
    """A receipt list (``header`` is its JWS) about messages of ours: believed where id, thread, pair and proof fit."""
    evidence = Evidence(MANIFEST_EVIDENCE, header.decode())
    alerts: list[Alert] = []
    messages = outbox.find_all(intake.connection, [reference.message for reference in manifest.receipts])
    for reference in manifest.receipts:
        message = messages.get(reference.message)
        if message is None or (message.recipient, message.thread) != (manifest.sender, reference.thread):
            alerts.append(Alert("receipt-unfitting", manifest.sender, "A receipt names a message that is not its own."))
        elif reference.level is ReceiptLevel.REFUSED:
            intake.results.append(_refused_by_recipient(intake, message, reference, evidence))
        elif reference.proof != message.proof:
            alerts.append(Alert("receipt-unproved", message.id, "A receipt does not prove that it was opened."))
        else:
            step = _STEPS[reference.level]
            intake.results.append(results.step(message.id, step, time_ms=time_ms, evidence=evidence))
    return alerts


def _refused_by_recipient(
    intake: Intake, message: outbox.OutgoingMessage, reference: ReceiptReference, evidence: Evidence
) -> results.Result:
    code = reference.why or "cannot-decrypt"
    outbox.set_states(intake.connection, [message.id], "failed", code)
    meaning = RECIPIENT_REASONS.get(code, "its connector gives an unknown reason")
    sentence = (
        f"The recipient's connector refused it after the hub had accepted it: {meaning}. Send it as a new message."
    )
    return results.problem(message.id, code=code, sentence=sentence, evidence=evidence)


def notice(claim: FlagClaim | ClockIgnoredClaim, evidence: Evidence) -> results.Result:
    """What the hub says of a clock, as the national system is told."""
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
        return results.notice(claim.id, "flag", facts, evidence)
    facts |= {"code": claim.code, "from": claim.pair.sender, "to": claim.pair.recipient}
    return results.notice(claim.id, "clk-ignored", facts, evidence)
