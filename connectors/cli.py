"""Commands that need keys: found through the entry-point group ``comity.commands``, so that the hub imports no connector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

COMMAND_MODULES: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {
        "demo": ("connectors.demo.command",),
        "authority": ("connectors.commands.authority",),
        "connector": ("connectors.commands.connector",),
        "send": ("connectors.commands.send",),
        "inbox": ("connectors.commands.inbox",),
        "ack": ("connectors.commands.reply",),
        "answer": ("connectors.commands.reply",),
        "bench": (
            "connectors.bench.router",
            "connectors.bench.end_to_end",
            "connectors.bench.start",
            "connectors.bench.watch",
        ),
    }
)
"""Commands and groups in the order of the help text, and the modules that ``register`` them."""
