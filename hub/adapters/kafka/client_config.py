"""How to reach a cluster: Kafka client properties with PEM stores, read once into one frozen object."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from hub.errors import UsageError

_FIXED: Final[Mapping[str, str]] = {
    "security.protocol": "SSL",  # no plain text, from the first day
    "ssl.keystore.type": "PEM",
    "ssl.truststore.type": "PEM",
    "ssl.endpoint.identification.algorithm": "https",
}
_IGNORED: Final = frozenset({"ssl.protocol", "ssl.enabled.protocols", "client.id"})  # ours are at least as strict
_KNOWN: Final = frozenset(
    {*_FIXED, *_IGNORED, "bootstrap.servers", "ssl.keystore.location", "ssl.truststore.location", "ssl.key.password"}
)


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """A cluster's address and one principal's files."""

    bootstrap_server: str  # host:port, or several with commas
    keystore: Path
    truststore: Path
    key_password: str | None = None

    @classmethod
    def load(cls, bootstrap_server: str | None, command_config: Path) -> Self:
        """Read ``command_config``; ``bootstrap_server`` goes before the file's. Raises ``UsageError``."""
        properties = _properties(command_config)
        unknown = sorted(properties.keys() - _KNOWN)
        if unknown:
            raise UsageError("property-unknown", f"{command_config} has unknown properties: {', '.join(unknown)}.")
        for name, value in _FIXED.items():
            if properties.get(name, value if name != "security.protocol" else "") != value:
                raise UsageError("property-refused", f"{command_config}: {name} must be {value}.")
        address = bootstrap_server or properties.get("bootstrap.servers")
        if not address:
            raise UsageError("bootstrap-server-missing", "Name the cluster with --bootstrap-server host:port.")
        return cls(
            bootstrap_server=address,
            keystore=_store(command_config, properties, "ssl.keystore.location"),
            truststore=_store(command_config, properties, "ssl.truststore.location"),
            key_password=properties.get("ssl.key.password"),
        )

    def ssl_context(self) -> ssl.SSLContext:
        """TLS 1.3 with this principal's certificate; the server's name is checked. Raises ``UsageError``."""
        try:
            context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(self.truststore))
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.load_cert_chain(str(self.keystore), password=self.key_password or _no_password)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                "client-files-unreadable",
                f"{self.keystore} or {self.truststore} is no readable PEM store ({type(error).__name__}).",
            ) from error
        return context

    def connection(self) -> dict[str, Any]:
        """The arguments that every aiokafka and kafka-python client takes alike."""
        return {
            "bootstrap_servers": self.bootstrap_server.split(","),
            "security_protocol": "SSL",
            "ssl_context": self.ssl_context(),
        }


def _no_password() -> str:
    """For an encrypted key without a password: an error instead of OpenSSL's question at the terminal."""
    return ""


def _properties(path: Path) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            "command-config-unreadable", f"{path} cannot be read; name client properties with --command-config."
        ) from error
    found: dict[str, str] = {}
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped[0] in "#!":
            continue
        name, separator, value = stripped.partition("=")
        if not separator:
            raise UsageError("property-malformed", f"{path} has a line without an equals sign.")
        found[name.strip()] = value.strip()
    return found


def _store(file: Path, properties: Mapping[str, str], name: str) -> Path:
    if name not in properties:
        raise UsageError("property-missing", f"{file} has no {name}.")
    return file.parent / properties[name]  # an absolute path stays as it is
