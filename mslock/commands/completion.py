"""Completion as click's protocol has it: a shell asks by `_MSLOCK_COMPLETE=bash_complete mslock`.

Why: click completes for one parser, and here there are two: which of them a line is for is seen from its words, and
while it may still become either, an option is completed from the run line's, which knows them all.
"""

from __future__ import annotations

from collections.abc import Mapping

import click
from click.shell_completion import get_completion_class, shell_complete

from mslock.commands.chooser import NEITHER, RUN, Choice
from mslock.commands.run_line import run_line

_VARIABLE = "_MSLOCK_COMPLETE"
_PROGRAM = "mslock"


def asked(environ: Mapping[str, str]) -> bool:
    """Whether it is a shell that asks, and nothing is to be done."""
    return bool(environ.get(_VARIABLE))


def complete(cli: click.Group, environ: Mapping[str, str]) -> int:
    """Print what the shell asks for; the exit code. Silent about what goes wrong."""
    instruction = environ[_VARIABLE]
    try:
        parser = _parser(cli, instruction)
        return shell_complete(parser, {}, _PROGRAM, _VARIABLE, instruction)
    except (KeyError, ValueError):  # not a shell's words
        return 1


def _parser(cli: click.Group, instruction: str) -> click.Command:
    shell, _, what = instruction.partition("_")
    shape = get_completion_class(shell)
    if shape is None or what != "complete":
        return cli
    words, incomplete = shape(cli, {}, _PROGRAM, _VARIABLE).get_completion_args()
    choice = Choice(words)
    if choice.kind == RUN:
        return run_line
    # Beyond the words: the last of them is an option that still wants its value.
    at_option = choice.kind == NEITHER and not choice.job and (incomplete[:1] == "-" or choice.place > len(words))
    return run_line if at_option else cli
