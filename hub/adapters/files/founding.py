"""Founding a deployment: the files of ``comity init``, each written once and never over another.

A demonstration puts the secretariat's signers beside the hub. In a real deployment each signer makes its own keys,
offline, and only their public halves come together in ``anchor.json``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hub.adapters.files.clients import write_client
from hub.adapters.files.home import Home
from hub.adapters.files.keys import write_signers
from hub.adapters.files.lists import SecretariatFolder
from hub.adapters.files.owned import make_folder, write_new
from hub.adapters.files.transport import TransportAuthority
from hub.core.access import BROKER, HUB_PRINCIPALS
from hub.core.authority import Anchor, HubRole, TrustList
from hub.core.ids import Digest, sha256
from hub.core.secretariat import LIST_VALID_MS
from hub.envelope import pki
from hub.envelope.signers import SoftwareSigner, generate_signer
from hub.envelope.suites import SUITES
from hub.envelope.trust import anchor_json, read_trust_list, sign_trust_list
from hub.errors import UsageError
from hub.ports import Chance

SIGNERS: Final = 3
THRESHOLD: Final = 2
SERVER_NAMES: Final = ("localhost", "127.0.0.1")  # of the local broker
ROLES: Final = (HubRole.ROUTER, HubRole.WATCH, HubRole.FRESHNESS)
ALGORITHMS: Final = SUITES["S1"].signatures  # of the hub and the secretariat, whatever suite an authority uses
_DEPLOYMENT_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Counts:
    """What is fixed at a deployment's creation (protocol section 2): a record's place is computed from these."""

    shards: int
    ledger_partitions: int


def deployment_files(home: Home) -> tuple[Path, ...]:
    """Every file of a complete home, the last one written last: the first trust list."""
    folder = SecretariatFolder(home.secretariat)
    clients = [home.client(principal) for principal in HUB_PRINCIPALS]
    return (
        home.transport_ca / "key.pem",
        home.transport_ca / "cert.pem",
        clients[0].truststore,
        *(path for client in clients for path in (client.keystore, client.properties)),
        *(home.role_keys(role) for role in ROLES),
        *(folder.signer(number) for number in range(1, SIGNERS + 1)),
        home.anchor,
        folder.list_path(1),
    )


def is_founded(home: Home) -> bool:
    """Whether the home is complete. Raises ``UsageError(home-incomplete)`` for one that a crash left half made."""
    files = deployment_files(home)
    present = [path for path in files if path.exists()]
    if present and len(present) < len(files):
        absent = next(path for path in files if path not in present)
        raise UsageError(
            "home-incomplete",
            f"{home.root} holds part of a deployment ({absent} is missing); restore it, or move it away and run init again.",
        )
    return bool(present)


def found(home: Home, counts: Counts, *, now_ms: int, chance: Chance) -> TrustList:
    """Make the home: transport CA, client files, role keys, secretariat, anchor, trust list number 1.

    Raises ``UsageError``: ``home-exists`` for a complete home, ``home-incomplete``, ``file-exists``.
    """
    if is_founded(home):
        raise UsageError("home-exists", f"{home.root} is a deployment already; nothing was changed.")
    make_folder(home.root)
    _write_clients(home, TransportAuthority.found(now_ms=now_ms, chance=chance), now_ms=now_ms, chance=chance)
    roles = {role: _new_signer() for role in ROLES}
    for role, signers in roles.items():
        write_signers(home.role_keys(role), signers)
    folder = SecretariatFolder(home.secretariat)
    secretariat = [_new_signer() for _ in range(SIGNERS)]
    for number, signers in enumerate(secretariat, start=1):
        write_signers(folder.signer(number), signers)
    deployment = sha256(b"comity/1 deployment\x00" + chance.bytes(_DEPLOYMENT_BYTES))
    anchor = _anchor(deployment, secretariat)
    write_new(home.anchor, anchor_json(anchor))
    first = _first_list(deployment, counts, roles, now_ms=now_ms)
    signed = sign_trust_list(first, signers=secretariat[:THRESHOLD])
    folder.add_list(first.number, signed)
    return read_trust_list(signed, anchor)


def _new_signer() -> tuple[SoftwareSigner, ...]:
    return tuple(generate_signer(algorithm) for algorithm in ALGORITHMS)


def _anchor(deployment: Digest, secretariat: Sequence[Sequence[SoftwareSigner]]) -> Anchor:
    signers = tuple(tuple(key.public for key in signer) for signer in secretariat)
    return Anchor(deployment=deployment, threshold=THRESHOLD, signers=signers)


def _first_list(
    deployment: Digest, counts: Counts, roles: Mapping[HubRole, Sequence[SoftwareSigner]], *, now_ms: int
) -> TrustList:
    return TrustList(
        deployment=deployment,
        number=1,
        issued_ms=now_ms,
        next_update_ms=now_ms + LIST_VALID_MS,
        shards=counts.shards,
        ledger_partitions=counts.ledger_partitions,
        authorities={},
        hub_keys={role: tuple(key.public for key in signers) for role, signers in roles.items()},
    )


def _write_clients(home: Home, transport: TransportAuthority, *, now_ms: int, chance: Chance) -> None:
    transport.save(home.transport_ca)
    for principal in HUB_PRINCIPALS:
        key = pki.generate_transport_key()
        certificate = transport.issue(
            principal,
            pki.transport_public(key),
            now_ms=now_ms,
            chance=chance,
            server_names=SERVER_NAMES if principal == BROKER else (),
        )
        write_client(home.client(principal), key_pem=key, certificate_pem=certificate, ca_pem=transport.certificate_pem)
