"""The side door: commands, help, completion, and every run line that the front door's reader has declined.

Why: a line that is typed by a person may cost what click costs. Signals are given back first: whoever types Ctrl-C at a
command wants it over, also while a driver's C code waits for a server, where no Python handler would run; so SIGINT
kills, and what the database had not acknowledged did not happen.
"""

from __future__ import annotations

import os
import sys

import click

from mslock import signals
from mslock.commands import complaints, completion, run_line
from mslock.commands.chooser import HELP, NEITHER, RUN, Choice
from mslock.commands.group import cli
from mslock.errors import ExitCode, MslockError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterable

    from mslock.notices import Notices

    Run = Callable[[dict[str, str], list[str], Iterable[int], Notices], tuple[int, int]]
else:
    import _signal as signal

__all__ = ["cli", "main"]


def main(argv: list[str], caller_mask: Iterable[int], notices: Notices, run: Run) -> tuple[int, int]:
    """Any line but one that the front door takes: the exit code, and the signal to die of, or 0.

    `run` runs a run line.

    Raises:
        MslockError: what was asked for was not done, and why.
    """
    _let_signals_through(caller_mask)
    _mend_standard_output()
    try:
        answer = _serve(argv, notices)
        sys.stdout.flush()
    except click.exceptions.Exit as done:  # after --help and --version
        return done.exit_code, 0
    except click.ClickException as complaint:
        raise complaints.translate(complaint) from complaint
    except BrokenPipeError:  # `mslock status | head` ends as any filter does
        return ExitCode.SIGNALLED + signal.SIGPIPE, int(signal.SIGPIPE)
    except OSError as error:  # those of the database and of /proc were dealt with where they came up
        raise MslockError(f"standard output: {error.strerror}") from error
    if isinstance(answer, int):
        return answer, 0
    signals.block()
    return run(*answer, caller_mask, notices)


def _serve(argv: list[str], notices: Notices) -> int | tuple[dict[str, str], list[str]]:
    """Do what is asked for and return the exit code; or a run line as it was read, to be run."""
    if completion.asked(os.environ):
        return completion.complete(cli, os.environ)
    choice = Choice(argv)
    if choice.kind == RUN or (choice.kind == NEITHER and (HELP in choice.keys or choice.place > len(argv))):
        return run_line.read(argv)
    if choice.kind == NEITHER:
        raise complaints.no_lock(argv[choice.place :])
    word, foreign = argv[choice.place], choice.keys - {"db", HELP}
    if word not in cli.commands:
        raise complaints.no_command(word, list(cli.commands))
    if foreign:
        raise complaints.foreign(min(foreign), word)
    with cli.make_context("mslock", list(argv), obj=notices) as context:
        code = cli.invoke(context)
    return code if isinstance(code, int) else ExitCode.OK


def _let_signals_through(caller_mask: Iterable[int]) -> None:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signals.restore(caller_mask)


def _mend_standard_output() -> None:
    """Have one, even where the caller has closed it; and one that can print whatever a database holds."""
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115, /dev/null by now
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
