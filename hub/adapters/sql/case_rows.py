"""The registrar's shelves: each part of the case view in its table."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Row

from hub.adapters.sql import tables
from hub.adapters.sql.progress import Progress
from hub.adapters.sql.shelves import (
    Shelf,
    case_columns,
    clock_columns,
    clock_place,
    open_clocks_shelf,
    row_clock,
    row_pair,
    row_parties,
)
from hub.core.cases import CaseHead, CaseKey, CaseMessage, MessageKey, Refusal, Tally
from hub.core.clocks import Clock, Flag
from hub.core.entries import FlagEntry, IgnoredEntry
from hub.core.ids import ClockId, Digest, MessageId, ThreadId
from hub.core.manifest import MessageType
from hub.core.pairs import Pair
from hub.core.records import Position
from hub.core.timekeeping import ClockKey, parties

PROGRESS: Final = Progress(tables.case_partitions, tables.case_writers)
OPEN_CLOCKS: Final = open_clocks_shelf(tables.case_open_clocks)


def _row_head(row: Row[Any]) -> tuple[CaseKey, CaseHead]:
    key = CaseKey(ThreadId(row.thread), row_parties(row))
    return key, CaseHead(key, row.opened_ms, row.updated_ms)


HEADS: Final[Shelf[CaseKey, CaseHead]] = Shelf(
    tables.case_heads,
    place=lambda key: (key.thread, *key.parties),
    write=lambda _key, head: {"opened_ms": head.opened_ms, "updated_ms": head.updated_ms},
    read=_row_head,
)


def _message_columns(_key: MessageKey, message: CaseMessage) -> dict[str, Any]:
    return {
        "sender": message.pair.sender,
        "recipient": message.pair.recipient,
        "type": message.type.value,
        "in_reply_to": message.in_reply_to,
        "sequence": message.sequence,
        "length": message.length,
        "attachments": message.attachments,
        "jws": message.jws,
        "outbox_offset": message.outbox_offset,
        "accepted_ms": message.accepted_ms,
        "delivered_ms": message.delivered_ms,
        "opened_ms": message.opened_ms,
        "refused_ms": message.refused_ms,
        "why": message.why,
    }


def _row_message(row: Row[Any]) -> tuple[MessageKey, CaseMessage]:
    message = CaseMessage(
        thread=ThreadId(row.thread),
        pair=row_pair(row),
        message=MessageId(row.message),
        type=MessageType(row.type),
        in_reply_to=MessageId(row.in_reply_to) if row.in_reply_to is not None else None,
        sequence=row.sequence,
        length=row.length,
        attachments=row.attachments,
        jws=Digest(row.jws),
        outbox_offset=row.outbox_offset,
        accepted_ms=row.accepted_ms,
        delivered_ms=row.delivered_ms,
        opened_ms=row.opened_ms,
        refused_ms=row.refused_ms,
        why=row.why,
    )
    return message.key, message


MESSAGES: Final[Shelf[MessageKey, CaseMessage]] = Shelf(
    tables.case_messages,
    place=lambda key: (key.case.thread, *key.case.parties, key.message),
    write=_message_columns,
    read=_row_message,
)


def clocks_shelf(partition: int) -> Shelf[ClockKey, Clock]:
    """The clocks' shelf, writing them as clocks of this ledger partition."""
    return Shelf(
        tables.case_clocks,
        place=clock_place,
        write=lambda _key, clock: clock_columns(clock) | {"partition": partition},
        read=row_clock,
    )


def _refusal_columns(_key: tuple[str, int], refusal: Refusal) -> dict[str, Any]:
    return case_columns(refusal.thread, parties(refusal.pair)) | {
        "sender": refusal.pair.sender,
        "recipient": refusal.pair.recipient,
        "message": refusal.message,
        "code": refusal.code,
        "counted": refusal.counted,
        "time_ms": refusal.outbox.time_ms,
    }


def _row_refusal(row: Row[Any]) -> tuple[tuple[str, int], Refusal]:
    refusal = Refusal(
        thread=ThreadId(row.thread),
        pair=row_pair(row),
        message=MessageId(row.message),
        code=row.code,
        counted=row.counted,
        outbox=Position(row.topic, 0, row.outbox_offset, row.time_ms),
    )
    return (row.topic, row.outbox_offset), refusal


REFUSALS: Final[Shelf[tuple[str, int], Refusal]] = Shelf(
    tables.case_refusals, place=lambda key: key, write=_refusal_columns, read=_row_refusal
)


def _flag_columns(_key: str, flag: FlagEntry) -> dict[str, Any]:
    return case_columns(flag.thread, parties(flag.pair)) | {
        "sender": flag.pair.sender,
        "recipient": flag.pair.recipient,
        "clock": flag.clock,
        "message": flag.message,
        "flag": flag.flag.value,
        "percent": flag.percent,
        "due_ms": flag.due_ms,
        "time_ms": flag.time_ms,
    }


def _row_flag(row: Row[Any]) -> tuple[str, FlagEntry]:
    flag = FlagEntry(
        id=row.id,
        flag=Flag(row.flag),
        percent=row.percent,
        pair=row_pair(row),
        thread=ThreadId(row.thread),
        clock=ClockId(row.clock),
        message=MessageId(row.message),
        due_ms=row.due_ms,
        time_ms=row.time_ms,
    )
    return flag.id, flag


FLAGS: Final[Shelf[str, FlagEntry]] = Shelf(
    tables.case_flags, place=lambda key: (key,), write=_flag_columns, read=_row_flag
)


def _ignored_columns(_key: str, ignored: IgnoredEntry) -> dict[str, Any]:
    return case_columns(ignored.thread, parties(ignored.pair)) | {
        "sender": ignored.pair.sender,
        "recipient": ignored.pair.recipient,
        "clock": ignored.clock,
        "message": ignored.message,
        "code": ignored.code,
        "time_ms": ignored.time_ms,
    }


def _row_ignored(row: Row[Any]) -> tuple[str, IgnoredEntry]:
    ignored = IgnoredEntry(
        id=row.id,
        pair=row_pair(row),
        thread=ThreadId(row.thread),
        clock=ClockId(row.clock),
        message=MessageId(row.message),
        code=row.code,
        time_ms=row.time_ms,
    )
    return ignored.id, ignored


IGNORED: Final[Shelf[str, IgnoredEntry]] = Shelf(
    tables.case_ignored, place=lambda key: (key,), write=_ignored_columns, read=_row_ignored
)


def _tally_columns(_key: Pair, tally: Tally) -> dict[str, Any]:
    return {
        "accepted": tally.accepted,
        "refused": tally.refused,
        "repeated": tally.repeated,
        "receipts": tally.receipts,
        "misfits": tally.misfits,
    }


TALLIES: Final[Shelf[Pair, Tally]] = Shelf(
    tables.case_tallies,
    place=tuple,
    write=_tally_columns,
    read=lambda row: (row_pair(row), Tally(row.accepted, row.refused, row.repeated, row.receipts, row.misfits)),
)
