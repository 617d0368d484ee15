"""The locks in a database: read one with the time, write one by compare-and-swap, keep the history.

Why: a read gives a row and the database's clock in one statement, a write is `INSERT` for a new name or an `UPDATE`
that names the version and the run it replaces: exactly one writer wins. So no transaction stays open while anybody
thinks, and a connection that dies in the middle leaves a question that one more read answers: is it ours now?
"""

from __future__ import annotations

from mslock import drivers
from mslock.errors import ConfigError, DatabaseError, MslockError
from mslock.policy import Record, Row, damage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mslock.drivers import Connection

#: About one run in this many looks for history that is too old to keep.
_PRUNE_EVERY = 64


def damaged(what: str, column: str) -> ConfigError:
    return ConfigError(f"{what} is damaged: mslock never wrote its {column}; mend or delete it by hand")


class Store:
    """The locks of one database, over one connection that is opened at need.

    Attributes:
        news: what somebody should hear of the database, as it came up.

    All methods raise `DatabaseError` when no answer can be had, and `ConfigError` when none ever will.
    """

    def __init__(
        self, url: str, timeout_s: float, connect: Callable[[str, float, list[str]], Connection] | None = None
    ) -> None:
        self.url = url
        self.news: list[str] = []
        self._timeout_s = timeout_s
        self._connect = connect or drivers.connect
        self._connection: Connection | None = None

    def another(self) -> Store:
        """The same locks, over a connection of its own."""
        return Store(self.url, self._timeout_s, self._connect)

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            self._connection = self._connect(self.url, self._timeout_s, self.news)
        return self._connection

    def read(self, name: str) -> tuple[Row | None, int]:
        """The lock, None if its name was never seen; and the database's time, in ms since the epoch."""
        found = self.connection.fetch("read", (name,))
        if found is None:
            raise DatabaseError("the database did not tell its time")
        now_ms = int(found[0])
        if found[1] is None:
            return None, now_ms
        row = Row(*found[1:])
        column = damage(row)
        if column:
            raise damaged(f"the row of {name}", column)
        return row, now_ms

    def write(self, row: Row, before: Row | None) -> bool:
        """Put `row` in the place of `before` (None: of nothing); False if somebody else was quicker."""
        try:
            if before is None:
                return self.connection.change("insert", row.values()) is not None
            name, *changes = row.values()
            return self.connection.change("update", (*changes, name, before.version, before.run_id)) == 1
        except DatabaseError:
            # Whether it took effect is not known: the connection may have died at the commit.
            self.close()
            seen, _ = self.read(row.name)
            if seen == before:
                raise
            # A claim is ours also where somebody has mended its lease since; what is renewed is read again.
            return seen == row or (seen is not None and seen.run_id == row.run_id != (before and before.run_id))

    def record(self, run: Record) -> None:
        """Add an ended run to the history; one that is there already is done."""
        self.connection.change("record", run.values())

    def release(self, row: Row, before: Row, run: Record) -> tuple[bool, MslockError | None]:
        """Record an ended run and write its lock; what the history failed of comes second, and prevents nothing."""
        failed = None
        connection = self.connection
        connection.begin()
        try:
            self.record(run)
        except MslockError as error:
            failed = error
            self.close()
            return self.write(row, before), failed
        written = self.write(row, before)
        connection.commit()
        return written, failed

    def prune(self, name: str, fence: int) -> None:
        """Forget the oldest runs of a name, now and then."""
        if fence % _PRUNE_EVERY:
            return
        try:
            oldest = self.connection.fetch("oldest_kept", (name,))
            if oldest is not None:
                self.connection.change("prune", (name, oldest[0]))
        except MslockError:
            pass  # old history harms nobody; a release that is told to have failed, and is tried again, does

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
