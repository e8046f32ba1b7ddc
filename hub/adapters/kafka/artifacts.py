"""The official Apache Kafka jars: fetched once by Maven into a cache folder, compared with our own list of checksums."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Final

from hub.errors import ComityError, Unreachable, UsageError, VerificationFailed

KAFKA_VERSION: Final = "4.4.0"  # as in deploy/kafka/pom.xml
JAVA_MAJOR_MIN: Final = 17  # the jars' class files need it
_MAVEN_SECONDS_MAX: Final = 900
_ELSEWHERE: Final = "or name a cluster of your own with --bootstrap-server"


def java() -> str:
    """The path of a Java of at least version 17. Raises ``UsageError(java-missing | java-too-old)``."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else None
    found = found or shutil.which("java")
    if found is None:
        raise UsageError(
            "java-missing", f"Apache Kafka needs Java {JAVA_MAJOR_MIN} or later; install it, {_ELSEWHERE}."
        )
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 (found above)
    major = java_major(said.stderr + said.stdout)
    if major < JAVA_MAJOR_MIN:
        raise UsageError(
            "java-too-old",
            f"{found} is Java {major}; Apache Kafka needs {JAVA_MAJOR_MIN} or later. Set JAVA_HOME, {_ELSEWHERE}.",
        )
    return found


def java_major(version_text: str) -> int:
    """17 of ``openjdk version "17.0.15"``, 8 of ``java version "1.8.0_392"``, 0 of anything else."""
    match = re.search(r'version "(?:1\.)?([0-9]+)', version_text)
    return int(match.group(1)) if match else 0


def jars(cache: Path) -> Path:
    """The folder with the jars, fetched and checked when it is not there yet.

    Raises ``UsageError(maven-missing)``, ``Unreachable(artifacts-unreachable)``, ``VerificationFailed``.
    """
    listed = _listed()
    folder = cache / f"kafka-{KAFKA_VERSION}-{_name(listed)}"
    if folder.is_dir():
        return folder  # its name is given only after the check below
    cache.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(cache / "lock"):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=cache, prefix="fetching-") as temporary:
                fetched = Path(temporary) / "lib"
                _fetch(Path(temporary), fetched)
                check(fetched, listed)
                fetched.rename(folder)
    return folder


def check(folder: Path, listed: dict[str, str]) -> None:
    """Pass if ``folder`` has exactly the ``listed`` jars with their SHA-256. Raises ``VerificationFailed``."""
    found = {path.name: _sha256(path) for path in sorted(folder.glob("*.jar"))}
    for name in sorted(found.keys() ^ listed.keys()):
        raise VerificationFailed(
            "artifact-list", f"{name} is not both fetched and in deploy/kafka/jars.sha256; nothing was kept."
        )
    for name, digest in listed.items():
        if found[name] != digest:
            raise VerificationFailed(
                "artifact-checksum", f"{name} has another SHA-256 than deploy/kafka/jars.sha256; nothing was kept."
            )


def _fetch(work: Path, into: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise UsageError(
            "maven-missing", f"Apache Kafka is fetched by Maven, once; install it (Debian: maven), {_ELSEWHERE}."
        )
    (work / "pom.xml").write_bytes(resource("pom.xml"))
    # -C refuses a wrong checksum of a fresh download, which Maven's default only warns of; what lies in the local
    # repository already is not checked again, hence our own list.
    command = [maven, "-B", "-C", "-q", "-f", str(work / "pom.xml"), "dependency:copy-dependencies"]
    try:
        done = subprocess.run(  # noqa: S603 (found above, fixed arguments)
            [*command, f"-DoutputDirectory={into}"],
            capture_output=True, text=True, check=False, timeout=_MAVEN_SECONDS_MAX, cwd=work,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Unreachable("artifacts-unreachable", f"Maven did not end in {_MAVEN_SECONDS_MAX} seconds.") from error
    if done.returncode != 0:
        raise maven_error(done.stdout + done.stderr)


def maven_error(output: str) -> ComityError:
    """What Maven's output means for the user."""
    first = next((line.removeprefix("[ERROR] ") for line in output.splitlines() if line.startswith("[ERROR]")), "")
    if "hecksum validation failed" in output:
        return VerificationFailed("artifact-checksum", f"Maven refused a download: {first[:300]}")
    return Unreachable(
        "artifacts-unreachable", f"Maven cannot fetch Apache Kafka; is its repository reachable? {first[:300]}"
    )


def resource(name: str) -> bytes:
    """A file of ``deploy/kafka``."""
    return files("deploy").joinpath("kafka", name).read_bytes()


def _listed() -> dict[str, str]:
    lines = resource("jars.sha256").decode().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def _name(listed: dict[str, str]) -> str:
    return hashlib.sha256(repr(sorted(listed.items())).encode()).hexdigest()[:8]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Two first starts at once share one download."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
