"""The checker finds what is planted, is silent on what is right, and shares nothing with what it checks."""

from __future__ import annotations

import ast
import base64
import json
import sys
from pathlib import Path
from random import Random

import pytest

from tests.faults import checker, planting
from tests.faults.checker import CHECKS, Kind, Report, Unreadable, check, find_canaries
from tests.faults.checks.history import History, Seen
from tests.faults.checks.index import Index
from tests.faults.checks.model import KEPT_PER_KIND, Found
from tests.faults.plants.plot import Plot
from tests.faults.stories import Story, clean

HERE = Path(__file__).parent
SEEDS = 200
CLEAN = 1000
CHUNKS = 4
CANARY = "Die Akte Nr. 4711 ist geheim: Zeuge Müller".encode()


def kinds_found(story: Story) -> set[Kind]:
    """The kinds that the checker reports of a story."""
    return set(check(story.history).counts)


def write(story: Story, folder: Path) -> Path:
    """Write a story as a history's folder."""
    folder.mkdir()
    for name in ("senders", "topics", "recipients"):
        lines = "".join(json.dumps(line) + "\n" for line in getattr(story, name))
        (folder / f"{name}.jsonl").write_text(lines)
    (folder / "facts.json").write_text(json.dumps(story.facts))
    return folder


@pytest.mark.parametrize("kind", planting.PLANTERS)
def test_planted_anomaly_is_found(kind: Kind) -> None:
    """Of 200 histories into which a kind of anomaly was planted, all are found with that kind."""
    planters = planting.PLANTERS[kind]
    for seed in range(SEEDS):
        planter = planters[seed % len(planters)]
        assert kind in kinds_found(planting.planted(planter, seed)), (planter, seed)


def test_planted_history_is_another() -> None:
    """What is planted is in the history: no planter leaves a clean one as it was."""
    for planters in planting.PLANTERS.values():
        for planter in planters:
            for seed in range(5):
                assert planting.planted(planter, seed) != clean(seed, planter.needed), (planter, seed)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_clean_history_raises_no_alarm(chunk: int) -> None:
    """Of 1,000 clean histories, in four parts, none raises an alarm."""
    for seed in range(chunk, CLEAN, CHUNKS):
        report = check(clean(seed).history)
        assert report.is_clean, (seed, report.anomalies)
        assert report.messages, seed


def test_every_kind_can_be_planted() -> None:
    """Each kind of anomaly has a planter, canaries aside, and there are more than fifteen."""
    assert set(planting.PLANTERS) == set(Kind) - {Kind.CANARY}
    assert len(planting.PLANTERS) > 15


def test_every_check_is_needed() -> None:
    """For each check there is a planted history whose kind no other check finds."""
    needed = set()
    for kind, planters in planting.PLANTERS.items():
        for planter in planters:
            for seed in range(4):
                index = Index.of(Seen.of(planting.planted(planter, seed).history))
                finders = [each for each in CHECKS if kind in _found_by(each, index)]
                if len(finders) == 1:
                    needed.add(finders[0])
    assert {each.__name__ for each in set(CHECKS) - needed} == set()


def _found_by(one, index: Index) -> set[Kind]:
    found = Found()
    one(index, found)
    return set(found.counts)


def test_checker_shares_nothing_with_the_hub() -> None:
    """Checker and historian's lines import the standard library and their own parts only."""
    files = [HERE / "checker.py", HERE / "lines.py", *sorted((HERE / "checks").glob("*.py"))]
    imported = {name for file in files for name in _imports(file)}
    own = {name for name in imported if name.startswith("tests.faults.checks")}
    assert {name.partition(".")[0] for name in imported - own} <= sys.stdlib_module_names
    assert len(files) > 5


def _imports(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names.update(each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.add(str(node.module))
    return names


def test_unknown_outcome_may_be_there_or_not() -> None:
    """A submission whose outcome is unknown is no loss when it is not there, and no duplicate when it is."""
    for seed in range(40):
        story = clean(seed, "letters")
        line = Random(seed).choice([each for each in story.senders if each["offset"] is not None and each["jws"]])
        story.senders.append(line | {"op": 900, "outcome": "info", "offset": None, "jws": "jws-never-seen"})
        assert kinds_found(story) == set()
        line.update(outcome="info", offset=None)
        assert kinds_found(story) == set()


def test_history_is_read_from_a_folder(tmp_path) -> None:
    """A folder says what the story says in memory, in one file or many."""
    story = planting.planted(planting.PLANTERS[Kind.SKIP][0], 3)
    folder = write(story, tmp_path / "one")
    report = check(History.read(folder))
    assert report == check(story.history)
    lines = (folder / "topics.jsonl").read_text().splitlines(keepends=True)
    for name, is_live in (("topics.jsonl", False), ("topics-live.jsonl", True)):
        chosen = [line for line in lines if ('"live-' in line) is is_live]
        (folder / name).write_text("".join(chosen))
    assert check(History.read(folder)).counts == report.counts


@pytest.mark.parametrize("as_json", [True, False])
def test_command_tells_by_its_exit_code(tmp_path, capsys, as_json: bool) -> None:
    """The command ends with 0 for a clean history, 1 for anomalies, 2 for none."""
    options = ["--json"] if as_json else []
    clean_folder = write(clean(1), tmp_path / "clean")
    assert checker.main([str(clean_folder), *options]) == 0
    capsys.readouterr()
    bad = write(planting.planted(planting.PLANTERS[Kind.TORN][0], 1), tmp_path / "bad")
    assert checker.main([str(bad), *options]) == 1
    out = capsys.readouterr().out
    assert json.loads(out)["torn"] == 1 if as_json else "1 torn" in out
    assert checker.main([str(tmp_path / "none"), *options]) == 2
    assert "facts.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "facts.json").write_text("[]"),
        lambda folder: (folder / "senders.jsonl").write_text("{"),
        lambda folder: (folder / "senders.jsonl").write_text("[]\n"),
        lambda folder: (folder / "senders.jsonl").unlink(),
        lambda folder: (folder / "recipients.jsonl").write_text('{"event":"deliver"}\n'),
    ],
)
def test_what_is_no_history_is_refused(tmp_path, spoil) -> None:
    """A history that lacks what it must have is refused, not called clean."""
    folder = write(clean(1), tmp_path / "history")
    spoil(folder)
    with pytest.raises(Unreadable):
        check(History.read(folder))


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("bundle", {"claims": [{"kind": "rumour"}]}),
        ("ledger", {"entries": [{"kind": "rumour"}]}),
        ("outbox", {"kind": "x"}),
    ],
)
def test_unknown_words_are_refused(kind: str, changed: dict) -> None:
    """A record, claim or entry of a kind that the checker does not know is not passed over."""
    story = clean(1)
    next(line for line in story.topics if line["reader"] == "final" and line["kind"] == kind).update(changed)
    with pytest.raises(Unreadable):
        check(story.history)


def test_unknown_outcome_word_is_refused() -> None:
    """An outcome is ok, fail or info."""
    story = clean(1)
    story.senders[0]["outcome"] = "perhaps"
    with pytest.raises(Unreadable):
        check(story.history)


def test_report_counts_what_it_does_not_tell() -> None:
    """Anomalies beyond a number are counted only."""
    found = Found()
    for number in range(KEPT_PER_KIND + 5):
        found.add(Kind.TORN, str(number), "It is torn.")
        found.add(Kind.TORN, str(number), "It is torn again.")
    report = Report(1, tuple(found.anomalies), dict(found.counts))
    assert (len(report.anomalies), report.torn, report.lost, report.is_clean) == (KEPT_PER_KIND, 205, 0, False)


def test_waiting_outbox_must_be_named() -> None:
    """What an outbox holds back is lost unless the facts say from which offset it waits."""
    story = clean(1, "unreadable")
    ((topic, offset),) = story.facts["held"].items()
    story.facts["held"] = {topic: offset + 1}
    assert kinds_found(story) == set()
    story.facts["held"] = {topic: offset + 2}
    assert kinds_found(story) == {Kind.LOST_WRITE}
    story.facts["held"] = {}
    assert kinds_found(story) == {Kind.LOST_WRITE}


def _unflagged() -> tuple[Story, dict]:
    """A story whose clock ran out in silence, and the submission that started it."""
    story = clean(3, "overdue")
    starts = [each for each in story.senders if each["clock"] and each["clock"]["verb"] == "start"]
    for flag in Plot(story, Random(1)).said("flag", clock=starts[0]["clock"]["id"]):
        flag.drop()
    return story, starts[0]


def test_flag_is_owed_from_the_due_time_on() -> None:
    """A clock owes its flag when the watch worked until its due time, and not a millisecond before."""
    story, start = _unflagged()
    story.facts["flags_until_ms"] = start["clock"]["due_ms"] - 1
    assert kinds_found(story) == set()
    story.facts["flags_until_ms"] += 1
    assert kinds_found(story) == {Kind.MISSING_FLAG}


@pytest.mark.parametrize(("level", "found"), [("refused", set()), ("delivered", {Kind.MISSING_FLAG})])
def test_void_clock_owes_nothing(level: str, found: set[Kind]) -> None:
    """A clock whose message its recipient refused need not be flagged; one whose message was delivered must be."""
    story, start = _unflagged()
    plot = Plot(story, Random(1))
    said = {"level": level, "id": start["id"]}
    line = next(each for each in clean(3, "levels").senders if each["kind"] == "receipt")
    spot = {"topic": f"outbox.{start['recipient']}", "offset": 900}
    line |= {"op": 999, "sender": start["recipient"], "recipient": start["sender"], "jws": "jws-new"}
    story.senders.append(line | spot | {"references": [said]})
    plot.add(spot["topic"], kind="outbox", offset=900, jws="jws-new", digest=line["digest"])
    entry = {"kind": "message", "id": line["id"], "jws": "jws-new", "code": None, "counted": True, "repeat": False}
    plot.write("router-shard-9", "hub.ledger", entry | {"outbox": spot})
    plot.write("router-shard-9", "hub.ledger", {"kind": "level", "outbox": spot} | said)
    assert kinds_found(story) & {Kind.MISSING_FLAG} == found


@pytest.mark.parametrize(
    "hide",
    [
        bytes,
        lambda text: text.hex().encode(),
        lambda text: text.decode().encode("utf-16-le"),
        lambda text: text.decode().encode("utf-16"),
        base64.b64encode,
        base64.urlsafe_b64encode,
        lambda text: base64.b64encode(b"1" + text + b"1"),
        lambda text: base64.urlsafe_b64encode(b"12" + text + b"12"),
        lambda text: base64.b64encode(text.decode().encode("utf-16-be")),
    ],
)
def test_canary_is_found(tmp_path, hide) -> None:
    """A canary is found in raw bytes wherever it lies, and in hex, UTF-16, base64 and base64url at any alignment."""
    chance = Random(5)
    for number in range(25):
        (tmp_path / f"{number}.log").write_bytes(
            chance.randbytes(chance.randint(0, 5000)) + hide(CANARY) + chance.randbytes(chance.randint(0, 50))
        )
    found = find_canaries([tmp_path], [b"another that is not there", CANARY])
    assert [each.kind for each in found] == [Kind.CANARY] * 25
    assert {each.subject for each in found} == {str(path) for path in tmp_path.iterdir()}
    assert CANARY.decode() not in str(found)


def test_no_canary_is_invented(tmp_path) -> None:
    """Where there is no canary none is found: not in noise, not in an empty file, not in a part of one."""
    (tmp_path / "noise").write_bytes(Random(6).randbytes(500_000))
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "part").write_bytes(CANARY[:-1] + base64.b64encode(CANARY[:-3]))
    assert find_canaries([tmp_path, tmp_path / "noise"], [CANARY]) == []


def test_short_canary_is_refused(tmp_path) -> None:
    """A canary that may be there by chance is no canary."""
    with pytest.raises(ValueError, match="12 bytes"):
        find_canaries([tmp_path], [b"short"])
