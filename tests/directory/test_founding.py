"""``comity init`` and enrolment in files: closed to others, written once, and no private key outside its owner's folder."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA87PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from connectors.commands.enrolment import install, prepare
from connectors.gateway.keyring import read_keyring
from hub.adapters.clock import SystemChance
from hub.adapters.files.founding import Counts, deployment_files, found, is_founded
from hub.adapters.files.keys import read_signers
from hub.core.authority import HubRole
from hub.core.ids import AuthorityId
from hub.core.topics import DIRECTORY
from hub.envelope.enrolment import encode_admission
from hub.errors import Refused, UsageError

XA, XB = AuthorityId("xa-moj"), AuthorityId("xb-pgo")
COUNTS = Counts(shards=2, ledger_partitions=2)
PEM = re.compile(rb"-----BEGIN PRIVATE KEY-----.+?-----END PRIVATE KEY-----", re.DOTALL)
BASE64 = re.compile(rb"[A-Za-z0-9_+/-]{40,}")


def files_below(root: Path) -> dict[Path, bytes]:
    """Every file with its bytes."""
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def secrets_of(state: Any) -> dict[str, bytes]:
    """The private parts of an authority's keys, as raw bytes: what a thief needs."""
    keyring = read_keyring(state.keys)
    gathered = {f"seed of {key.kid}": key.seed for key in keyring.decryption}
    gathered["storage key"] = keyring.storage
    for path in (
        state.keys / "signing.json",
        state.authority_ca / "key.pem",
        state.client.keystore.with_suffix(".key"),
    ):
        for number, text in enumerate(PEM.findall(path.read_bytes().replace(rb"\n", b"\n"))):
            gathered[f"{path.name} {number}"] = raw_private(text)
    return gathered


def raw_private(pem: bytes) -> bytes:
    """The scalar or seed alone: PKCS#8 holds the public key too."""
    key = load_pem_private_key(pem, password=None)
    if isinstance(key, EllipticCurvePrivateKey):
        return key.private_numbers().private_value.to_bytes((key.key_size + 7) // 8, "big")
    assert isinstance(key, Ed25519PrivateKey | MLDSA65PrivateKey | MLDSA87PrivateKey)
    return key.private_bytes_raw()


def opened(data: bytes) -> list[bytes]:
    """The bytes, and what their base64 texts hold, layer by layer: a JWS payload has certificates in base64 inside."""
    joined = data.replace(rb"\n", b"").replace(b"\n", b"")
    layers = [data, joined]
    for text in BASE64.findall(joined):
        whole = text[:-1] if len(text) % 4 == 1 else text
        plain = urlsafe_b64decode(whole.replace(b"+", b"-").replace(b"/", b"_") + b"==")
        layers += opened(plain) if BASE64.search(plain) else [plain]
    return layers


def holders(files: dict[Path, bytes], secret: bytes) -> list[Path]:
    """The files that hold a secret: raw, in hexadecimal, in base64 within base64."""
    needles = (secret, secret.hex().encode())
    return [
        path for path, data in files.items() if any(needle in layer for needle in needles for layer in opened(data))
    ]


def test_everything_is_the_owners_alone(house: Any) -> None:
    """All that init writes is complete, 0600 in folders of 0700, with one key pair per role and signer."""
    assert is_founded(house.home)
    modes = {path.stat().st_mode & 0o777 for path in house.home.root.rglob("*") if path.is_file()}
    folders = {path.stat().st_mode & 0o777 for path in house.home.root.rglob("*") if path.is_dir()}
    assert (modes, folders) == ({0o600}, {0o700})
    newest = house.secretariat.newest()
    assert (newest.number, newest.shards, newest.ledger_partitions, len(newest.authorities)) == (1, 2, 2, 0)
    for role in (HubRole.ROUTER, HubRole.WATCH, HubRole.FRESHNESS):
        keys = read_signers(house.home.role_keys(role))
        assert tuple(key.public for key in keys) == newest.hub_keys[role]


def test_a_complete_home_is_left_as_it_is(house: Any) -> None:
    """A second founding is refused, and not one byte changes."""
    before = files_below(house.home.root)
    with pytest.raises(UsageError, match="home-exists"):
        found(house.home, COUNTS, now_ms=house.clock.now_ms(), chance=SystemChance())
    assert files_below(house.home.root) == before


def test_a_half_made_home_is_refused_wherever_the_crash_was(house: Any) -> None:
    """Whichever file is missing, init names it and writes nothing."""
    for path in deployment_files(house.home):
        data = path.read_bytes()
        path.unlink()
        before = files_below(house.home.root)
        with pytest.raises(UsageError, match="home-incomplete"):
            found(house.home, COUNTS, now_ms=house.clock.now_ms(), chance=SystemChance())
        assert files_below(house.home.root) == before
        path.write_bytes(data)


@pytest.mark.parametrize("suite", ["S1", "S2", "S0"])
async def test_no_private_key_of_a_state_leaves_its_folder(house: Any, suite: str) -> None:
    """Signing keys, seeds, storage, CA and transport key are in the State's folder, and in no other file or record."""
    request = house.request(XA, suite)
    admission = await house.admit(request, waiver_until_ms=house.clock.now_ms() + 1000)
    answer = encode_admission(admission)
    install(house.state(XA), answer)
    await house.enrol(XB)
    state = house.state(XA)
    inside = files_below(state.root)
    outside = {path: data for path, data in files_below(house.home.root).items() if path not in inside}
    outside |= {Path("request"): request, Path("admission"): answer}
    for record in house.broker.records(DIRECTORY):
        outside[Path(f"record {record.offset}")] = record.value or b""
    secrets = secrets_of(state)
    assert len(secrets) == 5 + len(read_keyring(state.keys).signers)
    for name, secret in secrets.items():
        assert holders(inside, secret), f"the search does not find the {name} where it is"
        assert holders(outside, secret) == [], name


def test_a_states_folder_is_closed_and_names_no_key_it_has_not(house: Any) -> None:
    """What the State's side writes is 0600 in 0700, and its keys come back as they are listed."""
    house.request(XA)
    state = house.state(XA)
    assert {path.stat().st_mode & 0o777 for path in state.root.rglob("*") if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (state.root, state.keys, state.client.folder)} == {0o700}
    keyring = read_keyring(state.keys)
    assert [key.use.value for key in keyring.decryption] == ["archive", "inbox"]
    assert [signer.algorithm for signer in keyring.signers] == ["Ed25519", "ML-DSA-65"]
    assert all(signer.certificate_digest for signer in keyring.signers)


def test_preparing_again_gives_the_same_request(house: Any) -> None:
    """An enrolment that was cut off goes on with its keys; a folder with keys but no request is refused."""
    first = house.request(XA)
    assert house.request(XA) == first
    house.state(XA).request.unlink()
    with pytest.raises(UsageError, match="folder-incomplete"):
        house.request(XA)


def test_an_unknown_suite_writes_nothing(house: Any) -> None:
    """The mistake is told before a key is made."""
    with pytest.raises(UsageError, match="suite-unknown"):
        house.request(XA, "S9")
    with pytest.raises(UsageError, match="anchor-malformed"):
        prepare(house.state(XA), name="X", suite="S1", anchor_file=b"{}", now_ms=0, chance=SystemChance())
    assert not house.state(XA).root.exists()


async def test_an_admission_is_installed_once_and_only_by_whom_it_is_for(house: Any) -> None:
    """Another authority's admission is refused; the same one again changes nothing."""
    own = encode_admission(await house.admit(house.request(XA)))
    other = encode_admission(await house.admit(house.request(XB)))
    state = house.state(XA)
    with pytest.raises(Refused, match="admission-invalid"):
        install(state, other)
    assert not state.client.properties.exists()
    assert install(state, own) == 2
    before = files_below(state.root)
    assert install(state, own) == 2
    assert files_below(state.root) == before
    words = dict(line.split("=", 1) for line in state.client.properties.read_text().splitlines() if "=" in line)
    assert words == {
        "security.protocol": "SSL",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(state.client.keystore),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(state.client.truststore),
        "ssl.endpoint.identification.algorithm": "https",
    }


@pytest.mark.parametrize("text", ["", "AAAA", "not base64!", "\N{SNOWMAN}"])
def test_a_damaged_storage_key_is_not_used(house: Any, text: str) -> None:
    """A storage key of another form or size is a sentence, not a failure later."""
    house.request(XA)
    (house.state(XA).keys / "storage.key").write_text(text)
    with pytest.raises(UsageError, match="keys-malformed"):
        read_keyring(house.state(XA).keys)


def test_a_keyring_without_decryption_keys_is_told(house: Any) -> None:
    """An empty folder of keys sends the user to enrolment or the backup."""
    with pytest.raises(UsageError, match="keys-missing"):
        read_keyring(house.state(XA).keys)
