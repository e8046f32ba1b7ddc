"""The same settings in the official container image, where a Docker engine answers."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from testcontainers.core.container import DockerContainer

from hub.adapters.kafka.admin import KafkaAdmin
from hub.adapters.kafka.artifacts import KAFKA_VERSION
from hub.adapters.kafka.client_config import ClientConfig
from hub.adapters.kafka.deployment import Deployment, apply_topics, plan
from hub.adapters.kafka.probe import check
from hub.adapters.kafka.server import Ports, ServerFiles, server_properties
from hub.core.ids import AuthorityId
from hub.errors import ComityError

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

_PORTS = Ports(client=19092, controller=19093)
_START = "/opt/kafka/bin/kafka-storage.sh format -t Y29taXR5LWRvY2tlcjAwMA -c {0} && /opt/kafka/bin/kafka-server-start.sh {0}"


@pytest.fixture
def docker_config(test_home, tmp_path) -> Iterator[ClientConfig]:
    """The admin's way to a broker in a container; skips where no Docker engine answers."""
    program = shutil.which("docker")
    if (
        program is None
        or subprocess.run([program, "info"], capture_output=True, check=False, timeout=60).returncode != 0
    ):
        pytest.skip("no Docker engine answers here")
    home, _ = test_home()
    broker = home.client("broker-1")
    settings = tmp_path / "server.properties"
    data = Path("/tmp/comity-data")  # noqa: S108 (inside the container)
    settings.write_text(server_properties(ServerFiles(data, broker.keystore, broker.truststore), _PORTS))
    container = DockerContainer(f"apache/kafka:{KAFKA_VERSION}").with_kwargs(network_mode="host")
    container.with_volume_mapping(str(tmp_path), str(tmp_path))
    container.with_command(["sh", "-c", _START.format(settings)])
    with container:
        yield ClientConfig.load(f"127.0.0.1:{_PORTS.client}", home.client("admin").properties)


async def _answers(config: ClientConfig) -> None:
    async with asyncio.timeout(120):
        while True:
            try:
                await check(config)
            except ComityError:
                await asyncio.sleep(0.5)
            else:
                return


def test_container(docker_config):
    """Topics and permissions are made as on the local broker."""
    asyncio.run(_answers(docker_config))
    deployment = Deployment(authorities=frozenset({AuthorityId("xa-moj")}), shards=2, ledger_partitions=2)
    with KafkaAdmin(docker_config) as admin:
        apply_topics(admin, deployment)
        assert plan(admin, deployment).empty
