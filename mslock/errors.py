"""What can go wrong, said for a person, each with the exit code that it ends in.

Why: one place knows an exit number, and one `except` (in `__main__`) turns an error into an exit.
`ExitCode` is a plain class and no `IntEnum`: importing `enum` costs a third of an interpreter's start
(3.6 ms of 11 ms, `make bench`), and this module stands on the path of every skip.
"""

from __future__ import annotations


class ExitCode:
    """mslock's own exit codes; the names follow sysexits.h and GNU coreutils. A job's code is its own."""

    #: Done.
    OK = 0
    #: A command found no such lock, or `forget` one that is held.
    REFUSED = 1
    #: The command line cannot be read.
    USAGE = 64
    #: The database gave no answer, so nothing was run.
    UNAVAILABLE = 69
    #: A bug in mslock.
    INTERNAL = 70
    #: Skipped: held, cooling down, or too soon (`--skip-exit-code` sets another).
    SKIPPED = 75
    #: The database is not initialised, or the configuration is bad.
    CONFIG = 78
    #: The lock was lost, and the job stopped.
    LOST = 79
    #: The job was stopped at its `--timeout`.
    TIMED_OUT = 124
    #: The job is there but cannot be executed.
    NOT_EXECUTABLE = 126
    #: The job is not there.
    NOT_FOUND = 127
    #: 128 + N: signal N ended the job, or mslock before the job's start.
    SIGNALLED = 128


class MslockError(Exception):
    """An error that ends mslock: `str()` is one line for a person, `exit_code` what the process returns."""

    exit_code = ExitCode.INTERNAL


class UsageError(MslockError):
    """The command line or a variable cannot be understood; the message names the offender."""

    exit_code = ExitCode.USAGE


class ConfigError(MslockError):
    """A configuration file or a database URL is bad, or the database is not set up for mslock."""

    exit_code = ExitCode.CONFIG


class NotInitialised(ConfigError):
    """The database answers, but mslock's tables are not there."""


class DatabaseError(MslockError):
    """No answer can be had from the database; whether a write took effect is not known."""

    exit_code = ExitCode.UNAVAILABLE


class JobNotFound(MslockError):
    """COMMAND is nowhere to be found."""

    exit_code = ExitCode.NOT_FOUND


class JobNotExecutable(MslockError):
    """COMMAND is there, but cannot be executed."""

    exit_code = ExitCode.NOT_EXECUTABLE


class Signalled(MslockError):
    """A signal ended mslock before the job's start.

    Attributes:
        signo: the signal's number.
    """

    def __init__(self, signo: int) -> None:
        super().__init__(f"ended by signal {signo} before the job's start")
        self.signo = signo
        self.exit_code = ExitCode.SIGNALLED + signo
