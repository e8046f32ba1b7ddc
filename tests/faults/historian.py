"""Writes a run's history down, with plain aiokafka consumers and ``tests.faults.lines``: no decoder of the hub's.

Live readers read while faults happen, each session under a name of its own; the final reader reads everything after.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import IO, Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from hub.adapters.kafka.client_config import ClientConfig
from hub.adapters.kafka.lifecycle import bounded
from tests.faults import lines
from tests.faults.lines import Line

FETCH_BYTES: Final = 4 * 1024 * 1024  # of one partition: more than any topic takes in one batch
WAIT_MS: Final = 300
SILENT_SECONDS: Final = 15.0  # of a live reader; then it begins a new session
START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 3.0
SETTLED_SECONDS: Final = 30.0  # for the last transactions to end
STALLED_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 0.5
SHORT: Final = ("reader", "topic", "partition", "offset", "time_ms", "record", "kind")  # what counts of a live line


class History:
    """The files of one run."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._files: dict[str, IO[str]] = {}

    def write(self, name: str, line: Mapping[str, Any]) -> None:
        """Add a line to ``<name>.jsonl``."""
        if name not in self._files:
            self._files[name] = (self.folder / f"{name}.jsonl").open("a", encoding="utf-8")
        self._files[name].write(json.dumps(line) + "\n")

    def facts(self, facts: Mapping[str, Any]) -> None:
        """Say what the run was."""
        (self.folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")

    def close(self) -> None:
        """Write everything out; every file that a history has is there then."""
        for name in ("senders", "topics-final", "recipients"):
            self._files.setdefault(name, (self.folder / f"{name}.jsonl").open("a", encoding="utf-8"))
        for file in self._files.values():
            file.close()
        self._files.clear()


def consumer(config: ClientConfig, *, isolation: str = "read_committed") -> AIOKafkaConsumer:
    """A plain consumer without a group."""
    return AIOKafkaConsumer(
        **config.connection(),
        client_id="historian",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level=isolation,
        check_crcs=True,
        fetch_max_wait_ms=WAIT_MS,
        max_partition_fetch_bytes=FETCH_BYTES,
    )


def line_of(reader: str, record: Any) -> Line:
    """What a reader says of a record."""
    return lines.read(
        reader,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        time_ms=record.timestamp,
        key=record.key,
        headers=record.headers,
        value=record.value,
    )


class LiveReader:
    """Reads places for as long as the run lasts. ``told`` gets each whole line and the record, once for each offset."""

    _sessions = count(1)

    def __init__(
        self,
        config: ClientConfig,
        places: Iterable[tuple[str, int]],
        history: History,
        told: Callable[[Line, Any], None],
    ) -> None:
        self._config = config
        self._next = {TopicPartition(*place): 0 for place in places}
        self._history = history
        self._told = told
        self.sessions = 0

    async def run(self) -> None:
        """Read until it is cancelled, session after session."""
        while True:
            client = consumer(self._config)
            try:
                await self._session(client, f"live-{next(self._sessions)}")
            except (KafkaError, OSError, TimeoutError):
                await asyncio.sleep(RETRY_SECONDS)
            finally:
                await bounded(client.stop(), STOP_SECONDS)

    async def _session(self, client: AIOKafkaConsumer, name: str) -> None:
        """Returns after a long silence: a client may have lost its broker without a word."""
        async with asyncio.timeout(START_SECONDS):
            await client.start()
        self.sessions += 1
        client.assign(list(self._next))
        for place, offset in self._next.items():
            client.seek(place, offset)
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while loop.time() - heard < SILENT_SECONDS:
            found = await client.getmany(timeout_ms=WAIT_MS)
            for place, records in found.items():
                heard = loop.time()
                for record in records:
                    self._take(name, record)
                    self._next[place] = record.offset + 1

    def _take(self, name: str, record: Any) -> None:
        line = line_of(name, record)
        self._history.write("topics-live", {member: line[member] for member in SHORT})
        self._told(line, record)


async def read_all(config: ClientConfig, places: Iterable[tuple[str, int]], history: History) -> None:
    """Read every place wholly, as the reader ``final``. Raises ``TimeoutError`` when a transaction stays open."""
    wanted = [TopicPartition(*place) for place in places]
    client, raw = consumer(config), consumer(config, isolation="read_uncommitted")
    await client.start()
    await raw.start()
    try:
        ends = await _settled(client, raw, wanted)
        client.assign(wanted)
        for place in wanted:
            client.seek(place, 0)
        left = {place for place in wanted if ends[place] > 0}
        while left:
            async with asyncio.timeout(STALLED_SECONDS):
                found = await client.getmany(timeout_ms=WAIT_MS)
            for records in found.values():
                for record in records:
                    history.write("topics-final", line_of("final", record))
            left = {place for place in left if await client.position(place) < ends[place]}
            await asyncio.sleep(0)
    finally:
        await bounded(client.stop(), STOP_SECONDS)
        await bounded(raw.stop(), STOP_SECONDS)


async def _settled(
    client: AIOKafkaConsumer, raw: AIOKafkaConsumer, places: list[TopicPartition]
) -> Mapping[TopicPartition, int]:
    """The ends, when no open transaction hides anything before them any more."""
    async with asyncio.timeout(SETTLED_SECONDS):
        while True:
            committed: Mapping[TopicPartition, int] = await client.end_offsets(places)
            if committed == await raw.end_offsets(places):
                return committed
            await asyncio.sleep(RETRY_SECONDS)
