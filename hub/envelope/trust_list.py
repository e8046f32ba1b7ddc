"""The trust list's grammar: bytes to values and back. What is signed is these bytes; who signed is in ``trust``.

::

    {"v": "comity-tl/1", "dom": deployment, "tl": number, "iat": time, "next": time, "shards": n, "partitions": n,
     "authorities": [{"id", "name", "suite", "waiver": time or null, "status": [{"status", "from"}, ...],
                      "anchors": [certificate, ...],
                      "signing": [{"kid", "alg", "crt", "from", "until", "revoked", "suspect"}, ...],
                      "encryption": [{"kid", "alg", "use", "from", "until"}, ...]}, ...],
     "hub": {"router": [JWK, ...], "watch": [...], "sequencer": [...], "freshness": [...]}}

Authorities stand in the order of their ids, each once; certificates are base64url of DER, times RFC 3339.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType
from typing import Final, TypeVar

from hub.core.authority import Authority, EncryptionKey, HubRole, KeyUse, PublicKey, SigningKey, Status, TrustList
from hub.core.ids import authority_id, digest, key_id
from hub.core.times import format_time, parse_time
from hub.envelope.encoding import b64, unb64
from hub.envelope.strict_json import JsonObject, JsonValue, closed, dump, integer, items, optional, parse, text
from hub.envelope.suites import SUITES, public_from_jwk, public_jwk
from hub.errors import Refused

VERSION: Final = "comity-tl/1"
AUTHORITIES_MAX: Final = 1024  # 193 States with a handful of authorities each
STATUS_ENTRIES_MAX: Final = 64
ANCHORS_MAX: Final = 4  # the State's CA, its successor, one for each algorithm
KEYS_MAX: Final = 64  # per authority and purpose: two a year for 30 years
HUB_KEYS_MAX: Final = 16  # per role: two algorithms, with room for rotation
PARTITIONS_MAX: Final = 1024  # shards or ledger partitions: far more than one Kafka cluster needs
NAME_CHARACTERS_MAX: Final = 200

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


def encode_trust_list(trust: TrustList) -> bytes:
    """The bytes that the secretariat signs. Raises ``Refused`` for values that ``decode_trust_list`` would refuse."""
    authorities: list[JsonValue] = [_authority_json(trust.authorities[each]) for each in sorted(trust.authorities)]
    payload = dump(
        {
            "v": VERSION,
            "dom": trust.deployment,
            "tl": trust.number,
            "iat": format_time(trust.issued_ms),
            "next": format_time(trust.next_update_ms),
            "shards": trust.shards,
            "partitions": trust.ledger_partitions,
            "authorities": authorities,
            "hub": {role.value: _keys_json(trust.hub_keys.get(role, ())) for role in HubRole},
        }
    )
    decode_trust_list(payload)
    return payload


def decode_trust_list(payload: bytes) -> TrustList:
    """The list that ``payload`` spells. Raises ``Refused``, whatever the bytes; who signed them is another question."""
    members = closed(
        parse(payload),
        required=("v", "dom", "tl", "iat", "next", "shards", "partitions", "authorities", "hub"),
    )
    _check(members["v"] == VERSION, "it is of another version")
    issued_ms, next_update_ms = parse_time(members["iat"]), parse_time(members["next"])
    _check(issued_ms < next_update_ms, "it ends before it begins")
    authorities = _each(members, "authorities", _authority, high=AUTHORITIES_MAX)
    _check(all(one.id < other.id for one, other in pairwise(authorities)), "authorities are not in order, each once")
    hub = closed(members["hub"], required=[role.value for role in HubRole])
    return TrustList(
        deployment=digest(members["dom"]),
        number=integer(members, "tl", low=1),
        issued_ms=issued_ms,
        next_update_ms=next_update_ms,
        shards=integer(members, "shards", low=1, high=PARTITIONS_MAX),
        ledger_partitions=integer(members, "partitions", low=1, high=PARTITIONS_MAX),
        authorities=MappingProxyType({each.id: each for each in authorities}),
        hub_keys=MappingProxyType(
            {role: _each(hub, role.value, public_from_jwk, high=HUB_KEYS_MAX) for role in HubRole}
        ),
    )


def _authority_json(authority: Authority) -> JsonObject:
    return {
        "id": authority.id,
        "name": authority.name,
        "suite": authority.suite,
        "waiver": _time_json(authority.waiver_until_ms),
        "status": [{"status": status.value, "from": format_time(from_ms)} for status, from_ms in authority.status],
        "anchors": [b64(anchor) for anchor in authority.anchors],
        "signing": [
            {
                "kid": key.id,
                "alg": key.algorithm,
                "crt": b64(key.certificate),
                "from": format_time(key.from_ms),
                "until": format_time(key.until_ms),
                "revoked": _time_json(key.revoked_ms),
                "suspect": _time_json(key.suspect_since_ms),
            }
            for key in authority.signing
        ],
        "encryption": [
            {
                "kid": key.id,
                "alg": key.algorithm,
                "use": key.use.value,
                "from": format_time(key.from_ms),
                "until": format_time(key.until_ms),
            }
            for key in authority.encryption
        ],
    }


def _authority(value: JsonValue) -> Authority:
    members = closed(value, required=("id", "name", "suite", "waiver", "status", "anchors", "signing", "encryption"))
    name, suite = text(members, "name"), text(members, "suite")
    _check(0 < len(name) <= NAME_CHARACTERS_MAX and name.isprintable(), "a name is empty, long or unprintable")
    _check(suite in SUITES, "a suite is not in the registry")
    status = _each(members, "status", _status, low=1, high=STATUS_ENTRIES_MAX)
    _check(all(one[1] <= other[1] for one, other in pairwise(status)), "a history is not in order")
    signing = _each(members, "signing", _signing, high=KEYS_MAX)
    encryption = _each(members, "encryption", _encryption, high=KEYS_MAX)
    _check(_distinct([(key.id, key.certificate) for key in signing]), "a certificate stands twice")
    _check(_distinct([key.id for key in encryption]), "an encryption key stands twice")
    return Authority(
        id=authority_id(members["id"]),
        name=name,
        suite=suite,
        status=status,
        anchors=_each(members, "anchors", _bytes, low=1, high=ANCHORS_MAX),
        signing=signing,
        encryption=encryption,
        waiver_until_ms=optional(members, "waiver", parse_time),
    )


def _status(value: JsonValue) -> tuple[Status, int]:
    members = closed(value, required=("status", "from"))
    return _word(Status, members["status"]), parse_time(members["from"])


def _signing(value: JsonValue) -> SigningKey:
    members = closed(value, required=("kid", "alg", "crt", "from", "until", "revoked", "suspect"))
    from_ms, until_ms = _dates(members)
    return SigningKey(
        id=key_id(members["kid"]),
        algorithm=text(members, "alg"),
        certificate=_bytes(members["crt"]),
        from_ms=from_ms,
        until_ms=until_ms,
        revoked_ms=optional(members, "revoked", parse_time),
        suspect_since_ms=optional(members, "suspect", parse_time),
    )


def _encryption(value: JsonValue) -> EncryptionKey:
    members = closed(value, required=("kid", "alg", "use", "from", "until"))
    from_ms, until_ms = _dates(members)
    return EncryptionKey(
        id=key_id(members["kid"]),
        algorithm=text(members, "alg"),
        use=_word(KeyUse, members["use"]),
        from_ms=from_ms,
        until_ms=until_ms,
    )


def _dates(members: JsonObject) -> tuple[int, int]:
    from_ms, until_ms = parse_time(members["from"]), parse_time(members["until"])
    _check(from_ms <= until_ms, "a key ends before it begins")
    return from_ms, until_ms


def _time_json(time_ms: int | None) -> str | None:
    return None if time_ms is None else format_time(time_ms)


def _keys_json(keys: Sequence[PublicKey]) -> list[JsonValue]:
    return [{**public_jwk(key.algorithm, key.public)} for key in keys]


def _bytes(value: JsonValue) -> bytes:
    _check(isinstance(value, str), "a certificate is no text")
    return unb64(str(value))


def _word(kind: type[E], value: JsonValue) -> E:
    try:
        return kind(str(value))
    except ValueError as error:
        raise _malformed("a word is not on its list") from error


def _each(members: JsonObject, name: str, read: Callable[[JsonValue], T], *, high: int, low: int = 0) -> tuple[T, ...]:
    return tuple(read(value) for value in items(members, name, low=low, high=high))


def _distinct(values: Sequence[object]) -> bool:
    return len(set(values)) == len(values)


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _malformed(otherwise)


def _malformed(reason: str) -> Refused:
    return Refused("trust-list-malformed", f"This is no trust list of comity/1: {reason}.")
