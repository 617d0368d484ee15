"""Waiting while no job runs: for a moment in time or an answer from the database, and never deaf to signals.

Why: before the start and after the end a signal is for mslock itself. The four that end it are kept until the step
under way is over, for a second at most, so that a claim that succeeds meanwhile can still be given back.
"""

from __future__ import annotations

from mslock import signals
from mslock.clock import now_s
from mslock.conversation import Conversation
from mslock.errors import DatabaseError, Signalled

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import TypeVar

    from mslock.signals import Signals

    T = TypeVar("T")

#: A database that does not answer never delays a signal by more.
_PATIENCE_S = 1.0


class Waiting:
    """Waits, one at a time.

    Attributes:
        ending: the signal that is to end mslock, once one has come.
        early: other signals, in the order in which they came, for a job that has not started.
    """

    def __init__(self, signals: Signals, label: str, bound_s: float) -> None:
        """`label` names the database in errors; `bound_s` is for one conversation with it."""
        self.ending: Signalled | None = None
        self.early: list[int] = []
        self._signals = signals
        self._label = label
        self._bound_s = bound_s

    def rest(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            Signalled: a signal has come that ends mslock.
        """
        ends_s = now_s() + seconds
        while True:
            self._hear(self._signals.wait(ends_s - now_s()))
            self.end_if_told()
            if now_s() >= ends_s:
                return

    def converse(self, talk: Callable[[], T]) -> T:
        """What `talk` returns, from a conversation of its own.

        Raises:
            DatabaseError: no answer within the bound.
            Signalled: no answer, and a signal has come that ends mslock. With an answer, look at `ending`.
            MslockError: what `talk` raised.
        """
        conversation = Conversation(talk)
        begun_s = now_s()
        ends_s = begun_s + self._bound_s
        while not conversation.done:
            if self.ending is not None:
                ends_s = min(ends_s, begun_s + _PATIENCE_S)
            left_s = ends_s - now_s()
            if left_s <= 0:
                self.end_if_told()
                raise DatabaseError(f"{self._label}: no answer within {self._bound_s:g}s")
            if self._hear(self._signals.wait(left_s)):
                begun_s = now_s()  # its patience counts from the signal
        answer: T = conversation.answer()
        return answer

    def end_if_told(self) -> None:
        """
        Raises:
            Signalled: a signal has come that ends mslock.
        """
        if self.ending is not None:
            raise self.ending

    def keep(self, signo: int) -> bool:
        """Keep a signal for whom it is for; whether it ends mslock."""
        if signo in signals.FATAL:
            self.ending = self.ending or Signalled(signo)
            return True
        if signo == signals.TSTP:
            signals.stop_of(signo)  # no job runs on a lease that could end meanwhile
        elif signo not in (signals.CONT, signals.CHLD):
            self.early.append(signo)
        return False

    def _hear(self, signal: signal.struct_siginfo | None) -> bool:
        return signal is not None and self.keep(signal.si_signo)
