"""A conversation with the database, in a thread of its own, so that nothing that it waits for holds up a signal.

Why: drivers' own time limits do not bound a dead resolver, a server that drips, or a disk that hangs. The main thread
stays in `sigtimedwait` meanwhile, and abandons a conversation that is past its bound: whatever it may still write
is a compare-and-swap that somebody will see. `threading` is not needed for one thread, and costs milliseconds.
"""

from __future__ import annotations

import _thread

from mslock.errors import DatabaseError
from mslock.signals import wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Conversation:
    """One conversation, begun when this is made.

    Attributes:
        done: whether it has ended; its end wakes the thread that began it as a child's end does.
    """

    def __init__(self, talk: Callable[[], object]) -> None:
        """Begin.

        Raises:
            DatabaseError: there is no room for another thread.
        """
        self.done = False
        self._error: BaseException | None = None
        self._talk = talk
        self._main = _thread.get_ident()
        try:
            _thread.start_new_thread(self._run, ())
        except RuntimeError as error:
            raise DatabaseError(f"no thread for the conversation with the database: {error}") from error

    def answer(self) -> Any:
        """What `talk` returned, once it is done; or raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._answer

    def _run(self) -> None:
        try:
            self._answer = self._talk()
        except BaseException as error:
            self._error = error
        self.done = True
        wake(self._main)
