"""Key files: whole or not at all, never over another, closed to others whatever the umask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.adapters.files import owned
from hub.errors import UsageError


@pytest.fixture
def loose_umask() -> Iterator[None]:
    """A umask that takes nothing away."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    """The permission bits."""
    return path.stat().st_mode & 0o777


def test_a_new_file_and_its_folders_are_the_owners_alone(tmp_path: Path, loose_umask: None) -> None:
    """Under umask 0 a file is 0600 and every folder that was made for it 0700."""
    path = tmp_path / "hub" / "keys" / "router.json"
    owned.write_new(path, b"key")
    assert (mode(path), mode(path.parent), mode(path.parent.parent)) == (0o600, 0o700, 0o700)
    assert owned.read_private(path) == b"key"


def test_a_strict_umask_does_no_harm(tmp_path: Path) -> None:
    """Under umask 0777 the owner can still read what was written."""
    before = os.umask(0o777)
    try:
        owned.write_new(tmp_path / "a" / "file", b"key")
    finally:
        os.umask(before)
    assert (mode(tmp_path / "a" / "file"), mode(tmp_path / "a")) == (0o600, 0o700)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """A file that is there stays as it is, and no half-written one is left beside it."""
    path = tmp_path / "anchor.json"
    owned.write_new(path, b"first")
    with pytest.raises(UsageError, match="file-exists"):
        owned.write_new(path, b"second")
    assert path.read_bytes() == b"first"
    assert [path] == list(tmp_path.iterdir())


def test_replace_puts_the_new_content_in_place(tmp_path: Path) -> None:
    """A statement is renewed in one step, closed to others as before."""
    path = tmp_path / "statement.jws"
    owned.replace(path, b"first")
    owned.replace(path, b"second")
    assert (b"second", 0o600, [path]) == (path.read_bytes(), mode(path), list(tmp_path.iterdir()))


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    """A symbolic link planted where a key shall lie does not move the key elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    link = tmp_path / "key.json"
    link.symlink_to(elsewhere)
    with pytest.raises(UsageError, match="file-exists"):
        owned.write_new(link, b"key")
    assert not elsewhere.exists()


def test_a_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    """A key file open to its group is refused with the command that closes it."""
    path = tmp_path / "key.json"
    owned.write_new(path, b"key")
    path.chmod(0o640)
    assert owned.open_to_others(path)
    with pytest.raises(UsageError, match="chmod 600"):
        owned.read_private(path)


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    """A file that is not there, or is a folder, is told with its path."""
    with pytest.raises(UsageError, match="file-missing"):
        owned.read(tmp_path / "absent")
    with pytest.raises(UsageError, match="file-unreadable"):
        owned.read(tmp_path)
