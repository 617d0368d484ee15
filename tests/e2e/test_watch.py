"""The watch over a running job: signals passed on, stops that reach everything, a guard for the supervisor's death."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import time

import pytest

from mslock.errors import ExitCode
from tests.e2e.conftest import BOUND_S, EXECUTABLE, Mslock, alive, until

_TO_ALL = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP]
_TO_FIRST = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGALRM, signal.SIGRTMIN + 3]

#: Notes each signal that it gets in a file, and its pid once it is ready; the second is in a group of its own.
_NOTING = """
import os, signal, sys, time
if sys.argv[1] == "second":
    os.setpgid(0, 0)
def note(signo, frame):
    open(sys.argv[1], "a").write(f"{signo}\\n")
for signo in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
    signal.signal(signo, note)
open(sys.argv[1] + ".pid", "w").write(str(os.getpid()))
while True:
    time.sleep(1000)
"""

#: Ignores TERM, in a group of its own, as what timeout(1) or job control starts.
_STUBBORN = """
import os, signal, time
os.setpgid(0, 0)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    time.sleep(1000)
"""

#: The same, but counts: Python's handlers run once for signals that come together, and `sigwaitinfo` takes each.
_COUNTING = """
import os, signal, sys
signals = signal.valid_signals() - {signal.SIGCHLD}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
open(sys.argv[1] + ".pid", "w").write(str(os.getpid()))
while True:
    signo = signal.sigwaitinfo(signals).si_signo
    open(sys.argv[1], "a").write(f"{int(signo)}\\n")
"""


class Family:
    """A job of two processes that note their signals: the first, and one in a process group of its own."""

    def __init__(self, mslock: Mslock) -> None:
        (mslock.folder / "noting.py").write_text(_NOTING)
        note = "python3 noting.py"
        line = f"{note} second & exec {note} first"
        self.folder = mslock.folder
        self.supervisor = mslock.start("--name", "x", "--kill-after", "1s", "-c", line)
        until(lambda: self._text("first.pid") and self._text("second.pid"), "both have begun")
        self.pids = [int(self._text(f"{name}.pid")) for name in ("first", "second")]

    def _text(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def noted(self) -> tuple[list[int], list[int]]:
        first, second = ([int(line) for line in self._text(name).split()] for name in ("first", "second"))
        return first, second


@pytest.fixture
def family(mslock: Mslock) -> Family:
    return Family(mslock)


@pytest.mark.parametrize("signo", _TO_ALL)
def test_what_ends_jobs_is_passed_on_to_the_whole_session_once(family: Family, signo: int) -> None:
    family.supervisor.send_signal(signo)
    until(lambda: family.noted() == ([signo], [signo]))
    assert family.supervisor.poll() is None, "the job has the grace of whoever sent it"


@pytest.mark.parametrize("signo", _TO_FIRST)
def test_other_signals_reach_the_first_process_alone(family: Family, signo: int) -> None:
    family.supervisor.send_signal(signo)
    family.supervisor.send_signal(signal.SIGTERM)
    until(lambda: family.noted()[1] == [signal.SIGTERM])
    until(lambda: sorted(family.noted()[0]) == sorted([signo, signal.SIGTERM]))


def test_a_stop_from_the_terminal_key_stops_the_session_and_cont_continues_it(family: Family) -> None:
    def states() -> set[str]:
        stats = [pathlib.Path(f"/proc/{pid}/stat").read_text() for pid in family.pids]
        return {stat.rpartition(")")[2].split()[0] for stat in stats}

    family.supervisor.send_signal(signal.SIGTSTP)
    until(lambda: states() == {"T"})
    family.supervisor.send_signal(signal.SIGCONT)
    until(lambda: states() == {"S"})
    assert family.supervisor.poll() is None


def test_no_stranger_gets_a_signal(mslock: Mslock) -> None:
    (mslock.folder / "noting.py").write_text(_NOTING)
    bystander = subprocess.Popen(["python3", "noting.py", "bystander"], cwd=mslock.folder)
    try:
        until((mslock.folder / "bystander.pid").exists)
        process = mslock.start("--name", "x", "sleep", "1000", start_new_session=False)
        mslock.held("x")
        process.send_signal(signal.SIGTERM)
        process.wait()
        assert not (mslock.folder / "bystander").exists()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_timeout_kills_the_whole_session_and_releases_only_then(mslock: Mslock) -> None:
    (mslock.folder / "stubborn.py").write_text(_STUBBORN)
    line = "trap '' TERM; python3 stubborn.py & echo $! > pid; wait; wait"
    ended = mslock.run("--name", "x", "--timeout", "1s", "--kill-after", "1s", "--cooldown", "0", "-c", line)
    assert ended.returncode == ExitCode.TIMED_OUT
    assert not alive(int((mslock.folder / "pid").read_text()))
    assert mslock.row("x")["pid"] is None


def test_the_lock_is_kept_until_the_last_process_of_a_stopped_job_is_gone(mslock: Mslock) -> None:
    """The first process ends at TERM, another is deaf to it and lives until it is killed."""
    (mslock.folder / "stubborn.py").write_text(_STUBBORN)
    line = "python3 stubborn.py & echo $! > pid; wait"
    ended = mslock.run("--name", "x", "--timeout", "1s", "--kill-after", "1s", "-c", line)
    assert ended.returncode == ExitCode.TIMED_OUT
    assert not alive(int((mslock.folder / "pid").read_text()))
    assert mslock.row("x")["pid"] is None


def test_a_stopped_job_is_continued_so_that_it_can_end(mslock: Mslock) -> None:
    line = "trap 'echo cleaned > cleaned; exit 0' TERM; kill -STOP $$; while :; do sleep 0.01; done"
    ended = mslock.run("--name", "x", "--timeout", "1s", "-c", line)
    assert ended.returncode == ExitCode.TIMED_OUT
    assert (mslock.folder / "cleaned").exists()


def test_what_a_job_leaves_in_the_background_is_not_waited_for(mslock: Mslock) -> None:
    ended = mslock.run("--name", "x", "-c", "sleep 1000 >/dev/null 2>&1 & echo $! > pid")
    assert ended.returncode == 0
    left = int((mslock.folder / "pid").read_text())
    assert alive(left)
    os.kill(left, signal.SIGKILL)
    assert mslock.run("--name", "x", "--cooldown", "0", "true").returncode == 0


def test_a_term_is_passed_on_and_the_jobs_own_code_comes_back(mslock: Mslock) -> None:
    process = mslock.start("--name", "x", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=BOUND_S)
    assert process.returncode == 3
    assert (mslock.row("x")["pid"], mslock.row("x")["last_outcome"]) == (None, "failed")


def test_a_guard_that_is_killed_is_replaced(mslock: Mslock) -> None:
    supervisor = mslock.start("--name", "x", "sleep", "1000")
    first = mslock.guard(supervisor.pid)
    os.kill(first, signal.SIGKILL)
    until(lambda: mslock.guard(supervisor.pid) != first)


def test_killall_by_name_stops_the_job_instead_of_orphaning_it(mslock: Mslock) -> None:
    supervisor = mslock.start("--name", "x", "sleep", "1000")
    row = mslock.held("x")
    mslock.guard(supervisor.pid)
    assert pathlib.Path(f"/proc/{supervisor.pid}/comm").read_text() == "mslock\n"
    supervisor.kill()
    until(lambda: not alive(row["job_session"]))


def test_no_guard_stops_a_job_that_may_continue(mslock: Mslock) -> None:
    supervisor = mslock.start("--name", "x", "--on-lost", "continue", "-c", "echo ready; sleep 1; echo done > done")
    assert supervisor.stdout is not None
    supervisor.stdout.readline()
    supervisor.kill()
    until((mslock.folder / "done").exists)


def test_an_inherited_sigchld_that_is_ignored_does_not_hang_the_wait(mslock: Mslock) -> None:
    ended = mslock.run(
        *("--name", "x", "-c", "exit 9"), preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    )
    assert ended.returncode == 9


def test_nohup_is_honoured(mslock: Mslock) -> None:
    process = mslock.start(
        *("--name", "x", "-c", "echo ready; while [ ! -e end ]; do sleep 0.01; done; exit 5"),
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    (mslock.folder / "end").touch()
    process.communicate(timeout=BOUND_S)
    assert process.returncode == 5


def test_a_supervisor_that_slept_past_its_lease_goes_on_if_nobody_took_the_lock(mslock: Mslock) -> None:
    supervisor = mslock.start("--name", "x", "--kill-after", "0", "--lease", "5s", "-c", "sleep 12; exit 6")
    row = mslock.held("x")
    mslock.guard(supervisor.pid)  # its job has begun
    supervisor.send_signal(signal.SIGSTOP)
    until(lambda: _database_ms(mslock) > row["lease_until_ms"] + 500)
    supervisor.send_signal(signal.SIGCONT)
    supervisor.communicate(timeout=BOUND_S)
    assert supervisor.returncode == 6
    assert mslock.row("x")["last_outcome"] == "failed"


def test_a_supervisor_that_slept_past_its_lease_stops_its_job_if_another_took_the_lock(mslock: Mslock) -> None:
    supervisor = mslock.start("--name", "x", "--kill-after", "0", "--lease", "5s", "sleep", "1000")
    row = mslock.held("x")
    mslock.guard(supervisor.pid)  # its job has begun
    supervisor.send_signal(signal.SIGSTOP)
    until(lambda: _database_ms(mslock) > row["lease_until_ms"])
    # On this kernel the holder is seen to live, so another kernel has to take it.
    mslock.change("UPDATE mslock_locks SET kernel_id = 'another:1:2', version = version + 1")
    other = mslock.start("--name", "x", "--cooldown", "0", "sleep", "1000")
    until(lambda: mslock.row("x")["run_id"] != row["run_id"])
    supervisor.send_signal(signal.SIGCONT)
    supervisor.communicate(timeout=BOUND_S)
    assert supervisor.returncode == ExitCode.LOST
    assert not alive(row["job_session"])
    assert mslock.row("x")["pid"] == other.pid, "a loser never releases another's lock"


def _database_ms(mslock: Mslock) -> int:
    (row,) = mslock.select("SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) AS now_ms")
    now_ms: int = row["now_ms"]
    return now_ms


def test_an_alarm_that_the_caller_has_set_reaches_the_job(mslock: Mslock) -> None:
    arm = f"import os, signal; signal.alarm(2); os.execv({EXECUTABLE!r}, ['mslock', '--name', 'x', 'sleep', '1000'])"
    ended = subprocess.run(["python3", "-c", arm], env=mslock.environ, start_new_session=True, timeout=BOUND_S)
    assert ended.returncode == 128 + signal.SIGALRM


def test_no_signal_is_lost_or_doubled_however_fast_they_come(mslock: Mslock) -> None:
    (mslock.folder / "counting.py").write_text(_COUNTING)
    process = mslock.start("--name", "x", "--", "python3", "counting.py", "noted")
    until((mslock.folder / "noted.pid").exists)
    job = int((mslock.folder / "noted.pid").read_text())
    queued = [signal.SIGRTMIN + number for number in range(1, 11)]
    for signo in queued * 20:  # real-time signals queue; the others merge, as for any process
        process.send_signal(signo)
    for signo in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGTERM):
        process.send_signal(signo)

    def noted() -> list[int]:
        return sorted(int(line) for line in (mslock.folder / "noted").read_text().split())

    expected = sorted([int(signo) for signo in queued] * 20 + [10, 12, 14, 15])
    until(lambda: (mslock.folder / "noted").exists() and len(noted()) >= len(expected))
    assert noted() == expected
    os.kill(job, signal.SIGKILL)
    assert process.wait(timeout=BOUND_S) == 128 + signal.SIGKILL


@pytest.mark.parametrize("wrapper", [("timeout", "1000"), ("env",), ("nice",), ("setsid", "--wait"), ("stdbuf", "-oL")])
def test_it_works_under_other_wrappers(mslock: Mslock, wrapper: tuple[str, ...]) -> None:
    process = subprocess.Popen(
        [*wrapper, EXECUTABLE, "--name", "x", "-c", "trap 'exit 6' TERM; echo ready; while :; do sleep 0.01; done"],
        env=mslock.environ,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    # setsid forks where it leads a group, and passes no signal on.
    os.kill(mslock.row("x")["pid"], signal.SIGTERM)
    process.communicate(timeout=BOUND_S)
    assert process.returncode == 6


def test_timeouts_own_signal_ends_mslock_and_its_job(mslock: Mslock) -> None:
    ended = subprocess.run(
        ["timeout", "1", EXECUTABLE, "--name", "x", "sleep", "1000"], env=mslock.environ, start_new_session=True
    )
    assert ended.returncode == 124
    until(lambda: mslock.row("x")["pid"] is None)
    assert mslock.row("x")["last_outcome"] == "killed"


def test_a_job_that_cleans_up_longer_than_kill_after_is_left_to_it(mslock: Mslock) -> None:
    """TERM from outside is passed on, and nothing more: the grace is the sender's to end."""
    line = "trap 'sleep 2.5; echo clean > clean; exit 8' TERM; echo ready; while :; do sleep 0.01; done"
    process = mslock.start("--name", "x", "--kill-after", "0", "--lease", "5s", "-c", line)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=BOUND_S)
    assert (process.returncode, (mslock.folder / "clean").exists()) == (8, True)


#: Forks on for as long as it lives, deaf to TERM, in groups of its own: a stop that looks once would miss some.
_FORKING = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    if os.fork() == 0:
        os.setpgid(0, 0)
        time.sleep(0.02)
        if os.fork():
            os._exit(0)
    time.sleep(0.005)
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    if len([pid for pid in os.listdir("/proc") if pid.isdigit()]) > 2000:
        time.sleep(1)
"""


def test_a_job_that_forks_while_it_is_killed_is_killed_whole(mslock: Mslock) -> None:
    (mslock.folder / "forking.py").write_text(_FORKING)
    arguments = ("--name", "x", "--timeout", "1s", "--kill-after", "0", "-c", "echo $$ > pid; exec python3 forking.py")
    ended = mslock.run(*arguments)
    assert ended.returncode == ExitCode.TIMED_OUT
    session = int((mslock.folder / "pid").read_text())
    assert subprocess.run(["pgrep", "--session", str(session), "--runstates", "RSDT"]).returncode == 1, "none is left"


def test_what_cannot_be_killed_keeps_the_lock_and_is_told(mslock: Mslock) -> None:
    """A frozen control group holds its processes in state D, SIGKILL or not."""
    group = pathlib.Path("/sys/fs/cgroup/freezer") / f"mslock-{os.getpid()}"
    try:
        group.mkdir()
        (group / "freezer.state").write_text("THAWED")
    except OSError as error:
        pytest.skip(f"no freezer here (control groups, version 1, and root): {error}")
    try:
        line = f"echo $$ > {group}/cgroup.procs; echo ready; while :; do sleep 0.01; done"
        process = mslock.start("--name", "x", "--timeout", "1s", "--kill-after", "0", "-c", line)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        (group / "freezer.state").write_text("FROZEN")
        told = process.stderr.readline() + process.stderr.readline() + process.stderr.readline()
        assert b"SIGKILL does not end process" in told, told
        assert process.poll() is None
        assert mslock.row("x")["pid"] == process.pid, "the lock is kept"
        (group / "freezer.state").write_text("THAWED")
        process.communicate(timeout=BOUND_S)
        assert (process.returncode, mslock.row("x")["pid"]) == (ExitCode.TIMED_OUT, None)
    finally:
        (group / "freezer.state").write_text("THAWED")
        until(lambda: (group / "cgroup.procs").read_text() == "")
        group.rmdir()


#: Forks on and exits, so that a look at the list of processes finds only what has been.
_HOPPING = "import os, time\nwhile not os.fork():\n    time.sleep(0.0002)\n"


def test_a_job_that_forks_on_and_exits_is_killed_whole(mslock: Mslock) -> None:
    (mslock.folder / "hopping.py").write_text(_HOPPING)
    line = "trap '' TERM; echo $$ > pid; python3 hopping.py; while :; do sleep 1000; done"
    ended = mslock.run("--name", "x", "--timeout", "1s", "--kill-after", "1s", "-c", line)
    assert ended.returncode == ExitCode.TIMED_OUT
    session = int((mslock.folder / "pid").read_text())
    for _ in range(20):
        assert subprocess.run(["pgrep", "--session", str(session), "--runstates", "RSDT"]).returncode == 1, "none left"


@pytest.mark.parametrize("signo", [signal.SIGHUP, signal.SIGCONT])
def test_a_signal_in_the_first_moments_of_a_job_is_all_that_it_gets(mslock: Mslock, signo: int) -> None:
    mslock.run("--name", "x", "--cooldown", "0", "true")
    for _ in range(5):
        process = mslock.start("--name", "x", "--cooldown", "0", "-c", "trap : HUP; echo ready; sleep 0.4; exit 5")
        assert process.stdout is not None
        process.stdout.readline()
        for _ in range(30):
            process.send_signal(signo)
            time.sleep(0.004)  # over the moment at which the guard is made
        process.communicate(timeout=BOUND_S)
        # The shell's own sleep dies of the first HUP, and the shell goes on.
        assert process.returncode == 5


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_a_job_that_became_another_user_may_refuse_a_signal_and_nothing_more_happens(mslock: Mslock) -> None:
    mslock.run("--name", "x", "--cooldown", "0", "true")
    for path in (mslock.folder, *mslock.folder.parents[:3]):
        path.chmod(0o777)
    mslock.file.chmod(0o666)
    # uid 1000 in mslock, which may read what it is made of; its job becomes uid 1001.
    caps = "+dac_override,+setuid"
    command = ["setpriv", "--reuid=1000", "--clear-groups", f"--inh-caps={caps}", f"--ambient-caps={caps}", EXECUTABLE]
    job = ["setpriv", "--reuid=1001", "sh", "-c", "echo ready; sleep 1; exit 5"]
    process = subprocess.Popen(
        [*command, "--name", "x", "--cooldown", "0", "--", *job],
        env=mslock.environ,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGUSR1)
    process.communicate(timeout=BOUND_S)
    assert process.returncode == 5
