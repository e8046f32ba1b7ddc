"""The local broker: started once, found again, stopped; its data survive; its troubles become sentences."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from hub.adapters.clock import SystemChance
from hub.adapters.kafka.admin import KafkaAdmin
from hub.adapters.kafka.broker import LocalBroker, client_config
from hub.adapters.kafka.bus import KafkaBus
from hub.adapters.kafka.client_config import ClientConfig
from hub.adapters.kafka.deployment import Deployment, apply_topics, plan
from hub.adapters.kafka.plan import StoredRule
from hub.adapters.kafka.probe import cause
from hub.cli.app import build_app
from hub.core.ids import AuthorityId
from hub.core.records import Outgoing, Place
from hub.errors import NotPermitted, Unreachable, UsageError

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

XA = AuthorityId("xa-moj")
DEPLOYMENT = Deployment(authorities=frozenset({XA}), shards=2, ledger_partitions=2)


@pytest.fixture
def home(test_home):
    """A home folder of its own."""
    return test_home()[0]


@pytest.fixture
def broker(home, kafka_cache):
    """A broker that is stopped after the test, whatever happened."""
    made = LocalBroker(home, cache=kafka_cache)
    yield made
    asyncio.run(made.stop())


def _apply(home):
    with KafkaAdmin(client_config(home, None, None, principal="admin")) as admin:
        return apply_topics(admin, DEPLOYMENT)


def test_life_of_a_broker(home, broker, kafka_cache):
    """Start, start again, a second object on the same folder, a kill, restart: one broker, one port, all data."""
    first = asyncio.run(broker.start(SystemChance()))
    assert first.running
    assert asyncio.run(broker.start(SystemChance())) == first
    other = LocalBroker(home, cache=kafka_cache)
    assert asyncio.run(other.start(SystemChance())) == first
    assert _apply(home).create

    async def write() -> None:
        bus = KafkaBus(client_config(home, None, None, principal="directory"), client_id="t")
        await (await bus.writer()).send([Outgoing("hub.directory", b"fresh", b"kept")])
        await bus.close()

    async def read() -> bytes | None:
        bus = KafkaBus(client_config(home, None, None, principal="directory"), client_id="t")
        (record,) = await (await bus.reader({Place("hub.directory", 0): 0})).fetch(wait_ms=5000, records_max=1)
        await bus.close()
        return record.value

    asyncio.run(write())
    asyncio.run(broker.kill())
    assert not broker.state().running
    assert not asyncio.run(broker.stop())
    again = asyncio.run(broker.start(SystemChance()))
    assert (again.bootstrap_server, again.cluster_id) == (first.bootstrap_server, first.cluster_id)
    assert asyncio.run(read()) == b"kept"
    assert _apply(home).rows == ()
    assert asyncio.run(broker.stop())


def test_port_taken(home, broker):
    """A port that another program has is named, and nothing is started."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError) as caught:
            asyncio.run(broker.start(SystemChance(), port=taken.getsockname()[1]))
    assert caught.value.code == "port-taken"
    assert not broker.state().running


def test_other_clusters_data(home, broker):
    """Data of another cluster are not taken over."""
    home.broker.mkdir(parents=True)
    (home.broker / "data").mkdir()
    (home.broker / "data" / "meta.properties").write_text("version=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAA\nnode.id=1\n")
    with pytest.raises(UsageError) as caught:
        asyncio.run(broker.start(SystemChance()))
    assert caught.value.code == "cluster-id-mismatch"


def test_unusable_key(home, broker):
    """A broker that ends by itself says why in a sentence."""
    keystore = home.client("broker-1").keystore
    keystore.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with pytest.raises((UsageError, Unreachable)) as caught:
        asyncio.run(broker.start(SystemChance()))
    assert caught.value.code in {"broker-key-unusable", "broker-ended"}
    assert not broker.state().running


def test_incomplete_home(tmp_path, kafka_cache):
    """Without certificates the user is sent to ``comity init``."""
    from hub.adapters.files.home import Home

    with pytest.raises(UsageError) as caught:
        asyncio.run(LocalBroker(Home(tmp_path), cache=kafka_cache).start(SystemChance()))
    assert caught.value.code == "home-incomplete"


def test_plan_and_apply(kafka):
    """Apply mends a changed setting, takes a surplus permission away, and then has nothing to do."""
    authority = AuthorityId("xa-plan")
    deployment = Deployment(
        authorities=frozenset({authority}), shards=kafka.shards, ledger_partitions=kafka.ledger_partitions
    )
    surplus = StoredRule("User:xa-plan", "*", "READ", "ALLOW", "TOPIC", "hub.ledger", "LITERAL")
    with KafkaAdmin(kafka.config("admin")) as admin:
        before = plan(admin, deployment)
        assert plan(admin, deployment) == before  # nothing was changed by planning
        apply_topics(admin, deployment)
        assert plan(admin, deployment).empty
        admin._alter({"outbox.xa-plan": {"compression.type": "producer"}})
        admin._allow([surplus])
        found = plan(admin, deployment)
        assert found.alter == {"outbox.xa-plan": {"compression.type": "uncompressed"}}
        assert found.remove == (surplus,)
        largest = admin.state().topics["outbox.xa-plan"].config["max.message.bytes"]
        apply_topics(admin, deployment)
        assert plan(admin, deployment).empty
        assert admin.state().topics["outbox.xa-plan"].config["max.message.bytes"] == largest
        assert admin.brokers() >= 1
        assert admin.identity().name == "Apache Kafka"


def test_only_an_admin_administers(kafka):
    """Another principal may neither see nor make topics and permissions."""
    deployment = Deployment(authorities=frozenset({AuthorityId("xa-bold")}), shards=2, ledger_partitions=2)
    with KafkaAdmin(kafka.config("watch")) as admin, pytest.raises(NotPermitted):
        apply_topics(admin, deployment)


def test_causes(kafka, test_home, tmp_path):
    """Each reason why a cluster cannot be reached has its own code."""
    config = kafka.config("router")
    server = kafka.bootstrap_server
    foreign = test_home()[0].client("router")
    stranger = ClientConfig(server, foreign.keystore, config.truststore)
    wrong_ca = ClientConfig(server, config.keystore, foreign.truststore)

    def code(wanted: ClientConfig) -> str:
        return asyncio.run(cause(wanted)).code

    assert code(stranger) == "client-certificate-refused"
    assert code(wrong_ca) == "broker-certificate-refused"
    assert code(ClientConfig("127.0.0.1:1", config.keystore, config.truststore)) == "broker-down"
    assert code(ClientConfig("nowhere.invalid:1", config.keystore, config.truststore)) == "broker-unknown"
    assert code(ClientConfig("nonsense", config.keystore, config.truststore)) == "bootstrap-server-malformed"
    with pytest.raises(NotPermitted):
        asyncio.run(KafkaBus(stranger, client_id="t").partitions())


def test_no_plain_text(kafka):
    """The broker answers nothing without TLS, and nothing below TLS 1.3."""
    host, port = kafka.bootstrap_server.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as plain:
        plain.sendall(bytes.fromhex("0000000a0012000000000001ffff"))
        assert plain.recv(4)[:1] in {b"", b"\x15"}  # closed, or a TLS alert
    context = ssl.create_default_context(cafile=str(kafka.config("router").truststore))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection((host, int(port)), timeout=5) as old, pytest.raises(ssl.SSLError):
        context.wrap_socket(old, server_hostname=host)


def test_commands(home, broker, kafka_cache):
    """The commands start, tell, plan, apply, describe, show logs and stop, with the documented exit codes."""
    run, app = CliRunner(), build_app()

    def comity(*words: str) -> tuple[int, str]:
        result = run.invoke(app, [*words, "--home", str(home.root)], catch_exceptions=True)
        return (getattr(result.exception, "exit_code", result.exit_code), result.stdout)

    cache = ("--cache", str(kafka_cache))
    assert comity("broker", "status", *cache)[0] == 3
    assert comity("topics", "plan")[0] == 2
    # In a process of its own: the broker outlives the command that starts it.
    words = [sys.executable, "-m", "hub", "broker", "start", "--home", str(home.root), *cache]
    started = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert (started.returncode, started.stdout) == (0, "")
    assert "listens on 127.0.0.1:" in started.stderr
    code, told = comity("broker", "status", "-o", "json", *cache)
    assert (code, json.loads(told)["running"]) == (0, True)
    assert comity("topics", "plan", "--authority", "xa-moj", "-o", "json")[0] == 1
    assert comity("topics", "apply", "--authority", "xa-moj", "-o", "json")[0] == 0
    assert comity("topics", "plan", "--authority", "xa-moj", "-o", "json") == (0, "[]\n")
    assert comity("topics", "plan", "--authority", "Nobody")[0] == 2
    code, told = comity("topics", "describe", "-o", "jsonl")
    assert code == 0
    assert "outbox.xa-moj" in told
    code, told = comity("broker", "logs", "--lines", "5", *cache)
    assert (code, len(told.splitlines())) == (0, 5)
    assert comity("broker", "logs", "--log", "denials", *cache)[0] == 0
    assert comity("broker", "stop", *cache)[0] == 0
    assert comity("topics", "plan", "--authority", "xa-moj")[0] == 3
