"""Messages of fake authorities: signed before anybody measures, then published all at once or at a steady rate."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from connectors.bench.stage import Stage
from hub.core.ids import AuthorityId, Digest, sha256
from hub.core.records import JWS_HEADER, Outgoing
from hub.ports import Writer

CHUNK_RECORDS: Final = 250  # of one call of the writer: all of it must be acknowledged within its time-out
SIGNING_THREADS: Final = 2


@dataclass(frozen=True, slots=True)
class Letter:
    """One message: who sends what to whom, and the hash by which the hub's receipts name it."""

    sender: AuthorityId
    recipient: AuthorityId
    record: Outgoing

    @property
    def header(self) -> bytes:
        """The manifest's JWS."""
        return dict(self.record.headers)[JWS_HEADER]

    @property
    def jws(self) -> Digest:
        """The hash of the manifest's JWS."""
        return sha256(self.header)


class Traffic:
    """Everybody writes to everybody in turn: message k comes from authority k, and each goes through all others."""

    def __init__(self, stage: Stage, *, size: int) -> None:
        self._stage = stage
        self._size = size
        self._names = list(stage.fakes)
        self._made = 0

    def sign(self, count: int) -> list[Letter]:
        """The next messages, in the order in which they are to be published. Takes two threads for 2 ms each."""
        pairs = [self._pair(number) for number in range(self._made, self._made + count)]
        self._made += count
        orders: dict[AuthorityId, list[tuple[int, AuthorityId]]] = {}
        for number, (sender, recipient) in enumerate(pairs):
            orders.setdefault(sender, []).append((number, recipient))
        letters: dict[int, Letter] = {}
        with ThreadPoolExecutor(SIGNING_THREADS) as threads:
            for made in threads.map(self._sign_all, orders.items()):
                letters.update(made)
        return [letters[number] for number in range(count)]

    def _pair(self, number: int) -> tuple[AuthorityId, AuthorityId]:
        many = len(self._names)
        turn, sender = divmod(number, many)
        return self._names[sender], self._names[(sender + 1 + turn % (many - 1)) % many]

    def _sign_all(self, order: tuple[AuthorityId, Sequence[tuple[int, AuthorityId]]]) -> Mapping[int, Letter]:
        """One authority's messages: its chains need them one after the other."""
        sender, wanted = order
        stage = self._stage
        return {
            number: Letter(
                sender,
                recipient,
                stage.fakes[sender].letter(
                    recipient, trust=stage.trust, now_ms=stage.clock.now_ms(), value=stage.chance.bytes(self._size)
                ),
            )
            for number, recipient in wanted
        }


async def publish(writer: Writer, records: Sequence[Outgoing]) -> None:
    """Write all records as fast as it goes. Raises ``Unreachable``."""
    for start in range(0, len(records), CHUNK_RECORDS):
        await writer.send(records[start : start + CHUNK_RECORDS])


async def publish_steadily(writer: Writer, records: Sequence[Outgoing], *, rate: float) -> list[float]:
    """Write ``rate`` records a second. Returns when each was due, in seconds of the loop's clock.

    A record that goes out late counts from when it was due: a stall would else hide the latency that it causes.
    Raises ``Unreachable``.
    """
    loop = asyncio.get_running_loop()
    begun = loop.time()
    due = [begun + number / rate for number in range(len(records))]
    order = {record.topic: asyncio.Lock() for record in records}  # an outbox's records stay in their order
    sending: list[asyncio.Task[None]] = []
    for record, when in zip(records, due, strict=True):
        await asyncio.sleep(max(0.0, when - loop.time()))
        sending.append(asyncio.create_task(_send(writer, record, order[record.topic])))
    await asyncio.gather(*sending)
    return due


async def _send(writer: Writer, record: Outgoing, order: asyncio.Lock) -> None:
    async with order:
        await writer.send([record])
