"""The steps of the protocol, each one conversation with the database: look, claim, renew, finish, give back.

Why: each step reads, lets `policy` decide, and writes by compare-and-swap, until it has won or has seen that it lost.
Nothing here knows a process or a signal, so the same code runs against every database and under simulation. A release
reads too, though it could write at once: a run's completion is told by the database's clock, and the read is how the
clock is asked.
"""

from __future__ import annotations

from mslock import policy
from mslock.clock import now_s
from mslock.errors import DatabaseError, MslockError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mslock.child import Ending
    from mslock.policy import Record, Row
    from mslock.store import Store

#: Lost races in a row, each to a writer that won, before it is called no answer.
TRIES = 20


def look(store: Store, name: str) -> tuple[Row | None, int]:
    """The lock and the database's time in ms; a lease that a clock set back made impossible is mended on the way."""
    for _ in range(TRIES):
        row, now_ms = store.read(name)
        mended = policy.set_back(row, now_ms) if row is not None else None
        if mended is None:
            return row, now_ms
        if store.write(mended, row):
            return mended, now_ms
    raise too_many(name)


def claim(store: Store, row: Row, before: Row | None, lost: Record | None) -> tuple[bool, MslockError | None]:
    """Take the lock, and record the lost run that it is recovered from; False if somebody else was quicker.

    Second comes what the history failed of: the lock is ours all the same.
    """
    if not store.write(row, before):
        return False, None
    if lost is not None:
        try:
            store.record(lost)
        except MslockError as error:
            return True, error
    return True, None


def renew(store: Store, mine: Row) -> tuple[Row, float] | None:
    """The renewed row, and the own time in seconds before it was read; None if the lock is lost."""
    for _ in range(TRIES):
        read_at_s = now_s()
        row, now_ms = store.read(mine.name)
        if policy.lags(row, mine.version):
            raise _lagging(mine.name)
        if row is None or not policy.is_mine(row, mine.run_id):
            return None
        renewed = policy.renew(row, now_ms)
        if store.write(renewed, row):
            return renewed, read_at_s
    raise too_many(mine.name)


def finish(store: Store, mine: Row, outcome: str, ending: Ending, ended_at_s: float) -> tuple[bool, MslockError | None]:
    """Record the run that has ended, and release its lock; False if the lock was no longer ours to release.

    Second comes what the history failed of, which prevents nothing.
    """
    for _ in range(TRIES):
        row, now_ms = store.read(mine.name)
        if policy.lags(row, mine.version):
            raise _lagging(mine.name)
        # The job ended when it did, not when the database could be told.
        finished_ms = max(now_ms - round((now_s() - ended_at_s) * 1000), mine.started_ms or 0)
        exit_code = None if ending.signo else ending.code
        run = policy.ended_run(mine, finished_ms, outcome, exit_code, ending.cpu_ms, ending.max_rss_kib)
        if row is None or not policy.is_mine(row, mine.run_id):
            return row is not None and row.run_id == mine.run_id, _record(store, run)
        released = policy.release(row, finished_ms, outcome, exit_code)
        written, failed = store.release(released, row, run)
        if written:
            return True, failed
    raise too_many(mine.name)


def give_back(store: Store, mine: Row, before: Row | None) -> None:
    """Undo a claim whose job never started."""
    for _ in range(TRIES):
        row, _ = store.read(mine.name)
        if policy.lags(row, mine.version):
            raise _lagging(mine.name)
        if row is None or not policy.is_mine(row, mine.run_id) or store.write(policy.give_back(row, before), row):
            return
    raise too_many(mine.name)


def _record(store: Store, run: Record) -> MslockError | None:
    try:
        store.record(run)
    except MslockError as error:
        return error
    return None


def _lagging(name: str) -> DatabaseError:
    return DatabaseError(f"{name} has vanished from the database, or a copy answered that lags behind our own write")


def too_many(name: str) -> DatabaseError:
    return DatabaseError(f"{name} is written by others faster than we can")
