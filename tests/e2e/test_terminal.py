"""Under a real terminal: the keys do what they do without mslock."""

from __future__ import annotations

import fcntl
import os
import pathlib
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import BOUND_S, EXECUTABLE, Mslock, alive, until


class Terminal:
    """A pty with a process in it that has it as its controlling terminal."""

    def __init__(self, mslock: Mslock, *command: str) -> None:
        self.shown = b""
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.chdir(mslock.folder)
            os.execvpe(command[0], command, mslock.environ | {"PS1": "$ ", "TERM": "dumb"})
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def read(self) -> bytes:
        """Everything that is shown by now, in all."""
        while select.select([self._master], [], [], 0.01)[0]:
            try:
                got = os.read(self._master, 65536)
            except OSError:  # the other side has been closed
                break
            if not got:
                break
            self.shown += got
        return self.shown

    def shows(self, text: str) -> None:
        until(lambda: text.encode() in self.read(), f"{text!r} is shown in {self.shown!r}")

    def wait(self) -> int:
        """The wait status of the process in the terminal, read to its end."""
        ends = time.monotonic() + BOUND_S
        while time.monotonic() < ends:
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return status
        raise AssertionError(f"still there: {self.shown!r}")

    def close(self) -> None:
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def end(self) -> None:
        self.close()
        if self.pid:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                return
            os.waitpid(self.pid, 0)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.end()


@pytest.mark.parametrize(("key", "signo"), [("\x03", signal.SIGINT), ("\x1c", signal.SIGQUIT)])
def test_mslock_dies_of_the_key_that_its_job_dies_of(
    mslock: Mslock, terminals: list[Terminal], key: str, signo: int
) -> None:
    terminals.append(terminal := Terminal(mslock, EXECUTABLE, "--name", "x", "-c", "echo ready; exec sleep 1000"))
    terminal.shows("ready")
    terminal.type(key)
    status = terminal.wait()
    assert os.WIFSIGNALED(status), status
    assert os.WTERMSIG(status) == signo
    row = mslock.row("x")
    assert (row["pid"], row["last_outcome"]) == (None, "killed")


def test_a_job_that_handles_ctrl_c_gets_it_once_and_its_own_code_comes_back(
    mslock: Mslock, terminals: list[Terminal]
) -> None:
    line = "trap 'echo INT' INT; trap 'exit 4' TERM; echo ready; while :; do sleep 0.05; done"
    terminals.append(terminal := Terminal(mslock, EXECUTABLE, "--name", "x", "-c", line))
    terminal.shows("ready")
    terminal.type("\x03")
    terminal.shows("INT")
    os.kill(terminal.pid, signal.SIGTERM)
    assert os.WEXITSTATUS(terminal.wait()) == 4
    assert terminal.shown.count(b"INT") == 1


def test_ctrl_z_stops_mslock_and_its_job_and_fg_continues_both(mslock: Mslock, terminals: list[Terminal]) -> None:
    terminals.append(terminal := Terminal(mslock, "bash", "--norc", "--noprofile", "-i"))
    terminal.type(f"{EXECUTABLE} --name x -c 'echo re\"\"ady; read line; echo got $line; exit 7'\n")
    terminal.shows("ready")
    terminal.type("\x1a")
    terminal.shows("Stopped")
    job = mslock.row("x")["job_session"]
    assert pathlib.Path(f"/proc/{job}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    terminal.type("fg\n")
    terminal.type("hello\n")
    terminal.shows("got hello")
    terminal.type("echo code $?\n")
    terminal.shows("code 7")
    terminal.type("exit\n")
    terminal.wait()


def test_closing_the_terminal_ends_the_job_and_releases_the_lock(mslock: Mslock, terminals: list[Terminal]) -> None:
    terminals.append(terminal := Terminal(mslock, EXECUTABLE, "--name", "x", "-c", "echo ready; exec sleep 1000"))
    terminal.shows("ready")
    job = mslock.row("x")["job_session"]
    terminal.close()
    until(lambda: not alive(job), "the job ends")
    until(lambda: mslock.row("x")["pid"] is None, "the lock is released")


def test_a_stop_by_ctrl_s_holds_up_neither_renewals_nor_the_end(mslock: Mslock, terminals: list[Terminal]) -> None:
    line = "echo ready; while [ ! -e end ]; do sleep 0.05; done"
    arguments = ("--name", "x", "-v", "--kill-after", "0", "--lease", "5s", "--timeout", "1h", "-c", line)
    terminals.append(terminal := Terminal(mslock, EXECUTABLE, *arguments))
    terminal.shows("ready")
    first = mslock.held("x")
    terminal.type("\x13")
    # It has something to tell: a renewal that fails.
    mslock.change("ALTER TABLE mslock_locks RENAME TO away")
    time.sleep(0.1)
    mslock.change("ALTER TABLE away RENAME TO mslock_locks")
    until(lambda: mslock.row("x")["lease_until_ms"] > first["lease_until_ms"], "it is renewed")
    (mslock.folder / "end").touch()
    until(lambda: mslock.row("x")["pid"] is None, "it is released")
    status = -1

    def ended() -> bool:
        nonlocal status
        pid, status = os.waitpid(terminal.pid, os.WNOHANG)
        return pid != 0

    until(ended, "mslock ends, though nobody reads what it tells")
    terminal.pid = 0
    assert os.WEXITSTATUS(status) == 0


def test_a_program_that_reads_the_terminal_may(mslock: Mslock, terminals: list[Terminal]) -> None:
    line = "stty -echo; printf 'name? '; read name; stty echo; echo hello $name; tty"
    terminals.append(terminal := Terminal(mslock, EXECUTABLE, "--name", "x", "-c", line))
    terminal.shows("name?")
    terminal.type("world\n")
    terminal.shows("hello world")
    assert terminal.wait() == 0
    assert b"/dev/pts/" in terminal.shown


def test_a_pipe_that_ends_ends_the_job_as_it_would_without_mslock(mslock: Mslock, terminals: list[Terminal]) -> None:
    terminals.append(terminal := Terminal(mslock, "bash", "--norc", "--noprofile", "-i"))
    terminal.type(f"{EXECUTABLE} --name x yes | head -n 1; echo codes ${{PIPESTATUS[@]}}\n")
    terminal.shows("codes 141 0")
    terminal.type("exit\n")
    terminal.wait()


def test_bg_continues_a_stopped_job_in_the_background(mslock: Mslock, terminals: list[Terminal]) -> None:
    terminals.append(terminal := Terminal(mslock, "bash", "--norc", "--noprofile", "-i"))
    line = 'echo re""ady; until [ -e go ]; do sleep 0.01; done; echo do""ne; exit 7'
    terminal.type(f"{EXECUTABLE} --name x -c '{line}'\n")
    terminal.shows("ready")
    terminal.type("\x1a")
    terminal.shows("Stopped")
    terminal.type("bg\n")
    (mslock.folder / "go").touch()
    terminal.shows("done")
    terminal.type("wait %1; echo code $?\n")
    terminal.shows("code 7")
    terminal.type("exit\n")
    terminal.wait()
    assert mslock.row("x")["pid"] is None


def test_a_shells_loop_ends_on_ctrl_c(mslock: Mslock, terminals: list[Terminal]) -> None:
    terminals.append(terminal := Terminal(mslock, "bash", "--norc", "--noprofile", "-i"))
    terminal.type(
        f'for i in 1 2 3; do {EXECUTABLE} --name x --cooldown 0 -c \'echo tu""rn; sleep 1000\'; done; echo en""d\n'
    )
    terminal.shows("turn")
    terminal.type("\x03")
    terminal.type('echo af""ter\n')
    terminal.shows("after")
    assert terminal.shown.count(b"turn") == 1
    terminal.type("exit\n")
    terminal.wait()


def test_a_shells_loop_ends_on_ctrl_c_also_while_mslock_waits(mslock: Mslock, terminals: list[Terminal]) -> None:
    mslock.run("--name", "x", "true")
    terminals.append(terminal := Terminal(mslock, "bash", "--norc", "--noprofile", "-i"))
    wait = f"{EXECUTABLE} --name x --cooldown 1h --wait 1h true"
    terminal.type(f'for i in 1 2 3; do echo tu""rn; {wait}; done; echo en""d\n')
    terminal.shows("turn")
    until(lambda: mslock.waits(terminal.pid), "mslock waits for its lock")
    terminal.type("\x03")
    terminal.type('echo af""ter\n')
    terminal.shows("after")
    assert terminal.shown.count(b"turn") == 1
    terminal.type("exit\n")
    terminal.wait()
