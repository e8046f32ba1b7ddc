"""What came of the messages, read from the inboxes: receipts, copies, their times, and what the router wrote for them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from connectors.bench.baseline import Written
from connectors.bench.stage import Stage
from connectors.bench.traffic import Letter
from hub.adapters.reading import read_to_end
from hub.core.access import shard_id
from hub.core.ids import Digest, sha256
from hub.core.receipts import ReceiptClaim
from hub.core.records import HUB_HEADER, JWS_HEADER, Place, Record
from hub.core.topics import LEDGER, SHARDS, inbox
from hub.envelope.receipts import HeadCache, read_bundle
from hub.ports import Reader

FETCH_MS: Final = 100
FETCH_RECORDS_MAX: Final = 500
LOST_SECONDS: Final = 10.0  # a message that nobody has seen by then counts as lost


@dataclass(slots=True)
class Outcome:
    """Per message, by the hash of its JWS. Times are the log's, milliseconds since 1970."""

    accepted: Counter[Digest] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    copies: Counter[Digest] = field(default_factory=Counter)
    logged_ms: dict[Digest, int] = field(default_factory=dict)  # when the outbox took it
    accepted_ms: dict[Digest, int] = field(default_factory=dict)  # when the inbox took the bundle that accepts it
    seen_s: dict[Digest, float] = field(default_factory=dict)  # when we had that bundle: the loop's clock
    batches: dict[tuple[str, Digest], int] = field(default_factory=dict)  # messages under each head, with its writer
    bundles: list[int] = field(default_factory=list)  # bytes
    last_ms: int = 0

    def lost(self, letters: Iterable[Letter]) -> int:
        """How many have not exactly one accepted receipt and one copy."""
        return sum((self.accepted[each.jws], self.copies[each.jws]) != (1, 1) for each in letters)

    def waited_ms(self, letters: Iterable[Letter]) -> list[float]:
        """From the outbox's log time to the inbox's, of each accepted message."""
        found = (each.jws for each in letters)
        return [float(self.accepted_ms[jws] - self.logged_ms[jws]) for jws in found if jws in self.accepted_ms]


class Paused:
    """A reader that fetches only when it is asked to."""

    def __init__(self, reader: Reader, places: Sequence[Place]) -> None:
        self.close = reader.close
        self._reader = reader
        self._places = places
        self._pause()

    @contextmanager
    def going_on(self) -> Iterator[Reader]:
        """The reader, at work meanwhile."""
        for place in self._places:
            self._reader.resume(place)
        try:
            yield self._reader
        finally:
            self._pause()

    def _pause(self) -> None:
        for place in self._places:
            self._reader.pause(place)


class Inboxes:
    """A reader of all inboxes that goes on where it stopped.

    Between two calls it is paused: what a client fetches ahead costs the broker as much as what it asks for, and that is
    no cost of the router's.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._heads = HeadCache()
        self._reader: Paused
        self._side: Paused

    async def open(self) -> None:
        """Start at the first record of each inbox, of the ledger and of the shards' changelog. Raises ``Unreachable``."""
        trust, bus = self._stage.trust, self._stage.bus
        inboxes = [Place(inbox(each), 0) for each in trust.authorities]
        beside = [Place(LEDGER, number) for number in range(trust.ledger_partitions)]
        beside += [Place(SHARDS, number) for number in range(trust.shards)]
        self._reader, self._side = [
            Paused(await bus.reader(dict.fromkeys(each, 0)), each) for each in (inboxes, beside)
        ]

    async def read(self, outcome: Outcome, letters: Sequence[Letter]) -> None:
        """What came of ``letters``, and everything else that is there; what is lost is waited for only so long.

        A transaction can be read a little later than its writer knows that it is committed.
        Raises ``VerificationFailed`` for a bundle that does not verify.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LOST_SECONDS
        with self._reader.going_on() as reader:
            while outcome.lost(letters) and loop.time() < deadline:
                async for record in read_to_end(reader, records_max=FETCH_RECORDS_MAX):
                    self._take(record, outcome, loop.time())

    async def follow(self, outcome: Outcome, *, until: asyncio.Event) -> None:
        """Read what comes, as it comes."""
        with self._reader.going_on() as reader:
            while not until.is_set():
                records = await reader.fetch(wait_ms=FETCH_MS, records_max=FETCH_RECORDS_MAX)
                now = asyncio.get_running_loop().time()
                for record in records:
                    self._take(record, outcome, now)

    async def written(self, outcome: Outcome) -> Written:
        """What the router wrote since the last call."""
        sizes: dict[str, list[int]] = {LEDGER: [], SHARDS: []}
        with self._side.going_on() as reader:
            async for record in read_to_end(reader, records_max=FETCH_RECORDS_MAX):
                sizes[record.topic].append(len(record.value or b""))
        shards = {shard_id(number): number for number in range(self._stage.trust.shards)}
        batches: dict[int, list[int]] = {}
        for (writer, _), messages in outcome.batches.items():
            batches.setdefault(shards[writer], []).append(messages)
        return Written(
            batches=batches,
            bundles=_sum(outcome.bundles),
            ledger=_sum(sizes[LEDGER]),
            shards=_sum(sizes[SHARDS]),
        )

    async def close(self) -> None:
        """Let go."""
        await self._reader.close()
        await self._side.close()

    def _take(self, record: Record, outcome: Outcome, now: float) -> None:
        value, headers = record.value or b"", dict(record.headers)
        outcome.last_ms = max(outcome.last_ms, record.time_ms)
        if HUB_HEADER not in headers:
            outcome.copies[sha256(headers[JWS_HEADER])] += 1
            return
        bundle = read_bundle(value, inbox=record.topic, trust=self._stage.trust, heads=self._heads)
        batch = bundle.writer, bundle.head
        outcome.batches.setdefault(batch, 0)
        outcome.bundles.append(len(value))
        for claim in bundle.claims:
            if isinstance(claim, ReceiptClaim) and claim.jws is not None:
                outcome.batches[batch] += 1
                if claim.code is not None:
                    outcome.refused[claim.code] += 1
                    continue
                outcome.accepted[claim.jws] += 1
                outcome.logged_ms[claim.jws] = claim.outbox.time_ms
                outcome.accepted_ms[claim.jws] = record.time_ms
                outcome.seen_s[claim.jws] = now


def _sum(sizes: Sequence[int]) -> tuple[int, int]:
    return len(sizes), sum(sizes)
