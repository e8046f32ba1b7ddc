"""Texts that come from Java, Maven, the broker and the user, and what they mean."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from hub.adapters.kafka.artifacts import check, jars, java, java_major, maven_error, resource
from hub.adapters.kafka.client_config import ClientConfig
from hub.adapters.kafka.server import Ports, ServerFiles, complaint, server_properties
from hub.errors import Unreachable, UsageError, VerificationFailed


@pytest.mark.parametrize(
    ("said", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_392"', 8),
        ('openjdk version "25" 2025-09-16', 25),
        ("no java at all", 0),
    ],
)
def test_java_version(said, major):
    """The major version is read from what Java says of itself."""
    assert java_major(said) == major


def _program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_no_java(tmp_path, monkeypatch):
    """Without Java the user is told what to install."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError) as caught:
        java()
    assert caught.value.code == "java-missing"


def test_old_java(tmp_path, monkeypatch):
    """Java 11 is refused before anything is started."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    _program(tmp_path, "java", "echo 'openjdk version \"11.0.2\"' >&2")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(UsageError) as caught:
        java()
    assert caught.value.code == "java-too-old"
    assert "Java 11" in caught.value.sentence


def test_no_maven(tmp_path, monkeypatch):
    """Without Maven the user is told what to install; nothing is left in the cache."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError) as caught:
        jars(tmp_path / "cache")
    assert caught.value.code == "maven-missing"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]


def test_maven_fails(tmp_path, monkeypatch):
    """A Maven that cannot fetch ends in one sentence, and nothing is kept."""
    _program(tmp_path, "mvn", "echo '[ERROR] Could not transfer artifact org.apache.kafka:kafka_2.13'; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(Unreachable) as caught:
        jars(tmp_path / "cache")
    assert caught.value.code == "artifacts-unreachable"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]


def test_maven_delivers_something_else(tmp_path, monkeypatch):
    """Jars that are not those of our list are not kept, whatever Maven thinks of them."""
    script = (
        'for a in "$@"; do case $a in -DoutputDirectory=*) d=${a#*=};; esac; done; mkdir -p $d; echo x > $d/kafka.jar'
    )
    _program(tmp_path, "mvn", script)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(VerificationFailed):
        jars(tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]


def test_maven_checksum():
    """A checksum that Maven refuses is no matter of the network."""
    said = "[ERROR] Checksum validation failed, expected 'a' (REMOTE_EXTERNAL) but is actually 'b'"
    assert isinstance(maven_error(said), VerificationFailed)


def test_jar_checksums(tmp_path):
    """Every jar must be listed with its SHA-256, and every listed jar be there."""
    (tmp_path / "a.jar").write_bytes(b"a")
    good = {"a.jar": hashlib.sha256(b"a").hexdigest()}
    check(tmp_path, good)
    for listed in ({"a.jar": "0" * 64}, {}, {**good, "b.jar": "0" * 64}):
        with pytest.raises(VerificationFailed):
            check(tmp_path, listed)


def test_committed_list():
    """The committed list names 92 jars with a SHA-256 each, the broker's own among them."""
    lines = resource("jars.sha256").decode().splitlines()
    assert len(lines) == 92
    assert all(len(line.split()[0]) == 64 for line in lines)
    assert any(line.endswith("kafka_2.13-4.4.0.jar") for line in lines)


@pytest.mark.parametrize(
    ("log", "code"),
    [
        ("Socket server failed to bind to 127.0.0.1:9092: Address already in use.", "port-taken"),
        ("Invalid cluster.id in: /data/meta.properties. Expected X, but read Y", "cluster-id-mismatch"),
        ("No readable meta.properties files found.", "data-unformatted"),
        ("Private key could not be loaded", "broker-key-unusable"),
        ("java.lang.OutOfMemoryError: Java heap space", "broker-out-of-memory"),
        ("something new", "broker-ended"),
    ],
)
def test_complaints(log, code):
    """What a broker complains of when it ends becomes a sentence with a code."""
    assert complaint(log).code == code


def test_no_plain_listener():
    """Every listener has TLS with client certificates, and what no rule allows is denied."""
    paths = ServerFiles(Path("/d"), Path("/k.pem"), Path("/t.pem"))
    settings = dict(line.split("=", 1) for line in server_properties(paths, Ports(1, 2)).splitlines())
    listeners = {listener.split("://")[0] for listener in settings["listeners"].split(",")}
    protocols = dict(pair.split(":") for pair in settings["listener.security.protocol.map"].split(","))
    assert protocols == dict.fromkeys(listeners, "SSL")
    assert settings["ssl.client.auth"] == "required"
    assert settings["allow.everyone.if.no.acl.found"] == "false"
    assert settings["auto.create.topics.enable"] == "false"
    assert settings["super.users"] == "User:admin;User:broker-1"
    assert "DEFAULT" not in settings["ssl.principal.mapping.rules"]


def test_more_properties():
    """What is asked for beside our settings stands in the file, once, and goes before ours."""
    paths = ServerFiles(Path("/d"), Path("/k.pem"), Path("/t.pem"))
    more = {"producer.id.expiration.ms": "10000", "offsets.topic.num.partitions": "1"}
    lines = server_properties(paths, Ports(1, 2), more).splitlines()
    assert {line for line in lines if line.split("=")[0] in more} == {f"{name}={value}" for name, value in more.items()}
    assert len({line.split("=")[0] for line in lines}) == len(lines)


GOOD = """
# a comment
security.protocol=SSL
ssl.keystore.location = keys/xa.pem
ssl.truststore.location=/etc/ca.pem
bootstrap.servers=kafka:9093
"""


def test_properties(tmp_path):
    """Kafka's client properties are read; an address on the command line goes before the file's."""
    path = tmp_path / "xa.properties"
    path.write_text(GOOD)
    config = ClientConfig.load(None, path)
    assert config.bootstrap_server == "kafka:9093"
    assert (config.keystore, config.truststore) == (tmp_path / "keys" / "xa.pem", Path("/etc/ca.pem"))
    assert ClientConfig.load("other:1", path).bootstrap_server == "other:1"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (GOOD.replace("=SSL", "=PLAINTEXT"), "property-refused"),
        (GOOD.replace("security.protocol=SSL", ""), "property-refused"),
        (GOOD + "ssl.keystore.type=JKS\n", "property-refused"),
        (GOOD + "ssl.endpoint.identification.algorithm=\n", "property-refused"),
        (GOOD + "ssl.keystroe.location=x\n", "property-unknown"),
        (GOOD + "nonsense\n", "property-malformed"),
        (GOOD.replace("ssl.keystore.location", "# "), "property-missing"),
        (GOOD.replace("bootstrap.servers", "# "), "bootstrap-server-missing"),
    ],
)
def test_bad_properties(tmp_path, text, code):
    """Plain connections, other stores, unknown and missing properties are refused by name."""
    path = tmp_path / "xa.properties"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        ClientConfig.load(None, path)
    assert caught.value.code == code


def test_unreadable_files(tmp_path):
    """Missing properties and missing stores are named."""
    with pytest.raises(UsageError) as caught:
        ClientConfig.load(None, tmp_path / "none.properties")
    assert caught.value.code == "command-config-unreadable"
    (tmp_path / "xa.properties").write_text(GOOD)
    with pytest.raises(UsageError) as caught:
        ClientConfig.load(None, tmp_path / "xa.properties").ssl_context()
    assert caught.value.code == "client-files-unreadable"
