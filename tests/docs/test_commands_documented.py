"""Commands and the documents that show them agree."""

from __future__ import annotations

import re


def test_every_command_has_help(program):
    """Each command and group says in one line or more what it does."""
    assert [path for path, command in program.walk() if not command.help] == []


def test_every_command_shows_an_example_that_parses(program):
    """Each command's epilog has an example, which the command itself takes."""
    bad = {}
    for path, command in program.leaves().items():
        examples = program.examples(command)
        problems = [program.problem(words) for words in examples] or ["no example"]
        if any(problems):
            bad[path] = problems
    assert bad == {}


def test_an_example_shows_its_own_command(program):
    """The first example of a command begins with its own words."""
    wrong = {
        path: words[0]
        for path, command in program.leaves().items()
        if (words := program.examples(command)) and " ".join(words[0][: len(path.split())]) != path
    }
    assert wrong == {}


def test_exit_codes_are_documented(program):
    """The command as a whole lists every exit code, each other command its own or the common ones."""
    assert re.findall(r"\b(\d+) [a-z]", program.root.epilog or "")[:1] == ["0"]
    for code in ("0", "1", "2", "3", "4", "5", "70"):
        assert re.search(rf"\b{code} ", program.root.epilog or ""), code
    listed = [command.epilog for command in program.leaves().values() if "Exit codes:" in (command.epilog or "")]
    assert all(re.search(r"Exit codes: \d", text) for text in listed)


def test_options_have_help(program):
    """Each option says what it is for."""
    silent = [
        f"{path} {parameter.opts[0]}"
        for path, command in program.leaves().items()
        for parameter in command.params
        if parameter.param_type_name == "option" and not parameter.help
    ]
    assert silent == []


def test_snippets_of_comity_parse(documents, program):
    """What a document shows in a block can be typed: every word and option is known."""
    problems = [
        (name, problem)
        for name in documents.written()
        for words in documents.lines(name, "comity")
        if (problem := program.problem(words)) is not None
    ]
    assert problems == []


def test_commands_in_sentences_exist(documents, program):
    """A command that a sentence names exists."""
    known = {path for path, _ in program.walk()} | {"..."}
    unknown = [
        f"{name}: comity {' '.join(words)}"
        for name in documents.written()
        for words in documents.inline(name, "comity")
        if words[0] not in known
    ]
    assert unknown == []


def test_targets_of_make_exist(documents):
    """What a document says to make is a target of the Makefile."""
    targets = documents.targets()
    unknown = [
        f"{name}: make {' '.join(words)}"
        for name in documents.written()
        for words in documents.lines(name, "make") + documents.inline(name, "make")
        if words[0] not in targets
    ]
    assert unknown == []
    assert ["demo"] in documents.lines("README.md", "make")
