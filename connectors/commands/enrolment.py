"""The State's side of an enrolment: keys are made here, in the authority's own folder, and only public parts go out.

1. ``prepare`` makes all keys and ``enrolment-request.jws``;
2. the secretariat admits the request (``hub.adapters.secretariat.admit_authority``) and answers with an admission;
3. ``install`` puts the transport certificate of the admission beside its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connectors.gateway.keyring import Keyring, write_keyring
from connectors.seal.keys import SEED_BYTES, DecryptionKey, generate_decryption_key, public
from connectors.seal.storage import STORAGE_KEY_BYTES
from hub.adapters.files.clients import write_client
from hub.adapters.files.home import StateFolder
from hub.adapters.files.owned import make_folder, read, read_private, write_new
from hub.adapters.files.transport import save_ca, validity
from hub.core.authority import Authority, EncryptionKey, KeyUse, SigningKey, Status
from hub.core.ids import KeyId
from hub.core.limits import CLOCK_SKEW_MS_MAX
from hub.envelope import pki
from hub.envelope.enrolment import EnrolmentRequest, read_admission, sign_request
from hub.envelope.signers import SoftwareSigner, generate_signer, private_pem, signer_from_pem
from hub.envelope.suites import SUITES
from hub.envelope.trust import KeyStatement, encode_key_statement, read_anchor
from hub.envelope.validity import der_validity
from hub.errors import UsageError
from hub.ports import Chance

DAY_MS: Final = 24 * 3600 * 1000
CA_VALID_MS: Final = 10 * 365 * DAY_MS
SIGNING_VALID_MS: Final = 2 * 365 * DAY_MS
ENCRYPTION_VALID_MS: Final = 365 * DAY_MS  # at most 12 months, then 30 days of overlap (schemas/envelope.md)


@dataclass(frozen=True, slots=True)
class _SigningParts:
    """The State's CA with the leaves that it certified."""

    anchor: bytes
    signers: tuple[SoftwareSigner, ...]
    keys: tuple[SigningKey, ...]

    @property
    def certificates(self) -> Mapping[KeyId, bytes]:
        """The leaf (DER) of each key."""
        return {key.id: key.certificate for key in self.keys}


def prepare(folder: StateFolder, *, name: str, suite: str, anchor_file: bytes, now_ms: int, chance: Chance) -> bytes:
    """Make the authority's folder with all its keys, and the enrolment request, which is returned.

    A folder that holds a request already is left as it is, and that request returned: an enrolment that was cut off is
    finished with the same keys. Raises ``UsageError``: ``suite-unknown``, ``anchor-malformed``, ``folder-incomplete``.
    """
    if folder.request.exists():
        return read(folder.request)
    if folder.keys.exists():
        raise UsageError(
            "folder-incomplete", f"{folder.root} holds keys but no request; move it away, or restore its backup."
        )
    if suite not in SUITES:
        raise UsageError("suite-unknown", f"There is no suite {suite}; choose {', '.join(sorted(SUITES))}.")
    anchor = read_anchor(anchor_file)
    make_folder(folder.root)
    write_new(folder.anchor, anchor_file)
    signing = _make_signing(folder, suite, now_ms, chance)
    decryption = tuple(
        generate_decryption_key(SUITES[suite].key_wrap, use, seed=chance.bytes(SEED_BYTES)) for use in KeyUse
    )
    keyring = Keyring(signing.signers, decryption, chance.bytes(STORAGE_KEY_BYTES))
    write_keyring(folder.keys, keyring, certificates=signing.certificates)
    transport_key = pki.generate_transport_key()
    write_new(_transport_key(folder), transport_key)
    authority = Authority(
        id=folder.authority,
        name=name,
        suite=suite,
        status=((Status.ACTIVE, now_ms),),
        anchors=(signing.anchor,),
        signing=signing.keys,
        encryption=tuple(_listed(key, now_ms) for key in decryption),
    )
    request = sign_request(
        EnrolmentRequest(
            deployment=anchor.deployment,
            authority=authority,
            made_ms=now_ms,
            statements=tuple(_statement(key, folder, signing.signers, now_ms) for key in decryption),
            transport=pki.transport_request(transport_key, folder.authority),
        ),
        signers=signing.signers,
    )
    write_new(folder.request, request)
    return request


def install(folder: StateFolder, admission: bytes) -> int:
    """Put the admission's certificate beside its key. Returns the number of the list that names the authority.

    Doing it again with the same admission changes nothing. Raises ``Refused(admission-invalid)``, ``UsageError``.
    """
    key = read_private(_transport_key(folder))
    found = read_admission(admission, authority=folder.authority, public=pki.transport_public(key))
    if not folder.client.properties.exists():
        write_client(folder.client, key_pem=key, certificate_pem=found.certificate_pem, ca_pem=found.ca_pem)
    return found.trust_list


def _transport_key(folder: StateFolder) -> Path:
    return folder.client.keystore.with_suffix(".key")


def _make_signing(folder: StateFolder, suite: str, now_ms: int, chance: Chance) -> _SigningParts:
    """A demonstration CA of the State, and one leaf per algorithm of the suite. A State has a CA of its own."""
    dates = validity(now_ms=now_ms, valid_ms=CA_VALID_MS, chance=chance)
    ca = pki.make_authority_ca(f"Demonstration CA of {folder.authority}", dates)
    save_ca(folder.authority_ca, ca)
    signers: list[SoftwareSigner] = []
    keys: list[SigningKey] = []
    for algorithm in SUITES[suite].signatures:
        bare = generate_signer(algorithm)
        dates = validity(now_ms=now_ms, valid_ms=SIGNING_VALID_MS, chance=chance)
        leaf = pki.issue_signing_certificate(ca, folder.authority, bare.public, dates)
        signers.append(signer_from_pem(private_pem(bare), certificate_der=leaf))
        keys.append(SigningKey(bare.key, algorithm, leaf, *der_validity(leaf)))
    return _SigningParts(ca.certificate, tuple(signers), tuple(keys))


def _listed(key: DecryptionKey, now_ms: int) -> EncryptionKey:
    from_ms, until_ms = _span(now_ms)
    return EncryptionKey(key.kid, key.algorithm, key.use, from_ms, until_ms)


def _statement(key: DecryptionKey, folder: StateFolder, signers: tuple[SoftwareSigner, ...], now_ms: int) -> bytes:
    said = KeyStatement(folder.authority, public(key), key.use, *_span(now_ms))
    return encode_key_statement(said, signers=signers, issued_ms=now_ms)


def _span(now_ms: int) -> tuple[int, int]:
    return now_ms - CLOCK_SKEW_MS_MAX, now_ms + ENCRYPTION_VALID_MS
