"""The local broker's settings file, and what its complaints mean. Text in, text out; nothing is started here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from hub.core.access import SUPER_USERS
from hub.errors import ComityError, Unreachable, UsageError

# Anchored, and no DEFAULT behind it: every other subject is refused, and its connection closed.
PRINCIPAL_RULE: Final = "RULE:^CN=([a-z][a-z0-9-]{0,62})$/$1/"

NOTHING_MORE: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """What the broker reads and writes."""

    data: Path
    keystore: Path
    truststore: Path


@dataclass(frozen=True, slots=True)
class Ports:
    """Of the local broker, on 127.0.0.1; chosen once and remembered."""

    client: int
    controller: int


def server_properties(paths: ServerFiles, ports: Ports, more: Mapping[str, str] = NOTHING_MORE) -> str:
    """server.properties of one KRaft node: TLS with client certificates on every listener, deny by default.

    ``more`` stands beside ours and before them.
    """
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{ports.controller}",
        "listeners": f"CLIENT://127.0.0.1:{ports.client},CONTROLLER://127.0.0.1:{ports.controller}",
        "advertised.listeners": f"CLIENT://127.0.0.1:{ports.client}",
        "listener.security.protocol.map": "CLIENT:SSL,CONTROLLER:SSL",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "CLIENT",
        "log.dirs": paths.data.absolute(),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": paths.keystore.absolute(),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": paths.truststore.absolute(),
        "ssl.client.auth": "required",
        "ssl.protocol": "TLSv1.3",
        "ssl.enabled.protocols": "TLSv1.3",
        "ssl.endpoint.identification.algorithm": "https",
        "ssl.principal.mapping.rules": PRINCIPAL_RULE,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": ";".join(f"User:{name}" for name in sorted(SUPER_USERS)),
        "auto.create.topics.enable": "false",
        "unclean.leader.election.enable": "false",
        "default.replication.factor": 1,
        "min.insync.replicas": 1,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # A broker for one machine: a few internal partitions, not 50 each.
        "offsets.topic.num.partitions": 3,
        "transaction.state.log.num.partitions": 3,
        "share.coordinator.state.topic.num.partitions": 1,
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        # How long the open transaction of a dead router may hide others' records, beyond its own time-out.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
        **more,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def complaint(log: str) -> ComityError:
    """The error behind a broker that ended by itself, from the end of its log."""
    if match := re.search(r"failed to bind to ([0-9.]+:[0-9]+): Address already in use", log):
        return UsageError(
            "port-taken", f"{match.group(1)} is taken by another program; stop it, or choose another with --port."
        )
    if match := re.search(r"Invalid cluster\.id in: .*?Expected (\S+), but read (\S+)", log):
        return UsageError(
            "cluster-id-mismatch",
            f"The data folder belongs to cluster {match.group(2).rstrip('.')}, not {match.group(1)}.",
        )
    if "No readable meta.properties files found" in log:
        return UsageError("data-unformatted", "The data folder has lost its meta.properties; restore it from a backup.")
    if "Private key could not be loaded" in log or "Invalid PEM keystore" in log or "KeyStoreException" in log:
        return UsageError("broker-key-unusable", "The broker cannot load its key: it must be a P-256 key in PEM.")
    if "java.lang.OutOfMemoryError" in log:
        return Unreachable("broker-out-of-memory", "The broker ran out of memory.")
    return Unreachable("broker-ended", "The broker ended by itself; see: comity broker logs")
