"""What can be proven of others, shown on real processes."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import mslock
from mslock import identity, policy
from mslock.identity import Process, evidence, job_members, process
from mslock.policy import ALIVE, DEAD, DOUBT, Evidence, Row
from tests.samples import eventually, held_row

ROOT = Path(mslock.__file__).parents[1]
BOOT, OTHER_BOOT = "b0000000-0000-0000-0000-000000000001", "b0000000-0000-0000-0000-000000000002"
INITIAL, CONTAINER = "4026531836", "4026532222"

Start = Callable[..., "subprocess.Popen[bytes]"]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: another user's processes, or namespaces")


@pytest.fixture
def start() -> Iterator[Start]:
    """Processes that wait for the end of their stdin, which comes after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*argv: str, session: bool = False) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=session))
        return started[-1]

    yield start
    for each in started:
        each.communicate()


def kernel() -> str:
    found = identity.kernel_id()
    assert found is not None
    return found


def start_of(pid: int) -> int:
    seen = process(pid)
    assert seen is not None
    return seen.start


def is_zombie(pid: int) -> bool:
    seen = process(pid)
    return seen is not None and seen.state == "Z"


def told(child: subprocess.Popen[bytes]) -> str:
    """One line that a child has printed."""
    assert child.stdout is not None
    return child.stdout.readline().decode().strip()


def judge(
    pid: int | None, pid_start: int | None, session: int | None = None, session_start: int | None = None
) -> tuple[str, str]:
    row = held_row(kernel_id=kernel(), pid=pid, pid_start=pid_start, job_session=session, job_start=session_start)
    seen = evidence(row, kernel(), on_local_file=True)
    return seen.holder, seen.session


def holder_of(pid: int | None, pid_start: int | None) -> str:
    return judge(pid, pid_start)[0]


def in_python(code: str, *prefix: str, **options: int) -> str:
    """What a Python with mslock prints, behind a command such as `unshare`."""
    done = subprocess.run(
        [*prefix, sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stderr
    return str(done.stdout).strip()


# the holder


def test_our_own_process_is_alive() -> None:
    assert holder_of(os.getpid(), start_of(os.getpid())) == ALIVE


def test_we_see_ourselves_by_name_and_by_number() -> None:
    own, same = process("self"), process(os.getpid())
    assert own is not None
    assert same is not None
    assert (own.pid, own.start, own.session, own.group) == (os.getpid(), same.start, os.getsid(0), os.getpgrp())
    assert own.live


def test_a_process_that_is_gone_is_dead(start: Start) -> None:
    child = start("true")
    began = start_of(child.pid)
    child.communicate()
    assert process(child.pid) is None
    assert holder_of(child.pid, began) == DEAD


def test_a_zombie_is_dead(start: Start) -> None:
    child = start("true")
    eventually(lambda: is_zombie(child.pid), "the child's end")
    assert holder_of(child.pid, start_of(child.pid)) == DEAD


def test_a_live_process_whose_main_thread_has_ended_is_alive(start: Start) -> None:
    code = (
        "import ctypes, os, threading;"
        " threading.Thread(target=lambda: (os.read(0, 1), os._exit(0))).start();"
        " ctypes.CDLL(None).pthread_exit(None)"
    )
    child = start(sys.executable, "-c", code)
    eventually(lambda: is_zombie(child.pid), "the main thread's end")
    assert holder_of(child.pid, start_of(child.pid)) == ALIVE
    seen = process(child.pid)
    assert seen is not None
    assert seen.live


@pytest.mark.parametrize("off", [-1, 1, 1000])
def test_a_number_given_to_somebody_else_since_is_dead(off: int) -> None:
    assert holder_of(os.getpid(), start_of(os.getpid()) + off) == DEAD


def test_a_start_time_that_is_not_known_is_doubt(start: Start) -> None:
    child = start("true")
    child.communicate()
    assert holder_of(os.getpid(), None) == DOUBT
    assert holder_of(child.pid, None) == DOUBT


def test_a_process_that_we_may_not_signal_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(pid: int, signo: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    assert holder_of(os.getpid(), start_of(os.getpid())) == ALIVE


@needs_root
def test_a_process_of_another_user_is_alive(start: Start) -> None:
    child = start("cat")
    code = f"""
import os
os.setgid(65534), os.setuid(65534)
try:
    os.kill({child.pid}, 0)
except PermissionError:
    from mslock import identity
    from mslock.policy import Row
    row = Row(*[None] * len(Row.COLUMNS)).but(
        kernel_id=identity.kernel_id(), pid={child.pid}, pid_start={start_of(child.pid)})
    print(identity.evidence(row, identity.kernel_id(), True).holder)
"""
    # What has to be imported is imported as root: the tree may be closed to others.
    assert in_python(f"import mslock.identity, mslock.policy{code}") == ALIVE


@pytest.mark.parametrize("answer", [None, PermissionError()])
def test_a_process_that_proc_hides_is_doubt(answer: OSError | None, monkeypatch: pytest.MonkeyPatch) -> None:
    own = start_of(os.getpid())

    def kill(pid: int, signo: int) -> None:
        if answer is not None:
            raise answer

    monkeypatch.setattr(os, "kill", kill)
    monkeypatch.setattr(identity, "process", lambda _: None)
    assert holder_of(os.getpid(), own) == DOUBT


@pytest.mark.parametrize("number", [None, 0, -1, -os.getpid(), 2**31, 2**63 - 1])
def test_a_number_that_is_nobodys_is_doubt(number: int | None) -> None:
    assert judge(number, start_of(os.getpid()), number, start_of(os.getpid()))[0] == DOUBT


@pytest.mark.parametrize("number", [None, 0, 1, -1, -os.getpid()])
def test_a_session_that_is_nobodys_is_doubt_and_has_no_members(number: int | None, start: Start) -> None:
    child = start("true")
    began = start_of(child.pid)
    child.communicate()
    assert judge(child.pid, began, number, start_of(1)) == (DEAD, DOUBT)
    assert job_members(number, start_of(1)) == []
    assert job_members(number, None) == []


def test_number_1_can_be_a_supervisor_in_a_container_and_is_judged_by_its_start() -> None:
    assert holder_of(1, start_of(1)) == ALIVE
    assert holder_of(1, start_of(1) + 1) == DEAD


# another kernel


def of(theirs: str | None, own: str | None, on_local_file: bool) -> tuple[str, str]:
    row = held_row(kernel_id=theirs, pid=os.getpid(), pid_start=start_of(os.getpid()) + 1, job_session=2**22 + 1)
    seen = evidence(row, own, on_local_file)
    return seen.holder, seen.session


@pytest.mark.parametrize("on_local_file", [False, True])
@pytest.mark.parametrize(
    ("theirs", "own"),
    [
        (None, f"{BOOT}:{INITIAL}:0"),
        (f"{BOOT}:{INITIAL}:0", None),
        (None, None),
        ("", f"{BOOT}:{INITIAL}:0"),
        # another container, or another time, of the same boot
        (f"{BOOT}:{CONTAINER}:0", f"{BOOT}:{INITIAL}:0"),
        (f"{BOOT}:{INITIAL}:1", f"{BOOT}:{INITIAL}:0"),
        # a boot id of a container's own proves nothing
        (f"{OTHER_BOOT}:{CONTAINER}:0", f"{BOOT}:{INITIAL}:0"),
        (f"{OTHER_BOOT}:{INITIAL}:0", f"{BOOT}:{CONTAINER}:0"),
        (f"{OTHER_BOOT}:{CONTAINER}:0", f"{BOOT}:{CONTAINER}:0"),
        (OTHER_BOOT, f"{BOOT}:{INITIAL}:0"),
    ],
)
def test_another_kernels_numbers_prove_nothing(theirs: str | None, own: str | None, on_local_file: bool) -> None:
    assert of(theirs, own, on_local_file) == (DOUBT, DOUBT)


def test_a_reboot_is_proven_by_the_boot_id_on_a_local_file_alone() -> None:
    theirs, own = f"{OTHER_BOOT}:{INITIAL}:0", f"{BOOT}:{INITIAL}:0"
    assert of(theirs, own, on_local_file=True) == (DEAD, DEAD)
    assert of(theirs, own, on_local_file=False) == (DOUBT, DOUBT)


def test_our_kernel_has_a_boot_and_two_namespaces() -> None:
    boot, pid_namespace, time_namespace = kernel().split(":")
    assert boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert os.readlink("/proc/self/ns/pid") == f"pid:[{pid_namespace}]"
    assert int(time_namespace) >= 0
    assert len(kernel()) <= 100  # its column


def test_another_process_of_ours_has_the_same_kernel() -> None:
    assert in_python("from mslock import identity; print(identity.kernel_id())") == kernel()


def test_a_proc_that_is_not_ours_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "readlink", lambda _: str(os.getpid() + 1))
        assert identity.kernel_id() is None

    def gone(path: str) -> str:
        raise FileNotFoundError(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "readlink", gone)
        assert identity.kernel_id() is None


def can_unshare(*flags: str) -> bool:
    try:
        return subprocess.run(["unshare", *flags, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@needs_root
def test_a_container_with_a_proc_of_its_own_is_another_kernel() -> None:
    if not can_unshare("-pf", "--mount-proc"):
        pytest.skip("unshare -pf --mount-proc is not permitted here")
    code = "import os; from mslock import identity; print(os.getpid(), identity.kernel_id())"
    pid, theirs = in_python(code, "unshare", "-pf", "--mount-proc").split()
    assert pid == "1"
    assert theirs != kernel()
    assert theirs.split(":")[0] == kernel().split(":")[0]
    assert evidence(held_row(kernel_id=theirs, pid=1, pid_start=0), kernel(), True) is policy.NO_EVIDENCE


@needs_root
def test_a_container_with_a_foreign_proc_has_no_kernel() -> None:
    if not can_unshare("-pf"):
        pytest.skip("unshare -pf is not permitted here")
    code = "import os; from mslock import identity; print(os.getpid(), identity.kernel_id())"
    assert in_python(code, "unshare", "-pf") == "1 None"


# the session


def gone_holder(start: Start) -> tuple[int, int]:
    child = start("true")
    began = start_of(child.pid)
    child.communicate()
    return child.pid, began


def test_a_live_supervisor_is_evidence_enough(start: Start) -> None:
    job = start("cat", session=True)
    assert judge(os.getpid(), start_of(os.getpid()), job.pid, start_of(job.pid)) == (ALIVE, DOUBT)


def test_a_job_outlives_its_supervisor(start: Start) -> None:
    job = start("cat", session=True)
    assert judge(*gone_holder(start), job.pid, start_of(job.pid)) == (DEAD, ALIVE)


def test_processes_in_groups_of_their_own_belong_to_the_session(start: Start) -> None:
    # `timeout` makes a group for itself, as job control does.
    job = start("sh", "-c", "cd / && timeout 600 cat; :", session=True)
    eventually(lambda: len(job_members(job.pid, start_of(job.pid))) == 3, "sh, timeout and cat")
    members = job_members(job.pid, start_of(job.pid))
    assert {member.session for member in members} == {job.pid}
    assert len({member.group for member in members}) == 2


def test_what_outlives_its_leader_belongs_to_the_session(start: Start) -> None:
    job = start("sh", "-c", "exec 3<&0; cat <&3 & echo $!", session=True)
    began = start_of(job.pid)
    child = int(told(job))
    eventually(lambda: is_zombie(job.pid), "the leader's end")
    assert [member.pid for member in job_members(job.pid, began)] == [child]
    assert judge(*gone_holder(start), job.pid, began) == (DEAD, ALIVE)
    job.wait()
    assert process(job.pid) is None
    assert [member.pid for member in job_members(job.pid, began)] == [child]
    assert judge(*gone_holder(start), job.pid, began) == (DEAD, ALIVE)


def test_a_session_of_zombies_is_empty(start: Start) -> None:
    job = start("true", session=True)
    began = start_of(job.pid)
    eventually(lambda: is_zombie(job.pid), "the job's end")
    assert job_members(job.pid, began) == []
    assert judge(*gone_holder(start), job.pid, began) == (DEAD, DEAD)


def test_a_session_that_is_gone_is_empty(start: Start) -> None:
    assert judge(*gone_holder(start), *gone_holder(start)) == (DEAD, DEAD)


def test_a_job_without_a_session_of_its_own_is_its_process_alone(start: Start) -> None:
    job = start("cat")
    began = start_of(job.pid)
    assert os.getsid(job.pid) == os.getsid(0)
    assert [member.pid for member in job_members(job.pid, began)] == [job.pid]
    assert judge(*gone_holder(start), job.pid, began) == (DEAD, ALIVE)
    job.communicate()
    assert judge(*gone_holder(start), job.pid, began) == (DEAD, DEAD)


def test_a_leader_with_another_start_is_a_stranger(start: Start) -> None:
    stranger = start("cat", session=True)
    began = start_of(stranger.pid) - 1
    assert job_members(stranger.pid, began) == []
    assert judge(*gone_holder(start), stranger.pid, began) == (DEAD, DEAD)


def test_a_session_whose_start_is_not_known_is_doubt(start: Start) -> None:
    job = start("cat", session=True)
    assert judge(*gone_holder(start), job.pid, None) == (DEAD, DOUBT)
    assert [member.pid for member in job_members(job.pid, None)] == [job.pid]


def test_where_process_1_is_hidden_no_session_is_proven_empty(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    holder, job = gone_holder(start), gone_holder(start)
    monkeypatch.setattr(identity, "process", lambda pid: None if pid == 1 else process(pid))
    assert judge(*holder, *job) == (DEAD, DOUBT)


# what /proc says


@pytest.mark.parametrize("name", ["a) R 1 2", "((()", ") Z 0 (", "a\nb) Z", " ", "mslock"])
def test_a_name_cannot_forge_what_proc_says(start: Start, name: str) -> None:
    line = f"printf %s {shlex.quote(name)} > /proc/$$/comm; echo ready; read x"
    child = start("sh", "-c", line, session=True)
    assert told(child) == "ready"
    assert Path(f"/proc/{child.pid}/comm").read_text() == name + "\n"
    seen = process(child.pid)
    assert seen is not None
    assert (seen.pid, seen.session, seen.group, seen.live) == (child.pid, child.pid, child.pid, True)
    assert seen.start >= start_of(os.getpid())
    assert holder_of(child.pid, seen.start) == ALIVE


@pytest.mark.parametrize(
    ("state", "threads", "live"),
    [(state, threads, state not in "ZX" or threads > 1) for state in "RSDTtIZX" for threads in (0, 1, 2)],
)
def test_which_processes_can_still_run(state: str, threads: int, live: bool) -> None:
    fields = [b"0"] * 20
    fields[0], fields[2], fields[3], fields[17], fields[19] = state.encode(), b"5", b"6", str(threads).encode(), b"7"
    seen = Process(4, fields)
    assert (seen.pid, seen.state, seen.group, seen.session, seen.start) == (4, state, 5, 6, 7)
    assert seen.live is live


def test_a_number_that_was_never_given_shows_no_process() -> None:
    assert process(2**22 + 1) is None


def test_what_a_job_was_told_tells_it_from_a_stranger(start: Start) -> None:
    run_id = "c" * 32
    child = start("env", f"MSLOCK_RUN_ID={run_id}", "sh", "-c", "echo ready; read x")
    assert told(child) == "ready"
    assert identity.carries(child.pid, run_id)
    assert not identity.carries(child.pid, run_id[:-1])
    assert not identity.carries(child.pid, "d" * 32)
    assert not identity.carries(os.getpid(), run_id)
    assert not identity.carries(2**22 + 1, run_id)


def test_evidence_of_two_words_is_all_there_is() -> None:
    seen: Evidence = evidence(Row(*held_row().values()), None, True)
    assert seen is policy.NO_EVIDENCE


#: Forks on and exits, so that one walk through /proc misses it most of the time.
_HOPPING = "import os\nos.setsid()\nprint(os.getpid(), flush=True)\nwhile not os.fork():\n    pass\n"


def test_a_session_whose_processes_fork_on_and_exit_is_never_taken_for_empty() -> None:
    hopping = subprocess.Popen([sys.executable, "-c", _HOPPING], stdout=subprocess.PIPE)
    try:
        assert hopping.stdout is not None
        session = int(hopping.stdout.readline())
        hopping.wait()
        assert [identity.job_gone(session, 1) for _ in range(100)].count(True) == 0
        assert identity.leads_group(session), "it lived all the while"
    finally:

        def killed() -> bool:
            try:
                os.killpg(hopping.pid, signal.SIGKILL)
            except ProcessLookupError:
                return True
            return not job_members(hopping.pid, None)

        eventually(killed, "it is gone")
        if hopping.stdout is not None:
            hopping.stdout.close()
