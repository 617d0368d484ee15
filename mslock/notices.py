"""What mslock tells: on stderr and to syslog, and never at the price of a renewal or a signal.

Why: a full pipe, Ctrl-S, or a log daemon that does not read blocks a writer for as long as it likes. So stderr is
written in a thread that may hang by itself, and the log's socket never waits: what cannot be told is lost. The
`syslog` module waits (seen: for ten minutes), hence the socket.

Source: RFC 3164, section 4.1, as the C library writes it.
"""

from __future__ import annotations

import _thread
import os
import time

TYPE_CHECKING = False

_CRON = 9 << 3
_ERROR, _WARNING, _INFO = 3, 4, 6
_LOG = "/dev/log"
#: How long a message on stderr may hold up the very end of mslock.
_PATIENCE_S = 0.2


class Notices:
    """Where messages go. Each is one line, `mslock: NAME: what happened`.

    Attributes:
        name: the lock, once it is known.
        verbose, quiet: as the user asked.
    """

    def __init__(self, name: str = "", verbose: bool = False, quiet: bool = False) -> None:
        self.name = name
        self.verbose = verbose
        self.quiet = quiet
        self._backlog: list[bytes] = []
        self._writing = _thread.allocate_lock()

    def event(self, text: str) -> None:
        """A start, a skip, an end: nothing that cron should mail."""
        if self.verbose:
            self._print(text)
        self._log(_INFO, text)

    def warning(self, text: str) -> None:
        """Something that somebody should look at, though mslock goes on."""
        if not self.quiet:
            self._print(text)
        self._log(_WARNING, text)

    def error(self, text: str) -> None:
        """Why mslock ends."""
        self._print(text)
        self._log(_ERROR, text)

    def settle(self) -> None:
        """Give what stands in line for stderr a moment, before the process ends."""
        while self._writing.acquire(timeout=_PATIENCE_S):
            self._writing.release()
            if not self._backlog:
                break
            self._start_writing()

    def _line(self, text: str) -> str:
        return printable(f"{self.name}: {text}" if self.name else text)

    def _print(self, text: str) -> None:
        self._backlog.append(f"mslock: {self._line(text)}\n".encode(errors="backslashreplace"))
        self._start_writing()

    def _start_writing(self) -> None:
        if self._writing.acquire(blocking=False):
            try:
                _thread.start_new_thread(self._write, ())
            except RuntimeError:  # no room for a thread
                import select

                poll = select.poll()
                poll.register(2, select.POLLOUT)
                if not poll.poll(0):
                    self._backlog.clear()  # the messages are the price
                self._write()

    def _write(self) -> None:
        try:
            while self._backlog:
                os.write(2, self._backlog.pop(0))
        except OSError:
            pass  # closed, or a pipe that nobody reads: there is no one to tell
        finally:
            self._writing.release()

    def _log(self, severity: int, text: str) -> None:
        stamp = time.strftime("%b %e %H:%M:%S")
        line = f"<{_CRON | severity}>{stamp} mslock[{os.getpid()}]: {self._line(text)}"
        try:
            # Not `socket`: it imports enum and selectors.
            import _socket

            log = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
            try:
                log.setblocking(False)
                log.connect(_LOG)
                log.send(line.encode(errors="backslashreplace"))
            finally:
                log.close()
        except (OSError, ImportError):
            pass  # no log daemon, one that does not read, or no descriptor left to reach it by


def printable(text: str) -> str:
    """The text, with every control character and the like as an escape: a row, or an argument, may hold any."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode() for char in text
    )


def seconds(duration_s: float) -> str:
    """A span for a person: `7s`, `3m20s`, `2h5m`."""
    whole = max(0, round(duration_s))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60}s"
    return f"{whole // 3600}h{whole % 3600 // 60}m"
