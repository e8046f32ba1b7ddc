"""``comity serve all``: router, registrar and watch as processes of their own, started again when they end.

A process of the hub ends whenever it cannot know what happened (crash-only); starting it again is the supervisor's part.
It waits longer each time, so that a broker that is down is not stormed, and gives up only on what no restart mends.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from hub.errors import ComityError, NotPermitted, UsageError

BACK_OFF_SECONDS_FIRST: Final = 0.5
BACK_OFF_SECONDS_MAX: Final = 30.0
STEADY_SECONDS: Final = 60.0  # whoever ran so long has earned a quick restart
STOP_SECONDS: Final = 20.0  # for a clean stop, before SIGKILL
FINAL: Final[Mapping[int, type[ComityError]]] = {each.exit_code: each for each in (UsageError, NotPermitted)}
"""What no restart mends: the child's exit code, and the error of the same code."""

Say = Callable[[str], None]


async def supervise(commands: Mapping[str, Sequence[str]], *, say: Say) -> None:
    """Run each command as a child until SIGTERM or SIGINT; then stop all cleanly.

    Raises ``UsageError(process-ended)`` or ``NotPermitted(process-ended)`` when a child that was just started ends so;
    the other children are stopped first.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    keepers = [asyncio.create_task(_keep(name, command, stopping, say)) for name, command in commands.items()]
    try:
        await asyncio.gather(*keepers)
    finally:
        stopping.set()
        await asyncio.gather(*keepers, return_exceptions=True)


async def _keep(name: str, command: Sequence[str], stopping: asyncio.Event, say: Say) -> None:
    loop = asyncio.get_running_loop()
    back_off = BACK_OFF_SECONDS_FIRST
    while not stopping.is_set():
        begun = loop.time()
        code = await _run(name, command, stopping, say)
        if stopping.is_set():
            return
        if code in FINAL and loop.time() - begun < STEADY_SECONDS:
            raise FINAL[code]("process-ended", f"The {name} ended with exit code {code}; its last lines say why.")
        back_off = BACK_OFF_SECONDS_FIRST if loop.time() - begun > STEADY_SECONDS else back_off
        say(f"The {name} ended with exit code {code}; it is started again in {back_off:.1f} s.")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), back_off)
        back_off = min(back_off * 2, BACK_OFF_SECONDS_MAX)


async def _run(name: str, command: Sequence[str], stopping: asyncio.Event, say: Say) -> int:
    """Start a child, and wait for its end or for the stop."""
    # A session of its own: a person's Ctrl-C reaches the supervisor only, which then stops the children in order.
    child = await asyncio.create_subprocess_exec(*command, start_new_session=True)
    say(f"The {name} runs (process {child.pid}).")
    ended = asyncio.create_task(child.wait())
    asked = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            child.terminate()
        done, _ = await asyncio.wait({ended}, timeout=STOP_SECONDS)
        if not done:
            say(f"The {name} does not stop; it is killed.")
            child.kill()
        return await ended
    finally:
        asked.cancel()
