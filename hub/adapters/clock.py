"""The only place that reads the clock and draws chance; everybody else gets both as arguments."""

from __future__ import annotations

import os
import time


class SystemClock:
    """The machine's clock. Implements ``hub.ports.Clock``."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""
        return time.time_ns() // 1_000_000


class SystemChance:
    """The operating system's random source. Implements ``hub.ports.Chance``."""

    def bytes(self, count: int) -> bytes:
        """``count`` random bytes, fit for keys."""
        return os.urandom(count)
