"""Names that a sender chose are harmless when they are written."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.folder.names import safe_name
from connectors.ports import DeliveredFile, Delivery
from hub.core.ids import AuthorityId, MessageId, ThreadId
from hub.core.manifest import MessageType, Priority
from hub.core.refusals import refuse
from hub.errors import Refused

DELIVERY = Delivery(
    message=MessageId("0198c1aa-0000-7000-8000-000000000001"),
    sender=AuthorityId("xa-moj"),
    recipient=AuthorityId("xb-pgo"),
    type=MessageType.REQUEST,
    thread=ThreadId("0" * 32),
    in_reply_to=None,
    answered_key=None,
    priority=Priority.NORMAL,
    clocks=(),
    accepted_ms=0,
    document=b"{}",
    files=(DeliveredFile(1, "../../etc/passwd", "text/plain", 4),),
)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("evidence.pdf", "01-evidence.pdf"),
        ("../../etc/passwd", "01-passwd"),
        ("C:\\x\\CON", "01-CON"),
        ("..", "01-file"),
        ("annex\u202efdp.exe", "01-annexfdp.exe"),
        ("\u0645\u0644\u0641.pdf", "01-\u0645\u0644\u0641.pdf"),
        ("a\nb\x00.txt", "01-ab.txt"),
        ("trailing. ", "01-trailing"),
    ],
)
def test_known_names(name, safe):
    """The number stands first; letters of any script stay, everything that acts goes."""
    assert safe == safe_name(1, name)


@given(st.integers(1, 16), st.text(max_size=400))
def test_any_name_is_safe(number, name):
    """One path component of at most 255 bytes, without control characters, that no system reserves."""
    safe = safe_name(number, name)
    assert safe.startswith(f"{number:02d}-")
    assert len(safe.encode()) <= 255
    assert not any(character in safe for character in '/\\:*?"<>|')
    assert not any(unicodedata.category(character).startswith("C") for character in safe)
    assert not safe.endswith((".", " "))


def test_delivery_is_put_into_place_once(exchange):
    """A message is there whole after one rename, and a second delivery changes nothing."""
    for content in (b"text", b"other"):
        exchange.system.deliver(DELIVERY, lambda _, content=content: iter([content]))
    folder = exchange.root / "in" / DELIVERY.message
    assert {"message.json", "document.json", "files"} == {path.name for path in folder.iterdir()}
    assert (folder / "files/01-passwd").read_bytes() == b"text"
    assert list((exchange.root / "tmp").iterdir()) == []


def test_delivery_that_breaks_leaves_nothing(exchange):
    """Plaintext of a file that does not verify is never in ``in``."""

    def broken(_: int):
        yield b"te"
        raise refuse("attachment-mismatch")

    with pytest.raises(Refused):
        exchange.system.deliver(DELIVERY, broken)
    assert list((exchange.root / "in").iterdir()) == []
    exchange.system.deliver(DELIVERY, lambda _: iter([b"text"]))
    assert [DELIVERY.message] == [path.name for path in (exchange.root / "in").iterdir()]


def test_two_senders_may_choose_one_id(exchange):
    """A message of another authority under the same id does not vanish behind the first."""
    exchange.system.deliver(DELIVERY, lambda _: iter([b"text"]))
    other = replace(DELIVERY, sender=AuthorityId("xc-acc"))
    exchange.system.deliver(other, lambda _: iter([b"theirs"]))
    names = sorted(path.name for path in (exchange.root / "in").iterdir())
    assert [DELIVERY.message, f"{DELIVERY.message}.xc-acc"] == names
