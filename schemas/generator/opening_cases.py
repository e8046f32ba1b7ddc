"""Cases of a recipient: a copy in its inbox, the hub's routed claim, objects of attachments, and keys to open with."""

# ruff: noqa: ANN401  (a case changes any field, by its name)

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from connectors.seal.attachments import encrypt_stream, object_length, object_name
from connectors.seal.binding import additional_data
from connectors.seal.jwe import encrypt
from connectors.seal.padding import pad
from connectors.seal.sealing import Sealed
from hub.core.authority import KeyUse, PublicKey
from hub.core.ids import AuthorityId, sha256
from hub.core.manifest import AttachmentReference, BodyReference
from hub.core.receipts import RoutedClaim
from hub.core.records import Position, Record
from hub.core.topics import inbox
from hub.envelope.claims import encode_claim
from hub.envelope.encoding import b64, unb64
from hub.envelope.strict_json import JsonObject, JsonValue, parse
from schemas.generator.cases import VALID, Case, record_json, shown
from schemas.generator.messages import (
    DOCUMENT,
    ID,
    OTHER_ID,
    VALUE,
    digest_of,
    manifest,
    record,
    request,
    sealed,
    sealed_record,
)
from schemas.generator.world import DAY_MS, LIST, NOW_MS, XA, XB, XC, XD, World

PLAINTEXT: Final = b"%PDF-1.7 annex of a fictional request 1"
URI: Final = "xa-moj/" + "5" * 32
_SALT: Final = b"s" * 32
_KEY: Final = b"k" * 32
JweEdit = Callable[[dict[str, Any]], object]


def opening_cases(world: World) -> Iterator[Case]:
    """All of them, in the order of the checks."""
    yield from _valid(world)
    yield from _copies(world)
    yield from _values(world)
    yield from _keys(world)
    yield from _bindings(world)
    yield from _contents(world)
    yield from _attachments(world)


def _case(
    name: str,
    expect: str,
    comment: str,
    stored: Record,
    *,
    me: AuthorityId = XB,
    objects: dict[str, bytes] | None = None,
    result: JsonObject | None = None,
) -> Case:
    """A case over an outbox record: the recipient finds the same bytes in its inbox, a day later."""
    position = Position(stored.topic, stored.partition, stored.offset, stored.time_ms)
    claim = RoutedClaim(jws=digest_of(stored), outbox=position, trust_list=LIST)
    copy = replace(stored, topic=inbox(me), offset=31, time_ms=stored.time_ms + DAY_MS)
    given: JsonObject = {"me": me, "routed": parse(encode_claim(claim).encode()), "record": record_json(copy)}
    given["objects"] = {uri: shown(data) for uri, data in (objects or {}).items()}
    return Case(name, expect, comment, given, result or {})


def _opened(message: Sealed, *files: JsonValue) -> JsonObject:
    return {"document": parse(DOCUMENT), "prf": message.proof, "files": list(files)}


def _valid(world: World) -> Iterator[Case]:
    for sender, suite in ((XA, "S1"), (XC, "S2"), (XD, "S0")):
        message = sealed(world, sender)
        stored = sealed_record(world, message)
        yield _case(f"valid-{suite.lower()}", VALID, f"A request in suite {suite}.", stored, result=_opened(message))
    for name, plaintext in (("attachment", PLAINTEXT), ("attachment-empty", b"")):
        stream = encrypt_stream([plaintext], key=world.chance.bytes(32), message=ID, number=1)
        stored_object = b"".join(stream)
        uri = object_name(XA, world.chance)
        annex = stream.sealed(name="annex.pdf", media_type="application/pdf", uri=uri)
        message = sealed(world, draft=request(attachments=(annex,)))
        file: JsonValue = {"name": "annex.pdf", "type": "application/pdf", "sha256": sha256(plaintext)}
        stored = sealed_record(world, message)
        comment = f"A request with a file of {len(plaintext)} bytes."
        yield _case(
            f"valid-{name}", VALID, comment, stored, objects={uri: stored_object}, result=_opened(message, file)
        )


def _copies(world: World) -> Iterator[Case]:
    good = record(world)
    flipped = replace(good, value=VALUE[:-1] + b"|")
    yield _case("copy-bit", "digest-mismatch", "The hub changed a bit of the value.", flipped)
    yield _case("copy-cut", "length-mismatch", "The hub cut the value.", replace(good, value=VALUE[:-1]))
    late = record(world, time_ms=NOW_MS + 4 * DAY_MS)
    yield _case("copy-expired", "expired", "The hub routed a message past its exp.", late)
    yield _case("copy-other", "recipient-mismatch", "A message for xb-pgo in xc-acc's inbox.", good, me=XC)


def _forged(
    world: World,
    content: bytes = b"",
    *,
    padded: bytes | None = None,
    aad: bytes | None = None,
    recipients: Sequence[PublicKey] | None = None,
    edit: JweEdit | None = None,
    value: bytes | None = None,
    **changes: Any,
) -> Record:
    """What a dishonest sender could sign: any value under a manifest that names exactly it."""
    made = manifest(world, **changes)
    if value is None:
        content = content or _content()
        value = encrypt(
            pad(content) if padded is None else padded,
            aad=additional_data(made) if aad is None else aad,
            recipients=_recipients(world) if recipients is None else recipients,
            chance=world.chance,
        )
    if edit is not None:
        members = json.loads(value)
        edit(members)
        value = json.dumps(members, separators=(",", ":")).encode()
    body = BodyReference(sha256(value), len(value), sha256(content or _content()))
    return record(world, replace(made, body=body), value=value)


def _recipients(world: World) -> list[PublicKey]:
    """The keys of the standard manifest, in its order."""
    inbox_key = world.parties[XB].key(KeyUse.INBOX, "HPKE-10-KE")
    return [inbox_key, world.parties[XA].key(KeyUse.ARCHIVE, "HPKE-10-KE")]


def _content(**changes: Any) -> bytes:
    members: dict[str, Any] = {
        "v": "comity-content/1",
        "salt": b64(_SALT),
        "event": json.loads(DOCUMENT),
        "attachments": [],
    }
    return json.dumps(members | changes, separators=(",", ":"), ensure_ascii=False).encode()


def _edited(name: str, *, text: str) -> JweEdit:
    return lambda members: members.update({name: text})


def _values(world: World) -> Iterator[Case]:
    code = "jwe-malformed"
    protected = {"enc": "A256GCM", "typ": "comity+jwe", "cty": "comity-content+json"}

    def other(**changes: str) -> JweEdit:
        header = json.dumps(protected | changes, separators=(",", ":")).encode()
        return _edited("protected", text=b64(header))

    def header(**changes: Any) -> JweEdit:
        return lambda members: members["recipients"][0]["header"].update(changes)

    yield _case("jwe-text", code, "Not JSON.", _forged(world, value=b"eyJhbGciOiJkaXIifQ..aXY.Y3Q.dGFn"))
    edits: tuple[tuple[str, str, JweEdit], ...] = (
        ("unprotected", "A shared unprotected header.", lambda members: members.update(unprotected={})),
        ("no-aad", "aad is missing.", lambda members: members.pop("aad")),
        ("enc", "Another content encryption.", other(enc="A128GCM")),
        ("zip", "A compressed content.", other(zip="DEF")),
        ("typ", "The typ of another format.", other(typ="JOSE")),
        ("iv", "An IV of 16 bytes.", _edited("iv", text=b64(bytes(16)))),
        ("tag", "A tag of 12 bytes.", _edited("tag", text=b64(bytes(12)))),
        ("padding", "Padded base64url.", lambda members: members.update(iv=members["iv"] + "=")),
        ("recipients", "No recipients.", lambda members: members.update(recipients=[])),
        ("alg", "A key wrap of no suite.", header(alg="RSA-OAEP-256")),
        ("ek", "An encapsulation of another length.", header(ek=b64(bytes(32)))),
        ("psk", "A header with a member too many.", header(psk_id="AA")),
    )
    for name, comment, edit in edits:
        yield _case(f"jwe-{name}", code, comment, _forged(world, edit=edit))


def _keys(world: World) -> Iterator[Case]:
    code = "recipient-mismatch"
    inbox_key, archive = _recipients(world)
    third = world.parties[XC].key(KeyUse.INBOX, "HPKE-10-KE")
    other = world.parties[XB].key(KeyUse.INBOX, "HPKE-12-KE")
    yield _case("key-hidden", code, "A third key.", _forged(world, recipients=[inbox_key, archive, third]))
    yield _case("key-missing", code, "A named key has no wrap.", _forged(world, recipients=[inbox_key]))
    yield _case("key-order", code, "Another order than rcp.", _forged(world, recipients=[archive, inbox_key]))
    yield _case("key-twice", code, "One key twice.", _forged(world, recipients=[inbox_key, inbox_key]))
    yield _case("key-suite", code, "A key of another suite.", _forged(world, recipients=[other, archive]))

    def flip(name: str) -> JweEdit:
        def edit(members: dict[str, Any]) -> None:
            members[name] = _flipped(members[name])

        return edit

    def flip_wrap(members: dict[str, Any]) -> None:
        members["recipients"][0]["encrypted_key"] = _flipped(members["recipients"][0]["encrypted_key"])

    def flip_encapsulation(members: dict[str, Any]) -> None:
        members["recipients"][0]["header"]["ek"] = _flipped(members["recipients"][0]["header"]["ek"])

    code = "cannot-decrypt"
    for name in ("ciphertext", "tag", "iv"):
        yield _case(f"decrypt-{name}", code, f"One bit of the {name} flipped.", _forged(world, edit=flip(name)))
    yield _case("decrypt-wrap", code, "One bit of the wrapped key flipped.", _forged(world, edit=flip_wrap))
    yield _case("decrypt-ek", code, "One bit of ek flipped.", _forged(world, edit=flip_encapsulation))


def _flipped(text: str) -> str:
    data = bytearray(unb64(text))
    data[0] ^= 1
    return b64(bytes(data))


def _bindings(world: World) -> Iterator[Case]:
    code = "aad-mismatch"
    for name, comment, other in (
        ("id", "Made for another message.", manifest(world, id=OTHER_ID)),
        ("thr", "Made for another thread.", manifest(world, thread="f" * 32)),
        ("from", "Signature theft: made by xc-acc.", replace(manifest(world), sender=XC)),
    ):
        yield _case(f"aad-{name}", code, comment, _forged(world, aad=additional_data(other)))
    yield _case("aad-text", code, "Not JSON.", _forged(world, aad=b"v=comity/1"))
    yield _case("aad-empty", code, "Nothing.", _forged(world, aad=b""))


def _contents(world: World) -> Iterator[Case]:
    content = _content()
    code = "padding-invalid"
    yield _case("padding-none", code, "No mark.", _forged(world, padded=content.ljust(256, b"\x00")))
    yield _case(
        "padding-long", code, "Twice the Padmé length.", _forged(world, padded=pad(content).ljust(512, b"\x00"))
    )
    yield _case("padding-mark", code, "The mark alone, without zeros.", _forged(world, padded=content + b"\x80"))
    yield _case("padding-zero", code, "Zeros only.", _forged(world, padded=bytes(256)))
    other = _forged(world, padded=pad(_content(salt=b64(b"t" * 32))))
    yield _case("commitment", "commitment-mismatch", "Another text than com names.", other)
    code = "content-malformed"
    flaws: tuple[tuple[str, str, bytes], ...] = (
        ("text", "Not JSON.", b"a request"),
        ("version", "Another version.", _content(v="comity-content/2")),
        ("member", "A member too many.", _content(note="")),
        ("event", "The document is no object.", _content(event=["a"])),
        ("salt", "A salt of 16 bytes.", _content(salt=b64(b"s" * 16))),
        ("float", "A number with a fraction.", _content(event={"amount": 1.5})),
        ("file-unsigned", "A file that the manifest does not name.", _content(attachments=[_file()])),
    )
    for name, comment, flawed in flaws:
        yield _case(f"content-{name}", code, comment, _forged(world, flawed))


def _file(**changes: Any) -> dict[str, Any]:
    length = len(PLAINTEXT)
    return {"n": 1, "name": "annex.pdf", "type": "application/pdf", "length": length, "key": b64(_KEY)} | changes


def _object(plaintext: bytes = PLAINTEXT, *, number: int = 1) -> bytes:
    return b"".join(encrypt_stream([plaintext], key=_KEY, message=ID, number=number))


def _with_file(world: World, signed: bytes, **changes: Any) -> Record:
    """A message with one attachment: ``signed`` is the object that the manifest names."""
    reference = AttachmentReference(1, URI, len(signed), sha256(signed), "cobblestone-256")
    return _forged(world, _content(attachments=[_file(**changes)]), attachments=(reference,))


def _attachments(world: World) -> Iterator[Case]:
    good = _object()
    code = "content-malformed"
    for name, comment, changes in (
        ("path", "A file's name with a path.", {"name": "../annex.pdf"}),
        ("direction", "A name with a mark that turns the reading direction.", {"name": "annex\u202efdp.exe"}),
        ("control", "A name with a line feed.", {"name": "annex\n.pdf"}),
        ("hidden", "A hidden file.", {"name": ".annex"}),
        ("type", "A media type with a parameter.", {"type": "text/plain; charset=utf-8"}),
        ("key", "A key of 16 bytes.", {"key": b64(bytes(16))}),
        ("length", "A length that makes another object.", {"length": len(PLAINTEXT) + 100}),
    ):
        yield _case(f"file-{name}", code, comment, _with_file(world, good, **changes), objects={URI: good})
    yield _case("object-missing", "attachment-missing", "The object is not there.", _with_file(world, good))
    code = "attachment-mismatch"
    stored = _with_file(world, good)
    flipped = good[:-1] + bytes([good[-1] ^ 1])
    for name, comment, data in (
        ("bit", "One bit of the object flipped.", flipped),
        ("cut", "The object was cut.", good[:-1]),
        ("longer", "The object has a byte more.", good + b"\x00"),
        ("empty", "An empty object.", b""),
    ):
        yield _case(f"object-{name}", code, comment, stored, objects={URI: data})
    again = _object()
    yield _case("object-again", code, "The same file, encrypted again.", stored, objects={URI: again})
    second = _object(number=2)
    yield _case("object-number", code, "Encrypted as attachment 2.", _with_file(world, second), objects={URI: second})
    shorter = _with_file(world, good, length=len(PLAINTEXT) - 1)
    if object_length(len(PLAINTEXT) - 1) != object_length(len(PLAINTEXT)):
        raise ValueError("the shorter length must make an object of the same length")
    yield _case("object-padding", code, "Padding that is not zero.", shorter, objects={URI: good})
