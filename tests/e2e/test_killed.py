"""kill -9 at any point of a supervisor's life: never two jobs at once, and never a lock that stays."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time

import pytest

from tests.e2e.conftest import Mslock, until

#: Notes begin and end with the fence; the folder would show an overlap, also one with a job that was killed.
_JOB = (
    "trap '' HUP; echo begin $MSLOCK_RUN_FENCE >> log; mkdir inside 2>/dev/null || echo OVERLAP >> log;"
    " sleep 0.05; rmdir inside; echo end $MSLOCK_RUN_FENCE >> log"
)
#: Removes what a killed job has left behind, before the next one begins.
_CLEANING_JOB = "rm -rf inside; " + _JOB
_POINTS = 200


@pytest.mark.parametrize("seed", range(4))
def test_a_supervisor_killed_at_any_point_leaves_no_overlap_and_no_stuck_lock(
    mslock: Mslock, subreaper: None, seed: int
) -> None:
    chance = random.Random(seed)
    mslock.run("--name", "x", "--cooldown", "0", "true")
    arguments = ("--name", "x", "--cooldown", "0", "--kill-after", "0", "--lease", "5m")
    for _ in range(_POINTS // 4):
        victim = mslock.start(*arguments, "-c", _CLEANING_JOB)
        time.sleep(chance.uniform(0, 0.15))  # the point in its life, not a wait for anything
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
        # Whatever lives on holds the lock; when nothing does, the next invocation runs at once.
        ended = mslock.run(
            *arguments, "--wait", "1h", "--on-orphan", chance.choice(["wait", "kill"]), "-c", _CLEANING_JOB
        )
        assert ended.returncode == 0, ended.stderr
        _reap()
    log = (mslock.folder / "log").read_text().splitlines()
    assert "OVERLAP" not in log
    fences = [int(line.split()[1]) for line in log if line.startswith("begin")]
    assert fences == sorted(set(fences)), "each run has a fence of its own, and they rise"
    for one, two in itertools.pairwise(log):
        assert two.startswith("begin") or one == two.replace("end", "begin"), "nothing between a begin and its end"
    row = mslock.row("x")
    assert row["pid"] is None
    recorded = {run["fence"]: run["outcome"] for run in mslock.runs("x")}
    assert set(fences) <= set(recorded), "every run that began is in the history"
    for fence in fences:
        if f"end {fence}" not in log:
            assert recorded[fence] == "abandoned"


def test_a_job_never_starts_when_its_supervisor_dies_before_the_go(mslock: Mslock, subreaper: None) -> None:
    """Another program holds the database, so that the claim hangs; the job's process stands ready by then."""
    import sqlite3

    mslock.run("--name", "x", "--cooldown", "0", "true")
    blocker = sqlite3.connect(mslock.file, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")  # reads go on, writes wait
    victim = mslock.start("--name", "x", "--cooldown", "0", "--db-timeout", "1h", "touch", "ran")
    held = until(lambda: _children(victim.pid), "the job's process is held")
    victim.kill()
    victim.communicate()
    blocker.execute("ROLLBACK")
    blocker.close()

    def gone() -> bool:
        _reap()
        return not any(os.path.exists(f"/proc/{pid}") for pid in held)

    until(gone, "it goes home")
    assert not (mslock.folder / "ran").exists()
    assert mslock.run("--name", "x", "--cooldown", "0", "true").returncode == 0


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def _reap() -> None:
    """Bury the orphans that have come to us."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
