"""Two doors, and the one place where an error becomes an exit.

Why: a crontab line fires this program a thousand times a day, and nearly all of those skip. The front door takes a
run line that a strict reader accepts, and imports nothing that is not needed to run it. Everything else, and every
line that the reader declines, goes through the side door to click. What happens before the launcher's first line is
Python's own: a Ctrl-C while it imports `site`, some milliseconds, shows its traceback, and no Python can mend that.
"""

from __future__ import annotations

import os
import sys

from mslock import options, signals
from mslock.errors import ExitCode, MslockError
from mslock.notices import Notices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn


def main(caller_mask: Iterable[int] | None = None) -> NoReturn:
    """mslock, from `sys.argv` to the exit. All signals are blocked when it begins; `caller_mask` were before."""
    mask = signals.block() if caller_mask is None else caller_mask
    _keep_standard_descriptors()
    argv = sys.argv[1:]
    notices = Notices()
    died_of = 0
    try:
        read = options.read(argv)
        if read is None:
            from mslock import commands

            code, died_of = commands.main(argv, mask, notices, run)
        else:
            code, died_of = run(*read, mask, notices)
    except MslockError as error:
        if os.environ.get("MSLOCK_DEBUG") == "1":
            raise
        code = error.exit_code
        notices.error(str(error))
    except BaseException as error:
        if os.environ.get("MSLOCK_DEBUG") == "1":
            raise
        code = ExitCode.INTERNAL
        notices.error(f"internal error, please report it: {error!r} (MSLOCK_DEBUG=1 shows where)")
    notices.settle()
    if died_of:
        signals.die_of(died_of)
    os._exit(code)


def run(given: dict[str, str], words: list[str], mask: Iterable[int], notices: Notices) -> tuple[int, int]:
    """A run line, read by whichever door: the exit code, and the signal to die of, or 0.

    Raises:
        MslockError: the job was not run, and why.
    """
    from mslock import settings
    from mslock.runner import Runner

    # A configuration file may lie on a disk that does not answer.
    signals.let_fatal_through(mask)
    asked = settings.resolve(given, words, os.environ)
    signals.block()
    notices.name, notices.verbose, notices.quiet = asked.name, asked.verbose, asked.quiet
    runner = Runner(asked, signals.Signals(mask), notices, os.environ)
    return runner.run(), runner.died_of


def _keep_standard_descriptors() -> None:
    """Where the caller has closed 0, 1 or 2, put something there that no job inherits: not a pipe of ours."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open("/dev/null", os.O_RDWR)


if __name__ == "__main__":
    main()
