"""A 1 GiB attachment passes from folder to folder, and no process needs more than 300 MiB for it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from connectors.demo import samples
from connectors.demo.kafka_stage import KafkaStage
from connectors.demo.office import Office
from hub.adapters.clock import SystemChance, SystemClock

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

MIB = 1024 * 1024
XA, XB, _ = samples.CAST


def file_digest(path: Path) -> bytes:
    """SHA-256 of a file, in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def peak_mib(pid: int) -> int:
    """The most memory that a process has held so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


async def test_one_gibibyte_in_constant_memory(tmp_path: Path, kafka_cache: Path) -> None:
    """The file arrives to the last byte, and every process of hub and States stays below 300 MiB."""
    clock, chance = SystemClock(), SystemChance()
    stage = KafkaStage(tmp_path / "home", kafka_cache, clock, chance)
    large = tmp_path / "disk-image.bin"
    with large.open("wb") as file:
        for number in range(1024):
            file.write(number.to_bytes(4, "big") * (MIB // 4))
    try:
        await stage.open()
        xa, xb = [Office(await stage.enrol(each, each), clock, chance, stage.check_alive) for each in (XA, XB)]
        await stage.ready()
        document = samples.request(1, requesting=XA, now_ms=clock.now_ms(), subject="Disk image")
        hand_in = xa.request(XB, document, clocks={}, files=[large])
        await xa.level(hand_in.key, "opened")
        peaks = {name: peak_mib(pid) for name, pid in stage.processes().items()}
        received = await xb.message(hand_in.key)
        arrived = Path(received["folder"]) / received["files"][0]["file"]
        assert file_digest(arrived) == file_digest(large)
    finally:
        await stage.close()
    assert len(peaks) == 6
    assert {name: peak for name, peak in peaks.items() if peak >= 300} == {}
