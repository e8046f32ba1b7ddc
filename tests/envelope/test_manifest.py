"""The manifest's grammar: what is written is read back; anything else is refused with its code."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from hub.core.ids import AuthorityId, ClockId, KeyId, ThreadId, sha256, uuid7
from hub.core.limits import (
    ATTACHMENTS_MAX,
    CLOCK_OPERATIONS_MAX,
    JSON_INTEGER_MAX,
    MANIFEST_JWS_BYTES_MAX,
    RECEIPTS_PER_MANIFEST_MAX,
    RECIPIENT_KEYS_MAX,
    VALIDITY_MS_MAX,
    VALUE_BYTES_MAX,
)
from hub.core.manifest import (
    AttachmentReference,
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
from hub.envelope import jws
from hub.envelope.manifest import ATTACHMENT_OBJECT_BYTES_MAX, MEMBERS, decode, encode
from hub.envelope.signers import generate_signer
from hub.errors import Refused

Json = dict[str, Any]

XA, XB = AuthorityId("xa-moj"), AuthorityId("xb-pgo")
ISSUED = 1_795_597_200_000
DAY = 24 * 3600 * 1000
THREAD = ThreadId("3f" * 16)
D1, D2, D3 = sha256(b"1"), sha256(b"2"), sha256(b"3")

MESSAGE = Manifest(
    suite="S1",
    id=uuid7(ISSUED, bytes(10)),
    type=MessageType.REQUEST,
    deployment=D1,
    sender=XA,
    recipient=XB,
    thread=THREAD,
    in_reply_to=None,
    sequence=17,
    previous=D2,
    issued_ms=ISSUED,
    expires_ms=ISSUED + 3 * DAY,
    priority=Priority.URGENT,
    clocks=(ClockOperation(ClockVerb.START, ClockId("c1" * 8), ClockKind.REPLY, ISSUED + 30 * DAY),),
    signature_algorithms=("Ed25519", "ML-DSA-65"),
    trust_list=42,
    body=BodyReference(D1, 47_688, D2),
    recipient_keys=((XB, KeyId(D1)), (XA, KeyId(D2))),
    attachments=(AttachmentReference(1, "xa-moj/" + "0a" * 16, 1_048_576, D3, "cobblestone-256"),),
    receipts=(),
)
RECEIPTS = replace(
    MESSAGE,
    type=MessageType.RECEIPT,
    thread=None,
    clocks=(),
    body=BodyReference(sha256(b""), 0, None),
    recipient_keys=(),
    attachments=(),
    receipts=(
        ReceiptReference(ReceiptLevel.DELIVERED, uuid7(1, bytes(10)), THREAD, D1, None),
        ReceiptReference(ReceiptLevel.OPENED, uuid7(1, bytes(10)), THREAD, D1, None),
        ReceiptReference(ReceiptLevel.REFUSED, uuid7(2, bytes(10)), THREAD, None, "cannot-decrypt"),
    ),
)

WRITTEN = (
    '{"v":"comity/1","suite":"S1","id":"01a211ee-ea80-7000-8000-000000000000","typ":"request",'
    f'"dom":"{D1}","from":"xa-moj","to":["xb-pgo"],"thr":"{THREAD}","irt":null,"seq":17,"prev":"{D2}",'
    '"iat":"2026-11-25T09:00:00Z","exp":"2026-11-28T09:00:00Z","pri":"urgent",'
    '"clk":[{"op":"start","id":"c1c1c1c1c1c1c1c1","kind":"reply","due":"2026-12-25T09:00:00Z"}],'
    '"sgs":["Ed25519","ML-DSA-65"],"tl":42,'
    f'"body":{{"dig":"{D1}","len":47688,"com":"{D2}"}},"rcp":[["xb-pgo","{D1}"],["xa-moj","{D2}"]],'
    f'"att":[{{"n":1,"uri":"xa-moj/{"0a" * 16}","len":1048576,"dig":"{D3}","enc":"cobblestone-256"}}],"rct":[]}}'
)


def test_exact_bytes() -> None:
    """A manifest is written as the specification shows it: compact, members in order."""
    assert encode(MESSAGE).decode() == WRITTEN
    assert tuple(json.loads(WRITTEN)) == MEMBERS


@pytest.mark.parametrize("manifest", [MESSAGE, RECEIPTS], ids=["message", "receipts"])
def test_round_trip(manifest: Manifest) -> None:
    """What was written is read back."""
    assert manifest == decode(encode(manifest))


def changed(value: Any, path: tuple[str | int, ...], new: object) -> Any:
    """A copy of a JSON value with another value, or none (``...``), at a path."""
    if not path:
        return new
    copy = value.copy()
    if new is ... and len(path) == 1:
        del copy[path[0]]
    elif len(path) == 1:
        copy[path[0]] = new
    else:
        copy[path[0]] = changed(copy[path[0]], path[1:], new)
    return copy


def refused(value: object) -> str:
    """The code with which this JSON value is refused."""
    with pytest.raises(Refused) as refusal:
        decode(json.dumps(value).encode())
    return refusal.value.code


GOOD: Json = json.loads(encode(MESSAGE))
GOOD_RECEIPTS: Json = json.loads(encode(RECEIPTS))
CLOCK, ATTACHMENT, RECEIPT = GOOD["clk"][0], GOOD["att"][0], GOOD_RECEIPTS["rct"][0]
PATHS = [
    *((name,) for name in MEMBERS if name != "v"),
    *(("clk", 0, name) for name in CLOCK),
    *(("body", name) for name in GOOD["body"]),
    *(("att", 0, name) for name in ATTACHMENT),
]
RECEIPT_PATHS = [("rct", 0, name) for name in RECEIPT]


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_every_member_is_required_and_typed(path: tuple[str | int, ...]) -> None:
    """Without a member, with a value of another kind, or with a foreign neighbour, it is no manifest."""
    new: object
    for new in (..., 1.5, [[]], {}, "", "\n", -1, True, False):
        assert refused(changed(GOOD, path, new)) == "manifest-malformed"
    assert refused(changed(GOOD, (*path[:-1], "x5c"), "foreign")) == "manifest-malformed"


@pytest.mark.parametrize("path", RECEIPT_PATHS, ids=str)
def test_every_member_of_a_receipt_is_required_and_typed(path: tuple[str | int, ...]) -> None:
    """The same for the references of a receipt list."""
    new: object
    for new in (..., 1.5, [], {}, "", -1, True):
        assert refused(changed(GOOD_RECEIPTS, path, new)) == "manifest-malformed"
    assert refused(changed(GOOD_RECEIPTS, (*path[:-1], "n"), 1)) == "manifest-malformed"


@pytest.mark.parametrize("version", ["comity/2", "comity/1 ", "", "COMITY/1"])
def test_another_version(version: str) -> None:
    """A manifest of another version says so, whatever its other members."""
    assert refused({"v": version}) == "version-unknown"
    assert refused({**GOOD, "v": version}) == "version-unknown"


@pytest.mark.parametrize(
    "value", [None, [], "comity/1", {}, {"v": None}, {"v": 1}, {"v": ["comity/1"]}, {"v": "comity/1"}]
)
def test_no_manifest(value: object) -> None:
    """What has no version, or nothing else, is malformed."""
    assert refused(value) == "manifest-malformed"


def clock(verb: str, due: str | None) -> Json:
    """A clock operation as JSON."""
    return {**CLOCK, "op": verb, "due": due}


DUE = "2026-12-24T23:00:00Z"


@pytest.mark.parametrize(
    ("verb", "due", "expected"),
    [
        ("start", DUE, True),
        ("start", None, False),
        ("extend", DUE, True),
        ("extend", None, False),
        ("pause", DUE, False),
        ("pause", None, True),
        ("stop", DUE, False),
        ("stop", None, True),
        ("resume", DUE, True),
        ("resume", None, True),
        ("Start", DUE, False),
        ("reset", None, False),
    ],
)
def test_due_belongs_to_the_operation(verb: str, due: str | None, expected: bool) -> None:
    """Start and extend need a due time, resume may have one, pause and stop must not."""
    value = changed(GOOD, ("clk",), [clock(verb, due)])
    if expected:
        (operation,) = decode(json.dumps(value).encode()).clocks
        assert (verb, due is None) == (operation.verb, operation.due_ms is None)
    else:
        assert refused(value) == "manifest-malformed"


KEY_A, KEY_B = ["xa-moj", D2], ["xb-pgo", D1]
OBJECT = "xa-moj/" + "0b" * 16
BAD_MESSAGES: dict[str, tuple[tuple[str | int, ...], object]] = {
    "suite with a space": (("suite",), "S 1"),
    "suite too long": (("suite",), "S" * 33),
    "id of version 4": (("id",), "01a210a1-c480-4000-8000-000000000000"),
    "notice is no type": (("typ",), "notice"),
    "to itself": (("to",), ["xa-moj"]),
    "to nobody": (("to",), []),
    "to two": (("to",), ["xb-pgo", "xc-acc"]),
    "to a string": (("to",), "xb-pgo"),
    "no thread": (("thr",), None),
    "seq 0": (("seq",), 0),
    "seq too great": (("seq",), JSON_INTEGER_MAX + 1),
    "seq 1 with prev": (("seq",), 1),
    "seq 17 without prev": (("prev",), None),
    "exp at iat": (("exp",), "2026-11-25T09:00:00Z"),
    "exp before iat": (("exp",), "2026-11-25T08:00:00Z"),
    "exp over 72 h": (("exp",), "2026-11-28T09:00:00.001Z"),
    "iat with an offset": (("iat",), "2026-11-25T09:00:00+00:00"),
    "pri unknown": (("pri",), "high"),
    "clk too many": (("clk",), [CLOCK] * (CLOCK_OPERATIONS_MAX + 1)),
    "clk kind telling": (("clk", 0, "kind"), "custody"),
    "sgs empty": (("sgs",), []),
    "sgs too many": (("sgs",), ["Ed25519"] * 5),
    "sgs of numbers": (("sgs",), [1]),
    "tl 0": (("tl",), 0),
    "len 0": (("body", "len"), 0),
    "len over the limit": (("body", "len"), VALUE_BYTES_MAX + 1),
    "no commitment": (("body", "com"), None),
    "rcp empty": (("rcp",), []),
    "rcp without the recipient": (("rcp",), [KEY_A]),
    "rcp with a third authority": (("rcp",), [KEY_B, KEY_A, ["xc-acc", D3]]),
    "rcp with a key twice": (("rcp",), [KEY_B, ["xa-moj", D1]]),
    "rcp too many": (("rcp",), [["xb-pgo", sha256(b"%d" % n)] for n in range(RECIPIENT_KEYS_MAX + 1)]),
    "rcp of three parts": (("rcp",), [[*KEY_B, "x"]]),
    "rcp of objects": (("rcp",), [{"xb-pgo": D1}]),
    "att numbered from 2": (("att", 0, "n"), 2),
    "att number twice": (("att",), [ATTACHMENT, {**ATTACHMENT, "uri": OBJECT}]),
    "att at one place twice": (("att",), [ATTACHMENT, {**ATTACHMENT, "n": 2}]),
    "att under another's prefix": (("att", 0, "uri"), "xb-pgo/" + "0a" * 16),
    "att outside": (("att", 0, "uri"), "xa-moj/../xb-pgo/" + "0a" * 16),
    "att with a line end": (("att", 0, "uri"), ATTACHMENT["uri"] + "\n"),
    "att too many": (
        ("att",),
        [{**ATTACHMENT, "n": n, "uri": f"xa-moj/{n:032x}"} for n in range(1, ATTACHMENTS_MAX + 2)],
    ),
    "att empty": (("att", 0, "len"), 0),
    "att over 1 GiB": (("att", 0, "len"), ATTACHMENT_OBJECT_BYTES_MAX + 1),
    "att in another cipher": (("att", 0, "enc"), "cobblestone-128"),
    "rct in a request": (("rct",), [RECEIPT]),
}


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_messages_refused(name: str) -> None:
    """Each rule of a message's grammar refuses what breaks it, and nothing else was changed."""
    path, new = BAD_MESSAGES[name]
    assert refused(changed(GOOD, path, new)) == "manifest-malformed"


BAD_RECEIPTS: dict[str, tuple[tuple[str | int, ...], object]] = {
    "rct empty": (("rct",), []),
    "rct too many": (("rct",), [RECEIPT] * (RECEIPTS_PER_MANIFEST_MAX + 1)),
    "thread": (("thr",), THREAD),
    "in reply": (("irt",), GOOD["id"]),
    "commitment": (("body", "com"), D1),
    "length": (("body", "len"), 1),
    "digest of something": (("body", "dig"), D1),
    "clock": (("clk",), [CLOCK]),
    "key": (("rcp",), [KEY_B]),
    "attachment": (("att",), [ATTACHMENT]),
    "level of the authority": (("rct", 0, "lvl"), "acknowledged"),
    "delivered without proof": (("rct", 0, "prf"), None),
    "delivered with a reason": (("rct", 0, "why"), "cannot-decrypt"),
    "refused with a proof": (("rct", 2, "prf"), D1),
    "refused without reason": (("rct", 2, "why"), None),
    "refused for a reason of the hub's": (("rct", 2, "why"), "expired"),
    "without thread": (("rct", 0, "thr"), None),
}


@pytest.mark.parametrize("name", BAD_RECEIPTS)
def test_receipt_lists_refused(name: str) -> None:
    """Each rule of a receipt list refuses what breaks it."""
    path, new = BAD_RECEIPTS[name]
    assert refused(changed(GOOD_RECEIPTS, path, new)) == "manifest-malformed"


@pytest.mark.parametrize(
    "change",
    [
        {"recipient": XA},
        {"sequence": 1},
        {"expires_ms": ISSUED},
        {"trust_list": 0},
        {"suite": ""},
        {"receipts": RECEIPTS.receipts},
        {"attachments": (replace(MESSAGE.attachments[0], encryption="none"),)},
        {"clocks": (ClockOperation(ClockVerb.START, ClockId("c1" * 8), ClockKind.REPLY),)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_nothing_bad_is_written(change: Json) -> None:
    """A gateway cannot sign what the hub would refuse."""
    with pytest.raises(Refused, match="manifest-malformed"):
        encode(replace(MESSAGE, **change))


def test_limits_themselves_are_allowed() -> None:
    """A manifest at every limit is good, and its JWS stays below the header's limit."""
    full = replace(
        MESSAGE,
        sequence=JSON_INTEGER_MAX,
        expires_ms=ISSUED + VALIDITY_MS_MAX,
        clocks=MESSAGE.clocks * CLOCK_OPERATIONS_MAX,
        body=BodyReference(D1, VALUE_BYTES_MAX, D2),
        recipient_keys=tuple((XB, KeyId(sha256(b"%d" % n))) for n in range(RECIPIENT_KEYS_MAX)),
        attachments=tuple(
            AttachmentReference(n, f"xa-moj/{n:032x}", ATTACHMENT_OBJECT_BYTES_MAX, D1, "cobblestone-256")
            for n in range(1, ATTACHMENTS_MAX + 1)
        ),
    )
    listing = replace(RECEIPTS, receipts=RECEIPTS.receipts[:1] * RECEIPTS_PER_MANIFEST_MAX)
    signers = [generate_signer("Ed25519"), generate_signer("ML-DSA-65")]
    for manifest in (full, listing):
        payload = encode(manifest)
        assert manifest == decode(payload)
        data = jws.sign(payload, typ=jws.TYP_MANIFEST, signers=signers, issued_s=ISSUED // 1000)
        assert len(data) < MANIFEST_JWS_BYTES_MAX - 2 * 100  # room for two certificate digests
