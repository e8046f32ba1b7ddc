"""Prometheus metrics of the hub's processes. Never a pair, a thread, an id or a type of procedure as a label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from hub.core.ids import AuthorityId
from hub.core.receipts import Level

LATENCY_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600, 86_400)
STEP_SECONDS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """One registry per process, made when it starts; the names are the same in each process."""

    def __init__(self, process: str, *, version: str, worker: str) -> None:
        self.registry = CollectorRegistry()
        Info("comity_build", "What runs.", registry=self.registry).info(
            {"version": version, "process": process, "worker": worker}
        )
        self._alerts = Counter("comity_alerts", "What an operator should look at.", ["code"], registry=self.registry)
        self._ack_latency = Histogram(
            "comity_ack_latency_seconds",
            "From the log's time of a message to a level of acknowledgement.",
            ["level"],
            buckets=LATENCY_SECONDS,
            registry=self.registry,
        )
        self._overdue = Gauge(
            "comity_cases_overdue",
            "Clocks that run past their due time, by who owes the reply.",
            ["authority", "clock"],
            registry=self.registry,
        )

    def alerted(self, code: str) -> None:
        """Count an alert."""
        self._alerts.labels(code).inc()

    def acknowledged(self, level: Level, spans_ms: Iterable[int]) -> None:
        """Messages reached a level, each a span after the log took it."""
        latency = self._ack_latency.labels(level.value)
        for span_ms in spans_ms:
            latency.observe(max(span_ms, 0) / 1000)

    def overdue(self, counts: Mapping[tuple[AuthorityId, str], int]) -> None:
        """How many clocks are overdue now, by (who owes the reply, kind of clock)."""
        self._overdue.clear()
        for (authority, clock), count in counts.items():
            self._overdue.labels(authority, clock).set(count)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class RouterMetrics:
    """What only the router counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._accepted = Counter("comity_events_accepted", "Messages routed.", registry=registry)
        self._refused = Counter("comity_events_refused", "Messages refused.", ["code"], registry=registry)
        self._repeated = Counter("comity_events_repeated", "Messages answered again.", registry=registry)
        self._waiting = Gauge("comity_outboxes_waiting", "Outboxes that wait, by cause.", ["cause"], registry=registry)
        self._shards = Gauge("comity_shards_owned", "Shards that this worker runs.", registry=registry)
        self._restarts = Counter("comity_shard_restarts", "Shards begun anew after an error.", registry=registry)
        self._transactions = Histogram(
            "comity_transaction_seconds", "Routing transactions.", buckets=STEP_SECONDS, registry=registry
        )
        self._expiry = Gauge(
            "comity_certificate_expiry_timestamp_seconds",
            "When an authority's first signing certificate in force ends.",
            ["authority"],
            registry=registry,
        )

    def routed(self, *, accepted: int, refused: Mapping[str, int], repeated: int, seconds: float) -> None:
        """A transaction was committed."""
        self._accepted.inc(accepted)
        self._repeated.inc(repeated)
        for code, count in refused.items():
            self._refused.labels(code).inc(count)
        self._transactions.observe(seconds)

    def restarted(self) -> None:
        """A shard was begun anew."""
        self._restarts.inc()

    def owns(self, shards: int) -> None:
        """How many shards run here."""
        self._shards.set(shards)

    def waits(self, causes: Mapping[str, int]) -> None:
        """How many outboxes wait, by cause."""
        self._waiting.clear()
        for cause, count in causes.items():
            self._waiting.labels(cause).set(count)

    def certificates(self, expiry_ms: Mapping[AuthorityId, int]) -> None:
        """When each authority's certificates end."""
        self._expiry.clear()
        for authority, time_ms in expiry_ms.items():
            self._expiry.labels(authority).set(time_ms / 1000)
