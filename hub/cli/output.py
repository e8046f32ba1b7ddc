"""Writing rows for people and programs. Data goes to standard output, the rest to standard error."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from hub.cli.options import OutputFormat

_PIPE_COLUMNS = 1000
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run these


def emit(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], output: OutputFormat) -> None:
    """Write ``rows`` in the asked format. ``columns`` gives the order, and the fields of table and CSV."""
    if output is OutputFormat.JSON:
        sys.stdout.write(json.dumps([dict(row) for row in rows], ensure_ascii=False, indent=2) + "\n")
    elif output is OutputFormat.JSONL:
        for row in rows:
            sys.stdout.write(json.dumps(dict(row), ensure_ascii=False) + "\n")
    elif output is OutputFormat.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell_csv(row.get(column)) for column in columns] for row in rows)
    else:
        _table(rows, columns)


def emit_one(row: Mapping[str, Any], output: OutputFormat) -> None:
    """Write one object: a two-column table, or one JSON object."""
    if output in {OutputFormat.JSON, OutputFormat.JSONL}:
        indent = 2 if output is OutputFormat.JSON else None
        sys.stdout.write(json.dumps(dict(row), ensure_ascii=False, indent=indent) + "\n")
        return
    emit([{"field": key, "value": value} for key, value in row.items()], ["field", "value"], output)


def say(sentence: str) -> None:
    """A line for the person at the terminal, on standard error."""
    sys.stderr.write(sentence + "\n")


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    # Into a file or a pipe nothing is folded: a line stays a row.
    width = None if sys.stdout.isatty() else _PIPE_COLUMNS
    Console(file=sys.stdout, highlight=False, markup=False, width=width).print(table)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    text = str(value)
    # Control characters could move a terminal's cursor or hide text (bad inputs, set B7).
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _cell_csv(value: object) -> str:
    text = "" if value is None else str(value)
    return "'" + text if text.startswith(_FORMULA_STARTS) else text
