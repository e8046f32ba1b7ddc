"""aiokafka's transactional requests, sent once (router reference, rule 4).

aiokafka sends EndTxn again with the same epoch when a reply is lost. A late twin of the previous transaction's EndTxn
is accepted by Kafka 4.4 and commits half of the next transaction. So the four handlers send once and let a transport
error raise; the producer then fails as a whole, and its process starts anew. ``tests/canaries`` watch the names.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiokafka.errors import KafkaError, NotEnoughReplicasError
from aiokafka.producer import sender

ONCE_HANDLERS = (
    sender.AddPartitionsToTxnHandler,
    sender.AddOffsetsToTxnHandler,
    sender.TxnOffsetCommitHandler,
    sender.EndTxnHandler,
)


def install_send_once() -> None:
    """Replace ``do`` of the four handlers in this process; doing it again changes nothing."""
    for handler in ONCE_HANDLERS:
        handler.do = _do_end_once if handler is sender.EndTxnHandler else _do_once
    if not any(isinstance(each, _MarkerNoise) for each in sender.log.filters):
        sender.log.addFilter(_MarkerNoise())


async def _do_once(self: Any, node_id: int) -> bool:  # noqa: ANN401 (aiokafka has no types here)
    response = await self._sender.client.send(node_id, self.create_request(), group=self.group)
    backoff = self.handle_response(response)
    if backoff is None:
        return True
    # A reply came and says that nothing was done: asking again is safe.
    await asyncio.sleep(backoff)
    return False


async def _do_end_once(self: Any, node_id: int) -> bool:  # noqa: ANN401 (aiokafka has no types here)
    response = await self._sender.client.send(node_id, self.create_request(), group=self.group)
    if self.handle_response(response) is not None:
        # Even a reply does not help: the coordinator also says "not available" when it timed out while it wrote.
        raise KafkaError("EndTxn was not accepted")
    return True


class _MarkerNoise(logging.Filter):
    """Drops the warning of every transaction that follows closely on another (its markers are still being written)."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (isinstance(record.args, tuple) and NotEnoughReplicasError in record.args)
