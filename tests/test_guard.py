"""The guard over a job, on real processes: its supervisor is this test."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator

import pytest

from mslock import identity
from mslock.clock import now_s
from mslock.guard import Guard
from mslock.session import Session
from tests.samples import eventually

_STUBBORN = "trap '' TERM; echo ready; while :; do sleep 1000; done"
_MEEK = "echo ready; exec sleep 1000"

Begin = Callable[[str], Session]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Jobs in sessions of their own, killed after the test."""
    jobs: list[subprocess.Popen[bytes]] = []

    def begin(line: str) -> Session:
        job = subprocess.Popen(["/bin/sh", "-c", line], stdout=subprocess.PIPE, start_new_session=True)
        jobs.append(job)
        assert job.stdout is not None
        job.stdout.readline()
        seen = identity.process(job.pid)
        return Session(job.pid, seen.start if seen else None)

    yield begin
    for job in jobs:
        Session(job.pid, None).send(9)
        job.communicate()


def die(guard: Guard) -> None:
    """As a supervisor: the pipe ends."""
    os.close(guard._alive)


def test_a_guard_stops_the_job_of_a_supervisor_that_died(begin: Begin) -> None:
    session = begin(_MEEK)
    guard = Guard(session, 1000)
    assert not session.empty()
    die(guard)
    eventually(session.empty, "the job is stopped")
    os.waitpid(guard.pid, 0)


def test_a_job_that_ignores_term_is_killed_after_its_grace(begin: Begin) -> None:
    session = begin(_STUBBORN)
    guard = Guard(session, 0.2)
    die(guard)
    eventually(session.empty, "the job is killed")
    os.waitpid(guard.pid, 0)


def test_a_grace_ends_when_the_job_must_be_over_as_the_supervisor_told_last(begin: Begin) -> None:
    session = begin(_STUBBORN)
    guard = Guard(session, 1000)
    guard.tell(now_s() + 1000)
    guard.tell(now_s() + 0.2)
    die(guard)
    eventually(session.empty, "the job is killed")
    os.waitpid(guard.pid, 0)


def test_a_guard_that_is_dismissed_leaves_the_job_alone(begin: Begin) -> None:
    session = begin(_MEEK)
    guard = Guard(session, 0)
    guard.dismiss()
    assert not session.empty()
    with pytest.raises(ProcessLookupError):
        os.kill(guard.pid, 0)


def test_to_tell_a_guard_that_was_killed_harms_nothing(begin: Begin) -> None:
    guard = Guard(begin(_MEEK), 0)
    os.kill(guard.pid, 9)
    os.waitpid(guard.pid, 0)
    guard.tell(now_s())
    guard.dismiss()
