"""Signals, blocked first of all and collected one by one: no handler ever runs.

Why: a handler runs at any point of the program, a collected signal at one. `_signal` and not `signal`, which wraps
the same functions in enums: importing those costs a third of an interpreter's start.

Sources: sigtimedwait(2), signal(7).
"""

from __future__ import annotations

import os

from mslock.clock import now_s

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Iterable
else:
    import _signal as signal

HUP, INT, QUIT, TERM = int(signal.SIGHUP), int(signal.SIGINT), int(signal.SIGQUIT), int(signal.SIGTERM)
CONT, TSTP, STOP, KILL = int(signal.SIGCONT), int(signal.SIGTSTP), int(signal.SIGSTOP), int(signal.SIGKILL)
CHLD, ALRM = int(signal.SIGCHLD), int(signal.SIGALRM)

#: The siginfo code of a signal that the kernel sent, as the terminal's driver does for Ctrl-C, or a timer.
SI_KERNEL = 0x80

_NEVER_S = float("inf")

#: What ends mslock before the job's start.
FATAL = frozenset((HUP, INT, QUIT, TERM))

#: Never collected: two cannot be, and the synchronous ones are our own faults. A broken pipe is an error where we
#: write, and a background process that the terminal stops (TTIN, TTOU) is the job, not us.
_NEVER = frozenset(
    int(signo)
    for signo in (
        signal.SIGKILL,
        signal.SIGSTOP,
        signal.SIGPIPE,
        signal.SIGTTIN,
        signal.SIGTTOU,
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGTRAP,
        signal.SIGSYS,
    )
)


def block() -> set[int]:
    """Block every signal that can be; return the mask as the caller had it."""
    return {int(signo) for signo in signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())}


def let_fatal_through(caller_mask: Iterable[int]) -> None:
    """Let the signals that end mslock end it by themselves, while nothing is held yet that would be left behind."""
    if signal.getsignal(INT) is signal.default_int_handler:
        signal.signal(INT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FATAL.difference(caller_mask))


def restore(mask: Iterable[int]) -> None:
    """Give a process the caller's mask, for what runs without a watch."""
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class Signals:
    """The signals of a supervisor, to be waited for. All of them are blocked when this is made.

    Attributes:
        caller_mask: what the caller had blocked, for the job to start with.
    """

    def __init__(self, caller_mask: Iterable[int]) -> None:
        self.caller_mask = frozenset(caller_mask)
        # What the caller ignores (nohup) stays ignored; a blocked signal would be kept for us nevertheless.
        ignored = {signo for signo in map(int, signal.valid_signals()) if signal.getsignal(signo) == signal.SIG_IGN}
        self._collected = {int(signo) for signo in signal.valid_signals()} - _NEVER - (ignored - {CHLD, ALRM})
        self._ignored_by_caller = ignored & {CHLD, ALRM}
        # `alarm(60); exec mslock` is how timeout(1) was done before there was one: that alarm is the job's.
        alarm_s = signal.setitimer(signal.ITIMER_REAL, 0)[0]
        self._callers_alarm_s = now_s() + alarm_s if alarm_s else _NEVER_S
        # Under an inherited SIG_IGN the kernel reaps the job itself, and a wait for it never ends.
        signal.signal(CHLD, signal.SIG_DFL)
        signal.signal(ALRM, signal.SIG_DFL)

    def wait(self, seconds: float) -> signal.struct_siginfo | None:
        """The next signal, or None if none has come for so long (at once, where `seconds` is not above 0).

        A timer ends the wait, not `sigtimedwait`: Python's returns a signal that never came after it has been
        stopped (SIGSTOP) until past its time (CPython 3.10 to 3.13, signal_sigtimedwait_impl, after EINTR).
        """
        now = now_s()
        if now >= self._callers_alarm_s:
            self._callers_alarm_s = _NEVER_S
            os.kill(os.getpid(), ALRM)
        seconds = min(seconds, self._callers_alarm_s - now)
        if seconds > 0:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            got = signal.sigwaitinfo(self._collected)
            return None if _is_timer(got) else got
        while True:
            late = signal.sigtimedwait(self._collected, 0)
            if late is None or not _is_timer(late):  # that of a wait which another signal has ended
                return late

    def restore_for_job(self) -> None:
        """In the forked job: the caller's mask and dispositions. Python has changed PIPE, XFSZ and INT."""
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        if signal.getsignal(INT) is signal.default_int_handler:
            signal.signal(INT, signal.SIG_DFL)
        for signo in self._ignored_by_caller:
            signal.signal(signo, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.caller_mask)


def _is_timer(got: signal.struct_siginfo) -> bool:
    """Whether it is our own timer's, which is nobody else's to get."""
    return got.si_signo == ALRM and got.si_code == SI_KERNEL


def wake(thread: int) -> None:
    """Wake a thread of ours from `Signals.wait`, as the end of a child does."""
    signal.pthread_kill(thread, CHLD)


def stop_of(signo: int) -> None:
    """Stop this process as the signal would have: not at all where no shell is there to continue it."""
    os.kill(os.getpid(), signo)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signo,))
    signal.pthread_sigmask(signal.SIG_BLOCK, (signo,))


def die_of(signo: int) -> None:
    """End this process as the signal would have: a shell's loop must end on Ctrl-C. No core is left."""
    if signo == QUIT:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    signal.signal(signo, signal.SIG_DFL)
    os.kill(os.getpid(), signo)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signo,))
