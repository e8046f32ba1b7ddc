"""``serve all``: children are started again, stopped in order, and given up on only where a restart mends nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from hub.errors import NotPermitted, UsageError
from hub.streams import supervisor
from hub.streams.supervisor import supervise

CRASHING = "import sys, pathlib; p = pathlib.Path(sys.argv[1]); p.write_text(p.read_text() + 'x'); sys.exit(70)"
STEADY = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print(flush=True); signal.pause()"


async def stop_when(happened) -> None:
    """Send ourselves SIGTERM once ``happened`` says so."""
    while not happened():
        await asyncio.sleep(0.02)
    os.kill(os.getpid(), signal.SIGTERM)


async def test_crashed_child_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that ends with 70 comes again, each time later; its neighbour runs on; SIGTERM stops both."""
    monkeypatch.setattr(supervisor, "BACK_OFF_SECONDS_FIRST", 0.01)
    marks = tmp_path / "marks"
    marks.write_text("")
    said: list[str] = []
    commands = {
        "router": [sys.executable, "-c", CRASHING, str(marks)],
        "watch": [sys.executable, "-c", STEADY],
    }
    await asyncio.gather(supervise(commands, say=said.append), stop_when(lambda: len(marks.read_text()) >= 3))
    assert sum("router ended with exit code 70" in line for line in said) >= 2
    assert sum("The watch runs" in line for line in said) == 1


@pytest.mark.parametrize(("code", "error"), [(2, UsageError), (4, NotPermitted)])
async def test_wrong_settings_end_all(code: int, error: type[Exception]) -> None:
    """A child that cannot start as it is set up ends the others, with its own exit code."""
    commands = {
        "router": [sys.executable, "-c", f"import sys; sys.exit({code})"],
        "watch": [sys.executable, "-c", STEADY],
    }
    with pytest.raises(error, match="process-ended"):
        await supervise(commands, say=lambda _line: None)


async def test_child_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that does not stop is killed after a bounded time."""
    monkeypatch.setattr(supervisor, "STOP_SECONDS", 0.1)
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    said: list[str] = []

    async def stop_later() -> None:
        await asyncio.sleep(0.3)
        os.kill(os.getpid(), signal.SIGTERM)

    await asyncio.gather(supervise({"watch": [sys.executable, "-c", program]}, say=said.append), stop_later())
    assert "The watch does not stop; it is killed." in said
