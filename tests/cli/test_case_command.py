from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hub.adapters.sql.case_store import CaseStore
from hub.adapters.sql.engine import open_engine, sqlite_url
from hub.cli.app import build_app
from hub.cli.case_rows import span, timeline_rows
from hub.core.cases import register
from hub.core.clocks import Flag
from hub.core.ids import ThreadId
from hub.core.timekeeping import claim_entry, flag_claim
from hub.errors import UsageError

YEARS_MS = 60 * 366 * 24 * 3600 * 1000


def _tell(home: Path, story: Any, *, overdue: bool = True) -> None:
    """A case view: thread 1 answered late, thread 2 overdue (or not), thread 3 between two pairs, all long ago."""
    story.now_ms = 1_000_000_000_000  # 2001
    late = story.message("xa-moj>xb-pgo", "request", story.clock("start", 1, "ack", due_in_ms=5000), attachments=2)
    story.now_ms += 60_000
    answer = story.message("xb-pgo>xa-moj", "response", story.clock("stop", 1, "ack"), irt=late)
    due = story.clock("start", 2, due_in_ms=5000 if overdue else YEARS_MS)
    open_one = story.message("xa-moj>xb-pgo", "request", due, thread=2)
    entries = [late, story.level("delivered", late), story.level("opened", late), answer, open_one]
    entries.append(story.level("refused", answer, why="cannot-decrypt"))
    entries.append(story.message("xa-moj>xb-pgo", code="expired"))
    entries += [story.message("xc-acc>xa-moj", thread=3), story.message("xc-acc>xb-pgo", thread=3)]
    engine = open_engine(sqlite_url(home / "hub" / "cases.db"))
    store = CaseStore(engine)

    def step(view: Any, entry: Any, partition: int) -> Any:
        return register(view, entry, partition=partition, open_max=10)

    done = store.apply([story.record("router-shard-0", 1, *entries)], step)
    clocks = [clock for changes in done.changes for clock in changes.clocks]
    if overdue:
        flag = claim_entry(flag_claim(clocks[-1], Flag.OVERDUE, 100, time_ms=clocks[-1].due_ms + 1000))
        warning = claim_entry(flag_claim(clocks[-1], Flag.WARNING, 50, time_ms=clocks[-1].due_ms - 1000))
        store.apply([story.record("watch-0", 1, warning, flag, offset=1)], step)
    engine.dispose()


@pytest.fixture
def tell(empty_database: Path):
    """Write the history into a fresh database of a home folder."""

    def told(home: Path, story: Any, *, overdue: bool = True) -> None:
        (home / "hub").mkdir()
        shutil.copy(empty_database, home / "hub" / "cases.db")
        _tell(home, story, overdue=overdue)

    return told


@pytest.fixture
def comity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run ``comity`` on a home folder; gives exit code and standard output."""
    monkeypatch.setenv("COLUMNS", "400")

    def run(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(build_app(), [*words, "--home", str(tmp_path)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout

    return run


def test_no_case_view_yet_is_said_with_what_to_do(comity, tmp_path: Path):
    """No traceback, no empty database."""
    with pytest.raises(UsageError, match="comity serve registrar"):
        comity("case", "list")
    assert list(tmp_path.iterdir()) == []


def test_list_shows_the_latest_case_first(comity, tell, tmp_path: Path, story):
    """Who waits on whom in each, what is overdue, what came late."""
    tell(tmp_path, story)
    code, out = comity("case", "list", "-o", "json")
    rows = {row["case"][-1]: row for row in json.loads(out)}
    assert (code, len(json.loads(out))) == (0, 4)
    assert (rows["1"]["state"], rows["1"]["late"], rows["1"]["overdue"]) == ("opened", 1, 0)
    assert (rows["2"]["waits"], rows["2"]["owes"], rows["2"]["overdue"]) == ("xa-moj", "xb-pgo", 1)
    updated = [row["updated"] for row in json.loads(out)]
    assert updated == sorted(updated, reverse=True)


def test_a_table_shortens_case_ids(comity, tell, tmp_path: Path, story):
    """Twelve digits for people; programs get all."""
    tell(tmp_path, story)
    _, table = comity("case", "list")
    assert "0" * 12 in table
    assert "0" * 13 not in table


def test_list_says_when_there_are_more(comity, tell, tmp_path: Path, story):
    """Nothing is cut off in silence."""
    tell(tmp_path, story)
    result = CliRunner().invoke(build_app(), ["case", "list", "--limit", "1", "--home", str(tmp_path)])
    assert "more than 1 cases" in result.stderr


def test_overdue_finds_and_says_so_by_its_exit_code(comity, tell, tmp_path: Path, story):
    """Exit 1 when a reply is overdue; when both sides were told is in the row."""
    tell(tmp_path, story)
    code, out = comity("case", "overdue", "-o", "jsonl")
    (row,) = [json.loads(line) for line in out.splitlines()]
    assert (code, row["owes"], row["flagged"]) == (1, "xb-pgo", "2001-09-09T01:47:48Z")
    assert comity("case", "overdue")[0] == 1


def test_nothing_overdue_exits_0(comity, tell, tmp_path: Path, story):
    """An empty answer is an answer."""
    tell(tmp_path, story, overdue=False)
    assert comity("case", "overdue", "-o", "json") == (0, "[]\n")


def test_waiting_lists_every_open_clock(comity, tell, tmp_path: Path, story):
    """As CSV with seconds, for a spreadsheet."""
    tell(tmp_path, story, overdue=False)
    code, out = comity("case", "waiting", "-o", "csv")
    (row,) = csv.DictReader(io.StringIO(out))
    assert (code, row["waits"], row["clock"], row["state"]) == (0, "xa-moj", "reply", "running")
    assert int(row["left_seconds"]) > 0


def test_show_finds_a_case_by_its_first_digits(comity, tell, tmp_path: Path, story):
    """The whole document for programs; a table of messages and clocks for people."""
    tell(tmp_path, story)
    thread = ThreadId(f"{2:032x}")
    _, out = comity("case", "show", thread, "-o", "json")
    assert json.loads(out)["clocks"][0]["overdue_flag"] is True
    code, table = comity("case", "show", thread)
    assert (code, "running" in table, "reply" in table) == (0, True, True)
    assert comity("case", "show", thread, "-o", "csv")[1].startswith("type,from,to,accepted")


def test_show_timeline_tells_everything_in_order(comity, tell, tmp_path: Path, story):
    """Messages, levels, refusals, clocks and flags by the log's times."""
    tell(tmp_path, story)
    _, first = comity("case", "show", f"{1:032x}", "--timeline", "-o", "json")
    _, second = comity("case", "show", f"{2:032x}", "--timeline", "-o", "json")
    events = [row["event"] for row in json.loads(first)]
    assert [event for event in events if not event.startswith("clock")] == [
        "request accepted",
        "response accepted",
        "request delivered",
        "request opened",
        "response refused by the recipient",
        "refused by the hub",
    ]
    assert [row["event"] for row in json.loads(second)][1:] == ["clock started", "warning 50 %", "overdue"]
    times = [row["time"] for row in json.loads(first)]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("zz",), "case-id"),
        (("ff",), "case-unknown"),
        (("0",), "case-ambiguous"),
        ((f"{3:032x}",), "case-ambiguous"),
        (("0", "--party", "Nobody"), "party"),
    ],
)
def test_a_wrong_id_says_what_to_do(comity, tell, tmp_path: Path, story, *, words, code):
    """Usage errors, each with its own sentence."""
    tell(tmp_path, story)
    with pytest.raises(UsageError) as caught:
        comity("case", "show", *words)
    assert caught.value.code == code


def test_a_party_chooses_between_two_pairs_in_one_thread(comity, tell, tmp_path: Path, story):
    """A thread between three authorities is two cases."""
    tell(tmp_path, story)
    _, out = comity("case", "show", f"{3:032x}", "--party", "xb-pgo", "-o", "json")
    assert json.loads(out)["parties"] == ["xb-pgo", "xc-acc"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3600, "1 h"), (90_000, "1 d 1 h"), (86_401, "1 d"), (-45, "-45 s")],
)
def test_durations_are_read_in_two_units(seconds: int, words: str):
    """As people say them."""
    assert span(seconds) == words


def test_what_the_watch_ignored_is_in_the_timeline(story):
    """With the code that both sides were given."""
    from dataclasses import replace

    from hub.core.cases import Case, CaseHead, CaseKey
    from hub.core.entries import IgnoredEntry
    from hub.core.pairs import Pair
    from hub.core.timekeeping import parties

    request = story.message("xa-moj>xb-pgo")
    ignored = IgnoredEntry(
        id="x",
        pair=Pair(request.sender, request.recipient),
        thread=request.thread,
        clock=story.clock("stop").clock,
        message=request.message,
        code="clock-unknown",
        time_ms=story.now_ms,
    )
    head = CaseHead(CaseKey(request.thread, parties(ignored.pair)), story.now_ms, story.now_ms)
    case = Case(head=head, messages=(), clocks=(), refusals=(), flags=(), ignored=(ignored, replace(ignored, id="y")))
    assert [row["detail"] for row in timeline_rows(case)] == ["clock-unknown"] * 2
