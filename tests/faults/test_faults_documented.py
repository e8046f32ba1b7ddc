"""What is written of the faults is what there is."""

from __future__ import annotations

import re

from tests.faults.report import ROOT
from tests.faults.runner import faults
from tests.faults.worker import STEPS


def test_every_fault_stands_in_the_document() -> None:
    """The table names the faults that can be run, in their order."""
    text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (F\d+) ", text, re.MULTILINE) == list(faults())


def test_every_fault_is_done_in_a_test() -> None:
    """None is left to the full doses alone, which run when somebody asks for them."""
    tests = sorted((ROOT / "tests" / "faults").glob("test_faults_of_*.py"))
    done = re.findall(r'"(F\d+)"', "".join(each.read_text(encoding="utf-8") for each in tests))
    assert sorted(done) == sorted(faults())


def test_steps_are_twelve() -> None:
    """F2 dies at as many steps as its title says."""
    assert len(STEPS) == 12
