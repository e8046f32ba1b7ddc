"""Padmé lengths (PURBs, Nikitin et al., PoPETs 2019, section 4): a size tells at most log log of itself, for at most 12 %.

Content gets 0x80 and zeros up to a Padmé length. An attachment gets zeros only: its true length is in the content.
"""

from __future__ import annotations

from typing import Final

from hub.core.refusals import refuse

MARK: Final = (
    b"\x80"  # ISO/IEC 7816-4: the last byte that is not zero, so that any content can be told from its padding
)


def padme(length: int) -> int:
    """The Padmé length for ``length`` bytes: rounded up to a multiple of 2^(E - S), E = floor(log2 L), S = floor(log2 E) + 1."""
    if length <= 1:  # log2 of E is not defined below 2, and there is nothing to hide
        return length
    exponent = length.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (length + mask) & ~mask


def pad(content: bytes) -> bytes:
    """``content``, 0x80, and zeros up to the Padmé length."""
    return (content + MARK).ljust(padme(len(content) + len(MARK)), b"\x00")


def unpad(padded: bytes) -> bytes:
    """The content of ``pad``'s result. Raises ``Refused(padding-invalid)`` for anything that ``pad`` would not have made."""
    marked = padded.rstrip(b"\x00")
    # A longer run of zeros would be a second spelling of the same content, and a channel beside it.
    if not marked.endswith(MARK) or padme(len(marked)) != len(padded):
        raise refuse("padding-invalid")
    return marked[: -len(MARK)]
