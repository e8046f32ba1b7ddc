"""``docs/lifecycles.md`` from the tables that the program itself runs on: clocks, refusals, flags, levels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from hub.core.clocks import TRANSITIONS, ClockState
from hub.core.manifest import ClockVerb
from hub.core.refusals import REASONS, RECIPIENT_REASONS

_HEAD: Final = """# Lifecycles

Written by `make schemas` from `hub.core.clocks.TRANSITIONS` and `hub.core.refusals`; a test compares. Change the tables there.

## A clock

A clock is (pair, thread, clock id). Its starter waits, the other side owes. The starter may do every operation; the other side may pause
and resume, and may stop it only with an `ack` or `response` whose `irt` is the message that started it. Flags (`warning`, `overdue`, `met`,
`met-late`) stand beside the state and never change it.
"""
_REFUSED: Final = """
A cell that says - is an operation without effect: the message is routed, and both sides get a signed `clk-ignored`, here with the code
`clock-state` (`clock-exists` for a start).

## Refusals by the hub

In the order of the steps; the first failure ends the checks. What counts has used up its sequence number.
"""
_RECIPIENT: Final = """
## Refusals by a recipient

After `accepted`, in a receipt list (`lvl: refused`): the number is used up, the clocks that the message started are void, and sending it again
is a new message with a new id.
"""


def render() -> str:
    """The whole document."""
    parts = [
        _HEAD,
        "\n".join(_diagram()),
        "",
        "\n".join(_cells()),
        _REFUSED,
        "\n".join(_table(("step", "code", "counted", "meaning", "what its sender does"), _refusals())),
        _RECIPIENT,
        "\n".join(_table(("code", "meaning"), ((f"`{code}`", text) for code, text in RECIPIENT_REASONS.items()))),
    ]
    return "\n".join(parts) + "\n"


def _diagram() -> Iterator[str]:
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {ClockState.RUNNING}: {ClockVerb.START}"
    for (state, verb), after in TRANSITIONS.items():
        yield f"    {state} --> {after}: {verb}"
    for state in ClockState:
        if state not in {ClockState.STOPPED, ClockState.VOID}:
            yield f"    {state} --> {ClockState.VOID}: the recipient refuses the starting message"
    yield f"    {ClockState.STOPPED} --> [*]"
    yield f"    {ClockState.VOID} --> [*]"
    yield "```"


def _cells() -> Iterator[str]:
    """Every (state, operation): the state after it, or - for none."""
    rows = (
        (
            f"`{state}`",
            *(f"`{TRANSITIONS[state, verb]}`" if (state, verb) in TRANSITIONS else "-" for verb in ClockVerb),
        )
        for state in ClockState
    )
    return _table(("state", *(f"`{verb}`" for verb in ClockVerb)), rows)


def _refusals() -> Iterator[tuple[str, ...]]:
    for code, reason in REASONS.items():
        yield reason.step, f"`{code}`", "yes" if reason.counted else "no", reason.meaning, reason.remedy


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"
