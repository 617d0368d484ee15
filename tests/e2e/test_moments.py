"""Signals at every moment of a run: none of them leaves a lock behind."""

from __future__ import annotations

import functools
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator

import pytest

from mslock.errors import ExitCode
from tests.e2e.conftest import BOUND_S, EXECUTABLE, Mslock, alive, has_begun, until


@pytest.fixture
def blocker(mslock: Mslock) -> Iterator[sqlite3.Connection]:
    """Another program that can hold the database against writers, with BEGIN IMMEDIATE; reads go on."""
    mslock.run("--name", "x", "--cooldown", "0", "true")
    connection = sqlite3.connect(mslock.file, isolation_level=None)
    yield connection
    connection.close()


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_at_any_moment_ends_the_run_and_leaves_no_lock(mslock: Mslock, signo: int) -> None:
    chance = random.Random(signo)
    mslock.run("--name", "x", "--cooldown", "0", "true")
    for _ in range(50):
        process = mslock.start("--name", "x", "--cooldown", "0", "sleep", "1000")
        # The interpreter's own first milliseconds are not ours yet.
        until(functools.partial(has_begun, process.pid), "mslock has begun")
        time.sleep(chance.uniform(0, 0.06))  # the moment, not a wait for anything
        process.send_signal(signo)
        _, err = process.communicate(timeout=BOUND_S)
        # While it reads its settings, it dies of the signal itself, which a shell tells as the same number.
        assert process.returncode in (128 + signo, -signo), err
        assert b"Traceback" not in err
        assert mslock.row("x")["pid"] is None


def test_a_signal_while_the_claim_hangs_ends_mslock_and_the_job_never_starts(
    mslock: Mslock, blocker: sqlite3.Connection
) -> None:
    blocker.execute("BEGIN IMMEDIATE")
    process = mslock.start("--name", "x", "--cooldown", "0", "--db-timeout", "1h", "touch", "ran")
    until(lambda: _children(process.pid), "the claim is under way")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=BOUND_S)
    assert process.returncode == 128 + signal.SIGTERM
    blocker.execute("ROLLBACK")
    assert not (mslock.folder / "ran").exists()
    assert mslock.row("x")["pid"] is None


def test_a_signal_while_the_release_hangs_ends_mslock_with_the_jobs_code(
    mslock: Mslock, blocker: sqlite3.Connection
) -> None:
    process = mslock.start(
        *("--name", "x", "--cooldown", "0", "--db-timeout", "1h", "-c", "until [ -e end ]; do sleep 0.01; done; exit 5")
    )
    job = mslock.held("x")["job_session"]
    blocker.execute("BEGIN IMMEDIATE")
    (mslock.folder / "end").touch()
    until(lambda: not alive(job), "the job has ended")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=BOUND_S)
    assert process.returncode == 5
    assert b"not released" in err
    blocker.execute("ROLLBACK")
    assert mslock.run("--name", "x", "--cooldown", "0", "true").returncode == 0, "its holder is proven dead"


def test_a_release_is_tried_until_the_database_is_back(mslock: Mslock, blocker: sqlite3.Connection) -> None:
    process = mslock.start(
        *("--name", "x", "--cooldown", "0", "--db-timeout", "1s", "-c", "until [ -e end ]; do sleep 0.01; done; exit 5")
    )
    assert process.stderr is not None
    mslock.held("x")
    blocker.execute("BEGIN IMMEDIATE")
    (mslock.folder / "end").touch()
    assert b"not released yet" in process.stderr.readline()
    blocker.execute("ROLLBACK")
    process.communicate(timeout=BOUND_S)
    assert process.returncode == 5
    assert (mslock.row("x")["pid"], mslock.row("x")["last_exit_code"]) == (None, 5)


def test_a_database_that_is_away_past_the_lease_stops_the_job_before_another_may_start(
    mslock: Mslock, blocker: sqlite3.Connection
) -> None:
    process = mslock.start(
        *("--name", "x", "--cooldown", "0", "--db-timeout", "1s", "--kill-after", "0", "--lease", "5s"),
        *("-c", "while :; do date +%s%3N > last; sleep 0.01; done"),
    )
    lease_until_ms = mslock.held("x")["lease_until_ms"]
    blocker.execute("BEGIN IMMEDIATE")
    _, err = process.communicate(timeout=BOUND_S)
    blocker.execute("ROLLBACK")
    assert process.returncode == ExitCode.LOST, err
    assert int((mslock.folder / "last").read_text() or 0) < lease_until_ms


def test_a_job_that_may_continue_outlives_its_lease_and_is_released_as_its_own(
    mslock: Mslock, blocker: sqlite3.Connection
) -> None:
    process = mslock.start(
        *("--name", "x", "--cooldown", "0", "--db-timeout", "1s", "--kill-after", "0", "--lease", "5s"),
        *("--on-lost", "continue", "-c", "until [ -e end ]; do sleep 0.01; done; exit 4"),
    )
    row = mslock.held("x")
    blocker.execute("BEGIN IMMEDIATE")
    until(lambda: time.time() * 1000 > row["lease_until_ms"] + 500)
    assert alive(row["job_session"])
    blocker.execute("ROLLBACK")
    (mslock.folder / "end").touch()
    process.communicate(timeout=BOUND_S)
    assert process.returncode == 4
    assert (mslock.row("x")["pid"], mslock.row("x")["run_id"]) == (None, row["run_id"])


def test_a_lock_that_is_forgotten_by_force_is_lost_at_the_next_renewal(mslock: Mslock) -> None:
    process = mslock.start("--name", "x", "--kill-after", "0", "--lease", "5s", "sleep", "1000")
    mslock.held("x")
    assert mslock.run("forget", "x").returncode == ExitCode.REFUSED
    assert mslock.run("forget", "--force", "x").returncode == 0
    process.communicate(timeout=BOUND_S)
    assert process.returncode == ExitCode.LOST
    assert mslock.runs("x")[0]["outcome"] == "lost"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a pid namespace")
def test_as_process_1_of_a_container_it_buries_the_dead_and_hears_term(mslock: Mslock) -> None:
    line = (
        "sh -c 'sleep 0.1 & echo $! > pid'; while [ -d /proc/$(cat pid) ]; do sleep 0.01; done;"
        " echo buried; trap 'exit 3' TERM; while :; do sleep 0.01; done"
    )
    process = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", EXECUTABLE, "--name", "x", "-c", line],
        env=mslock.environ,
        cwd=mslock.folder,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"buried\n"
    (supervisor,) = _children(process.pid)
    os.kill(supervisor, signal.SIGTERM)
    process.communicate(timeout=BOUND_S)
    assert process.returncode == 3
    assert mslock.row("x")["pid"] is None


@pytest.mark.parametrize("options", [(), ("-q",)])
def test_runs_skips_and_ends_are_silent(mslock: Mslock, options: tuple[str, ...]) -> None:
    mslock.run("--name", "first", "true")
    assert (mslock.run("--name", "x", *options, "true").stderr, mslock.run("--name", "x", "true").stderr) == (b"", b"")


def test_verbose_tells_of_starts_and_skips_and_names_the_database(mslock: Mslock) -> None:
    mslock.run("--name", "first", "true")
    started = mslock.run("--name", "x", "-v", "true").stderr.decode()
    skipped = mslock.run("--name", "x", "-v", "true").stderr.decode()
    assert started.startswith("mslock: x: started: pid ")
    assert skipped.startswith("mslock: x: skipped: cooling down for another ")
    assert mslock.url in started
    assert mslock.url in skipped


def _children(pid: int) -> list[int]:
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_claim_that_comes_too_late_for_its_lease_starts_nothing_and_is_given_back(
    mslock: Mslock, blocker: sqlite3.Connection
) -> None:
    before = mslock.row("x")
    blocker.execute("BEGIN IMMEDIATE")
    process = mslock.start(
        *("--name", "x", "--cooldown", "0", "--db-timeout", "1h", "--kill-after", "0", "--lease", "5s"), "touch", "ran"
    )
    until(lambda: _children(process.pid), "the claim is under way")
    asked = time.monotonic()
    until(lambda: time.monotonic() > asked + 4, "what is left of the lease is less than the margin")
    blocker.execute("ROLLBACK")
    _, err = process.communicate(timeout=BOUND_S)
    assert (process.returncode, err.count(b"\n")) == (ExitCode.UNAVAILABLE, 1)
    assert not (mslock.folder / "ran").exists()
    after = mslock.row("x")
    assert after["fence"] > before["fence"]
    assert after == before | {"fence": after["fence"], "version": after["version"]}
