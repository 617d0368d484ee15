"""The commands as one click group."""

from __future__ import annotations

import click

from mslock.commands.database_option import database_option
from mslock.commands.forget import forget
from mslock.commands.help_page import HelpPage, version_option
from mslock.commands.history import history
from mslock.commands.init_db import init_db
from mslock.commands.status import status


class Commands(HelpPage, click.Group):
    """mslock's commands, with the help of mslock."""


@click.group("mslock", cls=Commands)
@database_option
@version_option
def cli(db: str | None) -> None:
    """The side door; what stands before a command's word is taken up by the command."""


for command in (status, history, forget, init_db):
    cli.add_command(command)
