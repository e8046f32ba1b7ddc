"""Encrypted attachments in an object store: a folder, or an S3-like service behind obstore. It never holds plaintext.

Each authority writes under its own prefix; an object is there, whole, before the message that names it is published.
Functions block: call them outside the event loop. Memory is constant, whatever the size.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from hub.core.ids import AuthorityId
from hub.core.refusals import refuse
from hub.errors import Unreachable, UsageError

PART_BYTES: Final = 5 * 1024 * 1024  # the smallest part that S3 takes
PARTS_AT_ONCE: Final = 2
READ_BYTES: Final = 1024 * 1024
_OBJECT_NAME: Final = re.compile(r"[a-z]{2}-[a-z0-9]{2,24}/[0-9a-f]{32}\Z")


class ObjectStore:
    """The store of one deployment's attachments."""

    def __init__(self, store: Any) -> None:  # noqa: ANN401 (obstore's stores have no common type at run time)
        self._store = store

    def put(self, uri: str, chunks: Iterable[bytes]) -> None:
        """Store an object. What ``chunks`` raises comes through, and no object is there then. Raises ``Unreachable``."""
        source = _Remembering(chunks)
        try:
            obstore.put(self._store, uri, source, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)
        except Exception as error:
            # obstore wraps what the iterator raised in an error of its own.
            if source.error is not None:
                raise source.error from None
            if isinstance(error, BaseError | OSError):
                raise _unreachable(error) from error
            raise

    def get(self, uri: str, owner: AuthorityId) -> Iterator[bytes]:
        """The object's bytes in chunks.

        Raises ``Refused(attachment-missing)`` when it is not there or lies under another's prefix, ``Unreachable``.
        """
        if _OBJECT_NAME.match(uri) is None or not uri.startswith(f"{owner}/"):
            raise refuse("attachment-missing")
        try:
            stream = obstore.get(self._store, uri).stream(min_chunk_size=READ_BYTES)
            for chunk in stream:
                yield bytes(chunk)
        except FileNotFoundError as error:
            raise refuse("attachment-missing") from error
        except (BaseError, OSError) as error:
            raise _unreachable(error) from error


class _Remembering(Iterator[bytes]):
    """Passes chunks on, and remembers what their source raised."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self.error: Exception | None = None

    def __next__(self) -> bytes:
        try:
            return next(self._chunks)
        except StopIteration:
            raise
        except Exception as error:
            self.error = error
            raise


def open_objects(url: str) -> ObjectStore:
    """The store at ``url``: a folder's path or ``file://`` URL, ``s3://bucket/prefix``, ``az://``, ``gs://``.

    Credentials of a service come from its own environment variables. Raises ``UsageError(object-store-url)``.
    """
    try:
        if "://" not in url:
            return ObjectStore(LocalStore(url, mkdir=True))
        if url.startswith("file://"):
            return ObjectStore(LocalStore.from_url(url, mkdir=True))
        return ObjectStore(from_url(url))
    except (BaseError, OSError, ValueError) as error:
        raise UsageError(
            "object-store-url", "The setting objects is no usable folder or object store URL; see connector.toml."
        ) from error


def _unreachable(error: Exception) -> Unreachable:
    return Unreachable("object-store-failed", f"The object store does not answer ({type(error).__name__}).")
