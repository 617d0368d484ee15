"""`mslock --help`: what click knows, in the shape of a page that fits 80 columns.

Why: there are two parsers and one program, so one page tells of both; options come from the table with their defaults
and variables, exit codes from the comments that document them.
"""

from __future__ import annotations

import inspect
import re

import click

from mslock import __version__, errors
from mslock.options import OPTIONS, Option

_USAGES = (
    "[OPTIONS] --name NAME [--] COMMAND [ARG...]",
    "[OPTIONS] [--name NAME] -c 'SHELL LINE'",
)
_SUMMARY = (
    "Run a job under a lock, or skip. Put in front of a crontab line on every server, it runs the job on one of them,"
    " and the others skip."
)
_OPTIONS_NOTE = (
    "D is a duration: 90, 90s, 5m, 1h30m, 2d. An option with a variable may be set in the environment, or as"
    " KEY=VALUE in ~/.config/mslock/mslock.conf or /etc/mslock.conf."
)
_EXAMPLES = (
    ("On every server, one of which runs the report:", "0 3 * * *  mslock --name report -- /usr/local/bin/report"),
    ("Who holds what, and what ran last:", "mslock status"),
)
version_option = click.version_option(__version__, message="mslock %(version)s", help="Show the version.")


class HelpPage(click.Command):
    """A click command whose help is the page of the whole program."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        from mslock.commands import cli

        for number, usage in enumerate((*_USAGES, f"[--db URL] {'|'.join(cli.commands)} [ARG...]")):
            formatter.write_usage("mslock", usage, prefix="Usage: " if not number else " " * 7)
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(_SUMMARY)
        with formatter.section("Options of a run"):
            formatter.write_dl([_entry(option) for option in OPTIONS], col_max=28)
            formatter.write_paragraph()
            formatter.write_text(_OPTIONS_NOTE)
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(66)) for name, command in cli.commands.items()])
            formatter.write_paragraph()
            formatter.write_text("mslock COMMAND --help tells more; mslock --version tells the version.")
        with formatter.section("Exit codes, beside the job's own"):
            formatter.write_dl(exit_codes())
        with formatter.section("Examples"):
            for text, line in _EXAMPLES:
                formatter.write(f"{'':>{formatter.current_indent}}{text}\n{'':>{formatter.current_indent + 2}}{line}\n")


def exit_codes() -> list[tuple[str, str]]:
    """mslock's own exit codes and what each means: the `#:` comments over the members of `ExitCode`."""
    try:
        source = inspect.getsource(errors.ExitCode)
    except OSError:  # installed without its sources
        source = ""
    found = re.findall(r"^ +#: (.+)\n +[A-Z_]+ = (\d+)$", source, re.MULTILINE)
    return [
        ("128+N", "S" + text.removeprefix("128 + N: s")) if int(number) == errors.ExitCode.SIGNALLED else (number, text)
        for text, number in found
    ]


def _entry(option: Option) -> tuple[str, str]:
    term = ", ".join(sorted(option.flags, key=len)) + (f" {option.metavar}" if option.takes_value else "")
    default = f"default {option.default}" if option.default not in ("", "0") else ""
    notes = "; ".join(note for note in (default, option.variable) if note)
    return term, option.help + (f" [{notes}]" if notes else "")
