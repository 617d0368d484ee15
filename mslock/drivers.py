"""Connections: which database a URL means, how it is opened, and what its errors mean.

Why: the hot path talks to the driver itself. All text of errors ends here: what leaves is one of `errors`, with the
database named and its password hidden.
"""

from __future__ import annotations

import os

from mslock import filesystem
from mslock._statements import SQLITE_TABLES, STATEMENTS
from mslock.errors import ConfigError, DatabaseError, NotInitialised

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from typing import Any, Protocol

    class Connection(Protocol):
        """One conversation's connection. Each statement commits by itself, unless `begin` came before.

        Every method raises `DatabaseError`, or `ConfigError` where trying again is of no use.
        """

        statements: dict[str, str]

        @property
        def raw(self) -> Any:
            """The driver's own connection, for SQLAlchemy."""

        def failure(self, error: Exception) -> ConfigError | DatabaseError:
            """What an error of the driver means to a person."""

        def fetch(self, statement: str, parameters: Sequence[Any]) -> tuple[Any, ...] | None:
            """The first row of what a statement finds."""

        def change(self, statement: str, parameters: Sequence[Any]) -> int | None:
            """How many rows a statement changed; None if it would have made a second of one primary key."""

        def begin(self) -> None:
            """Hold the following statements together, where that leaves nothing behind when we die."""

        def commit(self) -> None: ...

        def close(self) -> None: ...

else:
    from mslock._sqlite import sqlite3

#: The revision that the tables of `_statements.SQLITE_TABLES` are at, for Alembic.
SQLITE_REVISION = "0001"
#: As Alembic makes it.
_VERSION_TABLE = (
    "CREATE TABLE mslock_alembic_version ("
    " version_num VARCHAR(32) NOT NULL, CONSTRAINT mslock_alembic_version_pkc PRIMARY KEY (version_num) )"
)


class Sqlite:
    """A connection to a file of this machine, which is made at its first use; `news` is told of that."""

    statements = STATEMENTS["sqlite"]

    def __init__(self, path: str, timeout_s: float, news: list[str]) -> None:
        self.label = f"sqlite:///{path}"
        self._news = news
        kind = filesystem.kind(path)
        if kind in filesystem.NETWORK:
            raise ConfigError(f"{self.label} lies on a network file system ({kind}), where locks cannot be trusted")
        if kind not in filesystem.LOCAL:
            news.append(f"{self.label} lies on a file system ({kind or 'unknown'}) that may not keep locks")
        try:
            if not os.path.exists(path):
                os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            self._connection = sqlite3.connect(path, timeout=timeout_s, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise self.failure(error) from error

    @property
    def raw(self) -> sqlite3.Connection:
        """The driver's own connection, for SQLAlchemy."""
        return self._connection

    def fetch(self, statement: str, parameters: Sequence[Any]) -> tuple[Any, ...] | None:
        try:
            row: tuple[Any, ...] | None = self._execute(self.statements[statement], parameters).fetchone()
        except sqlite3.Error as error:
            raise self.failure(error) from error
        return row

    def change(self, statement: str, parameters: Sequence[Any]) -> int | None:
        try:
            return self._execute(self.statements[statement], parameters).rowcount
        except sqlite3.IntegrityError as error:
            if "UNIQUE" in str(error):
                return None
            raise self.failure(error) from error
        except sqlite3.Error as error:
            raise self.failure(error) from error

    def begin(self) -> None:
        self._run("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._run("COMMIT")

    def close(self) -> None:
        self._connection.close()

    def _execute(self, sql: str, parameters: Sequence[Any]) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, parameters)
        except sqlite3.OperationalError as error:
            if not str(error).startswith("no such table"):
                raise
        self._create()
        return self._connection.execute(sql, parameters)

    def _create(self) -> None:
        """Make the tables, in one transaction: whoever comes second finds them made."""
        if self._connection.in_transaction:
            raise NotInitialised(f"{self.label} has lost its tables; run: mslock init-db")
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        created = False
        try:
            tables = "SELECT count(*) FROM sqlite_master WHERE name IN ('mslock_locks', 'mslock_runs')"
            if execute(tables).fetchone()[0] == 0:
                for table in SQLITE_TABLES:
                    execute(table)
                execute(_VERSION_TABLE)
                execute("INSERT INTO mslock_alembic_version VALUES (?)", (SQLITE_REVISION,))
                created = True
            execute("COMMIT")
        except sqlite3.Error:
            self._connection.rollback()
            raise
        if created:
            self._news.append(f"created {self.label}: locking on this machine only")

    def _run(self, sql: str) -> None:
        try:
            self._connection.execute(sql)
        except sqlite3.Error as error:
            raise self.failure(error) from error

    def failure(self, error: Exception) -> ConfigError | DatabaseError:
        """What an error of the driver means to a person."""
        reason = str(error) if not isinstance(error, OSError) else str(error.strerror)
        if reason.startswith(("no such column", "no such table")):
            return NotInitialised(f"{self.label} has tables of another release; run: mslock init-db")
        if "not a database" in reason or "malformed" in reason:
            return ConfigError(f"{self.label} is damaged, or no SQLite database: {reason}")
        return DatabaseError(f"{self.label}: {reason}")


def connect(url: str, timeout_s: float, news: list[str]) -> Connection:
    """A connection to the URL's database. Each wait in it is bounded by `timeout_s`, as far as the driver can.

    What somebody should hear of the database is added to `news`.

    Raises:
        ConfigError: the URL cannot be read, or its database is not one that mslock works with.
        DatabaseError: no answer.
    """
    return Sqlite(sqlite_path(url), timeout_s, news)


def sqlite_path(url: str) -> str:
    """The file of an SQLite URL.

    Raises:
        ConfigError: the URL names another database, or no absolute path.
    """
    scheme, separator, rest = url.partition("://")
    if scheme in ("sqlite", "sqlite+pysqlite") and separator:
        if (rest[:2] != "//" and rest[:1] == "/") or not rest:
            raise ConfigError(
                f"{label(url)}: the path must be absolute, with four slashes (sqlite:////var/lib/mslock/mslock.db);"
                " cron and a shell would get two locks"
            )
        if rest[:2] == "//" and "?" not in rest and "\0" not in rest and not rest.endswith("/"):
            return rest[1:]
    if not separator:
        raise ConfigError(f"{label(url)!r} is no database URL; write sqlite:////path/to/mslock.db")
    raise ConfigError(f"{label(url)}: mslock works with sqlite:////path")


def label(url: str) -> str:
    """The URL as it may be shown: without passwords, wherever they stand."""
    scheme, separator, rest = url.partition("://")
    if not separator:  # no URL: whatever it is, it may hold one
        return url if url.isalnum() else "***"
    if scheme.startswith("sqlite"):
        return url
    place, question, query = rest.partition("?")
    credentials, at, host = place.rpartition("@")
    user, colon, _ = credentials.partition(":")
    if at and colon:
        place = f"{user}:***@{host}"
    fields = (
        "=".join((key, "***")) if "pass" in key.lower() else key + equals + value
        for key, equals, value in (field.partition("=") for field in query.split("&"))
    )
    return f"{scheme}://{place}{question}{'&'.join(fields)}"


def is_local_file(url: str) -> bool:
    """Whether the database is a file that this machine alone can open."""
    return url.startswith("sqlite") and filesystem.kind(sqlite_path(url)) in filesystem.LOCAL
