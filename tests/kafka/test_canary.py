"""A process of the hub with root's rights finds no plaintext: body and file name are searched for on the whole disk of the hub."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from connectors.demo import samples
from connectors.demo.kafka_stage import KafkaStage
from connectors.demo.office import Office
from hub.adapters.clock import SystemChance, SystemClock
from hub.core.manifest import ClockKind, MessageType

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

BODY = "canary-5e1f0c-in-the-body"
FILE = "canary-77ab19-in-the-name"
XA, XB, _ = samples.CAST


def spellings(text: str) -> list[bytes]:
    """The text as it stands, and in base64 at its three alignments without the ends."""
    encoded = [base64.b64encode(b"x" * shift + text.encode())[4:-4] for shift in range(3)]
    return [text.encode(), text.encode("utf-16-le"), *encoded]


def holding(root: Path, needles: list[bytes]) -> list[str]:
    """Files below ``root`` that hold a needle."""
    found = []
    for path in root.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found += [str(path.relative_to(root)) for needle in needles if needle in data]
    return found


async def test_no_plaintext_outside_the_exchange_folders(tmp_path: Path, kafka_cache: Path, monkeypatch) -> None:
    """Topics, databases, logs and temporary files hold neither the body nor the file's name, in no spelling."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    clock, chance = SystemClock(), SystemChance()
    stage = KafkaStage(tmp_path / "home", kafka_cache, clock, chance)
    attached = tmp_path / f"{FILE}.txt"
    attached.write_text(BODY * 100)
    try:
        await stage.open()
        xa, xb = [Office(await stage.enrol(each, each), clock, chance, stage.check_alive) for each in (XA, XB)]
        await stage.ready()
        document = samples.request(1, requesting=XA, now_ms=clock.now_ms(), subject="Accounts", canary=BODY)
        clocks = {ClockKind.REPLY: clock.now_ms() // 1000 * 1000 + 3_600_000}
        hand_in = xa.request(XB, document, clocks=clocks, files=[attached])
        await xa.level(hand_in.key, "opened")
        received = await xb.message(hand_in.key)
        xb.reply(received, MessageType.RESPONSE, samples.answer(1, now_ms=clock.now_ms()), {ClockKind.REPLY})
        await xa.level(hand_in.key, "answered")
    finally:
        await stage.close()
    needles = [*spellings(BODY), *spellings(FILE)]
    home = stage.home.root
    held = holding(home, needles)
    assert held, "the search itself must find the plaintext in the States' own exchange folders"
    assert [name for name in held if "/exchange/" not in name] == []
    assert holding(temporary, needles) == []
