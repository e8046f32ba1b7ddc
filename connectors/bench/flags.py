"""The flags that came, as their readers see them: each bundle checked, once for each side, with the log's time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from connectors.bench.clocks import Started
from connectors.bench.outcome import FETCH_MS, FETCH_RECORDS_MAX
from hub.core.authority import TrustList
from hub.core.clocks import Flag
from hub.core.ids import ClockId, Digest
from hub.core.receipts import FlagClaim
from hub.core.records import Place, Record
from hub.core.topics import inbox
from hub.envelope.receipts import HeadCache, read_bundle
from hub.ports import Bus, Reader

SIDES: Final = 2
FlagKey = tuple[ClockId, Flag, int]


class Flags:
    """A reader of all inboxes. ``seen`` has the log's times of each flag, one for each inbox that it came to."""

    def __init__(self, bus: Bus, trust: TrustList) -> None:
        self._bus = bus
        self._trust = trust
        self._heads = HeadCache()
        self._bundles: set[tuple[str, Digest]] = set()
        self._reader: Reader
        self.seen: dict[FlagKey, dict[str, int]] = {}
        self.doubled: Counter[FlagKey] = Counter()
        self.repeated_bundles = 0

    async def open(self) -> None:
        """Raises ``Unreachable``."""
        self._reader = await self._bus.reader({Place(inbox(each), 0): 0 for each in self._trust.authorities})

    async def follow(self, *, until: asyncio.Event) -> None:
        """Read what comes. Raises ``VerificationFailed`` for a bundle that does not verify."""
        while not until.is_set():
            for record in await self._reader.fetch(wait_ms=FETCH_MS, records_max=FETCH_RECORDS_MAX):
                self._take(record)
        await self._reader.close()

    def complete(self, owed: Iterable[FlagKey]) -> bool:
        """Whether both sides have each of these."""
        return all(len(self.seen.get(key, ())) == SIDES for key in owed)

    def late_ms(self, owed: Mapping[FlagKey, int]) -> list[float]:
        """From the instant at which a flag was due to the log's time in an inbox; both sides count."""
        return [float(time_ms - due) for key, due in owed.items() for time_ms in self.seen.get(key, {}).values()]

    def _take(self, record: Record) -> None:
        bundle = read_bundle(record.value or b"", inbox=record.topic, trust=self._trust, heads=self._heads)
        if (record.topic, bundle.digest) in self._bundles:
            self.repeated_bundles += 1  # the same bytes, sent again since nobody knew whether they had arrived
            return
        self._bundles.add((record.topic, bundle.digest))
        for claim in bundle.claims:
            if isinstance(claim, FlagClaim):
                key = claim.clock, claim.flag, claim.percent
                if record.topic in self.seen.setdefault(key, {}):
                    self.doubled[key] += 1
                self.seen[key].setdefault(record.topic, record.time_ms)


def overdue_only(started: Iterable[Started]) -> dict[FlagKey, int]:
    """The overdue flags of these clocks, and when each is due."""
    return {(each.clock, Flag.OVERDUE, 100): each.due_ms for each in started}
