"""The gateway's database: one SQLite file, WAL, synchronous FULL: what is committed survives a power cut.

Drafts are protected by the State's local key before they reach the disk; the names of hand-ins are looked up by a keyed
hash, since a name may tell a case.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, insert, select
from sqlalchemy.exc import DBAPIError

from connectors.gateway.tables import META, METADATA, SCHEMA_VERSION
from connectors.seal.storage import NONCE_BYTES, protect, unprotect
from hub.core.ids import AuthorityId
from hub.errors import Unreachable, UsageError, VerificationFailed
from hub.ports import Chance

FILE_MODE: Final = 0o600
PAGE_BYTES: Final = 8192  # a message takes two or three: with 4096 writing it costs a fifth more
BUSY_MS: Final = 10_000  # another process that reads (a backup, comity doctor) may hold the file for a moment
_CHECK: Final = b"comity connector database"


class Vault:
    """The local key: protects fields, and makes tags by which a protected name is found again."""

    def __init__(self, key: bytes, chance: Chance) -> None:
        self._key = key
        self._tag_key = hmac.digest(key, b"comity/1 hand-in tag", hashlib.sha256)
        self._chance = chance

    def protect(self, plaintext: bytes, context: str) -> bytes:
        """The ciphertext of ``plaintext``, bound to ``context`` (table, column and row)."""
        return protect(self._key, plaintext, context.encode(), self._chance.bytes(NONCE_BYTES))

    def unprotect(self, ciphertext: bytes, context: str) -> bytes:
        """The plaintext. Raises ``VerificationFailed`` when key, bytes or context differ."""
        return unprotect(self._key, ciphertext, context.encode())

    def tag(self, name: str) -> str:
        """A keyed hash of ``name``, in hexadecimal."""
        return hmac.digest(self._tag_key, name.encode("utf-8", "surrogateescape"), hashlib.sha256).hex()


class Store:
    """The open database. One process owns it; a second one is told so by the lock of its transactions."""

    def __init__(self, engine: Engine, vault: Vault) -> None:
        self._engine = engine
        self.vault = vault

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One durable transaction: all of it or nothing. Raises ``Unreachable(database-failed)``."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except (DBAPIError, sqlite3.Error) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise Unreachable(
                "database-failed", f"The connector's database does not work ({type(cause).__name__})."
            ) from error

    def close(self) -> None:
        """Close all connections; the log is folded into the file."""
        self._engine.dispose()


def open_store(path: Path, *, authority: AuthorityId, key: bytes, chance: Chance) -> Store:
    """Open the database of ``authority``, making it when it is new.

    Raises ``UsageError(database-foreign)`` for another authority's or another version's file,
    ``VerificationFailed(storage-key-wrong)`` for another local key, ``Unreachable`` for a file that cannot be opened.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE))
    engine = create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    store = Store(engine, Vault(key, chance))
    with store.transaction() as connection:
        METADATA.create_all(connection)
        _check(connection, store.vault, authority)
    return store


def _prepare(connection: Any, _record: object) -> None:  # noqa: ANN401 (the driver's connection has no common type)
    connection.isolation_level = None  # we begin transactions ourselves: the driver's way would begin them too late
    durable = ("journal_mode=WAL", "synchronous=FULL")
    for pragma in (f"page_size={PAGE_BYTES}", *durable, f"busy_timeout={BUSY_MS}", "trusted_schema=OFF"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _check(connection: Connection, vault: Vault, authority: AuthorityId) -> None:
    kept = {row.name: row.value for row in connection.execute(select(META))}
    if not kept:
        rows = {"schema": SCHEMA_VERSION.encode(), "authority": authority.encode()}
        rows["check"] = vault.protect(_CHECK, "meta.check")
        connection.execute(insert(META), [{"name": name, "value": value} for name, value in rows.items()])
        return
    if kept.get("authority") != authority.encode():
        raise UsageError("database-foreign", "The connector's database belongs to another authority.")
    if kept.get("schema") != SCHEMA_VERSION.encode():
        raise UsageError("database-foreign", "The connector's database was made by another version of Comity.")
    try:
        vault.unprotect(kept["check"], "meta.check")
    except VerificationFailed as error:
        raise VerificationFailed(
            "storage-key-wrong", "The local storage key does not open the connector's database; restore the right key."
        ) from error
