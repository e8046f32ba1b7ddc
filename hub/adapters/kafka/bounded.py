"""A limit for what a compressed batch unpacks to (faults-and-threats, fact 9).

aiokafka has none: 260 KB of gzip make 256 MiB. The outboxes' broker unpacks what authorities write and refuses bombs
before we meet them; this holds where a topic is set otherwise. Other codecs need a library that we do not ship.
"""

from __future__ import annotations

import zlib
from typing import Final

from aiokafka.record import _crecords
from aiokafka.record import default_records as plain

from hub.core.access import DIRECTORY_RECORD_BYTES_MAX

UNPACKED_BYTES_MAX: Final = DIRECTORY_RECORD_BYTES_MAX  # the largest batch that any topic of ours takes
_GZIP: Final = 16 + zlib.MAX_WBITS


def install_bounded_gzip() -> None:
    """Replace aiokafka's ``gzip_decode`` in this process; doing it again changes nothing."""
    for module in (_crecords.default_records, plain):
        module.gzip_decode = _unpack


def _unpack(payload: bytes) -> bytes:
    """The bytes of one or more gzip members. Raises ``ValueError`` for too many, and for what is no gzip."""
    found, rest = b"", bytes(payload)
    try:
        while rest:
            member = zlib.decompressobj(_GZIP)
            found += member.decompress(rest, UNPACKED_BYTES_MAX + 1 - len(found))
            if len(found) > UNPACKED_BYTES_MAX:
                raise ValueError(f"a batch unpacks to over {UNPACKED_BYTES_MAX} bytes")
            if not member.eof:
                raise ValueError("a packed batch is cut off")
            rest = member.unused_data
    except zlib.error as error:
        raise ValueError("a packed batch is no gzip") from error
    return found
