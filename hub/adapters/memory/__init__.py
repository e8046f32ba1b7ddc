"""A broker in this process, with Kafka's rules: offsets, transactions, permissions, groups. For tests and the demo."""

from hub.adapters.memory.broker import MemoryBroker
from hub.adapters.memory.bus import MemoryBus

__all__ = ["MemoryBroker", "MemoryBus"]
