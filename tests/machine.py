"""The installed executable beside a database whose rows a test makes up."""

from __future__ import annotations

import pathlib
import sqlite3
import subprocess
import time
from collections.abc import Iterable
from typing import Any

from mslock.policy import Record, Row
from mslock.schema import VERSION_TABLE
from mslock.store import Store
from tests.e2e.conftest import BOUND_S, Mslock
from tests.samples import free_row, held_row

#: A kernel that is not ours, in a container: nothing can be proven of its processes.
ELSEWHERE = "00000000-0000-0000-0000-000000000002:1:1"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Machine(Mslock):
    """mslock with an SQLite file that may be filled by hand."""

    def stop(self) -> None:
        """End what was started; never by the numbers in the rows, which are made up."""
        for process in self._started:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(BOUND_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()

    def store(self) -> Store:
        return Store(self.url, 10.0)

    def put(self, *rows: Row) -> None:
        store = self.store()
        for row in rows:
            assert store.write(row, None)
        store.close()

    def put_many(self, rows: Iterable[Row]) -> None:
        self.put(free_row(name="the-first"))
        connection = sqlite3.connect(self.file)
        marks = ",".join("?" * len(Row.COLUMNS))
        connection.executemany(f"INSERT INTO mslock_locks VALUES ({marks})", (row.values() for row in rows))
        connection.commit()
        connection.close()

    def record(self, *runs: Record) -> None:
        store = self.store()
        for run in runs:
            store.record(run)
        store.close()

    def tell(self, *arguments: str, **options: Any) -> tuple[int, str, str]:
        """Run it to its end: the exit code, and what stood on stdout and stderr."""
        done = self.run(*arguments, **options)
        return done.returncode, done.stdout.decode(), done.stderr.decode()


def held_elsewhere(**changes: Any) -> Row:
    """A lock that another machine holds, and renews."""
    now = now_ms()
    times: dict[str, Any] = {"started_ms": now - 65_000, "lease_until_ms": now + 100_000, "finished_ms": now - 600_000}
    return held_row(**({"kernel_id": ELSEWHERE} | times | changes))


def stale(**changes: Any) -> Row:
    """A lock whose lease has run out on another machine."""
    return held_elsewhere(**({"lease_until_ms": now_ms() - 5_000} | changes))


def tables(file: pathlib.Path) -> dict[str, str]:
    """The SQL of each table in a file, its blanks made alike."""
    connection = sqlite3.connect(file)
    try:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
    finally:
        connection.close()
    return {name: " ".join(sql.split()).replace("( ", "(").replace(" )", ")") for name, sql in found}


def revision(file: pathlib.Path) -> list[str]:
    connection = sqlite3.connect(file)
    try:
        return [number for (number,) in connection.execute(f"SELECT version_num FROM {VERSION_TABLE}")]
    finally:
        connection.close()
