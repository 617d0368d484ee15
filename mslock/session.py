"""The processes of a job: signals to all of them, and stopping them until none is left.

Why: what a job starts with `timeout`, job control or pipes makes process groups of its own but stays in its session,
so the session is what a stop must reach. Groups are signalled as a whole, since that is atomic: nobody forks away
from under it.

Sources: setsid(2), kill(2), credentials(7).
"""

from __future__ import annotations

import os

from mslock import identity, signals

#: After so many seconds of SIGKILL, what still lives is told of: it hangs in the kernel (state D).
_UNKILLABLE_AFTER_S = 5.0


class Session:
    """A job's processes, named by the number of its session, which is that of its first process.

    Attributes:
        number: above 1, always: 0 and 1 would be ourselves, or everybody.
        start: the first process's start time, which tells a recycled number; None if unknown.
        visible: whether /proc shows them. If not, a signal to the first process's group has to do.
        alone: whether the job is one process in its caller's session, as at a terminal.
    """

    def __init__(self, number: int, start: int | None, visible: bool = True, alone: bool = False) -> None:
        if number < 2:
            raise ValueError(f"session {number}")
        self.number = number
        self.start = start
        self.visible = visible
        self.alone = alone

    def members(self) -> list[identity.Process]:
        return identity.job_members(self.number, self.start)

    def send(self, signo: int) -> None:
        """A signal to each process once; a job without a session of its own is one process."""
        if not self.visible:
            (_kill if self.alone else _kill_group)(self.number, signo)
            return
        reached: set[int] = set()
        for member in self.members():
            if member.session != self.number:
                _kill(member.pid, signo)
            elif member.group not in reached and member.group > 1:
                reached.add(member.group)
                _kill_group(member.group, signo)

    def empty(self) -> bool:
        """Whether no live process is left, as far as that can be known."""
        gone = identity.job_gone(self.number, self.start) if self.visible else None
        if gone is not None:
            return gone
        if not self.alone:
            return not identity.leads_group(self.number)
        try:
            os.kill(self.number, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        return False


class Stop:
    """The stopping of a job: TERM and CONT, a grace, then KILL until no live process of it is left.

    Attributes:
        kill_at_s: when the grace ends, by CLOCK_BOOTTIME.
        unkillable: whether KILL has been of no use for a while.
    """

    def __init__(self, session: Session, now_s: float, kill_at_s: float) -> None:
        self.session = session
        self.kill_at_s = max(kill_at_s, now_s)
        self._pause_s = 0.01
        session.send(signals.TERM)
        session.send(signals.CONT)

    def step(self, now_s: float) -> float:
        """Do what is due; the seconds after which to look again."""
        if now_s >= self.kill_at_s:
            self.session.send(signals.KILL)
            return 0.02 if now_s < self.kill_at_s + 1 else 0.5
        self._pause_s = min(self._pause_s * 1.5, 0.25)
        return min(self._pause_s, self.kill_at_s - now_s)

    def unkillable(self, now_s: float) -> bool:
        return now_s > self.kill_at_s + _UNKILLABLE_AFTER_S


def _kill(pid: int, signo: int) -> None:
    try:
        os.kill(pid, signo)
    except (ProcessLookupError, PermissionError):
        pass  # gone since, or of another user and beyond our reach


def _kill_group(group: int, signo: int) -> None:
    try:
        os.killpg(group, signo)
    except (ProcessLookupError, PermissionError):
        pass
