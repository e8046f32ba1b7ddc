"""Reading a place to the end that it had when the reading began: take-over of a shard, the directory, an audit."""

from __future__ import annotations

from collections.abc import AsyncIterator

from hub.core.records import Place, Record
from hub.errors import Unreachable
from hub.ports import Reader

_WAIT_MS = 50  # what the markers after the last record cost
_EMPTY_FETCHES_MAX = 600  # without any progress: 30 s


async def read_to_end(
    reader: Reader, places: frozenset[Place] | None = None, *, records_max: int = 500
) -> AsyncIterator[Record]:
    """Every committed record of ``places`` to their present ends, and what follows at once; in order per place.

    ``places`` are all assigned ones unless told. Raises ``Unreachable`` when nothing moves for about 30 seconds, and
    what ``Reader.fetch`` raises.
    """
    ends = {place: end for place, end in (await reader.end_offsets()).items() if places is None or place in places}
    idle = 0
    before = {place: reader.position(place) for place in ends}
    while any(reader.position(place) < end for place, end in ends.items()):
        for record in await reader.fetch(wait_ms=_WAIT_MS, records_max=records_max):
            yield record
        after = {place: reader.position(place) for place in ends}
        idle = 0 if after != before else idle + 1
        before = after
        if idle > _EMPTY_FETCHES_MAX:
            raise Unreachable("read-stalled", "The broker stopped answering while a topic was read to its end.")
