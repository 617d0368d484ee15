"""What comes back: the job's own code unchanged, or one of mslock's own."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess

import pytest

from mslock.errors import ExitCode
from tests.e2e.conftest import BOUND_S, EXECUTABLE, Mslock, until

#: A signal that would stop the process instead of ending it, and those that a shell cannot send itself.
_NO_END = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCHLD, signal.SIGCONT}
_ENDING = sorted(set(signal.valid_signals()) - _NO_END - {signal.SIGURG, signal.SIGWINCH})


def test_every_exit_code_of_a_job_comes_back_unchanged(mslock: Mslock) -> None:
    codes = [mslock.run("--name", "x", "--cooldown", "0", "-c", f"exit {code}").returncode for code in range(256)]
    assert codes == list(range(256))
    assert [run["exit_code"] for run in mslock.runs("x")] == list(range(256))


@pytest.mark.parametrize("signo", _ENDING)
def test_a_job_that_dies_of_a_signal_gives_128_and_its_number(mslock: Mslock, signo: int) -> None:
    ended = mslock.run("--name", "x", "-c", f"ulimit -c 0; kill -{int(signo)} $$")
    assert ended.returncode == 128 + signo
    assert mslock.row("x")["last_outcome"] == "killed"
    assert mslock.runs("x")[0]["exit_code"] is None


def test_a_skip_exits_75_or_as_asked_and_runs_nothing(mslock: Mslock) -> None:
    assert mslock.run("--name", "x", "--", "true").returncode == ExitCode.OK
    before = mslock.row("x")
    assert mslock.run("--name", "x", "--", "touch", "ran").returncode == ExitCode.SKIPPED
    assert mslock.run("--name", "x", "-E", "0", "--", "touch", "ran").returncode == 0
    assert mslock.run("--name", "x", "--skip-exit-code=99", "--", "touch", "ran").returncode == 99
    assert not (mslock.folder / "ran").exists()
    assert mslock.row("x") == before


def test_a_job_that_is_not_there_touches_no_row(mslock: Mslock) -> None:
    ended = mslock.run("--name", "x", "--", "no-such-command")
    assert ended.returncode == ExitCode.NOT_FOUND
    assert ended.stderr == b"mslock: x: no-such-command: command not found\n"
    assert not mslock.file.exists()


@pytest.mark.parametrize("make", ["file", "folder"])
def test_a_job_that_is_not_executable_touches_no_row(mslock: Mslock, make: str) -> None:
    path = mslock.folder / "job"
    if make == "file":
        path.write_text("#!/bin/sh\n")
    else:
        path.mkdir()
    ended = mslock.run("--name", "x", "--", "./job")
    assert ended.returncode == ExitCode.NOT_EXECUTABLE
    assert ended.stderr.count(b"\n") == 1
    assert not mslock.file.exists()


@pytest.mark.parametrize(("first_line", "code"), [("#!/no/such/interpreter", 127), ("no interpreter at all", 126)])
def test_a_job_that_cannot_be_executed_after_all_gives_the_lock_back(
    mslock: Mslock, first_line: str, code: int
) -> None:
    job = mslock.folder / "job"
    job.write_text(first_line + "\n")
    job.chmod(0o755)
    assert mslock.run("--name", "x", "--", "true").returncode == 0
    before = mslock.row("x")
    ended = mslock.run("--name", "x", "--cooldown", "0", "--", "./job")
    assert ended.returncode == code
    assert ended.stderr.count(b"\n") == 1
    after = mslock.row("x")
    assert after["fence"] > before["fence"]
    for column in ("pid", "started_ms", "finished_ms", "cooldown_ms", "last_outcome", "last_exit_code"):
        assert after[column] == before[column]
    assert len(mslock.runs("x")) == 1


@pytest.mark.parametrize(
    ("arguments", "offender"),
    [
        (["--name", "a b", "--", "true"], "a b"),
        (["--name", "x", "--cooldown", "soon", "--", "true"], "soon"),
        (["--name", "x", "--bogus", "--", "true"], "--bogus"),
        (["--name", "x", "--on-lost", "panic", "--", "true"], "panic"),
        (["--name", "x", "-E", "256", "--", "true"], "256"),
        (["--name", "x", "--lease", "34s", "--", "true"], "--lease"),
        (["--name", "x"], "COMMAND"),
        (["-c", "true", "more"], "more"),
        (["--", "true"], "--name"),
        (["-v", "-q", "--name", "x", "true"], "-q"),
    ],
)
def test_a_bad_line_is_one_line_that_names_the_offender(mslock: Mslock, arguments: list[str], offender: str) -> None:
    ended = mslock.run(*arguments)
    assert ended.returncode == ExitCode.USAGE
    assert offender in ended.stderr.decode()
    assert ended.stderr.count(b"\n") == 1
    assert not mslock.file.exists()


def test_a_bad_variable_is_named(mslock: Mslock) -> None:
    ended = mslock.run("--name", "x", "true", environ={"MSLOCK_COOLDOWN": "soon"})
    assert (ended.returncode, b"MSLOCK_COOLDOWN" in ended.stderr) == (ExitCode.USAGE, True)


def test_a_bad_configuration_file_is_named_with_its_line(mslock: Mslock) -> None:
    conf = mslock.folder / "conf"
    conf.write_text("# ours\n\nMSLOCK_COOLDOWM=1\n")
    ended = mslock.run("--name", "x", "true", environ={"MSLOCK_CONF": str(conf)})
    assert ended.returncode == ExitCode.CONFIG
    assert f"{conf}:3: MSLOCK_COOLDOWM" in ended.stderr.decode()


@pytest.mark.parametrize(
    "url", ["sqlite:///relative.db", "sqlite://", "oracle://x/y", "nonsense", "sqlite:////tmp/x.db?mode=ro"]
)
def test_a_database_that_mslock_does_not_work_with_is_refused_by_name(mslock: Mslock, url: str) -> None:
    ended = mslock.run("--name", "x", "--db", url, "touch", "ran")
    assert (ended.returncode, ended.stderr.count(b"\n")) == (ExitCode.CONFIG, 1)
    assert url in ended.stderr.decode()
    assert not (mslock.folder / "ran").exists()


def test_a_password_is_never_shown(mslock: Mslock) -> None:
    ended = mslock.run("--name", "x", "--db", "oracle://scott:tiger@db/x", "true")
    assert b"tiger" not in ended.stderr
    assert b"scott:***@db" in ended.stderr


def test_a_database_that_gives_no_answer_runs_nothing(mslock: Mslock) -> None:
    ended = mslock.run("--name", "x", "--db", "sqlite:////no/such/folder/x.db", "touch", "ran")
    assert ended.returncode == ExitCode.UNAVAILABLE
    assert ended.stderr.count(b"\n") == 1
    assert b"/no/such/folder/x.db" in ended.stderr
    assert not (mslock.folder / "ran").exists()


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(mslock: Mslock) -> None:
    mslock.file.write_text("these are my notes, not a database\n" * 100)
    ended = mslock.run("--name", "x", "touch", "ran")
    assert (ended.returncode, ended.stderr.count(b"\n")) == (ExitCode.CONFIG, 1)
    assert mslock.file.read_text().startswith("these are my notes")
    assert not (mslock.folder / "ran").exists()


def test_a_locked_database_is_waited_for_no_longer_than_asked(mslock: Mslock) -> None:
    import sqlite3

    mslock.run("--name", "x", "--cooldown", "0", "true")
    blocker = sqlite3.connect(mslock.file, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    ended = mslock.run("--name", "x", "--cooldown", "0", "--db-timeout", "1s", "touch", "ran")
    blocker.close()
    assert (ended.returncode, ended.stderr.count(b"\n")) == (ExitCode.UNAVAILABLE, 1)
    assert not (mslock.folder / "ran").exists()


def test_on_db_error_run_runs_without_a_lock_and_says_so(mslock: Mslock) -> None:
    ended = mslock.run(
        *("--name", "x", "--db", "sqlite:////no/such/folder/x.db", "--on-db-error", "run"),
        *("-c", "echo ${MSLOCK_RUN_ID-none}; exit 7"),
        environ={"MSLOCK_RUN_ID": "an outer job's"},
    )
    assert (ended.returncode, ended.stdout) == (7, b"none\n")
    assert b"WITHOUT a lock" in ended.stderr


def test_a_timeout_is_124(mslock: Mslock) -> None:
    ended = mslock.run("--name", "x", "--timeout", "1s", "sleep", "1000")
    assert ended.returncode == ExitCode.TIMED_OUT
    assert (mslock.row("x")["last_outcome"], mslock.row("x")["pid"]) == ("timed_out", None)


def test_a_lost_lock_stops_the_job_with_79(mslock: Mslock) -> None:
    process = mslock.start(*("--name", "x", "--kill-after", "0", "--lease", "5s"), "sleep", "1000")
    mslock.held("x")
    mslock.change("UPDATE mslock_locks SET run_id = 'somebody else', version = version + 1")
    _, err = process.communicate(timeout=BOUND_S)
    assert process.returncode == ExitCode.LOST
    assert b"lost" in err
    assert mslock.row("x")["run_id"] == "somebody else"
    assert mslock.runs("x")[0]["outcome"] == "lost"


def test_an_internal_error_is_one_line_and_70(mslock: Mslock, tmp_path: pathlib.Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "_sqlite3.py").write_text("raise RuntimeError('broken on purpose')\n")
    ended = mslock.run("--name", "x", "touch", "ran", environ={"PYTHONPATH": str(tmp_path / "broken")})
    assert (ended.returncode, ended.stderr.count(b"\n")) == (ExitCode.INTERNAL, 1)
    assert b"Traceback" not in ended.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("signo", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_a_signal_before_the_start_ends_mslock_and_the_job_never_starts(mslock: Mslock, signo: int) -> None:
    mslock.run("--name", "x", "true")
    process = mslock.start("--name", "x", "--wait", "1h", "--cooldown", "1h", "touch", "ran")
    until(lambda: "sigtimedwait" in _syscall(process.pid), "it waits")
    os.kill(process.pid, signo)
    process.wait(timeout=BOUND_S)
    assert process.returncode == 128 + signo
    assert (mslock.folder / "ran").exists() is False
    assert mslock.row("x")["pid"] is None


def _syscall(pid: int) -> str:
    # rt_sigtimedwait is 128 on x86-64 and 137 on arm64.
    number = pathlib.Path(f"/proc/{pid}/syscall").read_text().split()[0]
    return "sigtimedwait" if number in ("128", "137") else number


def test_a_configuration_file_that_does_not_answer_is_no_prison(mslock: Mslock) -> None:
    conf = mslock.folder / "conf"
    os.mkfifo(conf)
    process = mslock.start("--name", "x", "touch", "ran", environ={"MSLOCK_CONF": str(conf)})

    def opened() -> int:
        try:
            return os.open(conf, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads yet
            return 0

    writer = until(opened, "it reads")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=BOUND_S) == -signal.SIGTERM
    os.close(writer)
    assert not (mslock.folder / "ran").exists()


def test_a_path_in_the_place_of_a_url_is_named_with_where_it_stands(mslock: Mslock) -> None:
    conf = mslock.folder / "conf"
    conf.write_text("MSLOCK_DB=/var/lib/x.db\n")
    ended = mslock.run("--name", "x", "true", environ={"MSLOCK_CONF": str(conf), "MSLOCK_DB": ""})
    assert ended.returncode == ExitCode.CONFIG
    assert f"{conf}:1: MSLOCK_DB: '/var/lib/x.db'" in ended.stderr.decode()


@pytest.mark.parametrize(
    "damage",
    ["version = 'x'", "fence = 9223372036854775807", "finished_ms = x'00'", "last_host = x'ff'", "lease_ms = 1.5"],
)
def test_a_row_that_mslock_never_wrote_is_told_and_spoils_no_other(mslock: Mslock, damage: str) -> None:
    mslock.run("--name", "x", "true")
    mslock.run("--name", "y", "true")
    mslock.change(f"UPDATE mslock_locks SET {damage} WHERE name = 'x'")
    for arguments in (("--name", "x", "touch", "ran"), ("forget", "--force", "x")):
        ended = mslock.run(*arguments)
        assert (ended.returncode, ended.stderr.count(b"\n")) == (ExitCode.CONFIG, 1), ended
        assert f"damaged: mslock never wrote its {damage.split(maxsplit=1)[0]}" in ended.stderr.decode()
    assert not (mslock.folder / "ran").exists()
    ended = mslock.run("status", "--json", "y")
    assert (ended.returncode, b'"name": "y"' in ended.stdout) == (0, True)


def test_a_run_in_the_history_that_mslock_never_wrote_is_told_and_spoils_no_other(mslock: Mslock) -> None:
    mslock.run("--name", "x", "true")
    mslock.run("--name", "y", "true")
    mslock.change("UPDATE mslock_runs SET started_ms = 'x' WHERE name = 'x'")
    ended = mslock.run("history", "--json")
    assert (ended.returncode, b'"name": "y"' in ended.stdout, b'"name": "x"' in ended.stdout) == (0, True, False)
    assert b"a run of x is damaged: mslock never wrote its started_ms" in ended.stderr


def test_without_a_home_nothing_is_made_in_the_working_directory(mslock: Mslock) -> None:
    if os.geteuid():
        pytest.skip("needs root, to become somebody without a home")
    nobody = "setpriv --reuid=54321 --regid=54321 --clear-groups --inh-caps=+dac_override --ambient-caps=+dac_override"
    del mslock.environ["HOME"], mslock.environ["MSLOCK_DB"]
    ended = subprocess.run(
        [*nobody.split(), EXECUTABLE, "--name", "x", "true"],
        env=mslock.environ,
        cwd=mslock.folder,
        capture_output=True,
        start_new_session=True,
        timeout=BOUND_S,
    )
    assert (ended.returncode, ended.stderr.count(b"\n")) == (ExitCode.CONFIG, 1)
    assert b"MSLOCK_DB" in ended.stderr
    assert list(mslock.folder.iterdir()) == []
