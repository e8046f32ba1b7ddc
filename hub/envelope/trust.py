"""Who may say what: trust lists, freshness, key statements, and the anchor that a participant pins (protocol section 5).

What the hub or the secretariat signs wrongly is ``VerificationFailed``: no record is judged by it. Every kind of
statement has its own JWS type, so that none passes as another. Statements besides the list::

    freshness      {"v": "comity-fresh/1", "dom": deployment, "tl": number, "time": time}
    key statement  {"v": "comity-key/1", "authority": id, "use": "inbox" | "archive", "from": time, "until": time,
                    "key": JWK}
    anchor (file)  {"v": "comity-anchor/1", "dom": deployment, "threshold": m, "signers": [[JWK, ...], ...]}
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, TypeVar

from hub.core.authority import Anchor, Freshness, HubRole, KeyUse, PublicKey, TrustList, TrustView
from hub.core.ids import AuthorityId, Digest, KeyId, authority_id, digest
from hub.core.signing import Signer
from hub.core.times import format_time, parse_time
from hub.envelope import jws as signed
from hub.envelope.certificates import PathCache, verify_authority
from hub.envelope.strict_json import JsonValue, closed, dump, integer, items, parse, text
from hub.envelope.suites import SUITES, public_from_jwk, public_jwk, verify
from hub.envelope.trust_list import decode_trust_list, encode_trust_list
from hub.errors import Refused, UsageError, VerificationFailed

__all__ = [
    "KeyStatement",
    "anchor_json",
    "encode_freshness",
    "encode_key_statement",
    "encode_trust_list",
    "fold_directory",
    "read_anchor",
    "read_freshness",
    "read_key_statement",
    "read_trust_list",
    "sign_trust_list",
    "verify_hub",
]

TRUST_LIST_BYTES_MAX: Final = 8 * 1024 * 1024  # 1,024 authorities of 8 KiB
FRESHNESS_BYTES_MAX: Final = 16 * 1024
KEY_STATEMENT_BYTES_MAX: Final = 16 * 1024
ANCHOR_SIGNERS_MAX: Final = 16  # two algorithms each: the most signatures that a JWS of ours holds

_FRESHNESS: Final = "comity-fresh/1"
_KEY_STATEMENT: Final = "comity-key/1"
_ANCHOR: Final = "comity-anchor/1"
_LIST_KEY: Final = re.compile(rb"tl/([1-9][0-9]{0,15})\Z")
_FRESH_KEY: Final = b"fresh"
_STATEMENT_PREFIX: Final = b"key/"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class KeyStatement:
    """An authority's word that a public key is for sealing to its inbox, or to its archive."""

    authority: AuthorityId
    key: PublicKey
    use: KeyUse
    from_ms: int
    until_ms: int


def sign_trust_list(trust: TrustList, *, signers: Sequence[Sequence[Signer]]) -> bytes:
    """The list as a JWS. Each of ``signers`` is one person of the secretariat, with one key per algorithm."""
    return signed.sign(
        encode_trust_list(trust),
        typ=signed.TYP_TRUST_LIST,
        signers=[key for signer in signers for key in signer],
        issued_s=trust.issued_ms // 1000,
    )


def read_trust_list(data: bytes, anchor: Anchor) -> TrustList:
    """The list, if m of the anchor's signers signed it, each with all its keys, and nobody else.

    Raises ``VerificationFailed(trust-list-invalid | deployment-mismatch)``.
    """
    with_reason = "trust-list-invalid", "The trust list is not signed by enough of the secretariat, or is malformed"

    def read() -> TrustList:
        jws = signed.parse(data, typ=signed.TYP_TRUST_LIST, bytes_max=TRUST_LIST_BYTES_MAX)
        _check_threshold(jws, anchor)
        return decode_trust_list(jws.payload)

    trust = _verified(read, *with_reason)
    _check_deployment(trust.deployment, anchor.deployment)
    return trust


def _check_threshold(jws: signed.Jws, anchor: Anchor) -> None:
    """Every signature is one of the anchor's, none stands twice, and m signers gave all of theirs."""
    known = {key.id: key for signer in anchor.signers for key in signer}
    given: set[KeyId] = set()
    for each in jws.signatures:
        key = known.get(each.key)
        if key is None or key.algorithm != each.algorithm or key.id in given:
            raise Refused("key-unknown", "A signature is not one of the secretariat's, or stands twice.")
        verify(key.algorithm, key.public, each.signature, each.signing_input)
        given.add(key.id)
    whole = sum(1 for signer in anchor.signers if all(key.id in given for key in signer))
    if whole < anchor.threshold:
        raise Refused("algorithms-mismatch", f"{whole} signers signed with all their keys; {anchor.threshold} must.")


def verify_hub(jws: signed.Jws, role: HubRole, trust: TrustList) -> None:
    """Check that the hub's ``role`` signed, with one key for each algorithm that the list gives it, in the list's order.

    Raises ``Refused``: ``algorithms-mismatch``, ``key-unknown``, ``signature-invalid``.
    """
    keys = trust.hub_keys.get(role, ())
    algorithms = tuple(dict.fromkeys(key.algorithm for key in keys))
    signed.verify_all(jws, {key.id: key for key in keys}, algorithms=algorithms)


def encode_freshness(freshness: Freshness, deployment: Digest, *, signers: Sequence[Signer]) -> bytes:
    """The freshness statement as a JWS; ``signers`` are the keys of the role ``freshness``, one per algorithm."""
    payload = dump({"v": _FRESHNESS, "dom": deployment, "tl": freshness.number, "time": format_time(freshness.time_ms)})
    return signed.sign(payload, typ=signed.TYP_FRESHNESS, signers=signers, issued_s=freshness.time_ms // 1000)


def read_freshness(data: bytes, trust: TrustList) -> Freshness:
    """The statement, if the role ``freshness`` of ``trust`` signed it.

    Raises ``VerificationFailed(freshness-invalid | deployment-mismatch)``.
    """

    def read() -> tuple[str, Freshness]:
        jws = signed.parse(data, typ=signed.TYP_FRESHNESS, bytes_max=FRESHNESS_BYTES_MAX)
        verify_hub(jws, HubRole.FRESHNESS, trust)
        members = closed(parse(jws.payload), required=("v", "dom", "tl", "time"))
        _check_version(members["v"], _FRESHNESS)
        freshness = Freshness(number=integer(members, "tl", low=1), time_ms=parse_time(members["time"]))
        return text(members, "dom"), freshness

    deployment, freshness = _verified(read, "freshness-invalid", "The freshness statement does not verify")
    _check_deployment(deployment, trust.deployment)
    return freshness


def encode_key_statement(statement: KeyStatement, *, signers: Sequence[Signer], issued_ms: int) -> bytes:
    """The key statement as a JWS; ``signers`` are the authority's, with certificates, in its suite's order."""
    payload = dump(
        {
            "v": _KEY_STATEMENT,
            "authority": statement.authority,
            "use": statement.use.value,
            "from": format_time(statement.from_ms),
            "until": format_time(statement.until_ms),
            "key": {**public_jwk(statement.key.algorithm, statement.key.public)},
        }
    )
    return signed.sign(payload, typ=signed.TYP_KEY_STATEMENT, signers=signers, issued_s=issued_ms // 1000)


def read_key_statement(data: bytes, trust: TrustList, *, paths: PathCache | None = None) -> KeyStatement:
    """The statement, if its authority signed it with keys in force when it was signed, and ``trust`` lists the key.

    A key that the list does not name for this authority and use is refused, so that an old statement cannot come back.
    Raises ``VerificationFailed(key-statement-invalid)``.
    """

    def read() -> KeyStatement:
        jws = signed.parse(data, typ=signed.TYP_KEY_STATEMENT, bytes_max=KEY_STATEMENT_BYTES_MAX)
        statement = _key_statement(jws.payload)
        authority = trust.authorities.get(statement.authority)
        if authority is None:
            raise Refused("sender-unknown", "The trust list does not name the authority.")
        verify_authority(
            jws,
            authority,
            algorithms=SUITES[authority.suite].signatures,
            time_ms=jws.signatures[0].issued_s * 1000,
            paths=paths or PathCache(),
        )
        listed = authority.encryption_key(statement.key.id)
        if listed is None or (listed.algorithm, listed.use) != (statement.key.algorithm, statement.use):
            raise Refused("key-unknown", "The trust list does not name the key for this use.")
        return statement

    return _verified(read, "key-statement-invalid", "The key statement does not verify")


def _key_statement(payload: bytes) -> KeyStatement:
    members = closed(parse(payload), required=("v", "authority", "use", "from", "until", "key"))
    _check_version(members["v"], _KEY_STATEMENT)
    use = text(members, "use")
    if use not in set(KeyUse):
        raise Refused("field-type", "The use is neither inbox nor archive.")
    return KeyStatement(
        authority=authority_id(members["authority"]),
        key=public_from_jwk(members["key"]),
        use=KeyUse(use),
        from_ms=parse_time(members["from"]),
        until_ms=parse_time(members["until"]),
    )


def anchor_json(anchor: Anchor) -> bytes:
    """The anchor as a file: given to a participant over another channel than the hub's."""
    return dump(
        {
            "v": _ANCHOR,
            "dom": anchor.deployment,
            "threshold": anchor.threshold,
            "signers": [[{**public_jwk(key.algorithm, key.public)} for key in signer] for signer in anchor.signers],
        }
    )


def read_anchor(data: bytes) -> Anchor:
    """The anchor of a file. Raises ``UsageError(anchor-malformed)``, also when one key would count for two signers."""
    try:
        members = closed(parse(data), required=("v", "dom", "threshold", "signers"))
        _check_version(members["v"], _ANCHOR)
        signers = tuple(_signer(each) for each in items(members, "signers", low=1, high=ANCHOR_SIGNERS_MAX))
        anchor = Anchor(
            deployment=digest(members["dom"]),
            threshold=integer(members, "threshold", low=1, high=len(signers)),
            signers=signers,
        )
        ids = [key.id for signer in signers for key in signer]
        if len(set(ids)) != len(ids):
            raise Refused("key-unknown", "A key stands twice.")
    except Refused as error:
        raise UsageError("anchor-malformed", f"This is no anchor file of Comity: {error.sentence}") from error
    return anchor


def _signer(value: JsonValue) -> tuple[PublicKey, ...]:
    wrapped: dict[str, JsonValue] = {"signer": value}
    return tuple(public_from_jwk(key) for key in items(wrapped, "signer", low=1, high=2))


def fold_directory(view: TrustView, key: bytes | None, value: bytes | None, anchor: Anchor) -> TrustView:
    """The view after one record of ``hub.directory``; key statements are not part of it.

    A list is never replaced by another of its number. An older freshness statement changes nothing.
    Raises ``VerificationFailed``: ``directory-malformed``, ``trust-list-invalid``, ``trust-list-forked``,
    ``freshness-invalid``, ``deployment-mismatch``.
    """
    if key is not None and key.startswith(_STATEMENT_PREFIX):
        return view
    number = None if key is None else _LIST_KEY.match(key)
    if value is None or (number is None and key != _FRESH_KEY):
        raise VerificationFailed("directory-malformed", "A record of the directory is empty or has an unknown key.")
    if number is not None:
        return _with_list(view, int(number.group(1)), read_trust_list(value, anchor))
    if not view.lists:
        raise VerificationFailed("freshness-invalid", "A freshness statement came before any trust list.")
    freshness = read_freshness(value, view.newest)
    if view.freshness is not None and freshness.time_ms <= view.freshness.time_ms:
        return view
    return replace(view, freshness=freshness)


def _with_list(view: TrustView, number: int, trust: TrustList) -> TrustView:
    if trust.number != number:
        raise VerificationFailed("directory-malformed", f"A trust list lies under the number {number}, not its own.")
    known = view.lists.get(number)
    if known is None:
        lists: Mapping[int, TrustList] = MappingProxyType({**view.lists, number: trust})
        return replace(view, lists=lists)
    if known != trust:
        raise VerificationFailed("trust-list-forked", f"There are two different trust lists of number {number}.")
    return view


def _verified(read: Callable[[], T], code: str, sentence: str) -> T:
    """What ``read`` gives, its refusal being a failure of ours: these are not a correspondent's bytes."""
    try:
        return read()
    except Refused as error:
        raise VerificationFailed(code, f"{sentence} ({error.code}).") from error


def _check_version(value: JsonValue, version: str) -> None:
    if value != version:
        raise Refused("version-unknown", f"The version is not {version}.")


def _check_deployment(named: str, expected: Digest) -> None:
    if named != expected:
        raise VerificationFailed("deployment-mismatch", "The statement is for another deployment.")
