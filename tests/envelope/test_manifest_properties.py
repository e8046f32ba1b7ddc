"""The manifest's grammar under any values and any bytes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core.ids import AuthorityId, ClockId, KeyId, MessageId, ThreadId, sha256, uuid7
from hub.core.limits import CLOCK_OPERATIONS_MAX, JSON_INTEGER_MAX, VALIDITY_MS_MAX, VALUE_BYTES_MAX
from hub.core.manifest import (
    BodyReference,
    ClockKind,
    ClockOperation,
    ClockVerb,
    Manifest,
    MessageType,
    Priority,
    ReceiptLevel,
    ReceiptReference,
)
from hub.core.refusals import RECIPIENT_REASONS
from hub.envelope.manifest import MEMBERS, decode, encode
from hub.errors import Refused

XA, XB = AuthorityId("xa-moj"), AuthorityId("xb-pgo")
KEY = KeyId(sha256(b"key"))
ISSUED = 1_795_597_200_000

digests = st.binary(min_size=1, max_size=4).map(sha256)
messages = st.builds(lambda n: uuid7(ISSUED + n, bytes(10)), st.integers(0, 10**6))
instants = st.integers(ISSUED, ISSUED + 10**12)
threads = st.builds(lambda n: ThreadId(f"{n:032x}"), st.integers(0, 2**128 - 1))
clock_ids = st.builds(lambda n: ClockId(f"{n:016x}"), st.integers(0, 2**64 - 1))


def operation(verb: ClockVerb, clock_id: ClockId, kind: ClockKind, due_ms: int, keep: bool) -> ClockOperation:
    """An operation with the due time that its verb wants."""
    wanted = {ClockVerb.START: True, ClockVerb.EXTEND: True, ClockVerb.RESUME: keep}.get(verb, False)
    return ClockOperation(verb, clock_id, kind, due_ms if wanted else None)


def reference(level: ReceiptLevel, message: MessageId, thread: ThreadId, proof: Any, why: str) -> ReceiptReference:
    """A receipt reference with a proof or a reason, as its level wants."""
    is_refusal = level is ReceiptLevel.REFUSED
    return ReceiptReference(level, message, thread, None if is_refusal else proof, why if is_refusal else None)


clock_operations = st.builds(
    operation, st.sampled_from(ClockVerb), clock_ids, st.sampled_from(ClockKind), instants, st.booleans()
)
references = st.builds(
    reference, st.sampled_from(ReceiptLevel), messages, threads, digests, st.sampled_from(sorted(RECIPIENT_REASONS))
)


def manifest_of(kind: MessageType, body: BodyReference, **parts: Any) -> Manifest:
    """A manifest in which a receipt list carries receipts only, and a message everything else."""
    is_list = kind is MessageType.RECEIPT
    if is_list:
        parts |= {"thread": None, "in_reply_to": None, "clocks": ()}
        body = BodyReference(sha256(b""), 0, None)
    else:
        parts |= {"receipts": ()}
    return Manifest(
        type=kind,
        suite="S1",
        sender=XA,
        recipient=XB,
        issued_ms=ISSUED,
        signature_algorithms=("Ed25519", "ML-DSA-65"),
        recipient_keys=() if is_list else ((XB, KEY),),
        attachments=(),
        body=body,
        **parts,
    )


manifests = st.builds(
    manifest_of,
    st.sampled_from(MessageType),
    st.builds(BodyReference, digests, st.integers(1, VALUE_BYTES_MAX), digests),
    id=messages,
    deployment=digests,
    thread=threads,
    in_reply_to=st.none() | messages,
    sequence=st.integers(2, JSON_INTEGER_MAX),
    previous=digests,
    expires_ms=st.integers(ISSUED + 1, ISSUED + VALIDITY_MS_MAX),
    priority=st.sampled_from(Priority),
    trust_list=st.integers(1, JSON_INTEGER_MAX),
    clocks=st.lists(clock_operations, max_size=CLOCK_OPERATIONS_MAX).map(tuple),
    receipts=st.lists(references, min_size=1, max_size=8).map(tuple),
)


@given(manifests)
@settings(max_examples=80)
def test_any_manifest_round_trips(manifest: Manifest) -> None:
    """Every manifest of the grammar is read back equal."""
    assert manifest == decode(encode(manifest))


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([KEY, "xb-pgo"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=3),
    max_leaves=6,
)


def spoilt(manifest: Manifest, name: str, value: Any) -> bytes:
    """A manifest's payload with another value for one member."""
    return json.dumps({**json.loads(encode(manifest)), name: value}).encode()


@given(
    st.binary(max_size=60)
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.builds(spoilt, manifests, st.sampled_from(MEMBERS), json_values)
)
@settings(max_examples=100)
def test_any_bytes_give_a_manifest_or_a_refusal(payload: bytes) -> None:
    """No payload makes the grammar fail otherwise than by its refusals; what passes can be written again."""
    try:
        manifest = decode(payload)
    except Refused as refusal:
        assert refusal.code in {"manifest-malformed", "version-unknown"}  # noqa: PT017  the other branch is as good
    else:
        assert manifest == decode(encode(manifest))
