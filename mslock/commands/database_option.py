"""`--db` of a command: as the run line's, and it may stand before the command's word or behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from mslock.options import BY_FLAG


def database_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--db`; its value comes as `db`. One that stands before the command's word counts too."""
    option = BY_FLAG["--db"]
    return click.option(
        *option.flags,
        option.key,
        type=click.UNPROCESSED,
        metavar=option.metavar,
        callback=_nearest,
        help=option.help,
    )(function)


def _nearest(context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is None and context.parent is not None:
        value = context.parent.params.get("db")
    return value
