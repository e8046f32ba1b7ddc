"""Every bad record of the table through the real router on the memory bus: it becomes what the table says, and harms nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from tests.bad_inputs.cases import Case
from tests.bad_inputs.router_run import Result, run_through_router
from tests.bad_inputs.table import router_cases

CASES = router_cases()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, Result]]:
    """One router for each set, when a case of it is asked for."""

    class Runs(dict[str, Mapping[str, Result]]):
        def __missing__(self, name: str) -> Mapping[str, Result]:
            cases = [case for case in CASES if case.set == name]
            run = asyncio.run(run_through_router(cases, tmp_path_factory.mktemp(name)))
            self[name] = {each.case.id: each for each in run}
            return self[name]

    return Runs()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_bad_record(results: Mapping[str, Mapping[str, Result]], case: Case, record_property) -> None:
    """Decided as the table says, told in a signed receipt, content nowhere, the next messages of all are routed."""
    result = results[case.set][case.id]
    record_property("check_ms", round(result.check_ms, 2))
    record_property("routed_ms", round(result.routed_ms, 1))
    assert (result.became, result.faults) == (case.expected, ())


def test_ids_are_unique() -> None:
    """Each line of the table has a name of its own."""
    ids = [case.id for case in CASES]
    assert len(set(ids)) == len(ids) >= 150
