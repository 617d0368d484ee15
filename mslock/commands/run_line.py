"""The run line as click reads it, from the one option table.

Why: the front door's reader declines what it cannot read at once (`-vc LINE`, a value that begins with `-`, a slip of
the pen), and click reads all of it and can say what is wrong. What both accept they read to the same: values are
handed on as they were typed, and `settings` understands them.
"""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from mslock.commands.help_page import HelpPage, version_option
from mslock.commands.lock_names import complete_names
from mslock.options import OPTIONS, Option


def read(argv: list[str]) -> tuple[dict[str, str], list[str]]:
    """A run line's options as typed, by key, and the words of its command; as `options.read` would return them.

    Raises:
        click.ClickException: the line cannot be read.
        click.exceptions.Exit: it asked for help or the version, and has it.
    """
    with run_line.make_context("mslock", list(argv)) as context:
        given = {
            option.key: context.params[option.key] if option.takes_value else "1"
            for option in OPTIONS
            if context.get_parameter_source(option.key) is ParameterSource.COMMANDLINE
        }
        return given, list(context.params["words"])


def _option(option: Option) -> click.Option:
    if not option.takes_value:
        return click.Option([*option.flags, option.key], is_flag=True, help=option.help)
    return click.Option(
        [*option.flags, option.key],
        type=click.UNPROCESSED,
        metavar=option.metavar,
        help=option.help,
        shell_complete=complete_names if option.key == "name" else _choices(option.choices),
    )


def _choices(choices: tuple[str, ...]) -> Any:
    def complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        return [CompletionItem(choice) for choice in choices if choice.startswith(incomplete)]

    return complete


def _files(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The words of a job are the shell's to complete."""
    return [CompletionItem(incomplete, type="file")]


class RunLine(HelpPage, click.Command):
    """The run line; its help is that of mslock."""


run_line = version_option(
    RunLine(
        "mslock",
        params=[
            *(_option(option) for option in OPTIONS),
            click.Argument(["words"], nargs=-1, type=click.UNPROCESSED, shell_complete=_files),
        ],
        context_settings={"allow_interspersed_args": False},
    )
)
