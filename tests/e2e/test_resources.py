"""Jobs that cannot be started, and limits that are too tight: one line, the right code, and the lock given back."""

from __future__ import annotations

import os
import pathlib
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator

import pytest

from mslock.errors import ExitCode
from tests.e2e.conftest import BOUND_S, EXECUTABLE, Mslock, has_begun, until


def test_arguments_that_grew_too_long_on_the_way_are_told(mslock: Mslock) -> None:
    """mslock itself still fits, but not its job, which is told of its run on top."""

    def narrow() -> None:
        resource.setrlimit(resource.RLIMIT_STACK, (512 * 1024, 512 * 1024))

    for size in range(131_000, 60_000, -48):
        try:
            ended = mslock.run("-c", ": " + "x" * size, preexec_fn=narrow)
        except OSError:
            continue  # too long for mslock too
        break
    assert ended.returncode == ExitCode.NOT_EXECUTABLE, ended
    assert b"/bin/sh: Argument list too long\n" in ended.stderr
    assert [row["pid"] for row in mslock.select("SELECT pid FROM mslock_locks")] == [None]


def test_a_job_that_is_being_written_is_told(mslock: Mslock) -> None:
    job = mslock.folder / "job"
    shutil.copy("/bin/true", job)
    with job.open("ab"):
        bare = subprocess.run(["/bin/sh", "-c", f"exec {job}"], capture_output=True)
        ended = mslock.run("--name", "x", str(job))
    if bare.returncode == 0:
        pytest.skip("this kernel executes what is being written")
    assert ended.returncode == ExitCode.NOT_EXECUTABLE
    assert b"Text file busy" in ended.stderr
    assert mslock.row("x")["pid"] is None


def test_a_working_directory_that_has_vanished_is_the_jobs_own_affair(mslock: Mslock) -> None:
    folder = mslock.folder / "gone"
    line = f'mkdir "{folder}"; cd "{folder}"; rmdir "{folder}"; exec {EXECUTABLE} --name x -- sh -c "exit 3"'
    ended = subprocess.run(
        ["/bin/sh", "-c", line], env=mslock.environ, capture_output=True, start_new_session=True, timeout=BOUND_S
    )
    assert ended.returncode == 3, ended


def test_the_splay_is_a_wait_that_a_signal_ends(mslock: Mslock) -> None:
    process = mslock.start("--name", "x", "--splay", "365d", "touch", "ran")
    until(lambda: has_begun(process.pid), "it has begun")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=BOUND_S)
    assert process.returncode in (128 + signal.SIGTERM, -signal.SIGTERM)
    assert not mslock.file.exists(), "the database was not asked yet"


@pytest.fixture
def crowded(mslock: Mslock) -> Iterator[pathlib.Path]:
    """A control group in which few processes have room."""
    roots = [pathlib.Path("/sys/fs/cgroup/pids"), pathlib.Path("/sys/fs/cgroup")]
    group = next((root for root in roots if (root / "cgroup.procs").exists()), roots[0]) / f"mslock-{os.getpid()}"
    try:
        group.mkdir()
        (group / "pids.max").write_text("max")
    except OSError as error:
        if group.exists():
            group.rmdir()
        pytest.skip(f"no control group that counts processes can be made here: {error}")
    yield group
    until(lambda: (group / "cgroup.procs").read_text() == "", "the group is empty")
    group.rmdir()


def test_no_room_for_another_process_is_one_line_and_no_lock_is_left(mslock: Mslock, crowded: pathlib.Path) -> None:
    mslock.run("--name", "x", "--cooldown", "0", "true")
    for room in range(1, 6):
        (crowded / "pids.max").write_text(str(room))
        line = f"echo $$ > {crowded}/cgroup.procs; exec {EXECUTABLE} --name x --cooldown 0 -- true"
        ended = subprocess.run(
            ["/bin/sh", "-c", line], env=mslock.environ, capture_output=True, start_new_session=True, timeout=BOUND_S
        )
        assert ended.returncode in (0, ExitCode.UNAVAILABLE, ExitCode.NOT_EXECUTABLE), (room, ended)
        assert ended.stderr.count(b"\n") == (0 if ended.returncode == 0 else 1), (room, ended)
        assert b"Traceback" not in ended.stderr
        assert mslock.row("x")["pid"] is None
    assert ended.returncode == 0
