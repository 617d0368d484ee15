"""A machine that is unkind: nobody reads what mslock tells, the disk is full, the file lies on a network."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading

import pytest

from mslock.errors import ExitCode
from tests.e2e.conftest import BOUND_S, EXECUTABLE, Mslock, until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a mount of its own")


def _in_mounts_of_its_own(mslock: Mslock, script: str) -> subprocess.CompletedProcess[bytes]:
    """A shell script in a mount namespace of its own, where it may mount what it likes."""
    return subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-euc", script],
        env=mslock.environ | {"MSLOCK": EXECUTABLE},
        cwd=mslock.folder,
        capture_output=True,
        start_new_session=True,
        timeout=BOUND_S,
    )


def test_a_pipe_that_nobody_reads_costs_the_message_and_nothing_else(mslock: Mslock) -> None:
    mslock.run("--name", "x", "--cooldown", "0", "true")
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    try:
        while True:
            os.write(writable, b"full " * 1000)
    except BlockingIOError:
        os.set_blocking(writable, True)
    process = mslock.start("--name", "x", "-v", "--cooldown", "0", "--timeout", "1s", "sleep", "1000", stderr=writable)
    process.wait(timeout=BOUND_S)
    os.close(readable)
    os.close(writable)
    assert process.returncode == ExitCode.TIMED_OUT
    assert mslock.row("x")["pid"] is None


def test_a_closed_stderr_harms_nothing(mslock: Mslock) -> None:
    line = f"exec {EXECUTABLE} --name x -v -- sh -c 'exit 3' 2>&-"
    ended = subprocess.run(["/bin/sh", "-c", line], env=mslock.environ, start_new_session=True, timeout=BOUND_S)
    assert ended.returncode == 3


@as_root
@pytest.mark.parametrize("read", [True, False])
def test_a_run_is_told_to_syslog_and_a_log_that_nobody_reads_holds_up_nothing(mslock: Mslock, read: bool) -> None:
    got: list[bytes] = []
    path = mslock.folder / "log"
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind(str(path))

    def listen() -> None:
        while b"end" not in got:
            got.append(log.recv(4096))

    thread = threading.Thread(target=listen)
    if read:
        thread.start()
    else:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
            filler.setblocking(False)
            try:
                while True:
                    filler.sendto(b"full", str(path))
            except BlockingIOError:
                pass
    script = (
        "mkdir dev; mount -t tmpfs none dev; touch dev/log dev/null; mount --bind log dev/log;"
        " mount --bind /dev/null dev/null; mount --rbind dev /dev;"
        ' "$MSLOCK" --name x -- sh -c "exit 3" || echo "code $?"; "$MSLOCK" --name x true || echo "code $?"'
    )
    ended = _in_mounts_of_its_own(mslock, script)
    assert ended.stdout == b"code 3\ncode 75\n", ended.stderr
    if read:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", str(path))
        thread.join()
        lines = b"\n".join(got).decode()
        assert "mslock[" in lines
        for part in ("<78>", "x: started: pid ", "x: failed: exit code 3", "x: skipped: cooling down"):
            assert part in lines
    log.close()


@as_root
def test_a_full_disk_is_one_line_and_no_run(mslock: Mslock) -> None:
    script = (
        "mkdir small; mount -t tmpfs -o size=128k none small; MSLOCK_DB=sqlite:///$PWD/small/x.db; export MSLOCK_DB;"
        ' "$MSLOCK" --name x true; dd if=/dev/zero of=small/fill bs=1k 2>/dev/null || :;'
        ' "$MSLOCK" --name another-lock --cooldown 0 touch ran || echo "code $?"; ls ran small || :'
    )
    ended = _in_mounts_of_its_own(mslock, script)
    assert f"code {ExitCode.UNAVAILABLE}" in ended.stdout.decode(), ended
    assert not (mslock.folder / "ran").exists()
    assert ended.stderr.decode().splitlines()[1].startswith("mslock: another-lock: sqlite:///")


@as_root
def test_a_file_that_cannot_be_written_is_one_line_and_no_run(mslock: Mslock) -> None:
    mslock.run("--name", "x", "true")
    script = (
        'mount --bind "$PWD" "$PWD"; mount -o remount,ro,bind "$PWD"; cd "$PWD";'
        ' "$MSLOCK" --name y touch /tmp/ran-$$ || echo "code $?"; ls /tmp/ran-$$ || :'
    )
    ended = _in_mounts_of_its_own(mslock, script)
    assert ended.stdout.decode() == f"code {ExitCode.UNAVAILABLE}\n", ended
    assert ended.stderr.count(b"mslock: y:") == 1


#: Mounts a file system that nobody serves: whoever touches it hangs, whatever a driver's time limit is.
_MOUNT_UNSERVED = """
import ctypes, os, sys
fuse = os.open("/dev/fuse", os.O_RDWR)
os.set_inheritable(fuse, True)
options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()
libc = ctypes.CDLL(None, use_errno=True)
assert libc.mount(b"host:", b"net", sys.argv[1].encode(), 0, options) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[2], sys.argv[2:])
"""


def _on_unserved(mslock: Mslock, kind: str, *arguments: str) -> subprocess.Popen[bytes]:
    """mslock with its database on such a file system."""
    if not os.path.exists("/dev/fuse"):
        pytest.skip("no /dev/fuse here")
    (mslock.folder / "net").mkdir()
    (mslock.folder / "mount.py").write_text(_MOUNT_UNSERVED)
    command = ["unshare", "--mount", "--propagation", "private", "python3", "mount.py", f"fuse.{kind}", EXECUTABLE]
    return subprocess.Popen(
        [*command, "--db", f"sqlite:///{mslock.folder}/net/x.db", *arguments],
        env=mslock.environ,
        cwd=mslock.folder,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


@as_root
def test_a_network_file_system_is_refused_without_touching_it(mslock: Mslock) -> None:
    process = _on_unserved(mslock, "sshfs", "--name", "x", "--db-timeout", "1h", "touch", "ran")
    _, err = process.communicate(timeout=BOUND_S)
    assert process.returncode == ExitCode.CONFIG, err
    assert b"network file system (fuse.sshfs)" in err
    assert err.count(b"\n") == 1
    assert not (mslock.folder / "ran").exists()


@as_root
def test_a_database_that_hangs_is_given_up_within_its_bound(mslock: Mslock) -> None:
    process = _on_unserved(mslock, "unheard-of", "--name", "x", "--db-timeout", "1s", "touch", "ran")
    _, err = process.communicate(timeout=BOUND_S)
    assert process.returncode == ExitCode.UNAVAILABLE, err
    assert b"no answer within 1s" in err
    assert err.count(b"\n") == 1


@as_root
def test_a_database_that_hangs_never_delays_a_signal(mslock: Mslock) -> None:
    process = _on_unserved(mslock, "unheard-of", "--name", "x", "--db-timeout", "1h", "touch", "ran")
    until(lambda: len(os.listdir(f"/proc/{process.pid}/task")) == 2, "it converses")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=BOUND_S)
    assert process.returncode == 128 + signal.SIGTERM
    assert not (mslock.folder / "ran").exists()


@as_root
def test_a_job_in_another_pid_namespace_is_not_taken_for_dead(mslock: Mslock) -> None:
    """The number of its supervisor means nothing out here, or somebody else."""
    namespace = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    process = subprocess.Popen(
        [*namespace, EXECUTABLE, "--name", "x", "sleep", "1000"], env=mslock.environ, start_new_session=True
    )
    try:
        row = mslock.held("x")
        assert row["pid"] < 10
        assert mslock.run("--name", "x", "touch", "ran").returncode == ExitCode.SKIPPED
        assert not (mslock.folder / "ran").exists()
    finally:
        process.kill()
        process.wait()


@as_root
def test_with_a_foreign_proc_the_job_runs_and_is_stopped_and_its_numbers_are_not_used(mslock: Mslock) -> None:
    process = subprocess.Popen(
        ["unshare", "--pid", "--fork", EXECUTABLE, "--name", "x", "--timeout", "1s", "sleep", "1000"],
        env=mslock.environ,
        start_new_session=True,
    )
    row = mslock.held("x")
    assert row["kernel_id"] is None
    assert process.wait(timeout=BOUND_S) == ExitCode.TIMED_OUT
    assert mslock.row("x")["pid"] is None


@as_root
def test_with_a_foreign_proc_a_job_without_a_lock_is_stopped_too_and_no_stranger(mslock: Mslock) -> None:
    ended = subprocess.run(
        [
            *("unshare", "--pid", "--fork", EXECUTABLE, "--name", "x", "--db", "sqlite:////no/such/x.db"),
            *("--on-db-error", "run", "--timeout", "1s", "sleep", "1000"),
        ],
        env=mslock.environ,
        start_new_session=True,
        timeout=BOUND_S,
    )
    assert ended.returncode == ExitCode.TIMED_OUT


@as_root
def test_where_others_are_hidden_a_stop_comes_to_its_end(mslock: Mslock) -> None:
    for path in (mslock.folder, *mslock.folder.parents[:3]):
        path.chmod(0o777)
    somebody = "setpriv --reuid=1000 --regid=1000 --clear-groups --inh-caps=+dac_override --ambient-caps=+dac_override"
    ended = _in_mounts_of_its_own(
        mslock,
        "mount -t proc -o hidepid=2 proc /proc;"
        f' {somebody} "$MSLOCK" --name x --timeout 1s --kill-after 0 sleep 1000 || echo "code $?"',
    )
    assert ended.stdout == b"code 124\n", ended
    assert mslock.row("x")["pid"] is None


@pytest.mark.parametrize("room", range(5, 12))
def test_no_room_for_another_descriptor_is_one_line(mslock: Mslock, room: int) -> None:
    mslock.run("--name", "x", "--cooldown", "0", "true")
    line = f"ulimit -n {room}; exec {EXECUTABLE} --name x --cooldown 0 true"
    ended = subprocess.run(
        ["/bin/sh", "-c", line], env=mslock.environ, capture_output=True, start_new_session=True, timeout=BOUND_S
    )
    assert ended.returncode in (0, ExitCode.UNAVAILABLE, ExitCode.NOT_EXECUTABLE), ended
    assert ended.stderr.count(b"\n") == (0 if ended.returncode == 0 else 1), ended
    assert b"Traceback" not in ended.stderr
    assert mslock.row("x")["pid"] is None
