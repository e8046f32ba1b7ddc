"""Sets B1 and B2 where only the recipient can refuse: the sealed value, its content, its document, its attachments.

The canary stands under the cipher only: what a sender writes in clear around it, everybody sees.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from connectors.seal.padding import pad
from hub.core.authority import PublicKey
from hub.core.manifest import MessageType
from hub.core.records import Outgoing
from hub.envelope.encoding import b64, unb64
from hub.testing import CountedChance
from tests.bad_inputs.cases import ACCEPTED, Expected, Line, Outcome
from tests.bad_inputs.forger import Forger, same
from tests.bad_inputs.smith import CANARY, Members, compact
from tests.bad_inputs.texts import texts

PLAINTEXT_MAX: Final = 700_000  # more would not fit into a value, so the hub refuses it
_HEADER, _CHUNK = 56, 16_400  # bytes of an attachment's object


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningCase(Line):
    """A message that the hub routes. ``write`` makes the record, counted as sent."""

    write: Callable[[Forger], Outgoing]


def opening_cases() -> Iterator[OpeningCase]:
    """All of them, in the order of the recipient's checks."""
    yield from _values()
    yield from _recipients()
    yield from _wraps()
    yield from _bindings()
    yield from _plaintexts()
    yield from _texts()
    yield from _documents()
    yield from _attachments()


def refused(code: str) -> Expected:
    """Refused by the recipient with ``code``."""
    return Expected(Outcome.RECIPIENT, code)


def _case(
    name: str, what: str, made: str, expected: Expected, write: Callable[[Forger], Outgoing], *, set_: str = "B2"
) -> OpeningCase:
    return OpeningCase(id=f"{set_}-{name}", set=set_, what=what, made=made, expected=expected, write=write)


def _edited(name: str, what: str, expected: Expected, edit: Callable[[Members], object]) -> OpeningCase:
    return _case(
        f"jwe-{name}", what, "in the value, signed as it stands", expected, lambda forger: forger.letter(edit=edit)
    )


def _put(**values: Any) -> Callable[[Members], object]:
    return lambda members: members.update(values)


def _bytes_of(name: str, spell: Callable[[bytes], bytes]) -> Callable[[Members], object]:
    return lambda members: members.update({name: b64(spell(unb64(members[name])))})


def _flip(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def _values() -> Iterator[OpeningCase]:
    malformed, unreadable = refused("jwe-malformed"), refused("cannot-decrypt")
    yield _edited("tag-cut", "a tag of 12 bytes", malformed, _bytes_of("tag", lambda tag: tag[:12]))
    yield _edited("tag-empty", "no tag", malformed, _put(tag=""))
    yield _edited("tag-bit", "a tag with one bit flipped", unreadable, _bytes_of("tag", _flip))
    yield _edited("nonce-11", "a nonce of 11 bytes", malformed, _bytes_of("iv", lambda iv: iv[:11]))
    yield _edited("nonce-zero", "a nonce of zeros", unreadable, _bytes_of("iv", lambda iv: bytes(len(iv))))
    yield _edited("text-bit", "a ciphertext with one bit flipped", unreadable, _bytes_of("ciphertext", _flip))
    yield _edited("text-empty", "no ciphertext", unreadable, _put(ciphertext=""))
    yield _edited(
        "text-cut", "a ciphertext without its last byte", unreadable, _bytes_of("ciphertext", lambda data: data[:-1])
    )
    yield _edited("member", "a member too many", malformed, _put(zip="DEF"))
    yield _edited("unprotected", "an unprotected header", malformed, _put(unprotected={"alg": "dir"}))
    yield _edited(
        "protected",
        "a protected header with `zip`",
        malformed,
        _put(protected=b64(b'{"enc":"A256GCM","typ":"comity+jwe","cty":"comity-content+json","zip":"DEF"}')),
    )
    yield _edited(
        "enc",
        "another content encryption",
        malformed,
        _put(protected=b64(b'{"enc":"A128GCM","typ":"comity+jwe","cty":"comity-content+json"}')),
    )
    yield _edited(
        "padded", "base64url with padding", malformed, lambda members: members.update(iv=members["iv"] + "==")
    )
    whole = "as the value, signed as it stands"
    for name, value in {"text": b"no JWE", "list": b"[]", "nested": b"[" * 100_000, "null": b"null"}.items():
        yield _case(f"sealed-value-{name}", f"`{value[:20].decode()}`", whole, malformed, _valued(value))

    made = "by a sender whose chance always draws the same"
    yield _case("nonce-first", "a content key that can be guessed", made, ACCEPTED, _unlucky)
    again = "content key and nonce of the message before: it harms nobody but its sender"
    yield _case("nonce-again", again, made, ACCEPTED, _unlucky)


def _valued(value: bytes) -> Callable[[Forger], Outgoing]:
    return lambda forger: forger.letter(value=value)


def _unlucky(forger: Forger) -> Outgoing:
    message, chance = forger.new_id(), forger.chance
    forger.chance = CountedChance(1_000_000)
    try:
        return forger.letter(message=message)
    finally:
        forger.chance = chance


def _recipients() -> Iterator[OpeningCase]:
    mismatch = refused("recipient-mismatch")
    made = "in the value, signed as it stands"

    def sealed(name: str, what: str, keys: Callable[[list[PublicKey]], list[PublicKey]]) -> OpeningCase:
        return _case(f"sealed-{name}", what, made, mismatch, lambda forger: forger.letter(keys=keys))

    yield sealed("order", "the keys in the other order", lambda keys: keys[::-1])
    yield sealed("fewer", "without the archive key that the manifest names", lambda keys: keys[:1])
    yield sealed("twice", "our key twice: one value could hold two texts", lambda keys: keys[:1] + keys)
    hidden = "a hidden reader that the manifest does not name"
    yield _case(
        "sealed-hidden",
        hidden,
        made,
        mismatch,
        lambda forger: forger.letter(keys=lambda keys: [*keys, forger.foreign_key]),
    )
    foreign = "for a third authority in our place"
    yield _case(
        "sealed-other",
        foreign,
        made,
        mismatch,
        lambda forger: forger.letter(keys=lambda keys: [forger.foreign_key, keys[1]]),
    )


def _wraps() -> Iterator[OpeningCase]:
    yield _edited("recipients-0", "no recipient", refused("jwe-malformed"), _put(recipients=[]))
    many = "1,001 recipients without a key"
    yield _edited("recipients-1001", many, refused("jwe-malformed"), lambda each: each.update(recipients=[{}] * 1_001))
    yield _edited(
        "recipients-17",
        "17 recipients",
        refused("jwe-malformed"),
        lambda each: each.update(recipients=each["recipients"][:1] * 17),
    )
    yield _edited(
        "alg-none",
        "key wrap `none`",
        refused("jwe-malformed"),
        lambda each: each["recipients"][0]["header"].update(alg="none"),
    )
    yield _edited(
        "alg-weaker",
        "the key wrap of another suite",
        refused("jwe-malformed"),
        lambda each: each["recipients"][0]["header"].update(alg="ECDH-ES+A256KW"),
    )
    yield _edited(
        "kid-other",
        "another key's id",
        refused("recipient-mismatch"),
        lambda each: each["recipients"][0]["header"].update(kid="A" * 43),
    )
    yield _edited("wraps-swapped", "the two wrapped keys in each other's place", refused("cannot-decrypt"), _swap_wraps)
    yield _edited(
        "wrap-bit",
        "a wrapped key with one bit flipped",
        refused("cannot-decrypt"),
        lambda each: _bytes_of("encrypted_key", _flip)(each["recipients"][0]),
    )
    yield _edited(
        "wrap-cut",
        "a wrapped key without its last byte",
        refused("jwe-malformed"),
        lambda each: _bytes_of("encrypted_key", lambda data: data[:-1])(each["recipients"][0]),
    )


def _swap_wraps(members: Members) -> None:
    first, second = members["recipients"]
    first["header"]["kid"], second["header"]["kid"] = second["header"]["kid"], first["header"]["kid"]
    members["recipients"] = [second, first]


def _bindings() -> Iterator[OpeningCase]:
    mismatch = refused("aad-mismatch")
    made = "under the cipher"

    def bound(name: str, what: str, aad: Callable[[bytes], bytes]) -> OpeningCase:
        return _case(f"aad-{name}", what, made, mismatch, lambda forger: forger.letter(aad=aad))

    def changed(**values: Any) -> Callable[[bytes], bytes]:
        return lambda aad: compact(json.loads(aad) | values)

    yield bound("empty", "no additional data", lambda _: b"")
    yield bound("text", "additional data that are no JSON", lambda _: b"no JSON")
    yield bound("nested", "additional data nested 100,000 deep", lambda _: b"[" * 100_000)
    yield bound("doubled", "additional data with a name twice", lambda aad: aad[:-1] + b"," + aad[1:])
    yield bound("id", "additional data of another message", changed(id="019abcde-0000-7000-8000-000000000001"))
    yield bound("from", "additional data of another sender", changed(**{"from": "xc-acc"}))
    yield bound("to", "additional data for another recipient", changed(to=["xc-acc"]))
    yield bound("thread", "additional data of another thread", changed(thr="6" * 32))
    yield bound("type", "additional data of another class", changed(typ="response"))
    yield bound("version", "additional data of another version", changed(v="comity/2"))
    yield bound("more", "additional data with a member too many", changed(note=""))
    yield _case("aad-swapped", "the value of another message, whole", "signed anew", mismatch, _stolen)


def _stolen(forger: Forger) -> Outgoing:
    return forger.letter(value=forger.last_value)


def _plaintexts() -> Iterator[OpeningCase]:
    made = "under the cipher, committed to as it stands"
    broken = refused("padding-invalid")
    for name, what, padded in (
        ("none", "no padding", same),
        ("longer", "padding of 16 zeros too many", lambda content: pad(content) + bytes(16)),
        ("mark", "the mark alone", lambda content: content + b"\x80"),
        ("empty", "nothing at all", lambda _: b""),
        ("zeros", "zeros alone", lambda _: bytes(256)),
    ):
        yield _case(f"padding-{name}", what, made, broken, _padded(padded))
    other = "a plaintext that was not committed to"
    yield _case(
        "commitment",
        other,
        "under the cipher",
        refused("commitment-mismatch"),
        lambda forger: forger.letter(committed=lambda content: content + b" "),
    )


def _padded(padded: Callable[[bytes], bytes]) -> Callable[[Forger], Outgoing]:
    return lambda forger: forger.letter(padded=padded)


def _texts() -> Iterator[OpeningCase]:
    """Set B1 as the whole content, and as the document in it."""
    malformed = refused("content-malformed")
    for text in texts():
        if len(text.spoil(b'{"v":"a"}')) > PLAINTEXT_MAX:
            continue
        expected = ACCEPTED if text.fine else malformed
        yield _case(f"content-{text.id}", text.what, "as the content", expected, _content(text.spoil), set_="B1")
        yield _case(f"document-{text.id}", text.what, "as the document", expected, _document(text.spoil), set_="B1")


def _content(spoil: Callable[[bytes], bytes]) -> Callable[[Forger], Outgoing]:
    return lambda forger: forger.letter(spoil(forger.content()))


def _document(spoil: Callable[[bytes], bytes]) -> Callable[[Forger], Outgoing]:
    return lambda forger: forger.letter(forger.content(spoil(compact(json.loads(forger.document)))))


def _changed(name: str, what: str, expected: Expected, **values: Any) -> OpeningCase:
    def write(forger: Forger) -> Outgoing:
        return forger.letter(forger.content(compact(json.loads(forger.document) | values)))

    return _case(f"document-{name}", what, "in the document", expected, write, set_="B1")


def _documents() -> Iterator[OpeningCase]:
    malformed = refused("content-malformed")
    yield _changed("nfc", "a name in NFC", ACCEPTED, subject_matter="r\u00f6ad")
    yield _changed("nfd", "a name in NFD: it stays as it was written", ACCEPTED, subject_matter="ro\u0308ad")
    yield _changed("bidi", "U+202E in a text: the national system shows it", ACCEPTED, subject_matter="abc\u202edef")
    yield _changed("zero-width", "U+200B in a text", ACCEPTED, subject_matter="a\u200bb")
    yield _changed("nul", "U+0000 in a text", ACCEPTED, subject_matter="a\x00b")
    yield _changed(
        "formula",
        "a spreadsheet's formula and log injection in a text",
        ACCEPTED,
        subject_matter="=cmd|' /C calc'!A0 ${jndi:ldap://x} %n\r\n\x1b[31m",
    )
    yield _changed("unknown", "a member that no document has", malformed, **{CANARY: 1})
    yield _changed("event", "an event that nobody knows", malformed, event=CANARY)
    yield _changed("event-list", "a list as event", malformed, event=[CANARY])
    yield _changed("other", "an acknowledgement's event in a request", malformed, event="mla.acknowledged")
    yield _changed("version", "version 2", malformed, version=2)
    yield _changed("version-fraction", "version `1.0`", malformed, version=1.0)
    yield _changed("version-true", "version true", malformed, version=True)
    yield _changed("missing", "a member that is null", malformed, purpose=None)
    yield _changed("spaces", "a text of spaces", malformed, purpose="   ")
    yield _changed("long", "a text of 16,385 letters", malformed, purpose="a" * 16_385)
    yield _changed("persons", "101 persons", malformed, persons=[{"name": CANARY}] * 101)
    yield _changed("bad-items", "3,000 bad persons", malformed, persons=[{"a": 1}] * 3_000)
    yield _changed("language", "a language that is none", malformed, language="e" * 40)
    yield _changed(
        "day", "the 31st of February", malformed, suggested_deadline={"date": "2027-02-31", "reason": CANARY}
    )
    typed = "a request's document in a response"
    yield _case(
        "document-type",
        typed,
        "under the cipher",
        malformed,
        lambda forger: forger.letter(type=MessageType.RESPONSE),
        set_="B1",
    )


def _attachments() -> Iterator[OpeningCase]:
    mismatch = refused("attachment-mismatch")
    spoilt: tuple[tuple[str, str, Callable[[bytes], bytes]], ...] = (
        ("bit", "one bit flipped", lambda data: data[:20_000] + _flip(data[20_000:])),
        ("head", "one bit flipped in its head", _flip),
        (
            "chunk-missing",
            "the second chunk missing",
            lambda data: data[: _HEADER + _CHUNK] + data[_HEADER + 2 * _CHUNK :],
        ),
        ("chunk-twice", "the second chunk twice", lambda data: data[: _HEADER + 2 * _CHUNK] + data[_HEADER + _CHUNK :]),
        ("chunks-swapped", "two chunks in each other's place", _swap_chunks),
        ("cut", "cut at a chunk", lambda data: data[: _HEADER + _CHUNK]),
        ("short", "its last byte missing", lambda data: data[:-1]),
        ("long", "a byte more", lambda data: data + b"\x00"),
        ("empty", "empty", lambda _: b""),
        ("other", "other bytes of the same length", lambda data: bytes(len(data))),
        ("plain", "plaintext in place of the ciphertext", lambda data: (CANARY.encode() * len(data))[: len(data)]),
    )
    made = "as the object in the store; digest and length in the manifest are those of the right one"
    for name, what, spoil in spoilt:
        yield _case(f"attachment-{name}", f"an attachment: {what}", made, mismatch, _attached(spoil))
    gone = refused("attachment-missing")
    yield _case("attachment-missing", "an attachment that is not there", "in no store", gone, _attached(lambda _: None))
    yield _case("attachment-good", "an attachment as it should be", "in the store", ACCEPTED, _attached(same))
    sealed = "under the cipher"
    malformed = refused("content-malformed")
    for name, spelled in {
        "path": "../../etc/passwd", "absolute": "/etc/passwd", "drive": "C:\\x", "nul": "a\x00b", "newline": "a\nb", "bidi": "annex\u202efdp.exe",
        "dots": "..", "empty": "", "long": "a" * 256, "trailing-dot": "annex.", "hidden": ".profile",
    }.items():  # fmt: skip
        yield _case(f"attachment-name-{name}", f"an attachment's name: {name}", sealed, malformed, _named(spelled))
    unlisted = "an attachment that the manifest does not list"
    yield _case("attachment-unlisted", unlisted, sealed, malformed, _unlisted)


def _swap_chunks(data: bytes) -> bytes:
    first, second = data[_HEADER : _HEADER + _CHUNK], data[_HEADER + _CHUNK : _HEADER + 2 * _CHUNK]
    return data[:_HEADER] + second + first + data[_HEADER + 2 * _CHUNK :]


def _attached(spoil: Callable[[bytes], bytes | None]) -> Callable[[Forger], Outgoing]:
    def write(forger: Forger) -> Outgoing:
        message = forger.new_id()
        sealed = forger.attachment(message, spoil)
        return forger.letter(forger.content(None, sealed), message=message, attachments=[sealed])

    return write


def _named(name: str) -> Callable[[Forger], Outgoing]:
    def write(forger: Forger) -> Outgoing:
        message = forger.new_id()
        sealed = forger.attachment(message)
        content = json.loads(forger.content(None, sealed))
        content["attachments"][0]["name"] = name
        return forger.letter(compact(content), message=message, attachments=[sealed])

    return write


def _unlisted(forger: Forger) -> Outgoing:
    message = forger.new_id()
    sealed = forger.attachment(message)
    return forger.letter(forger.content(None, sealed), message=message)
