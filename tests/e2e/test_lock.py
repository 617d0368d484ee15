"""One run at a time: many at once, the pauses between runs, and what is left by the dead."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from mslock.errors import ExitCode
from tests.e2e.conftest import BOUND_S, EXECUTABLE, Mslock, alive, until

#: Writes when it began and ended, with its fence, and would show an overlap.
_LOGGING_JOB = (
    'echo "begin $MSLOCK_RUN_FENCE" >> log; mkdir inside || echo overlap >> log; sleep 0.02; rmdir inside;'
    ' echo "end $MSLOCK_RUN_FENCE" >> log'
)


def test_ten_first_ever_invocations_at_once_are_one_run_and_nine_skips(mslock: Mslock) -> None:
    processes = [mslock.start("--name", "first", "-c", "echo ran >> log; sleep 1") for _ in range(10)]
    outputs = [process.communicate(timeout=BOUND_S) for process in processes]
    codes = sorted(process.returncode for process in processes)
    assert codes == [0] + [ExitCode.SKIPPED] * 9, outputs
    assert (mslock.folder / "log").read_text() == "ran\n"
    assert b"".join(err for _, err in outputs).count(b"\n") == 1, "the run that made the file says so, once"
    assert mslock.file.stat().st_mode & 0o777 == 0o600


def test_sixty_invocations_at_once_are_one_run(mslock: Mslock) -> None:
    processes = [mslock.start("--name", "x", "-c", "echo ran >> log; sleep 1") for _ in range(60)]
    for process in processes:
        process.communicate(timeout=BOUND_S)
    codes = sorted(process.returncode for process in processes)
    assert codes == [0] + [ExitCode.SKIPPED] * 59
    assert (mslock.folder / "log").read_text() == "ran\n"


def test_sixty_that_wait_are_sixty_runs_one_after_the_other_with_rising_fences(mslock: Mslock) -> None:
    processes = [mslock.start("--name", "x", "--cooldown", "0", "--wait", "1h", "-c", _LOGGING_JOB) for _ in range(60)]
    for process in processes:
        process.communicate(timeout=10 * BOUND_S)
    assert [process.returncode for process in processes] == [0] * 60
    log = (mslock.folder / "log").read_text().split("\n")
    fences = [int(line.split()[1]) for line in log if line.startswith("begin")]
    assert log == [line for fence in fences for line in (f"begin {fence}", f"end {fence}")] + [""]
    assert fences == sorted(set(fences))
    assert [run["fence"] for run in mslock.runs("x")] == fences


def test_the_cool_down_counts_from_completion_and_the_arriving_one_decides_its_length(mslock: Mslock) -> None:
    mslock.run("--name", "x", "sleep", "2")
    assert mslock.run("--name", "x", "--cooldown", "2s", "true").returncode == ExitCode.SKIPPED
    waited = mslock.run("--name", "x", "--cooldown", "2s", "--wait", "1m", "true")
    assert waited.returncode == 0
    first, second = mslock.runs("x")
    assert second["started_ms"] - first["finished_ms"] >= 2000
    assert mslock.run("--name", "x", "--cooldown", "0", "true").returncode == 0


def test_the_interval_counts_from_the_start(mslock: Mslock) -> None:
    mslock.run("--name", "x", "--cooldown", "0", "true")
    ended = mslock.run("--name", "x", "--cooldown", "0", "--min-interval", "1h", "-v", "true")
    assert ended.returncode == ExitCode.SKIPPED
    assert b"--min-interval" in ended.stderr


def test_another_name_is_another_lock(mslock: Mslock) -> None:
    mslock.start("--name", "Report", "sleep", "1000")
    mslock.held("Report")
    assert mslock.run("--name", "report", "true").returncode == 0


def test_a_shell_line_locks_under_its_own_name_with_its_shell(mslock: Mslock) -> None:
    ended = mslock.run("-c", "X=1 echo $SHELL | cat", environ={"SHELL": "/usr/local/bin/mslock"})
    assert (ended.returncode, ended.stdout) == (0, b"/bin/sh\n")
    (row,) = mslock.select("SELECT * FROM mslock_locks")
    assert row["name"].startswith("tester:echo-")
    assert row["command"] == "echo"


def test_a_killed_supervisors_job_is_stopped_and_the_next_invocation_runs_at_once(mslock: Mslock) -> None:
    supervisor = mslock.start(
        "--name", "x", "-c", "trap 'echo stopped >> log; exit' TERM; while :; do sleep 0.01; done"
    )
    row = mslock.held("x")
    mslock.guard(supervisor.pid)
    supervisor.kill()
    supervisor.wait()
    until(lambda: not alive(row["job_session"]), "the guard stops the job")
    assert (mslock.folder / "log").read_text() == "stopped\n"
    ended = mslock.run("--name", "x", "true")
    assert ended.returncode == 0
    assert b"lost" in ended.stderr
    lost, run = mslock.runs("x")
    assert (lost["outcome"], lost["fence"], lost["exit_code"]) == ("abandoned", row["fence"], None)
    assert run["fence"] > lost["fence"]


def test_an_orphan_holds_the_lock_and_each_look_at_it_extends_the_lease(mslock: Mslock) -> None:
    session = _orphan(mslock)
    before = mslock.row("x")["lease_until_ms"]
    ended = mslock.run("--name", "x", "touch", "ran")
    assert ended.returncode == ExitCode.SKIPPED
    assert b"supervisor died" in ended.stderr
    assert mslock.row("x")["lease_until_ms"] > before
    os.killpg(session, signal.SIGKILL)
    until(lambda: not alive(session))
    assert mslock.run("--name", "x", "true").returncode == 0
    assert mslock.runs("x")[0]["outcome"] == "abandoned"


def test_an_orphan_can_be_killed_by_the_next_invocation(mslock: Mslock) -> None:
    session = _orphan(mslock)
    ended = mslock.run("--name", "x", "--on-orphan", "kill", "--kill-after", "0", "true")
    assert ended.returncode == 0, ended.stderr
    assert not alive(session)


def test_an_orphan_without_its_first_process_is_killed_only_if_it_carries_the_run(
    mslock: Mslock, subreaper: None
) -> None:
    supervisor = mslock.start("--name", "x", "--on-lost", "continue", "-c", "sleep 1000 & echo $! > pid; wait")
    row = mslock.held("x")
    until(lambda: (mslock.folder / "pid").exists() and (mslock.folder / "pid").read_text())
    supervisor.kill()
    supervisor.wait()
    os.kill(row["job_session"], signal.SIGKILL)
    sleeper = int((mslock.folder / "pid").read_text())
    os.waitpid(row["job_session"], 0)  # or its number would still be its own
    mslock.change("UPDATE mslock_locks SET run_id = 'of somebody else'")
    ended = mslock.run("--name", "x", "--on-orphan", "kill", "--kill-after", "0", "true")
    assert (ended.returncode, alive(sleeper)) == (ExitCode.SKIPPED, True)
    assert b"stranger" in ended.stderr
    mslock.change("UPDATE mslock_locks SET run_id = ?", row["run_id"])
    ended = mslock.run("--name", "x", "--on-orphan", "kill", "--kill-after", "0", "true")
    assert (ended.returncode, alive(sleeper)) == (0, False)


def test_a_holder_on_another_kernel_is_believed_until_its_lease_ends(mslock: Mslock) -> None:
    supervisor = mslock.start("--name", "x", "sleep", "1000")
    mslock.held("x")
    mslock.guard(supervisor.pid)
    supervisor.kill()
    supervisor.wait()
    mslock.change("UPDATE mslock_locks SET kernel_id = 'another-boot:4026531837:4026531834'")
    assert mslock.run("--name", "x", "true").returncode == ExitCode.SKIPPED
    mslock.change("UPDATE mslock_locks SET lease_until_ms = lease_until_ms - 3600000")
    assert mslock.run("--name", "x", "true").returncode == 0


def test_a_holder_of_before_the_reboot_is_known_to_be_dead(mslock: Mslock) -> None:
    supervisor = mslock.start("--name", "x", "sleep", "1000")
    row = mslock.held("x")
    mslock.guard(supervisor.pid)
    supervisor.kill()
    supervisor.wait()
    boot_id, namespace, _ = row["kernel_id"].split(":")
    if namespace != "4026531836":
        pytest.skip("only outside of containers")
    mslock.change("UPDATE mslock_locks SET kernel_id = ?", row["kernel_id"].replace(boot_id, "an-earlier-boot"))
    assert mslock.run("--name", "x", "true").returncode == 0


def test_a_lease_is_renewed_while_the_job_runs(mslock: Mslock) -> None:
    mslock.start("--name", "x", "--kill-after", "0", "--lease", "5s", "sleep", "1000")
    first = mslock.held("x")
    until(lambda: mslock.row("x")["lease_until_ms"] > first["lease_until_ms"] + 3000, "it is renewed twice")
    row = mslock.row("x")
    assert (row["run_id"], row["fence"], row["version"] > first["version"]) == (first["run_id"], first["fence"], True)


def test_the_default_database_is_made_private_at_first_use_and_said_once(mslock: Mslock) -> None:
    del mslock.environ["MSLOCK_DB"]
    mslock.environ["XDG_STATE_HOME"] = str(mslock.folder / "state")
    # Root has it in /var/lib, which is none of a test's business; a user namespace makes a user of root.
    as_user = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []
    command = [*as_user, EXECUTABLE, "--name", "x", "--cooldown", "0", "true"]
    first, second = (subprocess.run(command, env=mslock.environ, capture_output=True) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert b"locking on this machine only" in first.stderr
    assert second.stderr == b""
    file = mslock.folder / "state" / "mslock" / "mslock.db"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_settings_come_from_the_users_file_too(mslock: Mslock) -> None:
    del mslock.environ["MSLOCK_CONF"]
    conf = mslock.folder / ".config" / "mslock"
    conf.mkdir(parents=True)
    (conf / "mslock.conf").write_text("MSLOCK_SKIP_EXIT_CODE = 44\nMSLOCK_COOLDOWN='1h'\n")
    mslock.run("--name", "x", "true")
    assert mslock.run("--name", "x", "true").returncode == 44
    assert mslock.run("--name", "x", "true", environ={"MSLOCK_SKIP_EXIT_CODE": "45"}).returncode == 45
    assert mslock.run("--name", "x", "-E", "46", "true", environ={"MSLOCK_SKIP_EXIT_CODE": "45"}).returncode == 46


def _orphan(mslock: Mslock) -> int:
    """A job whose supervisor and guard were both killed; its session."""
    supervisor = mslock.start("--name", "x", "sleep", "1000")
    row = mslock.held("x")
    guard = mslock.guard(supervisor.pid)
    supervisor.send_signal(signal.SIGSTOP)  # or it would raise another guard
    os.kill(guard, signal.SIGKILL)
    supervisor.kill()
    supervisor.wait()
    session: int = row["job_session"]
    assert alive(session)
    return session
