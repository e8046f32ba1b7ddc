"""Bad inputs, set B4: whatever lies in ``out``, it is a hand-in, or a problem with a reason; nothing else is touched."""

from __future__ import annotations

import json
import os

import pytest

from connectors.ports import HandIn, Problem, Unusable
from hub.errors import UsageError


def test_good_hand_in_is_read(exchange):
    """A complete hand-in is listed with its files, and its bytes pass."""
    exchange.put(
        "case-1",
        {"a.pdf": b"%PDF-1"},
        clocks=[{"op": "start", "kind": "reply", "id": None, "due": "2026-12-24T23:00:00Z"}],
    )
    found = exchange.only()
    assert isinstance(found, HandIn)
    assert b"".join(exchange.system.content(found, 1)) == b"%PDF-1"
    exchange.system.taken("case-1")
    assert list(exchange.system.outgoing()) == []
    assert (exchange.root / "sent/case-1/a.pdf").is_file()


@pytest.mark.parametrize("name", ["a.b", "-x", "x" * 65, "ü", "a b", "a\nb", "%00", "_x"])
def test_foreign_hand_in_name_is_a_problem(exchange, name):
    """A name that could not stand in a file name is a problem under a name of ours."""
    (exchange.root / "out" / name).mkdir()
    found = exchange.only()
    assert (Unusable, "hand-in-name") == (type(found), found.code)
    exchange.system.problem(Problem(key=found.key, code=found.code, sentence=found.sentence))
    [failed] = (exchange.root / "failed").iterdir()
    assert failed.name.startswith("unnamed-")
    assert (failed / "hand-in").is_dir()
    assert list(exchange.system.outgoing()) == []


def test_half_built_hand_in_with_a_dot_is_left_alone(exchange):
    """A name that begins with a dot is somebody's work in progress."""
    (exchange.root / "out/.building").mkdir()
    assert list(exchange.system.outgoing()) == []


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "C:\\x",
        "a\x00b",
        "x" * 256,
        "a/b",
        "a\\b",
        ".hidden",
        "end.",
        "end ",
        "a\nb",
        "",
    ],
)
def test_foreign_file_name_is_refused(exchange, name):
    """A name in the manifest is one plain name; nothing outside the folder is ever opened."""
    entry = {"name": name, "type": "a/b", "length": 0, "sha256": "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"}
    folder = exchange.put("case-1")
    (folder / "manifest.json").write_text(json.dumps(exchange.manifest({}, b'{"event":"x"}', files=[entry])))
    assert exchange.only().code == "file-name"


@pytest.mark.parametrize("kind", ["symlink", "fifo", "folder", "hard-link", "socket"])
def test_irregular_file_is_refused(exchange, kind, tmp_path):
    """Only regular files with one name are read; a FIFO does not block."""
    folder = exchange.put("case-1", {"a.pdf": b"x"})
    target = folder / "a.pdf"
    target.unlink()
    secret = tmp_path / "secret"
    secret.write_bytes(b"x")
    if kind == "symlink":
        target.symlink_to(secret)
    elif kind == "fifo":
        os.mkfifo(target)
    elif kind == "folder":
        target.mkdir()
    elif kind == "socket":
        os.mknod(target, 0o600 | 0o140000)
    else:
        target.hardlink_to(secret)
    found = exchange.only()
    with pytest.raises(UsageError, match="file-irregular"):
        list(exchange.system.content(found, 1))


@pytest.mark.parametrize("name", ["manifest.json", "document.json"])
def test_linked_manifest_is_refused(exchange, name, tmp_path):
    """The manifest and the document are never read through a link."""
    folder = exchange.put("case-1")
    outside = tmp_path / "outside"
    outside.write_bytes((folder / name).read_bytes())
    (folder / name).unlink()
    (folder / name).symlink_to(outside)
    assert exchange.only().code == "file-irregular"


def test_linked_folder_is_refused(exchange, tmp_path):
    """A hand-in that is a link to a folder is not followed."""
    (exchange.root / "out/case-1").symlink_to(tmp_path)
    assert exchange.only().code == "not-a-folder"


def test_plain_file_in_out_is_refused(exchange):
    """A file where a folder is expected is a problem."""
    (exchange.root / "out/case-1").write_bytes(b"x")
    assert exchange.only().code == "not-a-folder"


@pytest.mark.parametrize(("before", "after"), [(b"12345", b"1234"), (b"12345", b"123456"), (b"12345", b"12346")])
def test_file_that_changed_is_refused(exchange, before, after):
    """A file that shrank, grew or changed since its manifest was written does not pass."""
    folder = exchange.put("case-1", {"a.pdf": before})
    (folder / "a.pdf").write_bytes(after)
    with pytest.raises(UsageError, match=r"hand-in-changed|file-too-large"):
        list(exchange.system.content(exchange.only(), 1))


def test_huge_sparse_file_is_refused_unread(exchange):
    """10 GiB of nothing costs nothing."""
    folder = exchange.put("case-1", {"a.pdf": b"x"})
    os.truncate(folder / "a.pdf", 10 * 1024**3)
    with pytest.raises(UsageError, match="file-too-large"):
        list(exchange.system.content(exchange.only(), 1))


def test_unlisted_file_is_a_problem(exchange):
    """A file that the manifest does not name would silently not be sent."""
    folder = exchange.put("case-1")
    (folder / "forgotten.pdf").write_bytes(b"x")
    assert exchange.only().code == "files-unlisted"


def test_missing_manifest_is_a_problem(exchange):
    """A half-written folder is a problem that says what is missing."""
    (exchange.root / "out/case-1").mkdir()
    assert exchange.only().code == "file-missing"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"v": "comity-handin/2"}, "manifest-malformed"),
        ({"type": "receipt"}, "manifest-malformed"),
        ({"to": "XB"}, "manifest-malformed"),
        ({"extra": 1}, "manifest-malformed"),
        ({"type": "ack"}, "manifest-malformed"),
        ({"document": "A" * 43}, "document-changed"),
        ({"clocks": [{"op": "start", "kind": "reply", "id": None, "due": None}]}, "manifest-malformed"),
        ({"clocks": [{"op": "stop", "kind": "reply", "id": None, "due": None}]}, "manifest-malformed"),
        (
            {"clocks": [{"op": "start", "kind": "custody", "id": None, "due": "2026-12-24T23:00:00Z"}]},
            "manifest-malformed",
        ),
    ],
)
def test_manifest_grammar(exchange, change, code):
    """The manifest is closed and strict."""
    exchange.put("case-1", **change)
    assert code == exchange.only().code


def test_problem_is_written_once_and_another_beside_it(exchange):
    """The same problem again changes nothing, another one does not overwrite it."""
    for code in ("one", "one", "two"):
        exchange.system.problem(Problem(key="case-1", code=code, sentence="why"))
    assert {"case-1", "case-1.2"} == {path.name for path in (exchange.root / "failed").iterdir()}
