"""A Kafka principal's client files, in Kafka's own words: the same properties serve Kafka's tools and ours."""

from __future__ import annotations

from hub.adapters.files.home import ClientFiles
from hub.adapters.files.owned import read, write_new


def client_properties(files: ClientFiles) -> bytes:
    """Kafka client properties with absolute paths, since Kafka reads relative ones from wherever it was started."""
    lines = (
        f"# Kafka client of {files.principal}: mutual TLS, key and certificates as PEM (KIP-651)",
        "security.protocol=SSL",
        "ssl.keystore.type=PEM",
        f"ssl.keystore.location={files.keystore.absolute()}",
        "ssl.truststore.type=PEM",
        f"ssl.truststore.location={files.truststore.absolute()}",
        "ssl.endpoint.identification.algorithm=https",
    )
    return ("\n".join(lines) + "\n").encode()


def write_client(files: ClientFiles, *, key_pem: bytes, certificate_pem: bytes, ca_pem: bytes) -> None:
    """Write keystore (key first, then the certificate), truststore and properties of one principal.

    The truststore is shared by the principals of one folder: it is written once, and must be the same CA afterwards.
    Raises ``UsageError(file-exists)``.
    """
    if not files.truststore.exists() or read(files.truststore) != ca_pem:
        write_new(files.truststore, ca_pem)
    write_new(files.keystore, key_pem.rstrip(b"\n") + b"\n" + certificate_pem)
    write_new(files.properties, client_properties(files))
