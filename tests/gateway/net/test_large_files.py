from __future__ import annotations

import os
import resource

import pytest

MEBIBYTE = 1024 * 1024


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_file_of_1_gib_passes_in_constant_memory(net, xa, xb, tmp_path):
    """1 GiB from folder to folder: this process, with both gateways in it, grows by less than 150 MiB."""
    file = tmp_path / "disk.img"
    with file.open("wb") as made:
        made.write(b"begin")
        made.truncate(1024 * MEBIBYTE - 3)
        made.seek(1024 * MEBIBYTE - 3)
        made.write(b"end")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    xa.hand_in("case-1", xb.name, files=[file])
    await net.settle()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    assert xa.levels("case-1") == ["accepted", "delivered", "opened"]
    [received] = list(xb.desk.messages())
    placed = xb.root / "exchange/in" / received["id"] / received["files"][0]["file"]
    assert placed.stat().st_size == 1024 * MEBIBYTE
    with placed.open("rb") as there:
        assert there.read(5) == b"begin"
        there.seek(-3, os.SEEK_END)
        assert there.read() == b"end"
    assert grown < 150
