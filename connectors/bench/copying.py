"""The baseline that everybody has to beat: a plain aiokafka loop that copies records in transactions and checks nothing.

One process, a loop for each shard with a consumer and a transactional producer of its own. It reads what the router
reads and writes what the router writes: each record to its recipient, and beside it in the same transaction records of
the same sizes as the router's bundles, ledger and shard records, empty of meaning. It is told what to do line by line::

    {"batches": [[80, 91], [77], ...], "routes": {topic: [topic, ...]}, "bundle_bytes": 9000,
     "extras": [{"topic": "copy.ledger", "count": 4, "bytes": 21000}, ...]}

and answers each line, when all is copied, by ``{"copied": 2000, "transactions": 23}``. ``batches`` are, for each loop,
the numbers of records of its transactions, since batches of other sizes cost something else. ``extras`` are written in
each transaction. ``routes`` says for each source topic where its next records go, in their order.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from hub.adapters.kafka.bus import consumer_settings
from hub.adapters.kafka.client_config import ClientConfig
from hub.adapters.kafka.once import install_send_once
from hub.adapters.kafka.timing import Timing
from hub.adapters.kafka.writer import producer_settings

FETCH_MS: Final = 200  # how long an idle loop waits in one call, as an idle shard of the router

# The first records of hundreds of topics in one transaction make the broker wait for the disk.
PATIENT: Final = {"step_ms": 60_000, "transaction_ms": 60_000}
LINE_BYTES_MAX: Final = 64 * 1024 * 1024


class Copying:
    """All loops, and the order that they follow."""

    def __init__(self, config: ClientConfig, shards: Sequence[Sequence[str]]) -> None:
        self._config = config
        self._shards = shards
        self._order: Mapping[str, Any] = {}
        self._routes: dict[str, deque[str]] = {}
        self._batches: list[asyncio.Queue[int]] = [asyncio.Queue() for _ in shards]

    def start(self) -> list[asyncio.Task[None]]:
        """Begin the loops."""
        return [asyncio.create_task(self._follow(number)) for number, sources in enumerate(self._shards) if sources]

    async def obey(self, order: Mapping[str, Any]) -> Mapping[str, int]:
        """Carry out one line. Returns the answer."""
        self._order = order
        for topic, targets in order["routes"].items():
            self._routes.setdefault(topic, deque()).extend(targets)
        for queue, batches in zip(self._batches, order["batches"], strict=True):
            for batch in batches:
                queue.put_nowait(batch)
        await asyncio.gather(*(queue.join() for queue in self._batches))
        return {"copied": sum(map(sum, order["batches"])), "transactions": sum(map(len, order["batches"]))}

    async def _follow(self, number: int) -> None:
        """Copy batch after batch of one shard, for ever."""
        # The router's settings, so that the two differ in what they do and in nothing else.
        timing, client_id = Timing(**PATIENT), f"copy-{number}"
        consumer = AIOKafkaConsumer(**consumer_settings(self._config, client_id, timing), group_id=None)
        producer = AIOKafkaProducer(
            **producer_settings(self._config, client_id, timing),
            transactional_id=client_id,
            transaction_timeout_ms=timing.transaction_ms,
        )
        await consumer.start()
        await producer.start()
        # All at once: else each new topic costs a request, inside the first transaction.
        inboxes = (_inbox(source) for sources in self._shards for source in sources)
        await asyncio.gather(*(producer.client.add_topic(topic) for topic in inboxes))
        places = [TopicPartition(topic, 0) for topic in self._shards[number]]
        consumer.assign(places)
        for place in places:
            consumer.seek(place, 0)
        while True:
            batch = await self._batches[number].get()
            await self._copy(producer, number, await _gather(consumer, batch))
            self._batches[number].task_done()

    async def _copy(self, producer: Any, number: int, records: Sequence[Any]) -> None:  # noqa: ANN401 (aiokafka has no types)
        order = self._order
        offsets = {TopicPartition(record.topic, 0): record.offset + 1 for record in records}
        targets = [self._routes[record.topic].popleft() for record in records]
        answered = {_inbox(record.topic) for record in records}
        async with producer.transaction():
            for topic in sorted(answered | set(targets)):
                await producer.send(topic, value=bytes(order["bundle_bytes"]))
            for record, target in zip(records, targets, strict=True):
                await producer.send(target, value=record.value, key=record.key, headers=list(record.headers))
            for extra in order["extras"]:
                for each in range(extra["count"]):
                    await producer.send(extra["topic"], value=bytes(extra["bytes"]), key=b"%d" % each)
            await producer.send_offsets_to_transaction(offsets, f"copy-{number}")


async def _gather(consumer: Any, count: int) -> list[Any]:  # noqa: ANN401 (aiokafka has no types)
    """``count`` records, as they come."""
    found: list[Any] = []
    while len(found) < count:
        answer = await consumer.getmany(timeout_ms=FETCH_MS, max_records=count - len(found))
        found.extend(record for records in answer.values() for record in records)
    return found


def _inbox(source: str) -> str:
    """Where the bundle for the owner of a source topic goes."""
    return source.replace(".out.", ".in.", 1)


async def _whole(bootstrap_server: str, properties: Path, shards: Sequence[Sequence[str]]) -> None:
    install_send_once()  # silences a warning for each transaction, as in the router
    copying = Copying(ClientConfig.load(bootstrap_server, properties), shards)
    loops = copying.start()
    lines = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await _first(lines.readline(), loops):
        sys.stdout.write(json.dumps(await _first(copying.obey(json.loads(line)), loops)) + "\n")
        sys.stdout.flush()


async def _first(step: Any, loops: Sequence[asyncio.Task[None]]) -> Any:  # noqa: ANN401 (any step's answer)
    """What ``step`` returns, unless a loop ends before: then its error is ours."""
    task = asyncio.ensure_future(step)
    await asyncio.wait([task, *loops], return_when=asyncio.FIRST_COMPLETED)
    for loop in loops:
        if loop.done():
            loop.result()
    return task.result()


if __name__ == "__main__":
    uvloop.run(_whole(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])))
