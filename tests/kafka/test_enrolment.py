"""Enrolment and revocation by the commands, on a real Kafka that keeps running: no restart, no file but the authority's own."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hub.adapters.clock import SystemChance
from hub.adapters.files.home import Home
from hub.adapters.kafka.broker import LocalBroker, local_server
from hub.adapters.kafka.bus import KafkaBus
from hub.adapters.kafka.client_config import ClientConfig
from hub.cli.app import build_app
from hub.core.ids import AuthorityId
from hub.core.records import Outgoing
from hub.core.topics import outbox
from hub.errors import NotPermitted

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

XA, XB = AuthorityId("xa-moj"), AuthorityId("xb-pgo")
Comity = Callable[..., Any]


@pytest.fixture
def comity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kafka_cache: Path) -> Iterator[Comity]:
    """Run ``comity`` beside a broker of its own; an error of ours is raised."""
    monkeypatch.chdir(tmp_path)
    app = build_app()

    def run(*words: str) -> Any:
        result = CliRunner().invoke(app, list(words))
        if isinstance(result.exception, Exception) and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    run("init", "--shards", "2", "--ledger-partitions", "2")
    broker = LocalBroker(Home(Path("comity-home")), cache=kafka_cache)
    asyncio.run(broker.start(SystemChance()))
    yield run
    asyncio.run(broker.stop())


def write(home: Home, who: AuthorityId, owner: AuthorityId) -> None:
    """Write one record to an outbox with the client files that the enrolment installed."""
    config = ClientConfig.load(local_server(home), home.state(who).client.properties)

    async def act() -> None:
        bus = KafkaBus(config, client_id="test")
        try:
            await (await bus.writer()).send([Outgoing(outbox(owner), b"k", b"v")])
        finally:
            await bus.close()

    asyncio.run(act())


def findings(comity: Comity) -> dict[str, str]:
    """What ``comity doctor`` says, by check."""
    return {row["check"]: row["result"] for row in json.loads(comity("doctor", "-o", "json").stdout)}


def test_enrol_elsewhere_and_here_then_revoke(comity: Comity, tmp_path: Path) -> None:
    """One authority far from the secretariat, one beside it; each may write its own outbox only, until it is revoked."""
    home = Home(Path("comity-home"))
    assert comity("topics", "apply").exit_code == 0
    comity("authority", "publish")
    # The authority is elsewhere: it has the anchor, and sends a request and a fingerprint.
    far = tmp_path / "far"
    far.mkdir()
    shutil.copy(home.anchor, far / "anchor.json")
    words = ("--folder", str(far / "xa"), "--home", str(far / "no-home"))
    asked = comity(
        "authority", "enrol", XA, "--name", "Ministry", "--anchor", str(far / "anchor.json"), *words, "-o", "json"
    )
    row = json.loads(asked.stdout)
    comity("authority", "admit", row["request"], "--fingerprint", row["fingerprint"], "--out", "admission.json")
    comity("authority", "install", XA, "admission.json", *words)
    shutil.copytree(far / "xa", home.state(XA).root)
    properties = home.state(XA).client.properties
    properties.write_text(properties.read_text().replace(str(far / "xa"), str(home.state(XA).root.absolute())))
    assert comity("authority", "enrol", XB, "--name", "Prosecutor").exit_code == 0
    listed = json.loads(comity("authority", "list", "--bootstrap-server", local_server(home), "-o", "json").stdout)
    assert [(each["authority"], each["status"]) for each in listed] == [(XA, "active"), (XB, "active")]
    write(home, XA, XA)
    write(home, XB, XB)
    with pytest.raises(NotPermitted):
        write(home, XA, XB)
    assert set(findings(comity).values()) == {"ok"}
    # Revoked: denied at once, known for ever; nothing of the other changes, and the plan stays empty.
    comity("authority", "revoke", XB, "--yes", "--suspect-since", "2026-01-01T00:00:00Z")
    with pytest.raises(NotPermitted):
        write(home, XB, XB)
    write(home, XA, XA)
    shown = json.loads(comity("authority", "show", XB, "-o", "json").stdout)
    assert (shown["status"], [each["status"] for each in shown["history"]]) == ("revoked", ["active", "revoked"])
    assert all(key["revoked"] for key in shown["keys"] if key["use"] == "signing")
    assert comity("topics", "plan").exit_code == 0
    # One key of the other, and a renewed list.
    key = json.loads(comity("authority", "show", XA, "-o", "json").stdout)["keys"][0]["key"]
    comity("authority", "revoke", XA, "--key", key, "--yes")
    comity("authority", "renew")
    assert "Trust list 6" in comity("authority", "list").stderr
    assert set(findings(comity).values()) == {"ok"}


def test_doctor_sees_what_was_not_published(comity: Comity) -> None:
    """Before topics and publishing, after a list that only the folder has: each is a failure with its command."""
    before = findings(comity)
    assert (before["broker"], before["topics"], before["published list"]) == ("ok", "fail", "fail")
    comity("topics", "apply")
    assert findings(comity)["published list"] == "fail"
    comity("authority", "publish")
    assert findings(comity)["published list"] == "ok"
