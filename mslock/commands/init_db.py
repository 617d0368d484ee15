"""`mslock init-db`: make the tables, or bring them up to this release's.

Why: a server database is changed by this command alone, and by a person; so it is safe to run on every host of a fleet
at once, and again. The lock is taken before the first look: two that both saw nothing would both create.
"""

from __future__ import annotations

import io
import os
import sys

import click

from mslock.commands.database_option import database_option
from mslock.errors import ConfigError
from mslock.notices import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.engine import Connection

    from mslock.commands.database import Database


@click.command("init-db", short_help="Make mslock's tables, or bring them up to this release.")
@database_option
@click.option("--sql", is_flag=True, help="Print the SQL for a database administrator, and change nothing.")
def init_db(db: str | None, sql: bool) -> None:
    """Make mslock's tables, or bring older ones up to this release.

    It may be run again, and on many hosts at once. An SQLite file needs it only after an upgrade: its first run makes
    the tables.
    """
    from mslock.commands.database import Database

    database = Database(db, os.environ)
    sys.stdout.write(script(database.dialect) if sql else printable(f"{database.label}: {upgrade(database)}") + "\n")


def upgrade(database: Database) -> str:
    """Make or upgrade the tables; return what was done, for a person.

    Raises:
        MslockError: it was not done.
    """
    from alembic import command
    from alembic.script import ScriptDirectory
    from sqlalchemy import inspect

    from mslock import schema

    config = _config()
    steps = ScriptDirectory.from_config(config)
    head = steps.get_current_head() or ""
    # On SQLite, a transaction that reads first and writes then can fail; one that is IMMEDIATE waits its turn.
    with database.connect(begin="BEGIN IMMEDIATE") as connection, connection.begin():
        before = _revision(connection)
        missing = [table for table in schema.metadata.sorted_tables if not inspect(connection).has_table(table.name)]
        if before == head and missing:
            schema.metadata.create_all(connection, tables=missing)
            return f"made {', '.join(table.name for table in missing)} again, which was missing"
        if before == head:
            return f"nothing to do, its tables are at revision {head}"
        if before is not None and before not in {step.revision for step in steps.walk_revisions()}:
            if before > head:
                # Hosts of two releases share the fleet while it is upgraded, and what a later one adds is no hindrance.
                return f"nothing to do, its tables are at revision {before} of a later release"
            raise ConfigError(f"{database.label}: its tables are at revision {before!r}, which nobody knows")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return f"made the tables, revision {head}" if before is None else f"revision {before} is now {head}"


def script(dialect: str) -> str:
    """All steps as SQL; no driver of the database is needed."""
    from alembic import command

    config = _config()
    config.attributes["dialect"] = dialect
    command.upgrade(config, "head", sql=True)
    return str(config.output_buffer.getvalue()) if isinstance(config.output_buffer, io.StringIO) else ""


def _config() -> Config:
    from alembic.config import Config

    config = Config(output_buffer=io.StringIO(), stdout=io.StringIO())
    config.set_main_option("script_location", "mslock:migrations")
    return config


def _revision(connection: Connection) -> str | None:
    from alembic.runtime.migration import MigrationContext

    from mslock import schema

    return MigrationContext.configure(connection, opts={"version_table": schema.VERSION_TABLE}).get_current_revision()
