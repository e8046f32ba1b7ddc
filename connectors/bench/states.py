"""Real States on a benchmark's stage: enrolled with keys of their own, each connector a process that takes orders."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from connectors.bench.stage import Stage
from hub.adapters.secretariat import Secretariat
from hub.core.access import DIRECTORY_PUBLISHER
from hub.core.ids import AuthorityId
from hub.errors import Unreachable

STOP_SECONDS_MAX: Final = 20.0


class States:
    """The connectors of ``stage.shape.authorities`` States (``connectors.bench.state_process``). Close them."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._processes: dict[AuthorityId, subprocess.Popen[str]] = {}

    @property
    def names(self) -> list[AuthorityId]:
        """The authorities."""
        return list(self._processes)

    @property
    def pids(self) -> list[int]:
        """Their processes."""
        return [each.pid for each in self._processes.values()]

    async def enrol(self) -> None:
        """Enrol all States, the stage's trust list with them, and begin their connectors. Raises ``Unreachable``."""
        cluster = self._stage.cluster
        names = [AuthorityId(f"xa-{number:04d}") for number in range(1, self._stage.shape.authorities + 1)]
        for name in names:
            await cluster.deployment.enrol(
                name, f"Authority {name}", bus=cluster.bus(DIRECTORY_PUBLISHER), administration=cluster.administration
            )
        self._stage.trust = Secretariat.open(cluster.home).newest()
        for name in names:
            self._processes[name] = self._begin(name)
        await self.tell_all({"do": "times"})

    async def ask_all(self, lines: Mapping[AuthorityId, Mapping[str, Any]]) -> dict[AuthorityId, Any]:
        """Tell each State its line; the answers. Raises ``Unreachable(state-ended)``."""
        answers = await asyncio.gather(*(asyncio.to_thread(self._ask, name, line) for name, line in lines.items()))
        return dict(zip(lines, answers, strict=True))

    async def tell_all(self, line: Mapping[str, Any]) -> dict[AuthorityId, Any]:
        """Tell all States the same. Raises ``Unreachable(state-ended)``."""
        return await self.ask_all(dict.fromkeys(self._processes, line))

    async def close(self) -> None:
        """Stop them."""
        processes = list(self._processes.values())
        for process in processes:
            if process.stdin is not None:
                process.stdin.close()
        await asyncio.gather(*(asyncio.to_thread(_ended, process) for process in processes))

    def _begin(self, name: AuthorityId) -> subprocess.Popen[str]:
        home = self._stage.cluster.home
        home.logs.mkdir(parents=True, exist_ok=True)
        with (home.logs / f"{name}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 (our own program with our own arguments)
                [sys.executable, "-m", "connectors.bench.state_process", str(home.root), name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def _ask(self, name: AuthorityId, line: Mapping[str, Any]) -> Mapping[str, Any]:
        process = self._processes[name]
        answer = ""
        if process.stdin is not None and process.stdout is not None and process.poll() is None:
            process.stdin.write(json.dumps(line) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        if not answer:
            raise Unreachable("state-ended", f"The connector of {name} ended; see {name}.log.")
        said: Mapping[str, Any] = json.loads(answer)
        return said


def _ended(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def orders(names: Sequence[AuthorityId], count: int, *, size: int) -> dict[AuthorityId, dict[str, Any]]:
    """What each State prepares: message k comes from State k, and each State goes through all others."""
    peers: dict[AuthorityId, list[AuthorityId]] = {name: [] for name in names}
    for number in range(count):
        turn, sender = divmod(number, len(names))
        peers[names[sender]].append(names[(sender + 1 + turn % (len(names) - 1)) % len(names)])
    return {name: {"do": "prepare", "to": to, "bytes": size} for name, to in peers.items()}
