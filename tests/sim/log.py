"""A broker that is only a log: topics as lists, transactions that are whole, one owner at a time for each shard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from random import Random
from typing import Final

from hub.core.entries import Logged
from hub.core.records import Outgoing, Place, Record
from hub.core.topics import LEDGER
from hub.streams.ledger_steps import logged

START_MS: Final = 1_795_600_800_000  # 2026-11-25T10:00:00Z
PASSES_MS: Final = 120  # at the most, between two acts


class Fenced(Exception):
    """Another owner came."""


class Log:
    """All topics. ``now_ms`` is the one time of the simulation; it is LogAppendTime too."""

    def __init__(self, chance: Random, *, fences: bool = True) -> None:
        self.now_ms = START_MS
        self._chance = chance
        self._fences = fences
        self._records: defaultdict[Place, list[Record]] = defaultdict(list)
        self._ledger: dict[tuple[int, int], Logged] = {}  # what was read already
        self.size = 0  # records in all topics
        self._epochs: defaultdict[int, int] = defaultdict(int)

    def pass_time(self, most_ms: int = PASSES_MS) -> None:
        """Let some time go by."""
        self.now_ms += self._chance.randint(0, most_ms)

    def append(self, outgoing: Outgoing, *, partition: int | None = None) -> int:
        """Write one record. Returns its offset."""
        place = Place(outgoing.topic, outgoing.partition or 0 if partition is None else partition)
        records = self._records[place]
        records.append(
            Record(
                topic=place.topic,
                partition=place.partition,
                offset=len(records),
                time_ms=self.now_ms,
                key=outgoing.key,
                value=outgoing.value,
                headers=outgoing.headers,
            )
        )
        self.size += 1
        return len(records) - 1

    def take_over(self, shard: int) -> int:
        """A new owner of a shard; every older one is fenced."""
        self._epochs[shard] += 1
        return self._epochs[shard]

    def transact(self, shard: int, epoch: int, records: Iterable[Outgoing]) -> None:
        """Write all of them at once. Raises ``Fenced``, and writes nothing."""
        if self._fences and epoch != self._epochs[shard]:
            raise Fenced
        for each in records:
            self.append(each)

    def read(self, place: Place, offset: int = 0) -> Sequence[Record]:
        """What lies in a place from an offset on."""
        return self._records[place][offset:]

    def ledger(self, partition: int, offset: int) -> Logged:
        """A record of the ledger, decoded."""
        if (partition, offset) not in self._ledger:
            self._ledger[partition, offset] = logged(self._records[Place(LEDGER, partition)][offset])
        return self._ledger[partition, offset]

    def end(self, place: Place) -> int:
        """The offset that is written next."""
        return len(self._records[place])

    def all(self) -> list[Record]:
        """Every record."""
        return [record for records in self._records.values() for record in records]
