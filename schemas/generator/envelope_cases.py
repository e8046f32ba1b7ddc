"""Cases of a hub: outbox records, each with the pair's chain where it is not empty."""

# ruff: noqa: ANN401  (a case changes any field, by its name)

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from connectors.seal.attachments import object_name
from hub.core.authority import KeyUse
from hub.core.ids import MessageId, key_id, sha256
from hub.core.manifest import ClockKind, ClockOperation, ClockVerb, MessageType
from hub.core.pairs import Chain, Link, advance
from hub.core.records import JWS_HEADER, Record
from hub.envelope.strict_json import JsonObject, JsonValue
from schemas.generator.cases import VALID, Case, record_json
from schemas.generator.grammar_cases import jws_cases, manifest_cases
from schemas.generator.messages import (
    ID,
    OTHER_ID,
    VALUE,
    attachment,
    digest_of,
    manifest,
    receipt_list,
    record,
    request,
    sealed,
    sealed_record,
)
from schemas.generator.signature_cases import signature_cases
from schemas.generator.world import DAY_MS, HOUR_MS, LIST, NOW_MS, REVOKED, SUSPENDED, UNKNOWN, XA, XB, XC, XD, World


def envelope_cases(world: World) -> Iterator[Case]:
    """All of them, in the order of the checks."""
    yield from _valid(world)
    yield from _sizes(world)
    for name, code, comment, header in jws_cases(world):
        yield _case(name, code, comment, record(world, header=header))
    for name, comment, made, edit in manifest_cases(world):
        yield _case(name, "manifest-malformed", comment, record(world, made, edit=edit))
    yield from _beside(world)
    for name, code, comment, stored in signature_cases(world):
        yield _case(name, code, comment, stored)
    yield from _bytes(world)
    yield from _placed(world)
    yield from _policy(world)


def _case(name: str, expect: str, comment: str, stored: Record, *, chain: Chain | None = None, **more: Any) -> Case:
    given: JsonObject = {"trust_list": LIST, "record": record_json(stored)}
    if chain is not None:
        given["chain"] = chain_json(chain)
    result: JsonObject = {"jws": digest_of(stored)} if expect == VALID else {}
    return Case(name, expect, comment, given, {**result, **more})


def chain_json(chain: Chain) -> JsonObject:
    """A pair's chain in a case; the window from the oldest to the newest."""
    links = chain.window.values()
    window: list[JsonValue] = [{"seq": each.sequence, "id": each.message, "jws": each.jws} for each in links]
    return {"seq": chain.sequence, "head": chain.head, "window": window}


def _valid(world: World) -> Iterator[Case]:
    for sender, suite in ((XA, "S1"), (XC, "S2"), (XD, "S0")):
        message = sealed(world, sender)
        yield _case(f"valid-{suite.lower()}", VALID, f"A request in suite {suite}.", sealed_record(world, message))
    stream, _ = attachment(world, b"%PDF-1.7 annex")
    annex = stream.sealed(name="annex.pdf", media_type="application/pdf", uri=object_name(XA, world.chance))
    message = sealed(world, draft=request(attachments=(annex,)))
    yield _case("valid-attachment", VALID, "A request with an attachment.", sealed_record(world, message))
    stop = ClockOperation(ClockVerb.STOP, "0123456789abcdef", ClockKind.REPLY)  # type: ignore[arg-type]  # a literal id
    answer = manifest(world, type=MessageType.RESPONSE, in_reply_to=OTHER_ID, clocks=(stop,))
    yield _case("valid-response", VALID, "A response that stops a clock.", record(world, answer))
    yield _case("valid-receipt-list", VALID, "A receipt list: its value is null.", record(world, receipt_list(world)))
    empty = record(world, receipt_list(world), value=b"")
    yield _case("valid-receipt-list-empty-value", VALID, "A receipt list whose value is empty.", empty)
    hinted = record(world, hints=_hints())
    yield _case("valid-hints", VALID, "With all hint headers.", hinted)
    first = record(world)
    chain = advance(Chain(), _link(first))
    second = record(world, manifest(world, id=OTHER_ID, sequence=2, previous=digest_of(first)), offset=8)
    yield _case("valid-second", VALID, "The second message of a pair.", second, chain=chain)
    yield _case("valid-repeat", VALID, "The same record again: a repeat.", first, chain=chain, repeat=True)


def _hints(**changed: bytes) -> list[tuple[str, bytes]]:
    hints = {
        "ce_specversion": b"1.0",
        "ce_id": ID.encode(),
        "ce_type": b"int.comity.request",
        "ce_source": b"urn:comity:authority:xa-moj",
        "ce_subject": b"0123456789abcdef0123456789abcdef",
        "traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": b"",
    }
    return list((hints | changed).items())


def _sizes(world: World) -> Iterator[Case]:
    good = record(world)
    header = dict(good.headers)[JWS_HEADER]
    yield _case("a-value", "value-too-large", "One byte over 1 MiB.", replace(good, value=bytes(1024 * 1024 + 1)))
    yield _case("a-key", "key-too-large", "A key of 65 bytes.", replace(good, key=b"0" * 65))
    yield _case("a-missing", "manifest-missing", "No header at all.", replace(good, headers=()))
    hints_only = replace(good, headers=(("ce_id", ID.encode()),))
    yield _case("a-missing-hints", "manifest-missing", "Hints without the header.", hints_only)
    yield _case("a-doubled", "manifest-doubled", "The same header twice.", replace(good, headers=good.headers * 2))
    spaces = header.ljust(16 * 1024 + 1)
    yield _case("a-manifest", "manifest-too-large", "Over 16 KiB.", replace(good, headers=((JWS_HEADER, spaces),)))
    for name in ("comity-hub", "content-type", "CE_ID", "ce_time"):
        foreign = record(world, hints=[(name, b"bundle/1")])
        label = name.lower().replace("_", "-") + ("-upper" if name.isupper() else "")
        yield _case(f"a-header-{label}", "header-not-allowed", f"A header {name}.", foreign)
    many = record(world, hints=[("traceparent", b"")] * 17)
    yield _case("a-hints-17", "headers-too-many", "17 hint headers.", many)
    large = record(world, hints=[("tracestate", b"a" * (4096 - len("tracestate") + 1))])
    yield _case("a-hints-4097", "headers-too-many", "Hints of 4,097 bytes, their names included.", large)


def _beside(world: World) -> Iterator[Case]:
    good = record(world)
    yield _case("b-version", "version-unknown", "v is comity/2.", record(world, edit=_set("v", "comity/2")))
    yield _case("b-key-other", "key-mismatch", "The key is another thread.", replace(good, key=b"f" * 32))
    yield _case("b-key-null", "key-mismatch", "There is no key.", replace(good, key=None))
    listed = record(world, receipt_list(world), key=b"0123456789abcdef0123456789abcdef")
    yield _case("b-key-receipt", "key-mismatch", "The key of a receipt list is not its id.", listed)
    for name, value in (
        ("ce_specversion", b"1.1"),
        ("ce_id", OTHER_ID.encode()),
        ("ce_type", b"int.comity.response"),
        ("ce_source", b"urn:comity:authority:xc-acc"),
        ("ce_subject", b"f" * 32),
    ):
        hinted = record(world, hints=_hints(**{name: value}))
        yield _case(f"b-{name.replace('_', '-')}", "header-mismatch", f"{name} differs from the manifest.", hinted)
    subject = record(world, receipt_list(world), hints=[("ce_subject", b"")])
    yield _case("b-ce-subject-receipt", "header-mismatch", "A receipt list has no thread to hint at.", subject)
    thief = replace(good, topic="outbox.xc-acc")
    yield _case("c-owner", "sender-mismatch", "A copy of xa-moj's record in xc-acc's outbox.", thief)
    other = record(world, manifest(world, XC), topic="outbox.xa-moj")
    yield _case("c-owner-reversed", "sender-mismatch", "A record of xc-acc in xa-moj's outbox.", other)


def _set(name: str, value: Any) -> Any:
    return lambda members: members.update({name: value})


def _bytes(world: World) -> Iterator[Case]:
    good = record(world)
    yield _case("e-longer", "length-mismatch", "One byte more.", replace(good, value=VALUE + b" "))
    yield _case("e-shorter", "length-mismatch", "One byte less.", replace(good, value=VALUE[:-1]))
    yield _case("e-null", "length-mismatch", "No value.", replace(good, value=None))
    yield _case("e-bit", "digest-mismatch", "One bit flipped.", replace(good, value=VALUE[:-1] + b"|"))


def _link(stored: Record, *, sequence: int = 1, message: MessageId = ID) -> Link:
    return Link(sequence, message, digest_of(stored), stored.offset, stored.time_ms, LIST, None)


def _placed(world: World) -> Iterator[Case]:
    first = record(world)
    chain = advance(Chain(), _link(first))
    head = digest_of(first)

    def make(name: str, code: str, comment: str, *, before: Chain = chain, **members: Any) -> Case:
        return _case(name, code, comment, record(world, manifest(world, **members)), chain=before)

    yield make("f-used", "already-used", "Another message under number 1.", id=OTHER_ID)
    yield make("f-id", "id-conflict", "The id again, in another message.", sequence=2, previous=head)
    yield make("g-gap", "sequence-gap", "3 after 1.", id=OTHER_ID, sequence=3, previous=head)
    start = sha256(b"before the start")
    yield make("g-gap-first", "sequence-gap", "2 as the first.", before=Chain(), sequence=2, previous=start)
    yield make("g-prev", "previous-mismatch", "Another hash.", id=OTHER_ID, sequence=2, previous=sha256(b"a fork"))
    made = manifest(world, recipient=UNKNOWN)
    keys = ((UNKNOWN, made.recipient_keys[0][1]), made.recipient_keys[1])
    unknown = record(world, replace(made, recipient_keys=keys))
    yield _case("g-recipient", "recipient-unknown", "No list names xz-moj.", unknown)


def _policy(world: World) -> Iterator[Case]:
    parties = world.parties
    archive = (XA, parties[XA].key(KeyUse.ARCHIVE, "HPKE-10-KE").id)
    late = record(world, time_ms=NOW_MS - 5 * 60 * 1000 - 1)
    yield _case("h-early", "not-yet-valid", "iat is 5 minutes and 1 ms ahead of the log's time.", late)
    yield _case("h-expired", "expired", "1 ms after exp.", record(world, time_ms=NOW_MS + 72 * HOUR_MS + 1))
    for name, recipient in (("revoked", REVOKED), ("suspended", SUSPENDED)):
        key = parties[recipient].key(KeyUse.INBOX, "HPKE-10-KE").id
        gone = record(world, manifest(world, recipient=recipient, recipient_keys=((recipient, key), archive)))
        yield _case(f"h-{name}", "recipient-revoked", f"The recipient was {name} a day before.", gone)
    old = next(key.id for key in parties[XB].authority.encryption if key.until_ms < NOW_MS)
    for name, comment, key in (
        ("old", "A key whose time ended a day before iat.", old),
        ("unknown", "A key that no list names.", key_id(sha256(b"a key of nobody's"))),
        ("archive", "The recipient's archive key.", parties[XB].key(KeyUse.ARCHIVE, "HPKE-10-KE").id),
        ("suite", "A key of another suite.", parties[XB].key(KeyUse.INBOX, "HPKE-12-KE").id),
    ):
        bad = record(world, manifest(world, recipient_keys=((XB, key), archive)))
        yield _case(f"h-key-{name}", "recipient-key-invalid", comment, bad)
    inbox = (XA, parties[XA].key(KeyUse.INBOX, "HPKE-10-KE").id)
    own = record(world, manifest(world, recipient_keys=(manifest(world).recipient_keys[0], inbox)))
    yield _case("h-key-own-inbox", "recipient-key-invalid", "The sender's inbox key, not its archive key.", own)
    yield from _clocks(world)


def _clocks(world: World) -> Iterator[Case]:
    due: Sequence[tuple[str, str, ClockVerb, int]] = (
        ("h-due-past", "A clock that was due a day before.", ClockVerb.START, NOW_MS - DAY_MS),
        ("h-due-now", "A clock that is due at the log's time.", ClockVerb.START, NOW_MS + 1000),
        ("h-due-resume", "A resumed clock with a due time in the past.", ClockVerb.RESUME, NOW_MS - DAY_MS),
    )
    for name, comment, verb, due_ms in due:
        operation = ClockOperation(verb, "0123456789abcdef", ClockKind.REPLY, due_ms)  # type: ignore[arg-type]  # a literal id
        yield _case(name, "clock-due-past", comment, record(world, manifest(world, clocks=(operation,))))
