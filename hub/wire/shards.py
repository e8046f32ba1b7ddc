"""Records of ``hub.shards``: partition k is the changelog of shard k, compacted by key (protocol section 2).

Keys: ``#`` (heads and counters), ``pair/<sender>><recipient>/<block>``, ``outbox/<authority>``, ``inbox/<authority>``,
``ledger/<partition>``. Each value holds everything that its key stands for.

A pair's last links lie in a ring of blocks, so that a message writes its own block anew and not the whole window: block
``seq // BLOCK_LINKS % BLOCKS`` has the link of number ``seq``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field

from hub.core.ids import AuthorityId, authority_id
from hub.core.limits import PAIR_WINDOW
from hub.core.pairs import Chain, Link, Pair
from hub.core.records import Record
from hub.core.shard import Counters, Numbered, ShardState
from hub.envelope.strict_json import JsonObject, JsonValue, dump
from hub.errors import Refused, VerificationFailed
from hub.wire.grammar import CodeText, Count, DigestText, MessageText, Milliseconds, Number, Wire, read

VERSION: Final = "comity-shard/1"
HEAD_KEY: Final = "#"
BLOCK_LINKS: Final = 16
BLOCKS: Final = PAIR_WINDOW // BLOCK_LINKS + 1  # the window rarely begins where a block does
_BLOCK_NAMES: Final = frozenset(map(str, range(BLOCKS)))

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


class BlockModel(Wire):
    """``pair/xa-moj>xb-pgo/2``: neighbouring links of a pair's chain. The newest link of all its blocks is its head."""

    v: Version
    links: Annotated[tuple[LinkModel, ...], Field(min_length=1, max_length=BLOCK_LINKS)]


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


ShardValueModel: TypeAlias = HeadModel | BlockModel | OutboxModel | InboxModel | LedgerCountModel
"""Any value of ``hub.shards``; its key says which."""


def encode_change(change: ShardState, *, before: ShardState) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of all that a change moves on from the state ``before``, ``#`` included."""
    head, counters = change.head, change.counters
    counted = {"accepted": counters.accepted, "refused": counters.refused, "repeated": counters.repeated}
    yield HEAD_KEY.encode(), dump({"v": VERSION, **head._asdict(), **counted})
    for pair, chain in change.chains.items():
        known = before.chains.get(pair)
        for number, value in _blocks(chain, since=known.sequence if known else 0):
            yield f"pair/{pair}/{number}".encode(), value
    for owner, offset in change.offsets.items():
        yield f"outbox/{owner}".encode(), dump({"v": VERSION, "next": offset})
    for owner, bundle in change.bundles.items():
        yield f"inbox/{owner}".encode(), dump({"v": VERSION, **bundle._asdict()})
    for partition, number in change.ledgers.items():
        yield f"ledger/{partition}".encode(), dump({"v": VERSION, "n": number})


def _blocks(chain: Chain, *, since: int) -> Iterator[tuple[int, bytes]]:
    """Numbers and values of the blocks that hold a link after number ``since``."""
    links = tuple(chain.window.values())
    oldest = chain.sequence - len(links) + 1
    low = max(oldest, (since + 1) // BLOCK_LINKS * BLOCK_LINKS)
    while low <= chain.sequence:
        block = low // BLOCK_LINKS
        end = (block + 1) * BLOCK_LINKS
        held: list[JsonValue] = [_link_json(each) for each in links[low - oldest : end - oldest]]
        yield block % BLOCKS, dump({"v": VERSION, "links": held})
        low = end


def _link_json(link: Link) -> JsonObject:
    return {
        "seq": link.sequence,
        "id": link.message,
        "jws": link.jws,
        "offset": link.outbox_offset,
        "time_ms": link.time_ms,
        "tl": link.trust_list,
        "code": link.code,
    }


def decode_state(records: Iterable[Record]) -> ShardState:
    """The state that the records of a partition leave, the last of each key counting.

    Raises ``VerificationFailed(record-malformed)``: a shard whose state cannot be read must not route.
    """
    latest = {record.key: record.value for record in records}
    head, counters = Numbered(), Counters()
    links: dict[Pair, list[LinkModel]] = {}
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
                links.setdefault(_pair(name), []).extend(read(BlockModel, data, "a block of a pair's chain").links)
            case "outbox":
                offsets[_authority(name)] = read(OutboxModel, data, "an outbox's offset").next
            case "inbox":
                inbox = read(InboxModel, data, "an inbox's count")
                bundles[_authority(name)] = Numbered(inbox.n, inbox.prev)
            case "ledger" if name.isascii() and name.isdecimal():
                ledgers[int(name)] = read(LedgerCountModel, data, "a ledger partition's count").n
            case _:
                raise _unknown_key()
    chains = {pair: _chain(found) for pair, found in links.items()}
    return ShardState(head=head, counters=counters, chains=chains, offsets=offsets, bundles=bundles, ledgers=ledgers)


def _chain(found: Iterable[LinkModel]) -> Chain:
    """The chain that a pair's blocks spell. Its last ``PAIR_WINDOW`` links must all be there; older ones may be."""
    newest = sorted(found, key=lambda link: link.seq)[-PAIR_WINDOW:]
    last = newest[-1]
    first = max(1, last.seq - PAIR_WINDOW + 1)
    window = {
        link.id: Link(
            sequence=link.seq,
            message=link.id,
            jws=link.jws,
            outbox_offset=link.offset,
            time_ms=link.time_ms,
            trust_list=link.tl,
            code=link.code,
        )
        for link in newest
    }
    if [link.sequence for link in window.values()] != list(range(first, last.seq + 1)):
        raise VerificationFailed("record-malformed", "hub.shards lacks links of a pair's chain; it was not written so.")
    return Chain(last.seq, last.jws, window)


def _pair(name: str) -> Pair:
    pair, _, block = name.partition("/")
    sender, _, recipient = pair.partition(">")
    if block not in _BLOCK_NAMES:
        raise _unknown_key()
    return Pair(_authority(sender), _authority(recipient))


def _authority(name: str) -> AuthorityId:
    try:
        return authority_id(name)
    except Refused:
        raise _unknown_key() from None


def _unknown_key() -> VerificationFailed:
    return VerificationFailed("record-malformed", "hub.shards holds a key that this version of the hub does not write.")
