"""F3: the broker is killed, restarted cleanly, and left away for half a minute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from tests.faults.doses import FULL, PULL_REQUEST, Dose
from tests.faults.lab import Lab
from tests.faults.report import percentile

NAME: Final = "F3"
TITLE: Final = "the broker is killed, restarted, away for half a minute"
AWAY_SECONDS: Final = 30.0
KILL, RESTART, AWAY = "broker killed", "broker restarted", "broker away"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerDose(Dose):
    """``faults`` in all: how many of them are kills, clean restarts, and long absences."""

    killed: int
    restarted: int
    away: int

    def scaled(self, messages: int) -> BrokerDose:
        """As for any dose, each kind of loss by itself."""
        killed, restarted, away = (
            max(1, round(each * messages / self.messages)) for each in (self.killed, self.restarted, self.away)
        )
        return replace(
            self, messages=messages, faults=killed + restarted + away, killed=killed, restarted=restarted, away=away
        )


DOSES: Final[Mapping[str, BrokerDose]] = {
    PULL_REQUEST: BrokerDose(messages=6_000, rate=60, faults=6, killed=3, restarted=2, away=1),
    FULL: BrokerDose(messages=100_000, rate=60, faults=95, killed=60, restarted=30, away=5),
}


async def run(lab: Lab, dose: BrokerDose, chance: Random) -> Mapping[str, object]:
    """One loss after the other, in any order, each once the hub routes again."""
    losses = [KILL] * dose.killed + [RESTART] * dose.restarted + [AWAY] * dose.away
    chance.shuffle(losses)
    recoveries: list[float] = []
    for loss in losses:
        await lab.sleep(chance.uniform(0.3, 1.0) * dose.gap_seconds / 2)
        if loss == KILL:
            await lab.broker.kill()
        else:
            await lab.broker.stop()
        if loss == AWAY:
            await lab.sleep(AWAY_SECONDS)
        await lab.start_broker()
        recoveries.append(await lab.routed_after(loss))
    return {
        "broker_losses": len(losses),
        "broker_recovery_seconds_p95": percentile(recoveries, 95),
        "broker_recovery_seconds_max": round(max(recoveries), 1),
    }
