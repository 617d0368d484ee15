"""The guard: a small process that outlives its supervisor for as long as it takes to stop the job.

Why: a supervisor that is killed cannot stop anything, and its job must be over before the lease is. The guard knows
no database. It waits on a pipe whose other end only the supervisor holds; when that ends, the supervisor is dead.
"""

from __future__ import annotations

import os
import time

from mslock import signals
from mslock.clock import now_s
from mslock.session import Session, Stop


class Guard:
    """A forked guard over a job.

    Attributes:
        pid: its process number.
    """

    def __init__(self, session: Session, kill_after_s: float) -> None:
        """Fork.

        Raises:
            OSError: there is no room for another process.
        """
        watched, self._alive = os.pipe()
        os.set_blocking(self._alive, False)  # a guard that is frozen must not freeze its supervisor
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _stand(session, kill_after_s, watched)
        except OSError:
            os.close(self._alive)
            raise
        finally:
            os.close(watched)

    def tell(self, kill_at_s: float) -> None:
        """When the job must be over at the latest (CLOCK_BOOTTIME), should the supervisor die from now on."""
        try:
            os.write(self._alive, f"{kill_at_s}\n".encode())
        except (BrokenPipeError, BlockingIOError):
            pass  # killed a moment ago, and replaced in the next; or frozen for thousands of renewals

    def dismiss(self) -> None:
        """The job is over, or nothing more is to be done about it. Before its number is given to anybody else."""
        try:
            os.kill(self.pid, signals.KILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass  # it was killed, and reaped, before
        os.close(self._alive)


def _stand(session: Session, kill_after_s: float, watched: int) -> None:
    """In the guard: wait for the supervisor's death, stop the job. Never returns.

    All signals stay blocked, as the supervisor had them.
    """
    try:
        os.setsid()
        os.chdir("/")
        null = os.open("/dev/null", os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        os.closerange(3, watched)
        os.closerange(watched + 1, 4096)
        _rename()
        kill_at_s = _wait_for_the_end(watched)
        stop = Stop(session, now_s(), min(now_s() + kill_after_s, kill_at_s))
        while not session.empty():
            time.sleep(stop.step(now_s()))
    finally:
        os._exit(0)


def _wait_for_the_end(watched: int) -> float:
    """Wait until the supervisor is dead; when the job must be over, as it told last."""
    told = b"inf"
    while line := os.read(watched, 4096):
        told = line.split()[-1]
    return float(told)


def _rename() -> None:
    """`killall -9 mslock` goes by this name, and shall spare the guard: then the job is stopped, not orphaned."""
    try:
        with open("/proc/self/comm", "w") as file:
            file.write("mslock-guard")
    except OSError:
        pass
