"""The published models and the strict readers of the envelope agree: what a reader takes, the schema takes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import jsonschema
import pytest
from pydantic import TypeAdapter, ValidationError

from hub.core.clocks import Flag
from hub.core.ids import derived_id, sha256, uuid7
from hub.core.manifest import AttachmentReference, ClockKind
from hub.core.pairs import Pair
from hub.core.receipts import ChainClaim, ClockIgnoredClaim, FlagClaim, GapClaim, ReceiptClaim, RoutedClaim
from hub.core.records import Position
from hub.core.shard import ShardState
from hub.envelope.certificates import PathCache
from hub.envelope.claims import decode_claim, encode_claim
from hub.envelope.manifest import decode, encode
from hub.envelope.receipts import HeadCache, cut_receipt, read_bundle, read_receipt
from hub.envelope.trust_list import decode_trust_list, encode_trust_list
from hub.errors import Refused, VerificationFailed
from hub.flow import check, route
from hub.wire.claims import BundleModel, ClaimModel, ReceiptModel
from hub.wire.manifest import ManifestModel
from hub.wire.schema import export
from hub.wire.trust import TrustListModel

Case = tuple[str, object, dict, Callable[[bytes], object]]
OUTBOX = Position("outbox.xa-moj", 0, 3, 1000)
MESSAGE, THREAD, CLOCK, PAIR = uuid7(5, bytes(10)), "0" * 32, "1" * 16, Pair("xa-moj", "xb-pgo")
SHARED = {"id": derived_id("x"), "pair": PAIR, "thread": THREAD, "clock": CLOCK, "message": MESSAGE, "time_ms": 5}
CLAIMS = [
    ChainClaim("inbox.xa-moj", 2, sha256(b""), 1),
    ReceiptClaim(
        id=derived_id("r"),
        outbox=OUTBOX,
        jws=sha256(b""),
        message=MESSAGE,
        thread=THREAD,
        code="expired",
        counted=True,
        expected=(2, sha256(b"")),
        trust_list=5,
    ),
    RoutedClaim(jws=sha256(b""), outbox=OUTBOX, trust_list=5),
    GapClaim(jws_text="{}", outbox=OUTBOX, code="expired", trust_list=5),
    FlagClaim(flag=Flag.OVERDUE, percent=100, kind=ClockKind.REPLY, due_ms=9, **SHARED),
    ClockIgnoredClaim(code="clock-unknown", **SHARED),
]
JUNK = (None, True, -1, 1.5, "", "x", "A" * 43, [], ["x"], {}, {"x": 1}, 2**60)


@pytest.fixture
def cases(world, xa, xb, reply_clock) -> list[Case]:
    """A valid document of each kind, its model, its strict reader."""
    attachment = AttachmentReference(1, "xa-moj/" + "0" * 32, 9, sha256(b"a"), "cobblestone-256")
    manifest = xa.manifest(xb.id, clocks=(reply_clock,), attachments=(attachment,))
    letters = [xa.letter(xb.id) for _ in range(2)]
    judged = check([world.record(each, n) for n, each in enumerate(letters)], world.trust, paths=PathCache()).judged
    routing = route(judged, ShardState(), shard=0, trust=world.trust, sign=world.sign)
    bundle = next(record.value for record in routing.records if record.topic == "inbox.xb-pgo")
    trust, heads = world.trust, HeadCache()
    return [
        ("manifest", ManifestModel, json.loads(encode(manifest)), decode),
        ("trust-list", TrustListModel, json.loads(encode_trust_list(trust)), decode_trust_list),
        (
            "bundle",
            BundleModel,
            json.loads(bundle),
            lambda data: read_bundle(data, inbox="inbox.xb-pgo", trust=trust, heads=heads),
        ),
        (
            "receipt",
            ReceiptModel,
            json.loads(cut_receipt(bundle, 0)),
            lambda data: read_receipt(data, trust=trust, heads=heads),
        ),
        *(
            ("claim", ClaimModel, json.loads(encode_claim(each)), lambda data: decode_claim(data.decode()))
            for each in CLAIMS
        ),
    ]


def places(value: object, path: tuple = ()) -> Iterator[tuple]:
    """The path of every member of every object and of the first item of every list."""
    items = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    for name, inner in items:
        yield (*path, name)
        yield from places(inner, (*path, name))


def changed(document: dict) -> Iterator[dict]:
    """The document with one member at a time left out, replaced by junk, or accompanied by a foreign one."""
    for path in places(document):
        for junk in (*JUNK, ...):
            made = copy.deepcopy(document)
            target = made
            for name in path[:-1]:
                target = target[name]
            if junk is ...:
                del target[path[-1]]
            else:
                target[path[-1]] = junk
            yield made
    yield {**document, "foreign": 1}


def taken_by(read: Callable[[bytes], object], data: bytes) -> bool:
    """Whether a reader or a model takes it; only the family's errors and pydantic's are refusals."""
    try:
        read(data)
    except (Refused, VerificationFailed, ValidationError):
        return False
    return True


def test_what_the_readers_take_the_models_take(cases) -> None:
    """Of thousands of changed documents none is read that the published schema refuses; most are refused by both."""
    both = 0
    for name, model, document, read in cases:
        validate = TypeAdapter(model).validate_json
        valid = json.dumps(document).encode()
        assert (taken_by(read, valid), taken_by(validate, valid)) == (True, True), name
        for each in changed(document):
            data = json.dumps(each).encode()
            taken, modelled = taken_by(read, data), taken_by(validate, data)
            assert modelled or not taken, (name, each)
            both += not modelled and not taken
    assert both > 1000


def test_what_the_hub_writes_fits_the_exported_schemas(world, cases, xa, xb) -> None:
    """Ledger, quarantine, shard state and every signed text validate against the JSON Schemas that others get."""
    schemas = {name: jsonschema.Draft202012Validator(schema) for name, schema in export().items()}
    for name, _, document, _ in cases:
        schemas[name].validate(document)
    letters = [xa.letter(xb.id), replace(xa.letter(xb.id), value=b"[]")]
    judged = check([world.record(each, n) for n, each in enumerate(letters)], world.trust, paths=PathCache()).judged
    routing = route(judged, ShardState(), shard=0, trust=world.trust, sign=world.sign)
    topics = {"hub.ledger": "ledger-record", "hub.quarantine": "quarantine-record", "hub.shards": "shard-state"}
    for record in routing.records:
        if record.topic in topics:
            schemas[topics[record.topic]].validate(json.loads(record.value))


def test_schemas_are_valid_and_closed() -> None:
    """Each export is a JSON Schema of its dialect, and no object in it takes foreign members."""
    for name, schema in export().items():
        jsonschema.Draft202012Validator.check_schema(schema)
        objects = [each for each in (schema, *schema.get("$defs", {}).values()) if each.get("type") == "object"]
        assert objects, name
        assert all(each["additionalProperties"] is False for each in objects), name
