"""The hub's transport CA on disk: the one CA in the brokers' truststores (protocol section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hub.adapters.files.owned import read, read_private, write_new
from hub.core.limits import CLOCK_SKEW_MS_MAX
from hub.envelope import pki
from hub.ports import Chance

DAY_MS: Final = 24 * 3600 * 1000
CA_VALID_MS: Final = 10 * 365 * DAY_MS
LEAF_VALID_MS: Final = 397 * DAY_MS  # a year and a month to renew, as for servers on the web (CA/Browser Forum)
NAME: Final = "Comity transport CA"


def validity(*, now_ms: int, valid_ms: int, chance: Chance) -> pki.Validity:
    """Dates from now on, less what two clocks may differ by, and a random serial number."""
    serial = pki.serial_number(chance.bytes(pki.SERIAL_BYTES))
    return pki.Validity(serial=serial, from_ms=now_ms - CLOCK_SKEW_MS_MAX, until_ms=now_ms + valid_ms)


@dataclass(frozen=True, slots=True)
class TransportAuthority:
    """Issues Kafka certificates. Holds no principal's private key: it gets public keys only."""

    ca: pki.CertificateAuthority

    @classmethod
    def found(cls, *, now_ms: int, chance: Chance) -> TransportAuthority:
        """A new CA."""
        return cls(pki.make_transport_ca(NAME, validity(now_ms=now_ms, valid_ms=CA_VALID_MS, chance=chance)))

    @classmethod
    def load(cls, folder: Path) -> TransportAuthority:
        """The CA of ``folder``. Raises ``UsageError``."""
        return cls(pki.load_ca(read_private(folder / "key.pem"), read(folder / "cert.pem")))

    def save(self, folder: Path) -> None:
        """Write ``key.pem`` and ``cert.pem``. Raises ``UsageError(file-exists)``."""
        save_ca(folder, self.ca)

    @property
    def certificate_pem(self) -> bytes:
        """What goes into truststores."""
        return pki.certificate_pem(self.ca.certificate)

    def issue(
        self, principal: str, public: bytes, *, now_ms: int, chance: Chance, server_names: Sequence[str] = ()
    ) -> bytes:
        """A certificate (PEM) for ``CN=<principal>`` and a public key (DER SubjectPublicKeyInfo)."""
        dates = validity(now_ms=now_ms, valid_ms=LEAF_VALID_MS, chance=chance)
        return pki.certificate_pem(
            pki.issue_transport_certificate(self.ca, principal, public, dates, server_names=server_names)
        )


def save_ca(folder: Path, ca: pki.CertificateAuthority) -> None:
    """Write a CA's ``key.pem`` and ``cert.pem``. Raises ``UsageError(file-exists)``."""
    write_new(folder / "key.pem", pki.ca_key_pem(ca))
    write_new(folder / "cert.pem", pki.certificate_pem(ca.certificate))
