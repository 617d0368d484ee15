"""The keeping of a lock: its lease renewed in time, and the moment known when it must be taken for lost.

Why: "no answer" is not "lost", until the lease is about to end by the supervisor's own clock. A supervisor that slept
past that (suspend, SIGSTOP) asks once more, shortly, before it stops a job that nobody else wanted.
"""

from __future__ import annotations

from mslock import protocol
from mslock.conversation import Conversation
from mslock.errors import MslockError
from mslock.policy import Lease

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mslock.policy import Row
    from mslock.store import Store

#: Between a renewal without answer and the next.
_RETRY_S = 3.0
#: How long a supervisor that slept may ask for its lock.
_LAST_QUESTION_S = 1.0
NEVER = float("inf")


class Keeper:
    """Keeps one lock that is ours.

    Attributes:
        row: the lock as the database last acknowledged it.
        lease: how long that is good for.
        lost: whether somebody else has the lock, or nobody.
        trouble: why the last renewal had no answer; empty if it had one.
    """

    def __init__(self, store: Store, row: Row, lease: Lease, kill_after_ms: int, db_timeout_ms: int) -> None:
        self.row = row
        self.lease = lease
        self.lost = False
        self.trouble = ""
        self._store = store
        self._kill_after_ms = kill_after_ms
        self._bound_s = db_timeout_ms / 1000
        self._conversation: Conversation | None = None
        self._abandon_at_s = NEVER
        self._renew_at_s = lease.renew_at_s
        self._asked_last = False

    @property
    def busy(self) -> bool:
        """Whether a conversation is under way."""
        return self._conversation is not None

    def step(self, now_s: float) -> float:
        """Take an answer, or ask; the time at which to call again (a conversation's end wakes the caller too)."""
        if self._conversation is not None:
            if self._conversation.done:
                self._take_answer(self._conversation, now_s)
            elif now_s >= self._abandon_at_s:
                self._conversation, self.trouble = None, "no answer from the database in time"
                self._renew_at_s = now_s + _RETRY_S
        if self.lost:
            return NEVER
        if self._slept(now_s):
            self._asked_last = True
            self._abandon_at_s = now_s + _LAST_QUESTION_S
            if self._conversation is None:
                self._ask(now_s)
        elif self._conversation is None and now_s >= self._renew_at_s:
            self._abandon_at_s = now_s + self._bound_s
            self._ask(now_s)
        wake_s = self._renew_at_s if self._conversation is None else self._abandon_at_s
        return min(wake_s, self.lease.term_at_s) if now_s < self.lease.term_at_s else wake_s

    def must_stop(self, now_s: float) -> bool:
        """Whether the job must be stopped now, so that it is over when another may start."""
        if self.lost:
            return True
        return now_s >= self.lease.term_at_s and not (self._asked_last and self.busy)

    def _slept(self, now_s: float) -> bool:
        """Whether the lease has come to its end without a question, so that one more is worth its while."""
        if self._asked_last or now_s < self.lease.term_at_s:
            return False
        return now_s >= self.lease.kill_at_s or not (self.trouble or self.busy)

    def _ask(self, now_s: float) -> None:
        store, row = self._store.another(), self.row  # an abandoned conversation may still hang on its own

        def talk() -> tuple[Row, float] | None:
            try:
                return protocol.renew(store, row)
            finally:
                store.close()

        try:
            self._conversation = Conversation(talk)
        except MslockError as error:
            self.trouble = str(error)
            self._renew_at_s = now_s + _RETRY_S

    def _take_answer(self, conversation: Conversation, now_s: float) -> None:
        self._conversation = None
        try:
            renewed = conversation.answer()
        except MslockError as error:
            self.trouble = str(error)
            self._renew_at_s = now_s + _RETRY_S
            return
        if renewed is None:
            self.lost = True
            return
        self.row, read_at_s = renewed
        self.lease = Lease(read_at_s, self.row.lease_ms, self._kill_after_ms)
        self._renew_at_s = self.lease.renew_at_s
        self.trouble, self._asked_last = "", False
