"""Set B1 where the hub parses JSON of an authority's making: the JWS, its protected header, the manifest in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from hub.core.records import JWS_HEADER
from tests.bad_inputs.cases import ACCEPTED, Case, Expected, Make, Members, Outcome, Poison, refused
from tests.bad_inputs.smith import Smith, compact
from tests.bad_inputs.texts import Text, texts

TOO_LARGE: Final = Expected(Outcome.BROKER, "record-too-large")


HUGE: Final = "keys-1000000"


class _Spot(NamedTuple):
    """A place where the hub parses: what is put there, the code for what is no JSON, what the broker does not even take."""

    name: str
    made: str
    code: str
    put: Callable[[Smith, Callable[[bytes], bytes]], bytes]
    beyond: frozenset[str]
    spread: str = ""  # a text that takes more than 16 KiB here


_SPOTS: Final = (
    _Spot(
        "header",
        "as the whole `comity-jws` header",
        "jws-malformed",
        lambda smith, spoil: spoil(smith.manifest()),
        frozenset({HUGE}),
        "utf-32",
    ),
    _Spot(
        "protected",
        "as the first protected header, signed as it stands",
        "jws-malformed",
        lambda smith, spoil: compact(smith.signed(compact(smith.members()), protected=spoil)),
        frozenset({"integer-1000000", "whole-1-mib", "whole-1-mib-1"}),
    ),
    _Spot(
        "payload",
        "as the manifest, signed as it stands",
        "manifest-malformed",
        lambda smith, spoil: smith.manifest(spoil),
        frozenset({"integer-1000000", "whole-1-mib", "whole-1-mib-1"}),
    ),
)


def json_cases() -> Iterator[Case]:
    """Each text in each place, then members whose values readers spell differently."""
    for spot in _SPOTS:
        for text in texts():
            if text.id == HUGE and spot is not _SPOTS[0]:
                continue  # no broker takes it wherever it is
            yield Case(
                id=f"B1-{spot.name}-{text.id}",
                set="B1",
                what=text.what,
                made=spot.made,
                expected=_expected(text, spot),
                make=_spoilt(spot, text),
            )
    yield from _member_cases()


def _expected(text: Text, spot: _Spot) -> Expected:
    if text.id in spot.beyond:
        return TOO_LARGE
    if text.roomy or text.id == spot.spread:
        return refused("manifest-too-large")
    return ACCEPTED if text.fine else refused(spot.code)


def _spoilt(spot: _Spot, text: Text) -> Make:
    def make(smith: Smith) -> Poison:
        good = smith.draft()
        return Poison(good.key, smith.value, ((JWS_HEADER, spot.put(smith, text.spoil)),))

    return make


def member(name: str, what: str, expected: Expected, change: Callable[[Members], object], *, set_: str = "B1") -> Case:
    """A case whose manifest has some members changed, and is signed as it stands. The key is the thread's."""

    def make(smith: Smith) -> Poison:
        members = smith.members()
        key = members["thr"].encode()
        changed = change(members)
        payload = compact(changed if isinstance(changed, dict) else members)
        return Poison(key, smith.value, ((JWS_HEADER, compact(smith.signed(payload))),))

    return Case(
        id=f"{set_}-{name}",
        set=set_,
        what=what,
        made="in a manifest, signed as it stands",
        expected=expected,
        make=make,
    )


def put(**values: object) -> Callable[[Members], object]:
    """Change members; a trailing underscore is for names that Python keeps."""
    return lambda members: members.update({name.rstrip("_"): value for name, value in values.items()})


def _edited(old: bytes, new: bytes) -> Make:
    """The manifest's text with one spelling replaced. Making it raises ``ValueError`` where there is none."""

    def edited(payload: bytes) -> bytes:
        if old not in payload:
            raise ValueError("the manifest is spelled otherwise")
        return payload.replace(old, new, 1)

    def make(smith: Smith) -> Poison:
        header = smith.manifest(edited)
        return Poison(smith.draft().key, smith.value, ((JWS_HEADER, header),))

    return make


_SENDERS: Final[dict[str, tuple[str, Callable[[str], str]]]] = {
    "homoglyph": ("a Cyrillic letter in `from`", lambda sender: sender.replace("a", "\u0430")),
    "bidi": ("U+202E in `from`", lambda sender: sender + "\u202e"),
    "zero-width": ("U+200B in `from`", lambda sender: sender + "\u200b"),
    "newline": ("a line feed behind `from`", lambda sender: sender + "\n"),
    "nul": ("U+0000 behind `from`", lambda sender: sender + "\x00"),
    "upper": ("`from` in upper case", str.upper),
}
_SPELLINGS: Final = (
    ("tl-fraction", b'"tl":1.0', refused("manifest-malformed")),
    ("tl-exponent", b'"tl":1e0', refused("manifest-malformed")),
    ("tl-leading-0", b'"tl":01', refused("manifest-malformed")),
    ("tl-minus-0", b'"tl":-0', refused("manifest-malformed")),
    ("escaped-letter", b'"typ":"\\u0072equest"', ACCEPTED),
    ("escaped-name", b'"\\u0074yp":"request"', ACCEPTED),
)


def _member_cases() -> Iterator[Case]:
    malformed = refused("manifest-malformed")
    yield member(
        "order-reversed", "all names in reversed order", ACCEPTED, lambda members: dict(reversed(members.items()))
    )
    yield member("spelled-by-number", "`seq` as text", malformed, put(seq="1"))
    yield member("spelled-by-true", "`seq` as true", malformed, put(seq=True))
    yield member("seq-null", "`seq` as null", malformed, put(seq=None))
    yield member("seq-list", "`seq` as a list", malformed, put(seq=[1]))
    yield member(
        "id-wide", "full-width digits in `id`", malformed, lambda each: each.update(id="\uff10" + each["id"][1:])
    )
    yield member("typ-canary", "a whole text as `typ`", malformed, put(typ="canary-f3c1d0" * 50))
    for name, value in _SENDERS.items():
        what, spell = value
        yield member(f"from-{name}", what, malformed, _respelled_sender(spell))
    for name, new, expected in _SPELLINGS:
        old = b'"tl":1' if new.startswith(b'"tl"') else b'"typ":"request"'
        yield Case(
            id=f"B1-{name}",
            set="B1",
            what=f"another spelling of the same: `{new.decode()}`",
            made="in a manifest, signed as it stands",
            expected=expected,
            make=_edited(old, new),
        )


def _respelled_sender(spell: Callable[[str], str]) -> Callable[[Members], object]:
    return lambda members: members.update({"from": spell(members["from"])})
