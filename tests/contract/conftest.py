"""The databases that the contract is held to, each a way to make an empty one.

A new database is one more entry of `DATABASES`: a context manager that gives the URL of a database that is empty
(SQLite), or has mslock's tables and nothing in them (a server), and clears up behind itself. A test may drop tables.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mslock import drivers
from mslock.store import Store

if TYPE_CHECKING:
    from mslock.drivers import Connection

Database = Callable[[Path], AbstractContextManager[str]]
#: Opens one more store on the same database, over connections that may be wrapped.
Open = Callable[..., Store]


@contextmanager
def _sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder}/mslock.db"


DATABASES: dict[str, Database] = {"sqlite": _sqlite}


@pytest.fixture(params=list(DATABASES))
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty database of the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in [name for name in os.environ if name.startswith("MSLOCK_")]:
        monkeypatch.delenv(variable)
    with DATABASES[request.param](tmp_path) as url:
        yield url


@pytest.fixture
def open_store(url: str) -> Iterator[Open]:
    """Stores on the database, as many as a test asks for; closed behind it."""
    opened: list[Store] = []

    def open_store(connect: Callable[[str, float, list[str]], Connection] | None = None) -> Store:
        opened.append(Store(url, 10.0, connect or drivers.connect))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Open) -> Store:
    return open_store()
