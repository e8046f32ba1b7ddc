"""``python -m tests.bad_inputs``: each bad input, what became of it, and how long it took."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bad_inputs.router_run import MS_MAX, Result, run_through_router
from tests.bad_inputs.table import router_cases


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the results. Exit code 1 when a case became something else than the table says, or took too long."""
    parser = argparse.ArgumentParser(prog="python -m tests.bad_inputs", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object instead of a table")
    parser.add_argument("ids", nargs="*", help="the start of the ids of the cases to run; else all")
    options = parser.parse_args(arguments)
    cases = [case for case in router_cases() if not options.ids or case.id.startswith(tuple(options.ids))]
    with tempfile.TemporaryDirectory() as home:
        results = asyncio.run(run_through_router(cases, Path(home)))
    sys.stdout.write((json.dumps(summary(results), indent=2) if options.json else table(results)) + "\n")
    return 0 if all(each.as_expected for each in results) else 1


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
