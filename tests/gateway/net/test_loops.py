from __future__ import annotations

import asyncio
import json
import time

import pytest

from connectors.gateway.store import open_store
from hub.adapters.clock import SystemChance
from hub.core.ids import AuthorityId
from hub.errors import UsageError, VerificationFailed


async def test_running_gateways_exchange_a_request(net, xa, xb, tmp_path):
    """All loops together: what lies in ``out`` arrives, and all levels come back; then a clean stop."""
    file = tmp_path / "a.bin"
    file.write_bytes(b"x" * 100_000)
    xa.hand_in("case-1", xb.name, files=[file])
    running = [asyncio.create_task(station.gateway.run()) for station in (xa, xb)]
    end = time.monotonic() + 15
    while "opened" not in xa.levels("case-1") and time.monotonic() < end:
        net.hub.route()
        await asyncio.sleep(0.02)
    for station in (xa, xb):
        station.gateway.stop()
    await asyncio.gather(*running)
    assert xa.levels("case-1") == ["accepted", "delivered", "opened"]
    listed = json.loads((xa.root / "exchange/authorities.json").read_text())
    assert [each["id"] for each in listed["authorities"]] == ["xb-pgo", "xc-acc"]


async def test_fault_of_ours_ends_the_process(net, xa, monkeypatch):
    """An error that is not of the family is not swallowed: the supervisor starts the process anew."""

    def broken():
        raise RuntimeError

    monkeypatch.setattr(xa.gateway._parts.system, "outgoing", broken)
    with pytest.raises(ExceptionGroup):
        await xa.gateway.run()


async def test_object_store_that_is_away_holds_up_files_only(net, xa, xb, tmp_path):
    """A hand-in without files is sent while another waits for the object store."""
    file = tmp_path / "a.bin"
    file.write_bytes(b"x")
    xa.hand_in("case-1", xb.name, files=[file])
    xa.hand_in("case-2", xb.name)
    objects = tmp_path / "objects"
    objects.rmdir()
    objects.write_bytes(b"")  # no folder any more
    for _ in range(3):
        with pytest.raises(Exception, match="object-store-failed"):
            await xa.gateway.scan()
        xa.gateway.seal()
        await xa.gateway.publish(await xa.bus.writer())
        net.hub.route()
        xa.receive()
        await xa.gateway.tell()
    assert xa.levels("case-2") == ["accepted"]
    assert xa.levels("case-1") == []
    objects.unlink()
    await net.settle()
    assert xa.levels("case-1") == ["accepted", "delivered", "opened"]


def test_database_opens_for_its_owner_only(xa):
    """Another authority, or another local key, is told so."""
    path = xa.root / "connector.db"
    chance = SystemChance()
    with pytest.raises(UsageError, match="database-foreign"):
        open_store(path, authority=AuthorityId("xb-pgo"), key=xa.keyring.storage, chance=chance)
    with pytest.raises(VerificationFailed, match="storage-key-wrong"):
        open_store(path, authority=xa.name, key=bytes(32), chance=chance)
    assert path.stat().st_mode & 0o777 == 0o600
    assert xa.query("PRAGMA journal_mode") == [("wal",)]
    assert xa.query("PRAGMA synchronous") == [(2,)]  # FULL
