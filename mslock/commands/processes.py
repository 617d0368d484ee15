"""What the processes of a held lock are, for a person.

Why: psutil describes, and `identity` decides: nothing here is taken for proof. Names of programs are shown and no
arguments, which may hold a password.
"""

from __future__ import annotations

import time

import psutil

from mslock import identity
from mslock.commands.moments import span
from mslock.policy import Row

_MOST = 5


def describe(row: Row) -> str:
    """The supervisor, and the processes of the job with their time and memory; of this kernel only."""
    supervisor = identity.process(row.pid) if row.pid is not None else None
    alive = supervisor is not None and supervisor.live and supervisor.start == row.pid_start
    told = [f"supervisor {row.pid}" if alive else f"supervisor {row.pid} is dead"]
    members = identity.job_members(row.job_session, row.job_start)
    texts = [text for text in (_one(member.pid) for member in members[:_MOST]) if text]
    told.append("job " + ", ".join(texts) if texts else "no process of its job is left")
    if len(members) > _MOST:
        told.append(f"and {len(members) - _MOST} more")
    return "; ".join(told)


def _one(pid: int) -> str:
    try:
        seen = psutil.Process(pid)
        with seen.oneshot():
            times = seen.cpu_times()
            age_ms = round((time.time() - seen.create_time()) * 1000)
            return (
                f"{pid} {seen.name()} ({seen.username()}, {seen.status()}, for {span(age_ms)}, cpu"
                f" {times.user + times.system:.1f}s, {seen.memory_info().rss / 2**20:.0f} MiB)"
            )
    except psutil.Error:  # it has ended meanwhile, or is not ours to look at
        return "" if not psutil.pid_exists(pid) else str(pid)
