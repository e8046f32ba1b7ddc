"""Records of ``hub.ledger``: one per writer, partition and transaction (protocol section 2, ``hub.core.entries``).

::

    {"v": "comity-ledger/1", "writer": "router-shard-0", "n": 5, "time_ms": 1795600800000, "entries": [...]}
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from hub.core.clocks import Flag
from hub.core.entries import Entry, FlagEntry, IgnoredEntry, LedgerRecord, LevelEntry, MessageEntry
from hub.core.limits import ATTACHMENTS_MAX, CLOCK_OPERATIONS_MAX
from hub.core.manifest import ClockKind, ClockOperation, ClockVerb, MessageType, ReceiptLevel
from hub.core.pairs import Pair
from hub.envelope.strict_json import JsonObject, JsonValue, dump
from hub.wire.grammar import (
    AuthorityText,
    ClockText,
    CodeText,
    Count,
    DerivedText,
    DigestText,
    MessageText,
    Milliseconds,
    Number,
    Percent,
    PositionModel,
    ThreadText,
    Wire,
    WriterText,
    read,
)

VERSION: Final = "comity-ledger/1"
ENTRY_BYTES_MAX: Final = 2048  # the most that an entry takes in a record: a message with all its clocks takes 1,400


class ClockModel(Wire):
    """A clock operation of a message."""

    op: ClockVerb
    id: ClockText
    kind: ClockKind
    due_ms: Milliseconds | None

    @property
    def value(self) -> ClockOperation:
        """The operation that this spells."""
        return ClockOperation(self.op, self.id, self.kind, self.due_ms)


class MessageModel(Wire):
    """What the router decided about one outbox record; the manifest's members are null when none could be read."""

    kind: Literal["message"]
    decision: Literal["accepted", "refused"]
    code: CodeText | None
    counted: bool
    repeat: bool
    jws: DigestText | None
    id: MessageText | None
    typ: MessageType | None
    sender: AuthorityText | None = Field(alias="from")
    to: AuthorityText | None
    thr: ThreadText | None
    irt: MessageText | None
    seq: Number | None
    clk: Annotated[tuple[ClockModel, ...], Field(max_length=CLOCK_OPERATIONS_MAX)]
    len: Count | None
    att: Annotated[int, Field(ge=0, le=ATTACHMENTS_MAX)]
    outbox: PositionModel
    tl: Count

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """The decision is said twice, for people who read the log: it must be the same."""
        if (self.decision == "accepted") is not (self.code is None):
            raise ValueError("decision and code differ")
        return self

    @property
    def value(self) -> MessageEntry:
        """The entry that this spells."""
        return MessageEntry(
            jws=self.jws,
            message=self.id,
            type=self.typ,
            sender=self.sender,
            recipient=self.to,
            thread=self.thr,
            in_reply_to=self.irt,
            sequence=self.seq,
            clocks=tuple(each.value for each in self.clk),
            length=self.len,
            attachments=self.att,
            code=self.code,
            counted=self.counted,
            repeat=self.repeat,
            outbox=self.outbox.value,
            trust_list=self.tl,
        )


class LevelModel(Wire):
    """What a recipient's connector said of one message; ``from`` and ``to`` are those of its receipt list."""

    kind: Literal["level"]
    lvl: ReceiptLevel
    id: MessageText
    thr: ThreadText
    sender: AuthorityText = Field(alias="from")
    to: AuthorityText
    why: CodeText | None
    prf: DigestText | None
    outbox: PositionModel
    tl: Count

    @property
    def value(self) -> LevelEntry:
        """The entry that this spells."""
        return LevelEntry(
            level=self.lvl,
            message=self.id,
            thread=self.thr,
            pair=Pair(self.sender, self.to),
            why=self.why,
            proof=self.prf,
            outbox=self.outbox.value,
            trust_list=self.tl,
        )


class FlagModel(Wire):
    """What the watch said of a clock: who ``waits``, who ``owes`` the reply, and the message that started it."""

    kind: Literal["flag"]
    id: DerivedText
    flag: Flag
    percent: Percent
    clock: ClockText
    thr: ThreadText
    waits: AuthorityText
    owes: AuthorityText
    due_ms: Milliseconds
    message: MessageText
    time_ms: Milliseconds

    @property
    def value(self) -> FlagEntry:
        """The entry that this spells."""
        return FlagEntry(
            id=self.id,
            flag=self.flag,
            percent=self.percent,
            pair=Pair(self.waits, self.owes),
            thread=self.thr,
            clock=self.clock,
            message=self.message,
            due_ms=self.due_ms,
            time_ms=self.time_ms,
        )


class IgnoredModel(Wire):
    """A clock operation without effect; ``from`` and ``to`` are those of the message that carried it."""

    kind: Literal["ignored"]
    id: DerivedText
    clock: ClockText
    thr: ThreadText
    sender: AuthorityText = Field(alias="from")
    to: AuthorityText
    message: MessageText
    code: CodeText
    time_ms: Milliseconds

    @property
    def value(self) -> IgnoredEntry:
        """The entry that this spells."""
        return IgnoredEntry(
            id=self.id,
            pair=Pair(self.sender, self.to),
            thread=self.thr,
            clock=self.clock,
            message=self.message,
            code=self.code,
            time_ms=self.time_ms,
        )


EntryModel = Annotated[MessageModel | LevelModel | FlagModel | IgnoredModel, Field(discriminator="kind")]


class LedgerModel(Wire):
    """The ``n``-th record (from 1) of ``writer`` in its partition of ``hub.ledger``."""

    v: Literal["comity-ledger/1"]
    writer: WriterText
    n: Number
    time_ms: Milliseconds
    entries: Annotated[tuple[EntryModel, ...], Field(min_length=1)]


def entry_bytes(entry: Entry) -> int:
    """How many bytes an entry takes in a record, its comma included."""
    return len(dump(_entry_json(entry))) + 1


def encode_ledger(record: LedgerRecord) -> bytes:
    """The value of a record of ``hub.ledger``; the same record gives the same bytes."""
    entries: list[JsonValue] = [_entry_json(each) for each in record.entries]
    return dump({"v": VERSION, "writer": record.writer, "n": record.n, "time_ms": record.time_ms, "entries": entries})


def _entry_json(entry: Entry) -> JsonObject:
    """What the model of an entry reads: routers write a million of them, so no model is made for it."""
    match entry:
        case MessageEntry():
            return _message_json(entry)
        case LevelEntry():
            return _level_json(entry)
        case FlagEntry():
            return _flag_json(entry)
        case IgnoredEntry():
            return _ignored_json(entry)


def _message_json(entry: MessageEntry) -> JsonObject:
    return {
        "kind": "message",
        "decision": "accepted" if entry.accepted else "refused",
        "code": entry.code,
        "counted": entry.counted,
        "repeat": entry.repeat,
        "jws": entry.jws,
        "id": entry.message,
        "typ": entry.type,
        "from": entry.sender,
        "to": entry.recipient,
        "thr": entry.thread,
        "irt": entry.in_reply_to,
        "seq": entry.sequence,
        "clk": [{"op": each.verb, "id": each.clock, "kind": each.kind, "due_ms": each.due_ms} for each in entry.clocks],
        "len": entry.length,
        "att": entry.attachments,
        "outbox": entry.outbox._asdict(),
        "tl": entry.trust_list,
    }


def _level_json(entry: LevelEntry) -> JsonObject:
    return {
        "kind": "level",
        "lvl": entry.level,
        "id": entry.message,
        "thr": entry.thread,
        "from": entry.pair.sender,
        "to": entry.pair.recipient,
        "why": entry.why,
        "prf": entry.proof,
        "outbox": entry.outbox._asdict(),
        "tl": entry.trust_list,
    }


def _flag_json(entry: FlagEntry) -> JsonObject:
    return {
        "kind": "flag",
        "id": entry.id,
        "flag": entry.flag,
        "percent": entry.percent,
        "clock": entry.clock,
        "thr": entry.thread,
        "waits": entry.pair.sender,
        "owes": entry.pair.recipient,
        "due_ms": entry.due_ms,
        "message": entry.message,
        "time_ms": entry.time_ms,
    }


def _ignored_json(entry: IgnoredEntry) -> JsonObject:
    return {
        "kind": "ignored",
        "id": entry.id,
        "clock": entry.clock,
        "thr": entry.thread,
        "from": entry.pair.sender,
        "to": entry.pair.recipient,
        "message": entry.message,
        "code": entry.code,
        "time_ms": entry.time_ms,
    }


def decode_ledger(data: bytes) -> LedgerRecord:
    """The record that a value spells. Raises ``VerificationFailed(record-malformed)``."""
    model = read(LedgerModel, data, "a ledger record")
    return LedgerRecord(
        writer=model.writer, n=model.n, time_ms=model.time_ms, entries=tuple(each.value for each in model.entries)
    )
