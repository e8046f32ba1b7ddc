"""The content's grammar: what is sealed can be opened, and nothing else is read."""

from __future__ import annotations

import json

import pytest

from connectors.seal.content import AttachmentContent, Content, decode_content, encode_content
from hub.errors import Refused, UsageError

SALT = bytes(range(32))
ANNEX = AttachmentContent(1, "annex 1.pdf", "application/pdf", 12, b"k" * 32)
CONTENT = Content(SALT, b'{"title":"R\xc3\xa9qu\xc3\xaate"}', (ANNEX,))
MEMBERS = json.loads(encode_content(CONTENT))


def test_content_is_written_and_read():
    """Salt, document and attachments come back."""
    assert decode_content(encode_content(CONTENT)) == CONTENT


def test_content_shows_nothing_of_itself():
    """Neither document nor name nor key stands in the text form."""
    assert (
        repr(CONTENT) == "Content(attachments=(AttachmentContent(number=1, media_type='application/pdf', length=12),))"
    )


def test_white_space_of_a_document_is_not_kept():
    """The document is written compact: its bytes are the value's, not the author's."""
    read = decode_content(encode_content(Content(SALT, b'{ "a" : [ 1 , "b" ] }')))
    assert read.event == b'{"a":[1,"b"]}'


def _with_attachment(**changes):
    return {**MEMBERS, "attachments": [{**MEMBERS["attachments"][0], **changes}]}


def _without(name):
    return {member: value for member, value in MEMBERS.items() if member != name}


@pytest.mark.parametrize(
    "members",
    [
        [],
        {},
        *(_without(name) for name in MEMBERS),
        {**MEMBERS, "more": 1},
        {**MEMBERS, "v": "comity-content/2"},
        {**MEMBERS, "salt": "AAAA"},
        {**MEMBERS, "salt": MEMBERS["salt"] + "="},
        {**MEMBERS, "salt": 5},
        {**MEMBERS, "event": "text"},
        {**MEMBERS, "event": [1]},
        {**MEMBERS, "event": None},
        {**MEMBERS, "event": {"amount": 1.5}},
        {**MEMBERS, "attachments": {}},
        {**MEMBERS, "attachments": [1]},
        {**MEMBERS, "attachments": MEMBERS["attachments"] * 2},
        {**MEMBERS, "attachments": MEMBERS["attachments"] * 17},
        _with_attachment(n=2),
        _with_attachment(n="1"),
        _with_attachment(more=1),
        _with_attachment(length=-1),
        _with_attachment(length=2**30 + 1),
        _with_attachment(length=True),
        _with_attachment(key="AAAA"),
        _with_attachment(type="pdf"),
        _with_attachment(type="Application/PDF"),
        _with_attachment(type="text/html; charset=utf-8"),
        _with_attachment(type="text/html\n"),
    ],
)
def test_content_outside_its_schema_is_refused(members):
    """Each member, its type and its bound is checked; unknown members are refused."""
    with pytest.raises(Refused) as caught:
        decode_content(json.dumps(members).encode())
    assert caught.value.code == "content-malformed"


NAMES_REFUSED = [
    "",
    "..",
    ".",
    ".profile",
    "../annex.pdf",
    "/etc/passwd",
    "a\\b",
    "c:annex",
    "a\x00b",
    "a\nb",
    "a\u0085b",
    "annex\u202efdp.exe",
    "annex\u2028",
    "\ufeffannex",
    " annex",
    "annex ",
    "annex.",
    "a?",
    "a" * 256,
    "é" * 128,
]


@pytest.mark.parametrize("name", NAMES_REFUSED)
def test_a_name_that_is_more_than_a_name_is_refused(name):
    """No path, no control letter, no mark that turns the reading direction, no hidden file, at most 255 bytes."""
    with pytest.raises(Refused) as caught:
        decode_content(json.dumps(_with_attachment(name=name)).encode())
    assert caught.value.code == "content-malformed"


@pytest.mark.parametrize(
    "name",
    [
        "annex.pdf",
        "Протокол допроса.docx",
        "\u067e\u06cc\u0648\u0633\u062a\u200c\u0647\u0627.pdf",
        "a" * 255,
        "報告書 2026.pdf",
        "a.b.c",
    ],
)
def test_a_name_in_any_script_is_taken(name):
    """Names are the author's, in the author's script."""
    assert name == decode_content(json.dumps(_with_attachment(name=name)).encode()).attachments[0].name


@pytest.mark.parametrize("twin", ["ANNEX 1.PDF", "annex\u00a01.pdf", "annex 1.pdf"])
def test_two_names_for_one_file_are_refused(twin):
    """Names that a file system may hold for the same file would overwrite each other."""
    first = MEMBERS["attachments"][0]
    members = {**MEMBERS, "attachments": [first, {**first, "n": 2, "name": twin}]}
    with pytest.raises(Refused) as caught:
        decode_content(json.dumps(members).encode())
    assert caught.value.code == "content-malformed"


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'{"v":1,"v":1}', b"[" * 100_000, b'{"v":"\\ud800"}'])
def test_bytes_that_are_no_strict_json_are_refused(data):
    """The strict reading of JSON holds for the content too."""
    with pytest.raises(Refused) as caught:
        decode_content(data)
    assert caught.value.code == "content-malformed"


def test_content_over_its_limit_is_refused():
    """64 KiB of content are read, one byte more is not."""
    empty = len(encode_content(Content(SALT, b'{"a":""}')))
    full = encode_content(Content(SALT, b'{"a":"' + b"x" * (65_536 - empty) + b'"}'))
    assert len(full) == 65_536
    assert decode_content(full).salt == SALT
    with pytest.raises(Refused) as caught:
        decode_content(full.replace(b'"a"', b'"ab"'))
    assert caught.value.code == "content-malformed"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (Content(SALT, b'{"a":"' + b"x" * 65_536 + b'"}'), "content-too-large"),
        (Content(SALT, b"[1]"), "content-malformed"),
        (Content(SALT, b'{"a":1,"a":2}'), "content-malformed"),
        (Content(SALT, b'{"a":1},"b":{"c":2}'), "content-malformed"),
        (Content(SALT, b'{"a":' * 15 + b"1" + b"}" * 15), None),
        (Content(SALT, b'{"a":' * 16 + b"1" + b"}" * 16), "content-malformed"),
        (Content(SALT[1:], b"{}"), "content-malformed"),
        (Content(SALT, b"{}", (AttachmentContent(1, "a/b", "a/b", 1, b"k" * 32),)), "content-malformed"),
        (Content(SALT, b"{}", (AttachmentContent(1, "\ud800", "a/b", 1, b"k" * 32),)), "content-malformed"),
    ],
)
def test_nothing_is_written_that_could_not_be_read(content, code):
    """What opening would refuse is the author's mistake, found before it is sealed; the error shows none of it."""
    if code is None:
        assert content == decode_content(encode_content(content))
        return
    with pytest.raises(UsageError) as caught:
        encode_content(content)
    assert code == caught.value.code
