"""Set B1: JSON that readers differ on, or that costs them more than it costs its writer. Each is made out of a good object."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from tests.bad_inputs.smith import CANARY

NESTINGS: Final = (17, 100, 201, 202, 995, 996, 1_000, 100_000)
DIGITS: Final = (4_300, 4_301, 1_000_000)
UNKNOWN_KEYS: Final = (100, 1_000_000)
BAD_ITEMS: Final = (1_000, 200_000)
MIB: Final = 1024 * 1024


class Text(NamedTuple):
    """A way to spoil a JSON object's text. ``roomy``: it is larger than 10 KB, so it fits in no manifest."""

    id: str
    what: str
    spoil: Callable[[bytes], bytes]
    roomy: bool = False
    fine: bool = False  # JSON says it is the same, so do we


def inserted(good: bytes, member: bytes) -> bytes:
    """The object with a foreign member in front."""
    return b'{"%s":%s,%s' % (CANARY.encode(), member, good[1:])


def texts() -> Iterator[Text]:
    """All of them."""
    yield from _sized()
    yield from _numbers()
    yield from _strings()
    yield from _syntax()
    yield from _whole()


def _sized() -> Iterator[Text]:
    for depth in NESTINGS:
        yield Text(f"nesting-{depth}", f"{depth:,} lists in one another", _insert(_nested(depth)), roomy=depth > 10_000)
    deep = b'{"a":' * 500 + b"0" + b"}" * 500
    yield Text("nesting-objects", "500 objects in one another", _insert(deep))
    yield Text("nesting-open", "1,000 lists that are never closed", _insert(b"[" * 1_000))
    for count in UNKNOWN_KEYS:
        yield Text(f"keys-{count}", f"{count:,} unknown names", _many_keys(count), roomy=count > 1_000)
    for count in BAD_ITEMS:
        yield Text(f"items-{count}", f"a list of {count:,} bad items", _many_items(count), roomy=count > 1_000)


def _numbers() -> Iterator[Text]:
    for digits in DIGITS:
        yield Text(
            f"integer-{digits}", f"an integer of {digits:,} digits", _insert(b"9" * digits), roomy=digits > 10_000
        )
    spelled = {
        "integer-2-53": b"9007199254740993",
        "integer-minus-0": b"-0",
        "integer-leading-0": b"01",
        "integer-plus": b"+1",
        "integer-hex": b"0x10",
        "fraction": b"1.0",
        "exponent": b"1e2",
        "exponent-huge": b"1e999",
        "exponent-tiny": b"1e-999999999",
        "nan": b"NaN",
        "infinity": b"Infinity",
        "infinity-minus": b"-Infinity",
    }
    for name, number in spelled.items():
        yield Text(name, f"the number `{number.decode()}`", _insert(number))


def _strings() -> Iterator[Text]:
    spelled = {
        "surrogate-high": rb'"\ud800"',
        "surrogate-low": rb'"\udc00"',
        "surrogate-swapped": rb'"\udc00\ud800"',
        "surrogate-bytes": b'"\xed\xa0\x80"',
        "nul-escaped": rb'"\u0000"',
        "nul-raw": b'"\x00"',
        "control-raw": b'"a\nb"',
        "escape-unknown": rb'"\x41"',
        "utf8-overlong": b'"\xc0\xaf"',
        "utf8-cut": b'"\xf0\x9f\x98"',
        "utf8-beyond": b'"\xf4\x90\x80\x80"',
    }
    for name, text in spelled.items():
        yield Text(name, f"the string `{_shown(text)}`", _insert(text))
    first = "a name that looks like the first one of the format"
    yield Text("name-nfd", f"{first}: with a combining mark", _renamed("̈".encode()))
    yield Text("name-bidi", f"{first}: with U+202E", _renamed("\u202e".encode()))
    yield Text("name-zero-width", f"{first}: with U+200B", _renamed("\u200b".encode()))


def _syntax() -> Iterator[Text]:
    yield Text(
        "doubled-first", "the first name twice, with the same value", lambda good: b"{" + _first(good) + b"," + good[1:]
    )
    yield Text("doubled-escaped", "the first name twice, once spelled by an escape", _doubled_by_escape)
    yield Text("bom", "a byte order mark", lambda good: b"\xef\xbb\xbf" + good)
    yield Text("utf-16", "UTF-16 with a byte order mark", lambda good: good.decode().encode("utf-16"))
    yield Text("utf-32", "UTF-32 without one", lambda good: good.decode().encode("utf-32-be"))
    yield Text("latin-1", "a letter in Latin-1", _insert(b'"\xe9"'))
    yield Text("trailing-value", "a second value behind", lambda good: good + b"{}")
    yield Text("trailing-nul", "a null byte behind", lambda good: good + b"\x00")
    yield Text("trailing-comma", "a comma before the end", lambda good: good[:-1] + b",}")
    yield Text("comment", "a comment", lambda good: b"/* %s */" % CANARY.encode() + good)
    yield Text("quotes-single", "names in single quotes", lambda good: good.replace(b'"', b"'"))
    yield Text("cut", "the last byte is missing", lambda good: good[:-1])
    yield Text("in-list", "the object in a list", lambda good: b"[" + good + b"]")
    yield Text("in-string", "the object as a string", lambda good: b'"' + good.replace(b'"', b'\\"') + b'"')
    yield Text("space-foreign", "U+00A0 as white space", lambda good: "\u00a0".encode() + good)
    yield Text("space-json", "white space that JSON allows", lambda good: b" \r\n\t" + good + b"\n", fine=True)


def _whole() -> Iterator[Text]:
    spelled = {
        "empty": b"",
        "null": b"null",
        "list": b"[]",
        "object": b"{}",
        "number": b"0",
        "true": b"true",
        "byte": b"\x80",
    }
    for name, text in spelled.items():
        yield Text(f"whole-{name}", f"`{_shown(text)}` alone" if text else "no byte at all", _always(text))
    yield Text("whole-1-mib", "1 MiB, most of it spaces", lambda good: good.ljust(MIB), roomy=True)
    yield Text("whole-1-mib-1", "1 MiB and one byte, most of it spaces", lambda good: good.ljust(MIB + 1), roomy=True)


def _insert(member: bytes) -> Callable[[bytes], bytes]:
    return lambda good: inserted(good, member)


def _nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def _many_keys(count: int) -> Callable[[bytes], bytes]:
    return lambda good: b"{" + b"".join(b'"%06d":0,' % number for number in range(count)) + good[1:]


def _many_items(count: int) -> Callable[[bytes], bytes]:
    return lambda good: inserted(good, b"[" + b",".join([b"{}"] * count) + b"]")


def _always(text: bytes) -> Callable[[bytes], bytes]:
    return lambda _: text


def _first(good: bytes) -> bytes:
    """The first member's text, whose value must be a string."""
    end = good.index(b'"', good.index(b':"') + 2) + 1
    return good[1:end]


def _renamed(mark: bytes) -> Callable[[bytes], bytes]:
    def rename(good: bytes) -> bytes:
        end = good.index(b'"', 2)
        return good[:end] + mark + good[end:]

    return rename


def _doubled_by_escape(good: bytes) -> bytes:
    first = _first(good)
    return b'{"\\u%04x%s,%s' % (first[1], first[2:], good[1:])


def _shown(text: bytes) -> str:
    shown = text.decode("utf-8", "backslashreplace").encode("unicode_escape").decode()
    return shown.replace("\\\\", "\\")
