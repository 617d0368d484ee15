"""The database of a command, through SQLAlchemy over the connection that `drivers` opens.

Why: a command is typed by a person, so it may cost what SQLAlchemy costs, and reads many rows at once, which the hot
path never does. Connecting, its refusals and the words of its errors stay those of `drivers`: a run and `mslock
status` must never see two different databases behind one URL.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Select, create_engine, event, inspect, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from mslock import drivers, identity, policy, schema, settings
from mslock.errors import ConfigError, DatabaseError, NotInitialised
from mslock.policy import Evidence, Record, Row
from mslock.store import Store, damaged

#: SQLAlchemy's name of each scheme's dialect, with the driver: its own choice differs by release.
_DIALECTS = {
    "sqlite": "sqlite+pysqlite",
    "postgres": "postgresql+psycopg2",
    "postgresql": "postgresql+psycopg2",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
_Kept = TypeVar("_Kept", Row, Record)

#: More names than this are not looked for one by one: databases limit the parameters of a statement.
_MANY = 500


class Database:
    """Where the locks are, as a command's `--db`, the environment and the configuration say.

    Attributes:
        label: the URL as it may be shown, its password hidden.
        news: what somebody should hear of the database, once it was opened.

    All methods raise `DatabaseError` when no answer can be had, and `ConfigError` when none ever will.
    """

    def __init__(self, given: str | None, environ: Mapping[str, str]) -> None:
        self.url = settings.database(given, environ)
        self.label = drivers.label(self.url)
        self.news: list[str] = []
        self._timeout_s = settings.db_timeout_s(environ)
        self._kernel_id = identity.kernel_id()

    @property
    def dialect(self) -> str:
        """The SQL that the database speaks: `sqlite`, `postgresql` or `mysql`."""
        return self._driver().partition("+")[0]

    def store(self) -> Store:
        """The locks, to be written by compare-and-swap."""
        return Store(self.url, self._timeout_s)

    def evidence(self, row: Row) -> Evidence:
        """What can be proven of a lock's holder from here."""
        if not row.held:
            return policy.NO_EVIDENCE
        return identity.evidence(row, self._kernel_id, drivers.is_local_file(self.url))

    def is_here(self, row: Row) -> bool:
        """Whether the holder's process numbers mean something on this kernel."""
        return row.held and row.kernel_id is not None and row.kernel_id == self._kernel_id

    def require(self) -> None:
        """
        Raises:
            NotInitialised: mslock's tables are not there; nothing was made.
        """
        if self.dialect == "sqlite":
            try:
                os.stat(drivers.sqlite_path(self.url))
            except (FileNotFoundError, NotADirectoryError) as error:
                raise NotInitialised(f"{self.label} does not exist; run a job first, or: mslock init-db") from error
            except OSError as error:
                raise DatabaseError(f"{self.label}: {error.strerror}") from error
        with self.connect() as connection:
            if not inspect(connection).has_table(schema.locks.name):
                raise NotInitialised(f"{self.label} has no tables of mslock; run: mslock init-db")

    def locks(self, names: Sequence[str] | None) -> tuple[list[Row], int]:
        """The locks of these names (None: all), by name; and the database's time, in ms since the epoch."""
        columns = [schema.locks.c[column] for column in Row.COLUMNS]
        found: Select[Any] = select(*columns).order_by(schema.locks.c.name)
        if names is not None and len(names) <= _MANY:
            found = found.where(schema.locks.c.name.in_(names))
        with self.connect() as connection:
            rows = [Row(*values) for values in connection.execute(found)]
            now_ms = int(connection.execute(select(schema.now_ms())).scalar_one())
        wanted = None if names is None else set(names)
        return [row for row in self._sound(rows) if wanted is None or row.name in wanted], now_ms

    def names(self, prefix: str, limit: int) -> list[str]:
        """Some of the names that begin so, in their order."""
        name = schema.locks.c.name
        found = select(name).where(name >= prefix, name < prefix + "\x7f").order_by(name).limit(limit)
        with self.connect() as connection:
            return list(connection.execute(found).scalars())

    def runs(self, name: str | None, limit: int) -> list[Record]:
        """The last ended runs, of one lock or of all, newest first."""
        runs = schema.runs.c
        found = select(*(runs[column] for column in Record.COLUMNS))
        if name is not None:
            found = found.where(runs.name == name)
        found = found.order_by(runs.finished_ms.desc(), runs.fence.desc(), runs.name).limit(limit)
        with self.connect() as connection:
            return list(self._sound([Record(*values) for values in connection.execute(found)]))

    def _sound(self, found: Sequence[_Kept]) -> Iterator[_Kept]:
        """What mslock may have written; the rest is told of, and spoils no other."""
        for values in found:
            column = policy.damage(values)
            if not column:
                yield values
                continue
            what = "the row" if isinstance(values, Row) else "a run"
            self.news.append(str(damaged(f"{what} of {values.name}", column)))

    @contextmanager
    def connect(self, begin: str = "") -> Iterator[Connection]:
        """A connection; `begin` is the statement that opens its transaction, where one is meant."""
        opened = drivers.connect(self.url, self._timeout_s, self.news)
        engine = create_engine(f"{self._driver()}://", creator=lambda: opened.raw, poolclass=NullPool)
        if begin:
            # The driver is in autocommit: what begins a transaction is up to us.
            event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        try:
            with engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise opened.failure(error.orig if isinstance(error.orig, Exception) else error) from error

    def _driver(self) -> str:
        scheme, separator, _ = self.url.partition("://")
        driver = _DIALECTS.get(scheme.partition("+")[0])
        if driver is None or not separator:
            known = "sqlite:////path, postgresql://… or mysql://…"
            raise ConfigError(f"{self.label!r} is no database URL that mslock works with; write {known}")
        return driver
