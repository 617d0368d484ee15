"""The wall clock jumps: no early start, no lost lease, no endless pause. libfaketime moves it for one process."""

from __future__ import annotations

import os
import signal
import subprocess

from mslock.errors import ExitCode
from tests.debian import need
from tests.e2e.conftest import BOUND_S, EXECUTABLE, Mslock, until

_THREE_DAYS_MS = 3 * 86_400_000


def _at(mslock: Mslock, offset: str, *arguments: str) -> subprocess.Popen[bytes]:
    """mslock, to which the clock stands elsewhere. Its own clock, which nobody can set, does not."""
    command = [need("faketime"), "-f", offset, EXECUTABLE, "--name", "x", *arguments]
    environ = mslock.environ | {"FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    return subprocess.Popen(command, env=environ, cwd=mslock.folder, stderr=subprocess.PIPE, start_new_session=True)


def _code_at(mslock: Mslock, offset: str, *arguments: str) -> int:
    process = _at(mslock, offset, *arguments)
    process.communicate(timeout=BOUND_S)
    return process.returncode


def test_a_clock_that_was_ahead_leaves_no_endless_cool_down(mslock: Mslock) -> None:
    assert _code_at(mslock, "+3d", "true") == 0
    first = mslock.row("x")
    assert mslock.run("--name", "x", "true").returncode == 0
    assert mslock.row("x")["fence"] > first["fence"], "it rises also when the clock does not"
    assert mslock.run("--name", "x", "true").returncode == ExitCode.SKIPPED


def test_a_small_step_back_still_cools_down(mslock: Mslock) -> None:
    assert _code_at(mslock, "+5s", "true") == 0
    assert mslock.run("--name", "x", "true").returncode == ExitCode.SKIPPED


def test_a_clock_that_jumps_ahead_frees_no_lock_whose_holder_lives(mslock: Mslock) -> None:
    mslock.start("--name", "x", "sleep", "1000")
    row = mslock.held("x")
    assert _code_at(mslock, "+3d", "--cooldown", "0", "touch", "ran") == ExitCode.SKIPPED
    assert mslock.row("x")["run_id"] == row["run_id"]


def test_a_lease_from_a_clock_that_was_ahead_is_set_back_by_whoever_sees_it(mslock: Mslock) -> None:
    holder = _at(mslock, "+3d", "sleep", "1000")
    row = mslock.held("x")
    assert mslock.run("--name", "x", "true").returncode == ExitCode.SKIPPED
    after = mslock.row("x")
    assert row["lease_until_ms"] - after["lease_until_ms"] > _THREE_DAYS_MS - 600_000
    assert after["run_id"] == row["run_id"]
    os.kill(row["pid"], signal.SIGTERM)
    holder.communicate(timeout=BOUND_S)
    assert mslock.row("x")["pid"] is None, "its holder finds it changed, and its own all the same"


def test_a_holder_to_whom_the_clock_jumps_keeps_its_lock(mslock: Mslock) -> None:
    """The clock of a holder is moved by a file while its job runs; it renews by the database's, which is the same."""
    offset = mslock.folder / "offset"
    offset.write_text("+0\n")
    environ = {"FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    preload = subprocess.run([need("faketime"), "-f", "+0", "env"], capture_output=True, text=True).stdout
    library = next(line for line in preload.splitlines() if line.startswith("LD_PRELOAD=")).partition("=")[2]
    holder = mslock.start(
        *(
            "--name",
            "x",
            "--kill-after",
            "0",
            "--lease",
            "5s",
            "-c",
            "until [ -e end ]; do /bin/sleep 0.05; done; exit 6",
        ),
        environ=environ | {"LD_PRELOAD": library},
    )
    first = mslock.held("x")
    for jump in ("-1h", "+1h"):
        offset.write_text(f"{jump}\n")
        version = mslock.row("x")["version"]
        until(lambda version=version: mslock.row("x")["version"] > version, f"it renews after {jump}")  # type: ignore[misc]
    (mslock.folder / "end").touch()
    holder.communicate(timeout=BOUND_S)
    assert holder.returncode == 6
    assert (mslock.row("x")["run_id"], mslock.row("x")["pid"]) == (first["run_id"], None)
