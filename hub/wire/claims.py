"""Claims, heads, bundles and receipts as models, for the published JSON Schemas.

``hub.envelope.claims`` and ``hub.envelope.receipts`` read and write the exact bytes; see ``hub.wire.manifest``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hub.core.clocks import Flag
from hub.core.limits import MANIFEST_JWS_BYTES_MAX
from hub.core.manifest import ClockKind
from hub.envelope.claims import CODE_PATTERN
from hub.envelope.receipts import CLAIMS_MAX, PATH_HASHES_MAX
from hub.wire.grammar import (
    AuthorityText,
    ClockText,
    Count,
    DerivedText,
    DigestText,
    MessageText,
    Milliseconds,
    Number,
    ThreadText,
    TimeText,
    Wire,
    WriterText,
)

CodeWord = Annotated[str, Field(pattern=CODE_PATTERN, description="a reason code")]
PairList = Annotated[tuple[AuthorityText, AuthorityText], Field(description="who waits or wrote, the other side")]
Path = Annotated[tuple[DigestText, ...], Field(max_length=PATH_HASHES_MAX)]


class OutboxModel(Wire):
    """Where the record lies, and when the broker took it."""

    topic: Annotated[str, Field(pattern=r"^outbox\.[a-z]{2}-[a-z0-9]{2,24}$")]
    partition: Count
    offset: Count
    time_ms: Milliseconds


class ExpectedModel(Wire):
    """What the pair's next message must carry."""

    seq: Number
    prev: DigestText | None


class ChainClaimModel(Wire):
    """The first claim of every bundle; ``count`` claims follow."""

    kind: Literal["chain"]
    inbox: str
    n: Number
    prev: DigestText | None
    count: Count


class ReceiptClaimModel(Wire):
    """What the hub decided about one outbox record: accepted when ``code`` is null."""

    kind: Literal["receipt"]
    id: DerivedText
    outbox: OutboxModel
    jws: DigestText | None
    message: MessageText | None
    thr: ThreadText | None
    code: CodeWord | None
    counted: bool
    expected: ExpectedModel | None
    tl: Number


class RoutedClaimModel(Wire):
    """The values at which the recipient judges a copy."""

    kind: Literal["routed"]
    jws: DigestText
    outbox: OutboxModel
    tl: Number


class GapClaimModel(Wire):
    """A counted refusal, with the whole refused JWS."""

    kind: Literal["gap"]
    jws_text: Annotated[str, Field(max_length=MANIFEST_JWS_BYTES_MAX)]
    outbox: OutboxModel
    code: CodeWord
    tl: Number


class FlagClaimModel(Wire):
    """A warning, an overdue flag, or its lifting; ``of`` is the clock's kind."""

    kind: Literal["flag"]
    id: DerivedText
    flag: Flag
    percent: Annotated[int, Field(ge=0, le=100)]
    pair: PairList
    thr: ThreadText
    clock: ClockText
    of: ClockKind
    message: MessageText
    due_ms: Milliseconds
    time_ms: Milliseconds


class IgnoredClaimModel(Wire):
    """A clock operation without effect."""

    kind: Literal["clk-ignored"]
    id: DerivedText
    pair: PairList
    thr: ThreadText
    clock: ClockText
    message: MessageText
    code: CodeWord
    time_ms: Milliseconds


ClaimModel = Annotated[
    ChainClaimModel | ReceiptClaimModel | RoutedClaimModel | GapClaimModel | FlagClaimModel | IgnoredClaimModel,
    Field(discriminator="kind"),
]


class HeadModel(Wire):
    """The payload of a signed head (JWS of type ``comity-head+jws``)."""

    v: Literal["comity-head/1"]
    writer: WriterText
    n: Number
    prev: DigestText | None
    root: DigestText
    size: Number
    iat: TimeText


class BundleModel(Wire):
    """The value of a bundle record; each of ``claims`` is a claim's exact text."""

    v: Literal["comity-bundle/1"]
    head: Annotated[str, Field(description="the head's JWS, exact text")]
    start: Count
    path: Path
    claims: Annotated[tuple[str, ...], Field(min_length=1, max_length=CLAIMS_MAX)]


class ReceiptModel(Wire):
    """A claim that was cut out of a bundle and stands alone."""

    v: Literal["comity-receipt/1"]
    head: Annotated[str, Field(description="the head's JWS, exact text")]
    index: Count
    path: Path
    claim: str
