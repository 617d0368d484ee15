"""The watch over a running job: one loop that passes signals on, keeps the lock, and stops what must be stopped.

Why: everything that can happen meanwhile (a signal, the job's end, an answer from the database, a moment in time)
ends one wait, and is looked at in one order. Nothing in the loop blocks.
"""

from __future__ import annotations

import os

from mslock import policy, signals
from mslock.clock import now_s
from mslock.guard import Guard
from mslock.keeper import NEVER
from mslock.notices import seconds
from mslock.session import Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mslock.child import Ending, Job
    from mslock.keeper import Keeper
    from mslock.notices import Notices
    from mslock.settings import Settings
    from mslock.signals import Signals

#: It looks at the time at least so often: a wait does not count while the machine sleeps.
_LOOK_EVERY_S = 5.0
#: A job that is over by then never had a guard.
_GUARD_AFTER_S = 0.05
#: Between one try to fork a guard and the next.
_GUARD_RETRY_S = 3.0

#: Passed on to the whole session; the default of the others is to kill whoever does not expect them.
_TO_ALL = frozenset((signals.TERM, signals.INT, signals.QUIT, signals.HUP, signals.CONT, signals.TSTP))
#: What a terminal that is closed sends to the leader of its session, and to nobody else.
_TO_LEADER = (signals.HUP, signals.CONT)


class Watch:
    """The watch over one job, from its go to its end.

    Attributes:
        outcome: TIMED_OUT or LOST once the watch has decided to stop the job; empty if it ends by itself.
        unheard: signals that came when the job had ended, so that they are for mslock itself.
    """

    def __init__(
        self, settings: Settings, signals: Signals, notices: Notices, job: Job, keeper: Keeper | None, terminal: bool
    ) -> None:
        """`keeper` is None for a job that runs without a lock."""
        self.outcome = ""
        self.unheard: list[int] = []
        self._settings = settings
        self._signals = signals
        self._notices = notices
        self._job = job
        self._keeper = keeper
        self._terminal = terminal
        self._guard: Guard | None = None
        self._stop: Stop | None = None
        self._told_guard_s = NEVER
        self._told_trouble = self._told_unkillable = False
        started_s = now_s()
        self._guard_at_s = started_s + _GUARD_AFTER_S if settings.on_lost == "stop" else NEVER
        self._timeout_at_s = started_s + settings.timeout_ms / 1000 if settings.timeout_ms else NEVER

    def run(self) -> tuple[Ending, float]:
        """Watch to the end; how the job ended, and when (CLOCK_BOOTTIME)."""
        while not (self._job.ended() if self._stop is None else self._job.gone()):
            now = now_s()
            wakes = [now + _LOOK_EVERY_S, self._mind_timeout(now), self._keep_lock(now), self._keep_guard(now)]
            if self._stop is not None:
                wakes.append(now + self._stop.step(now))
                self._tell_unkillable(now)
            signal = self._signals.wait(min(wakes) - now_s())
            if signal is None:
                continue
            if self._stop is None and signal.si_signo != signals.CHLD and self._job.ended():
                self.unheard.append(signal.si_signo)
            else:
                self.pass_on(signal.si_signo, signal.si_code)
        ended_at_s = now_s()
        if self._guard is not None:
            self._guard.dismiss()
        return self._job.reap(), ended_at_s

    def pass_on(self, signo: int, code: int = 0) -> None:
        """Give the job a signal that mslock has received."""
        if signo == signals.CHLD:
            self._attend_children()
        elif self._terminal and code == signals.SI_KERNEL and not (signo in _TO_LEADER and os.getsid(0) == os.getpid()):
            pass  # from the terminal, which reaches the job by itself
        elif signo in _TO_ALL:
            self._job.session.send(signals.STOP if signo == signals.TSTP else signo)
        else:
            self._job.send(signo)

    def _attend_children(self) -> None:
        """Stop when the job at a terminal has stopped; bury what is not ours, as process 1 of a container must."""
        if self._terminal and self._job.stopped():
            os.kill(os.getpid(), signals.STOP)
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid == self._job.pid:
                return
            if self._guard is not None and ended.si_pid == self._guard.pid:
                self._guard.dismiss()
                self._guard, self._guard_at_s = None, now_s()
            else:
                os.waitpid(ended.si_pid, 0)

    def _mind_timeout(self, now: float) -> float:
        if self.outcome == policy.LOST:
            return NEVER
        if now < self._timeout_at_s:
            return self._timeout_at_s
        self._timeout_at_s = NEVER
        self._begin_stop(policy.TIMED_OUT, now, now + self._settings.kill_after_ms / 1000)
        self._notices.warning(f"stopping the job: {seconds(self._settings.timeout_ms / 1000)} (--timeout) have passed")
        return NEVER

    def _keep_lock(self, now: float) -> float:
        if self._keeper is None or self.outcome == policy.LOST:
            return NEVER
        wake = self._keeper.step(now)
        if not self._keeper.must_stop(now):
            if self._keeper.trouble and not self._told_trouble:
                self._notices.warning(f"renewal failed, trying again: {self._keeper.trouble}")
            self._told_trouble = bool(self._keeper.trouble)
            return wake
        why = "somebody else has it, or it was forgotten" if self._keeper.lost else self._keeper.trouble or "no answer"
        if self._settings.on_lost == "continue":
            if self._keeper.lost:
                self._notices.warning(f"the lock is lost ({why}); the job goes on, as --on-lost says")
                self._keeper = None
                return NEVER
            return max(wake, now + 1)
        self._begin_stop(policy.LOST, now, min(now + self._settings.kill_after_ms / 1000, self._keeper.lease.kill_at_s))
        self._notices.error(f"the lock is lost ({why}); stopping the job")
        return NEVER

    def _begin_stop(self, outcome: str, now: float, kill_at_s: float) -> None:
        """Stop the job, or hasten a stop that is under way."""
        if self._stop is None:
            self._stop = Stop(self._job.session, now, kill_at_s)
        else:
            self._stop.kill_at_s = min(self._stop.kill_at_s, kill_at_s)
        self.outcome = outcome

    def _tell_unkillable(self, now: float) -> None:
        if self._stop is not None and self._stop.unkillable(now) and not self._told_unkillable:
            self._told_unkillable = True
            pids = ", ".join(f"{member.pid} ({member.state})" for member in self._stop.session.members())
            self._notices.error(f"the lock is kept: SIGKILL does not end process {pids or self._job.pid}")

    def _keep_guard(self, now: float) -> float:
        """Fork a guard when one is due and, for a moment, when no thread is in the way; when to look again."""
        if self._guard is not None:
            if self._keeper is not None and self._told_guard_s != self._keeper.lease.kill_at_s:
                self._told_guard_s = self._keeper.lease.kill_at_s
                self._guard.tell(self._told_guard_s)
            return NEVER
        if now < self._guard_at_s:
            return self._guard_at_s
        if self._keeper is not None and self._keeper.busy and now < self._guard_at_s + _GUARD_AFTER_S:
            return self._guard_at_s + _GUARD_AFTER_S
        try:
            self._guard = Guard(self._job.session, self._settings.kill_after_ms / 1000)
            self._told_guard_s = NEVER
        except OSError as error:
            self._guard_at_s = now + _GUARD_RETRY_S
            self._notices.warning(f"no guard over the job for now: {error.strerror}")
            return self._guard_at_s
        return now
