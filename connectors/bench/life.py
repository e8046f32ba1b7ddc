"""The bare cryptography of a message's whole life, with keys loaded and nothing else in the measured time.

One life after the other, each step once in each: a step that is repeated alone would find all its tables at hand.

===================  =========================================================================================
``seal``             content key to recipient and archive, the cipher, all signatures of the suite, three hashes
``hub``              all verifications, hashes of value and JWS, the tree of its claims
``open``             all verifications, the same hashes, the content key, the cipher, the commitment
``lists``            its share of a full receipt list for ``delivered`` and ``opened``: signed once, verified twice
``heads``            its share of signed heads: signed once a transaction, verified once for each bundle
===================  =========================================================================================
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from connectors.bench.baseline import CLAIM_BYTES, CLAIMS_PER_MESSAGE
from connectors.bench.figures import MICROSECONDS
from connectors.gateway.keyring import Keyring
from connectors.seal.key_wrap import CONTENT_KEY_BYTES, WrappedKey, unwrap, wrap
from connectors.seal.keys import DecryptionKey, public
from connectors.seal.padding import padme
from hub.core.authority import KeyUse
from hub.core.ids import sha256
from hub.core.limits import RECEIPTS_PER_MANIFEST_MAX
from hub.envelope.suites import verify
from hub.evidence.merkle import Tree, leaf_hash
from hub.ports import Chance, Signer

ROUNDS: Final = 400  # lives; signing takes a random number of attempts, so that few tell little
SELDOM: Final = 8  # what many messages share is done after each so many lives
LEAVES: Final = 50  # messages of one tree
LEVELS: Final = 2  # delivered and opened: each is a reference in a list
HEADER_BYTES: Final = 5_900  # a manifest's JWS, and what its signatures are over
PAYLOAD_BYTES: Final = 1_600
LIST_BYTES: Final = 9_000  # payload of a full list
_SALT_AND_FRAME: Final = 150  # of the content beside the document
_AAD: Final = b"." * 700
_IV: Final = bytes(12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """What several messages have in common, as it was measured: messages a transaction, bundles a message."""

    batch_mean: float
    bundles_per_message: float


def sample_us(keys: Keyring, *, document_bytes: int, chance: Chance) -> dict[str, float]:
    """Microseconds of CPU for each primitive step; ``keys`` play all sides."""
    crypto = _Crypto(keys, document_bytes, chance)
    each = {step.__name__: step for step in (crypto.seal, crypto.sign, crypto.hash, crypto.check, crypto.open)}
    shared = (crypto.sign_list, crypto.check_list, crypto.sign_head, crypto.check_head, crypto.tree)
    seldom = {step.__name__: step for step in shared}
    spent = dict.fromkeys([*each, *seldom], 0.0)
    for number in range(-1, ROUNDS):
        for name, step in {**each, **(seldom if number % SELDOM == 0 or number < 0 else {})}.items():
            begun = time.thread_time()
            step()
            spent[name] += (time.thread_time() - begun) if number >= 0 else 0.0  # the first one loads keys
    us = {name: seconds / ROUNDS * MICROSECONDS for name, seconds in spent.items()}
    return us | {name: us[name] * SELDOM for name in seldom}


def life_us(samples: Sequence[Mapping[str, float]], shares: Shares) -> dict[str, float]:
    """Microseconds of CPU for each part of a message's life, by the mean of several samples."""
    us = {name: sum(sample[name] for sample in samples) / len(samples) for name in samples[0]}
    return {
        "seal": us["seal"] + us["sign"] + us["hash"],
        "hub": us["check"] + us["hash"] + us["tree"] / LEAVES,
        "open": us["check"] + us["hash"] + us["open"],
        "lists": LEVELS / RECEIPTS_PER_MANIFEST_MAX * (us["sign_list"] + 2 * us["check_list"]),
        "heads": us["sign_head"] / shares.batch_mean + us["check_head"] * shares.bundles_per_message,
    }


class _Crypto:
    def __init__(self, keys: Keyring, document_bytes: int, chance: Chance) -> None:
        self._signers: Sequence[Signer] = keys.signers
        self._public = {signer.algorithm: signer.public.public for signer in keys.signers}
        by_use: Mapping[KeyUse, DecryptionKey] = {key.use: key for key in keys.decryption}
        self._inbox, self._archive = by_use[KeyUse.INBOX], by_use[KeyUse.ARCHIVE]
        self._chance = chance
        self._content = bytes(padme(document_bytes + _SALT_AND_FRAME))
        self._key = chance.bytes(CONTENT_KEY_BYTES)
        self._sealed = AESGCM(self._key).encrypt(_IV, self._content, _AAD)
        self._wrapped: WrappedKey = wrap(public(self._inbox), self._key, chance=chance)
        self._value = bytes(len(self._content) * 4 // 3 + 2 * 1_700)
        self._header, self._payload = bytes(HEADER_BYTES), bytes(PAYLOAD_BYTES)
        self._list, self._head = bytes(LIST_BYTES), bytes(CLAIM_BYTES)
        self._signed = {data: self._sign(data) for data in (self._payload, self._list, self._head)}

    def _sign(self, data: bytes) -> list[tuple[str, bytes]]:
        return [(signer.algorithm, signer.sign(data)) for signer in self._signers]

    def _check(self, data: bytes) -> None:
        for algorithm, signature in self._signed[data]:
            verify(algorithm, self._public[algorithm], signature, data)

    def sign(self) -> None:
        self._sign(self._payload)

    def check(self) -> None:
        self._check(self._payload)

    def sign_list(self) -> None:
        self._sign(self._list)

    def check_list(self) -> None:
        self._check(self._list)

    def sign_head(self) -> None:
        self._sign(self._head)

    def check_head(self) -> None:
        self._check(self._head)

    def hash(self) -> None:
        sha256(self._value)
        sha256(self._header)
        sha256(self._content)

    def seal(self) -> None:
        for key in (self._inbox, self._archive):
            wrap(public(key), self._key, chance=self._chance)
        AESGCM(self._key).encrypt(_IV, self._content, _AAD)

    def open(self) -> None:
        unwrap(self._wrapped, self._inbox)
        AESGCM(self._key).decrypt(_IV, self._sealed, _AAD)

    def tree(self) -> None:
        Tree([leaf_hash(self._head) for _ in range(CLAIMS_PER_MESSAGE * LEAVES)])
