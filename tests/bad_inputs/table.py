"""The one table of bad inputs, the groups that are tried together, and the document that shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from tests.bad_inputs.batch_cases import batch_cases, writer_cases
from tests.bad_inputs.cases import Case, Line
from tests.bad_inputs.envelope_cases import envelope_cases
from tests.bad_inputs.json_cases import json_cases
from tests.bad_inputs.message_cases import message_cases
from tests.bad_inputs.opening_cases import OpeningCase, opening_cases
from tests.bad_inputs.record_cases import record_cases

AnyLine = TypeVar("AnyLine", bound=Line)


def router_cases() -> list[Case]:
    """Every case that one record in an outbox can show."""
    return [*json_cases(), *envelope_cases(), *message_cases(), *record_cases()]


def gateway_cases() -> list[OpeningCase]:
    """Every case that only a recipient can see."""
    return list(opening_cases())


def kafka_cases() -> list[Case]:
    """Every case that needs a real Kafka. The one that stops its outbox is the last."""
    return [*writer_cases(), *batch_cases()]


def all_lines() -> list[Line]:
    """The whole table, by set."""
    return sorted([*router_cases(), *gateway_cases(), *kafka_cases()], key=lambda line: line.set)


def router_groups() -> Mapping[str, list[Case]]:
    """``router_cases``, each group for a router of its own."""
    return _groups(router_cases())


def gateway_groups() -> Mapping[str, list[OpeningCase]]:
    """``gateway_cases``, each group for a gateway of its own."""
    return _groups(gateway_cases())


def _groups(lines: Iterable[AnyLine]) -> dict[str, list[AnyLine]]:
    groups: dict[str, list[AnyLine]] = {}
    for line in lines:
        groups.setdefault(f"{line.set}, {line.made}" if line.set == "B1" else line.set, []).append(line)
    return groups


_HEAD: Final = """# Bad inputs

Written by `python -m tests.bad_inputs --document > docs/bad-inputs.md` from the cases themselves; a test compares.

What somebody with an authority's keys may send, and what becomes of it: JSON that readers differ on (B1), envelopes that are not what they seem
(B2), records and batches that no client of ours writes (B3). Each line is a case that runs: `tests/bad_inputs` sends it to the real router, to a
real gateway or, raw, to a real Kafka with the router behind it, and looks that the answer is this one, that signed receipt and quarantine record say
it, that the sender's next message and a neighbour's are routed, and that nothing of the content is in a log, an error, a receipt or the
ledger. `python -m tests.bad_inputs` shows how long each takes: the promise is less than 250 ms.

"""


def document() -> str:
    """``docs/bad-inputs.md``."""
    lines = all_lines()
    outcomes = Counter(str(line.expected.outcome) for line in lines)
    told = "; ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    parts = [_HEAD, f"{len(lines)} cases: {told}.\n"]
    for name in sorted({line.set for line in lines}):
        parts.append(f"\n## {name}\n\n| id | what | how it is made | what becomes of it |\n|---|---|---|---|\n")
        parts += [
            f"| `{line.id}` | {_cell(line.what)} | {_cell(line.made)} | {line.expected} |\n"
            for line in lines
            if line.set == name
        ]
    return "".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
