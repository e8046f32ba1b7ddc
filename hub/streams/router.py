"""The router's process: it runs the shards that the group gives it, and ends when it cannot know what happened.

The laws of this file: (1) whatever error a shard ends with ends the process, but for two: a transaction that was surely
aborted begins the shard anew, and being fenced on a shard that was taken away is only late news; (2) a shard that makes
no progress ends the process; (3) a shard that is taken away finishes its transaction first.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from hub.core.access import SHARDS_GROUP
from hub.core.authority import HubRole
from hub.core.effects import Alert
from hub.core.ids import KeyId
from hub.core.topics import SHARDS
from hub.envelope.certificates import PathCache
from hub.errors import Fenced, Held, OutcomeUnknown, Unreachable, UsageError
from hub.ports import Bus, Clock, Membership, Signer
from hub.streams.heads import head_signer
from hub.streams.holds import Holds
from hub.streams.metrics import RouterMetrics
from hub.streams.process import Process
from hub.streams.shard import Aborted, Directory, Shard, Surroundings

LOOK_SECONDS: Final = 0.2  # between two looks at what the group gave
RESTARTS_MAX: Final = 20  # of shards in a minute; then something is wrong that a restart does not mend
RESTARTS_SECONDS: Final = 60.0
LOST_SECONDS: Final = 120.0  # without any shard after a revocation: the membership is lost, and never comes back
STALL_SLACK_SECONDS: Final = 10.0
CERTIFICATES_SECONDS: Final = 60.0  # between two looks at certificates' ends: a thousand authorities' take time


async def run_router(
    process: Process, *, bus: Bus, directory: Directory, signers: Sequence[Signer], clock: Clock
) -> None:
    """Route as one worker until ``process`` is asked to stop. ``signers`` are the router's role keys, in suite order.

    Raises what the laws above say, ``UsageError(shards-differ | role-key-unknown)``, ``NotPermitted``, ``Unreachable``.
    """
    # A core is for the event loop. More threads than cores fight for the interpreter: six on two cores cost a fifth.
    with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1), thread_name_prefix="compute") as compute:
        around = Surroundings(
            bus=bus,
            directory=directory,
            clock=clock,
            sign=head_signer(signers, clock),
            paths=PathCache(),
            alert=process.alert,
            compute=compute,
            metrics=process.metrics,
            router_metrics=RouterMetrics(process.metrics.registry),
            batch_messages_max=process.settings.batch_messages_max,
            batch_bytes_max=process.settings.batch_bytes_max,
        )
        await Router(process, around, frozenset(signer.key for signer in signers)).run()


@dataclass(slots=True)
class Running:
    """A shard's task, what stops it, and the shard as it is at work now."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    shard: Shard | None = None
    task: asyncio.Task[None] | None = None


class Router:
    """One worker. Several share the shards through the group ``router`` on ``hub.shards``."""

    def __init__(self, process: Process, around: Surroundings, keys: frozenset[KeyId]) -> None:
        self._process = process
        self._keys = keys
        self._around = around
        self._running: dict[int, Running] = {}
        self._holds: dict[int, Holds] = {}
        self._restarts: deque[float] = deque()
        self._changed = asyncio.Event()
        self._empty_since: float | None = None
        self._certificates_due = 0.0
        settings = process.settings
        # Taking over and one step each have a time-out of their own; this one sees what those did not.
        self._stall_seconds = (settings.start_ms + settings.step_ms) / 1000 + STALL_SLACK_SECONDS

    async def run(self) -> None:
        """Work until the process is asked to stop. Raises the first error of a shard, see the laws above."""
        await self._check_shards()
        membership = await self._around.bus.membership(
            SHARDS_GROUP, SHARDS, instance=f"router-{self._process.settings.worker}", on_revoked=self._revoked
        )
        try:
            while not self._process.stopping.is_set():
                self._reap()
                self._reconcile(membership)
                self._watch_progress()
                self._tell()
                await self._pause()
            for running in self._running.values():
                running.stop.set()
            await asyncio.gather(*(running.task for running in self._running.values() if running.task))
        finally:
            for running in self._running.values():
                if running.task is not None:
                    running.task.cancel()
            await membership.close()

    async def _check_shards(self) -> None:
        """Wait for a trust list, and compare it with the topic and with our keys.

        A changed count of shards would route a pair in two places; a head by an unknown key nobody would believe.
        Raises ``UsageError(shards-differ | role-key-unknown)``.
        """
        while not self._process.stopping.is_set():
            try:
                trust = self._around.directory.view.newest
            except Held as reason:
                self._process.not_ready = reason.code
                await self._pause()
                continue
            topics = await self._around.bus.partitions()
            if topics.get(SHARDS) != trust.shards:
                raise UsageError(
                    "shards-differ",
                    f"The trust list says {trust.shards} shards, the topic {SHARDS} has {topics.get(SHARDS, 0)}; "
                    "see comity topics plan.",
                )
            if not self._keys <= {key.id for key in trust.hub_keys.get(HubRole.ROUTER, ())}:
                raise UsageError("role-key-unknown", "The trust list does not name this router's signing keys.")
            return

    # --- shards come and go -----------------------------------------------------------------------

    def _revoked(self, shards: frozenset[int]) -> None:
        """The group takes shards away: they finish their transaction, and nothing more."""
        for number in shards & self._running.keys():
            self._running[number].stop.set()
        self._empty_since = asyncio.get_running_loop().time()
        self._changed.set()

    def _reconcile(self, membership: Membership) -> None:
        owned = membership.owned()
        now = asyncio.get_running_loop().time()
        for number, running in self._running.items():
            if number not in owned:
                running.stop.set()
        for number in sorted(owned - self._running.keys()):
            running = Running()
            holds = self._holds.setdefault(number, Holds())
            running.task = asyncio.create_task(self._keep(number, running, holds), name=f"shard-{number}")
            running.task.add_done_callback(lambda _task: self._changed.set())
            self._running[number] = running
        if owned:
            self._empty_since = None
        elif self._empty_since is not None and now - self._empty_since > LOST_SECONDS:
            raise Unreachable("membership-lost", "The group gave this worker nothing back; start anew.")

    async def _keep(self, number: int, running: Running, holds: Holds) -> None:
        """Run a shard, anew after each abort, until it is taken away."""
        while not running.stop.is_set():
            running.shard = Shard(number, self._around, holds)
            try:
                await running.shard.run(running.stop)
            except Aborted as error:
                self._process.alert(Alert("shard-restarted", f"shard {number}", error.sentence))
                self._count_restart()
            except Fenced:
                if not running.stop.is_set():
                    raise
                self._process.log.info("fenced", shard=number)  # the new owner was quick; nothing of ours was committed

    def _count_restart(self) -> None:
        now = asyncio.get_running_loop().time()
        self._around.router_metrics.restarted()
        self._restarts.append(now)
        while self._restarts[0] < now - RESTARTS_SECONDS:
            self._restarts.popleft()
        if len(self._restarts) > RESTARTS_MAX:
            raise OutcomeUnknown("shards-restart", f"Shards were begun anew over {RESTARTS_MAX} times in a minute.")

    def _reap(self) -> None:
        """Forget shards that ended because they were taken away; raise the error of any other."""
        for number, running in list(self._running.items()):
            if running.task is not None and running.task.done():
                del self._running[number]
                if running.task.cancelled():
                    raise OutcomeUnknown("shard-cancelled", f"Shard {number} was cancelled by a library.")
                running.task.result()

    def _watch_progress(self) -> None:
        """Raises ``OutcomeUnknown(shard-stalled)``: after a broker's loss clients may wait in silence for ever (rule 8)."""
        now = asyncio.get_running_loop().time()
        for number, running in self._running.items():
            if running.shard is not None and now - running.shard.progress > self._stall_seconds:
                raise OutcomeUnknown("shard-stalled", f"Shard {number} made no progress for too long.")

    # --- telling ----------------------------------------------------------------------------------

    def _tell(self) -> None:
        self._around.router_metrics.owns(len(self._running))
        self._process.not_ready = self._reason()
        now = asyncio.get_running_loop().time()
        if now >= self._certificates_due:
            self._certificates_due = now + CERTIFICATES_SECONDS
            self._tell_certificates()

    def _tell_certificates(self) -> None:
        with contextlib.suppress(Held):
            trust = self._around.directory.view.newest
            now_ms = self._around.clock.now_ms()
            self._around.router_metrics.certificates(
                {
                    each.id: min(key.until_ms for key in each.signing if key.in_force(now_ms))
                    for each in trust.authorities.values()
                    if any(key.in_force(now_ms) for key in each.signing)
                }
            )

    def _reason(self) -> str | None:
        try:
            self._around.directory.view.fresh(self._around.clock.now_ms())
        except Held as reason:
            return reason.code
        at_work = [running.shard is not None and running.shard.ready for running in self._running.values()]
        return None if all(at_work) else "taking-over"

    async def _pause(self) -> None:
        self._changed.clear()
        stopping = asyncio.ensure_future(self._process.stopping.wait())
        changed = asyncio.ensure_future(self._changed.wait())
        await asyncio.wait({stopping, changed}, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        changed.cancel()
