"""Where a deployment's files lie. Names only: whoever writes a file sets its mode (0600 for keys) and its parents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hub.core.authority import HubRole
from hub.core.ids import AuthorityId


@dataclass(frozen=True, slots=True)
class ClientFiles:
    """A Kafka principal's files: properties, key and certificate in one PEM, the transport CA's certificate."""

    folder: Path
    principal: str

    @property
    def properties(self) -> Path:
        """Kafka client properties: what ``--command-config`` takes."""
        return self.folder / f"{self.principal}.properties"

    @property
    def keystore(self) -> Path:
        """PKCS#8 key and certificate chain, PEM."""
        return self.folder / f"{self.principal}.pem"

    @property
    def truststore(self) -> Path:
        """The transport CA's certificate, PEM."""
        return self.folder / "ca.pem"


@dataclass(frozen=True, slots=True)
class Home:
    """The home folder. ``hub`` and ``secretariat`` belong to different people in a real deployment; so do all States."""

    root: Path

    @property
    def broker(self) -> Path:
        """The local broker: server.properties, data, logs, pid, its lock."""
        return self.root / "broker"

    @property
    def hub(self) -> Path:
        """The hub's own folder."""
        return self.root / "hub"

    @property
    def settings(self) -> Path:
        """``hub.toml``."""
        return self.hub / "hub.toml"

    @property
    def anchor(self) -> Path:
        """The pinned secretariat keys, m of n, and the deployment's id."""
        return self.hub / "anchor.json"

    @property
    def transport_ca(self) -> Path:
        """``key.pem`` and ``cert.pem`` of the one CA in the broker's truststore."""
        return self.hub / "transport-ca"

    @property
    def case_database(self) -> Path:
        """SQLite file of registrar and watch, unless a database URL is set."""
        return self.hub / "cases.db"

    @property
    def logs(self) -> Path:
        """Logs of processes that a command started in the background."""
        return self.root / "logs"

    @property
    def objects(self) -> Path:
        """Encrypted attachments, one prefix per authority, where no object store is configured."""
        return self.root / "objects"

    @property
    def secretariat(self) -> Path:
        """Signers' keys (demonstration: in a deployment each signer keeps its own, offline) and every list signed."""
        return self.root / "secretariat"

    def role_keys(self, role: HubRole) -> Path:
        """A hub role's signing keys."""
        return self.hub / "keys" / f"{role.value}.json"

    def client(self, principal: str) -> ClientFiles:
        """A hub principal's Kafka client files: admin, broker-1, router, registrar, watch, directory."""
        return ClientFiles(self.hub / "clients", principal)

    def state(self, authority: AuthorityId) -> StateFolder:
        """The folder of a State's authority, when it lies under this home (demo and tests)."""
        return StateFolder(self.root / "states" / authority, authority)


@dataclass(frozen=True, slots=True)
class StateFolder:
    """An authority's own folder: its keys never leave it."""

    root: Path
    authority: AuthorityId

    @property
    def settings(self) -> Path:
        """``connector.toml``."""
        return self.root / "connector.toml"

    @property
    def anchor(self) -> Path:
        """The pinned secretariat keys, a copy that the State checked itself."""
        return self.root / "anchor.json"

    @property
    def keys(self) -> Path:
        """Signing keys (PKCS#8) with certificates, encryption seeds, the local storage key."""
        return self.root / "keys"

    @property
    def authority_ca(self) -> Path:
        """``key.pem`` and ``cert.pem`` of the State's demonstration CA."""
        return self.root / "ca"

    @property
    def request(self) -> Path:
        """The enrolment request, for the secretariat: public parts only."""
        return self.root / "enrolment-request.jws"

    @property
    def client(self) -> ClientFiles:
        """Kafka client files of the authority's principal."""
        return ClientFiles(self.root / "clients", self.authority)

    @property
    def database(self) -> Path:
        """The gateway's durable outbox and inbox."""
        return self.root / "connector.db"

    @property
    def exchange(self) -> Path:
        """The folder contract's root: out, in, acks, failed, tmp."""
        return self.root / "exchange"
