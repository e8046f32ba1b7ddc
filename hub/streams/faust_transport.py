"""Faust as it is safe here: it reads ``hub.ledger``, acknowledges nothing, and starts where the SQL database says.

Faust has no setting for reading committed records only, commits past failed records, and hangs where a peer is silent
or an access rule is missing. So: its transport is subclassed, its offsets are never used, an error in an agent goes to
the runner while the agent waits for ever, and start and stop are bounded.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

import aiokafka
import faust
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError
from faust.app.base import BootStrategy
from faust.streams import Stream
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, AppT, EventT, StreamT
from mode.supervisors import ForfeitOneForOneSupervisor
from mode.threads import WorkerThread

from hub.adapters.kafka.client_config import ClientConfig
from hub.core.access import LEDGER_RECORD_BYTES_MAX
from hub.core.records import Record
from hub.core.topics import LEDGER
from hub.errors import VerificationFailed
from hub.settings import HubSettings
from hub.streams.ledger_steps import BATCH_RECORDS_MAX, LedgerSteps, portions

BUFFER_RECORDS_MAX: Final = 64  # that Faust holds beside a batch: its default of 4096 could be 3 GB of the largest ones
BATCH_SECONDS: Final = 0.05  # how long a batch gathers: less than anybody notices
THREAD_STOP_SECONDS: Final = 3.0  # Faust waits for its thread without a limit, and blocks the loop with it

Failed = Callable[[BaseException], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaustSettings:
    """What an app needs to know of the cluster. ``ssl_context`` is None in tests without a broker only."""

    group: str
    client_id: str
    bootstrap_server: str
    ssl_context: ssl.SSLContext | None
    session_ms: int
    heartbeat_ms: int
    step_ms: int
    record_bytes_max: int
    data_folder: Path  # Faust insists on one; nothing of ours lies there


def faust_settings(settings: HubSettings, kafka: ClientConfig, *, group: str) -> FaustSettings:
    """What an app of this process needs to know. Raises ``UsageError`` for unreadable client files."""
    return FaustSettings(
        group=group,
        client_id=f"{group}-{settings.worker}",
        bootstrap_server=kafka.bootstrap_server,
        ssl_context=kafka.ssl_context(),
        session_ms=settings.session_ms,
        heartbeat_ms=settings.heartbeat_ms,
        step_ms=settings.step_ms,
        record_bytes_max=LEDGER_RECORD_BYTES_MAX,
        data_folder=settings.folder.hub.absolute() / f"faust-{group}",
    )


class Reading(NamedTuple):
    """How far one partition was read: ``position`` counts markers too, ``after_record`` is after the last record."""

    position: int
    after_record: int


class BoundedThread(WorkerThread):
    """A thread that neither keeps the process alive nor its loop waiting: a silent peer hangs it."""

    def __init__(self, service: Any, **kwargs: Any) -> None:  # noqa: ANN401 (mode's signature)
        super().__init__(service, **kwargs)
        self.daemon = True

    def stop(self) -> None:
        """Wait for the end, but not for ever."""
        self.is_stopped.wait(THREAD_STOP_SECONDS)


class HubThread(driver.AIOKafkaConsumerThread):
    """Reads committed records only, and knows how far."""

    Worker = BoundedThread

    def __post_init__(self) -> None:
        super().__post_init__()
        self.after_record: dict[TP, int] = {}
        self.follows: dict[TP, dict[int, int]] = {}  # of each record on its way: the offset after the one before it

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        conf = self.app.conf
        return aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.broker_client_id,  # started again under its name it gets its partitions back at once
            bootstrap_servers=driver.server_list(transport.url, transport.default_port),
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # what it skips would show as a gap in a writer's numbers
            isolation_level="read_committed",
            check_crcs=True,
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            **driver.credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
        )

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (Faust's types are untyped clients')
        records = await super()._fetch_records(consumer, *args, **kwargs)
        for tp, found in records.items():
            place = TP(*tp)
            if place not in self.follows:
                continue  # fetched before the seek: not where the database says
            for record in found:
                self.follows[place][record.offset] = self.after_record[place]
                self.after_record[place] = record.offset + 1
        return records

    async def _seek_wait(self, consumer: Any, partitions: Mapping[TP, int]) -> None:  # noqa: ANN401 (the same)
        # While the offsets were read the group may have taken partitions away; what it gives next is sought anew.
        assigned = consumer.assignment()
        ours = {tp: offset for tp, offset in partitions.items() if tp in assigned}
        for tp, offset in ours.items():
            self.after_record[tp], self.follows[tp] = offset, {}
        with suppress(IllegalStateError):  # taken away while it waited for a position
            await super()._seek_wait(consumer, ours)

    async def ends(self, places: Collection[TP]) -> Mapping[TP, int]:
        """The end of committed records that each assigned place has now; nothing when the broker is away."""
        found: Mapping[TP, int] = await self.call_thread(self._ends, list(places))
        return found

    async def readings(self, places: Collection[TP]) -> Mapping[TP, Reading]:
        """How far each assigned place was read."""
        found: Mapping[TP, Reading] = await self.call_thread(self._readings, list(places))
        return found

    async def _ends(self, places: Sequence[TP]) -> Mapping[TP, int]:
        try:
            # As the isolation level says: of what is committed.
            found: Mapping[TP, int] = await self._ensure_consumer().end_offsets(self._ours(places))
        except KafkaError:
            return {}
        return found

    async def _readings(self, places: Sequence[TP]) -> Mapping[TP, Reading]:
        consumer = self._ensure_consumer()
        found: dict[TP, Reading] = {}
        with suppress(IllegalStateError):  # taken away while it waited for a position
            for tp in self._ours(places):
                # Nothing else runs in this thread meanwhile: position and last record belong together.
                found[tp] = Reading(await consumer.position(tp), self.after_record[tp])
        return found

    def _ours(self, places: Sequence[TP]) -> list[TP]:
        assigned = self._ensure_consumer().assignment()
        return [tp for tp in places if tp in assigned and tp in self.after_record]


class HubConsumer(driver.Consumer):
    """Starts each partition where the SQL database says, and never where Kafka's group does."""

    _thread: HubThread

    def _new_consumer_thread(self) -> HubThread:
        return HubThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def steps(self) -> LedgerSteps:
        """The work that the records are for."""
        return self._hub_transport.steps

    @property
    def _hub_transport(self) -> HubTransport:
        if not isinstance(self.transport, HubTransport):
            raise TypeError("the consumer belongs to another transport")
        return self.transport

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek every assigned partition of the ledger to its next offset in SQL."""
        try:
            return await self._seek_to_sql()
        except Exception as error:
            self._hub_transport.failed(error)
            await asyncio.Event().wait()
            raise

    async def _seek_to_sql(self) -> Mapping[TP, int]:
        places = [tp for tp in self._thread.assignment() if tp.topic == LEDGER]
        stored = self.steps.next_offsets([tp.partition for tp in places])
        offsets = {tp: stored[tp.partition] for tp in places}
        starts = await self._thread.earliest_offsets(*places)
        ends = await self._thread.highwaters(*places)
        for tp, offset in offsets.items():
            check_log(tp, offset, start=starts[tp], end=ends[tp])
        await self.seek_wait(offsets)
        return offsets

    def continuing(self, batch: Sequence[Record]) -> list[Record]:
        """The records of one partition that follow on what was taken.

        Around a rebalance Faust drops records that it fetched, and reads them again later; what it hands over behind
        such a hole must not be taken. Where they never come again, the runner sees that nothing moves.
        """
        partition = batch[0].partition
        follows = self._thread.follows.get(TP(LEDGER, partition), {})
        expected = self.steps.next_offsets([partition])[partition]
        unbroken: list[Record] = []
        for record in batch:
            follows_offset = follows.pop(record.offset, None)
            if record.offset >= expected and follows_offset is not None and follows_offset <= expected:
                unbroken.append(record)
                expected = record.offset + 1
        return unbroken

    def behind(self) -> Mapping[int, tuple[int, int]]:
        """Per partition that has records on their way: (next offset in SQL, offset after the last one fetched)."""
        fetched = {tp.partition: after for tp, after in self._thread.after_record.items() if tp in self.assignment()}
        taken = self.steps.next_offsets(fetched)
        return {
            partition: (taken[partition], after) for partition, after in fetched.items() if after > taken[partition]
        }

    async def ends(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Implements ``Reach``."""
        found = await self._thread.ends([TP(LEDGER, partition) for partition in partitions])
        return {tp.partition: end for tp, end in found.items()}

    async def taken(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Implements ``Reach``: behind the last record there may be markers, which nobody takes."""
        readings = await self._thread.readings([TP(LEDGER, partition) for partition in partitions])
        stored = self.steps.next_offsets(partitions)
        return {
            tp.partition: reading.position if stored[tp.partition] >= reading.after_record else stored[tp.partition]
            for tp, reading in readings.items()
        }


class HubTransport(driver.Transport):
    """The transport of one app."""

    Consumer: ClassVar[type[HubConsumer]] = HubConsumer
    steps: LedgerSteps
    failed: Failed


class ReadOnly(BootStrategy):
    """No producer: an idempotent one needs more rights than a reader has. Flags go out by ``hub.ports.Writer``."""

    enable_kafka_producer = False


class LedgerApp(faust.App):
    """A Faust app that only reads. ``waited_seconds`` is what its agent has spent in waiting for records so far."""

    BootStrategy = ReadOnly
    _waited = 0.0
    _waits_since: float | None = None

    def waits(self, now: float) -> None:
        """From now on the agent has nothing to do."""
        self._waits_since = now

    def works(self, now: float) -> None:
        """The agent was given records."""
        self._waited = self.waited_seconds(now)
        self._waits_since = None

    def waited_seconds(self, now: float) -> float:
        """All of its waiting so far."""
        return self._waited + (0.0 if self._waits_since is None else now - self._waits_since)


def check_log(tp: TP, offset: int, *, start: int, end: int) -> None:
    """The log must still hold what is read next. Raises ``VerificationFailed``: never a silent jump."""
    where = f"partition {tp.partition} of {tp.topic}"
    if start > offset:
        raise VerificationFailed(
            "ledger-truncated", f"{where} starts at {start}, after the next offset {offset}: records were removed."
        )
    if offset > end:
        raise VerificationFailed(
            "ledger-shorter", f"{where} ends at {end}, before the next offset {offset}: it is another or an older log."
        )


def build_ledger_app(settings: FaustSettings, steps: LedgerSteps, *, name: str, failed: Failed) -> LedgerApp:
    """An app with one agent, ``name``, that hands every batch of the ledger to ``steps``. Connects to nothing yet."""
    app = LedgerApp(
        settings.group,
        broker=";".join(f"kafka://{server}" for server in settings.bootstrap_server.split(",")),
        broker_credentials=faust.SSLCredentials(context=settings.ssl_context) if settings.ssl_context else None,
        broker_client_id=settings.client_id,
        broker_commit_every=10_000,
        broker_session_timeout=settings.session_ms / 1000,
        broker_heartbeat_interval=settings.heartbeat_ms / 1000,
        broker_request_timeout=max(settings.step_ms, settings.session_ms) / 1000,
        consumer_max_fetch_size=settings.record_bytes_max,
        processing_guarantee="at_least_once",
        key_serializer="raw",
        value_serializer="raw",
        store="memory://",
        datadir=settings.data_folder,
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_buffer_maxsize=BUFFER_RECORDS_MAX,
        stream_wait_empty=False,
        table_standby_replicas=0,
        agent_supervisor=ForfeitOneForOneSupervisor,
    )
    ledger = app.topic(LEDGER, acks=False)

    async def follow(stream: StreamT[bytes]) -> None:
        if not isinstance(stream, Stream):
            raise TypeError("Faust has another stream than the one it was tried with")
        loop = asyncio.get_running_loop()
        app.waits(loop.time())
        async for events in stream.take_events(BATCH_RECORDS_MAX, within=BATCH_SECONDS):
            app.works(loop.time())
            try:
                for batch in by_partition(events):
                    unbroken = hub_consumer(app).continuing(batch)
                    for portion in portions(unbroken) if unbroken else ():
                        steps.take(portion)
                        await asyncio.sleep(0)  # a backlog leaves room for ticks and the health server
            except Exception as error:  # noqa: BLE001 (Faust would acknowledge, restart the agent, and go on behind it)
                failed(error)
                await asyncio.Event().wait()
            app.waits(loop.time())

    app.agent(ledger, name=name, concurrency=1)(follow)
    app.finalize()
    transport = HubTransport(app.conf.broker_consumer, app)
    transport.steps, transport.failed = steps, failed
    app.transport = transport
    return app


def hub_consumer(app: AppT) -> HubConsumer:
    """The app's consumer."""
    if not isinstance(app.consumer, HubConsumer):
        raise TypeError("the app has another transport")
    return app.consumer


def by_partition(events: Sequence[EventT[bytes]]) -> list[list[Record]]:
    """The events of a batch as records, one list per partition, each in the log's order."""
    records = [
        Record(
            topic=event.message.topic,
            partition=event.message.partition,
            offset=event.message.offset,
            time_ms=round((event.message.timestamp or 0) * 1000),
            key=event.message.key,
            value=event.message.value,
        )
        for event in events
    ]
    ordered = sorted(records, key=lambda record: record.partition)
    return [list(group) for _, group in groupby(ordered, key=lambda record: record.partition)]
