"""Writing with aiokafka: an idempotent writer, and the transactional writer of a shard."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import RecordMetadata

from hub.adapters.kafka import lifecycle
from hub.adapters.kafka.client_config import ClientConfig
from hub.adapters.kafka.metadata import Metadata
from hub.adapters.kafka.once import install_send_once
from hub.adapters.kafka.timing import Timing
from hub.adapters.kafka.translate import surest
from hub.core.access import DIRECTORY_RECORD_BYTES_MAX
from hub.core.records import Outgoing, Place, Position
from hub.errors import ComityError, Fenced, OutcomeUnknown, Unreachable

BATCH_BYTES_MAX: Final = 1024 * 1024  # below every topic's max.message.bytes; the default of 16 KiB is ten times slower
REQUEST_BYTES_MAX: Final = DIRECTORY_RECORD_BYTES_MAX  # the broker holds each topic to its own limit


def producer_settings(config: ClientConfig, client_id: str, timing: Timing) -> dict[str, Any]:
    """The settings of every producer, each set by name: aiokafka's defaults lose records (faults-and-threats, fact 8)."""
    return {
        **config.connection(),
        "client_id": client_id,
        "acks": "all",
        "enable_idempotence": True,
        "compression_type": None,  # ciphertext does not compress
        "max_batch_size": BATCH_BYTES_MAX,
        "max_request_size": REQUEST_BYTES_MAX,
        "linger_ms": 0,
        "request_timeout_ms": timing.step_ms,
        "retry_backoff_ms": timing.retry_backoff_ms,
    }


class KafkaWriter:
    """Implements ``hub.ports.Writer``. After an error the producer is thrown away, with all that it had not sent."""

    def __init__(self, config: ClientConfig, metadata: Metadata, client_id: str, timing: Timing) -> None:
        self._config = config
        self._metadata = metadata
        self._client_id = client_id
        self._timing = timing
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def send(self, records: Sequence[Outgoing]) -> Sequence[Position]:
        """Write all, in order per partition. Raises ``NotPermitted``, ``Unreachable``, ``UsageError``, ``ComityError``."""
        if not records:
            return ()
        producer = await self.started()
        raised: list[BaseException] = []
        try:
            async with asyncio.timeout(self._timing.step_s):
                await _know_topics(producer, self._metadata, records)
                pending = [await _enqueue(producer, record) for record in records]
                raised = await _settle(pending)
        except (KafkaError, OSError, TimeoutError, ComityError) as error:
            raised = [error]
        except BaseException:
            await self._discard(producer)
            raise
        if not raised:
            return [_position(future.result()) for future in pending]
        if not isinstance(raised[0], ComityError):
            await self._discard(producer)
        raise surest(raised) or Unreachable("broker-silent", "The broker did not acknowledge.") from raised[0]

    async def close(self) -> None:
        """Let go, within the stop time-out."""
        if self._producer is not None:
            await self._discard(self._producer)

    async def started(self) -> AIOKafkaProducer:
        """The producer, made when it is needed. Raises ``Unreachable``, ``NotPermitted``."""
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(**producer_settings(self._config, self._client_id, self._timing))
                await lifecycle.start(producer, self._config, self._timing)
                self._producer = producer
            return self._producer

    async def _discard(self, producer: AIOKafkaProducer) -> None:
        # Else what the broker did not take in time would be written later, behind its author's back.
        if self._producer is producer:
            self._producer = None
        await discard(producer, self._timing)


class KafkaTransactionalWriter:
    """Implements ``hub.ports.TransactionalWriter``.

    Any error makes it unusable: aiokafka would commit what a failed transaction left (kafka.md section 5). Nothing was
    committed unless the error is ``OutcomeUnknown``; a new writer with the same id aborts what is still open.
    """

    def __init__(self, producer: AIOKafkaProducer, metadata: Metadata, timing: Timing) -> None:
        self._producer = producer
        self._metadata = metadata
        self._timing = timing
        self._usable = True
        self._asked_to_commit = False

    async def transact(self, records: Sequence[Outgoing], offsets: Mapping[Place, int], group: str) -> None:
        """Write all records and commit ``offsets`` of ``group``, or neither.

        Raises ``Fenced``; ``NotPermitted``, ``UsageError(topic-unknown)`` or ``ComityError(record-too-large)`` when
        surely nothing was or will be committed; ``OutcomeUnknown`` for anything else.
        """
        await self._all_or_nothing(self._attempt(records, offsets, group))

    async def void(self, records: Sequence[Outgoing]) -> None:
        """Write records and abort them; what hung in their partitions is aborted with them.

        Kafka 4.4 ends a transaction without a marker in a partition whose leader it does not know (a broker that is just
        starting): its records hide what follows, and the next marker of the same producer decides over them too.
        Raises as ``transact``.
        """
        await self._all_or_nothing(self._attempt_void(records))

    async def _all_or_nothing(self, attempt: Coroutine[Any, Any, list[BaseException]]) -> None:
        if not self._usable:
            attempt.close()
            raise OutcomeUnknown("writer-unusable", "This writer failed before; make a new one with the same id.")
        self._usable = False
        raised: list[BaseException] = []
        try:
            async with asyncio.timeout(self._timing.step_s):
                raised = await attempt
        except (KafkaError, OSError, TimeoutError, AssertionError) as error:
            raised = [error, *_of_transaction(self._producer)]
        except BaseException:
            await discard(self._producer, self._timing)
            raise
        if raised:
            await discard(self._producer, self._timing)
            raise self._explained(raised) from raised[0]
        self._usable = True

    async def close(self) -> None:
        """Let go, within the stop time-out. An open transaction is aborted by the next owner, or by its time-out."""
        self._usable = False
        await discard(self._producer, self._timing)

    async def _attempt(
        self, records: Sequence[Outgoing], offsets: Mapping[Place, int], group: str
    ) -> list[BaseException]:
        producer = self._producer
        await _know_topics(producer, self._metadata, records)
        await producer.begin_transaction()
        pending = await _enqueue_in_batches(producer, records)
        if offsets:
            positions = {TopicPartition(*place): offset for place, offset in offsets.items()}
            pending.append(asyncio.ensure_future(producer.send_offsets_to_transaction(positions, group)))
        raised = await _settle(pending)
        if raised:
            return [*raised, *_of_transaction(producer)]
        self._asked_to_commit = True
        await producer.commit_transaction()
        self._asked_to_commit = False
        return []

    async def _attempt_void(self, records: Sequence[Outgoing]) -> list[BaseException]:
        producer = self._producer
        await _know_topics(producer, self._metadata, records)
        await producer.begin_transaction()
        raised = await _settle(await _enqueue_in_batches(producer, records))
        if raised:
            return [*raised, *_of_transaction(producer)]
        await producer.abort_transaction()
        return []

    def _explained(self, raised: Sequence[BaseException]) -> ComityError:
        known = surest(raised)
        if known is not None and (isinstance(known, Fenced) or not self._asked_to_commit):
            return known
        return OutcomeUnknown(
            "transaction-unknown",
            f"A transaction ended with an unknown outcome ({type(raised[0]).__name__}); reading everything anew.",
        )


async def start_transactional(
    config: ClientConfig, metadata: Metadata, client_id: str, timing: Timing, transactional_id: str
) -> KafkaTransactionalWriter:
    """Make the one writer of ``transactional_id``: fences older ones and ends their open transaction.

    Raises ``Unreachable``, ``NotPermitted``.
    """
    install_send_once()
    producer = AIOKafkaProducer(
        **producer_settings(config, client_id, timing),
        transactional_id=transactional_id,
        transaction_timeout_ms=timing.transaction_ms,
    )
    await lifecycle.start(producer, config, timing)
    return KafkaTransactionalWriter(producer, metadata, timing)


async def discard(producer: AIOKafkaProducer, timing: Timing) -> None:
    """Stop without a flush: what was not sent must not be sent any more."""
    task = producer._sender.sender_task  # noqa: SLF001 (stop() flushes first; a canary watches the name)
    if task is not None and not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=timing.stop_s)
    await lifecycle.stop(producer, timing)
    _of_transaction(producer)  # read, so that the loop does not report it


async def _know_topics(producer: AIOKafkaProducer, metadata: Metadata, records: Sequence[Outgoing]) -> None:
    """Tell the client all topics at once (one request instead of one each), and refuse those that do not exist."""
    topics = {record.topic for record in records}
    known = producer.client.cluster
    if any(known.partitions_for_topic(topic) is None for topic in topics):
        await metadata.require({Place(record.topic, record.partition) for record in records})
        await asyncio.gather(*(producer.client.add_topic(topic) for topic in sorted(topics)))


async def _enqueue(producer: AIOKafkaProducer, record: Outgoing) -> asyncio.Future[RecordMetadata]:
    """One record, whose position its author wants to know."""
    _check_writable(record)
    written: asyncio.Future[RecordMetadata] = await producer.send(
        record.topic,
        value=record.value,
        key=record.key,
        partition=record.partition,
        headers=list(record.headers),
    )
    return written


async def _enqueue_in_batches(producer: AIOKafkaProducer, records: Sequence[Outgoing]) -> list[asyncio.Future[Any]]:
    """Many records, in order per partition, with a future for each batch: one for each record costs twice the CPU."""
    pending: list[asyncio.Future[Any]] = []
    batches: dict[Place, BatchBuilder] = {}
    for record in records:
        _check_writable(record)
        place = Place(record.topic, record.partition)
        batch = batches.get(place)
        if batch is not None and not _appended(batch, record):  # it is full
            pending.append(await producer.send_batch(batch, place.topic, partition=place.partition))
            batch = None
        if batch is None:
            batches[place] = producer.create_batch()
            _appended(batches[place], record)  # the first one is taken, however large
    for place, batch in batches.items():
        pending.append(await producer.send_batch(batch, place.topic, partition=place.partition))
    return pending


def _appended(batch: BatchBuilder, record: Outgoing) -> bool:
    headers = list(record.headers)
    return batch.append(timestamp=None, key=record.key, value=record.value, headers=headers) is not None


def _check_writable(record: Outgoing) -> None:
    """Raise for what no topic takes."""
    if record.key is None and record.value is None:
        raise ComityError("record-refused", "A record needs a key or a value.")
    size = DefaultRecordBatchBuilder.estimate_size_in_bytes(record.key, record.value, list(record.headers))
    if size > REQUEST_BYTES_MAX:
        raise ComityError("record-too-large", "A record is larger than its topic takes.")


async def _settle(pending: Sequence[asyncio.Future[Any]]) -> list[BaseException]:
    """Wait until all are done or one failed. Returns what was raised; what is still pending then is given up."""
    if not pending:
        return []
    try:
        done, waiting = await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
    except asyncio.CancelledError:
        for future in pending:
            future.cancel()
        raise
    raised = [error for future in done if not future.cancelled() and (error := future.exception()) is not None]
    for future in waiting:
        future.cancel()
    return raised


def _of_transaction(producer: AIOKafkaProducer) -> list[BaseException]:
    """The error that aiokafka keeps for the end of the transaction: the cause behind a wrong state."""
    manager = producer._txn_manager  # noqa: SLF001 (no public way; a canary watches the name)
    waiter = manager.wait_for_transaction_end() if manager is not None else None
    if waiter is None or not waiter.done() or waiter.cancelled():
        return []
    error = waiter.exception()
    return [] if error is None else [error]


def _position(written: RecordMetadata) -> Position:
    return Position(written.topic, written.partition, written.offset, written.timestamp or 0)
