"""Runs one fault in one dose: lab, traffic, fault, drain, history, checker, result."""

from __future__ import annotations

import asyncio
import importlib
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol, cast

from hub.errors import ComityError
from tests.faults.checker import History, Report, check
from tests.faults.doses import Dose
from tests.faults.lab import Lab, opened
from tests.faults.report import ANOMALIES_TOLD, percentile
from tests.faults.workers import NEVER_ENDS_WITH

TELL_SECONDS: Final = 15.0
FAULTS: Final = Path(__file__).parent / "faults"


class Fault(Protocol):
    """A module of ``tests.faults.faults``."""

    NAME: str  # F1
    TITLE: str
    DOSES: Mapping[str, Dose]
    run: Callable[[Lab, Any, Random], Awaitable[Mapping[str, object]]]


def faults() -> dict[str, Fault]:
    """All faults, by name, in the order of their numbers."""
    names = sorted(path.stem for path in FAULTS.glob("f[0-9][0-9]_*.py"))
    modules = [cast("Fault", importlib.import_module(f"tests.faults.faults.{name}")) for name in names]
    return {module.NAME: module for module in modules}


async def run(fault: Fault, name: str, dose: Dose, *, seed: int, folder: Path, cache: Path) -> dict[str, Any]:
    """Do a fault to a lab of its own and judge the history, which stays in ``folder``.

    Returns the result; ``anomalies`` is in it only when there are any. Raises ``UsageError``, ``Unreachable``.
    """
    chance = Random(f"{fault.NAME} {seed}")
    figures: Mapping[str, object] = {}
    drained = False
    _say(
        f"{fault.NAME}, {name}: setting up {dose.authorities} authorities; then {dose.messages} messages at {dose.rate} a second"
    )
    async with opened(dose, seed=seed, folder=folder, cache=cache) as lab:
        telling = asyncio.create_task(_tell(lab))
        try:
            figures = await fault.run(lab, dose, chance)
            drained = await lab.drained()
        except ComityError as error:
            lab.anomaly(f"the run was cut short: {error}")
        finally:
            telling.cancel()
            facts = {"fault": fault.NAME, "seed": seed, "dose": name}
            await lab.closed_history(facts, drained=drained)
        _listen(lab)
    _say("judging the history")
    report = await asyncio.to_thread(lambda: check(History.read(folder)))
    return _result(fault, name, seed, lab, report, figures)


async def _tell(lab: Lab) -> None:
    """A line for people, now and then."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while True:
        await asyncio.sleep(TELL_SECONDS)
        decided, kills = lab.progress.routed, lab.workers.kills.total()
        _say(f"{loop.time() - begun:6.0f} s  {decided} messages decided, {kills} kills")


def _say(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")
    sys.stderr.flush()


def _listen(lab: Lab) -> None:
    """Processes may end when they cannot know what happened, and never of an error that nobody foresaw."""
    for end, many in lab.workers.ends.items():
        if int(end.split()[-1]) in NEVER_ENDS_WITH:
            lab.anomaly(f"a {end.split()[0]} ended by itself with exit code {end.split()[-1]}, {many} times")
    internal: Counter[str] = Counter()
    for name, said in lab.workers.said(lab.cluster.home.logs):
        if said.get("message") == "internal":
            internal[f"{name}: {said.get('error')} at {said.get('place')}"] += 1
    for each, many in internal.items():
        lab.anomaly(f"an error that nobody foresaw, {many} times: {each}")


def _result(
    fault: Fault, name: str, seed: int, lab: Lab, report: Report, figures: Mapping[str, object]
) -> dict[str, Any]:
    found = [f"{each.invariant} {each.kind}: {each.subject}: {each.sentence}" for each in report.anomalies]
    anomalies = [*lab.anomalies, *found[:ANOMALIES_TOLD]]
    result: dict[str, Any] = {
        "fault": fault.NAME,
        "dose": name,
        "kills": lab.workers.kills.total(),
        "messages": report.messages,
        "authorities": lab.dose.authorities,
        "lost": report.lost,
        "duplicated": report.duplicated,
        "reordered": report.reordered,
        "torn": report.torn,
        "seconds": round(lab.seconds, 1),
        "recovery_seconds_p95": percentile(lab.workers.recoveries, 95),
        "recovery_seconds_p50": percentile(lab.workers.recoveries, 50),
        "seed": seed,
        "killed": dict(lab.workers.kills),
        "ended_by_themselves": dict(lab.workers.ends),
        **figures,
    }
    if report.counts:
        result["counts"] = {str(kind): count for kind, count in report.counts.items()}
    if anomalies:
        result["anomalies"] = anomalies
    return result


async def run_in_folder(fault: Fault, name: str, dose: Dose, *, seed: int, cache: Path) -> tuple[dict[str, Any], Path]:
    """As ``run``, in a new temporary folder, which is left only for a run that is not clean."""
    folder = Path(tempfile.mkdtemp(prefix=f"comity-{fault.NAME}-{name}-"))
    result = await run(fault, name, dose, seed=seed, folder=folder, cache=cache)
    if "anomalies" not in result:
        await asyncio.to_thread(shutil.rmtree, folder)
    return result, folder
