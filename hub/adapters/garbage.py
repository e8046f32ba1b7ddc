"""When Python looks for cycles of garbage: a setting of the whole process, made once when it starts."""

from __future__ import annotations

import gc
from typing import Final

COLLECT_AFTER: Final = 50_000  # new objects; the default of 700 takes 4 to 7 % of a busy process and finds nothing


def collect_seldom() -> None:
    """Look for cycles seldom, and not among what was made at the start: a message makes none."""
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
