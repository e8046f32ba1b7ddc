"""For tests and for whoever writes a connector: a broker in memory, a clock that stands still, chance that counts.

Nothing here is imported by a running hub but for the memory broker of ``comity demo --bus memory``.
"""

from __future__ import annotations

from hub.adapters.memory import MemoryBroker, MemoryBus
from hub.adapters.memory.bus import Fault

__all__ = ["CountedChance", "Fault", "FixedClock", "MemoryBroker", "MemoryBus"]


class FixedClock:
    """A clock that a test moves. Implements ``hub.ports.Clock``."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""
        return self._now_ms

    def advance(self, span_ms: int) -> None:
        """Let ``span_ms`` milliseconds pass."""
        self._now_ms += span_ms


class CountedChance:
    """Chance that is different at each draw and the same in each run. Implements ``hub.ports.Chance``. Never for keys."""

    def __init__(self, start: int = 0) -> None:
        self._drawn = start

    def bytes(self, count: int) -> bytes:
        """``count`` bytes: the number of the draw, from the right."""
        self._drawn += 1
        return self._drawn.to_bytes(max(count, 8), "big")[-count:] if count else b""
