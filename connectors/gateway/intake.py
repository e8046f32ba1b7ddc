"""One transaction that takes in records of the inbox: what it knows of chains and claims, and what it has to write.

Most of what a record asks and changes is asked or changed by its neighbours too: a claim comes and is spent, a chain
moves from one to the next. So all is read once, kept here, and written once by ``flush``. Nothing is decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, select

from connectors.gateway import inbox, owed, results
from connectors.gateway.incoming import PairHead
from connectors.gateway.owed import OwedReceipt
from connectors.gateway.results import Result
from connectors.gateway.statements import Change, Query, insertion, one_of, replacement
from connectors.gateway.tables import BUNDLES, CLAIMS, INCOMING, INCOMING_PAIRS, LINKS, RECEIVED
from hub.core.ids import AuthorityId, Digest, MessageId
from hub.core.manifest import Manifest
from hub.core.receipts import RoutedClaim
from hub.core.records import Position, Record

_LINKS: Final = Query(select(LINKS.c.digest).where(one_of(LINKS.c.digest, "digests")))
_CLAIMS: Final = Query(select(CLAIMS).where(one_of(CLAIMS.c.digest, "digests")))
_SPEND: Final = Change(delete(CLAIMS).where(one_of(CLAIMS.c.digest, "digests")))
_ADD_CLAIMS: Final = Change(insertion(CLAIMS))
_PAIR: Final = Query(select(INCOMING_PAIRS).where(INCOMING_PAIRS.c.sender == bindparam("of")))
_WRITE_PAIRS: Final = Change(replacement(INCOMING_PAIRS, "sender"))
_LAST_BUNDLE: Final = Query(
    select(BUNDLES).where(BUNDLES.c.writer == bindparam("of")).order_by(BUNDLES.c.n.desc()).limit(1)
)
_IDS: Final = Query(select(INCOMING.c.id, INCOMING.c.sender).where(one_of(INCOMING.c.id, "ids")))
_ADD: Final = {
    LINKS.name: Change(insertion(LINKS)),
    BUNDLES.name: Change(insertion(BUNDLES)),
    INCOMING.name: Change(insertion(INCOMING)),
    RECEIVED.name: Change(insertion(RECEIVED)),
}


class Intake:
    """What the transaction of ``connection`` knows. Parked records are in the database only: they are rare."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.any_parked = inbox.any_parked(connection)
        self.owed: list[OwedReceipt] = []
        self.results: list[Result] = []
        self._asked: set[Digest] = set()  # of these the database's claim and link are known here
        self._claims: dict[Digest, RoutedClaim] = {}
        self._stored_claims: set[Digest] = set()
        self._links: set[Digest] = set()
        self._pairs: dict[AuthorityId, PairHead] = {}
        self._moved: set[AuthorityId] = set()
        self._ids: dict[MessageId, set[AuthorityId]] = {}
        self._last_bundles: dict[str, tuple[int, Digest] | None] = {}
        self._rows: dict[str, list[Mapping[str, Any]]] = {"links": [], "bundles": [], "incoming": [], "received": []}

    # --- claims and links -----------------------------------------------------------------------

    def know(self, digests: Iterable[Digest]) -> None:
        """Read what is stored of these manifests, all at once."""
        new = [each for each in dict.fromkeys(digests) if each not in self._asked]
        if not new:
            return
        self._asked.update(new)
        self._links.update(row.digest for row in _LINKS.rows(self.connection, digests=new))
        for row in _CLAIMS.rows(self.connection, digests=new):
            self._stored_claims.add(row.digest)
            self._claims[row.digest] = RoutedClaim(
                jws=row.digest,
                outbox=Position(row.topic, row.partition, row.offset, row.time_ms),
                trust_list=row.trust_list,
            )

    def has_link(self, digest: Digest) -> bool:
        """Whether this very manifest has moved its chain before."""
        self.know([digest])
        return digest in self._links

    def claim(self, digest: Digest) -> RoutedClaim | None:
        """The claim for a copy."""
        self.know([digest])
        return self._claims.get(digest)

    def add_claim(self, claim: RoutedClaim) -> None:
        """How a copy that comes is judged; the first claim counts."""
        self.know([claim.jws])
        self._claims.setdefault(claim.jws, claim)

    def spend_claim(self, digest: Digest) -> None:
        """The claim has judged its copy; what it said stands with the message."""
        self._claims.pop(digest, None)

    # --- chains ---------------------------------------------------------------------------------

    def pair(self, sender: AuthorityId) -> PairHead:
        """Where the chain from a sender stands."""
        if sender not in self._pairs:
            row = _PAIR.row(self.connection, of=sender)
            self._pairs[sender] = PairHead() if row is None else PairHead(row.sequence, row.head, row.blocked)
        return self._pairs[sender]

    def write_pair(self, sender: AuthorityId, pair: PairHead) -> None:
        """Keep where the chain stands."""
        self._pairs[sender] = pair
        self._moved.add(sender)

    def move_chain(self, manifest: Manifest, digest: Digest) -> None:
        """The manifest is the newest of its pair."""
        self.know([digest])
        self._links.add(digest)
        self._rows["links"].append({"digest": digest, "sender": manifest.sender, "sequence": manifest.sequence})
        blocked = self.pair(manifest.sender).blocked
        self.write_pair(manifest.sender, PairHead(manifest.sequence, digest, blocked))

    def last_bundle(self, writer: str) -> tuple[int, Digest] | None:
        """The highest number of this writer of bundles, and its digest."""
        if writer not in self._last_bundles:
            row = _LAST_BUNDLE.row(self.connection, of=writer)
            self._last_bundles[writer] = None if row is None else (row.n, row.digest)
        return self._last_bundles[writer]

    def bundle_digest(self, writer: str, n: int) -> Digest | None:
        """The digest of bundle ``n`` of this writer."""
        last = self.last_bundle(writer)
        if last is None or n > last[0]:
            return None
        if n == last[0]:
            return last[1]
        for row in self._rows["bundles"]:
            if (row["writer"], row["n"]) == (writer, n):
                return Digest(row["digest"])
        statement = select(BUNDLES.c.digest).where(BUNDLES.c.writer == writer, BUNDLES.c.n == n)
        return self.connection.execute(statement).scalar_one_or_none()

    def add_bundle(self, writer: str, n: int, digest: Digest) -> None:
        """The bundle was read."""
        last = self.last_bundle(writer)
        if last is None or n > last[0]:
            self._last_bundles[writer] = (n, digest)
        self._rows["bundles"].append({"writer": writer, "n": n, "digest": digest})

    # --- messages -------------------------------------------------------------------------------

    def know_ids(self, messages: Iterable[MessageId]) -> None:
        """Read which of these ids were taken in before, and from whom, all at once."""
        new = [each for each in dict.fromkeys(messages) if each not in self._ids]
        if new:
            self._ids.update({each: set() for each in new})
            for row in _IDS.rows(self.connection, ids=new):
                self._ids[MessageId(row.id)].add(AuthorityId(row.sender))

    def known(self, sender: AuthorityId, message: MessageId) -> bool:
        """Whether a message of this id was taken in before."""
        self.know_ids([message])
        return sender in self._ids[message]

    def add_message(
        self, record: Record, manifest: Manifest, claim: RoutedClaim, *, state: str, code: str | None = None
    ) -> None:
        """Keep a message. States: stored (to be handed over), delivered, refused, read (a receipt list)."""
        self.know_ids([manifest.id])
        self._ids[manifest.id].add(manifest.sender)
        self._rows["received"].append({"digest": claim.jws, "jws": inbox.header(record), "value": record.value or b""})
        self._rows["incoming"].append(
            {
                "sender": manifest.sender,
                "id": manifest.id,
                "digest": claim.jws,
                "type": manifest.type.value,
                "thread": manifest.thread,
                "in_reply_to": manifest.in_reply_to,
                "sequence": manifest.sequence,
                "outbox_offset": claim.outbox.offset,
                "time_ms": claim.outbox.time_ms,
                "trust_list": claim.trust_list,
                "inbox_offset": record.offset,
                "state": state,
                "code": code,
                "tries": 0,
            }
        )

    # --- the end --------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write all of it; the transaction may be committed then."""
        connection = self.connection
        for table, rows in self._rows.items():
            _ADD[table].run_all(connection, rows)
        self._flush_claims()
        moved = [{"sender": sender, **_pair_row(self._pairs[sender])} for sender in self._moved]
        _WRITE_PAIRS.run_all(connection, moved)
        owed.add(connection, self.owed)
        results.add(connection, self.results)

    def _flush_claims(self) -> None:
        spent = self._stored_claims - self._claims.keys()
        if spent:
            _SPEND.run(self.connection, digests=spent)
        new = [claim for digest, claim in self._claims.items() if digest not in self._stored_claims]
        _ADD_CLAIMS.run_all(self.connection, [_claim_row(each) for each in new])


def _claim_row(claim: RoutedClaim) -> Mapping[str, Any]:
    return {
        "digest": claim.jws,
        "topic": claim.outbox.topic,
        "partition": claim.outbox.partition,
        "offset": claim.outbox.offset,
        "time_ms": claim.outbox.time_ms,
        "trust_list": claim.trust_list,
    }


def _pair_row(pair: PairHead) -> Mapping[str, Any]:
    return {"sequence": pair.sequence, "head": pair.head, "blocked": pair.blocked}
