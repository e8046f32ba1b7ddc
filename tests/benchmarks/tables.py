"""The tables of docs/performance.md, from what ``make bench`` measured; each stands between two marks in the document."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connectors.bench.figures import flat

Figures = Mapping[str, Any]
Measured = Mapping[str, Figures]
"""The figures of each run that was measured, by the run's name."""

NONE = "not measured"
SHAPES = ((1, 1), (2, 1), (4, 1), (2, 2), (4, 2))
SIZES = {20: "shards-4x1", 200: "authorities-200", 1000: "authorities-1000"}  # the run for a number of authorities

CLOCKS = {20: "watch-20", 10_000: "watch", 100_000: "watch-100000", 1_000_000: "watch-million"}  # by open clocks


def markdown(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def said(figures: Figures | None, *path: str, unit: str = "") -> str:
    """A figure by its path, with its unit."""
    value: Any = figures
    for name in path:
        value = None if value is None else value.get(name)
    return NONE if value is None else f"{value:,}{unit}"


def headline(measured: Measured) -> str:
    """The promises, each beside its figure."""
    router, steady, e2e = measured.get("router"), measured.get("router-100"), measured.get("e2e")
    start = measured.get("start")
    watched = _watched(measured)
    open_clocks = said(watched, "clocks")
    rows = [
        ("router, backlog: CPU over its baselines", "1.4", said(router, "cpu_ratio")),
        ("router, backlog: messages a second", "", said(router, "messages_per_second")),
        ("end to end: CPU over its baselines", "2.0", said(e2e, "cpu_ratio")),
        ("end to end: messages a second", "", said(e2e, "messages_per_second")),
        ("`accepted` at 100 messages a second, p50", "250 ms", said(steady, "latency_ms", "p50", unit=" ms")),
        ("`accepted` at 100 messages a second, p99", "", said(steady, "latency_ms", "p99", unit=" ms")),
        ("start to first routed message, p95", "10 s", said(start, "start_to_first_s", "p95", unit=" s")),
        (
            f"flag after its due time, p99, {open_clocks} open clocks",
            "5 s",
            said(watched, "lateness_ms", "p99", unit=" ms"),
        ),
        ("the watch's memory, at its most", "512 MiB", said(watched, "rss_mib_peak", unit=" MiB")),
        ("lost, in all runs", "0", str(sum(each.get("lost", 0) for each in measured.values()))),
    ]
    return markdown(("what", "at most", "measured"), rows)


def costs(measured: Measured) -> str:
    """CPU by process, and of the baselines."""
    rows = []
    for name, run in (("router, backlog", "router"), ("router, 100 a second", "router-100"), ("end to end", "e2e")):
        figures = measured.get(run)
        parts = dict((figures or {}).get("cpu_us_per_message", {}))
        whole = parts.pop("all", None)
        each = ", ".join(f"{part} {value:,.0f}" for part, value in parts.items()) or NONE
        rows.append(
            (
                name,
                NONE if whole is None else f"{whole:,.0f}",
                each,
                said(figures, "baseline", "crypto_us"),
                said(figures, "baseline", "kafka_copy_us"),
                said(figures, "cpu_ratio"),
                said(figures, "batch_mean"),
            )
        )
    return markdown(("us of CPU a message", "ours", "of which", "cryptography", "copy", "ratio", "batch"), rows)


def shards(measured: Measured) -> str:
    """What several shards and workers make of two cores."""
    rows = []
    for many, workers in SHAPES:
        figures = measured.get(f"shards-{many}x{workers}")
        rows.append(
            (
                many,
                workers,
                " / ".join(f"{share:.0%}" for share in (figures or {}).get("worker_shares", ())) or NONE,
                said(figures, "messages_per_second"),
                said(figures, "cpu_us_per_message", "router"),
                said(figures, "cpu_us_per_message", "broker"),
                said(figures, "cpu_ratio"),
                said(figures, "batch_mean"),
            )
        )
    return markdown(
        ("shards", "workers", "share of each", "messages/s", "router us", "broker us", "ratio", "batch"), rows
    )


def growth(measured: Measured) -> str:
    """What more authorities cost."""
    rows = []
    for many, run in SIZES.items():
        figures = measured.get(run)
        rows.append(
            (
                f"{many:,}",
                said(figures, "messages_per_second"),
                said(figures, "cpu_us_per_message", "router"),
                said(figures, "cpu_us_per_message", "broker"),
                said(figures, "copy", "cpu_us_per_message", "all"),
                said(figures, "cpu_ratio"),
                said(figures, "memory_peak_mib", "router", unit=" MiB"),
                said(figures, "memory_peak_mib", "broker", unit=" MiB"),
            )
        )
    columns = ("authorities", "messages/s", "router us", "broker us", "copy us", "ratio", "router", "broker")
    return markdown(columns, rows)


def profile(measured: Measured) -> str:
    """Where the router's own time goes."""
    rows = [(name, f"{share:.1%}") for name, share in measured.get("profile", {}).items()]
    return markdown(("area", "share of the router's CPU"), rows or [(NONE, "")])


def clocks(measured: Measured) -> str:
    """What more open clocks cost the watch."""
    rows = []
    for many, run in CLOCKS.items():
        figures = measured.get(run)
        rows.append(
            (
                f"{many:,}",
                said(figures, "lateness_ms", "p50"),
                said(figures, "lateness_ms", "p99"),
                said(figures, "lateness_ms", "max"),
                said(figures, "burst", "lateness_ms", "max"),
                said(figures, "cpu_us_per_flag"),
                said(figures, "idle_cpu_percent", unit=" %"),
                said(figures, "restarts", "start_to_ready_s", "p95", unit=" s"),
                said(figures, "load_seconds", unit=" s"),
                said(figures, "rss_mib_peak", unit=" MiB"),
                said(figures, "lost"),
            )
        )
    columns = (
        *("open clocks", "late p50", "p99", "at most", "10,000 at once, last", "us a flag"),
        *("idle CPU", "ready after a kill", "load", "memory", "lost"),
    )
    return markdown(columns, rows)


def rebuilt(measured: Measured) -> str:
    """A case view, lived and rebuilt."""
    figures = (measured.get("rebuild") or measured.get("watch") or {}).get("rebuild", {})
    rows = [(name.replace("_", " "), value) for name, value in flat(figures)]
    return markdown(("figure", "value"), rows or [(NONE, "")])


def _watched(measured: Measured) -> Figures | None:
    """The run with the most clocks."""
    return measured.get("watch-million") or measured.get("watch")


def starting(measured: Measured) -> str:
    """The router's restarts."""
    figures = measured.get("start")
    rows = [
        (name, said(figures, key, "p50", unit=" s"), said(figures, key, "p95", unit=" s"))
        for name, key in (("start to first message", "start_to_first_s"), ("kill to first message", "kill_to_first_s"))
    ]
    return markdown(("own restart under traffic", "p50", "p95"), rows)


TABLES: Mapping[str, Callable[[Measured], str]] = {
    "headline": headline,
    "costs": costs,
    "profile": profile,
    "shards": shards,
    "growth": growth,
    "start": starting,
    "clocks": clocks,
    "rebuilt": rebuilt,
}


def written(document: str, measured: Measured, *, machine: str) -> str:
    """The document with each table anew. Raises ``KeyError`` for a mark that names no table."""
    texts = {name: table(measured) for name, table in TABLES.items()} | {"machine": machine}

    def filled(match: re.Match[str]) -> str:
        return f"{match.group(1)}\n{texts[match.group(2)]}\n{match.group(3)}"

    return re.sub(r"(<!-- measured: ([a-z]+) -->)\n.*?(<!-- end -->)", filled, document, flags=re.DOTALL)
