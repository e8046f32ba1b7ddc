"""JWE General JSON (RFC 7516 section 7.2.1), the one sealed form: a closed, strict, thin codec (schemas/envelope.md 5.1).

No ``zip``, no unprotected header, no member beyond the profile: what is not written here is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from connectors.seal.key_wrap import CONTENT_ENCRYPTION, CONTENT_KEY_BYTES, SHAPES, WrappedKey, unwrap, wrap
from connectors.seal.keys import ECDH_X25519, DecryptionKey
from hub.core.authority import PublicKey
from hub.core.ids import key_id
from hub.core.limits import RECIPIENT_KEYS_MAX, VALUE_BYTES_MAX
from hub.core.refusals import refuse
from hub.envelope.encoding import b64, unb64
from hub.envelope.strict_json import JsonObject, JsonValue, closed, dump, items, parse, text
from hub.errors import Refused
from hub.ports import Chance

PROTECTED: Final[JsonObject] = {"enc": CONTENT_ENCRYPTION, "typ": "comity+jwe", "cty": "comity-content+json"}
"""The protected header: the same in every value."""

_PROTECTED: Final = b64(dump(PROTECTED))
IV_BYTES: Final = 12
TAG_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Jwe:
    """A parsed value, nothing of it authentic before ``decrypt``."""

    recipients: tuple[WrappedKey, ...]
    aad: bytes
    additional: bytes  # what the cipher covers beside the content: protected, ".", aad, as written
    iv: bytes
    ciphertext: bytes
    tag: bytes


def encrypt(plaintext: bytes, *, aad: bytes, recipients: Sequence[PublicKey], chance: Chance) -> bytes:
    """The value bytes: ``plaintext`` under a fresh key, wrapped for each of ``recipients``, bound to ``aad``.

    Raises ``Refused(key-malformed)`` for a public key that is none.
    """
    content_key, iv = chance.bytes(CONTENT_KEY_BYTES), chance.bytes(IV_BYTES)
    wrapped = [wrap(recipient, content_key, chance=chance) for recipient in recipients]
    encoded_aad = b64(aad)
    additional = f"{_PROTECTED}.{encoded_aad}".encode("ascii")
    sealed = AESGCM(content_key).encrypt(iv, plaintext, additional)
    return dump(
        {
            "protected": _PROTECTED,
            "recipients": [_recipient_json(each) for each in wrapped],
            "aad": encoded_aad,
            "iv": b64(iv),
            "ciphertext": b64(sealed[:-TAG_BYTES]),
            "tag": b64(sealed[-TAG_BYTES:]),
        }
    )


def _recipient_json(wrapped: WrappedKey) -> JsonObject:
    header: JsonObject = {"alg": wrapped.algorithm, "kid": wrapped.kid}
    encapsulation = b64(wrapped.encapsulation)
    if wrapped.algorithm == ECDH_X25519:
        header["epk"] = {"kty": "OKP", "crv": "X25519", "x": encapsulation}
    else:
        header["ek"] = encapsulation
    return {"header": header, "encrypted_key": b64(wrapped.encrypted_key)}


def parse_value(value: bytes) -> Jwe:
    """Parse value bytes, and decrypt nothing. Raises ``Refused(jwe-malformed)`` for anything that is not the profile."""
    if len(value) > VALUE_BYTES_MAX:
        raise refuse("jwe-malformed")
    try:
        members = closed(parse(value), required=("protected", "recipients", "aad", "iv", "ciphertext", "tag"))
        protected, aad = text(members, "protected"), text(members, "aad")
        jwe = Jwe(
            recipients=tuple(_recipient(each) for each in items(members, "recipients", low=1, high=RECIPIENT_KEYS_MAX)),
            aad=unb64(aad),
            additional=f"{protected}.{aad}".encode("ascii"),
            iv=unb64(text(members, "iv")),
            ciphertext=unb64(text(members, "ciphertext")),
            tag=unb64(text(members, "tag")),
        )
        header = PROTECTED if protected == _PROTECTED else parse(unb64(protected))
    except Refused as error:
        raise refuse("jwe-malformed") from error
    if header != PROTECTED or len(jwe.iv) != IV_BYTES or len(jwe.tag) != TAG_BYTES:
        raise refuse("jwe-malformed")
    return jwe


def _recipient(value: JsonValue) -> WrappedKey:
    members = closed(value, required=("header", "encrypted_key"))
    header = members["header"]
    algorithm = header.get("alg") if isinstance(header, dict) else None
    shape = SHAPES.get(algorithm) if isinstance(algorithm, str) else None
    if not isinstance(algorithm, str) or shape is None:
        raise refuse("jwe-malformed")
    if algorithm == ECDH_X25519:
        header = closed(header, required=("alg", "kid", "epk"))
        encapsulation = _ephemeral(header["epk"])
    else:
        header = closed(header, required=("alg", "kid", "ek"))
        encapsulation = unb64(text(header, "ek"))
    encrypted_key = unb64(text(members, "encrypted_key"))
    if len(encapsulation) != shape.encapsulation_bytes or len(encrypted_key) != shape.encrypted_key_bytes:
        raise refuse("jwe-malformed")
    return WrappedKey(algorithm, key_id(header["kid"]), encapsulation, encrypted_key)


def _ephemeral(value: JsonValue) -> bytes:
    """The raw key of an ``epk`` (RFC 7518 section 4.6.1.1, RFC 8037)."""
    epk = closed(value, required=("kty", "crv", "x"))
    if epk["kty"] != "OKP" or epk["crv"] != "X25519":
        raise refuse("jwe-malformed")
    return unb64(text(epk, "x"))


def decrypt(jwe: Jwe, recipient: WrappedKey, key: DecryptionKey) -> bytes:
    """The plaintext, by the content key that ``recipient``, one of ``jwe``'s, wraps for ``key``.

    Raises ``Refused(cannot-decrypt)``, with one text for every reason.
    """
    return decrypt_content(unwrap(recipient, key), jwe)


def decrypt_content(content_key: bytes, jwe: Jwe) -> bytes:
    """The plaintext under ``content_key`` (32 bytes). Raises ``Refused(cannot-decrypt)``."""
    try:
        return AESGCM(content_key).decrypt(jwe.iv, jwe.ciphertext + jwe.tag, jwe.additional)
    except (InvalidTag, ValueError) as error:  # ValueError: a key or IV of another length
        raise refuse("cannot-decrypt") from error
