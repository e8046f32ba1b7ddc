"""What every process shares: logs, health, a clean stop, an exit that says why."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from hub.core.effects import Alert
from hub.core.receipts import Level
from hub.errors import OutcomeUnknown, Unreachable, UsageError
from hub.settings import HubSettings
from hub.streams import process as process_module
from hub.streams.metrics import RouterMetrics
from hub.streams.process import Process


@pytest.fixture
def settings(tmp_path: Path) -> HubSettings:
    """Settings of a fresh home."""
    return HubSettings(home=tmp_path)


def port_of(settings: HubSettings, name: str = "router") -> int:
    """The port that a process wrote down."""
    return int((settings.folder.logs / f"{name}.port").read_text())


async def get(port: int, path: str) -> tuple[int, str]:
    """Status and text of a GET."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text()


async def until(path: Path) -> None:
    """Wait for a file."""
    while not path.exists():  # noqa: ASYNC240 (another task writes it; nothing tells when)
        await asyncio.sleep(0.01)


async def test_health_tells_life_and_readiness(settings: HubSettings) -> None:
    """A process lives before it is ready, says why it is not, and serves its metrics."""
    process = Process("router", settings)
    RouterMetrics(process.metrics.registry).routed(accepted=2, refused={"expired": 1}, repeated=0, seconds=0.1)

    async def main(process: Process) -> None:
        await process.stopping.wait()

    running = asyncio.create_task(process.run(main))
    await until(settings.folder.logs / "router.port")
    port = port_of(settings)
    assert await get(port, "/healthz") == (200, "ok\n")
    assert await get(port, "/readyz") == (503, "starting\n")
    process.not_ready = None
    assert await get(port, "/readyz") == (200, "ok\n")
    process.alert(Alert("inbox-bad", "inbox.xb-pgo", "It waits."))
    process.metrics.acknowledged(Level.ACCEPTED, [40])
    process.metrics.overdue({("xb-pgo", "reply"): 3})
    status, text = await get(port, "/metrics")
    assert status == 200
    for line in (
        "comity_events_accepted_total 2.0",
        'comity_events_refused_total{code="expired"} 1.0',
        'comity_alerts_total{code="inbox-bad"} 1.0',
        'comity_ack_latency_seconds_bucket{le="0.05",level="accepted"} 1.0',
        'comity_cases_overdue{authority="xb-pgo",clock="reply"} 3.0',
        "comity_build_info{",
    ):
        assert line in text
    process.stop()
    await running


async def test_log_lines_are_json_without_values(settings: HubSettings, capsys: pytest.CaptureFixture[str]) -> None:
    """Each log line is one JSON object; an internal error is named by type and place, not by its text."""
    process = Process("watch", settings)

    async def main(process: Process) -> None:
        process.alert(Alert("inbox-bad", "inbox.xb-pgo", "It waits."))
        raise ValueError("the canary's name")

    with pytest.raises(ValueError, match="canary"):
        await process.run(main)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["message"] for line in lines] == ["started", "inbox-bad", "internal"]
    assert {"watch"} == {line["process"] for line in lines}
    assert not any("canary" in str(value) for line in lines for value in line.values())


async def test_error_of_the_family_is_logged_with_its_exit_code(
    settings: HubSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last line says with which code the process ends."""

    async def main(process: Process) -> None:
        raise Unreachable("broker-away", "The broker does not answer.")

    with pytest.raises(Unreachable):
        await Process("router", settings).run(main)
    last = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (last["message"], last["code"], last["exit_code"]) == ("ended", "broker-away", 3)


async def test_stop_that_hangs_is_an_unknown_outcome(settings: HubSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A main function that does not end when asked is cut off, and the process ends non-zero."""
    monkeypatch.setattr(process_module, "STOP_SECONDS", 0.05)
    process = Process("router", settings)

    async def main(process: Process) -> None:
        process.stop()
        await asyncio.sleep(60)

    with pytest.raises(OutcomeUnknown, match="stop-too-slow"):
        await process.run(main)


async def test_taken_port_is_a_sentence(settings: HubSettings) -> None:
    """Two processes on one port: the second says which setting to change."""
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        async def main(process: Process) -> None:
            """Never reached."""

        with pytest.raises(UsageError, match="port-taken"):
            await Process("router", HubSettings(home=settings.home, health_port_router=port)).run(main)


async def test_second_worker_has_a_port_file_of_its_own(settings: HubSettings) -> None:
    """Workers of one home folder do not overwrite each other's port."""

    async def main(process: Process) -> None:
        """End at once."""

    await Process("router", HubSettings(home=settings.home, worker="2")).run(main)
    assert port_of(settings, "router-2") > 0


PROGRAM = """
import asyncio, sys
from hub.settings import HubSettings
from hub.streams.process import run_process
import logging

async def main(process):
    logging.getLogger("aiokafka").warning("a library's %s", "words")
    logging.getLogger("aiokafka").info("too much")
    process.not_ready = None
    print("up", flush=True)
    await process.stopping.wait()

run_process("router", HubSettings(home=sys.argv[1]), main)
"""


def test_sigterm_stops_cleanly(tmp_path: Path) -> None:
    """SIGTERM ends a process with exit code 0; libraries' warnings are JSON lines too."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGTERM)
        _, errors = child.communicate(timeout=20)
    lines = [json.loads(line)["message"] for line in errors.splitlines()]
    assert (child.returncode, lines) == (0, ["started", "a library's words", "stopped"])
