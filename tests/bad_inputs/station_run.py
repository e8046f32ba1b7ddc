"""Every bad message through the hub's real steps to a real gateway, and what its signed receipt lists say of it."""

from __future__ import annotations

import contextlib
import io
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from connectors.gateway.objects import open_objects
from hub.core.access import access_rules, topic_specs
from hub.core.authority import HubRole
from hub.core.entries import MessageEntry
from hub.core.ids import MessageId
from hub.core.manifest import ReceiptLevel
from hub.core.records import HUB_HEADER, JWS_HEADER, Outgoing, Record
from hub.core.topics import LEDGER, outbox
from hub.envelope import jws
from hub.envelope.manifest import decode
from hub.envelope.signers import generate_signer
from hub.testing import FixedClock, MemoryBroker, MemoryBus
from hub.wire.ledger import decode_ledger
from tests.bad_inputs.cases import ACCEPTED, Expected, Outcome
from tests.bad_inputs.forger import Forger
from tests.bad_inputs.opening_cases import OpeningCase
from tests.bad_inputs.router_run import Result
from tests.bad_inputs.said import holds_canary
from tests.bad_inputs.smith import jws_payload
from tests.gateway.conftest import NOW_MS, XA, XB, XC, Hub, Keys, Trust, enrol, request
from tests.gateway.net.conftest import Station

STEPS_MAX: Final = 5  # of the gateway, until it says something: a missing object is looked for three times


class StationRun:
    """One gateway for all cases."""

    def __init__(self, home: Path) -> None:
        pair = ("Ed25519", "ML-DSA-65")
        roles = {role: tuple(generate_signer(each) for each in pair) for role in (HubRole.ROUTER, HubRole.WATCH)}
        keys = Keys({name: enrol(name) for name in (XA, XB, XC)}, roles)
        trust = Trust(keys)
        specs = topic_specs(trust.trust.authorities, shards=1, ledger_partitions=1, replication=1)
        rules = access_rules(trust.trust.authorities, shards=1)
        self._hub = Hub(MemoryBroker(FixedClock(NOW_MS), specs=specs, rules=rules), trust, roles)
        self._station = Station(XB, home, keys.members[XB].keyring, self._hub, request())
        self._forger = Forger(keys, trust, open_objects(str(home / "objects")))
        self._database = home / XB / "connector.db"
        self._codes: dict[MessageId, Expected] = {}
        self._read = 0
        self.log = io.StringIO()

    async def many(self, cases: Sequence[OpeningCase]) -> list[Result]:
        """Send all of one pair, a good one last: whatever stopped a message's next would stop all that follow."""
        letters = [case.write(self._forger) for case in cases]
        last = self._forger.letter()
        writer = await MemoryBus(self._hub.broker, XA).writer()
        await writer.send([*letters, last])
        self._hub.route()
        took = self._receive()
        faults = tuple(self._traces())
        for _ in range(STEPS_MAX):
            await self._station.step()
            self._hub.route()
        self._follow()
        nothing = Expected(Outcome.REFUSED, self._hub_codes() or "nothing-was-said")
        if self._codes.get(_id_of(last)) != ACCEPTED:
            faults = (*faults, "the last message, a good one, was not delivered")
        faults = (*faults, *self._traces())
        return [
            Result(case, self._codes.get(_id_of(letter), nothing), took.get(_id_of(letter), 0.0), 0.0, faults)
            for case, letter in zip(cases, letters, strict=True)
        ]

    def _receive(self) -> dict[MessageId, float]:
        """Take in one record after the other; how many milliseconds each message took."""
        took: dict[MessageId, float] = {}
        for record in self._station.records()[self._station.receiver.next_offset() :]:
            began = time.perf_counter()
            taken = self._station.receiver.take([record], self._hub.trust.view, now_ms=NOW_MS)
            if HUB_HEADER not in dict(record.headers):
                took[_id_of(record)] = (time.perf_counter() - began) * 1000
            self._station.alerts += taken.alerts
        return took

    def _hub_codes(self) -> str:
        """What the hub refused, which it should not have seen anything of."""
        entries = [
            each for record in self._hub.broker.records(LEDGER) for each in decode_ledger(record.value or b"").entries
        ]
        return " ".join(each.code for each in entries if isinstance(each, MessageEntry) and each.code is not None)

    def close(self) -> Iterator[str]:
        """Close the gateway. Yields what should not be in its database."""
        self._station.store.close()
        if holds_canary(self._database.read_bytes()):
            yield "content in the gateway's database"

    def _follow(self) -> None:
        """Read on in what the recipient says."""
        records = self._hub.broker.records(outbox(XB))
        for record in records[self._read :]:
            manifest = decode(
                jws.parse(dict(record.headers)[JWS_HEADER], typ=jws.TYP_MANIFEST, bytes_max=1 << 16).payload
            )
            for receipt in manifest.receipts:
                refused = receipt.level is ReceiptLevel.REFUSED
                self._codes[receipt.message] = Expected(Outcome.RECIPIENT, receipt.why) if refused else ACCEPTED
        self._read = len(records)

    def _traces(self) -> Iterator[str]:
        told = [*self._station.alerts, self.log.getvalue()]
        if holds_canary(repr(told).encode()):
            yield "content in an alert or a log"
        if "Traceback" in self.log.getvalue():
            yield "a traceback"
        self._station.alerts.clear()
        self.log.seek(0)
        self.log.truncate()


def _id_of(message: Outgoing | Record) -> MessageId:
    return MessageId(jws_payload(dict(message.headers)[JWS_HEADER])["id"])


async def run_through_gateway(cases: Sequence[OpeningCase], home: Path) -> list[Result]:
    """Every case through one gateway, with new keys. Raises ``AssertionError`` when its database holds content."""
    run = StationRun(home)
    handler = logging.StreamHandler(run.log)
    logging.getLogger().addHandler(handler)
    try:
        with contextlib.redirect_stderr(run.log), contextlib.redirect_stdout(run.log):
            results = await run.many(cases)
    finally:
        logging.getLogger().removeHandler(handler)
        left = list(run.close())
    if left:
        raise AssertionError(left)
    return results
