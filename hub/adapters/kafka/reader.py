"""Reading assigned partitions with aiokafka so that one bad partition harms its owner only.

A plain ``getmany`` over several partitions loses records of the good ones when one raises (faults-and-threats, fact 1).
Here a call drains at most one record of one partition before it can raise, and our own offsets, not the client's, say
where reading goes on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError, RecordTooLargeError, TopicAuthorizationFailedError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest

from hub.adapters.kafka import lifecycle
from hub.adapters.kafka.metadata import Metadata
from hub.adapters.kafka.raw_batch import records_at
from hub.adapters.kafka.timing import Timing
from hub.adapters.kafka.translate import translated
from hub.core.access import INBOX_RECORD_BYTES_MAX
from hub.core.records import Place, Record
from hub.errors import PartitionBroken, Unreachable

_READ_UNCOMMITTED: Final = 0  # isolation levels on the wire
_READ_COMMITTED: Final = 1
_LATEST: Final = -1  # in place of a time
_SWEEP_S: Final = 1.0  # how long the culprit of an error is looked for


class KafkaReader:
    """Implements ``hub.ports.Reader``."""

    def __init__(self, consumer: AIOKafkaConsumer, metadata: Metadata, timing: Timing) -> None:
        self._consumer = consumer
        self._metadata = metadata
        self._timing = timing
        self._next: dict[Place, int] = {}
        self._paused: set[Place] = set()
        self._one_by_one: set[Place] = set()  # a read of several records raised here
        self._found: deque[list[Record]] = deque()  # met while looking for a culprit

    async def assign(self, start: Mapping[Place, int]) -> None:
        """Replace the assignment. Raises ``UsageError(topic-unknown)``, ``NotPermitted``, ``Unreachable``."""
        # aiokafka's assign of a topic that is missing or denied raises nothing and asks 550 times a second.
        await self._metadata.require(start)
        self._next = dict(start)
        self._paused = set()
        self._one_by_one = set()
        self._found.clear()
        if start:
            self._consumer.assign([TopicPartition(*place) for place in start])
            for place, offset in start.items():  # at once, before the client asks for any position
                self._consumer.seek(TopicPartition(*place), offset)
        else:
            self._consumer.unsubscribe()

    async def fetch(self, *, wait_ms: int, records_max: int) -> Sequence[Record]:
        """Records of one partition, or nothing when ``wait_ms`` passed. Raises ``PartitionBroken``, ``NotPermitted``."""
        if self._found:
            return self._taken(self._found.popleft())
        if not self._next:
            await asyncio.sleep(wait_ms / 1000)
            return []
        self._check_alive()
        try:
            first = await self._get((), wait_ms=wait_ms, records_max=1)
        except Exception as error:  # noqa: BLE001 (what a hostile record makes a decoder raise is not listed anywhere)
            await self._find_culprit(error)
            return []
        if not first:
            return []
        place = first[0].place
        if records_max > 1 and place not in self._one_by_one:
            first += await self._rest(place, first[-1].offset + 1, records_max - 1)
        self._put_last(place)
        return self._taken(first)

    def seek(self, place: Place, offset: int) -> None:
        """Read on from ``offset``."""
        self._forget(place)
        self._next[place] = offset
        self._consumer.seek(TopicPartition(*place), offset)

    def position(self, place: Place) -> int:
        """The offset that is read next; markers that the client has passed count."""
        if any(records[0].place == place for records in self._found):
            return self._next[place]
        state = self._consumer._subscription._assigned_state(TopicPartition(*place))  # noqa: SLF001 (the public one waits)
        return max(self._next[place], state.position if state.has_valid_position else 0)

    def pause(self, place: Place) -> None:
        """Fetch nothing from ``place`` until ``resume``."""
        self._forget(place)
        self._paused.add(place)
        self._consumer.pause(TopicPartition(*place))

    def resume(self, place: Place) -> None:
        """Fetch from ``place`` again."""
        self._paused.discard(place)
        self._consumer.seek(TopicPartition(*place), self._next[place])
        self._consumer.resume(TopicPartition(*place))

    async def end_offsets(self) -> Mapping[Place, int]:
        """The last stable offset per assigned place. Raises ``Unreachable``."""
        if not self._next:
            return {}
        ends = await lifecycle.step(
            self._consumer.end_offsets([TopicPartition(*place) for place in self._next]),
            self._timing.step_s,
            "the ends of the assigned partitions",
        )
        return {Place(each.topic, each.partition): offset for each, offset in ends.items()}

    async def undecided(self) -> frozenset[Place]:
        """The assigned places in which a transaction is open. Raises ``Unreachable``."""
        stable = await self.end_offsets()
        ends = {place: await self._written_end(place) for place in stable}
        return frozenset(place for place, end in ends.items() if stable[place] < end)

    async def close(self) -> None:
        """Let go, within the stop time-out."""
        await lifecycle.stop(self._consumer, self._timing)

    async def _written_end(self, place: Place) -> int:
        """The offset that is written next, open transactions included: our consumer asks for committed ends only."""
        client = self._consumer._client  # noqa: SLF001 (no public way to another isolation level; a canary watches the name)
        request = OffsetRequest(-1, _READ_UNCOMMITTED, [(place.topic, [(place.partition, _LATEST)])])
        leader = client.cluster.leader_for_partition(TopicPartition(*place))
        answer = await lifecycle.step(client.send(leader, request), self._timing.step_s, "the end of a partition")
        ((_, ((_, code, _, offset, *_),)),) = answer.topics
        if code:
            raise Unreachable("end-unknown", f"The broker does not tell where {place.topic} ends (Kafka code {code}).")
        return int(offset)

    async def _get(self, places: Sequence[Place], *, wait_ms: int, records_max: int) -> list[Record]:
        wanted = [TopicPartition(*place) for place in places]
        async with asyncio.timeout(wait_ms / 1000 + self._timing.step_s):
            found = await self._consumer.getmany(*wanted, timeout_ms=wait_ms, max_records=records_max)
        return [_record(each) for records in found.values() for each in records]

    async def _rest(self, place: Place, offset: int, records_max: int) -> list[Record]:
        """What else is fetched of a partition; nothing when a record in it raises, which is met alone later."""
        try:
            return await self._get([place], wait_ms=0, records_max=records_max)
        except Exception:  # noqa: BLE001 (as above)
            self._one_by_one.add(place)
            self._consumer.seek(TopicPartition(*place), offset)
            return []

    def _put_last(self, place: Place) -> None:
        """Let every other place with something go before this one: aiokafka would drain it first, 2 MiB of it."""
        fetched = self._consumer._fetcher._records  # noqa: SLF001 (no public way; a canary watches the name)
        if TopicPartition(*place) in fetched:
            fetched.move_to_end(TopicPartition(*place))

    async def _find_culprit(self, error: Exception) -> None:
        """Raise ``PartitionBroken`` for the partition that ``error`` came from; keep what others gave meanwhile."""
        if isinstance(error, TopicAuthorizationFailedError):
            raise translated(error) or error from error
        if isinstance(error, OffsetOutOfRangeError) and error.args and isinstance(error.args[0], dict):
            raise self._back(Place(*next(iter(error.args[0]))), "offset-out-of-range") from error
        if isinstance(error, RecordTooLargeError):
            # aiokafka has stepped over the record already; its second argument is the partition.
            raise self._back(Place(*error.args[1]), "record-unreadable") from error
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _SWEEP_S
        while loop.time() < deadline:
            met = {records[0].place for records in self._found}
            suspects = self._next.keys() - self._paused - met
            if not suspects:
                return
            for place in suspects:
                try:
                    records = await self._get([place], wait_ms=0, records_max=1)
                except Exception as again:
                    self._one_by_one.add(place)
                    broken = self._back(place, "record-unreadable")
                    if not isinstance(again, UnicodeDecodeError):
                        raise broken from again
                    self._found.append(await self._get_raw(place, broken))
                    return
                if records:
                    self._found.append(records)
            await asyncio.sleep(0.02)

    async def _get_raw(self, place: Place, broken: PartitionBroken) -> list[Record]:
        """The batch at our position without aiokafka's decoder, for a header name that is no UTF-8."""
        client = self._consumer._client  # noqa: SLF001 (no public way to a fetch; a canary watches the name)
        wanted = [(place.topic, [(place.partition, self._next[place], INBOX_RECORD_BYTES_MAX)])]
        request = FetchRequest(0, 1, INBOX_RECORD_BYTES_MAX, _READ_COMMITTED, wanted)
        leader = client.cluster.leader_for_partition(TopicPartition(*place))
        answer = await lifecycle.step(client.send(leader, request), self._timing.step_s, "a single batch")
        try:
            ((_, ((_, _, _, *_, batches),)),) = answer.topics
            records = records_at(bytes(batches), place, self._next[place])
        except ValueError as error:
            raise broken from error
        self._one_by_one.discard(place)
        self._consumer.seek(TopicPartition(*place), records[-1].offset + 1)
        return records

    def _taken(self, records: list[Record]) -> list[Record]:
        """The records, once they are seen to rise from where we are. Raises ``PartitionBroken``."""
        place = records[0].place
        expected = self._next[place]
        end = self._consumer.highwater(TopicPartition(*place))
        for index, record in enumerate(records):
            if record.offset < expected or (end is not None and record.offset >= end):
                # A batch with false offsets (kafka.md section 6). What came before it is good.
                if index == 0:
                    raise self._back(place, "offsets-not-rising")
                self._consumer.seek(TopicPartition(*place), expected)
                self._next[place] = expected
                return records[:index]
            expected = record.offset + 1
        self._next[place] = expected
        return records

    def _back(self, place: Place, code: str) -> PartitionBroken:
        """Let the client stand where we stand, and say that reading fails there."""
        offset = self._next[place]
        self._consumer.seek(TopicPartition(*place), offset)
        sentence = f"{place.topic} partition {place.partition} cannot be read at offset {offset}."
        return PartitionBroken(code, sentence, topic=place.topic, partition=place.partition, offset=offset)

    def _forget(self, place: Place) -> None:
        """Drop what was met of ``place`` while a culprit was looked for."""
        self._found = deque(records for records in self._found if records[0].place != place)

    def _check_alive(self) -> None:
        # When aiokafka's own task dies, getmany would go on answering "nothing" for ever.
        if self._consumer._fetcher.error_future.done():  # noqa: SLF001 (no public way; a canary watches the name)
            raise Unreachable("reader-dead", "The Kafka client stopped reading; start anew.")


def _record(found: ConsumerRecord[bytes | None, bytes | None]) -> Record:
    return Record(
        topic=found.topic,
        partition=found.partition,
        offset=found.offset,
        time_ms=found.timestamp,
        key=found.key,
        value=found.value,
        headers=tuple((name, value or b"") for name, value in found.headers),
    )
