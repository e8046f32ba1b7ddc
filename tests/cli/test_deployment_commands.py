"""``comity init``, ``comity authority ...`` and ``comity doctor`` as a person meets them, without a broker."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hub.cli.app import build_app
from hub.errors import ComityError

Comity = Callable[..., Result]


@pytest.fixture
def comity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Comity:
    """Run ``comity`` in an empty folder; an error of ours is the result's ``exception``."""
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.chdir(tmp_path)
    app = build_app()
    return lambda *words: CliRunner().invoke(app, list(words))


@pytest.fixture
def founded(comity: Comity) -> Comity:
    """The same, after ``comity init``."""
    assert comity("init").exit_code == 0
    return comity


def refusal(result: Result) -> tuple[str, int]:
    """Code and exit code of the error that ended a command."""
    assert isinstance(result.exception, ComityError), result.output
    return result.exception.code, result.exception.exit_code


def test_init_says_what_it_made_and_twice_is_once(comity: Comity) -> None:
    """The second run changes nothing, says so, and tells the same deployment."""
    first, second = comity("init", "--shards", "2", "-o", "json"), comity("init", "-o", "json")
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert json.loads(first.stdout) == json.loads(second.stdout)
    assert json.loads(first.stdout)["shards"] == 2
    assert "fit for a demonstration only" in first.stderr
    assert "nothing was changed" in second.stderr


def test_init_with_other_counts_or_on_half_a_home_is_refused(founded: Comity) -> None:
    """Counts never change; a home that lost a file is not filled up."""
    assert refusal(founded("init", "--shards", "7")) == ("home-differs", 2)
    Path("comity-home/hub/anchor.json").unlink()
    assert refusal(founded("init")) == ("home-incomplete", 2)


def test_every_command_needs_a_deployment(comity: Comity) -> None:
    """Before init each command names the file that is missing."""
    for words in (["list"], ["show", "xa-moj"], ["publish"], ["renew"], ["revoke", "xa-moj", "--yes"]):
        assert refusal(comity("authority", *words))[1] == 2
    assert refusal(comity("authority", "enrol", "xa-moj", "--name", "X"))[1] == 2


def test_keys_are_made_before_the_secretariat_is_asked(founded: Comity) -> None:
    """With --request-only the State's side ends with request and fingerprint; a second run gives the same."""
    words = ("authority", "enrol", "xa-moj", "--name", "Ministry", "--request-only", "-o", "json")
    first, second = founded(*words), founded(*words)
    assert json.loads(first.stdout) == json.loads(second.stdout)
    row = json.loads(first.stdout)
    assert Path(row["request"]).is_file()
    wrong = founded("authority", "admit", row["request"], "--fingerprint", "x" * 43, "--out", "admission.json")
    assert refusal(wrong) == ("fingerprint-mismatch", 5)


def test_without_a_broker_enrolment_keeps_its_keys_and_signs_nothing(founded: Comity) -> None:
    """The keys wait for the broker; no list is signed that could not be published."""
    assert refusal(founded("authority", "enrol", "xa-moj", "--name", "Ministry")) == ("broker-not-started", 2)
    assert Path("comity-home/states/xa-moj/enrolment-request.jws").is_file()
    assert json.loads(founded("authority", "list", "-o", "json").stdout) == []
    away = founded("authority", "enrol", "xa-moj", "--name", "Ministry", "--bootstrap-server", "127.0.0.1:1")
    assert refusal(away)[1] == 3
    assert json.loads(founded("authority", "list", "-o", "json").stdout) == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("show", "xa-moj"), "authority-unknown"),
        (("show", "XA"), "authority-malformed"),
        (("enrol", "XA", "--name", "X"), "authority-malformed"),
        (("enrol", "xa-moj", "--name", "X", "--suite", "S9"), "suite-unknown"),
        (("enrol", "xa-moj", "--name", "X", "--anchor", "absent.json"), "file-missing"),
        (("install", "xa-moj", "absent.json"), "file-missing"),
        (("admit", "absent.jws", "--fingerprint", "x", "--out", "y"), "file-missing"),
        (("revoke", "xa-moj"), "not-confirmed"),
        (("revoke", "xa-moj", "--yes", "--key", "short"), "key-malformed"),
        (("revoke", "xa-moj", "--yes", "--suspect-since", "yesterday"), "time-malformed"),
    ],
)
def test_a_mistake_is_a_sentence(founded: Comity, words: tuple[str, ...], code: str) -> None:
    """Each mistake has its code, exit 2, and leaves no traceback."""
    assert refusal(founded("authority", *words)) == (code, 2)


def test_doctor_without_a_broker_fails_and_says_what_to_do(founded: Comity) -> None:
    """The files are well, the broker is not; exit 1, and each failure has a remedy."""
    result = founded("doctor", "--bootstrap-server", "127.0.0.1:1", "-o", "json")
    rows: list[dict[str, Any]] = json.loads(result.stdout)
    assert result.exit_code == 1
    found = {row["check"]: row["result"] for row in rows}
    assert found == {
        "home": "ok",
        "key files": "ok",
        "certificates": "ok",
        "trust list": "ok",
        "clock": "ok",
        "java": "ok",
        "broker": "fail",
        "topics": "warn",
        "published list": "warn",
    }
    assert all(row["remedy"] for row in rows if row["result"] != "ok")


def test_doctor_of_an_empty_folder_sends_to_init(comity: Comity) -> None:
    """Where nothing is, nothing raises."""
    result = comity("doctor", "-o", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)[0]["remedy"].startswith("comity init")
