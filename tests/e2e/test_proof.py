"""Proof of death, on the real thing: a false "dead" would let two jobs run, a false "alive" would keep a lock."""

from __future__ import annotations

import os
import subprocess
import textwrap

import pytest

from mslock.errors import ExitCode
from tests.e2e.conftest import BOUND_S, EXECUTABLE, Mslock, alive, until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for namespaces and other users")
#: Somebody else, who may read what this Python is made of, wherever it lies, but look at nobody's process.
_SOMEBODY = (
    *("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"),
    *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
)


def _outside(mslock: Mslock, *options: str) -> int:
    """What an invocation on this kernel says of the lock."""
    return mslock.run("--name", "x", "--cooldown", "0", *options, "touch", "ran").returncode


def _inside(mslock: Mslock, script: str, *namespaces: str) -> subprocess.CompletedProcess[bytes]:
    """A Python script, in namespaces of its own; `mslock` in it runs the executable."""
    prelude = textwrap.dedent(
        f"""
        import os, pathlib, signal, sqlite3, subprocess, time
        def mslock(*words):
            return subprocess.run([{EXECUTABLE!r}, *words], start_new_session=True).returncode
        def start(*words):
            return subprocess.Popen([{EXECUTABLE!r}, *words], start_new_session=True)
        def until(condition):
            ends = time.monotonic() + {BOUND_S}
            while not condition():
                assert time.monotonic() < ends
                time.sleep(0.005)
        def row():
            connection = sqlite3.connect({str(mslock.file)!r})
            connection.row_factory = sqlite3.Row
            found = connection.execute("SELECT * FROM mslock_locks WHERE pid IS NOT NULL").fetchone()
            connection.close()
            return found
        def guard(supervisor):
            for child in pathlib.Path(f"/proc/{{supervisor}}/task/{{supervisor}}/children").read_text().split():
                if pathlib.Path(f"/proc/{{child}}/comm").read_text() == "mslock-guard\\n":
                    return int(child)
        """
    )
    path = mslock.folder / "inside.py"
    path.write_text(prelude + textwrap.dedent(script))
    command = ["unshare", *namespaces, "python3", str(path)]
    return subprocess.run(command, env=mslock.environ, cwd=mslock.folder, capture_output=True, timeout=BOUND_S)


def test_a_supervisor_that_nobody_has_reaped_is_dead(mslock: Mslock) -> None:
    supervisor = mslock.start("--name", "x", "sleep", "1000")
    row = mslock.held("x")
    mslock.guard(supervisor.pid)
    supervisor.kill()  # and not waited for: it stays a zombie
    until(lambda: not alive(row["job_session"]), "the guard stops the job")
    assert os.path.exists(f"/proc/{supervisor.pid}")
    assert _outside(mslock) == 0


@as_root
def test_a_recycled_number_is_neither_the_holder_nor_sent_a_signal(mslock: Mslock) -> None:
    mslock.run("--name", "x", "--cooldown", "0", "true")
    script = """
        supervisor = start("--name", "x", "--cooldown", "0", "sleep", "1000")
        until(row)
        until(lambda: guard(supervisor.pid))
        held = row()
        os.kill(guard(supervisor.pid), signal.SIGSTOP)
        supervisor.kill()
        supervisor.wait()
        os.kill(held["job_session"], signal.SIGKILL)
        while os.waitpid(-1, 0)[0] != held["job_session"]:  # process 1 of this namespace is this script
            pass

        def stranger(number):
            pathlib.Path("/proc/sys/kernel/ns_last_pid").write_text(str(number - 1))
            process = subprocess.Popen(["sleep", "1000"], start_new_session=True)
            assert process.pid == number, (process.pid, number)
            return process

        strangers = [stranger(held["pid"]), stranger(held["job_session"])]
        assert mslock("--name", "x", "--cooldown", "0", "--on-orphan", "kill", "true") == 0
        assert [process.poll() for process in strangers] == [None, None]
        print("well")
    """
    ended = _inside(mslock, script, "--pid", "--fork", "--mount-proc", "--kill-child")
    assert ended.stdout.endswith(b"well\n"), ended
    assert [run["outcome"] for run in mslock.runs("x")] == ["succeeded", "abandoned", "succeeded"]


@as_root
@pytest.mark.parametrize(
    "namespaces",
    [
        ("--pid", "--fork", "--kill-child", "--mount-proc"),
        ("--pid", "--fork", "--kill-child"),
        ("--time", "--boottime", "1000000", "--fork", "--kill-child"),
    ],
    ids=["a /proc of its own", "the host's /proc", "a time of its own"],
)
def test_a_container_is_neither_believed_dead_nor_orphaned_from_outside(
    mslock: Mslock, namespaces: tuple[str, ...]
) -> None:
    container = subprocess.Popen(
        ["unshare", *namespaces, EXECUTABLE, "--name", "x", "sleep", "1000"],
        env=mslock.environ,
        cwd=mslock.folder,
        start_new_session=True,
    )
    try:
        mslock.held("x")
        assert _outside(mslock) == ExitCode.SKIPPED
        container.kill()
        container.wait()
        assert _outside(mslock) == ExitCode.SKIPPED, "what has become of it is not known out here"
        mslock.change("UPDATE mslock_locks SET lease_until_ms = lease_until_ms - 3600000")
        assert _outside(mslock) == 0
    finally:
        container.kill()
        container.wait()


@as_root
@pytest.mark.parametrize("namespaces", [("--mount-proc",), ()], ids=["a /proc of its own", "the host's /proc"])
def test_a_holder_on_the_host_is_not_believed_dead_from_inside_a_container(
    mslock: Mslock, namespaces: tuple[str, ...]
) -> None:
    mslock.start("--name", "x", "sleep", "1000")
    mslock.held("x")
    command = ["unshare", "--pid", "--fork", *namespaces, EXECUTABLE, "--name", "x", "--cooldown", "0", "touch", "ran"]
    ended = subprocess.run(command, env=mslock.environ, cwd=mslock.folder, start_new_session=True, timeout=BOUND_S)
    assert ended.returncode == ExitCode.SKIPPED
    assert not (mslock.folder / "ran").exists()


@as_root
def test_a_container_with_a_boot_id_of_its_own_proves_no_reboot(mslock: Mslock) -> None:
    mslock.start("--name", "x", "sleep", "1000")
    row = mslock.held("x")
    (mslock.folder / "boot_id").write_text("b0000000-0000-0000-0000-000000000000\n")
    script = """
        subprocess.run(["mount", "--bind", "boot_id", "/proc/sys/kernel/random/boot_id"], check=True)
        print("code", mslock("--name", "x", "--cooldown", "0", "touch", "ran"))
    """
    ended = _inside(mslock, script, "--pid", "--fork", "--mount-proc", "--kill-child")
    assert ended.stdout == b"code 75\n", ended
    assert mslock.row("x")["run_id"] == row["run_id"]


@as_root
def test_where_other_users_are_hidden_nothing_is_proven_of_them(mslock: Mslock) -> None:
    """hidepid=2, and a holder that belongs to somebody else."""
    supervisor = mslock.start("--name", "x", "sleep", "1000")
    row = mslock.held("x")
    mslock.guard(supervisor.pid)
    for path in (mslock.folder, *mslock.folder.parents[:3]):
        path.chmod(0o777)
    mslock.file.chmod(0o666)
    line = f"mount -t proc -o hidepid=2 proc /proc; exec {' '.join(_SOMEBODY)} {EXECUTABLE} --name x --cooldown 0 true"

    def look() -> int:
        command = ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-ec", line]
        return subprocess.run(command, env=mslock.environ, start_new_session=True, timeout=BOUND_S).returncode

    assert look() == ExitCode.SKIPPED
    supervisor.kill()
    supervisor.wait()
    until(lambda: not alive(row["job_session"]))
    assert look() == ExitCode.SKIPPED, "its session may live, unseen"
    assert _outside(mslock) == 0, "root sees all"


def test_a_session_of_zombies_is_no_orphan(mslock: Mslock, subreaper: None) -> None:
    supervisor = mslock.start("--name", "x", "sleep", "1000")
    row = mslock.held("x")
    mslock.guard(supervisor.pid)
    supervisor.kill()
    supervisor.wait()
    until(lambda: not alive(row["job_session"]))
    assert os.path.exists(f"/proc/{row['job_session']}"), "a zombie, which is this test's to reap"
    assert _outside(mslock) == 0
    os.waitpid(row["job_session"], 0)


def test_another_users_holder_that_may_not_be_signalled_is_alive(mslock: Mslock) -> None:
    if os.geteuid():
        pytest.skip("needs root, to become somebody else")
    mslock.start("--name", "x", "sleep", "1000")
    mslock.held("x")
    for path in (mslock.folder, *mslock.folder.parents[:3]):
        path.chmod(0o777)
    mslock.file.chmod(0o666)
    command = [*_SOMEBODY, EXECUTABLE, "--name", "x", "--cooldown", "0", "--on-orphan", "kill", "true"]
    ended = subprocess.run(command, env=mslock.environ, start_new_session=True, capture_output=True)
    assert ended.returncode == ExitCode.SKIPPED, ended
    assert alive(mslock.row("x")["pid"])
