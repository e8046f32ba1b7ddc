"""Every wait for the broker has one of these limits (router reference, section 4). Milliseconds, as Kafka has them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Time-outs of one client. The defaults held under kills of workers and brokers."""

    start_ms: int = 30_000  # connect, and take over a transactional id
    step_ms: int = 8_000  # one send, one transaction, one look-up
    stop_ms: int = 3_000
    session_ms: int = 6_000  # the broker's minimum: a dead worker's shards move after this
    heartbeat_ms: int = 2_000
    transaction_ms: int = 10_000  # an owner that hangs hides others' records from readers no longer than this
    fetch_wait_ms: int = 500
    retry_backoff_ms: int = 50
    membership_poll_ms: int = 500  # a member that is not polled is silently thrown out

    @property
    def start_s(self) -> float:
        """Seconds."""
        return self.start_ms / 1000

    @property
    def step_s(self) -> float:
        """Seconds."""
        return self.step_ms / 1000

    @property
    def stop_s(self) -> float:
        """Seconds."""
        return self.stop_ms / 1000
