"""Cases of trust: lists against the pinned anchor, freshness and key statements, the directory's records in order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from hub.core.authority import EncryptionKey, Freshness, HubRole, KeyUse, TrustList
from hub.core.ids import sha256
from hub.envelope import jws
from hub.envelope.encoding import b64
from hub.envelope.signers import SoftwareSigner, generate_signer
from hub.envelope.strict_json import JsonValue
from hub.envelope.suites import public_jwk
from hub.envelope.trust import encode_freshness, encode_trust_list
from schemas.generator.cases import VALID, Case
from schemas.generator.world import (
    DAY_MS,
    FROM_MS,
    HOUR_MS,
    HYBRID,
    LIST,
    NOW_MS,
    UNKNOWN,
    UNTIL_MS,
    XA,
    XB,
    XC,
    World,
    freshness,
    key_statement,
)


def trust_cases(world: World) -> Iterator[Case]:
    """All of them. Lists are short ones of one authority, but for those of the shared world."""
    yield from _lists(world)
    yield from _freshness(world)
    yield from _statements(world)
    yield from _directories(world)


def _case(kind: str, name: str, expect: str, comment: str, data: bytes) -> Case:
    return Case(f"{kind}-{name}", expect, comment, {"kind": kind, "data": data.decode()})


def _short(world: World) -> TrustList:
    """A list that keeps the files small: one authority without keys, and the hub's keys for freshness only."""
    member = replace(world.trust.authorities[XA], signing=(), encryption=())
    freshness_keys = {HubRole.FRESHNESS: world.trust.hub_keys[HubRole.FRESHNESS]}
    return replace(world.trust, authorities={XA: member}, hub_keys=freshness_keys)


def _lists(world: World) -> Iterator[Case]:
    first, second, third = world.secretariat
    short = _short(world)

    def make(name: str, comment: str, signers: Sequence[Sequence[SoftwareSigner]], trust: TrustList = short) -> Case:
        return _case("list", name, "trust-list-invalid", comment, world.signed_list(trust, signers=signers))

    yield _case("list", "valid", VALID, "Two of three signed.", world.signed_list(short))
    yield _case("list", "valid-three", VALID, "All three signed.", world.signed_list(short, signers=world.secretariat))
    yield make("one", "One of three signed.", [first])
    yield make("twice", "One signed twice.", [first, first])
    yield make("half", "The second signed with one of its two keys.", [first, second[:1]])
    yield make("classical", "All three, but without ML-DSA.", [first[:1], second[:1], third[:1]])
    stranger = tuple(generate_signer(each) for each in HYBRID)
    yield make("stranger", "Two of three, and a stranger.", [first, second, stranger])
    yield make("hub", "Signed by the hub's own keys.", [world.hub[HubRole.FRESHNESS], world.hub[HubRole.ROUTER]])
    other = replace(short, deployment=sha256(b"another deployment"))
    yield _case("list", "deployment", "deployment-mismatch", "Another deployment's.", world.signed_list(other))
    yield from _payloads(world, short)


def _payloads(world: World, short: TrustList) -> Iterator[Case]:
    payload = encode_trust_list(short)
    signers = [key for signer in world.secretariat[:2] for key in signer]

    def signed(change: Callable[[dict[str, Any]], object], typ: str = jws.TYP_TRUST_LIST) -> bytes:
        members = json.loads(payload)
        change(members)
        changed = json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()
        return jws.sign(changed, typ=typ, signers=signers, issued_s=NOW_MS // 1000)

    code = "trust-list-invalid"
    flaws: tuple[tuple[str, str, Callable[[dict[str, Any]], object]], ...] = (
        ("member", "A member that the format does not know.", lambda members: members.update(note="")),
        ("version", "Another version.", lambda members: members.update(v="comity-tl/2")),
        ("number", "Lists begin with 1.", lambda members: members.update(tl=0)),
        ("dates", "It ends before it begins.", lambda members: members.update(next="2026-01-01T00:00:00Z")),
        ("twice", "An authority stands twice.", lambda members: members.update(authorities=members["authorities"] * 2)),
        ("suite", "A suite of no registry.", lambda members: members["authorities"][0].update(suite="S9")),
        ("anchor", "An authority without an anchor.", lambda members: members["authorities"][0].update(anchors=[])),
        ("role", "A role of the hub is missing.", lambda members: members["hub"].pop("watch")),
    )
    for name, comment, change in flaws:
        yield _case("list", f"payload-{name}", code, comment, signed(change))
    wrong = signed(lambda members: members, jws.TYP_FRESHNESS)
    yield _case("list", "typ", code, "The typ of another kind of statement.", wrong)
    altered = json.loads(world.signed_list(short))
    altered["payload"] = b64(payload.replace(b'"shards":2', b'"shards":4'))
    yield _case("list", "changed", code, "Changed after signing.", json.dumps(altered, separators=(",", ":")).encode())


def _freshness(world: World) -> Iterator[Case]:
    code = "freshness-invalid"
    statement = Freshness(LIST, NOW_MS)
    deployment = world.trust.deployment
    keys = world.hub[HubRole.FRESHNESS]
    yield _case("freshness", "valid", VALID, "Signed by the role freshness.", freshness(world))
    router = encode_freshness(statement, deployment, signers=world.hub[HubRole.ROUTER])
    yield _case("freshness", "role", code, "Signed by the router's keys.", router)
    half = encode_freshness(statement, deployment, signers=keys[:1])
    yield _case("freshness", "half", code, "Without ML-DSA.", half)
    other = encode_freshness(statement, sha256(b"another deployment"), signers=keys)
    yield _case("freshness", "deployment", "deployment-mismatch", "Another deployment's.", other)
    payload = b'{"v":"comity-fresh/1","dom":"%s","tl":5}' % deployment.encode()
    cut = jws.sign(payload, typ=jws.TYP_FRESHNESS, signers=keys, issued_s=NOW_MS // 1000)
    yield _case("freshness", "time", code, "The time is missing.", cut)


def _statements(world: World) -> Iterator[Case]:
    code = "key-statement-invalid"
    parties = world.parties
    yield _case("key-statement", "valid", VALID, "xb-pgo's inbox key of S1.", key_statement(world))
    flaws: tuple[tuple[str, str, bytes], ...] = (
        ("other", "Signed by another authority.", key_statement(world, signers=parties[XA].signers)),
        ("half", "Without ML-DSA.", key_statement(world, signers=parties[XB].signers[:1])),
        ("use", "The list names the key for the inbox only.", key_statement(world, use=KeyUse.ARCHIVE)),
        (
            "unlisted",
            "A key of another authority.",
            key_statement(world, key=parties[XC].key(KeyUse.INBOX, "HPKE-10-KE")),
        ),
        ("unknown", "No list names xz-moj.", key_statement(world, authority=UNKNOWN)),
        ("revoked", "Signed by keys that were revoked.", key_statement(world, XA, signers=parties[XA].old_signers)),
        ("kid", "kid is not the key's thumbprint.", _misnamed(world)),
    )
    for name, comment, data in flaws:
        yield _case("key-statement", name, code, comment, data)


def _misnamed(world: World) -> bytes:
    key = world.parties[XB].key(KeyUse.INBOX, "HPKE-10-KE")
    other = world.parties[XB].key(KeyUse.INBOX, "HPKE-12-KE")
    members = {
        "v": "comity-key/1",
        "authority": XB,
        "use": "inbox",
        "from": "2026-01-01T00:00:00Z",
        "until": "2027-12-31T00:00:00Z",
        "key": {**public_jwk(key.algorithm, key.public), "kid": other.id},
    }
    payload = json.dumps(members, separators=(",", ":")).encode()
    signers = world.parties[XB].signers
    return jws.sign(payload, typ=jws.TYP_KEY_STATEMENT, signers=signers, issued_s=NOW_MS // 1000)


def _directories(world: World) -> Iterator[Case]:
    short = _short(world)
    five, six = world.signed_list(short), world.signed_list(replace(short, number=LIST + 1))
    more = EncryptionKey(sha256(b"a key"), "HPKE-10-KE", KeyUse.INBOX, FROM_MS, UNTIL_MS)  # type: ignore[arg-type]  # a thumbprint
    member = short.authorities[XA]
    forked = replace(short, authorities={XA: replace(member, encryption=(*member.encryption, more))})
    fresh, older = freshness(world), freshness(world, time_ms=NOW_MS - DAY_MS)

    def make(name: str, expect: str, comment: str, *records: tuple[str, bytes | None], **result: JsonValue) -> Case:
        written: list[JsonValue] = [[key, None if value is None else value.decode()] for key, value in records]
        return Case(f"directory-{name}", expect, comment, {"kind": "directory", "records": written}, result)

    tl5, tl6 = ("tl/5", five), ("tl/6", six)
    yield make("valid", VALID, "A list, then a statement.", tl5, ("fresh", fresh), newest=5, fresh_ms=NOW_MS)
    yield make(
        "valid-older",
        VALID,
        "An older statement changes nothing.",
        tl5,
        ("fresh", fresh),
        ("fresh", older),
        newest=5,
        fresh_ms=NOW_MS,
    )
    yield make(
        "valid-lower", VALID, "A lower list after a higher one is kept, and is not the newest.", tl6, tl5, newest=6
    )
    yield make("forked", "trust-list-forked", "Two lists of one number.", tl5, ("tl/5", world.signed_list(forked)))
    code = "directory-malformed"
    yield make("number", code, "List 5 under the key of list 6.", ("tl/6", five))
    yield make("zero", code, "A number with a leading zero.", ("tl/05", five))
    yield make("deleted", code, "A tombstone.", tl5, ("tl/5", None))
    yield make("key", code, "An unknown key.", tl5, ("note", b"{}"))
    yield make("early", "freshness-invalid", "A statement before any list.", ("fresh", fresh))
    yield make(
        "unsigned",
        "trust-list-invalid",
        "A list that one signed.",
        ("tl/5", world.signed_list(short, signers=world.secretariat[:1])),
    )
    late = freshness(world, number=LIST, time_ms=NOW_MS + HOUR_MS)
    yield make(
        "swapped", "freshness-invalid", "A list where a statement belongs.", tl5, ("fresh", late), ("fresh", five)
    )
