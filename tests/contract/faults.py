"""A real connection that dies when it is told to, and SQL that only tests need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mslock import drivers
from mslock.errors import DatabaseError
from mslock.store import Store

if TYPE_CHECKING:
    from mslock.drivers import Connection


class Faulty:
    """Wraps each connection that a store opens. What is planned happens once, to the next such statement.

    Attributes:
        plan: by statement, `before` or `after` it took effect the connection dies; or what to do before it,
            such as letting somebody else be quicker.
        opened: how many connections have been opened.
    """

    def __init__(self, **plan: str | Callable[[], object]) -> None:
        self.plan = plan
        self.opened = 0

    def connect(self, url: str, timeout_s: float, news: list[str]) -> Any:
        self.opened += 1
        return _FaultyConnection(drivers.connect(url, timeout_s, news), self.plan)


class _FaultyConnection:
    def __init__(self, real: Connection, plan: dict[str, str | Callable[[], object]]) -> None:
        self._real = real
        self._plan = plan

    def fetch(self, statement: str, parameters: Sequence[Any]) -> Any:
        return self._through(statement, lambda: self._real.fetch(statement, parameters))

    def change(self, statement: str, parameters: Sequence[Any]) -> Any:
        return self._through(statement, lambda: self._real.change(statement, parameters))

    def begin(self) -> None:
        self._through("begin", self._real.begin)

    def commit(self) -> None:
        self._through("commit", self._real.commit)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def _through(self, statement: str, do: Callable[[], Any]) -> Any:
        fault = self._plan.pop(statement, "")
        if callable(fault):
            fault()
        elif fault:
            if fault == "after":
                do()
            self._real.close()
            raise DatabaseError(f"the connection died {fault} {statement}")
        return do()


def sql(store: Store, text: str, *parameters: object) -> tuple[Any, ...] | None:
    """One statement that `store` itself does not know; `?` stands for each parameter."""
    connection = store.connection
    mark = "?" if "?" in connection.statements["read"] else "%s"
    connection.statements = {**connection.statements, "test": text.replace("?", mark)}
    if text.startswith("SELECT"):
        return connection.fetch("test", parameters)
    connection.change("test", parameters)
    return None


def history(store: Store, name: str = "report") -> tuple[int, int | None, int | None]:
    """How many ended runs are kept of a name, and their lowest and highest fence."""
    found = sql(store, "SELECT count(*), min(fence), max(fence) FROM mslock_runs WHERE name = ?", name)
    assert found is not None
    return found[0], found[1], found[2]
