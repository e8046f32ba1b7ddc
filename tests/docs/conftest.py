"""The repository's documents as they are committed, and the command as it is built."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from hub.cli.app import build_app

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```[a-z]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:comity|make) [^`]+)`")
EXAMPLE = re.compile(r"Example: (.*?)(?:\.(?= [A-Z])|\.?$)", re.DOTALL)

# Typer brings its own Click, and names of it only what commands raise.
ParseError: type[Any] = next(each for each in typer.BadParameter.__mro__ if each.__name__ == "ClickException")
Command = Any


class Documents:
    """Texts of the repository, and the snippets in them."""

    root = ROOT

    def text(self, name: str) -> str:
        """The text of a file, by its path below the repository."""
        return (ROOT / name).read_text()

    def written(self) -> list[str]:
        """All documents in Markdown, by their paths."""
        folders = [ROOT, *(ROOT / name for name in ("docs", "schemas", "deploy"))]
        found = {path for folder in folders for path in folder.glob("*.md")} | set((ROOT / "docs").rglob("*.md"))
        found |= set((ROOT / "schemas").rglob("*.md"))
        return sorted(str(path.relative_to(ROOT)) for path in found)

    def lines(self, name: str, program: str) -> list[list[str]]:
        """The arguments of each call of ``program`` in the fenced blocks of a document."""
        calls = []
        for block in FENCE.findall(self.text(name)):
            for line in block.replace("\\\n", " ").splitlines():
                command = line.strip().removeprefix("$ ").removeprefix(".venv/bin/")
                if command.startswith(program + " "):
                    calls.append(shlex.split(command, comments=True)[1:])
        return calls

    def inline(self, name: str, program: str) -> list[list[str]]:
        """The arguments of each call of ``program`` that stands in a sentence."""
        found = [shlex.split(text) for text in INLINE.findall(self.text(name))]
        return [words[1:] for words in found if words[0] == program]

    def targets(self) -> set[str]:
        """The targets of the Makefile."""
        return set(re.findall(r"^([a-z]+):", self.text("Makefile"), re.MULTILINE))


class Program:
    """The command ``comity``, built once; nothing of it runs."""

    def __init__(self) -> None:
        self.root: Command = typer.main.get_command(build_app())

    def walk(self, command: Command | None = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Command]]:
        """Every command and group, by its words after ``comity``."""
        command = command or self.root
        yield " ".join(path), command
        for name, sub in getattr(command, "commands", {}).items():
            yield from self.walk(sub, (*path, name))

    def leaves(self) -> dict[str, Command]:
        """Every command that does something."""
        return {path: command for path, command in self.walk() if not hasattr(command, "commands")}

    def problem(self, words: list[str]) -> str | None:
        """What the command does not know of a call; None if it can be typed."""
        try:
            self.parse(words)
        except ParseError as error:
            return f"comity {' '.join(words)}: {error.format_message()}"
        return None

    def parse(self, words: list[str]) -> None:
        """Parse a call without running it. Raises ``ParseError`` for what the command does not know."""
        command, context = self.root, typer.Context(self.root, info_name="comity")
        rest = list(words)
        while hasattr(command, "commands"):
            name = rest.pop(0) if rest else ""
            if name not in command.commands:
                raise typer.BadParameter(f"no command {name!r} in {context.command_path}")
            command = command.commands[name]
            context = typer.Context(command, info_name=name, parent=context)
        command.make_context(command.name, rest, parent=context.parent)

    @staticmethod
    def examples(command: Command) -> list[list[str]]:
        """The calls that a command's epilog shows, without the word ``comity``."""
        found = EXAMPLE.search(command.epilog or "")
        calls = [] if found is None else re.split(r",? then |; ", found.group(1))
        return [shlex.split(call.strip().rstrip(","))[1:] for call in calls]


@pytest.fixture(scope="session")
def documents() -> Documents:
    """What is written."""
    return Documents()


@pytest.fixture(scope="session")
def program() -> Program:
    """What can be run."""
    return Program()
