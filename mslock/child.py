"""The job's first process: looked up, forked and held until the lock is ours, then watched to its end.

Why: it is forked before the lock is claimed, so that its number can stand in the row, and it waits on a pipe: if
mslock dies before the go, the pipe ends, and so does the process, and no job ever runs without its lock.

Sources: waitid(2), execve(2); timeout(1) for a job under a terminal.
"""

from __future__ import annotations

import errno
import os

from mslock import identity
from mslock.errors import JobNotExecutable, JobNotFound
from mslock.session import Session
from mslock.signals import KILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from mslock.signals import Signals


def find(command: str, path: str | None) -> str:
    """The file that COMMAND means, as execvp(3) would find it.

    Raises:
        JobNotFound, JobNotExecutable
    """
    found = ""
    folders = [""] if "/" in command else (os.defpath if path is None else path).split(":")
    for folder in folders:
        candidate = os.path.join(folder, command)
        if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
            return candidate
        if os.path.lexists(candidate):
            found = candidate
    if not found:
        raise JobNotFound(f"{command}: command not found")
    if os.path.isdir(found):
        raise JobNotExecutable(f"{command}: is a directory")
    if not os.path.exists(found):
        raise JobNotFound(f"{command}: {found} is a link to nowhere, or out of reach")
    raise JobNotExecutable(f"{command}: {found} is not executable (chmod +x)")


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment, for the job: without what Python added, and what an outer mslock told its own job.

    An entry without a name (`=odd`), which Python cannot pass on, is lost.
    """
    job = {key: value for key, value in environ.items() if key and not key.startswith("MSLOCK_RUN_")}
    # In the C locale, which is cron's, Python sets LC_CTYPE for itself (PEP 538).
    if job.get("LC_CTYPE") in ("C.UTF-8", "C.utf8", "UTF-8"):
        try:
            with open("/proc/self/environ", "rb") as file:
                if not any(entry.startswith(b"LC_CTYPE=") for entry in file.read().split(b"\0")):
                    del job["LC_CTYPE"]
        except OSError:
            pass
    return job


def has_terminal() -> bool:
    """Whether somebody sits at a terminal that controls this process."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


class Ending:
    """How a job ended.

    Attributes:
        code: what it exited with, or 128 + the signal that ended it.
        signo: that signal, or 0.
        cpu_ms, max_rss_kib: what it and the children that it waited for used; the most that one of them held.
    """

    __slots__ = ("code", "cpu_ms", "max_rss_kib", "signo")

    def __init__(self, status: int, cpu_ms: int, max_rss_kib: int) -> None:
        self.signo = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        self.code = 128 + self.signo if self.signo else os.WEXITSTATUS(status)
        self.cpu_ms = cpu_ms
        self.max_rss_kib = max_rss_kib


class Job:
    """A forked process that waits for the go.

    Attributes:
        pid: its number, and that of its session, if it has one of its own.
        session: all of the job's processes.
    """

    def __init__(
        self, file: str, argv: list[str], environ: dict[str, str], signals: Signals, own_session: bool, visible: bool
    ) -> None:
        """Fork.

        Raises:
            JobNotExecutable: there is no room for another process.
        """
        try:
            held, self._go = os.pipe()
            self._failure, failure = os.pipe()
            self.pid = os.fork()
        except OSError as error:
            raise JobNotExecutable(f"{argv[0]}: no process can be started for it: {error.strerror}") from error
        if self.pid == 0:
            _become(file, argv, environ, signals, own_session, held, self._go, failure)
        os.close(held)
        os.close(failure)
        seen = identity.process(self.pid) if visible else None
        self.session = Session(self.pid, seen.start if seen else None, visible, alone=not own_session)

    def go(self) -> None:
        """Let the job start. There is no way back from here."""
        try:
            os.write(self._go, b"!")
        except BrokenPipeError:
            pass  # killed while it waited, which the watch will see
        os.close(self._go)

    def drop(self) -> None:
        """Let the held process go home: the job never starts."""
        os.close(self._go)
        os.kill(self.pid, KILL)  # it goes by itself, unless somebody has stopped it
        os.waitpid(self.pid, 0)
        os.close(self._failure)

    def ended(self) -> bool:
        """Whether the first process has ended. It is not reaped, so that its number stays its own."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def gone(self) -> bool:
        """Whether no live process of the job is left."""
        if not self.ended():
            return False
        # Not `Session.empty`, to which our own zombie, which pins the number, would be a process for ever.
        gone = identity.job_gone(self.pid, self.session.start) if self.session.visible else None
        if gone is None:
            self.session.send(KILL)  # what cannot be seen is not asked
        return gone is not False

    def stopped(self) -> bool:
        """Whether the first process has been stopped (Ctrl-Z) since this was last asked."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG) is not None
        except ChildProcessError:
            return False  # it has ended, and will never stop again

    def send(self, signo: int) -> None:
        """A signal to the first process alone, which is not reaped yet."""
        try:
            os.kill(self.pid, signo)
        except PermissionError:
            pass  # it has become another user, as sudo does

    def reap(self) -> Ending:
        """How it ended. No signal may be sent to the session after this."""
        _, status, usage = os.wait4(self.pid, 0)
        return Ending(status, round((usage.ru_utime + usage.ru_stime) * 1000), usage.ru_maxrss)

    def failure(self, command: str) -> JobNotFound | JobNotExecutable | None:
        """Why COMMAND could not be executed after all, once it has ended; None if it could."""
        number = os.read(self._failure, 16)
        os.close(self._failure)
        if not number:
            return None
        code = int(number)
        if code == errno.ENOENT:
            return JobNotFound(f"{command}: it, or the interpreter that its first line names, is not there")
        hint = " (does its first line name an interpreter, as in #!/bin/sh?)" if code == errno.ENOEXEC else ""
        return JobNotExecutable(f"{command}: {os.strerror(code)}{hint}")


def _become(
    file: str,
    argv: list[str],
    environ: dict[str, str],
    signals: Signals,
    own_session: bool,
    held: int,
    go: int,
    failure: int,
) -> None:
    """In the forked process: wait for the go, then become the job. Never returns."""
    code = errno.EIO
    try:
        os.close(go)
        if own_session:
            os.setsid()
        if not os.read(held, 1):
            os._exit(0)
        signals.restore_for_job()
        os.execve(file, argv, environ)
    except OSError as error:
        code = error.errno or code
    finally:
        os.write(failure, str(code).encode())
        os._exit(127)
