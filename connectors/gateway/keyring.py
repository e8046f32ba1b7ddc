"""An authority's private keys on disk, in its own folder (``keys/``). They never leave it.

========================  ==================================================================================
``signing.json``          one signing key per algorithm of the suite, each with its leaf certificate
``<use>-<kid>.json``      decryption keys (``inbox``, ``archive``); old ones stay for the archive's term
``storage.key``           32 bytes, base64url: protects the gateway's database (``connectors.seal.storage``)
========================  ==================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from connectors.seal.keys import DecryptionKey, decode_decryption_key, encode_decryption_key
from connectors.seal.storage import STORAGE_KEY_BYTES
from hub.adapters.files.keys import read_signers, write_signers
from hub.adapters.files.owned import read_private, write_new
from hub.core.authority import KeyUse
from hub.core.ids import KeyId
from hub.envelope.encoding import b64, unb64
from hub.envelope.signers import SoftwareSigner
from hub.errors import Refused, UsageError

SIGNING_FILE: Final = "signing.json"
STORAGE_FILE: Final = "storage.key"


@dataclass(frozen=True, slots=True)
class Keyring:
    """All private keys of an authority's gateway. The text form shows none."""

    signers: tuple[SoftwareSigner, ...]
    decryption: tuple[DecryptionKey, ...]
    storage: bytes = field(repr=False)


def read_keyring(folder: Path) -> Keyring:
    """The keys of ``StateFolder.keys``. Raises ``UsageError`` for a file that is missing, damaged or open to others."""
    paths = sorted(path for use in KeyUse for path in folder.glob(f"{use.value}-*.json"))
    decryption = tuple(decode_decryption_key(read_private(path)) for path in paths)
    if not decryption:
        raise UsageError(
            "keys-missing", f"{folder} holds no decryption key; enrol the authority, or restore its backup."
        )
    return Keyring(read_signers(folder / SIGNING_FILE), decryption, _storage_key(folder / STORAGE_FILE))


def write_keyring(folder: Path, keyring: Keyring, *, certificates: Mapping[KeyId, bytes]) -> None:
    """Write a new authority's keys; ``certificates`` (DER) by signing key. Raises ``UsageError(file-exists)``."""
    write_new(folder / STORAGE_FILE, b64(keyring.storage).encode())
    add_decryption_keys(folder, keyring.decryption)
    write_signers(folder / SIGNING_FILE, keyring.signers, certificates=certificates)


def add_decryption_keys(folder: Path, keys: Sequence[DecryptionKey]) -> None:
    """Keep more decryption keys; none is ever removed here. Raises ``UsageError(file-exists)``."""
    for key in keys:
        write_new(folder / f"{key.use.value}-{key.kid}.json", encode_decryption_key(key))


def _storage_key(path: Path) -> bytes:
    try:
        key = unb64(read_private(path).decode("ascii"))
    except (Refused, UnicodeDecodeError) as error:
        raise UsageError("keys-malformed", f"{path} is not a storage key; restore it from its backup.") from error
    if len(key) != STORAGE_KEY_BYTES:
        raise UsageError("keys-malformed", f"{path} is not a storage key; restore it from its backup.")
    return key
