"""The whole hub on one page, in message order: check, route, register, watch. Each step decides; a shell performs.

::

    outbox.xa-moj ──▶ check ──▶ route ──▶ inbox.xb-pgo   the exact copy, after the bundle that says how to judge it
                                     ├──▶ inbox.xa-moj   the signed receipt, accepted or refused
                                     ├──▶ hub.ledger ──▶ register ──▶ the case view
                                     │               └─▶ watch ─────▶ flags to both inboxes and to the ledger
                                     ├──▶ hub.quarantine, for a refusal
                                     └──▶ hub.shards, the state that decided, moved in the same transaction

1. ``check``     is this record what its sender signed?                  any number of records at once, any thread
2. ``decide``    is it next in its pair's chain, and may it pass?        one after the other
3. ``route``     everything that one Kafka transaction must hold         all of it or nothing
4. ``register``  what the ledger says of each case                       at least once, with the same result
5. ``watch``     which flags a clock owes its two sides                  once per clock, flag and due time

Nothing here reads a clock, draws chance, or opens a body: the hub has no key that could.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hub.core import cases, timekeeping
from hub.core.access import shard_id, watch_id
from hub.core.authority import TrustList
from hub.core.cases import CaseView, Changes
from hub.core.clocks import Clock
from hub.core.effects import Alert
from hub.core.emission import Chains, Emission
from hub.core.entries import Entry, LedgerRecord
from hub.core.ids import AuthorityId, Digest, sha256
from hub.core.limits import LEDGER_RECORD_BYTES_MAX
from hub.core.pairs import Chain, Link, Misplaced, Repeat, place
from hub.core.plan import Plan
from hub.core.receipts import Claim
from hub.core.records import HUB_HEADER, Outgoing, Place, Position, Record
from hub.core.refusals import REASONS
from hub.core.routing import Decision
from hub.core.shard import Numbered, ShardState
from hub.core.timekeeping import Moves, OwedClaim, WatchView, claim_entry, open_clocks_max, raise_due
from hub.core.topics import LEDGER, QUARANTINE, SHARDS, inbox, outbox, outbox_owner
from hub.envelope.certificates import PathCache
from hub.envelope.checking import Judged, check_policy, judge
from hub.envelope.receipts import Bundles, WriterState, make_bundles
from hub.errors import Held, PartitionBroken, Refused
from hub.wire.ledger import ENTRY_BYTES_MAX, encode_ledger, entry_bytes
from hub.wire.quarantine import encode_quarantine
from hub.wire.shards import encode_change

Sign = Callable[[bytes], bytes]

BUNDLE: Final = b"bundle/1"
LEDGER_FRAME_BYTES: Final = 256  # what a ledger record takes beside its entries
ALARMING: Final = frozenset({"id-conflict", "key-revoked", "certificate-invalid", "sender-mismatch"})
"""Refusals that somebody should look into: two texts under one id, a key that was given up, another's record."""


# --- 1. check -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Checked:
    """Records that were judged, in their order, and the outboxes that must wait, with the reason."""

    judged: tuple[Judged, ...]
    held: Mapping[AuthorityId, Held]


def check(records: Iterable[Record], trust: TrustList, *, paths: PathCache) -> Checked:
    """Size, grammar, owner, signatures, digest of each record: protocol 1.1 (a) to (e). Never decrypts.

    A record that was signed under a list which is still to come holds its outbox from there on; nothing is refused.
    """
    judged: list[Judged] = []
    held: dict[AuthorityId, Held] = {}
    for record in records:
        owner = outbox_owner(record.topic)
        if owner in held:
            continue
        try:
            judged.append(judge(record, trust, paths=paths))
        except Held as reason:
            held[owner] = reason
    return Checked(tuple(judged), held)


# --- 2. decide ------------------------------------------------------------------------------------


def decide(judged: Judged, chain: Chain, trust: TrustList) -> Decision:
    """Accept, refuse or repeat: protocol 1.1 (f) to (h), in this order. ``chain`` is the pair's, as it stands."""
    manifest, jws = judged.manifest, judged.jws
    if judged.code is not None or manifest is None or jws is None:
        return _refusal(judged, chain, trust, judged.code or "manifest-malformed")
    # (f) a repeat or another text, (g) the place in the chain
    placement = place(chain, message=manifest.id, sequence=manifest.sequence, previous=manifest.previous, jws=jws)
    if isinstance(placement, Repeat):
        return _repeat(judged, placement.link)
    if isinstance(placement, Misplaced):
        return _refusal(judged, chain, trust, placement.code)
    if manifest.recipient not in trust.authorities:
        return _refusal(judged, chain, trust, "recipient-unknown")
    # (h): authentic and next, so that a refusal uses up the number
    try:
        check_policy(manifest, trust, time_ms=judged.record.time_ms)
    except Refused as refusal:
        return _refusal(judged, Chain(manifest.sequence, jws), trust, refusal.code)
    return _decision(judged, code=None, trust_list=trust.number)


def _decision(
    judged: Judged,
    *,
    code: str | None,
    trust_list: int,
    expected: tuple[int, Digest | None] | None = None,
    repeat: Link | None = None,
) -> Decision:
    return Decision(
        record=judged.record,
        jws=judged.jws,
        jws_bytes=judged.jws_bytes,
        manifest=judged.manifest,
        code=code,
        counted=code is None or REASONS[code].counted,
        expected=expected,
        trust_list=trust_list,
        repeat=repeat,
    )


def _refusal(judged: Judged, chain: Chain, trust: TrustList, code: str) -> Decision:
    """A refusal tells what to seal with next, if the manifest is the topic owner's own: a chain is its pair's business."""
    manifest = judged.manifest
    own = manifest is not None and manifest.sender == outbox_owner(judged.record.topic)
    return _decision(judged, code=code, trust_list=trust.number, expected=chain.expected if own else None)


def _repeat(judged: Judged, link: Link) -> Decision:
    expected = None if link.code is None else Chain(link.sequence, link.jws).expected
    return _decision(judged, code=link.code, trust_list=link.trust_list, expected=expected, repeat=link)


# --- 3. route -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """One transaction: ``records`` and ``offsets`` are written together, then ``state`` is the shard's."""

    decisions: tuple[Decision, ...]
    records: tuple[Outgoing, ...]
    offsets: Mapping[Place, int]
    state: ShardState
    blocked: Mapping[AuthorityId, frozenset[AuthorityId]]  # outboxes that wait, and the bad inboxes that they need
    full: frozenset[AuthorityId]  # outboxes with records that did not fit into this transaction
    alerts: tuple[Alert, ...]


def route(
    batch: Sequence[Judged],
    state: ShardState,
    *,
    shard: int,
    trust: TrustList,
    sign: Sign,
    bad_inboxes: frozenset[AuthorityId] = frozenset(),
) -> Routing:
    """Decide a batch, and compose the transaction that says so to everybody.

    An outbox whose next message needs a bad inbox waits, and nobody else (router rule 6). What exceeds a limit of one
    transaction is left for the next.
    """
    plan = Plan(state, trust)
    blocked: dict[AuthorityId, frozenset[AuthorityId]] = {}
    full: set[AuthorityId] = set()
    for judged in batch:
        owner = outbox_owner(judged.record.topic)
        if owner in blocked or owner in full:
            continue
        decision = decide(judged, plan.chain(judged.manifest), trust)
        if decision.inboxes & bad_inboxes:
            blocked[owner] = decision.inboxes & bad_inboxes
        elif not plan.fits(decision):
            full.add(owner)
        else:
            plan.add(decision)
    records, change = _compose(plan, shard=shard, sign=sign) if plan.decisions else ((), state)
    return Routing(
        decisions=tuple(plan.decisions),
        records=records,
        offsets={Place(outbox(owner), 0): offset for owner, offset in plan.offsets.items()},
        state=state.after(change),
        blocked=blocked,
        full=frozenset(full),
        alerts=tuple(_alarm(each) for each in plan.decisions if each.code in ALARMING and each.repeat is None),
    )


def _alarm(decision: Decision) -> Alert:
    return Alert(decision.code or "", decision.owner, f"A record in {decision.record.topic} was refused.")


def _compose(plan: Plan, *, shard: int, sign: Sign) -> tuple[tuple[Outgoing, ...], ShardState]:
    """All records of the transaction, and what it changes in the shard's state."""
    writer = shard_id(shard)
    bundles = make_bundles(
        {inbox(authority): claims for authority, claims in plan.claims.items()},
        writer=writer,
        head_state=WriterState(*plan.state.head),
        inbox_states={
            inbox(authority): WriterState(*plan.state.bundles.get(authority, Numbered())) for authority in plan.claims
        },
        sign=sign,
        time_ms=plan.time_ms,
    )
    ledgers = {
        partition: tuple(_ledger_records(found, writer, plan.state.ledgers.get(partition, 0), plan.time_ms))
        for partition, found in plan.ledgers.items()
    }
    change = ShardState(
        head=_numbered(bundles.head_state),
        counters=plan.counters,
        chains=plan.chains,
        offsets=plan.offsets,
        bundles={authority: _numbered(bundles.inbox_states[inbox(authority)]) for authority in plan.claims},
        ledgers={partition: records[-1].n for partition, records in ledgers.items()},
    )
    records = (
        *_inbox_records(plan, bundles),
        *(
            Outgoing(LEDGER, None, encode_ledger(record), partition=partition)
            for partition, numbered in ledgers.items()
            for record in numbered
        ),
        *(_quarantined(each) for each in plan.decisions if each.code is not None and each.repeat is None),
        *(Outgoing(SHARDS, key, value, partition=shard) for key, value in encode_change(change, before=plan.state)),
    )
    return records, change


def _numbered(state: WriterState) -> Numbered:
    return Numbered(state.n, state.prev)


def _inbox_records(plan: Plan, bundles: Bundles) -> Iterator[Outgoing]:
    """In each inbox the bundle first: it says at which values the copies behind it are judged (protocol 1.7)."""
    for topic, value in bundles.records.items():
        yield Outgoing(topic, None, value, ((HUB_HEADER, BUNDLE),))
    for decision in plan.decisions:
        if decision.accepted and decision.recipient is not None:
            record = decision.record
            yield Outgoing(inbox(decision.recipient), record.key, record.value, record.headers)


def _ledger_records(found: Sequence[Entry], writer: str, last: int, time_ms: int) -> Iterator[LedgerRecord]:
    """The entries of a partition in as few records as their size allows, numbered on from ``last``; none is split."""
    held: list[Entry] = []
    size = LEDGER_FRAME_BYTES
    few = size + len(found) * ENTRY_BYTES_MAX <= LEDGER_RECORD_BYTES_MAX  # measuring costs as much as writing
    for entry in found:
        more = ENTRY_BYTES_MAX if few else entry_bytes(entry)
        if held and size + more > LEDGER_RECORD_BYTES_MAX:
            last += 1
            yield LedgerRecord(writer=writer, n=last, time_ms=time_ms, entries=tuple(held))
            held, size = [], LEDGER_FRAME_BYTES
        held.append(entry)
        size += more
    yield LedgerRecord(writer=writer, n=last + 1, time_ms=time_ms, entries=tuple(held))


def _quarantined(decision: Decision) -> Outgoing:
    value = decision.record.value or b""
    return Outgoing(
        QUARANTINE,
        None,
        encode_quarantine(
            decision.outbox, code=decision.code or "", jws=decision.jws, digest=sha256(value), length=len(value)
        ),
    )


def quarantine_place(broken: PartitionBroken, *, time_ms: int) -> Outgoing:
    """The quarantine record of an outbox that cannot be read at an offset: its owner's traffic waits, nobody else's."""
    position = Position(broken.topic, broken.partition, broken.offset, time_ms)
    return Outgoing(QUARANTINE, None, encode_quarantine(position, code=broken.code))


# --- 4. register, 5. watch ------------------------------------------------------------------------


def register(view: CaseView, entry: Entry, *, partition: int, ledger_partitions: int) -> Changes:
    """What an entry of the ledger changes in the case view. ``view`` holds whatever the entry names."""
    return cases.register(view, entry, partition=partition, open_max=open_clocks_max(ledger_partitions))


def watch(view: WatchView, entry: Entry, *, partition: int, ledger_partitions: int) -> Moves:
    """Which clocks an entry of the ledger moves, which claims both sides are owed for it, which are settled."""
    return timekeeping.watch(view, entry, partition=partition, open_max=open_clocks_max(ledger_partitions))


def fall_due(clock: Clock, *, now_ms: int, warn_percents: tuple[int, ...]) -> Moves:
    """The flags that time alone owes: asked only after the ledger was read to its end, since a stop may lie there."""
    return raise_due(clock, now_ms=now_ms, warn_percents=warn_percents)


def emit(claims: Sequence[OwedClaim], chains: Chains, *, partition: int, sign: Sign, time_ms: int) -> Emission:
    """The claims as the watch's next records: one ledger record, then a bundle for each inbox of the two sides."""
    owed: dict[str, list[Claim]] = {}
    for claim in claims:
        for authority in claim.pair:
            owed.setdefault(inbox(authority), []).append(claim)
    bundles = make_bundles(
        owed,
        writer=watch_id(partition),
        head_state=WriterState(*chains.head),
        inbox_states={topic: WriterState(*chains.inboxes.get(topic, Numbered())) for topic in owed},
        sign=sign,
        time_ms=time_ms,
    )
    said = tuple(claim_entry(claim) for claim in claims)
    record = LedgerRecord(writer=watch_id(partition), n=chains.ledger_n + 1, time_ms=time_ms, entries=said)
    return Emission(
        records=(
            Outgoing(LEDGER, None, encode_ledger(record), partition=partition),
            *(Outgoing(topic, None, value, ((HUB_HEADER, BUNDLE),)) for topic, value in bundles.records.items()),
        ),
        chains=Chains(
            ledger_n=record.n,
            head=_numbered(bundles.head_state),
            inboxes={topic: _numbered(bundles.inbox_states[topic]) for topic in owed},
        ),
    )
