"""Every bad record of the table through the real router on the memory bus: it becomes what the table says, and harms nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bad_inputs.router_run import run_through_router
from tests.bad_inputs.table import all_lines, document, router_groups

DOCUMENT = Path(__file__).parents[2] / "docs" / "bad-inputs.md"
GROUPS = router_groups()


@pytest.mark.parametrize("name", GROUPS)
async def test_bad_records(name: str, tmp_path: Path, subtests: pytest.Subtests) -> None:
    """Decided as the table says, told in a signed receipt, content nowhere, the next messages of all are routed."""
    for result in await run_through_router(GROUPS[name], tmp_path):
        with subtests.test(result.case.id):
            assert (result.became, result.faults) == (result.case.expected, ())


def test_the_document_is_the_table() -> None:
    """``docs/bad-inputs.md`` shows the cases that run."""
    assert DOCUMENT.read_text() == document()


def test_ids_are_unique() -> None:
    """Each line of the table has a name of its own."""
    ids = [line.id for line in all_lines()]
    assert len(set(ids)) == len(ids) >= 400
