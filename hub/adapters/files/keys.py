"""Signing keys in a file: of a hub role, of a secretariat's signer, of an authority. Mode 0600 or not read at all.

::

    {"v": "comity-keys/1", "keys": [{"kid": "...", "alg": "Ed25519", "key": "-----BEGIN PRIVATE KEY-----...",
                                     "certificate": "base64url of DER, or null"}]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from hub.adapters.files.owned import read_private, write_new
from hub.core.ids import KeyId
from hub.envelope import strict_json
from hub.envelope.encoding import b64, unb64
from hub.envelope.signers import SoftwareSigner, private_pem, signer_from_pem
from hub.errors import Refused, UsageError

VERSION: Final = "comity-keys/1"


def write_signers(
    path: Path, signers: Sequence[SoftwareSigner], *, certificates: Mapping[KeyId, bytes] | None = None
) -> None:
    """Write private keys, and the certificates (DER) of those that have one. Raises ``UsageError(file-exists)``."""
    known = certificates or {}
    keys: list[strict_json.JsonValue] = [
        {
            "kid": signer.key,
            "alg": signer.algorithm,
            "key": private_pem(signer).decode(),
            "certificate": b64(known[signer.key]) if signer.key in known else None,
        }
        for signer in signers
    ]
    write_new(path, strict_json.dump({"v": VERSION, "keys": keys}))


def read_signers(path: Path) -> tuple[SoftwareSigner, ...]:
    """The signers of a file, in its order. Raises ``UsageError(file-missing | file-open-to-others | keys-malformed)``."""
    data = read_private(path)
    try:
        document = strict_json.closed(strict_json.parse(data), required={"v", "keys"})
        if document["v"] != VERSION or not isinstance(document["keys"], list):
            raise Refused("json-malformed", "Not a key file of this version.")
        return tuple(_signer(entry) for entry in document["keys"])
    except (Refused, UsageError) as error:
        raise UsageError(
            "keys-malformed", f"{path} is not a key file of Comity; restore it from its backup."
        ) from error


def _signer(entry: strict_json.JsonValue) -> SoftwareSigner:
    fields = strict_json.closed(entry, required={"kid", "alg", "key", "certificate"})
    pem, certificate = fields["key"], fields["certificate"]
    if not isinstance(pem, str) or not (certificate is None or isinstance(certificate, str)):
        raise Refused("json-malformed", "A key and its certificate are texts.")
    signer = signer_from_pem(pem.encode(), certificate_der=None if certificate is None else unb64(certificate))
    if (signer.key, signer.algorithm) != (fields["kid"], fields["alg"]):
        raise Refused("json-malformed", "The key is not the one that its id names.")
    return signer
