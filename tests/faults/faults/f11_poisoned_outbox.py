"""F11: one authority writes bad records of fifty kinds while the others go on."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import partial
from random import Random
from typing import Any, Final

from hub.core.ids import AuthorityId
from hub.core.topics import outbox
from hub.testing import FakeAuthority, fake_trust_list
from tests.bad_inputs.cases import Case, Outcome
from tests.bad_inputs.records import poison, record_kinds
from tests.faults import lines
from tests.faults.doses import FULL, PULL_REQUEST, Dose
from tests.faults.lab import Lab
from tests.faults.plan import LIVE
from tests.faults.report import percentile
from tests.faults.traffic import neighbour_of

NAME: Final = "F11"
TITLE: Final = "one outbox is poisoned with fifty kinds of bad records"
KINDS: Final = 50
VICTIM: Final = 0
NAMES: Final = (AuthorityId("xa-moj"), AuthorityId("xb-pgo"), AuthorityId("xc-acc"))
LIST_NUMBER: Final = 2  # of the lab's trust list: some kinds are made for the first
START_MS: Final = 1_795_600_800_000
WARM_SECONDS: Final = 8.0
SAID: Final[Mapping[str, Any]] = {
    "op": 0,
    "outcome": "ok",
    "expect": None,
    "offset": 0,
    "begun_ms": 0,
    "ended_ms": 0,
}
DOSES: Final[Mapping[str, Dose]] = {
    PULL_REQUEST: Dose(messages=2_800, rate=80, faults=KINDS),
    FULL: Dose(messages=12_000, rate=80, faults=3 * KINDS),
}


async def run(lab: Lab, dose: Dose, chance: Random) -> Mapping[str, object]:
    """Half of the time in peace, half under poison; the waits of everybody but the poisoner are compared."""
    victim, neighbour = lab.authors[VICTIM], lab.authors[VICTIM + 1]
    recipient = neighbour_of(lab.authors, VICTIM, LIVE)
    kinds = _kinds(chance)
    await lab.sleep(WARM_SECONDS)
    begun_ms = lab.clock.now_ms()
    await lab.sleep((dose.seconds - WARM_SECONDS) / 2)
    poisoned_ms = lab.clock.now_ms()
    for number in range(dose.faults):
        lab.traffic.submit(VICTIM, partial(victim.poisoned, kinds[number % len(kinds)], recipient, neighbour))
        await lab.sleep((dose.seconds - WARM_SECONDS) / 2 / dose.faults)
    mine = outbox(victim.id)
    others = [(time_ms, wait_ms) for topic, time_ms, wait_ms in lab.progress.waits if topic != mine]
    quiet = percentile([wait_ms for time_ms, wait_ms in others if begun_ms <= time_ms < poisoned_ms], 99)
    poisoned = percentile([wait_ms for time_ms, wait_ms in others if time_ms >= poisoned_ms], 99)
    rise = round(poisoned / quiet - 1, 3) if quiet and poisoned is not None else None
    return {"kinds": len(kinds), "p99_ms_quiet": quiet, "p99_ms_poisoned": poisoned, "p99_rise": rise}


def _kinds(chance: Random) -> list[Case]:
    """Fifty kinds that the hub decides by themselves, drawn; a history has room for one clock operation a message."""
    sender, recipient, neighbour = (FakeAuthority(name, now_ms=START_MS) for name in NAMES)
    trust = fake_trust_list((sender, recipient, neighbour), now_ms=START_MS, number=LIST_NUMBER)
    fit: list[Case] = []
    for kind in record_kinds():
        with contextlib.suppress(ValueError):
            made = poison(kind, sender, recipient.id, neighbour=neighbour, trust=trust, now_ms=START_MS)
            lines.submission(**SAID, topic=outbox(sender.id), headers=made.headers, value=made.value)
            if not made.before and kind.expected.outcome in {Outcome.REFUSED, Outcome.ACCEPTED}:
                fit.append(kind)
    return chance.sample(fit, KINDS)
