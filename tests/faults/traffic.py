"""Authorities that send and answer while faults happen: each with its own certificate, its records in order.

An outbox is written batch by batch. Where the broker did not acknowledge a batch its outcome is unknown, and the same
bytes are sent again until it does, as a gateway does: nothing follows before.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from random import Random
from typing import Final

from hub.core.ids import AuthorityId, ClockId, MessageId, ThreadId
from hub.core.limits import RECEIPTS_PER_MANIFEST_MAX
from hub.core.records import Position
from hub.errors import ComityError
from hub.ports import Bus, Clock, Writer
from tests.faults import lines
from tests.faults.authors import Author, Letter, Question, Reference
from tests.faults.lines import Line
from tests.faults.plan import RECEIPTED, Kind, Order

AHEAD_LETTERS: Final = 6_000  # that are signed before they are due
SIGNING_THREADS: Final = 2
BATCH_LETTERS: Final = 32  # of one outbox; below a pair's window, so that each is known again
RECENT_LETTERS: Final = 12  # of which one may be sent again
LIST_SECONDS: Final = 2.0  # how long a recipient gathers what it says was delivered
RETRY_SECONDS: Final = 0.5
IDLE_SECONDS: Final = 0.5
LOOK_SECONDS: Final = 0.02

Sign = Callable[[], Letter | None]


class Ahead:
    """Letters that are signed in threads before they are due, each sender's in order."""

    def __init__(self, authors: Sequence[Author], orders: Sequence[Sequence[Order]]) -> None:
        self._authors = authors
        self._orders = orders
        self._signed: list[deque[Letter]] = [deque() for _ in authors]
        self._room = threading.Semaphore(AHEAD_LETTERS)
        self._closing = threading.Event()
        self._threads = ThreadPoolExecutor(SIGNING_THREADS, thread_name_prefix="signing")

    def start(self) -> None:
        """Begin to sign."""
        for first in range(SIGNING_THREADS):
            self._threads.submit(self._sign, first)

    async def next(self, sender: int) -> Letter:
        """The sender's next letter."""
        while not self._signed[sender]:
            await asyncio.sleep(LOOK_SECONDS)
        self._room.release()
        return self._signed[sender].popleft()

    def close(self) -> None:
        """Stop signing."""
        self._closing.set()
        self._threads.shutdown()

    def _sign(self, first: int) -> None:
        """All early letters of every second sender, in the order in which they are due."""
        mine = [
            (order.at_s, sender, order.neighbour)
            for sender in range(first, len(self._authors), SIGNING_THREADS)
            for order in self._orders[sender]
            if order.is_early
        ]
        for _, sender, neighbour in sorted(mine):
            while not self._room.acquire(timeout=IDLE_SECONDS):
                if self._closing.is_set():
                    return
            if self._closing.is_set():
                return
            self._signed[sender].append(self._authors[sender].plain(neighbour_of(self._authors, sender, neighbour)))


def neighbour_of(authors: Sequence[Author], sender: int, neighbour: int) -> AuthorityId:
    """Who stands that many places behind a sender."""
    return authors[(sender + neighbour) % len(authors)].id


class Traffic:
    """All senders and what recipients send back. ``told`` gets each line of ``senders.jsonl``."""

    def __init__(
        self,
        authors: Sequence[Author],
        orders: Sequence[Sequence[Order]],
        *,
        bus: Callable[[AuthorityId], Bus],
        clock: Clock,
        chance: Random,
        told: Callable[[Line], None],
    ) -> None:
        self._authors = authors
        self._numbers = {author.id: number for number, author in enumerate(authors)}
        self._outboxes = [Outbox(partial(bus, author.id), clock, told) for author in authors]
        self._orders = [deque(each) for each in orders]
        self._ahead = Ahead(authors, orders)
        self._chance = chance
        self._replies: list[deque[Sign]] = [deque() for _ in authors]
        self._woken = [asyncio.Event() for _ in authors]
        self._recent: list[deque[Letter]] = [deque(maxlen=RECENT_LETTERS) for _ in authors]
        self._questions: dict[MessageId, int] = {}  # delays of answers, in milliseconds
        self._waiting = 0  # answers and lists that are not yet sent
        self._lists: dict[tuple[AuthorityId, AuthorityId], list[Reference]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False
        self._ahead.start()

    async def run(self) -> None:
        """Send everything that was planned. Answers go on until ``close``. Raises what a sender raises."""
        for outbox in self._outboxes:
            await outbox.open()
        begun = asyncio.get_running_loop().time()
        self._tasks = [asyncio.create_task(self._send(number, begun)) for number in range(len(self._authors))]
        self._tasks.append(asyncio.create_task(self._list()))
        while any(self._orders):
            self.check()
            await asyncio.sleep(IDLE_SECONDS)

    def check(self) -> None:
        """Raise what a sender raised."""
        for task in self._tasks:
            if task.done():
                task.result()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is left to send, answers and receipt lists included."""
        return not any(self._orders) and self._waiting == 0 and all(outbox.is_quiet for outbox in self._outboxes)

    def submit(self, number: int, sign: Sign) -> None:
        """Let an authority send a letter beside what was planned. ``sign`` makes it, in a thread, when it is its turn."""
        self._waiting += 1
        self._reply(number, sign)

    def recent(self, number: int) -> Sequence[Letter]:
        """The last letters of an authority that the broker acknowledged and the hub should accept."""
        return list(self._recent[number])

    async def close(self) -> None:
        """Stop sending."""
        self._closing = True
        for woken in self._woken:
            woken.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._ahead.close)
        for outbox in self._outboxes:
            await outbox.close()

    def delivered(self, recipient: AuthorityId, said: Line) -> None:
        """A recipient took a message over: it answers, or says so, if that was planned. ``said`` is the manifest."""
        sender, message, thread = AuthorityId(said["from"]), MessageId(said["id"]), ThreadId(said["thr"])
        number, author = self._numbers[recipient], self._authors[self._numbers[recipient]]
        delay_ms = self._questions.pop(message, None)
        if delay_ms is not None:
            question = Question(sender, message, thread, ClockId(said["clk"][0]["id"]))
            self._waiting += 1
            loop = asyncio.get_running_loop()
            loop.call_later(max(delay_ms, 0) / 1000, self._reply, number, lambda: author.answer(question))
        if (number - self._numbers[sender]) % len(self._authors) == RECEIPTED:
            self._lists.setdefault((recipient, sender), []).append((message, thread))
            self._waiting += 1

    # --- senders ----------------------------------------------------------------------------------

    async def _send(self, number: int, begun: float) -> None:
        loop, orders, outbox = asyncio.get_running_loop(), self._orders[number], self._outboxes[number]
        recent = self._recent[number]
        while not self._closing:
            now = loop.time() - begun
            letters = await self._replied(number)
            replies = len(letters)
            while orders and orders[0].at_s <= now and len(letters) < BATCH_LETTERS:
                letter = await self._letter(number, orders[0], recent)
                if letter is not None:
                    letters.append(letter)
                outbox.is_quiet = False
                orders.popleft()
            if letters:
                await outbox.send(letters)
                self._waiting -= replies
                recent.extend(each for each in letters if each.expect == "accept")
                continue
            outbox.is_quiet = True
            wait_s = min(IDLE_SECONDS, orders[0].at_s - now) if orders else IDLE_SECONDS
            await _woken(self._woken[number], max(wait_s, LOOK_SECONDS))

    async def _letter(self, number: int, order: Order, recent: Sequence[Letter]) -> Letter | None:
        """Sign what an order asks for; None where there is nothing to send again yet."""
        author, recipient = self._authors[number], neighbour_of(self._authors, number, order.neighbour)
        match order.kind:
            case Kind.PLAIN if order.is_early:
                return await self._ahead.next(number)
            case Kind.PLAIN:
                return await asyncio.to_thread(author.plain, recipient)
            case Kind.AGAIN:
                return Letter(self._chance.choice(recent).record, "repeat") if recent else None
            case Kind.CLOCK:
                letter = await asyncio.to_thread(
                    author.clocked, recipient, due_in_ms=order.due_in_ms, answer_ms=order.answer_ms
                )
                if letter.message is not None and letter.answer_ms is not None:
                    self._questions[letter.message] = letter.answer_ms
                return letter
            case Kind.MISPLACED:
                return await asyncio.to_thread(author.misplaced, recipient)
            case Kind.EXPIRED:
                return await asyncio.to_thread(author.expired, recipient)

    # --- recipients -------------------------------------------------------------------------------

    async def _replied(self, number: int) -> list[Letter]:
        """Answers and lists that wait, signed."""
        letters: list[Letter] = []
        while self._replies[number] and len(letters) < BATCH_LETTERS // 2:
            letter = await asyncio.to_thread(self._replies[number].popleft())
            if letter is not None:
                letters.append(letter)
        return letters

    def _reply(self, number: int, sign: Sign) -> None:
        self._replies[number].append(sign)
        self._woken[number].set()

    async def _list(self) -> None:
        """Now and then: one list for each pair of what was gathered since."""
        while not self._closing:
            await asyncio.sleep(LIST_SECONDS)
            gathered, self._lists = self._lists, {}
            for (recipient, sender), references in gathered.items():
                number = self._numbers[recipient]
                for start in range(0, len(references), RECEIPTS_PER_MANIFEST_MAX):
                    some = references[start : start + RECEIPTS_PER_MANIFEST_MAX]
                    self._waiting += 1 - len(some)
                    self._reply(number, _listing(self._authors[number], sender, some))


class Outbox:
    """One authority's outbox, and what became of each attempt to write to it."""

    _ops = count(1)

    def __init__(self, connect: Callable[[], Bus], clock: Clock, told: Callable[[Line], None]) -> None:
        self._connect = connect
        self._clock = clock
        self._told = told
        self._bus: Bus | None = None
        self._writer: Writer
        self.is_quiet = False

    async def open(self) -> None:
        """Connect. Raises ``Unreachable``."""
        self._bus = self._connect()
        self._writer = await self._bus.writer()

    async def send(self, letters: Sequence[Letter]) -> None:
        """Write them all, however long it takes."""
        is_again = False
        while True:
            begun_ms = self._clock.now_ms()
            try:
                positions: Sequence[Position | None] = await self._writer.send([each.record for each in letters])
            except ComityError:
                self._tell(letters, [None] * len(letters), begun_ms, is_again=is_again)
                is_again = True
                await self._reachable()
            else:
                self._tell(letters, positions, begun_ms, is_again=is_again)
                return

    async def close(self) -> None:
        """Let go."""
        if self._bus is not None:
            await self._bus.close()

    async def _reachable(self) -> None:
        """Wait until there is a broker: an attempt without one would only make lines."""
        while self._bus is not None:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                await self._bus.partitions()
            except ComityError:
                continue
            return

    def _tell(
        self, letters: Sequence[Letter], positions: Sequence[Position | None], begun_ms: int, *, is_again: bool
    ) -> None:
        """A line for each attempt. What may be there already, and is sent again, may come out as either."""
        ended_ms = self._clock.now_ms()
        for letter, position in zip(letters, positions, strict=True):
            record = letter.record
            self._told(
                lines.submission(
                    op=next(self._ops),
                    outcome="info" if position is None else "ok",
                    expect=None if is_again and letter.expect == "accept" else letter.expect,
                    topic=record.topic,
                    headers=record.headers,
                    value=record.value,
                    offset=None if position is None else position.offset,
                    begun_ms=begun_ms,
                    ended_ms=ended_ms,
                )
            )


async def _woken(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
    event.clear()


def _listing(author: Author, sender: AuthorityId, references: Sequence[Reference]) -> Sign:
    return lambda: author.delivered(sender, references)
