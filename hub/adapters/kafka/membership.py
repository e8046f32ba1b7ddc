"""A share of a topic's partitions by Kafka's consumer group protocol; the records themselves are never read here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from hub.adapters.kafka import lifecycle
from hub.adapters.kafka.timing import Timing
from hub.adapters.kafka.translate import translated
from hub.errors import Unreachable

OnRevoked = Callable[[frozenset[int]], None]


class KafkaMembership:
    """Implements ``hub.ports.Membership``. It polls for as long as it lives: a member that does not is thrown out.

    Each worker needs an instance name of its own: aiokafka's heartbeats do not carry it, so that of two live workers
    with one name neither is told to end, and they take the partitions from each other without end.
    """

    def __init__(self, consumer: AIOKafkaConsumer, topic: str, timing: Timing, on_revoked: OnRevoked) -> None:
        self._consumer = consumer
        self._topic = topic
        self._timing = timing
        self._on_revoked = on_revoked
        self._owned: frozenset[int] = frozenset()
        self._assigned = asyncio.Event()
        self._polling: asyncio.Task[None] | None = None

    def owned(self) -> frozenset[int]:
        """The partitions that are ours now; none while the group is rebalanced."""
        return self._owned

    async def join(self) -> None:
        """Subscribe and wait for the first assignment. Raises ``NotPermitted``, ``Unreachable``, ``UsageError``."""
        self._consumer.subscribe([self._topic], listener=_Listener(self))
        self._polling = asyncio.create_task(self._poll(), name="membership")
        self._polling.add_done_callback(self._lost)
        waiting = asyncio.create_task(self._assigned.wait())
        await asyncio.wait([waiting, self._polling], timeout=self._timing.start_s, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._assigned.is_set():
            return
        error = self._polling.exception() if self._polling.done() and not self._polling.cancelled() else None
        await self.close()
        known = None if error is None else translated(error)
        raise known or Unreachable("group-silent", "The broker did not let this worker into its group.") from error

    async def close(self) -> None:
        """Stop polling and let go. A static member keeps its place until its session times out."""
        self._owned = frozenset()
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling], timeout=self._timing.stop_s)
        await lifecycle.stop(self._consumer, self._timing)

    def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """The group gave us these."""
        found = list(partitions)
        self._consumer.pause(*found)  # the state in them is read by a reader, not here
        self._owned = frozenset(each.partition for each in found)
        self._assigned.set()

    def revoked(self) -> None:
        """All that we own may move away now."""
        owned, self._owned = self._owned, frozenset()
        if owned:
            self._on_revoked(owned)

    async def _poll(self) -> None:
        while True:
            await self._consumer.getmany(timeout_ms=0, max_records=1)
            await asyncio.sleep(self._timing.membership_poll_ms / 1000)

    def _lost(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()  # read, so that the loop does not report it; the owner learns of it by on_revoked
        self.revoked()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka gives it no type
    """Passes aiokafka's calls on."""

    def __init__(self, membership: KafkaMembership) -> None:
        self._membership = membership

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002 (all of ours)
        self._membership.revoked()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._membership.assigned(assigned)
