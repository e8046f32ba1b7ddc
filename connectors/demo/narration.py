"""Telling the story line by line, and judging it: an expectation that does not hold is told at once and remembered."""

from __future__ import annotations

import time
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text


class Narration:
    """Lines with the seconds since the beginning."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False, soft_wrap=True)
        self._begin = time.monotonic()
        self.failures: list[str] = []

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._begin

    def chapter(self, title: str) -> None:
        """A heading."""
        self._console.print()
        self._console.print(Text(title, style="bold"))

    def tell(self, who: str, what: str) -> None:
        """One line: who did what, or what came."""
        line = Text(f"{self.seconds:6.1f} s  ", style="dim")
        line.append(f"{who:<13}", style="cyan")
        line.append(what, style="default")
        self._console.print(line)

    def expect(self, fact: str, expected: Any, actual: Any) -> None:  # noqa: ANN401 (compared and shown, nothing else)
        """Remember a failure when ``actual`` is not ``expected``."""
        if expected != actual:
            self.failures.append(f"{fact}: expected {expected}, found {actual}")
            self._console.print(Text(f"  NOT AS EXPECTED  {self.failures[-1]}", style="bold red"))
