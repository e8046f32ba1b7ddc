"""What is written of the faults is what there is."""

from __future__ import annotations

import re

from tests.faults.report import _MACHINE, ROOT
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


def test_a_smaller_dose_has_as_many_faults_for_each_message() -> None:
    """Of each kind, and one at least."""
    smaller = faults()["F3"].DOSES["full"].scaled(10_000)
    assert (smaller.messages, smaller.killed, smaller.restarted, smaller.away, smaller.faults) == (10_000, 6, 3, 1, 10)


def test_a_page_names_no_folder_of_the_machine() -> None:
    """Where a library or we lie tells nobody anything."""
    said = f"Error at /opt/x/lib/site-packages/aiokafka/client.py:1 and {ROOT}/hub/flow.py:2"
    assert _MACHINE.sub("", said) == "Error at site-packages/aiokafka/client.py:1 and hub/flow.py:2"


def test_steps_are_twelve() -> None:
    """F2 dies at as many steps as its title says."""
    assert len(STEPS) == 12
