"""Key files of the hub's roles, the signers and the authorities."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hub.adapters.files import keys
from hub.envelope.signers import generate_signer
from hub.errors import UsageError


def test_keys_come_back_in_their_order(tmp_path: Path) -> None:
    """What was written signs as before: same ids, same algorithms, same order."""
    signers = [generate_signer("Ed25519"), generate_signer("ML-DSA-65")]
    path = tmp_path / "keys" / "router.json"
    keys.write_signers(path, signers)
    assert [each.public for each in keys.read_signers(path)] == [each.public for each in signers]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace(b"comity-keys/1", b"comity-keys/2"),
        lambda text: text.replace(b'"alg":"Ed25519"', b'"alg":"ES256"'),
        lambda text: text.replace(b"BEGIN PRIVATE KEY", b"BEGIN PUBLIC KEY"),
        lambda text: text.replace(b'"certificate":null', b'"certificate":"AAAA"'),
        lambda text: text.replace(b'"certificate":null', b'"certificate":7'),
        lambda text: text[:-1],
        lambda text: text[:0] + b"[]",
    ],
)
def test_a_damaged_key_file_is_a_sentence(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """Version, algorithm, key, certificate or JSON broken: one error that names the file and no key."""
    whole = tmp_path / "whole.json"
    keys.write_signers(whole, [generate_signer("Ed25519")])
    broken = tmp_path / "broken.json"
    broken.write_bytes(damage(whole.read_bytes()))
    broken.chmod(0o600)
    with pytest.raises(UsageError, match=r"broken\.json") as caught:
        keys.read_signers(broken)
    assert caught.value.code == "keys-malformed"
