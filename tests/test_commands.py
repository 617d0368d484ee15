"""The side door as a whole: help, errors, signals, pipes, and run lines that only click can read."""

from __future__ import annotations

import os
import pathlib
import signal
import sqlite3
import subprocess
from collections.abc import Iterator

import pytest

from mslock import __version__
from mslock.commands import cli
from mslock.commands.help_page import exit_codes
from mslock.errors import ExitCode
from mslock.options import OPTIONS
from tests.e2e.conftest import BOUND_S, EXECUTABLE, until
from tests.machine import Machine
from tests.samples import free_row

COMMANDS = sorted(cli.commands)


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.stop()


def test_the_help_tells_of_every_option_command_and_exit_code(machine: Machine) -> None:
    code, page, err = machine.tell("--help")
    assert (code, err) == (0, "")
    for option in OPTIONS:
        assert all(flag in page for flag in option.flags)
        assert option.variable in page
    assert all(f"  {command} " in page for command in COMMANDS)
    numbers = {value for name, value in vars(ExitCode).items() if name.isupper()} - {ExitCode.SIGNALLED}
    assert {int(number) for number, _ in exit_codes() if number != "128+N"} == numbers
    assert all(f"\n  {number} " in page for number, _ in exit_codes())


@pytest.mark.parametrize("arguments", [(), *((command,) for command in COMMANDS)], ids=str)
def test_a_page_of_help_fits_80_columns(machine: Machine, arguments: tuple[str, ...]) -> None:
    code, page, err = machine.tell(*arguments, "--help", environ={"COLUMNS": "200"})
    assert (code, err) == (0, "")
    assert max(map(len, page.splitlines())) <= 80
    assert "..." not in page.split("Commands:")[-1].split("Exit codes")[0] or arguments


@pytest.mark.parametrize(
    "line", [["--help"], ["-v", "--help"], ["--name", "x", "--help"], ["-c", "x", "--help"]], ids=str
)
def test_help_is_the_same_for_both_parsers(machine: Machine, line: list[str]) -> None:
    assert machine.tell(*line) == machine.tell("--help")


def test_the_version_is_told(machine: Machine) -> None:
    assert machine.tell("--version") == (0, f"mslock {__version__}\n", "")
    assert machine.tell("--name", "x", "--version") == (0, f"mslock {__version__}\n", "")


def test_the_help_of_a_job_is_the_job_s(machine: Machine) -> None:
    code, out, _ = machine.tell("-vcecho job $0", "--name", "x")
    assert (code, out) == (0, "job /bin/sh\n")
    code, out, _ = machine.tell("--name", "y", "--", "printf", "%s\\n", "--help")
    assert (code, out) == (0, "--help\n")


@pytest.mark.parametrize(
    ("line", "offender"),
    [
        ([], "--help"),
        (["./x"], "needs --name or -c before the job './x'"),
        (["--", "./x"], "needs --name or -c before the job './x'"),
        (["--", "status"], "needs --name or -c before the job 'status'"),
        (["-v", "./x"], "needs --name or -c before the job './x'"),
        (["staus"], "did you mean 'status'"),
        (["--db"], "--db"),
        (["--name"], "--name"),
        (["--name", "x"], "COMMAND"),
        (["--nmae", "x", "true"], "--nmae"),
        (["--name", "x", "--coldown", "5", "true"], "--cooldown"),
        (["--name", "x", "--verbose=1", "true"], "--verbose"),
        (["--name", "x", "--cooldown", "-5", "true"], "'-5'"),
        (["--name", "x", "-n", "true"], "-n"),
        (["--name", "a b", "true"], "'a b'"),
        (["-c", "true", "more"], "'more'"),
        (["--cooldown", "5", "status"], "--cooldown"),
        (["-v", "status"], "--verbose"),
        (["status", "--foo"], "--foo"),
        (["history", "--limit", "0"], "--limit"),
        (["history", "--limit", "ten"], "--limit"),
        (["history", "one", "two"], "two"),
        (["forget"], "NAME"),
        (["init-db", "extra"], "extra"),
        (["--name", "x\ny", "\x1b[31m"], "x\\ny"),
    ],
    ids=str,
)
def test_a_line_that_cannot_be_read_is_one_line_that_names_the_offender(
    machine: Machine, line: list[str], offender: str
) -> None:
    code, out, err = machine.tell(*line)
    assert (code, out) == (64, "")
    assert err.startswith("mslock: ")
    assert err.count("\n") == 1
    assert err.strip("\n").isprintable()
    assert offender in err
    assert not machine.file.exists()


@pytest.mark.parametrize(
    "line",
    [
        ["-vcexit 7", "--name", "x"],
        ["-qc", "exit 7", "--name=x"],
        ["--name", "x", "-E75", "sh", "-c", "exit 7"],
        ["-cexit 7"],
    ],
    ids=str,
)
def test_a_run_line_that_only_click_can_read_is_run_all_the_same(machine: Machine, line: list[str]) -> None:
    assert machine.run(*line).returncode == 7
    assert [run["exit_code"] for run in machine.select("SELECT exit_code FROM mslock_runs")] == [7]


def test_a_job_of_the_side_door_is_watched_with_all_signals_as_that_of_the_front_door(machine: Machine) -> None:
    supervisor = machine.start("-vc", "exec sleep 1000", "--name", "x")
    machine.held("x")
    supervisor.send_signal(signal.SIGTERM)
    supervisor.communicate()
    assert supervisor.returncode == 128 + signal.SIGTERM
    assert machine.row("x")["pid"] is None
    assert [run["outcome"] for run in machine.runs("x")] == ["killed"]


def test_the_database_may_stand_before_a_command_or_behind_it(machine: Machine) -> None:
    machine.put(free_row(name="there"))
    empty = {"MSLOCK_DB": f"sqlite:///{machine.folder}/none.db"}
    for line in (["--db", machine.url, "status"], ["status", "--db", machine.url], ["status", f"--db={machine.url}"]):
        code, out, _ = machine.tell(*line, environ=empty)
        assert (code, "there" in out) == (0, True)
    code, _, err = machine.tell("--db", machine.url, "status", "--db", empty["MSLOCK_DB"])
    assert (code, "none.db" in err) == (78, True)


@pytest.mark.parametrize("line", [["status"], ["status", "--json"], ["history"], ["forget", "x"]], ids=str)
def test_a_file_that_does_not_exist_is_not_made_by_looking(machine: Machine, line: list[str]) -> None:
    code, out, err = machine.tell(*line)
    assert (code, out) == (78, "")
    assert err == f"mslock: {machine.url} does not exist; run a job first, or: mslock init-db\n"
    assert not machine.file.exists()


@pytest.mark.parametrize("line", [["status"], ["history"], ["forget", "x"]], ids=str)
def test_a_file_of_somebody_else_is_refused_and_left_alone(machine: Machine, line: list[str]) -> None:
    machine.file.write_bytes(b"no database " * 1000)
    code, out, err = machine.tell(*line)
    assert (code, out, err.count("\n")) == (78, "", 1)
    machine.file.unlink()
    connection = sqlite3.connect(machine.file)
    connection.execute("CREATE TABLE strangers (name TEXT)")
    connection.close()
    code, out, err = machine.tell(*line)
    assert (code, out, err.count("\n")) == (78, "", 1)
    assert "init-db" in err
    assert [row["name"] for row in machine.select("SELECT name FROM sqlite_master")] == ["strangers"]


def test_a_pipe_that_nobody_reads_ends_a_command_in_silence(machine: Machine) -> None:
    machine.put_many(free_row(name=f"lock-{number:05}") for number in range(3000))
    for line in (["status"], ["status", "--json"], ["--help"]):
        reader, writer = os.pipe()
        os.close(reader)
        process = machine.start(*line, stdout=writer)
        os.close(writer)
        _, err = process.communicate()
        assert (process.returncode, err) == (-signal.SIGPIPE, b"")


def test_a_full_disk_is_told(machine: Machine) -> None:
    machine.put(free_row())
    for line in (["status"], ["--help"], ["init-db", "--sql"]):
        with open("/dev/full", "wb") as full:
            process = machine.start(*line, stdout=full)
            _, err = process.communicate()
        assert process.returncode == ExitCode.INTERNAL
        assert err == b"mslock: standard output: No space left on device\n"


def test_closed_standard_output_is_no_error(machine: Machine) -> None:
    machine.put(free_row())
    for line in ("status", "--help", "forget report"):
        done = subprocess.run(["/bin/sh", "-c", f"{EXECUTABLE} {line} >&-"], env=machine.environ, capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")


def test_what_an_ascii_terminal_cannot_show_is_escaped(machine: Machine) -> None:
    machine.put(free_row(last_host="höst"))
    environ = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    code, out, err = machine.tell("status", environ=environ)
    assert (code, err) == (0, "")
    assert "on h\\xf6st" in out


def test_ctrl_c_ends_a_command_that_waits_for_the_database_and_shows_no_traceback(machine: Machine) -> None:
    machine.put(free_row())
    connection = sqlite3.connect(machine.file, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        process = machine.start("forget", "report", environ={"MSLOCK_DB_TIMEOUT": "1d"})
        opened = pathlib.Path(f"/proc/{process.pid}/fd")
        until(lambda: any(os.path.realpath(link) == str(machine.file) for link in opened.iterdir()), "it waits")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=BOUND_S)
    finally:
        connection.close()
    assert (process.returncode, out, err) == (-signal.SIGINT, b"", b"")


def test_whoever_ignores_ctrl_c_is_not_stopped_by_it(machine: Machine) -> None:
    machine.put(free_row())
    done = subprocess.run(
        ["/bin/sh", "-c", f"trap '' INT; {EXECUTABLE} status & kill -INT $!; wait $!"],
        env=machine.environ,
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"report" in done.stdout


def test_looking_at_help_imports_no_database(machine: Machine) -> None:
    listed = "import sys; from mslock import commands; print(*sys.modules)"
    done = subprocess.run(
        [str(pathlib.Path(EXECUTABLE).with_name("python")), "-c", listed], capture_output=True, text=True
    )
    assert not {"sqlalchemy", "alembic", "rich", "psutil"} & set(done.stdout.split())
