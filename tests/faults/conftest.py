"""Faults as tests: each in a process of its own, as a person would do it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.doses import PULL_REQUEST
from tests.faults.report import ROOT
from tests.faults.runner import faults

SEED = 4
Done = Callable[[str], Awaitable[dict[str, Any]]]


@pytest.fixture
def done(tmp_path: Path, kafka_cache: Path) -> Done:
    """Does a fault in the dose of a pull request; its result, in which the independent checker found nothing wrong."""

    async def do(name: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "tests.faults", "run", name, "--dose", PULL_REQUEST, "--seed", str(SEED)]
        with (tmp_path / "said").open("w+b") as said:
            process = await asyncio.create_subprocess_exec(
                *command,
                "--json",
                cwd=ROOT,
                env={**os.environ, "COMITY_CACHE": str(kafka_cache)},
                stdout=asyncio.subprocess.PIPE,
                stderr=said,
            )
            try:
                output, _ = await process.communicate()
            finally:
                if process.returncode is None:  # the test took too long: let it stop its broker
                    process.send_signal(signal.SIGINT)
            said.seek(0)
            last = said.read().decode(errors="replace").splitlines()[-3:]
        assert process.returncode == 0, (output.decode(), last)
        result: dict[str, Any] = json.loads(output)
        assert (result["lost"], result["duplicated"], result["reordered"], result["torn"]) == (0, 0, 0, 0)
        planned = faults()[name].DOSES[PULL_REQUEST].messages
        assert result["messages"] >= planned * 0.95, "a resend is no message of its own"
        return result

    return do
