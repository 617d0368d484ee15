"""Who we are, and what is left of somebody else: process numbers, and whether they can be believed.

Why: a false "dead" lets two jobs run, so nothing here guesses. A number is judged only on the kernel that gave it
(boot id, pid and time namespace), and only by one function that reads start times, `_stat`: psutil's are
seconds of the wall clock, which move when the clock is set. psutil describes processes to people, in
`commands` and in warnings; it decides nothing.

Sources: proc(5), pid_namespaces(7), time_namespaces(7).
"""

from __future__ import annotations

import os

from mslock.policy import ALIVE, DEAD, DOUBT, NO_EVIDENCE, Evidence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mslock.policy import Row

#: The inode of the initial pid namespace (PROC_PID_INIT_INO in the kernel's sources).
_INITIAL_PID_NAMESPACE = "4026531836"

#: How often what is new in /proc is read before it is called restless.
_WALKS = 100
#: No process number is so large; a row may say anything.
_NO_PID = 2**31


class Process:
    """One process as /proc shows it: numbers, and its start in clock ticks since boot.

    Attributes:
        live: whether any thread of it can still run; a zombie's main thread says nothing of the others.
        state: the letter of /proc: D cannot be killed.
    """

    __slots__ = ("group", "live", "pid", "session", "start", "state")

    def __init__(self, pid: int, fields: list[bytes]) -> None:
        self.pid = pid
        self.state = fields[0].decode()
        self.group = int(fields[2])
        self.session = int(fields[3])
        self.live = self.state not in "ZX" or int(fields[17]) > 1
        self.start = int(fields[19])


def process(pid: int | str) -> Process | None:
    """The process of that number (or `self`), as far as /proc shows it; None if it shows none."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            content = file.read(4096)
    except OSError:
        return None
    # The name in parentheses may hold parentheses, spaces and newlines; what follows the last one is numbers.
    number, _, rest = content.partition(b" ")
    fields = rest.rpartition(b")")[2].split()
    return Process(int(number), fields) if len(fields) > 19 else None


def kernel_id() -> str | None:
    """Which kernel our process numbers mean something to: `boot id:pid namespace:time namespace`.

    None where /proc is not ours to believe: a foreign one would prove the living dead.
    """
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return None
        with open("/proc/sys/kernel/random/boot_id", "rb", buffering=0) as file:
            boot_id = file.read(64).decode("ascii").strip()
        pid_namespace = os.stat("/proc/self/ns/pid").st_ino
    except (OSError, ValueError):
        return None
    try:
        time_namespace = os.stat("/proc/self/ns/time").st_ino
    except OSError:  # before Linux 5.6 there was one time for all
        time_namespace = 0
    return f"{boot_id}:{pid_namespace}:{time_namespace}"


def evidence(row: Row, own_kernel_id: str | None, on_local_file: bool) -> Evidence:
    """What can be proven of a held lock's supervisor and of its job's session.

    `on_local_file` says that the lock lies in a file that this machine alone can open: then another boot id
    proves a reboot, if neither side is a container, which may have been given a boot id of its own.
    """
    if own_kernel_id is None or row.kernel_id is None:
        return NO_EVIDENCE
    if row.kernel_id != own_kernel_id:
        own, theirs = own_kernel_id.split(":"), row.kernel_id.split(":")
        rebooted = own[0] != theirs[0] and own[1:2] == theirs[1:2] == [_INITIAL_PID_NAMESPACE]
        return Evidence(DEAD, DEAD) if on_local_file and rebooted else NO_EVIDENCE
    holder = _process_evidence(row.pid, row.pid_start)
    # A live supervisor is evidence enough; only a dead one's session is worth the walk through /proc.
    return Evidence(holder, DOUBT if holder == ALIVE else _session_evidence(row.job_session, row.job_start))


def job_members(session: int | None, start: int | None) -> list[Process]:
    """The live processes of a job: all of its session, or its first process where it has no session of its own.

    Empty for a number that was given to somebody else since, and for the numbers 0 and 1, which are nobody's.
    """
    return [member for member in _job_processes(session, start) or () if member is not None and member.live]


def job_gone(session: int, start: int | None) -> bool | None:
    """Whether no live process of a job is left; None if not every process could be seen."""
    seen = _job_processes(session, start)
    if seen is None:
        return True
    if any(member is None or member.live for member in seen):
        return False
    if not _sees_all() or (not seen and leads_group(session)):
        return None
    return True


def _sees_all() -> bool:
    """Whether other users' processes, and so what a job may have become, are shown: see proc(5), hidepid."""
    if process(1) is None:
        return False
    if os.geteuid() == 0:
        return True
    try:  # process 1 is no proof in a container that is all ours
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            options = [line.rsplit(" ", 1)[1] for line in file if " /proc " in line]
    except OSError:
        return False
    return not any("hidepid=" in option and not option.endswith(("=0\n", "=off\n")) for option in options)


def leads_group(number: int) -> bool:
    """Whether a process group of that number exists, zombies included."""
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _job_processes(session: int | None, start: int | None) -> list[Process | None] | None:
    """The processes of a job, zombies included; None for a number that is nobody's, or somebody else's by now.

    One that has ended when its turn comes may have forked on, beyond the list. So what is new is read until all of it
    is alive: then no process of the job was alive that is not here. A None among them: that was never so.
    """
    if session is None or not 1 < session < _NO_PID:
        return None
    leader = process(session)
    if leader is not None and start is not None and leader.start != start:
        return None
    members: list[Process | None] = []
    known: set[str] = set()
    for _ in range(_WALKS):
        fresh = [entry for entry in os.listdir("/proc") if entry.isdigit() and entry not in known]
        known.update(fresh)
        seen = [process(entry) for entry in fresh]
        members += [member for member in seen if member is not None and session in (member.session, member.pid)]
        if all(each is not None and each.live for each in seen):
            return members
    return [*members, None]


def carries(pid: int, run_id: str) -> bool:
    """Whether a process was started with the run's id in its environment; False where that cannot be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return f"MSLOCK_RUN_ID={run_id}".encode() in file.read().split(b"\0")
    except OSError:
        return False


def _process_evidence(pid: int | None, start: int | None) -> str:
    if pid is None or not 0 < pid < _NO_PID or start is None:
        return DOUBT
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return DEAD
    except PermissionError:
        pass  # somebody is there
    seen = process(pid)
    if seen is None:
        return DOUBT
    return ALIVE if seen.start == start and seen.live else DEAD


def _session_evidence(session: int | None, start: int | None) -> str:
    if session is None or not 1 < session < _NO_PID or start is None:
        return DOUBT
    gone = job_gone(session, start)
    return DOUBT if gone is None else DEAD if gone else ALIVE
