"""Cases of what the hub signs: bundles in an inbox, and single receipts that were cut out of one."""

# ruff: noqa: ANN401  (a case changes any field, by its name)

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from hub.core.authority import HubRole
from hub.core.clocks import Flag
from hub.core.ids import derived_id, sha256
from hub.core.manifest import ClockKind
from hub.core.pairs import Pair
from hub.core.receipts import Claim, ClockIgnoredClaim, FlagClaim, GapClaim, ReceiptClaim, RoutedClaim
from hub.core.records import JWS_HEADER, Position
from hub.envelope import jws
from hub.envelope.encoding import b64, unb64
from hub.envelope.receipts import WriterState, cut_receipt, make_bundles
from hub.envelope.strict_json import JsonObject
from hub.evidence.merkle import leaf_hash, node_hash
from schemas.generator.cases import VALID, Case
from schemas.generator.messages import ID, START, THREAD, digest_of, record
from schemas.generator.world import DAY_MS, LIST, NOW_MS, XA, XB, World

INBOX: Final = "inbox.xb-pgo"
OTHER_INBOX: Final = "inbox.xa-moj"
_PLACE: Final = Position("outbox.xa-moj", 0, 7, NOW_MS + 1000)
_JWS: Final = sha256(b"the JWS of a message")
Claims = Mapping[str, Sequence[Claim]]
Change = Callable[[dict[str, Any]], object]


def receipt_cases(world: World) -> Iterator[Case]:
    """All of them."""
    yield from _valid_bundles(world)
    yield from _changed_bundles(world)
    yield from _forged_bundles(world)
    yield from _heads(world)
    yield from _receipts(world)


def _bundle(name: str, expect: str, comment: str, value: bytes, *, inbox: str = INBOX, **result: Any) -> Case:
    return Case(f"bundle-{name}", expect, comment, {"kind": "bundle", "inbox": inbox, "data": value.decode()}, result)


def _router_claims(world: World, *, with_gap: bool = False) -> dict[str, list[Claim]]:
    """Claims for two inboxes; the gap notice only where asked, since it holds a whole JWS."""
    refused = record(world)
    routed = RoutedClaim(jws=_JWS, outbox=_PLACE, trust_list=LIST)
    gap = GapClaim(
        jws_text=dict(refused.headers)[JWS_HEADER].decode(), outbox=_PLACE, code="clock-due-past", trust_list=LIST
    )
    accepted = ReceiptClaim(
        id=derived_id("receipt", _PLACE.topic, _PLACE.offset, _JWS),
        outbox=_PLACE,
        jws=_JWS,
        message=ID,
        thread=THREAD,
        code=None,
        counted=True,
        expected=None,
        trust_list=LIST,
    )
    unreadable = ReceiptClaim(
        id=derived_id("receipt", _PLACE.topic, 8, ""),
        outbox=_PLACE._replace(offset=8),
        jws=None,
        message=None,
        thread=None,
        code="manifest-missing",
        counted=False,
        expected=None,
        trust_list=LIST,
    )
    counted = ReceiptClaim(
        id=derived_id("receipt", _PLACE.topic, 9, digest_of(refused)),
        outbox=_PLACE._replace(offset=9),
        jws=digest_of(refused),
        message=ID,
        thread=THREAD,
        code="clock-due-past",
        counted=True,
        expected=(2, digest_of(refused)),
        trust_list=LIST,
    )
    return {
        INBOX: [routed, gap]
        if with_gap
        else [routed, RoutedClaim(jws=digest_of(refused), outbox=_PLACE, trust_list=LIST)],
        OTHER_INBOX: [accepted, unreadable, counted],
    }


def _watch_claims() -> dict[str, list[Claim]]:
    flag = FlagClaim(
        id=derived_id("flag", "xa-moj>xb-pgo", THREAD, START.clock, "overdue", 100, NOW_MS + 30 * DAY_MS),
        flag=Flag.OVERDUE,
        percent=100,
        pair=Pair(XA, XB),
        thread=THREAD,
        clock=START.clock,
        kind=ClockKind.REPLY,
        message=ID,
        due_ms=NOW_MS + 30 * DAY_MS,
        time_ms=NOW_MS + 30 * DAY_MS + 500,
    )
    ignored = ClockIgnoredClaim(
        id=derived_id("clk-ignored", ID, START.clock),
        pair=Pair(XB, XA),
        thread=THREAD,
        clock=START.clock,
        message=ID,
        code="clock-not-yours",
        time_ms=NOW_MS + 1000,
    )
    return {INBOX: [flag, ignored], OTHER_INBOX: [flag, ignored]}


def _made(
    world: World, claims: Claims, *, writer: str = "router-shard-1", role: HubRole = HubRole.ROUTER, **changes: Any
) -> Mapping[str, bytes]:
    """The bundles of a transaction; ``sign`` may be changed."""
    arguments: dict[str, Any] = {
        "head_state": WriterState(41, sha256(b"head 41")),
        "inbox_states": dict.fromkeys(claims, WriterState(8, sha256(b"bundle 8"))),
        "sign": _signing(world, role),
        "time_ms": NOW_MS + 2000,
    }
    return make_bundles(claims, writer=writer, **(arguments | changes)).records


def _signing(
    world: World, role: HubRole, *, typ: str = jws.TYP_HEAD, keys: int = 2, change: Change | None = None
) -> Callable[[bytes], bytes]:
    def sign(payload: bytes) -> bytes:
        members = json.loads(payload)
        if change is not None:
            change(members)
            payload = json.dumps(members, separators=(",", ":")).encode()
        return jws.sign(payload, typ=typ, signers=world.hub[role][:keys], issued_s=NOW_MS // 1000)

    return sign


def _claims_json(value: bytes) -> list[Any]:
    return [json.loads(line) for line in json.loads(value)["claims"]]


def _valid_bundles(world: World) -> Iterator[Case]:
    routed = _made(world, _router_claims(world, with_gap=True))
    for inbox in (INBOX, OTHER_INBOX):
        name = "valid-routed" if inbox == INBOX else "valid-receipts"
        claims = _claims_json(routed[inbox])
        comment = "Of a transaction with two inboxes."
        yield _bundle(name, VALID, comment, routed[inbox], inbox=inbox, writer="router-shard-1", claims=claims)
    flags = _made(world, _watch_claims(), writer="watch-3", role=HubRole.WATCH)[INBOX]
    yield _bundle("valid-flags", VALID, "Of the watch.", flags, writer="watch-3", claims=_claims_json(flags))
    first = WriterState(0, None)
    alone = _made(
        world,
        {INBOX: [RoutedClaim(jws=_JWS, outbox=_PLACE, trust_list=LIST)]},
        head_state=first,
        inbox_states={INBOX: first},
    )
    claims = _claims_json(alone[INBOX])
    yield _bundle(
        "valid-first", VALID, "The first of its writer.", alone[INBOX], writer="router-shard-1", claims=claims
    )


def _edited(value: bytes, change: Change) -> bytes:
    members = json.loads(value)
    change(members)
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()


def _claim(number: int, **changes: Any) -> Change:
    def change(members: dict[str, Any]) -> None:
        claim = json.loads(members["claims"][number]) | changes
        members["claims"][number] = json.dumps(claim, separators=(",", ":"))

    return change


def _swapped(members: dict[str, Any]) -> None:
    members["claims"][1:3] = reversed(members["claims"][1:3])


def _changed_bundles(world: World) -> Iterator[Case]:
    """A valid bundle that was changed on its way."""
    made = _made(world, _router_claims(world))
    good = made[INBOX]
    changes: tuple[tuple[str, str, Change], ...] = (
        ("claim", "A claim was changed.", _claim(1, tl=4)),
        ("space", "A claim's text got a space: its exact text is signed.", _spaced),
        ("cut", "The last claim was cut off.", lambda members: members["claims"].pop()),
        ("first", "The chain claim was cut off.", lambda members: members["claims"].pop(0)),
        ("none", "No claims.", lambda members: members.update(claims=[])),
        ("added", "A claim was added.", lambda members: members["claims"].append(members["claims"][1])),
        ("order", "Two claims were swapped.", _swapped),
        ("start", "Another place in the tree.", lambda members: members.update(start=0)),
        ("start-far", "A place beyond the tree.", lambda members: members.update(start=100)),
        ("path-short", "A hash of the path is missing.", lambda members: members["path"].pop()),
        ("path-long", "A hash too many.", lambda members: members["path"].append(members["path"][0])),
        (
            "path-bit",
            "One bit of the path flipped.",
            lambda members: members["path"].__setitem__(0, _bit(members["path"][0])),
        ),
        ("path-length", "A hash of 31 bytes.", lambda members: members["path"].__setitem__(0, b64(bytes(31)))),
        ("member", "A member that the format does not know.", lambda members: members.update(note="")),
        ("version", "Another version.", lambda members: members.update(v="comity-bundle/2")),
        ("object", "A claim that is an object, not its text.", lambda members: members.update(claims=[{}])),
    )
    for name, comment, change in changes:
        yield _bundle(name, "bundle-invalid", comment, _edited(good, change))
    doubled = good.replace(b'{"v":', b'{"v":"comity-bundle/1","v":', 1)
    yield _bundle("doubled", "bundle-invalid", "A name occurs twice.", doubled)
    yield _bundle("inbox", "bundle-invalid", "Another inbox's bundle.", made[OTHER_INBOX])
    spaced = _edited(good, lambda members: members.update(head=members["head"] + " {}"))
    yield _bundle("head-trailing", "bundle-invalid", "Bytes after the head.", spaced)


def _spaced(members: dict[str, Any]) -> None:
    members["claims"][1] = members["claims"][1].replace(",", ", ", 1)


def _bit(text: str) -> str:
    data = bytearray(unb64(text))
    data[0] ^= 1
    return b64(bytes(data))


def _forged_bundles(world: World) -> Iterator[Case]:
    """Bundles that the hub's own keys signed, and should not have."""
    code = "bundle-invalid"
    flags, routed = _watch_claims(), _router_claims(world)
    yield _bundle("role", code, "The router flags a clock.", _made(world, flags)[INBOX])
    watch = _made(world, routed, writer="watch-0", role=HubRole.WATCH)[INBOX]
    yield _bundle("role-watch", code, "The watch says that a message was routed.", watch)
    keys = _made(world, routed, role=HubRole.WATCH)[INBOX]
    yield _bundle("keys", code, "A head of the router by the watch's keys.", keys)
    shard = _made(world, routed, writer="router-shard-2")[INBOX]
    yield _bundle("writer", code, "A shard that the deployment has not.", shard)
    name = _made(world, routed, writer="sequencer-0", role=HubRole.SEQUENCER)[INBOX]
    yield _bundle("writer-unknown", code, "A writer of no kind.", name)
    listed = {INBOX: [RoutedClaim(jws=_JWS, outbox=_PLACE._replace(topic=OTHER_INBOX), trust_list=LIST)]}
    yield _bundle("outbox", code, "A place that is no outbox.", _made(world, listed)[INBOX])
    uncounted = {INBOX: [GapClaim(jws_text="{}", outbox=_PLACE, code="signature-invalid", trust_list=LIST)]}
    yield _bundle(
        "gap-uncounted", code, "A gap notice of a refusal that does not count.", _made(world, uncounted)[INBOX]
    )


def _heads(world: World) -> Iterator[Case]:
    code = "bundle-invalid"
    claims = _router_claims(world)

    def signed(**changes: Any) -> bytes:
        return _made(world, claims, sign=_signing(world, HubRole.ROUTER, **changes))[INBOX]

    yield _bundle("head-half", code, "The head without ML-DSA.", signed(keys=1))
    yield _bundle("head-typ", code, "The typ of a manifest.", signed(typ=jws.TYP_MANIFEST))
    heads: tuple[tuple[str, str, Change], ...] = (
        ("root", "Another root.", lambda members: members.update(root=b64(bytes(32)))),
        ("size", "Another size.", lambda members: members.update(size=members["size"] + 1)),
        ("n", "Numbers begin with 1.", lambda members: members.update(n=0)),
        ("version", "Another version.", lambda members: members.update(v="comity-head/2")),
        ("member", "A member that the format does not know.", lambda members: members.update(note="")),
        ("iat", "A time without its zone.", lambda members: members.update(iat="2026-11-25T09:00:00")),
    )
    for name, comment, change in heads:
        yield _bundle(f"head-{name}", code, comment, signed(change=change))
    good = _made(world, claims)[INBOX]
    head = json.loads(json.loads(good)["head"])
    head["signatures"][1]["signature"] = _bit(head["signatures"][1]["signature"])
    text = json.dumps(head, separators=(",", ":"))
    broken = _edited(good, lambda members: members.update(head=text))
    yield _bundle("head-bit", code, "One bit of the ML-DSA signature flipped.", broken)


def _receipts(world: World) -> Iterator[Case]:
    made = _made(world, _router_claims(world))
    good = cut_receipt(made[OTHER_INBOX], 0)

    def case(name: str, expect: str, comment: str, data: bytes, **result: Any) -> Case:
        return Case(f"receipt-{name}", expect, comment, {"kind": "receipt", "data": data.decode()}, result)

    for number, name in enumerate(("accepted", "unreadable", "counted")):
        cut = cut_receipt(made[OTHER_INBOX], number)
        claim = json.loads(json.loads(cut)["claim"])
        yield case(f"valid-{name}", VALID, "Cut out of a bundle: it stands alone.", cut, claim=claim)

    def accept(members: dict[str, Any]) -> None:
        members["claim"] = json.dumps(json.loads(members["claim"]) | {"code": None}, separators=(",", ":"))

    refused = cut_receipt(made[OTHER_INBOX], 2)
    code = "receipt-invalid"
    yield case("flattered", code, "A refusal made into an acceptance.", _edited(refused, accept))
    other = json.loads(cut_receipt(made[OTHER_INBOX], 1))["claim"]
    changes: tuple[tuple[str, str, Change], ...] = (
        ("index", "Another place in the tree.", lambda members: members.update(index=members["index"] + 1)),
        ("index-far", "A place beyond the tree.", lambda members: members.update(index=10**6)),
        ("claim", "Another claim of the same bundle.", lambda members: members.update(claim=other)),
        ("path-short", "A hash of the path is missing.", lambda members: members["path"].pop()),
        ("path-long", "A hash too many.", lambda members: members["path"].append(b64(bytes(32)))),
        ("path-order", "The path from the root down.", lambda members: members["path"].reverse()),
        ("version", "A bundle's version.", lambda members: members.update(v="comity-bundle/1")),
        ("member", "A member that the format does not know.", lambda members: members.update(note="")),
        ("head", "The head is another statement.", lambda members: members.update(head="{}")),
    )
    for name, comment, change in changes:
        yield case(name, code, comment, _edited(good, change))
    chain = _cut(made[OTHER_INBOX], 0)
    yield case("chain", code, "A chain claim says nothing that stands alone.", chain)
    yield case("node", code, "An inner node given as a claim.", _node(made[OTHER_INBOX]))


def _cut(value: bytes, number: int) -> bytes:
    """The ``number``-th text of a bundle at the tree's start, its chain claim included, as a receipt."""
    members: JsonObject = json.loads(value)
    texts = json.loads(value)["claims"]
    leaves = [leaf_hash(text.encode()) for text in texts]
    if members["start"] != 0 or len(leaves) != 4:  # noqa: PLR2004  (the bundle of xa-moj: chain and three receipts)
        raise ValueError("the bundle does not lie where this case needs it")
    path = [leaves[number ^ 1], node_hash(*leaves[2:]) if number < 2 else node_hash(*leaves[:2])]  # noqa: PLR2004  (halves)
    hashes = [b64(each) for each in path] + json.loads(value)["path"]
    receipt = {
        "v": "comity-receipt/1",
        "head": members["head"],
        "index": number,
        "path": hashes,
        "claim": texts[number],
    }
    return json.dumps(receipt, separators=(",", ":"), ensure_ascii=False).encode()


def _node(value: bytes) -> bytes:
    """Two leaves' hashes as the text of one claim: a reader that forgets the leaf's 0x00 takes it."""
    receipt = json.loads(_cut(value, 0))
    receipt["claim"] = "\x01" + b64(leaf_hash(receipt["claim"].encode())) + receipt["path"][0]
    receipt["path"] = receipt["path"][1:]
    return json.dumps(receipt, separators=(",", ":"), ensure_ascii=False).encode()
