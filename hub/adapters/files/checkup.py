"""What can be seen of a deployment's health from its files alone: rows for ``comity doctor``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from hub.adapters.files.founding import deployment_files
from hub.adapters.files.home import Home
from hub.adapters.files.lists import SecretariatFolder
from hub.adapters.files.owned import open_to_others, read
from hub.core.authority import Authority, EncryptionKey, SigningKey, TrustView
from hub.core.limits import CLOCK_SKEW_MS_MAX
from hub.core.times import format_time
from hub.envelope.trust import fold_directory, read_anchor
from hub.envelope.validity import pem_validity
from hub.errors import ComityError

DAY_MS: Final = 24 * 3600 * 1000
LIST_WARN_MS: Final = 14 * DAY_MS  # signers must meet to sign the next list
CERTIFICATE_WARN_MS: Final = 30 * DAY_MS  # the overlap that key statements have too
_KEY_FILES: Final = (
    "hub/keys/*.json",
    "hub/clients/*.pem",
    "hub/transport-ca/key.pem",
    "secretariat/signer-*.json",
    "states/*/ca/key.pem",
    "states/*/clients/*.key",
    "states/*/clients/*.pem",
    "states/*/keys/*",
)
_CERTIFICATES: Final = (
    "hub/clients/*.pem",
    "hub/transport-ca/cert.pem",
    "states/*/clients/*.pem",
    "states/*/ca/cert.pem",
)


class Result(StrEnum):
    """Of one check: ``warn`` needs somebody soon, ``fail`` now."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One row: what was looked at, what was seen, what to do about it (empty when nothing)."""

    check: str
    result: Result
    detail: str
    remedy: str = ""


def examine_files(home: Home, *, now_ms: int) -> Iterator[Finding]:
    """Home, key files, certificates, trust list, clock. Raises nothing: what cannot be read is a finding."""
    missing = [path for path in deployment_files(home) if not path.exists()]
    if missing:
        what = f"{len(missing)} files are missing, the first is {missing[0]}"
        remedy = f"comity init --home {home.root}" if not home.hub.exists() else "restore them from the backup"
        yield Finding("home", Result.FAIL, what, remedy)
    else:
        yield Finding("home", Result.OK, f"{home.root} is complete")
    yield _key_files(home)
    yield _certificates(home, now_ms)
    if home.anchor.exists():
        yield from _trust_list(home, now_ms)


def _key_files(home: Home) -> Finding:
    files = _matching(home.root, _KEY_FILES)
    loose = [path for path in files if open_to_others(path)]
    if loose:
        what = f"{len(loose)} of {len(files)} key files are open to others, the first is {loose[0]}"
        return Finding("key files", Result.FAIL, what, f"chmod 600 {loose[0]}, and think who may have read it")
    return Finding("key files", Result.OK, f"{len(files)} key files, each for its owner only")


def _certificates(home: Home, now_ms: int) -> Finding:
    ends: list[tuple[int, Path]] = []
    for path in _matching(home.root, _CERTIFICATES):
        try:
            ends += [(until_ms, path) for _, until_ms in pem_validity(read(path))]
        except (ComityError, ValueError):
            return Finding("certificates", Result.FAIL, f"{path} cannot be read", "restore it from the backup")
    if not ends:
        return Finding("certificates", Result.WARN, "no certificate is here", f"comity init --home {home.root}")
    until_ms, path = min(ends)
    detail = f"{len(ends)} certificates, the first to expire is {path.name}, at {format_time(until_ms)}"
    result = _by_date(until_ms, now_ms, warn_ms=CERTIFICATE_WARN_MS)
    return Finding("certificates", result, detail, "" if result is Result.OK else "issue it anew before that date")


def _trust_list(home: Home, now_ms: int) -> Iterator[Finding]:
    folder = SecretariatFolder(home.secretariat)
    try:
        anchor = read_anchor(read(home.anchor))
        view = TrustView()
        for number, data in folder.lists().items():
            view = fold_directory(view, b"tl/%d" % number, data, anchor)
        newest = view.newest
    except ComityError as error:
        yield Finding("trust list", Result.FAIL, error.sentence, "restore the secretariat's folder from its backup")
        return
    detail = f"list {newest.number} names {len(newest.authorities)} authorities, next update {format_time(newest.next_update_ms)}"
    result = _by_date(newest.next_update_ms, now_ms, warn_ms=LIST_WARN_MS)
    yield Finding("trust list", result, detail, "" if result is Result.OK else "comity authority renew")
    ends = [
        (key.until_ms, authority.id)
        for authority in newest.authorities.values()
        for key in _keys_in_force(authority, now_ms)
    ]
    if ends:
        until_ms, whose = min(ends)
        result = _by_date(until_ms, now_ms, warn_ms=CERTIFICATE_WARN_MS)
        detail = f"{len(ends)} keys in force, the first to end is one of {whose}, at {format_time(until_ms)}"
        yield Finding(
            "authorities' keys", result, detail, "" if result is Result.OK else f"tell {whose} to enrol new keys"
        )
    behind_ms = newest.issued_ms - now_ms
    yield (
        Finding("clock", Result.OK, f"it is {format_time(now_ms - now_ms % 1000)}")
        if behind_ms <= CLOCK_SKEW_MS_MAX
        else Finding("clock", Result.FAIL, f"{behind_ms // 1000} s behind the newest trust list", "set the clock (NTP)")
    )


def _keys_in_force(authority: Authority, now_ms: int) -> list[SigningKey | EncryptionKey]:
    keys: tuple[SigningKey | EncryptionKey, ...] = (*authority.signing, *authority.encryption)
    return [key for key in keys if key.in_force(now_ms)]


def _by_date(until_ms: int, now_ms: int, *, warn_ms: int) -> Result:
    if now_ms > until_ms:
        return Result.FAIL
    return Result.WARN if until_ms - now_ms < warn_ms else Result.OK


def _matching(root: Path, patterns: tuple[str, ...]) -> list[Path]:
    return sorted(
        path for pattern in patterns for path in root.glob(pattern) if path.is_file() and path.name != "ca.pem"
    )
