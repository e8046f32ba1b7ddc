"""Starting and stopping a client of aiokafka: every wait has a limit, and no client's fault stops our own shutdown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Protocol, TypeVar

from aiokafka.errors import KafkaError

from hub.adapters.kafka import probe
from hub.adapters.kafka.client_config import ClientConfig
from hub.adapters.kafka.timing import Timing
from hub.adapters.kafka.translate import translated
from hub.errors import ComityError, Unreachable

_Answer = TypeVar("_Answer")


class Client(Protocol):
    """What consumers and producers have in common."""

    async def start(self) -> None:
        """Connect."""
        ...

    async def stop(self) -> None:
        """Let go."""
        ...


async def start(client: Client, config: ClientConfig, timing: Timing) -> None:
    """Connect. Raises ``Unreachable`` or ``NotPermitted`` with the cause; the client is stopped then."""
    try:
        async with asyncio.timeout(timing.start_s):
            await client.start()
    except (KafkaError, OSError, TimeoutError) as error:
        await stop(client, timing)
        raise translated(error) or await probe.cause(config) from error
    except BaseException:
        await stop(client, timing)
        raise


async def stop(client: Client, timing: Timing) -> None:
    """Let go within the stop time-out, whatever the client does."""
    await bounded(client.stop(), timing.stop_s)


async def bounded(step: Awaitable[object], seconds: float) -> None:
    """Run ``step`` for at most ``seconds`` and drop its outcome.

    In a task of its own: after the loss of a broker aiokafka's ``stop`` has raised ``CancelledError`` by itself, which
    would look like our own cancellation.
    """
    task = asyncio.ensure_future(step)
    done, _ = await asyncio.wait([task], timeout=seconds)
    if not done:
        task.cancel()
        await asyncio.wait([task], timeout=seconds)
    if task.done() and not task.cancelled():
        task.exception()  # read, so that the loop does not report it


async def step(awaitable: Awaitable[_Answer], seconds: float, what: str) -> _Answer:
    """Await one look-up. Raises ``Unreachable`` after ``seconds`` or on a transport error, or what the error says."""
    try:
        async with asyncio.timeout(seconds):
            return await awaitable
    except (KafkaError, OSError, TimeoutError) as error:
        known: ComityError | None = translated(error)
        raise known or Unreachable("broker-silent", f"The broker did not answer: {what}.") from error
