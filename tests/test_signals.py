"""Signals as they are collected, in a process of its own: nothing here may block this one's."""

from __future__ import annotations

import subprocess
import sys
import textwrap

_PRELUDE = """
import os, signal, time
from mslock import signals
collected = signals.Signals(signals.block())

def pending(signo):
    ends = time.monotonic() + 60
    while signo not in signal.sigpending():
        assert time.monotonic() < ends
"""


def _in_a_process(script: str) -> None:
    code = _PRELUDE + textwrap.dedent(script)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, start_new_session=True)
    assert ended.returncode == 0, ended.stderr


def test_the_timer_of_a_wait_is_never_taken_for_a_signal_that_somebody_sent() -> None:
    """A wait that another signal ends leaves its timer behind."""
    _in_a_process(
        """
        os.kill(os.getpid(), signal.SIGUSR1)
        assert collected.wait(0.01).si_signo == signal.SIGUSR1
        pending(signal.SIGALRM)
        assert collected.wait(0) is None
        os.kill(os.getpid(), signal.SIGUSR1)
        assert collected.wait(0.01).si_signo == signal.SIGUSR1
        pending(signal.SIGALRM)
        assert collected.wait(60) is None
        """
    )


def test_a_signal_behind_a_timer_is_not_overlooked() -> None:
    _in_a_process(
        """
        os.kill(os.getpid(), signal.SIGUSR1)
        assert collected.wait(0.01).si_signo == signal.SIGUSR1
        pending(signal.SIGALRM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert collected.wait(0).si_signo == signal.SIGTERM
        """
    )


def test_an_alarm_that_somebody_sent_is_heard() -> None:
    _in_a_process(
        """
        os.kill(os.getpid(), signal.SIGALRM)
        assert collected.wait(0).si_signo == signal.SIGALRM
        os.kill(os.getpid(), signal.SIGALRM)
        assert collected.wait(60).si_signo == signal.SIGALRM
        """
    )


def test_a_wait_ends_when_its_time_has_passed() -> None:
    _in_a_process("assert collected.wait(0.01) is None")


def test_what_the_caller_ignores_is_not_heard() -> None:
    code = _PRELUDE.replace("collected =", "signal.signal(signal.SIGHUP, signal.SIG_IGN)\ncollected =") + (
        "os.kill(os.getpid(), signal.SIGHUP)\nassert collected.wait(0) is None\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, start_new_session=True)
