"""The installed executable on a machine of its own: a home, a database, and no terminal."""

from __future__ import annotations

import ctypes
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mslock import identity
from mslock.session import Session

EXECUTABLE = str(pathlib.Path(sys.executable).with_name("mslock"))
#: How long anything may take before a test calls it never; not a measurement.
BOUND_S = 60.0


def until(condition: Callable[[], Any], what: str = "") -> Any:
    """Poll until something is true, and return it."""
    ends = time.monotonic() + BOUND_S
    while time.monotonic() < ends:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"never came true: {what or condition}")


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def has_begun(pid: int) -> bool:
    """Whether mslock has blocked its signals, and not become its job yet.

    While it waits, the kernel shows what it waits for as not blocked; what it never waits for stays so.
    """
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    blocked = next(line.split()[1] for line in status.splitlines() if line.startswith("SigBlk"))
    return bool(int(blocked, 16) & 1 << (signal.SIGSEGV - 1))


class Mslock:
    """mslock as installed, with an environment in which nothing of this machine's is touched."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.file = folder / "locks.db"
        self.url = f"sqlite:///{self.file}"
        self.environ = {
            "PATH": f"{pathlib.Path(EXECUTABLE).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "LOGNAME": "tester",
            "MSLOCK_DB": self.url,
            "MSLOCK_CONF": "/dev/null",
        }
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str, environ: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
        """Start it without a terminal; whatever still runs at the test's end is killed."""
        for stream in ("stdin", "stdout", "stderr"):
            options.setdefault(stream, subprocess.DEVNULL if stream == "stdin" else subprocess.PIPE)
        process = subprocess.Popen(
            [EXECUTABLE, *arguments],
            env=self.environ | (environ or {}),
            cwd=options.pop("cwd", self.folder),
            start_new_session=options.pop("start_new_session", True),
            **options,
        )
        self._started.append(process)
        return process

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
        """Run it to its end."""
        given = options.pop("input", None)
        if given is not None:
            options["stdin"] = subprocess.PIPE
        process = self.start(*arguments, **options)
        out, err = process.communicate(given, timeout=BOUND_S)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def select(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        connection = sqlite3.connect(self.file, timeout=BOUND_S)
        try:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query, parameters)]
        except sqlite3.DatabaseError:
            return []  # not made yet, or none on purpose
        finally:
            connection.close()

    def change(self, statement: str, *parameters: Any) -> None:
        connection = sqlite3.connect(self.file, timeout=BOUND_S)
        try:
            connection.execute(statement, parameters)
            connection.commit()
        finally:
            connection.close()

    def row(self, name: str) -> dict[str, Any]:
        """The lock's row; empty before there is one."""
        return next(iter(self.select("SELECT * FROM mslock_locks WHERE name = ?", name)), {})

    def runs(self, name: str) -> list[dict[str, Any]]:
        """The history, oldest first."""
        return self.select("SELECT * FROM mslock_runs WHERE name = ? ORDER BY fence", name)

    def held(self, name: str) -> dict[str, Any]:
        """The row, once somebody holds the lock."""

        def look() -> dict[str, Any] | None:
            row = self.row(name)
            return row if row.get("pid") else None

        found: dict[str, Any] = until(look, f"{name} is held")
        return found

    def waits(self, parent: int) -> bool:
        """Whether a child of the process is mslock, and has begun."""
        children = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        names = [pathlib.Path(f"/proc/{child}/comm").read_text() for child in children]
        return names == ["mslock\n"] and has_begun(int(children[0]))

    def guard(self, supervisor: int) -> int:
        """The pid of a supervisor's guard, once it stands."""

        def look() -> int:
            for child in pathlib.Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split():
                try:
                    if pathlib.Path(f"/proc/{child}/comm").read_text() == "mslock-guard\n":
                        return int(child)
                except OSError:
                    pass
            return 0

        found: int = until(look, "the guard stands")
        return found

    def stop(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
            process.wait()
        for row in self.select("SELECT * FROM mslock_locks WHERE job_session IS NOT NULL"):
            if row["kernel_id"] == identity.kernel_id():  # elsewhere the number is a stranger's here
                Session(row["job_session"], row["job_start"]).send(signal.SIGKILL)


@pytest.fixture
def subreaper() -> Iterator[None]:
    """Orphans become ours, to be reaped at will: prctl(2), PR_SET_CHILD_SUBREAPER."""
    libc = ctypes.CDLL(None)
    libc.prctl(36, 1, 0, 0, 0)
    yield
    libc.prctl(36, 0, 0, 0, 0)


@pytest.fixture
def mslock(tmp_path: pathlib.Path) -> Iterator[Mslock]:
    machine = Mslock(tmp_path)
    yield machine
    machine.stop()
