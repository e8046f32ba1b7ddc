"""Signing the heads of the hub's bundles with a role's keys: the one place where a process signs."""

from __future__ import annotations

from collections.abc import Sequence

from hub.envelope import jws
from hub.flow import Sign
from hub.ports import Clock, Signer


def head_signer(signers: Sequence[Signer], clock: Clock) -> Sign:
    """A function from the bytes of a head to its JWS, by all keys of a role, in the suite's order."""

    def sign(head: bytes) -> bytes:
        return jws.sign(head, typ=jws.TYP_HEAD, signers=signers, issued_s=clock.now_ms() // 1000)

    return sign
