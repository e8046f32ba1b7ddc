"""``comity send``, ``inbox``, ``ack``, ``answer`` on a State's folder, and the mistakes that people make."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.folder.system import FolderSystem
from connectors.ports import Correspondent, Delivery
from hub.cli.app import build_app
from hub.core.ids import AuthorityId, ClockId, MessageId, ThreadId
from hub.core.manifest import ClockKind, ClockOperation, ClockVerb, MessageType, Priority
from hub.errors import ComityError

MESSAGE = MessageId("0198c1aa-0000-7000-8000-000000000001")
REQUEST = {
    "event": "mla.request.submitted",
    "version": 1,
    "legal_basis": "UNCAC article 46",
    "occurred_at": "2026-11-25T09:00:00Z",
    "requesting_authority": {"name": "Ministry", "contact": None},
    "subject_matter": "contract",
    "nature": "investigation",
    "conducting_authority": {"name": "Judge", "functions": "investigation"},
    "summary_of_facts": "facts",
    "assistance_types": ["f"],
    "assistance_sought": "records",
    "purpose": "proceeds",
    "language": "en",
    "reference": "R/1",
}
EXECUTED = {
    "event": "mla.executed",
    "version": 1,
    "legal_basis": "UNCAC article 46",
    "occurred_at": "2026-11-25T09:00:00Z",
    "reference": "R/2",
    "items": ["records"],
}


class House:
    """The folder of xb-pgo with one received request, and the command."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.system = FolderSystem(root / "exchange")
        self.system.prepare()
        self.system.announce([Correspondent(AuthorityId("xa-moj"), "Ministry", "active")])
        clocks = tuple(
            ClockOperation(ClockVerb.START, ClockId(f"{n:016x}"), kind, 2_000_000_000_000)
            for n, kind in enumerate((ClockKind.ACK, ClockKind.REPLY))
        )
        self.system.deliver(
            Delivery(
                message=MESSAGE,
                sender=AuthorityId("xa-moj"),
                recipient=AuthorityId("xb-pgo"),
                type=MessageType.REQUEST,
                thread=ThreadId("0" * 32),
                in_reply_to=None,
                answered_key=None,
                priority=Priority.NORMAL,
                clocks=clocks,
                accepted_ms=1_795_600_800_000,
                document=json.dumps(REQUEST).encode(),
                files=(),
            ),
            lambda _: iter(()),
        )
        self.app = build_app()

    def run(self, *arguments: str) -> str:
        """Standard output of a command; an error comes out as it is."""
        done = CliRunner().invoke(self.app, [*arguments, "--state", str(self.root)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    def fails(self, *arguments: str) -> ComityError:
        """The error of a command."""
        with pytest.raises(ComityError) as caught:
            self.run(*arguments)
        return caught.value

    def file(self, name: str, document: object) -> str:
        """A document's file."""
        path = self.root / name
        path.write_text(json.dumps(document))
        return str(path)

    def manifest(self, key: str) -> dict:
        """What was handed in."""
        return json.loads((self.root / f"exchange/out/{key}/manifest.json").read_text())


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A State's folder named by its authority."""
    root = tmp_path / "xb-pgo"
    root.mkdir()
    return House(root)


def test_send_puts_a_hand_in_into_out(house):
    """The hand-in has its clocks, its file and its digests."""
    pdf = house.root / "evidence.pdf"
    pdf.write_bytes(b"%PDF")
    document = house.file("request.json", REQUEST)
    shown = house.run(
        *("send", "--to", "xa-moj", "--document", document, "--file", str(pdf), "--id", "case-1"),
        *("--reply-by", "2030-01-01T00:00:00Z", "--acknowledge-by", "2029-01-01T00:00:00Z", "--json"),
    )
    assert json.loads(shown)["id"] == "case-1"
    manifest = house.manifest("case-1")
    assert [clock["kind"] for clock in manifest["clocks"]] == ["ack", "reply"]
    assert [(f["name"], f["type"], f["length"]) for f in manifest["files"]] == [("evidence.pdf", "application/pdf", 4)]
    [found] = house.system.outgoing()
    assert b"".join(house.system.content(found, 1)) == b"%PDF"


def test_inbox_lists_and_shows(house):
    """The list has the due time, the single message its document."""
    [row] = json.loads(house.run("inbox", "--json"))
    assert (row["from"], row["reply_due"], row["replied"]) == ("xa-moj", "2033-05-18T03:33:20Z", None)
    shown = json.loads(house.run("inbox", MESSAGE[:8], "-o", "json"))
    assert shown["document"] == REQUEST


def test_ack_stops_the_ack_clock_and_answer_the_reply_clock(house):
    """Each stops what it fulfils; an answer without an acknowledgement stops both."""
    answer = ("answer", MESSAGE[:8], "--document", house.file("a.json", EXECUTED))
    house.run(*answer, "--id", "early")
    assert sorted(clock["kind"] for clock in house.manifest("early")["clocks"]) == ["ack", "reply"]
    house.run("ack", MESSAGE, "--reference", "R", "--unit", "U", "--estimate", "2026-12-20", "--id", "ack-1")
    manifest = house.manifest("ack-1")
    assert [(c["op"], c["kind"], c["id"]) for c in manifest["clocks"]] == [("stop", "ack", "0" * 16)]
    assert (manifest["in_reply_to"], manifest["to"]) == (MESSAGE, "xa-moj")
    house.run(*answer, "--id", "late")
    assert [clock["kind"] for clock in house.manifest("late")["clocks"]] == ["reply"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("send", "--to", "xa-mo", "--document", "{request}"), "recipient-unknown"),
        (("send", "--to", "XA", "--document", "{request}"), "authority-malformed"),
        (("send", "--to", "xa-moj", "--document", "nowhere.json"), "file-missing"),
        (("send", "--to", "xa-moj", "--document", "{request}", "--file", "nowhere.pdf"), "file-missing"),
        (("send", "--to", "xa-moj", "--document", "{executed}"), "document-type"),
        (("send", "--to", "xa-moj", "--document", "{request}", "--reply-by", "tomorrow"), "time-malformed"),
        (("send", "--to", "xa-moj", "--document", "{request}", "--reply-by", "2020-01-01T00:00:00Z"), "time-past"),
        (("send", "--to", "xa-moj", "--document", "{request}", "--id", "../x"), "hand-in-name"),
        (("inbox", "ffff"), "message-unknown"),
        (("ack", MESSAGE), "acknowledgement-incomplete"),
        (("ack", "ffff", "--reference", "R"), "message-unknown"),
        (("answer", MESSAGE, "--document", "nowhere.json"), "file-missing"),
    ],
)
def test_mistake_gets_a_sentence_and_exit_code_2(house, arguments, code):
    """A wrong option says what to do."""
    files = {"request": house.file("r.json", REQUEST), "executed": house.file("e.json", EXECUTED)}
    error = house.fails(*(argument.format(**files) for argument in arguments))
    assert (code, 2) == (error.code, error.exit_code)


def test_near_name_is_suggested(house):
    """An unknown authority brings the nearest known one to mind."""
    error = house.fails("send", "--to", "xa-mo", "--document", house.file("r.json", REQUEST))
    assert "did you mean xa-moj?" in error.sentence


def test_wait_ends_with_the_problem_or_in_time(house):
    """What failed is told with its code; a connector that is away is a time-out."""
    document = house.file("r.json", REQUEST)
    late = house.fails("send", "--to", "xa-moj", "--document", document, "--wait", "accepted", "--timeout", "0")
    assert (late.code, late.exit_code) == ("wait-timeout", 3)


def test_settings_are_closed(house, monkeypatch):
    """An unknown key refuses to start, in the file and in the environment."""
    (house.root / "connector.toml").write_text("scan_ms = 100\ncolour = 1\n")
    assert house.fails("inbox").code == "setting-unknown"
    (house.root / "connector.toml").write_text('authority = "xc-acc"\n')
    assert house.run("inbox", "--json") != "[]"
    assert house.fails("inbox", "--as", "xa-moj").code == "authority-differs"
    monkeypatch.setenv("COMITY_CONNECTOR_COLOUR", "1")
    assert house.fails("inbox").code == "setting-unknown"
