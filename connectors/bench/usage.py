"""What processes use: CPU time and the most memory, by part, as Linux counts it (proc(5): ``stat``, ``status``)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from hub.errors import Unreachable

T = TypeVar("T")
Parts = Mapping[str, Sequence[int]]
"""The process ids of each part: ``{"broker": [17], "router": [18, 19]}``."""

COMPILER: Final = "broker_compiler"
"""The part of a JVM that compiles what the JVM runs often: work of its first minutes, which no message asks for."""

_COMPILER_THREADS: Final = ("C1 CompilerThre", "C2 CompilerThre")  # as Linux cuts their names
_USER, _SYSTEM = 11, 12  # fields 14 and 15 of stat, counted from the one behind the name in brackets
_TICK_SECONDS: Final = 1 / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all its threads so far. Raises ``Unreachable(process-ended)``."""
    return _seconds(_read(pid, "stat"))


def compiler_seconds(pid: int) -> dict[int, float]:
    """The same for each thread of a JVM's compiler, by thread. Raises ``Unreachable(process-ended)``."""
    found = {}
    for thread in Path(f"/proc/{pid}/task").glob("[0-9]*"):
        with suppress(Unreachable):  # a compiler that has nothing to do ends
            stat = _read(pid, f"task/{thread.name}/stat")
            if stat.partition("(")[2].rpartition(")")[0] in _COMPILER_THREADS:
                found[int(thread.name)] = _seconds(stat)
    return found


def _seconds(stat: str) -> float:
    fields = stat.rpartition(")")[2].split()
    return (int(fields[_USER]) + int(fields[_SYSTEM])) * _TICK_SECONDS


def peak_bytes(pid: int) -> int:
    """The most memory that a process has held so far. Raises ``Unreachable(process-ended)``."""
    return int(_read(pid, "status").split("VmHWM:")[1].split()[0]) * 1024


def peaks_mib(parts: Parts) -> dict[str, int]:
    """The most memory of each part's largest process."""
    return {name: max(map(peak_bytes, pids)) // 1024**2 for name, pids in parts.items()}


class Meter:
    """CPU time of each part between two looks; that of a JVM's compiler is a part of its own, ``COMPILER``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._at = self._read()

    def lap(self) -> dict[str, float]:
        """Seconds of CPU by part since it was made, or since the last lap."""
        before, self._at = self._at, self._read()
        lap: dict[str, float] = {}
        compiling = 0.0
        for name, now in self._at.items():
            # One by one: the time of a compiler that ended is in its process's, and nowhere else.
            by_thread = {
                each: seconds - before[name].compilers.get(each, 0.0) for each, seconds in now.compilers.items()
            }
            compiled = sum(by_thread.values())
            lap[name] = now.whole - before[name].whole - compiled
            compiling += compiled
        return {**lap, COMPILER: compiling} if any(each.compilers for each in self._at.values()) else lap

    def _read(self) -> dict[str, _Reading]:
        return {
            name: _Reading(
                sum(map(cpu_seconds, pids)),
                {thread: seconds for pid in pids for thread, seconds in compiler_seconds(pid).items()},
            )
            for name, pids in self._parts.items()
        }


@dataclass(frozen=True, slots=True)
class _Reading:
    """Seconds of a part's processes so far, and, by thread, those of the compilers among it."""

    whole: float
    compilers: Mapping[int, float]


def on_all_cores(sample: Callable[[], T]) -> list[T]:
    """What ``sample`` gives on each core, all at once.

    A core that works beside another is up to a third slower than alone, and whatever we compare with keeps all cores busy.
    """
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as threads:
        return [each.result() for each in [threads.submit(sample) for _ in range(cores)]]


@contextmanager
def frozen(pids: Iterable[int]) -> Iterator[None]:
    """Stop processes for a while, so that a backlog can be made, or somebody else measured without them."""
    stopped = list(pids)
    try:
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8")
    except OSError as error:
        raise Unreachable("process-ended", f"Process {pid} ended while it was measured; see the logs.") from error
