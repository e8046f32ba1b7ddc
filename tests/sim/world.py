"""Three authorities with real keys, and what they write in every run: signed once, since signatures are what costs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from hub.core.authority import TrustList
from hub.core.ids import AuthorityId, MessageId
from hub.core.records import Outgoing, Record
from hub.envelope import jws
from hub.envelope.certificates import PathCache
from hub.envelope.checking import Judged, judge
from hub.envelope.signers import generate_signer
from hub.testing import FakeAuthority, FixedClock, fake_trust_list
from tests.faults import lines
from tests.faults.authors import Author, Letter, Question, Reference
from tests.sim.log import START_MS

NAMES: Final = tuple(AuthorityId(name) for name in ("xa-moj", "xb-pgo", "xc-fiu"))
SHARDS: Final = 2
LEDGER_PARTITIONS: Final = 2
ANSWERED_DUE_MS: Final = 14_000
SILENT_DUE_MS: Final = 12_000


@dataclass(frozen=True, slots=True)
class Step:
    """A letter, and the message of another that must have arrived before it is written."""

    letter: Letter
    after: MessageId | None = None


@dataclass(slots=True)
class World:
    """The trust list, everybody's script, and the judgements that were made already."""

    trust: TrustList
    scripts: dict[AuthorityId, list[Step]]
    _signer: object = field(default_factory=lambda: generate_signer("Ed25519"))
    _paths: PathCache = field(default_factory=PathCache)
    _judged: dict[tuple[object, ...], Judged] = field(default_factory=dict)

    def judge(self, record: Record) -> Judged:
        """The hub's judgement. The same bytes are verified once: time matters to what comes after it only."""
        seen = (record.topic, record.key, record.headers, record.value)
        if seen not in self._judged:
            self._judged[seen] = judge(record, self.trust, paths=self._paths)
        return replace(self._judged[seen], record=record)

    def sign(self, head: bytes) -> bytes:
        """A head under one quick signature: nobody verifies it here."""
        return jws.sign(head, typ=jws.TYP_HEAD, signers=[self._signer], issued_s=START_MS // 1000)  # type: ignore[list-item]


def make_world() -> World:
    """Sign everything. Takes a fifth of a second."""
    clock = FixedClock(START_MS)
    fakes = [FakeAuthority(name, now_ms=START_MS) for name in NAMES]
    trust = fake_trust_list(fakes, now_ms=START_MS, shards=SHARDS, ledger_partitions=LEDGER_PARTITIONS)
    authors = {fake.id: Author(fake, trust, clock, Random(str(fake.id))) for fake in fakes}
    scripts: dict[AuthorityId, list[Step]] = {name: [] for name in NAMES}
    questions: list[tuple[AuthorityId, Question]] = []
    received: dict[tuple[AuthorityId, AuthorityId], Reference] = {}
    for sender, author in authors.items():
        for recipient in NAMES:
            if recipient != sender:
                scripts[sender] += _to(author, recipient, questions, received)
    for (recipient, sender), reference in received.items():
        scripts[recipient].append(Step(authors[recipient].delivered(sender, [reference]), after=reference[0]))
    for recipient, question in questions:
        scripts[recipient].append(Step(authors[recipient].answer(question), after=question.message))
    return World(trust, scripts)


def _to(
    author: Author,
    recipient: AuthorityId,
    questions: list[tuple[AuthorityId, Question]],
    received: dict[tuple[AuthorityId, AuthorityId], Reference],
) -> list[Step]:
    first = author.plain(recipient)
    asked = author.clocked(recipient, due_in_ms=ANSWERED_DUE_MS, answer_ms=0)
    silent = author.clocked(recipient, due_in_ms=SILENT_DUE_MS, answer_ms=None)
    said = lines.manifest(asked.record.headers)
    question = Question(author.id, said["id"], said["thr"], said["clk"][0]["id"])
    questions.append((recipient, question))
    plain = lines.manifest(first.record.headers)
    received[recipient, author.id] = (plain["id"], plain["thr"])
    conflict = author.conflicting(recipient, MessageId(plain["id"]))
    others = [author.misplaced(recipient), conflict, author.expired(recipient), author.plain(recipient)]
    return [Step(each) for each in (first, asked, silent, *others, _stolen(first))]


def _stolen(letter: Letter) -> Letter:
    """The same signed bytes with another value."""
    record = letter.record
    return Letter(Outgoing(record.topic, record.key, b"other bytes", record.headers), "refuse")
