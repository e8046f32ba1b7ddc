"""``comity demo``: the whole story on the memory bus, as a person starts it. CI plays it on Kafka too."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

EXPECTED = {
    "submitted": 23,
    "accepted": 23,
    "delivered": 23,
    "opened": 23,
    "acknowledged": 1,
    "answered": 2,
    "overdue": 1,
    "late": 1,
    "refused": 4,
    "lost": 0,
    "duplicated": 0,
}


def demo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "hub", "demo", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment or None,
    )


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_story_on_the_memory_bus() -> None:
    """The four chapters hold without Kafka, and standard output is one JSON object."""
    run = demo("--bus", "memory", "--json")
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert {name: result[name] for name in EXPECTED} == EXPECTED
    assert result["broker"]["name"] == "memory"
    assert "NOT AS EXPECTED" not in run.stderr


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_story_without_java(tmp_path) -> None:
    """Without Java it says so in one sentence, and plays the same story on the memory bus."""
    run = demo("--json", PATH=str(tmp_path), HOME=str(tmp_path))
    assert run.returncode == 0, run.stderr
    assert "needs Java 17" in run.stderr
    assert json.loads(run.stdout)["broker"]["name"] == "memory"
