"""Open clocks, written to the ledger as the router writes them, and the flags that the watch owes for them."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hub.core.access import shard_id
from hub.core.clocks import Flag
from hub.core.entries import Entry, LedgerRecord, MessageEntry
from hub.core.ids import AuthorityId, ClockId, ThreadId, sha256, uuid7
from hub.core.limits import BATCH_MESSAGES_MAX
from hub.core.manifest import ClockKind, ClockOperation, ClockVerb, MessageType
from hub.core.records import Outgoing, Position
from hub.core.routing import ledger_partition
from hub.core.topics import LEDGER, outbox
from hub.ports import Bus, TransactionalWriter
from hub.wire.ledger import encode_ledger

GROUP: Final = "bench"
YEAR_MS: Final = 365 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Started:
    """A clock as its request starts it."""

    clock: ClockId
    started_ms: int
    due_ms: int

    def instants(self, percents: Sequence[int]) -> dict[tuple[Flag, int], int]:
        """When each flag of a clock that nobody answers is owed."""
        span = self.due_ms - self.started_ms
        warnings = {(Flag.WARNING, percent): self.started_ms + span * percent // 100 for percent in percents}
        return warnings | {(Flag.OVERDUE, 100): self.due_ms}


class Requests:
    """Ledger entries of requests, each of a case of its own, from everybody to everybody in turn."""

    def __init__(self, authorities: Sequence[AuthorityId]) -> None:
        self._authorities = list(authorities)
        self._offsets: Counter[AuthorityId] = Counter()
        self._made = 0

    def next(self, now_ms: int, *, due_ms: int | None = None) -> MessageEntry:
        """The next request, routed at ``now_ms``; it starts a clock when it is due some time."""
        many = len(self._authorities)
        turn, number = divmod(self._made, many)
        sender, recipient = (self._authorities[each % many] for each in (number, number + 1 + turn % (many - 1)))
        drawn = hashlib.sha256(f"request {self._made}".encode()).digest()
        self._made += 1
        self._offsets[sender] += 1
        clock = ClockId(drawn[16:24].hex())
        start = () if due_ms is None else (ClockOperation(ClockVerb.START, clock, ClockKind.REPLY, due_ms),)
        return MessageEntry(
            jws=sha256(drawn),
            message=uuid7(now_ms, drawn[22:]),
            type=MessageType.REQUEST,
            sender=sender,
            recipient=recipient,
            thread=ThreadId(drawn[:16].hex()),
            in_reply_to=None,
            sequence=self._offsets[sender],
            clocks=start,
            length=4096,
            counted=True,
            outbox=Position(outbox(sender), 0, self._offsets[sender] - 1, now_ms),
            trust_list=1,
        )

    def start(self, now_ms: int, due_ms: int) -> tuple[MessageEntry, Started]:
        """The next request with a clock, and that clock."""
        entry = self.next(now_ms, due_ms=due_ms)
        return entry, Started(entry.clocks[0].clock, now_ms, due_ms)


class LedgerWriter:
    """One shard's writer, without the shard: entries go to the partition of their thread, in transactions."""

    def __init__(self, bus: Bus, *, shard: int, partitions: int, now_ms: Callable[[], int]) -> None:
        self._bus = bus
        self._name = shard_id(shard)
        self._partitions = partitions
        self._now_ms = now_ms
        self._numbers: Counter[int] = Counter()
        self._writer: TransactionalWriter

    async def open(self) -> None:
        """Raises ``Unreachable``."""
        self._writer = await self._bus.transactional_writer(self._name)

    async def write(self, entries: Sequence[Entry]) -> None:
        """Write them all, in transactions as large as a router's with a backlog. Raises ``Unreachable``, ``OutcomeUnknown``."""
        for start in range(0, len(entries), BATCH_MESSAGES_MAX):
            some = entries[start : start + BATCH_MESSAGES_MAX]
            await self._writer.transact(await asyncio.to_thread(self._records, some), {}, GROUP)

    async def close(self) -> None:
        """Let go."""
        await self._writer.close()

    def _records(self, entries: Sequence[Entry]) -> list[Outgoing]:
        lanes: dict[int, list[Entry]] = {}
        for entry in entries:
            lanes.setdefault(ledger_partition(entry, self._partitions), []).append(entry)
        return [self._record(partition, lane) for partition, lane in lanes.items()]

    def _record(self, partition: int, entries: Sequence[Entry]) -> Outgoing:
        self._numbers[partition] += 1
        record = LedgerRecord(
            writer=self._name, n=self._numbers[partition], time_ms=self._now_ms(), entries=tuple(entries)
        )
        return Outgoing(LEDGER, None, encode_ledger(record), partition=partition)


def open_for_years(requests: Requests, count: int, now_ms: int) -> Iterator[MessageEntry]:
    """Requests whose clocks stay open as long as anybody measures: no warning falls due either."""
    for number in range(count):
        yield requests.start(now_ms, now_ms + YEAR_MS + number)[0]


def owed(started: Mapping[ClockId, Started], percents: Sequence[int]) -> dict[tuple[ClockId, Flag, int], int]:
    """Every flag that is owed for these clocks, and when."""
    return {
        (clock, flag, percent): instant
        for clock, each in started.items()
        for (flag, percent), instant in each.instants(percents).items()
    }
