"""What click complains of, as mslock's own errors.

Why: click prints a usage of several lines and exits with 2; mslock says one line that names the offender, and exits
with 64 as sysexits.h has it. This is the one place that knows click's exceptions.
"""

from __future__ import annotations

import click

from mslock.errors import UsageError
from mslock.options import OPTIONS


def translate(complaint: click.ClickException) -> UsageError:
    """The same in one line, and where to read more."""
    message = " ".join(complaint.format_message().split()).removesuffix(".")
    where = "mslock"
    context = getattr(complaint, "ctx", None)
    if context is not None and context.parent is not None:
        where = f"mslock {context.info_name}"
        message = f"{context.info_name}: {message}"
    return UsageError(f"{message} (see: {where} --help)")


def no_command(word: str, names: list[str]) -> UsageError:
    """A first word that is no command: a slip of the pen, or a job without a lock."""
    from difflib import get_close_matches

    close = get_close_matches(word, names, 1)
    if close:
        return UsageError(f"{word!r} is no command; did you mean {close[0]!r}? (a run line needs --name or -c)")
    return no_lock([word])


def no_lock(job: list[str]) -> UsageError:
    """A job, or nothing at all, without a lock."""
    if not job:
        return UsageError("nothing to do; write: mslock --name NAME -- COMMAND [ARG...], or see: mslock --help")
    return UsageError(f"a run line needs --name or -c before the job {job[0]!r}; write: mslock --name NAME -- {job[0]}")


def foreign(key: str, command: str) -> UsageError:
    """An option of a run line before a command."""
    flag = next(option.flags[0] for option in OPTIONS if option.key == key)
    return UsageError(f"{flag} is for a run line, and {command!r} is a command; see: mslock {command} --help")
