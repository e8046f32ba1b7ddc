"""Opened messages are kept for a moment, and few of them."""

from __future__ import annotations

from connectors.gateway import opened
from connectors.gateway.opened import OpenedMessage, OpenedMessages
from connectors.seal.opening import Opened
from hub.core.ids import sha256


def message(size: int) -> OpenedMessage:
    """An opened message of this size; nobody looks at its manifest."""
    return OpenedMessage(None, Opened(bytes(size), bytes(32)))  # type: ignore[arg-type]


def test_a_message_is_taken_once():
    """Whoever hands it over has it alone."""
    kept, digest = OpenedMessages(), sha256(b"1")
    kept.keep(digest, message(10))
    assert kept.take(digest) is not None
    assert kept.take(digest) is None


def test_the_oldest_make_room(monkeypatch):
    """Neither many nor large ones fill the memory."""
    monkeypatch.setattr(opened, "KEPT_MAX", 3)
    monkeypatch.setattr(opened, "KEPT_BYTES_MAX", 100)
    kept, digests = OpenedMessages(), [sha256(bytes([number])) for number in range(6)]
    for digest in digests[:4]:
        kept.keep(digest, message(10))
    assert kept.take(digests[0]) is None
    kept.keep(digests[4], message(60))
    kept.keep(digests[5], message(31))
    assert [kept.take(digest) is not None for digest in digests] == [False, False, False, False, True, True]


def test_its_text_shows_nothing():
    """What was opened is in no log."""
    assert "Opened(" not in repr(OpenedMessage(None, Opened(b"secret", bytes(32))))  # type: ignore[arg-type]
