"""Where a router's CPU time goes: a benchmark under py-spy, the router's stacks sorted into areas of the code.

py-spy looks from outside, at what runs and not at what waits; it slows the router down, so that only shares count.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

LOOKS_PER_SECOND = 200
REST = "the rest"
WAITING = "_worker (concurrent/futures"  # a thread without work, which py-spy takes for busy
MAIN, AT_WORK = "(hub/__main__.py", "(hub/streams/process.py"

# The first frame from the innermost out that a row names decides the area.
AREAS: Sequence[tuple[str, str]] = (
    ("(hub/envelope/suites.py", "signatures: verify"),
    ("(hub/envelope/signers.py", "signatures: sign heads"),
    ("sha256 (hub/core/ids.py", "hashes"),
    ("(hub/evidence/", "hashes"),
    ("(hub/envelope/strict_json.py", "strict JSON, base64"),
    ("(hub/envelope/encoding.py", "strict JSON, base64"),
    ("(hub/envelope/jws.py", "JWS, manifest, checks"),
    ("(hub/envelope/manifest.py", "JWS, manifest, checks"),
    ("(hub/envelope/checking.py", "JWS, manifest, checks"),
    ("(hub/envelope/certificates.py", "JWS, manifest, checks"),
    ("(hub/core/manifest.py", "JWS, manifest, checks"),
    ("(hub/core/times.py", "JWS, manifest, checks"),
    ("(hub/envelope/claims.py", "claims and bundles"),
    ("(hub/envelope/receipts.py", "claims and bundles"),
    ("(hub/wire/", "ledger and shard records"),
    ("(hub/core/", "deciding"),
    ("(hub/flow.py", "deciding"),
    ("(aiokafka/record/", "Kafka client: record batches"),
    ("(aiokafka/consumer/", "Kafka client: fetch"),
    ("(hub/adapters/kafka/reader.py", "Kafka client: fetch"),
    ("(aiokafka/producer/", "Kafka client: produce"),
    ("(hub/adapters/kafka/writer.py", "Kafka client: produce"),
    ("(aiokafka/", "Kafka client: connections, protocol"),
    ("(hub/adapters/", "Kafka client: connections, protocol"),
    ("(hub/streams/", "shards at work"),
    ("(asyncio/", "event loop, TLS, threads"),
    ("(uvloop/", "event loop, TLS, threads"),
    ("(threading.py", "event loop, TLS, threads"),
    ("(concurrent/futures", "event loop, TLS, threads"),
)


def area(frames: Sequence[str]) -> str:
    """The area of a stack, outermost frame first."""
    for frame in reversed(frames):
        for mark, name in AREAS:
            if mark in frame:
                return name
    return REST


def router_frames(line: str) -> tuple[list[str], int] | None:
    """The frames and the count of a line of py-spy's raw format; None when it is not a router at work."""
    stack, _, count = line.rpartition(" ")
    frames = stack.split(";")
    processes = [number for number, frame in enumerate(frames) if frame.startswith("process ")]
    if not processes or " serve router" not in frames[processes[-1]]:
        return None
    own = frames[processes[-1] + 1 :]
    if not own or WAITING in own[-1]:
        return None
    if any(MAIN in frame for frame in own) and not any(AT_WORK in frame for frame in own):
        return None  # it is still starting
    return own, int(count)


def by_area(lines: Iterable[str]) -> dict[str, float]:
    """Each area's share of the router's time, the largest first."""
    found: Counter[str] = Counter()
    for line in lines:
        known = router_frames(line)
        if known is not None:
            found[area(known[0])] += known[1]
    return {name: count / found.total() for name, count in found.most_common()}


def profile(*arguments: str) -> dict[str, float]:
    """Run ``comity bench router`` under py-spy. Returns each area's share of the routers' time."""
    with tempfile.TemporaryDirectory(prefix="comity-profile-") as folder:
        raw = Path(folder) / "raw.txt"
        spy = str(Path(sys.executable).with_name("py-spy"))
        looking = ["--subprocesses", "--rate", str(LOOKS_PER_SECOND), "--format", "raw", "--output", str(raw)]
        bench = [sys.executable, "-m", "hub", "bench", "router", "--json", *arguments]
        subprocess.run([spy, "record", *looking, "--", *bench], stdout=subprocess.DEVNULL, check=True)
        return by_area(raw.read_text().splitlines())
