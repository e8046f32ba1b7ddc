"""Operating-system processes that a demonstration or a benchmark starts: each writes its own log, and ends with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Final

import aiohttp

from hub.errors import Unreachable

READY_SECONDS_MAX: Final = 60.0  # on a busy machine Faust takes 20
STOP_SECONDS_MAX: Final = 20.0
HUB_MODULE: Final = "hub"
_LOOK_SECONDS: Final = 0.1


class Processes:
    """Commands of ``comity`` that run in the background, by name."""

    def __init__(self, logs: Path, environment: dict[str, str]) -> None:
        self._logs = logs
        self._environment = {**os.environ, **environment}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(
        self,
        name: str,
        *arguments: str,
        module: str = HUB_MODULE,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Start ``comity`` with these arguments; its output goes to ``<logs>/<name>.log``.

        ``module`` runs in its place; ``environment`` is added to that of all processes.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        with (self._logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603 (our own program with our own arguments)
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**self._environment, **environment},
            )

    async def ready(self, name: str, port_file: Path) -> None:
        """Wait until the process says on its health port that it does its work. Raises ``Unreachable``."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            while time.monotonic() < deadline:
                self.check(name)
                with contextlib.suppress(aiohttp.ClientError, FileNotFoundError, ValueError, TimeoutError):
                    port = int(port_file.read_text())  # noqa: ASYNC240 (a few bytes of a local file)
                    async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                        if answer.status == HTTPStatus.OK:
                            return
                await asyncio.sleep(_LOOK_SECONDS)
        raise Unreachable("process-not-ready", f"{name} was not ready in time; see {self._logs / name}.log.")

    async def metrics(self, name: str, port_file: Path) -> dict[str, float]:
        """The process's metrics that have no labels, by name. Raises ``Unreachable``."""
        self.check(name)
        try:
            port = int(port_file.read_text())  # noqa: ASYNC240 (a few bytes of a local file)
            url = f"http://127.0.0.1:{port}/metrics"
            async with aiohttp.request("GET", url, timeout=aiohttp.ClientTimeout(total=5)) as answer:
                lines = (await answer.text()).splitlines()
        except (aiohttp.ClientError, FileNotFoundError, ValueError, TimeoutError) as error:
            raise Unreachable("process-silent", f"{name} tells no metrics; see {self._logs / name}.log.") from error
        samples = (line.split(" ") for line in lines if not line.startswith("#") and "{" not in line)
        return {metric: float(value) for metric, value in samples}

    def ids(self) -> dict[str, int]:
        """The process id of each."""
        return {name: process.pid for name, process in self._running.items()}

    def kill(self, name: str) -> None:
        """SIGKILL: no clean-up, no last words."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    async def stop(self, name: str) -> None:
        """SIGTERM to one; SIGKILL if it does not end in time."""
        process = self._running.pop(name)
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(_ended, process)

    def ended(self) -> dict[str, int]:
        """The exit codes of those that have ended by themselves; each is told once, and may be started again."""
        codes = {name: code for name, process in self._running.items() if (code := process.poll()) is not None}
        for name in codes:
            del self._running[name]
        return codes

    def check(self, *names: str) -> None:
        """Raise ``Unreachable`` when one of these, or of all, has ended by itself."""
        for name in names or tuple(self._running):
            code = self._running[name].poll()
            if code is not None:
                raise Unreachable("process-ended", f"{name} ended with {code}; see {self._logs / name}.log.")

    async def stop_all(self) -> None:
        """SIGTERM to all, in reverse order of their start; SIGKILL for what does not end in time."""
        processes = [self._running.pop(name) for name in reversed(list(self._running))]
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        await asyncio.gather(*(asyncio.to_thread(_ended, process) for process in processes))


def _ended(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
