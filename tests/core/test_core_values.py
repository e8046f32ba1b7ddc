"""Plain values of the core: manifests, records, receipts, reasons, and the error family."""

from __future__ import annotations

import pytest

from hub import errors
from hub.core.effects import Alert, Publish
from hub.core.entries import MessageEntry
from hub.core.ids import AuthorityId, ThreadId, sha256, uuid7
from hub.core.manifest import BodyReference, Manifest, MessageType, Priority
from hub.core.receipts import ReceiptClaim
from hub.core.records import Outgoing, Place, Position, Record
from hub.core.refusals import REASONS, RECIPIENT_REASONS, refuse

DIGEST = sha256(b"")
ID = uuid7(1, bytes(10))


def manifest(kind: MessageType, thread: ThreadId | None) -> Manifest:
    """A manifest of which only type and thread matter."""
    return Manifest(
        suite="S1",
        id=ID,
        type=kind,
        deployment=DIGEST,
        sender=AuthorityId("xa-moj"),
        recipient=AuthorityId("xb-pgo"),
        thread=thread,
        in_reply_to=None,
        sequence=1,
        previous=None,
        issued_ms=0,
        expires_ms=1,
        priority=Priority.NORMAL,
        clocks=(),
        signature_algorithms=("Ed25519", "ML-DSA-65"),
        trust_list=1,
        body=BodyReference(DIGEST, 0, None),
        recipient_keys=(),
        attachments=(),
        receipts=(),
    )


def test_record_key() -> None:
    """The record key is the thread, or the id of a receipt list."""
    thread = ThreadId("3f" * 16)
    assert manifest(MessageType.REQUEST, thread).record_key == thread
    assert manifest(MessageType.RECEIPT, None).record_key == ID


def test_record_place() -> None:
    """A record knows the partition it lies in."""
    assert Record("outbox.xa-moj", 0, 7, 1, None, b"").place == Place("outbox.xa-moj", 0)


@pytest.mark.parametrize(("code", "accepted"), [(None, True), ("expired", False)])
def test_receipt_without_code_is_acceptance(code: str | None, accepted: bool) -> None:
    """A receipt with a code is a refusal; without one the message was routed."""
    claim = ReceiptClaim(
        id="r",
        outbox=Position("outbox.xa-moj", 0, 7, 1),
        jws=DIGEST,
        message=ID,
        thread=None,
        code=code,
        counted=True,
        expected=None,
        trust_list=1,
    )
    assert accepted is claim.accepted


@pytest.mark.parametrize(("code", "accepted"), [(None, True), ("sequence-gap", False)])
def test_ledger_entry_without_code_is_acceptance(code: str | None, accepted: bool) -> None:
    """The ledger's entry of a message follows the same rule as its receipt."""
    entry = MessageEntry(
        jws=DIGEST,
        message=ID,
        type=MessageType.REQUEST,
        sender=AuthorityId("xa-moj"),
        recipient=AuthorityId("xb-pgo"),
        thread=ThreadId("3f" * 16),
        in_reply_to=None,
        sequence=1,
        code=code,
        counted=accepted,
        outbox=Position("outbox.xa-moj", 0, 7, 1),
        trust_list=1,
    )
    assert accepted is entry.accepted


def test_effects_are_values() -> None:
    """A step's effects can be compared: two steps decide the same when their effects are equal."""
    record = Outgoing("inbox.xb-pgo", b"k", b"v")
    assert Publish(record) == Publish(Outgoing("inbox.xb-pgo", b"k", b"v", (), 0))
    assert Alert("c", "xa-moj", "A sentence.") != Alert("c", "xb-pgo", "A sentence.")


def test_reasons_are_in_the_order_of_the_checks() -> None:
    """The table lists the checks (a) to (h) in their order, and exactly those of (h) count."""
    steps = [reason.step for reason in REASONS.values()]
    assert steps == sorted(steps)
    assert set(steps) == set("abcdefgh")
    assert {code for code, reason in REASONS.items() if reason.counted} == {
        "not-yet-valid",
        "expired",
        "recipient-revoked",
        "recipient-key-invalid",
        "clock-due-past",
    }


@pytest.mark.parametrize("code", [*REASONS, *RECIPIENT_REASONS])
def test_refuse_says_why(code: str) -> None:
    """Every code has an exception with its sentence, which ends in the code."""
    refusal = refuse(code)
    assert code == refusal.code
    assert str(refusal) == f"{refusal.sentence} [{code}]"
    assert refusal.sentence.startswith("Refused: ")


def test_codes_of_hub_and_recipient_are_apart() -> None:
    """No code is both the hub's and a connector's."""
    assert set() == set(REASONS) & set(RECIPIENT_REASONS)


@pytest.mark.parametrize(
    ("kind", "exit_code"),
    [
        (errors.ComityError, 1),
        (errors.Refused, 5),
        (errors.Held, 3),
        (errors.UsageError, 2),
        (errors.Conflict, 2),
        (errors.Unreachable, 3),
        (errors.NotPermitted, 4),
        (errors.VerificationFailed, 5),
        (errors.OutcomeUnknown, 70),
        (errors.Fenced, 70),
    ],
)
def test_exit_codes(kind: type[errors.ComityError], exit_code: int) -> None:
    """Each kind of error has its documented exit code, and all are one family."""
    error = kind("some-code", "A sentence.")
    assert isinstance(error, errors.ComityError)
    assert (exit_code, "A sentence. [some-code]") == (error.exit_code, str(error))


def test_partition_broken_names_the_place() -> None:
    """A broken partition says where, so that its owner alone waits."""
    error = errors.PartitionBroken("crc", "A record is damaged.", topic="inbox.xa-moj", partition=0, offset=9)
    assert (error.topic, error.partition, error.offset, error.exit_code) == ("inbox.xa-moj", 0, 9, 1)
