"""The names of locks, as an argument of commands, and as a shell completes them.

Why: a completion is asked for by a key press, so it is silent about whatever goes wrong, and soon over.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

#: Nobody chooses from more.
_MOST = 200


def complete_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The locks whose names begin so."""
    try:
        from mslock.commands.database import Database

        given = context.params.get("db")
        if given is None and context.parent is not None:
            given = context.parent.params.get("db")
        environ = {**os.environ, "MSLOCK_DB_TIMEOUT": "1"}
        database = Database(given, environ)
        database.require()
        return [CompletionItem(name) for name in database.names(incomplete, _MOST)]
    except Exception:  # whatever it is: a message would land in the middle of a line that somebody types
        return []


def can_exist(name: str) -> bool:
    """Whether a database can be asked for the name at all: not for bytes that are no text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def names_argument(name: str, nargs: int, required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command an argument of lock names, `NAME`."""
    return click.argument(
        name,
        nargs=nargs,
        required=required,
        metavar=("NAME" if required else "[NAME]") + ("..." if nargs == -1 else ""),
        shell_complete=complete_names,
    )
