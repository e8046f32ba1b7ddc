"""An authority's people in the story: they use the exchange folder, as a national system does, and nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from connectors.bootstrap import State
from connectors.folder.desk import Desk
from connectors.ports import ClockWish, HandIn
from hub.core.ids import AuthorityId, MessageId, clock_id, sha256, uuid7
from hub.core.manifest import ClockKind, ClockVerb, MessageType, Priority
from hub.errors import Unreachable
from hub.ports import Chance, Clock

WAIT_SECONDS_MAX: Final = 120.0  # a take-over after a kill takes up to 10 s on a busy machine, a GiB half a minute
_LOOK_SECONDS: Final = 0.05
_RANDOM_BYTES: Final = 10

T = TypeVar("T")


class Office:
    """One authority. ``alive`` raises when a part of the hub has ended, so that no wait outlives its reason."""

    def __init__(self, state: State, clock: Clock, chance: Chance, alive: Callable[[], None]) -> None:
        self.state = state
        self.id: AuthorityId = state.folder.authority
        self.desk = Desk(state.exchange)
        self.handed_in: list[MessageId] = []  # what should arrive, in order
        self._clock = clock
        self._chance = chance
        self._alive = alive

    def now_ms(self) -> int:
        """The time that its people write into documents."""
        return self._clock.now_ms()

    def request(
        self, to: AuthorityId, document: bytes, *, clocks: Mapping[ClockKind, int], files: Sequence[Path] = ()
    ) -> HandIn:
        """Hand in a request; ``clocks`` gives the due time of each clock that it starts."""
        wishes = tuple(ClockWish(ClockVerb.START, kind, due_ms=due_ms) for kind, due_ms in clocks.items())
        return self._hand_in(MessageType.REQUEST, to, document, wishes, in_reply_to=None, files=files)

    def reply(self, to: Mapping[str, Any], message_type: MessageType, document: bytes, kinds: set[ClockKind]) -> HandIn:
        """Acknowledge or answer a received message, and stop its clocks of these kinds."""
        wishes = tuple(
            ClockWish(ClockVerb.STOP, ClockKind(each["kind"]), clock_id(each["id"]))
            for each in to["clocks"]
            if each["kind"] in kinds
        )
        return self._hand_in(message_type, AuthorityId(to["from"]), document, wishes, in_reply_to=MessageId(to["id"]))

    def again(self, hand_in: HandIn) -> None:
        """Hand in the same thing under the same name."""
        self.desk.hand_in(hand_in, [])

    async def level(self, key: str, level: str) -> Mapping[str, Any]:
        """Wait for ``acks/<key>.<level>.json``. Raises ``Unreachable`` when it failed, or did not come in time."""

        def look() -> Mapping[str, Any] | None:
            failure = self.desk.failure(key)
            if failure is not None:
                raise Unreachable("demo-failed", f"{self.id}: {failure.sentence} [{failure.code}]")
            return self.desk.confirmation(key, level)

        return await self.until(look, f"{key[-8:]} was not {level}")

    async def message(self, message: str) -> Mapping[str, Any]:
        """Wait for a received message."""
        return await self.until(
            lambda: next((each for each in self.desk.messages() if each["id"] == message), None),
            f"message {message[-8:]} did not come",
        )

    async def flag(self, message: str, flag: str) -> Mapping[str, Any]:
        """Wait for what the hub says of a clock that this message started."""
        return await self.until(
            lambda: next((f for f in self.desk.flags() if f.get("message") == message and f.get("flag") == flag), None),
            f"no {flag} came",
        )

    async def until(self, look: Callable[[], T | None], complaint: str) -> T:
        """Wait until ``look`` gives something. Raises ``Unreachable`` with the complaint."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while time.monotonic() < deadline:
            found = look()
            if found is not None:
                return found
            self._alive()
            await asyncio.sleep(_LOOK_SECONDS)
        raise Unreachable("demo-timeout", f"{self.id}: {complaint} within {WAIT_SECONDS_MAX:.0f} s.")

    def _hand_in(
        self,
        message_type: MessageType,
        to: AuthorityId,
        document: bytes,
        clocks: tuple[ClockWish, ...],
        *,
        in_reply_to: MessageId | None,
        files: Sequence[Path] = (),
    ) -> HandIn:
        key = uuid7(self._clock.now_ms(), self._chance.bytes(_RANDOM_BYTES))
        hand_in = HandIn(
            key=key,
            digest=sha256(b""),  # that of the manifest, which the desk writes
            type=message_type,
            recipient=to,
            thread=None,
            in_reply_to=in_reply_to,
            priority=Priority.NORMAL,
            clocks=clocks,
            document=document,
            files=(),
        )
        self.desk.hand_in(hand_in, files)
        self.handed_in.append(key)
        return hand_in
