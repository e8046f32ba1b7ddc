"""A local Apache Kafka: one KRaft node on 127.0.0.1, started and stopped as a process of its own.

Whoever starts it holds a lock on its folder, and the process inherits it: a second java on one data folder would
damage the first one's metadata before it notices (kafka.md section 1). The lock, not the pid file, says what runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
from base64 import urlsafe_b64encode
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from hub.adapters.files.home import Home
from hub.adapters.kafka import probe
from hub.adapters.kafka.artifacts import jars, java, resource
from hub.adapters.kafka.client_config import ClientConfig
from hub.adapters.kafka.server import NOTHING_MORE, Ports, ServerFiles, complaint, server_properties
from hub.core.access import ADMIN, BROKER
from hub.errors import ComityError, Unreachable, UsageError
from hub.ports import Chance

_JVM: Final = ("-XX:+UseSerialGC", "-Xmx512m")  # under 512 MiB a zip bomb kills it
_QUICK: Final = "-XX:TieredStopAtLevel=1"  # starts with 7 s of CPU instead of 12, and stays slower
_READY_S: Final = 90.0
_STOP_S: Final = 30.0
_LOOK_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class BrokerState:
    """What ``comity broker status`` tells."""

    running: bool
    bootstrap_server: str | None
    pid: int | None
    cluster_id: str | None
    data: Path


class LocalBroker:
    """The broker of a home folder. ``quick``: a JVM that starts early; without it one that works fast once it is warm.

    ``more`` are server properties beside ours.
    """

    def __init__(self, home: Home, *, cache: Path, quick: bool = True, more: Mapping[str, str] = NOTHING_MORE) -> None:
        self._home = home
        self._more = more
        self._jvm = (*_JVM, _QUICK) if quick else _JVM
        self._cache = cache
        self._folder = home.broker
        self._lock = self._folder / "lock"
        self._pid = self._folder / "pid"
        self._settings = self._folder / "server.properties"
        self._remembered = self._folder / "broker.json"
        self._data = self._folder / "data"
        self._process: subprocess.Popen[bytes] | None = None  # when it was this object that started it
        self.logs = self._folder / "logs"

    def state(self) -> BrokerState:
        """Whether it runs, and where."""
        known = self._known()
        running = self._is_running()
        return BrokerState(
            running=running,
            bootstrap_server=f"127.0.0.1:{known['client_port']}" if known else None,
            pid=self._read_pid() if running else None,
            cluster_id=str(known["cluster_id"]) if known else None,
            data=self._data,
        )

    async def start(self, chance: Chance, *, port: int | None = None) -> BrokerState:
        """Start it and wait until it answers; a broker that runs already is left as it is.

        Raises ``UsageError`` (no Java, a port taken, no certificates, another cluster's data), ``Unreachable``.
        """
        self._check_files()
        self._folder.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(exist_ok=True)
        with self._lock.open("w") as lock:
            if not await _locked(lock):
                await self._ready()
                return self.state()
            runtime, library = java(), jars(self._cache)
            ports, cluster_id = self._remember(chance, port)
            self._prepare(runtime, library, ports, cluster_id)
            self._launch(runtime, library, lock)
        await self._ready()
        return self.state()

    async def stop(self) -> bool:
        """Stop it cleanly and wait until it is gone. Returns whether it ran. Raises ``Unreachable``."""
        pid = self._read_pid()
        if not self._is_running() or pid is None:
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            if await self._is_gone():
                return True
        raise Unreachable("broker-stuck", f"The broker (process {pid}) does not stop.")

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone: what a power cut does. Raises ``Unreachable`` when it does not run."""
        pid = self._read_pid()
        if not self._is_running() or pid is None:
            raise Unreachable("broker-ended", "The broker does not run.")
        os.kill(pid, signal.SIGKILL)
        if not await self._is_gone():
            raise Unreachable("broker-stuck", f"The broker (process {pid}) was killed and is still there.")

    def log_lines(self, name: str, count: int) -> list[str]:
        """The last ``count`` lines of a log: server, denials or console. Raises ``UsageError``."""
        try:
            with (self.logs / f"{name}.log").open(encoding="utf-8", errors="replace") as file:
                return [line.rstrip("\n") for line in deque(file, maxlen=count)]
        except FileNotFoundError as error:
            raise UsageError("log-missing", "There is no such log yet; start the broker first.") from error

    # --- steps ------------------------------------------------------------------------------------

    def _check_files(self) -> None:
        for client in (self._home.client(BROKER), self._home.client(ADMIN)):
            for path in (client.keystore, client.truststore, client.properties):
                if not path.is_file():
                    raise UsageError("home-incomplete", f"{path} is missing; run comity init first.")

    def _remember(self, chance: Chance, port: int | None) -> tuple[Ports, str]:
        known = self._known()
        if known is None:
            first, second = _free_ports(2)
            raw = bytearray(chance.bytes(16))
            raw[0] &= 0x7F  # Kafka avoids ids that begin with a dash, which look like options
            known = {
                "cluster_id": urlsafe_b64encode(raw).rstrip(b"=").decode(),
                "client_port": first,
                "controller_port": second,
            }
        if port is not None:
            known["client_port"] = port
        ports = Ports(int(known["client_port"]), int(known["controller_port"]))
        for each in (ports.client, ports.controller):
            _check_free(each)
        self._remembered.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
        return ports, str(known["cluster_id"])

    def _prepare(self, runtime: str, library: Path, ports: Ports, cluster_id: str) -> None:
        broker = self._home.client(BROKER)
        files = ServerFiles(self._data, broker.keystore, broker.truststore)
        self._settings.write_text(server_properties(files, ports, self._more), encoding="utf-8")
        (self._folder / "log4j2.yaml").write_bytes(resource("log4j2.yaml"))
        meta = self._data / "meta.properties"
        if meta.is_file():
            if f"cluster.id={cluster_id}\n" not in meta.read_text(encoding="utf-8"):
                raise UsageError(
                    "cluster-id-mismatch",
                    f"{self._data} belongs to another cluster than {self._remembered} says ({cluster_id}).",
                )
            return
        command = [runtime, *self._java_options(library), "kafka.tools.StorageTool", "format"]
        done = subprocess.run(  # noqa: S603 (java found by us, our own arguments)
            [*command, "-t", cluster_id, "-c", str(self._settings)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            (self.logs / "console.log").write_text(done.stdout + done.stderr, encoding="utf-8")
            raise complaint(done.stdout + done.stderr)

    def _launch(self, runtime: str, library: Path, lock: IO[str]) -> None:
        with (self.logs / "console.log").open("wb") as console:
            self._process = subprocess.Popen(  # noqa: S603 (java found by us, our own arguments)
                [runtime, *self._java_options(library), "kafka.Kafka", str(self._settings)],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                pass_fds=(lock.fileno(),),  # java holds the lock for as long as it lives
                start_new_session=True,
            )
        self._pid.write_text(f"{self._process.pid}\n", encoding="utf-8")

    async def _ready(self) -> None:
        last: ComityError = Unreachable("broker-starting", "The broker has not started yet.")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_READY_S):
                while True:
                    if self._process is not None and self._process.poll() is not None:
                        self._process = None
                        raise complaint("\n".join(self.log_lines("console", 200) + self.log_lines("server", 200)))
                    try:
                        await probe.check(ClientConfig.load(local_server(self._home), self._admin))
                    except ComityError as error:
                        last = error
                    else:
                        return
                    await asyncio.sleep(_LOOK_S)
        raise last

    async def _is_gone(self) -> bool:
        """Wait until it has ended, for the stop time-out at most."""
        for _ in range(int(_STOP_S / _LOOK_S)):
            await asyncio.sleep(_LOOK_S)
            if not self._is_running():
                self._pid.unlink(missing_ok=True)
                self._reap()
                return True
        return False

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait(_STOP_S)
            self._process = None

    # --- facts ------------------------------------------------------------------------------------

    @property
    def _admin(self) -> Path:
        return self._home.client(ADMIN).properties

    def _java_options(self, library: Path) -> Iterator[str]:
        yield from self._jvm
        yield f"-Dcomity.logs={self.logs.absolute()}"
        yield f"-Dlog4j2.configurationFile={(self._folder / 'log4j2.yaml').absolute()}"
        yield from ("-cp", f"{library}/*")

    def _is_running(self) -> bool:
        try:
            with self._lock.open("r") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def _read_pid(self) -> int | None:
        try:
            return int(self._pid.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None

    def _known(self) -> dict[str, str | int] | None:
        return _remembered(self._remembered)


def local_server(home: Home) -> str:
    """``host:port`` of the home folder's local broker. Raises ``UsageError`` when none was ever started."""
    known = _remembered(home.broker / "broker.json")
    if known is None:
        raise UsageError(
            "broker-not-started",
            f"{home.root} has no local broker: run comity broker start, or use --bootstrap-server.",
        )
    return f"127.0.0.1:{known['client_port']}"


def client_config(
    home: Home, bootstrap_server: str | None, command_config: Path | None, *, principal: str
) -> ClientConfig:
    """What the shared options mean: a named cluster, or the home folder's broker, as ``principal``. Raises ``UsageError``."""
    properties = command_config or home.client(principal).properties
    if bootstrap_server is None and command_config is None:
        bootstrap_server = local_server(home)
    return ClientConfig.load(bootstrap_server, properties)


async def _locked(lock: IO[str]) -> bool:
    """Whether the lock is ours now. A few tries: whoever asks for the broker's state holds it for an instant."""
    for _ in range(3):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(_LOOK_S)
        else:
            return True
    return False


def _remembered(path: Path) -> dict[str, str | int] | None:
    try:
        known: dict[str, str | int] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UsageError("broker-file-damaged", f"{path} is no JSON any more; restore it.") from error
    return known


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _check_free(port: int) -> None:
    with socket.socket() as probe_socket:
        probe_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe_socket.bind(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(
                "port-taken", f"127.0.0.1:{port} is taken by another program; stop it, or choose one with --port."
            ) from error
