"""Records of ``hub.shards``: partition k is the changelog of shard k, compacted by key (protocol section 2).

Keys: ``#`` (heads and counters), ``pair/<sender>><recipient>``, ``outbox/<authority>``, ``inbox/<authority>``,
``ledger/<partition>``. Each value holds everything that its key stands for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field

from hub.core.ids import AuthorityId, authority_id
from hub.core.limits import PAIR_WINDOW
from hub.core.pairs import Chain, Link, Pair
from hub.core.records import Record
from hub.core.shard import Counters, Numbered, ShardState
from hub.errors import Refused, VerificationFailed
from hub.wire.grammar import CodeText, Count, DigestText, MessageText, Milliseconds, Number, Wire, read, write

VERSION: Final = "comity-shard/1"
HEAD_KEY: Final = "#"
LINKS_SPELLED_MAX: Final = 65_536  # a thousand pairs' windows, some 20 MB

Version: TypeAlias = Literal["comity-shard/1"]


class HeadModel(Wire):
    """``#``: the last signed head, and the shard's counters."""

    v: Version
    n: Count
    prev: DigestText | None
    accepted: Count
    refused: Count
    repeated: Count


class LinkModel(Wire):
    """A message that took its place in the chain of a pair."""

    seq: Number
    id: MessageText
    jws: DigestText
    offset: Count
    time_ms: Milliseconds
    tl: Count
    code: CodeText | None


class PairModel(Wire):
    """``pair/xa-moj>xb-pgo``: where the chain stands."""

    v: Version
    seq: Number
    head: DigestText
    window: Annotated[tuple[LinkModel, ...], Field(min_length=1, max_length=PAIR_WINDOW)]


class OutboxModel(Wire):
    """``outbox/xa-moj``: the offset that is read next."""

    v: Version
    next: Count


class InboxModel(Wire):
    """``inbox/xa-moj``: the last bundle of this shard there."""

    v: Version
    n: Number
    prev: DigestText


class LedgerCountModel(Wire):
    """``ledger/3``: the number of this shard's last record in that partition."""

    v: Version
    n: Number


ShardValueModel: TypeAlias = HeadModel | PairModel | OutboxModel | InboxModel | LedgerCountModel
"""Any value of ``hub.shards``; its key says which."""


def encode_change(change: ShardState) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of all parts of a change, ``#`` included."""
    head, counters = change.head, change.counters
    yield (
        HEAD_KEY.encode(),
        write(
            HeadModel(
                v=VERSION,
                n=head.n,
                prev=head.prev,
                accepted=counters.accepted,
                refused=counters.refused,
                repeated=counters.repeated,
            )
        ),
    )
    for pair, chain in change.chains.items():
        yield f"pair/{pair}".encode(), _pair_value(chain)
    for owner, offset in change.offsets.items():
        yield f"outbox/{owner}".encode(), write(OutboxModel(v=VERSION, next=offset))
    for owner, bundle in change.bundles.items():
        yield f"inbox/{owner}".encode(), write(InboxModel.model_validate({"v": VERSION, **bundle._asdict()}))
    for partition, number in change.ledgers.items():
        yield f"ledger/{partition}".encode(), write(LedgerCountModel(v=VERSION, n=number))


def _pair_value(chain: Chain) -> bytes:
    """What a ``PairModel`` writes, with each link spelled once in its life: the whole window goes into every change."""
    frame = PairModel.model_validate(
        {"v": VERSION, "seq": chain.sequence, "head": chain.head, "window": (_link_model(chain.window[-1]),)}
    )
    before, after = write(frame).split(_link_text(chain.window[-1]))
    return before + b",".join(map(_link_text, chain.window)) + after


@lru_cache(maxsize=LINKS_SPELLED_MAX)
def _link_text(link: Link) -> bytes:
    return write(_link_model(link))


def _link_model(link: Link) -> LinkModel:
    return LinkModel(
        seq=link.sequence,
        id=link.message,
        jws=link.jws,
        offset=link.outbox_offset,
        time_ms=link.time_ms,
        tl=link.trust_list,
        code=link.code,
    )


def decode_state(records: Iterable[Record]) -> ShardState:
    """The state that the records of a partition leave, the last of each key counting.

    Raises ``VerificationFailed(record-malformed)``: a shard whose state cannot be read must not route.
    """
    latest = {record.key: record.value for record in records}
    head, counters = Numbered(), Counters()
    chains: dict[Pair, Chain] = {}
    offsets: dict[AuthorityId, int] = {}
    bundles: dict[AuthorityId, Numbered] = {}
    ledgers: dict[int, int] = {}
    for key, value in latest.items():
        kind, _, name = (key or b"").decode("ascii", "replace").partition("/")
        data = value or b""
        match kind:
            case "#":
                model = read(HeadModel, data, "a shard's head")
                head = Numbered(model.n, model.prev)
                counters = Counters(model.accepted, model.refused, model.repeated)
            case "pair":
                chains[_pair(name)] = _chain(read(PairModel, data, "a pair's chain"))
            case "outbox":
                offsets[_authority(name)] = read(OutboxModel, data, "an outbox's offset").next
            case "inbox":
                inbox = read(InboxModel, data, "an inbox's count")
                bundles[_authority(name)] = Numbered(inbox.n, inbox.prev)
            case "ledger" if name.isascii() and name.isdecimal():
                ledgers[int(name)] = read(LedgerCountModel, data, "a ledger partition's count").n
            case _:
                raise _unknown_key()
    return ShardState(head=head, counters=counters, chains=chains, offsets=offsets, bundles=bundles, ledgers=ledgers)


def _chain(model: PairModel) -> Chain:
    window = tuple(
        Link(
            sequence=link.seq,
            message=link.id,
            jws=link.jws,
            outbox_offset=link.offset,
            time_ms=link.time_ms,
            trust_list=link.tl,
            code=link.code,
        )
        for link in model.window
    )
    return Chain(model.seq, model.head, window)


def _pair(name: str) -> Pair:
    sender, _, recipient = name.partition(">")
    return Pair(_authority(sender), _authority(recipient))


def _authority(name: str) -> AuthorityId:
    try:
        return authority_id(name)
    except Refused:
        raise _unknown_key() from None


def _unknown_key() -> VerificationFailed:
    return VerificationFailed("record-malformed", "hub.shards holds a key that this version of the hub does not write.")
