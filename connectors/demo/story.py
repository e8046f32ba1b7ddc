"""The story: four chapters, each a promise of the hub that is tried on the spot."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from connectors.bootstrap import State
from connectors.demo import hostile, samples
from connectors.demo.narration import Narration
from connectors.demo.office import Office
from connectors.demo.stage import Stage
from connectors.demo.tally import Tally, take_stock
from connectors.demo.verification import Verifier
from connectors.gateway.keyring import read_keyring
from connectors.staging.deployment import COUNTS
from hub.adapters.reading import read_to_end
from hub.core.access import ADMIN
from hub.core.authority import TrustList
from hub.core.clocks import Flag
from hub.core.ids import AuthorityId, MessageId, uuid7
from hub.core.manifest import ClockKind, MessageType
from hub.core.records import Outgoing, Place, Position, Record
from hub.core.topics import outbox
from hub.errors import NotPermitted
from hub.ports import Chance, Clock

XA, XB, XC = samples.CAST
SECOND_MS: Final = 1000
DAY_MS: Final = 24 * 3600 * SECOND_MS
UNHURRIED_MS: Final = 3600 * SECOND_MS
HURRIED_MS: Final = 8 * SECOND_MS  # what a request that is left unanswered has
BURST: Final = 8  # requests each way while the router is killed
RECEIVED: Final = ("accepted", "delivered", "opened")


class Story:
    """Everything that happens between the curtain's rise and its fall."""

    def __init__(self, stage: Stage, narration: Narration, clock: Clock, chance: Chance) -> None:
        self._stage = stage
        self._say = narration
        self._clock = clock
        self._chance = chance
        self._offices: dict[AuthorityId, Office] = {}
        self._verifier = Verifier(stage.home)
        self._written = 0

    async def play(self) -> Tally:
        """All chapters, then the count. Raises ``ComityError`` when the story cannot go on."""
        self._say.chapter("Before: three authorities are enrolled; keys are made in their own folders and stay there")
        for authority, name in samples.CAST.items():
            await self._enrol(authority, name)
        await self._stage.ready()
        self._say.tell("hub", "router, registrar, watch and three connectors are at work")
        await self._answered_request()
        await self._late_answer()
        await self._refusals()
        await self._killed_router()
        return await self._count()

    # --- before -------------------------------------------------------------------------------------

    async def _enrol(self, authority: AuthorityId, name: str) -> None:
        state: State = await self._stage.enrol(authority, name)
        self._offices[authority] = Office(state, self._clock, self._chance, self._stage.check_alive)
        self._say.tell(
            authority, f"{name}: named by trust list {self._trust().number}, topics and permissions are there"
        )

    # --- 1 ------------------------------------------------------------------------------------------

    async def _answered_request(self) -> None:
        self._say.chapter("1. A request for mutual legal assistance with a PDF, acknowledged and answered")
        xa, xb = self._offices[XA], self._offices[XB]
        pdf = samples.pdf()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bank-records-request.pdf"
            path.write_bytes(pdf)
            due_ms = self._due(UNHURRIED_MS)
            clocks = {ClockKind.ACK: due_ms, ClockKind.REPLY: due_ms}
            hand_in = xa.request(XB, self._request(XA, "Road contract, lot 4"), clocks=clocks, files=[path])
        self._say.tell(XA, f"hands in request {hand_in.key[-8:]} with a PDF of {len(pdf) / 2**20:.0f} MiB")
        for level in RECEIVED:
            await self._level(xa, hand_in.key, level)
        received = await xb.message(hand_in.key)
        file = Path(received["folder"]) / received["files"][0]["file"]
        same = hashlib.sha256(file.read_bytes()).digest() == hashlib.sha256(pdf).digest()
        self._say.expect("the PDF is the one that was sent", expected=True, actual=same)
        self._say.tell(XB, "finds the request and the PDF in its in folder, equal to the last byte")
        estimated = samples.day(self._clock.now_ms() + 30 * DAY_MS)
        document = samples.acknowledgement(self._number(), now_ms=xb.now_ms(), estimated_day=estimated)
        xb.reply(received, MessageType.ACK, document, {ClockKind.ACK})
        self._say.tell(XB, f"acknowledges as an authority: expects to answer by {estimated}")
        await self._level(xa, hand_in.key, "acknowledged")
        await self._answer(xb, received)
        await self._level(xa, hand_in.key, "answered")
        checked = self._verifier.verify_all(xa.desk, hand_in.key, levels=(*RECEIVED, "acknowledged", "answered"))
        self._say.tell(
            XA, f"verified {checked} receipts of {hand_in.key[-8:]}: the hub's and {XB}'s signatures, path by path"
        )
        self._say.expect("receipts verified", expected=5, actual=checked)

    # --- 2 ------------------------------------------------------------------------------------------

    async def _late_answer(self) -> None:
        self._say.chapter("2. A request that is left unanswered: warned, flagged overdue to both sides, answered late")
        xa, xb = self._offices[XA], self._offices[XB]
        due_ms = self._due(HURRIED_MS)
        hand_in = xa.request(XB, self._request(XA, "Beneficial owners"), clocks={ClockKind.REPLY: due_ms})
        self._say.tell(XA, f"hands in request {hand_in.key[-8:]}, reply due in {HURRIED_MS // SECOND_MS} s")
        await self._level(xa, hand_in.key, "opened")
        received = await xb.message(hand_in.key)
        for flag in (Flag.WARNING, Flag.OVERDUE):
            for office in (xa, xb):
                told = await office.flag(hand_in.key, flag.value)
                self._say.tell(office.id, f"is told by the hub: {flag.value}, {told['waits']} waits on {told['owes']}")
        await self._answer(xb, received)
        for office in (xa, xb):
            await office.flag(hand_in.key, Flag.MET_LATE.value)
            self._say.tell(office.id, "is told by the hub: met late; the flag is lifted, the answer is kept as late")
        await self._level(xa, hand_in.key, "answered")

    # --- 3 ------------------------------------------------------------------------------------------

    async def _refusals(self) -> None:
        self._say.chapter("3. Twice, replayed, damaged, revoked, stolen, not permitted: without effect, with a reason")
        xa, xc = self._offices[XA], self._offices[XC]
        asked = xc.request(XA, self._request(XC, "Frozen account"), clocks={})
        await self._level(xc, asked.key, "opened")
        await self._handed_in_twice(xa)
        sample = (await self._records(outbox(XA)))[0]
        now_ms = self._clock.now_ms()
        keys = read_keyring(xa.state.folder.keys).signers
        await self._put(XA, hostile.replayed(sample), "the same record again", None)
        again = hostile.signed_anew(sample, message=self._message_id(), signers=keys, now_ms=now_ms)
        await self._put(XA, again, "an old message replayed under a new id and signature", "already-used")
        await self._put(XA, hostile.flipped(sample), "a record with one flipped bit", "digest-mismatch")
        await self._put(
            XC, hostile.stolen(sample, XC), f"{XA}'s record, put by {XC} into its own outbox", "sender-mismatch"
        )
        await self._revoked_key(xc, sample)
        try:
            await self._write(XC, hostile.replayed(sample))
        except NotPermitted as refusal:
            self._say.tell("broker", f"denies {XC} a write to {outbox(XA)} [{refusal.code}]")
        else:
            self._say.expect(f"{XC} may not write to {outbox(XA)}", expected="denied", actual="written")
        quarantined = await self._records("hub.quarantine")
        self._say.expect("records in quarantine", expected=4, actual=len(quarantined))
        self._say.tell("hub", f"keeps {len(quarantined)} references in quarantine; everybody else's traffic went on")

    async def _handed_in_twice(self, office: Office) -> None:
        hand_in = office.request(XB, self._request(XA, "Company register"), clocks={})
        await self._level(office, hand_in.key, "opened")
        office.again(hand_in)
        await office.until(lambda: None if office.desk.waits(hand_in.key) else True, "the second hand-in was not taken")
        self._say.tell(office.id, f"hands in {hand_in.key[-8:]} a second time: the same message, sent once")

    async def _revoked_key(self, xc: Office, sample: Record) -> None:
        signers = read_keyring(xc.state.folder.keys).signers
        number = await self._stage.revoke_key(XC, signers[0].key)
        self._say.tell("secretariat", f"revokes a signing key of {XC}: trust list {number}")
        # The log's time must lie after the revocation, and the router must have read the list.
        trust = self._trust()
        forged = hostile.forged(
            sample,
            sender=XC,
            message=self._message_id(),
            signers=signers,
            trust=trust,
            now_ms=self._clock.now_ms(),
        )
        await self._put(XC, forged, "a message signed with the revoked key", "key-revoked")

    async def _put(self, owner: AuthorityId, record: Outgoing, what: str, code: str | None) -> None:
        """Write a record as ``owner`` and wait for the hub's signed answer."""
        position = await self._write(owner, record)
        if (
            code is None
        ):  # a repeat is answered by the first receipt, which names the first offset: look into the ledger
            await self._ledger_repeat(self._offices[owner])
            self._say.tell(owner, f"{what}: the first receipt again, no second delivery")
            return
        deadline = self._say.seconds + 60
        claim = None
        while claim is None and self._say.seconds < deadline:
            claim = await hostile.answer_to(self._stage.bus(owner), owner, position, self._trust())
            await asyncio.sleep(0 if claim else 0.2)
        self._say.expect(f"{what}: reason", expected=code, actual=claim.code if claim else "no answer")
        self._say.tell(owner, f"{what}: refused, {code}; the signed reason is in {owner}'s inbox")

    async def _ledger_repeat(self, office: Office) -> None:
        deadline = self._say.seconds + 60
        while self._say.seconds < deadline:
            tally = await self._stock()
            if tally.repeats:
                return
            await asyncio.sleep(0.2)
        self._say.expect(f"a repeat of {office.id} in the ledger", expected="there", actual="missing")

    async def _write(self, principal: AuthorityId, record: Outgoing) -> Position:
        writer = await self._stage.bus(principal).writer()
        try:
            return (await writer.send([record]))[0]
        finally:
            await writer.close()

    # --- 4 ------------------------------------------------------------------------------------------

    async def _killed_router(self) -> None:
        self._say.chapter("4. The router is killed in the middle and started again")
        xa, xb = self._offices[XA], self._offices[XB]
        sent: list[tuple[Office, str]] = []
        for number in range(BURST):
            for office, to in ((xa, XB), (xb, XA)):
                sent.append((office, office.request(to, self._request(office.id, f"Burst {number}"), clocks={}).key))
        await self._level(*sent[0], "accepted")
        await self._stage.kill_router()
        self._say.tell("router", f"killed while {len(sent)} requests are under way")
        began = self._say.seconds
        await self._stage.start_router()
        self._say.tell("router", "started again: takes its shards over, reads its state from the log")
        for office, key in sent:
            await office.level(key, "opened")
        self._say.tell("hub", f"all {len(sent)} requests opened {self._say.seconds - began:.1f} s after the kill")

    # --- after --------------------------------------------------------------------------------------

    async def _count(self) -> Tally:
        handed_in = {(office.id, key) for office in self._offices.values() for key in office.handed_in}
        tally = await self._stock()
        expect = self._say.expect
        expect("messages submitted", handed_in, tally.submitted)
        expect("messages accepted", handed_in, tally.accepted)
        expect("messages delivered", handed_in, tally.delivered)
        expect("messages opened", handed_in, tally.opened)
        expect("requests acknowledged", 1, len(tally.acknowledged))
        expect("requests answered", 2, len(tally.answered))
        expect("overdue flags", 1, len(tally.overdue))
        expect("late answers", 1, len(tally.late))
        reasons = {"already-used": 1, "digest-mismatch": 1, "sender-mismatch": 1, "key-revoked": 1}
        expect("refusals", reasons, dict(tally.refused))
        expect("repeats", 1, tally.repeats)
        expect("messages lost", set(), tally.lost)
        expect("messages duplicated", 0, tally.duplicated)
        return tally

    async def _stock(self) -> Tally:
        states: Sequence[State] = [office.state for office in self._offices.values()]
        return await take_stock(self._stage.bus(ADMIN), states, ledger_partitions=COUNTS.ledger_partitions)

    async def _records(self, topic: str) -> list[Record]:
        reader = await self._stage.bus(ADMIN).reader({Place(topic, 0): 0})
        try:
            return [record async for record in read_to_end(reader)]
        finally:
            await reader.close()

    async def _level(self, office: Office, key: str, level: str) -> None:
        confirmation = await office.level(key, level)
        by = "the hub" if level == "accepted" else confirmation["to"]
        self._say.tell(office.id, f"receives for {key[-8:]}: {level}, signed by {by}")

    async def _answer(self, office: Office, received: Mapping[str, Any]) -> None:
        document = samples.answer(self._number(), now_ms=office.now_ms())
        office.reply(received, MessageType.RESPONSE, document, {ClockKind.REPLY})
        self._say.tell(office.id, f"answers {received['id'][-8:]}")

    def _request(self, authority: AuthorityId, subject: str) -> bytes:
        return samples.request(self._number(), requesting=authority, now_ms=self._clock.now_ms(), subject=subject)

    def _number(self) -> int:
        self._written += 1
        return self._written

    def _due(self, span_ms: int) -> int:
        # Whole seconds, as a person would set them.
        return (self._clock.now_ms() + span_ms) // SECOND_MS * SECOND_MS + SECOND_MS

    def _message_id(self) -> MessageId:
        return uuid7(self._clock.now_ms(), self._chance.bytes(10))

    def _trust(self) -> TrustList:
        return self._verifier.trust()
