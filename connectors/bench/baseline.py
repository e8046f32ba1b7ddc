"""What a message costs without the hub, measured beside it: its cryptography alone, and a plain copy of its records."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from connectors.bench.figures import MICROSECONDS
from connectors.bench.stage import Stage
from connectors.bench.traffic import Letter
from hub.adapters.kafka.admin import KafkaAdmin
from hub.adapters.kafka.plan import Plan
from hub.core.access import ADMIN, topic_specs
from hub.core.authority import TrustList
from hub.core.ids import AuthorityId, sha256, slot
from hub.core.limits import MANIFEST_JWS_BYTES_MAX
from hub.core.records import Outgoing
from hub.core.topics import LEDGER, SHARDS, inbox, outbox
from hub.envelope import jws
from hub.envelope.certificates import signing_public_key
from hub.envelope.suites import verify
from hub.errors import Unreachable
from hub.evidence.merkle import Tree, leaf_hash
from hub.ports import Signer

SAMPLE_MESSAGES: Final = 400  # of a round: enough for a mean, and short beside the rest
SAMPLE_HEADS: Final = 10
OBEY_SECONDS_MAX: Final = 600.0  # the longest turn, at a steady rate, takes minutes
CLAIM_BYTES: Final = 400  # of a receipt or routed claim as text
CLAIMS_PER_MESSAGE: Final = 2  # accepted to the sender, routed to the recipient


# --- cryptography -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Primitives:
    """Microseconds of CPU, caches warm: of a message's own primitives, and of signing a batch's head."""

    message_us: float
    head_us: float


def primitives(
    letters: Sequence[Letter], trust: TrustList, *, head_signers: Sequence[Signer], time_ms: int
) -> Primitives:
    """What the hub cannot do without, on this thread.

    All signatures of the manifest, the hashes of value and JWS, those of the tree of its claims. Nothing is parsed or
    decoded in the measured time.
    """
    sample = letters[:SAMPLE_MESSAGES]
    checks = [_checks(each, trust, time_ms=time_ms) for each in sample]
    hashed = [(each.record.value or b"", each.header) for each in sample]
    claims = [b"." * CLAIM_BYTES] * (CLAIMS_PER_MESSAGE * len(sample))
    for each in checks[: len(trust.authorities)]:  # loads the public keys
        _verify(each)
    begun = time.thread_time()
    for each in checks:
        _verify(each)
    for value, header in hashed:
        sha256(value)
        sha256(header)
    Tree([leaf_hash(claim) for claim in claims])
    message = (time.thread_time() - begun) / len(sample)
    head = b"." * CLAIM_BYTES
    begun = time.thread_time()
    for _ in range(SAMPLE_HEADS):
        for signer in head_signers:
            signer.sign(head)
    return Primitives(message * MICROSECONDS, (time.thread_time() - begun) / SAMPLE_HEADS * MICROSECONDS)


def crypto_us(samples: Sequence[Primitives], *, batch_mean: float) -> float:
    """Microseconds of CPU for a message's primitives and its share of a head, by the mean of several samples."""
    message, head = (
        sum(each) / len(samples) for each in zip(*((s.message_us, s.head_us) for s in samples), strict=True)
    )
    return float(message + head / batch_mean)


Check = tuple[str, bytes, bytes, bytes]


def _checks(letter: Letter, trust: TrustList, *, time_ms: int) -> list[Check]:
    """Algorithm, public key, signature and input of each signature of a message."""
    parsed = jws.parse(letter.header, typ=jws.TYP_MANIFEST, bytes_max=MANIFEST_JWS_BYTES_MAX)
    authority = trust.authorities[letter.sender]
    certificates = {key.id: key.certificate for key in authority.signing}
    return [
        (
            each.algorithm,
            signing_public_key(certificates[each.key], authority=authority, algorithm=each.algorithm, time_ms=time_ms),
            each.signature,
            each.signing_input,
        )
        for each in parsed.signatures
    ]


def _verify(checks: Iterable[Check]) -> None:
    for algorithm, public, signature, signed in checks:
        verify(algorithm, public, signature, signed)


# --- the copy -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What the router wrote for messages beside their copies: (records, bytes) of each kind; ``batches`` by shard."""

    batches: Mapping[int, Sequence[int]]
    bundles: tuple[int, int]
    ledger: tuple[int, int]
    shards: tuple[int, int]

    @property
    def transactions(self) -> int:
        """How many there were; one at least, so that it divides."""
        return max(1, sum(map(len, self.batches.values())))

    @property
    def batch_mean(self) -> float:
        """Messages a transaction."""
        return sum(map(sum, self.batches.values())) / self.transactions


def copy_order(letters: Sequence[Letter], written: Written, *, shards: int) -> Mapping[str, Any]:
    """The line that lets the copy loop do the same as the router did: see ``connectors.bench.copying``."""
    routes: dict[str, list[str]] = {}
    for letter in letters:
        routes.setdefault(_source(letter.sender), []).append(_target(letter.recipient))
    sent = Counter(slot(each.sender, shards) for each in letters)
    batches = [_exactly(sent[shard], written.batches.get(shard, ())) for shard in range(shards)]
    kinds = ((_LEDGER, written.ledger), (_SHARDS, written.shards))
    return {
        "batches": batches,
        "routes": routes,
        "bundle_bytes": round(written.bundles[1] / max(written.bundles[0], 1)),
        "extras": [_extra(topic, kind, written.transactions) for topic, kind in kinds],
    }


def _exactly(messages: int, batches: Sequence[int]) -> list[int]:
    """The batches, with one more for messages that came out in none: the copy loop leaves nothing behind."""
    rest = messages - sum(batches)
    return [*batches, *([rest] if rest > 0 else [])]


def _extra(topic: str, kind: tuple[int, int], transactions: int) -> Mapping[str, Any]:
    """As many records in each transaction as there were on average, with the same bytes in all."""
    count = max(1, round(kind[0] / transactions))
    return {"topic": topic, "count": count, "bytes": round(kind[1] / transactions / count)}


def copied(letters: Sequence[Letter]) -> list[Outgoing]:
    """The messages as records of the copy loop's own source topics."""
    return [replace(each.record, topic=_source(each.sender)) for each in letters]


class CopyLoop:
    """The copy loop's process and its topics, beside those of the hub. Close it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """Its process."""
        return self._running.pid

    @property
    def targets(self) -> list[str]:
        """The topics that it copies to, one for each authority."""
        return [_target(each) for each in self._stage.trust.authorities]

    async def start(self) -> None:
        """Make its topics, of the same kinds and settings, and start it. Raises ``Unreachable``."""
        await asyncio.to_thread(self._make_topics)
        self._process = self._begin()

    async def obey(self, order: Mapping[str, Any]) -> Mapping[str, int]:
        """Let it copy; its answer. Raises ``Unreachable(copy-ended)``."""

        def asked() -> str:
            into, out = self._running.stdin, self._running.stdout
            if into is None or out is None:
                return ""
            into.write(json.dumps(order) + "\n")
            into.flush()
            return out.readline()

        try:
            async with asyncio.timeout(OBEY_SECONDS_MAX):
                line = await asyncio.to_thread(asked)
        except TimeoutError:
            line = ""
        if not line:
            raise Unreachable("copy-ended", "The copy loop of the baseline ended or stands still; see copying.log.")
        said: Mapping[str, int] = json.loads(line)
        return said

    async def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    @property
    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError("the copy loop was not started")
        return self._process

    def _begin(self) -> subprocess.Popen[str]:
        stage = self._stage
        server = stage.cluster.config(ADMIN).bootstrap_server
        sources: list[list[str]] = [[] for _ in range(stage.trust.shards)]
        for name in stage.trust.authorities:
            sources[slot(name, stage.trust.shards)].append(_source(name))
        arguments = (server, str(stage.cluster.home.client(ADMIN).properties), json.dumps(sources))
        stage.cluster.home.logs.mkdir(parents=True, exist_ok=True)
        with (stage.cluster.home.logs / "copying.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 (our own program with our own arguments)
                [sys.executable, "-m", "connectors.bench.copying", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def _make_topics(self) -> None:
        trust = self._stage.trust
        specs = topic_specs(
            trust.authorities, shards=trust.shards, ledger_partitions=trust.ledger_partitions, replication=1
        )
        names = {LEDGER: _LEDGER, SHARDS: _SHARDS}
        names |= {outbox(each): _source(each) for each in trust.authorities}
        names |= {inbox(each): _target(each) for each in trust.authorities}
        create = tuple(replace(spec, name=names[spec.name]) for spec in specs if spec.name in names)
        with KafkaAdmin(self._stage.cluster.config(ADMIN)) as admin:
            admin.apply(Plan(create=create, alter={}, allow=(), remove=(), rows=()))


_LEDGER: Final = "copy.ledger"
_SHARDS: Final = "copy.shards"


def _source(owner: AuthorityId) -> str:
    return f"copy.out.{owner}"


def _target(owner: AuthorityId) -> str:
    return f"copy.in.{owner}"
