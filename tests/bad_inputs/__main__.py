"""``python -m tests.bad_inputs``: each bad input, what became of it, and how long it took."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.bad_inputs.router_run import MS_MAX, Result, run_through_router
from tests.bad_inputs.station_run import run_through_gateway
from tests.bad_inputs.table import AnyLine, document, gateway_cases, router_cases


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the results. Exit code 1 when a case became something else than the table says, or took too long."""
    parser = argparse.ArgumentParser(prog="python -m tests.bad_inputs", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object instead of a table")
    parser.add_argument("--document", action="store_true", help="print docs/bad-inputs.md instead")
    parser.add_argument("ids", nargs="*", help="the start of the ids of the cases to run; else all")
    options = parser.parse_args(arguments)
    if options.document:
        sys.stdout.write(document())
        return 0
    with tempfile.TemporaryDirectory() as home:
        results = asyncio.run(_run(options.ids, Path(home)))
    sys.stdout.write((json.dumps(summary(results), indent=2) if options.json else table(results)) + "\n")
    return 0 if all(each.as_expected for each in results) else 1


async def _run(starts: Sequence[str], home: Path) -> list[Result]:
    def chosen(cases: Iterable[AnyLine]) -> list[AnyLine]:
        return [case for case in cases if not starts or case.id.startswith(tuple(starts))]

    routed = await run_through_router(chosen(router_cases()), home / "router")
    return [*routed, *await run_through_gateway(chosen(gateway_cases()), home / "gateway")]


def summary(results: Sequence[Result]) -> dict[str, object]:
    """All results as one object."""
    return {
        "cases": len(results),
        "unexpected": [row(each) for each in results if not each.as_expected],
        "check_ms_max": round(max(each.check_ms for each in results), 1),
        "routed_ms_max": round(max(each.routed_ms for each in results), 1),
        "over_250_ms": [each.case.id for each in results if max(each.check_ms, each.routed_ms) > MS_MAX],
        "results": [row(each) for each in results],
    }


def row(result: Result) -> dict[str, object]:
    """One result."""
    return {
        "id": result.case.id,
        "expected": str(result.case.expected),
        "became": str(result.became),
        "check_ms": round(result.check_ms, 2),
        "routed_ms": round(result.routed_ms, 1),
        "faults": list(result.faults),
    }


def table(results: Sequence[Result]) -> str:
    """The results in columns, the summary behind them."""
    lines = [
        f"{'' if each.as_expected else '! '}{each.case.id:40} {each.became!s:45} {each.check_ms:8.2f} ms {each.routed_ms:8.1f} ms"
        + "".join(f"\n    {fault}" for fault in each.faults)
        + ("" if each.as_expected else f"\n    expected: {each.case.expected}")
        for each in results
    ]
    told = summary(results)
    lines.append(
        f"{told['cases']} cases; check at most {told['check_ms_max']} ms, to the ledger at most {told['routed_ms_max']} ms; "
        f"over 250 ms: {told['over_250_ms'] or 'none'}"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
