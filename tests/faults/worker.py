"""``python -m tests.faults.worker serve router ...``: the hub's own router, which kills itself at a named step.

It is armed by a file in the home folder that names the step; the first worker that passes the step takes the file away
and ends by SIGKILL. Nothing else differs from ``comity serve router``.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.producer import sender

from hub.__main__ import main
from hub.adapters.kafka import writer
from hub.adapters.kafka.bus import KafkaBus
from hub.streams.shard import Shard

ARMED: Final = "kill-point"
REPLY_SECONDS: Final = 0.003  # for a request to leave, and its reply not yet to be read

TAKE_OVER: Final = ("fenced", "state-read")
STEPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "fenced": "the old owner is fenced, its state not read",
        "state-read": "the state is read, no outbox yet",
        "read": "records are read",
        "checked": "they are checked",
        "decided": "the transaction is composed, not begun",
        "begun": "the transaction is begun",
        "partitions-added": "the coordinator knows a partition of it",
        "produced": "records are written",
        "offsets-sent": "the offsets are written",
        "end-asked": "before EndTxn is sent",
        "end-sent": "EndTxn is sent, its reply not read",
        "ended": "EndTxn is answered, the state not moved",
    }
)


def arm(home: Path, step: str) -> None:
    """Let the next router that passes ``step`` die there."""
    waiting = home / f"{ARMED}.new"
    waiting.write_text(step)
    waiting.rename(home / ARMED)


def is_armed(home: Path) -> bool:
    """Whether nobody has passed the step yet."""
    return (home / ARMED).exists()


class Point:
    """Dies where it is told to."""

    def __init__(self, home: Path) -> None:
        self._file = home / ARMED

    def passed(self, step: str) -> None:
        """Die, if it is this step, and nobody else died for it."""
        try:
            if self._file.read_text() != step:
                return
            self._file.unlink()
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    def after(self, owner: type, name: str, step: str) -> None:
        """Pass ``step`` whenever a method of ``owner`` has returned."""
        right: Callable[..., Awaitable[Any]] = getattr(owner, name)

        @functools.wraps(right)
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            result = await right(*args, **kwargs)
            self.passed(step)
            return result

        setattr(owner, name, wrapped)

    def before(self, owner: type, name: str, step: str, *, delay: float = 0) -> None:
        """Pass ``step`` whenever a method of ``owner`` is called, or ``delay`` seconds later."""
        right: Callable[..., Awaitable[Any]] = getattr(owner, name)

        @functools.wraps(right)
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            if delay:
                asyncio.get_running_loop().call_later(delay, self.passed, step)
            else:
                self.passed(step)
            return await right(*args, **kwargs)

        setattr(owner, name, wrapped)


def install(point: Point) -> None:
    """Put the steps where they happen. The handlers of a transaction are wrapped around ours, which send once."""
    writer.install_send_once()
    writer.install_send_once = lambda: None
    point.after(KafkaBus, "transactional_writer", "fenced")
    point.after(Shard, "_take_over", "state-read")
    point.after(Shard, "_gather", "read")
    point.after(Shard, "_check", "checked")
    point.before(Shard, "_write", "decided")
    point.after(AIOKafkaProducer, "begin_transaction", "begun")
    point.after(sender.AddPartitionsToTxnHandler, "do", "partitions-added")
    point.after(sender.SendProduceReqHandler, "do", "produced")
    point.after(sender.TxnOffsetCommitHandler, "do", "offsets-sent")
    point.before(sender.EndTxnHandler, "do", "end-sent", delay=REPLY_SECONDS)
    point.before(sender.EndTxnHandler, "do", "end-asked")
    point.after(sender.EndTxnHandler, "do", "ended")


if __name__ == "__main__":
    install(Point(Path(sys.argv[sys.argv.index("--home") + 1])))
    main()
