"""The watch's store: clocks, owed claims, chains and outgoing bytes, each step in one transaction.

There is no transaction across SQL and Kafka (protocol section 4), so: one SQL transaction marks the claims, takes the
next numbers and stores the signed bytes; then exactly those bytes are sent until every topic has acknowledged them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Engine, delete, func, select, update

from hub.adapters.sql import tables
from hub.adapters.sql.engine import reading, transaction
from hub.adapters.sql.progress import Progress, after, last_number
from hub.adapters.sql.shelves import (
    Shelf,
    chunks,
    clock_columns,
    clock_place,
    clocks_by_starter,
    open_clocks_shelf,
    row_clock,
    row_update,
    rows_at,
)
from hub.core.access import watch_id
from hub.core.clocks import Clock, next_check_ms
from hub.core.emission import Chains, Emission
from hub.core.entries import Entry, FlagEntry, LevelEntry, Logged, MessageEntry
from hub.core.ids import Digest, MessageId, ThreadId
from hub.core.limits import WATCH_BATCH_FLAGS_MAX
from hub.core.manifest import ReceiptLevel
from hub.core.pairs import Pair
from hub.core.receipts import ClockIgnoredClaim, FlagClaim
from hub.core.records import HUB_HEADER, Outgoing
from hub.core.shard import Numbered
from hub.core.timekeeping import ClockKey, Moves, OpenKey, OwedClaim, WatchView, clock_key, parties
from hub.core.topics import LEDGER, inbox
from hub.envelope.receipts import decode_claim, encode_claim
from hub.errors import VerificationFailed

PROGRESS: Final = Progress(
    tables.watch_partitions, tables.watch_writers, fresh=(("ledger_n", 0), ("head_n", 0), ("head_prev", None))
)
OPEN_CLOCKS: Final = open_clocks_shelf(tables.watch_open_clocks)
_PARTITIONS: Final = tables.watch_partitions
_CLOCKS: Final = tables.watch_clocks
_CLAIMS: Final = tables.watch_claims
_INBOXES: Final = tables.watch_inboxes
_OUTGOING: Final = tables.watch_outgoing

Step = Callable[[WatchView, Entry, int], Moves]
"""What an entry of a ledger partition means for the watch."""
Due = Callable[[Clock], Moves]
"""The flags that time alone owes for a clock."""


Emit = Callable[[int, Sequence[OwedClaim], Chains], Emission]
"""Sign claims of a ledger partition as the next records of its writer."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes that must be sent until they are acknowledged."""

    number: int
    record: Outgoing


class WatchStore:
    """The watch's state in SQL. ``warn_percents`` decides when a clock is looked at next."""

    def __init__(self, engine: Engine, *, warn_percents: tuple[int, ...]) -> None:
        self._engine = engine
        self._warn_percents = warn_percents

    def next_offsets(self, partitions: Iterable[int]) -> dict[int, int]:
        """Where to read on, per ledger partition. Raises ``Unreachable``."""
        with reading(self._engine) as connection:
            return PROGRESS.next_offsets(connection, partitions)

    def apply(self, batch: Sequence[Logged], step: Step) -> int:
        """Fold records of ONE partition, in rising offsets, and save clocks, owed claims and next offset together.

        Returns the number of records that were new. Raises ``VerificationFailed`` for a gap or a fork of a writer,
        after everything before it was saved. Raises ``Unreachable``.
        """
        partition = batch[0].partition
        with transaction(self._engine) as connection:
            next_offset = PROGRESS.lock(connection, partition)
            fresh, wrong = PROGRESS.new_records(connection, batch, next_offset)
            self._fold(connection, partition, _news(connection, partition, fresh), step)
            PROGRESS.advance(connection, partition, after(fresh if wrong is not None else batch, next_offset))
        if wrong is not None:
            raise wrong
        return len(fresh)

    def open_clocks(self) -> int:
        """How many clocks are open, in all partitions. Raises ``Unreachable``."""
        counts = tables.watch_open_clocks.c.open
        with reading(self._engine) as connection:
            return int(connection.execute(select(func.coalesce(func.sum(counts), 0))).scalar_one())

    def due_partitions(self, partitions: Iterable[int], now_ms: int) -> list[int]:
        """The partitions in which a clock or an owed claim waits. Raises ``Unreachable``."""
        wanted = sorted(set(partitions))
        clocks = select(_CLOCKS.c.partition).where(_CLOCKS.c.partition.in_(wanted), _CLOCKS.c.next_check_ms <= now_ms)
        claims = select(_CLAIMS.c.partition).where(_CLAIMS.c.partition.in_(wanted), _CLAIMS.c.claim.is_not(None))
        with reading(self._engine) as connection:
            return sorted(connection.execute(clocks.union(claims)).scalars())

    def fire(self, partition: int, *, now_ms: int, due: Due, emit: Emit) -> int:
        """Raise what is due at ``now_ms`` and store the signed bytes; the number of claims in them, 0 when none is left.

        At most ``WATCH_BATCH_FLAGS_MAX`` claims: call again until 0. The caller has read the ledger to its end.
        Raises ``VerificationFailed(watch-state-behind)``, ``Unreachable``.
        """
        with transaction(self._engine) as connection:
            PROGRESS.lock(connection, partition)
            claims = _take_owed(connection, partition)
            claims += self._raise_due(connection, partition, now_ms, due, limit=WATCH_BATCH_FLAGS_MAX - len(claims))
            if not claims:
                return 0
            inboxes = sorted({inbox(authority) for claim in claims for authority in claim.pair})
            before = _chains(connection, partition, inboxes)
            emission = emit(partition, claims, before)
            _save_chains(connection, partition, before, emission.chains)
            stored = [{"partition": partition, "topic": each.topic, "value": each.value} for each in emission.records]
            connection.execute(_OUTGOING.insert(), stored)
            return len(claims)

    def outgoing(self, partitions: Iterable[int], limit: int, *, without: Collection[str] = ()) -> list[Stored]:
        """The oldest bytes that were not acknowledged yet, in order, but for some topics. Raises ``Unreachable``."""
        query = select(_OUTGOING).where(_OUTGOING.c.partition.in_(sorted(set(partitions))))
        query = query.where(_OUTGOING.c.topic.not_in(sorted(without)))
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(_OUTGOING.c.number).limit(limit)).all()
        return [Stored(row.number, _outgoing(row.topic, row.partition, row.value)) for row in rows]

    def sent(self, numbers: Sequence[int]) -> None:
        """All topics have acknowledged these. Raises ``Unreachable``."""
        with transaction(self._engine) as connection:
            for some in chunks(numbers, 500):
                connection.execute(delete(_OUTGOING).where(_OUTGOING.c.number.in_(some)))

    def _fold(self, connection: Connection, partition: int, entries: Sequence[Entry], step: Step) -> None:
        touched = _Touched()
        for entry in entries:
            touched.add(entry)
        shelf = self._clocks(partition)
        before = WatchView(
            clocks=shelf.load(connection, touched.clocks) | clocks_by_starter(connection, _CLOCKS, touched.starters),
            open_clocks=OPEN_CLOCKS.load(connection, [OpenKey(partition, pair) for pair in touched.pairs]),
        )
        view = WatchView(dict(before.clocks), dict(before.open_clocks))
        owed: list[OwedClaim] = []
        settled: list[str] = []
        for entry in entries:
            moves = step(view, entry, partition)
            view.take(moves.clocks, partition=partition)
            owed += moves.owed
            settled += moves.settled
        shelf.save(connection, before.clocks, view.clocks)
        OPEN_CLOCKS.save(connection, before.open_clocks, view.open_clocks)
        _owe(connection, partition, owed, settled=settled)

    def _raise_due(
        self, connection: Connection, partition: int, now_ms: int, due: Due, *, limit: int
    ) -> list[OwedClaim]:
        """Raise the flags of at most ``limit`` clocks; the claims that were never raised before."""
        query = select(_CLOCKS).where(_CLOCKS.c.partition == partition, _CLOCKS.c.next_check_ms <= now_ms)
        rows = connection.execute(query.order_by(_CLOCKS.c.next_check_ms).limit(limit)).all()
        looked: list[dict[str, Any]] = []
        owed: list[OwedClaim] = []
        shelf = self._clocks(partition)
        for row in rows:
            _, clock = row_clock(row)
            moves = due(clock)
            owed += moves.owed
            # Also one that owes nothing, since its share is no longer in the settings, is not looked at again and again.
            looked += [shelf.at(clock_key(each)) | self._looked(each) for each in moves.clocks or (clock,)]
        if looked:
            connection.execute(row_update(_CLOCKS, tuple(looked[0])), looked)
        known = _known(connection, [claim.id for claim in owed])
        fresh = [claim for claim in owed if claim.id not in known]
        _note(connection, partition, {claim.id: None for claim in fresh})
        return fresh

    def _looked(self, clock: Clock) -> dict[str, Any]:
        """What changes in a clock's row when a flag is raised, or was to be."""
        columns = clock_columns(clock)
        changed = {name: columns[name] for name in ("warned", "overdue_due_ms")}
        return changed | {"next_check_ms": next_check_ms(clock, self._warn_percents)}

    def _clocks(self, partition: int) -> Shelf[ClockKey, Clock]:
        return Shelf(
            _CLOCKS,
            place=clock_place,
            write=lambda _key, clock: (
                clock_columns(clock)
                | {"partition": partition, "next_check_ms": next_check_ms(clock, self._warn_percents)}
            ),
            read=row_clock,
        )


@dataclass(slots=True)
class _Touched:
    """The keys that entries name: what must be loaded before they are folded."""

    clocks: set[ClockKey] = field(default_factory=set)
    starters: set[tuple[ThreadId, MessageId]] = field(default_factory=set)
    pairs: set[Pair] = field(default_factory=set)

    def add(self, entry: Entry) -> None:
        if isinstance(entry, MessageEntry):
            if entry.sender is None or entry.recipient is None or entry.thread is None:
                return
            pair = Pair(entry.sender, entry.recipient)
            named = [operation.clock for operation in entry.clocks]
            self.clocks.update(ClockKey(entry.thread, parties(pair), clock) for clock in named)
            self.pairs.update((pair, Pair(*reversed(pair))))
        elif isinstance(entry, LevelEntry) and entry.level is ReceiptLevel.REFUSED:
            self.starters.add((entry.thread, entry.message))
            self.pairs.update((entry.pair, Pair(*reversed(entry.pair))))
        elif isinstance(entry, FlagEntry):
            self.clocks.add(ClockKey(entry.thread, parties(entry.pair), entry.clock))


def _news(connection: Connection, partition: int, fresh: Sequence[Logged]) -> list[Entry]:
    """The entries that this database does not know: what the watch said moved its clocks when it was stored."""
    ours = watch_id(partition)
    if all(logged.record.writer != ours for logged in fresh):
        return [entry for logged in fresh for entry in logged.record.entries]
    said = connection.execute(select(_PARTITIONS.c.ledger_n).where(_PARTITIONS.c.partition == partition)).scalar_one()
    news = [logged.record for logged in fresh if logged.record.writer != ours or logged.record.n > said]
    return [entry for record in news for entry in record.entries]


def _owe(connection: Connection, partition: int, owed: Sequence[OwedClaim], *, settled: Sequence[str]) -> None:
    """Note new claims, each id once for ever; those that the ledger has are owed no more."""
    known = _known(connection, [claim.id for claim in owed] + list(settled))
    for some in chunks([id_ for id_ in settled if id_ in known], 500):
        connection.execute(update(_CLAIMS).where(_CLAIMS.c.id.in_(some)).values(claim=None))
    texts: dict[str, str | None] = {claim.id: encode_claim(claim) for claim in owed if claim.id not in known}
    _note(connection, partition, texts | {id_: None for id_ in settled if id_ not in known})


def _known(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Which of these claims were owed or raised before."""
    return {row.id for row in rows_at(connection, (_CLAIMS.c.id,), [(each,) for each in dict.fromkeys(ids)])}


def _note(connection: Connection, partition: int, texts: Mapping[str, str | None]) -> None:
    """Remember new claims: the text of one that is owed, None for one that is not."""
    if texts:
        rows = [{"id": id_, "partition": partition, "claim": text} for id_, text in texts.items()]
        connection.execute(_CLAIMS.insert(), rows)


def _take_owed(connection: Connection, partition: int) -> list[OwedClaim]:
    """The oldest claims that entries of the ledger owe, which count as raised from here on."""
    query = select(_CLAIMS).where(_CLAIMS.c.partition == partition, _CLAIMS.c.claim.is_not(None))
    rows = connection.execute(query.order_by(_CLAIMS.c.number).limit(WATCH_BATCH_FLAGS_MAX)).all()
    for some in chunks([row.number for row in rows], 500):
        connection.execute(update(_CLAIMS).where(_CLAIMS.c.number.in_(some)).values(claim=None))
    return [_owed(row.claim) for row in rows]


def _owed(text: str) -> OwedClaim:
    claim = decode_claim(text)
    if not isinstance(claim, (FlagClaim, ClockIgnoredClaim)):
        raise VerificationFailed("watch-claim", "The watch's database holds a claim that is not the watch's.")
    return claim


def _chains(connection: Connection, partition: int, inboxes: Sequence[str]) -> Chains:
    row = connection.execute(select(_PARTITIONS).where(_PARTITIONS.c.partition == partition)).one()
    ours = {"at": partition, "by": watch_id(partition)}
    read_n = connection.execute(last_number(tables.watch_writers), ours).scalar() or 0
    if read_n > row.ledger_n:
        raise VerificationFailed(
            "watch-state-behind",
            f"The ledger has {read_n} records of {watch_id(partition)}, its database knows {row.ledger_n}: "
            "an older database was put back. Restore the newest one: its chains of bundles cannot be made anew.",
        )
    known = connection.execute(select(_INBOXES).where(_INBOXES.c.partition == partition, _INBOXES.c.inbox.in_(inboxes)))
    states = {each.inbox: Numbered(each.n, _digest(each.prev)) for each in known}
    return Chains(row.ledger_n, Numbered(row.head_n, _digest(row.head_prev)), states)


def _save_chains(connection: Connection, partition: int, before: Chains, after: Chains) -> None:
    values: dict[str, Any] = {"ledger_n": after.ledger_n, "head_n": after.head.n, "head_prev": after.head.prev}
    connection.execute(update(_PARTITIONS).where(_PARTITIONS.c.partition == partition).values(values))
    _INBOX_SHELF.save(
        connection,
        {(partition, name): state for name, state in before.inboxes.items()},
        {(partition, name): state for name, state in after.inboxes.items()},
    )


def _digest(text: str | None) -> Digest | None:
    return None if text is None else Digest(text)


def _outgoing(topic: str, partition: int, value: bytes) -> Outgoing:
    if topic == LEDGER:
        return Outgoing(topic, None, value, partition=partition)
    return Outgoing(topic, None, value, ((HUB_HEADER, b"bundle/1"),))


_INBOX_SHELF: Final[Shelf[tuple[int, str], Numbered]] = Shelf(
    _INBOXES,
    place=lambda key: key,
    write=lambda _key, state: {"n": state.n, "prev": state.prev},
    read=lambda row: ((row.partition, row.inbox), Numbered(row.n, _digest(row.prev))),
)
