"""What a run and a skip cost, beside a bare start of the same interpreter; `make bench`.

Why: a machine's milliseconds mean nothing on another, and little a minute later. So everything is measured in turns,
in one go, and told as a ratio of medians. Each process is started as cron would: no terminal, a small environment.

`python -m tests.bench [FILE]` prints a table, and writes the same as JSON to FILE (build/bench.json).
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import platform
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator

from mslock import filesystem
from mslock.errors import ExitCode
from tests.bench.installation import ROOT, build_wheel, environ, install

ROUNDS = 100
#: Turns that warm caches and are not counted.
WARM_UP = 5
BASE = "python -I -c pass"
#: The most that a figure may be: times as ratios to BASE, memory in MB.
GOALS = {"run": 2.5, "skip, cooling": 2.5, "skip, held": 2.5, "resident": 13.0, "private dirty": 7.0}


class Bench:
    """The installed mslock, a database on a disk, and the processes to compare it with."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.mslock = str(install(build_wheel(folder), folder / "venv"))
        self.file = folder / "mslock.db"
        self.environ = environ(HOME=str(folder), MSLOCK_DB=f"sqlite:///{self.file}")
        self.cases: dict[str, tuple[list[str], int]] = {
            BASE: ([str(folder / "venv" / "bin" / "python"), "-I", "-c", "pass"], 0),
            "true": (["true"], 0),
            "run": ([self.mslock, "--name", "run", "--cooldown", "0", "--", "true"], 0),
            "skip, cooling": (
                [self.mslock, "--name", "cooling", "--cooldown", "1d", "--", "true"],
                ExitCode.SKIPPED,
            ),
            "skip, held": ([self.mslock, "--name", "held", "--", "true"], ExitCode.SKIPPED),
        }
        if shutil.which("flock"):
            self.cases["flock, run"] = (["flock", "-n", str(folder / "free"), "true"], 0)
            self.cases["flock, skip"] = (["flock", "-n", str(folder / "taken"), "true"], 1)

    def times_ms(self) -> dict[str, list[float]]:
        """The wall time of each case, round by round."""
        self._wait(self._start(self.cases["skip, cooling"][0]))
        times: dict[str, list[float]] = {name: [] for name in self.cases}
        names = list(self.cases)
        with self._holding([self.mslock, "--name", "held", "--", "sleep", "1000"]), self._flock():
            for turn in range(-WARM_UP, ROUNDS):
                # Nobody is always the one after the slow one.
                for name in names[turn % len(names) :] + names[: turn % len(names)]:
                    command, expected = self.cases[name]
                    begun = time.perf_counter()
                    code = self._wait(self._start(command))
                    taken = time.perf_counter() - begun
                    if code != expected:
                        raise RuntimeError(f"{name}: exit code {code} instead of {expected}")
                    if turn >= 0:
                        times[name].append(taken * 1000)
        return times

    def release_ms(self) -> list[float]:
        """From a job's end, as the history has it, to the end of mslock: what the release costs, to a millisecond."""
        taken = []
        for _ in range(ROUNDS):
            self._wait(self._start(self.cases["run"][0]))
            ended_ms = time.time() * 1000
            with contextlib.closing(sqlite3.connect(self.file)) as connection:
                query = "SELECT finished_ms FROM mslock_runs WHERE name = 'run' ORDER BY fence DESC LIMIT 1"
                taken.append(ended_ms - connection.execute(query).fetchone()[0])
        return taken

    def memory_mb(self) -> dict[str, float]:
        """What a supervisor holds while its job runs, and what it and its guard hold for themselves alone."""
        with self._holding([self.mslock, "--name", "memory", "--", "sleep", "1000"]) as pid:
            guard = self._guard_of(pid)
            time.sleep(0.3)  # let both come to rest
            supervisor = _rollup(pid)
            return {
                "resident": supervisor["Rss"],
                "private dirty": supervisor["Private_Dirty"] + _rollup(guard)["Private_Dirty"],
            }

    def _start(self, command: list[str]) -> int:
        null = os.open(os.devnull, os.O_RDWR)
        file = command[0] if "/" in command[0] else shutil.which(command[0], path=self.environ["PATH"]) or command[0]
        streams = [(os.POSIX_SPAWN_DUP2, null, stream) for stream in range(3)]
        try:
            return os.posix_spawn(file, command, self.environ, file_actions=streams, setsid=True)
        finally:
            os.close(null)

    def _wait(self, pid: int) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    @contextlib.contextmanager
    def _holding(self, command: list[str]) -> Iterator[int]:
        """Somebody who holds something, from when its job or guard is there until it is told to end."""
        pid = self._start(command)
        try:
            self._guard_of(pid)
            yield pid
        finally:
            os.kill(pid, 15)
            self._wait(pid)

    @contextlib.contextmanager
    def _flock(self) -> Iterator[None]:
        if "flock, skip" not in self.cases:
            yield
            return
        import fcntl

        with open(self.cases["flock, skip"][0][2], "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _guard_of(self, pid: int) -> int:
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                if pathlib.Path(f"/proc/{child}/comm").read_text() == "mslock-guard\n":
                    return int(child)
            time.sleep(0.01)
        raise RuntimeError(f"process {pid} never had a guard")


def _rollup(pid: int) -> dict[str, float]:
    """Memory of a process in MB (10^6 bytes), see proc(5), smaps_rollup."""
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {line.partition(":")[0]: int(line.split()[1]) * 1024 / 1e6 for line in lines}


def main(path: pathlib.Path) -> None:
    (ROOT / "build").mkdir(exist_ok=True)
    # Not in /tmp, which may be memory: a run waits for its disk.
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / "build") as folder:
        bench = Bench(pathlib.Path(folder))
        disk = filesystem.kind(folder)
        times = bench.times_ms()
        times["job's end to exit"] = bench.release_ms()
        memory = bench.memory_mb()
    base = statistics.median(times[BASE])
    print(f"Python {platform.python_version()}, database on {disk}, {ROUNDS} rounds, medians\n")
    print(f"{'':20}{'ms':>8}{'ratio':>8}{'goal':>8}")
    figures = {}
    for name, taken in times.items():
        median = statistics.median(taken)
        quartiles = statistics.quantiles(taken, n=4)
        figures[name] = {"ms": median, "ratio": median / base, "quartiles_ms": quartiles, "goal": GOALS.get(name)}
        print(f"{name:20}{median:8.1f}{median / base:8.2f}{_goal(name, median / base)}")
    print(f"\n{'':20}{'MB':>8}{'':8}{'goal':>8}")
    for name, held in memory.items():
        print(f"{name:20}{held:8.1f}{'':8}{_goal(name, held)}")
    result = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "disk": disk,
        "rounds": ROUNDS,
        "times": figures,
        "memory_mb": {name: {"mb": held, "goal": GOALS[name]} for name, held in memory.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"\nwritten to {path}")


def _goal(name: str, value: float) -> str:
    return f"{GOALS[name]:8.1f}{'' if value <= GOALS[name] else '   missed'}" if name in GOALS else ""


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "bench.json")
