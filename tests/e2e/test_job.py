"""What the job finds: the caller's own environment, descriptors, mask and dispositions, and nothing of ours."""

from __future__ import annotations

import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.e2e.conftest import BOUND_S, EXECUTABLE, Mslock

#: Tells all that a process is born with.
_REPORT = """
import json, os, resource, sys
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
json.dump({
    "argv": sys.argv[1:], "cwd": os.getcwd(), "environ": dict(os.environ), "umask": status["Umask"],
    "blocked": status["SigBlk"], "ignored": status["SigIgn"], "caught": status["SigCgt"],
    "limits": resource.getrlimit(resource.RLIMIT_NOFILE), "nice": os.nice(0),
    "descriptors": sorted(int(fd) for fd in os.listdir("/proc/self/fd")),
}, open(sys.argv[1], "w"))
"""


def _tell(mslock: Mslock, report: str, *, through: bool, **options: Any) -> dict[str, Any]:
    """What a job finds, with mslock in front of it or without."""
    # cat starts no interpreter of ours that would change dispositions before it looks.
    script = mslock.folder / "report.py"
    script.write_text(_REPORT)
    prefix = [EXECUTABLE, "--name", "x", "--cooldown", "0", "--"] if through else []
    command = [*prefix, sys.executable, "-I", str(script), report]
    ended = subprocess.run(command, cwd=mslock.folder, env=mslock.environ, start_new_session=True, **options)
    assert ended.returncode == 0
    told: dict[str, Any] = json.loads((mslock.folder / report).read_text())
    return told


@pytest.mark.parametrize("ignored", [[], [signal.SIGHUP, signal.SIGCHLD]])
def test_a_job_is_born_as_it_would_be_without_mslock(mslock: Mslock, ignored: list[int]) -> None:
    def prepare() -> None:
        os.umask(0o027)
        resource.setrlimit(resource.RLIMIT_NOFILE, (123, 456))
        signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGUSR1, signal.SIGALRM})
        for signo in ignored:
            signal.signal(signo, signal.SIG_IGN)

    first, theirs = os.pipe()
    try:
        options = {"preexec_fn": prepare, "pass_fds": (theirs,)}
        bare = _tell(mslock, "bare", through=False, **options)
        ours = _tell(mslock, "ours", through=True, **options)
    finally:
        os.close(first)
        os.close(theirs)
    told = {key: ours["environ"].pop(key) for key in list(ours["environ"]) if key.startswith("MSLOCK_RUN_")}
    assert sorted(told) == ["MSLOCK_RUN_FENCE", "MSLOCK_RUN_ID", "MSLOCK_RUN_NAME"]
    assert (told["MSLOCK_RUN_NAME"], told["MSLOCK_RUN_ID"]) == ("x", mslock.row("x")["run_id"])
    assert int(told["MSLOCK_RUN_FENCE"]) == mslock.row("x")["fence"]
    assert ours.pop("argv") == ["ours"]
    assert bare.pop("argv") == ["bare"]
    assert ours == bare


def test_pipes_that_break_kill_a_job_as_they_would_without_mslock(mslock: Mslock) -> None:
    ended = mslock.run("--name", "x", "-c", "yes | head -n 1; grep SigIgn /proc/self/status")
    line, ignored = ended.stdout.split(b"SigIgn:")
    assert (line, int(ignored, 16) & 1 << (signal.SIGPIPE - 1)) == (b"y\n", 0)


def test_the_c_locale_of_cron_stays_as_it_is(mslock: Mslock) -> None:
    environ = {"PATH": os.environ["PATH"], "MSLOCK_DB": mslock.url, "HOME": str(mslock.folder)}
    ended = subprocess.run(
        [EXECUTABLE, "--name", "x", "env"], env=environ, capture_output=True, start_new_session=True, timeout=BOUND_S
    )
    assert b"LC_CTYPE" not in ended.stdout
    environ["LC_CTYPE"] = "C.UTF-8"
    ended = subprocess.run(
        [EXECUTABLE, "--name", "y", "env"], env=environ, capture_output=True, start_new_session=True, timeout=BOUND_S
    )
    assert b"LC_CTYPE=C.UTF-8\n" in ended.stdout


def test_stdin_stdout_and_stderr_are_the_callers(mslock: Mslock) -> None:
    mslock.run("--name", "make the file".replace(" ", "-"), "true")
    ended = mslock.run("--name", "x", "-c", "cat; echo to stderr >&2", input=b"\x00\xffbytes")
    assert (ended.stdout, ended.stderr) == (b"\x00\xffbytes", b"to stderr\n")


def test_arguments_reach_the_job_byte_for_byte(mslock: Mslock) -> None:
    words = ["--name", "-c", "--", "", "a b", "$HOME", "\udcff\udcfe", "日本", "\n"]
    ended = mslock.run("--name", "x", "--", "printf", "%s\\0", *words)
    assert ended.stdout.split(b"\0")[:-1] == [os.fsencode(word) for word in words]


def test_closed_standard_descriptors_stay_closed_and_harm_nothing(mslock: Mslock) -> None:
    line = f"{EXECUTABLE} --name x -v -- ls -l /proc/self/fd 0<&- 2>&- > out"
    ended = subprocess.run(
        ["/bin/sh", "-c", line], env=mslock.environ, cwd=mslock.folder, start_new_session=True, timeout=BOUND_S
    )
    assert ended.returncode == 0
    out = (mslock.folder / "out").read_text()
    # ls itself opens the folder, at the lowest number that is free.
    assert [entry.split()[8] for entry in out.splitlines()[1:] if "/fd" not in entry.split()[10]] == ["1"]


def test_what_an_outer_mslock_tells_its_job_is_no_setting_of_an_inner_one(mslock: Mslock) -> None:
    ended = mslock.run("--name", "outer", "--", EXECUTABLE, "--name", "inner", "-c", "echo $MSLOCK_RUN_NAME")
    assert ended.stdout == b"inner\n"


def test_the_row_never_holds_an_argument_and_survives_odd_bytes(mslock: Mslock) -> None:
    job = mslock.folder / "j\udcffb"
    os.symlink("/bin/true", os.fsencode(job))
    assert mslock.run("--name", "x", "--", "./j\udcffb", "--password=hunter2").returncode == 0
    assert "hunter2" not in str(mslock.row("x")) + str(mslock.runs("x"))
    assert mslock.row("x")["command"] == "./j\N{REPLACEMENT CHARACTER}b"


def test_the_history_knows_what_a_run_used(mslock: Mslock) -> None:
    mslock.run("--name", "x", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done")
    (run,) = mslock.runs("x")
    assert run["cpu_ms"] > 0
    assert run["max_rss_kib"] > 0
    assert run["username"] == "tester"
    assert run["host"] == os.uname().nodename


def test_a_relative_command_is_found_from_the_callers_folder(mslock: Mslock) -> None:
    folder = mslock.folder / "sub"
    folder.mkdir()
    (folder / "job.sh").write_text("#!/bin/sh\npwd\n")
    (folder / "job.sh").chmod(0o755)
    ended = mslock.run("--name", "x", "--", "./job.sh", cwd=folder)
    assert pathlib.Path(ended.stdout.decode().strip()) == folder
