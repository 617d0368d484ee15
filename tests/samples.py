"""Rows and holders to test with, and the one way to wait for something: by polling it, with a bound."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from mslock import policy
from mslock.policy import Evidence, Holder, Record, Row

#: Hypothesis the same way each time, and with no eye on the clock.
steady = settings(derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])

NOW_MS = 1_790_000_000_000
LEASE_MS = 300_000
KERNEL = "00000000-0000-0000-0000-000000000001:4026531836:4026531834"
HOLDER = Holder("web-1", KERNEL, 4711, 1000, 4712, 1001, "root", "/usr/bin/report")
HOLDER_COLUMNS = ("host", "kernel_id", "pid", "pid_start", "job_session", "job_start", "lease_until_ms")


def held_row(**changes: Any) -> Row:
    """A lock that HOLDER claimed a second ago, after a run that ended well long before."""
    row = Row(
        "report",
        7,
        NOW_MS - 1000,
        "a" * 32,
        HOLDER.host,
        HOLDER.kernel_id,
        HOLDER.pid,
        HOLDER.pid_start,
        HOLDER.job_session,
        HOLDER.job_start,
        HOLDER.username,
        HOLDER.command,
        NOW_MS - 1000 + LEASE_MS,
        LEASE_MS,
        NOW_MS - 1000,
        NOW_MS - 3_600_000,
        10_000,
        "web-2",
        policy.SUCCEEDED,
        0,
    )
    return row.but(**changes)


def free_row(**changes: Any) -> Row:
    return held_row(**policy.NO_HOLDER).but(**changes)


def claimed(
    before: Row | None = None,
    now_ms: int = NOW_MS,
    evidence: Evidence = policy.NO_EVIDENCE,
    *,
    name: str = "report",
    run_id: str = "b" * 32,
    holder: Holder = HOLDER,
    lease_ms: int = LEASE_MS,
    cooldown_ms: int = 10_000,
) -> Row:
    return policy.claim(
        before, now_ms, evidence, name=name, run_id=run_id, holder=holder, lease_ms=lease_ms, cooldown_ms=cooldown_ms
    )


def a_record(row: Row, **changes: Any) -> Record:
    record = policy.ended_run(row, NOW_MS, policy.SUCCEEDED, 0, 12, 3456)
    for column, value in changes.items():
        setattr(record, column, value)
    return record


#: Times of the database: around NOW_MS, so that they meet.
times_ms = st.integers(NOW_MS - 1_000_000, NOW_MS + 1_000_000)
pauses_ms = st.integers(0, 1_000_000)
beliefs = st.sampled_from((policy.ALIVE, policy.DEAD, policy.DOUBT))
evidences = st.builds(Evidence, beliefs, beliefs)
run_ids = st.text("0123456789abcdef", min_size=32, max_size=32)


@st.composite
def free_rows(draw: st.DrawFn) -> Row:
    return free_row(
        version=draw(st.integers(1, NOW_MS * 2)),
        fence=draw(times_ms),
        run_id=draw(run_ids),
        lease_ms=draw(st.integers(5_000, 1_000_000)),
        started_ms=draw(st.none() | times_ms),
        finished_ms=draw(st.none() | times_ms),
        cooldown_ms=draw(pauses_ms),
        last_outcome=draw(st.none() | st.sampled_from((policy.SUCCEEDED, policy.FAILED, policy.ABANDONED))),
        last_exit_code=draw(st.none() | st.integers(0, 255)),
    )


@st.composite
def held_rows(draw: st.DrawFn) -> Row:
    return draw(free_rows()).but(
        host=draw(st.sampled_from(("web-1", "web-2"))),
        kernel_id=draw(st.none() | st.just(KERNEL)),
        pid=draw(st.integers(1, 4_000_000)),
        pid_start=draw(st.none() | st.integers(0, 10**9)),
        job_session=draw(st.integers(2, 4_000_000)),
        job_start=draw(st.none() | st.integers(0, 10**9)),
        started_ms=draw(times_ms),
        lease_until_ms=draw(times_ms),
    )


rows = free_rows() | held_rows()


def eventually(condition: Callable[[], object], what: str = "it", bound_s: float = 30.0) -> None:
    """Poll until the condition holds; fail loudly if it never does."""
    ends_s = time.monotonic() + bound_s
    while not condition():
        if time.monotonic() > ends_s:
            raise AssertionError(f"{what} did not happen within {bound_s:g}s")
        time.sleep(0.002)
