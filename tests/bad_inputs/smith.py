"""A forger with an authority's own keys: it signs any bytes at the next place of its chain, true or false."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from hub.core.authority import TrustList
from hub.core.ids import AuthorityId, Digest, ThreadId, sha256
from hub.core.records import JWS_HEADER, Headers, Outgoing
from hub.envelope import jws
from hub.envelope.encoding import b64, unb64
from hub.envelope.signers import SoftwareSigner
from hub.testing import FakeAuthority

Members = dict[str, Any]
Text = Callable[[bytes], bytes]

THREAD: Final = ThreadId("0123456789abcdef0123456789abcdef")  # of every draft, so that the record's key fits
CANARY: Final = "canary-f3c1d0"
"""Stands in every poison. Whatever the hub says of a poison, this is not in it."""


def compact(value: object) -> bytes:
    """JSON as other people write it: nothing is checked."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def jws_payload(header: bytes) -> Members:
    """The manifest in a ``comity-jws`` header, as members."""
    members: Members = json.loads(unb64(json.loads(header)["payload"]))
    return members


class Smith:
    """``authority`` as an attacker that writes to ``recipient``. ``spare`` are its keys that are not in force, by name."""

    def __init__(
        self,
        authority: FakeAuthority,
        recipient: AuthorityId,
        *,
        trust: TrustList,
        now_ms: int,
        spare: Mapping[str, Sequence[SoftwareSigner]] | None = None,
        others: Mapping[str, FakeAuthority] | None = None,
    ) -> None:
        self.authority = authority
        self.recipient = recipient
        self.trust = trust
        self.now_ms = now_ms
        self.spare = dict(spare or {})
        self.others = dict(others or {})
        self._before: tuple[int, Digest | None] = (0, None)
        self.value = b'{"ciphertext":"%s"}' % CANARY.encode()

    @property
    def signers(self) -> tuple[SoftwareSigner, ...]:
        """Its keys in force."""
        return tuple(signer for signer, _ in self.authority.signers)

    @property
    def chain(self) -> tuple[int, Digest | None]:
        """The last number that was taken, and its hash."""
        return self.authority._chains.get(self.recipient, (0, None))

    def count(self, headers: Headers) -> None:
        """The record with these headers took the next number."""
        self._before = self.chain
        self.authority._chains[self.recipient] = (self.chain[0] + 1, sha256(dict(headers)[JWS_HEADER]))

    def uncount(self) -> None:
        """Undo the last ``count``: the record took no number after all."""
        self.authority._chains[self.recipient] = self._before

    def good(self, recipient: AuthorityId | None = None) -> Outgoing:
        """A valid letter, counted as sent."""
        return self.authority.letter(recipient or self.recipient, trust=self.trust, now_ms=self.now_ms)

    def draft(self, value: bytes | None = None) -> Outgoing:
        """A valid letter over ``value``, not counted."""
        twin = copy.copy(self.authority)
        twin._chains = dict(self.authority._chains)
        value = self.value if value is None else value
        return twin.letter(self.recipient, trust=self.trust, now_ms=self.now_ms, value=value, thread=THREAD)

    def members(self, value: bytes | None = None, **changes: Any) -> Members:
        """The next manifest as JSON members, some of them changed."""
        header = dict(self.draft(value).headers)[JWS_HEADER]
        return jws_payload(header) | {name.rstrip("_"): member for name, member in changes.items()}

    def signed(
        self,
        payload: bytes,
        *,
        signers: Sequence[SoftwareSigner] | None = None,
        protected: Text = bytes,
        edit: Callable[[Members], object] | None = None,
        typ: str = jws.TYP_MANIFEST,
    ) -> Members:
        """The JWS of any payload, as members. ``edit`` changes the first protected header, ``protected`` its text."""
        encoded, signatures = b64(payload), []
        for number, signer in enumerate(self.signers if signers is None else signers):
            header: Members = {"alg": signer.algorithm, "typ": typ, "kid": signer.key}
            header |= {"x5t#S256": signer.certificate_digest, "iat": self.now_ms // 1000}
            if number == 0 and edit is not None:
                edit(header)
            text = compact(header)
            name = b64(protected(text) if number == 0 else text)
            signatures.append({"protected": name, "signature": b64(signer.sign(f"{name}.{encoded}".encode()))})
        return {"payload": encoded, "signatures": signatures}

    def manifest(self, payload: Text = bytes, **changes: Any) -> bytes:
        """The ``comity-jws`` of the next manifest, some members changed, its text put through ``payload``."""
        return compact(self.signed(payload(compact(self.members(**changes)))))
