"""What may happen to a lock: the rules, as pure functions of a row, the database's time and what was seen.

Why: two jobs at once is the one thing that must not happen, so everything that decides it stands here, reads no
clock, does no I/O, and is tested as tables and properties. The database only compares versions; whoever loses
a race reads again and decides again.

Times that end in `_ms` are milliseconds since the epoch, UTC, by the database's clock. Seconds (`_s`) are the
supervisor's own CLOCK_BOOTTIME.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What can be known of a process or a session of processes. Between the two proofs is doubt, and in doubt the
# lease decides.
ALIVE = "alive"
DEAD = "dead"
DOUBT = "doubt"

# What a lock is to an invocation that wants it (`Decision.kind`).
FREE = "free"
HELD = "held"
ORPHANED = "orphaned"
COOLING = "cooling"
TOO_SOON = "too soon"

# What a lock is to a person (`state`); also ORPHANED and COOLING.
IDLE = "idle"
RUNNING = "running"
STALE = "stale"

# How a run ended.
SUCCEEDED = "succeeded"
FAILED = "failed"
KILLED = "killed"
TIMED_OUT = "timed_out"
LOST = "lost"
ABANDONED = "abandoned"

#: Numbers beyond this leave no room to count on in a BIGINT.
_ROOM = 2**62

#: Seconds between the last act of a supervisor that loses its lock and the end of its lease.
MARGIN_S = 2.0


class Evidence:
    """What was seen of a lock's holder and of its job's session, each ALIVE, DEAD or DOUBT.

    A session is DEAD when it is proven empty. Another kernel's processes are DOUBT, always.
    """

    __slots__ = ("holder", "session")

    def __init__(self, holder: str, session: str) -> None:
        self.holder = holder
        self.session = session


#: Nothing can be known: another kernel, or no /proc to believe.
NO_EVIDENCE = Evidence(DOUBT, DOUBT)


class Holder:
    """Who takes a lock: a supervisor and the session of its job. Process numbers mean nothing on another kernel.

    Attributes:
        kernel_id: which kernel judges the numbers; None where that is unknown.
        pid_start, job_start: start times in clock ticks since boot; None where unknown.
        command: the job's first word, never its arguments: they may hold a password.
    """

    __slots__ = ("command", "host", "job_session", "job_start", "kernel_id", "pid", "pid_start", "username")

    def __init__(
        self,
        host: str,
        kernel_id: str | None,
        pid: int,
        pid_start: int | None,
        job_session: int,
        job_start: int | None,
        username: str,
        command: str,
    ) -> None:
        self.host = host
        self.kernel_id = kernel_id
        self.pid = pid
        self.pid_start = pid_start
        self.job_session = job_session
        self.job_start = job_start
        self.username = username
        self.command = command


class Row:
    """One lock as the database holds it: `mslock_locks`, a column an attribute. Rows are values: `but` copies.

    `run_id`, `username` and `command` are those of the last run, also when the lock is free.
    """

    __slots__ = COLUMNS = (
        "name",
        "version",
        "fence",
        "run_id",
        "host",
        "kernel_id",
        "pid",
        "pid_start",
        "job_session",
        "job_start",
        "username",
        "command",
        "lease_until_ms",
        "lease_ms",
        "started_ms",
        "finished_ms",
        "cooldown_ms",
        "last_host",
        "last_outcome",
        "last_exit_code",
    )

    name: str
    version: int
    fence: int
    run_id: str
    host: str | None
    kernel_id: str | None
    pid: int | None
    pid_start: int | None
    job_session: int | None
    job_start: int | None
    username: str
    command: str
    lease_until_ms: int | None
    lease_ms: int
    started_ms: int | None
    finished_ms: int | None
    cooldown_ms: int
    last_host: str | None
    last_outcome: str | None
    last_exit_code: int | None

    def __init__(self, *values: Any) -> None:
        for column, value in zip(self.COLUMNS, values, strict=True):
            setattr(self, column, value)

    def but(self, **changes: Any) -> Row:
        """A copy with other values in some columns."""
        copy = Row(*self.values())
        for column, value in changes.items():
            setattr(copy, column, value)
        return copy

    def values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, column) for column in self.COLUMNS)

    @property
    def held(self) -> bool:
        return self.pid is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Row) and self.values() == other.values()

    def __hash__(self) -> int:
        return hash(self.values())

    def __repr__(self) -> str:
        return "Row(" + ", ".join(f"{column}={getattr(self, column)!r}" for column in self.COLUMNS) + ")"


#: The columns of a lock that nobody holds.
NO_HOLDER: dict[str, Any] = {
    "host": None,
    "kernel_id": None,
    "pid": None,
    "pid_start": None,
    "job_session": None,
    "job_start": None,
    "lease_until_ms": None,
}


class Record:
    """One ended run as the history holds it: `mslock_runs`, a column an attribute."""

    __slots__ = COLUMNS = (
        "name",
        "fence",
        "run_id",
        "host",
        "username",
        "command",
        "started_ms",
        "finished_ms",
        "outcome",
        "exit_code",
        "cpu_ms",
        "max_rss_kib",
    )

    name: str
    fence: int
    run_id: str
    host: str
    username: str
    command: str
    started_ms: int
    finished_ms: int
    outcome: str
    exit_code: int | None
    cpu_ms: int | None
    max_rss_kib: int | None

    def __init__(self, *values: Any) -> None:
        for column, value in zip(self.COLUMNS, values, strict=True):
            setattr(self, column, value)

    def values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, column) for column in self.COLUMNS)


def damage(values: Row | Record) -> str:
    """The first column that holds what mslock never wrote, which nothing may be decided by; empty if none does."""
    for column, annotation in type(values).__annotations__.items():
        value = getattr(values, column)
        if value is None:
            sound = annotation.endswith("None")
        elif annotation.startswith("int"):
            sound = isinstance(value, int) and abs(value) <= _ROOM
        else:
            sound = isinstance(value, str)
        if not sound:
            return str(column)
    return ""


class Decision:
    """What an invocation may do about a lock.

    Attributes:
        kind: FREE (claim it), HELD, ORPHANED, COOLING or TOO_SOON.
        until_ms: when that ends at the latest, as far as the row can tell; None if it cannot.
        stale: of a FREE lock, that it has a lost run to recover.
    """

    __slots__ = ("kind", "stale", "until_ms")

    def __init__(self, kind: str, until_ms: int | None = None, stale: bool = False) -> None:
        self.kind = kind
        self.until_ms = until_ms
        self.stale = stale


def standing(row: Row, now_ms: int, evidence: Evidence) -> str:
    """FREE, HELD, STALE or ORPHANED: the truth table of who may take a lock. It fails closed."""
    if not row.held:
        return FREE
    if evidence.holder == DEAD and evidence.session != DOUBT:
        return STALE if evidence.session == DEAD else ORPHANED
    if lease_over(row, now_ms) and ALIVE not in (evidence.holder, evidence.session):
        return STALE
    return HELD


def lease_over(row: Row, now_ms: int) -> bool:
    return row.lease_until_ms is not None and row.lease_until_ms <= now_ms


def decide(row: Row | None, now_ms: int, cooldown_ms: int, min_interval_ms: int, evidence: Evidence) -> Decision:
    """What an invocation that asks for these pauses may do about the lock. None is a name never seen."""
    if row is None:
        return Decision(FREE)
    stands = standing(row, now_ms, evidence)
    if stands in (HELD, ORPHANED):
        return Decision(stands, row.lease_until_ms)
    completed_ms = _completed_ms(row, stands, evidence)
    if completed_ms is not None and _within(completed_ms, now_ms, cooldown_ms):
        return Decision(COOLING, completed_ms + cooldown_ms)
    if row.started_ms is not None and _within(row.started_ms, now_ms, min_interval_ms):
        return Decision(TOO_SOON, row.started_ms + min_interval_ms)
    return Decision(FREE, stale=stands == STALE)


def claim(
    row: Row | None,
    now_ms: int,
    evidence: Evidence,
    *,
    name: str,
    run_id: str,
    holder: Holder,
    lease_ms: int,
    cooldown_ms: int,
) -> Row:
    """The row of a FREE lock once `holder` has it.

    A new row's version starts at the time, not at 1: should somebody delete a row by hand, the next one is
    still above whatever the deleted one's supervisor wrote, and that supervisor sees that it has lost.
    """
    fence = next_fence(row, now_ms)
    version = now_ms if row is None else row.version + 1
    finished_ms = last_host = last_outcome = last_exit_code = None
    if row is not None:
        finished_ms = row.finished_ms
        last_host, last_outcome, last_exit_code = row.last_host, row.last_outcome, row.last_exit_code
        if row.held:
            finished_ms = _completed_ms(row, STALE, evidence)
            last_host, last_outcome, last_exit_code = row.host, ABANDONED, None
    return Row(
        name,
        version,
        fence,
        run_id,
        holder.host,
        holder.kernel_id,
        holder.pid,
        holder.pid_start,
        holder.job_session,
        holder.job_start,
        holder.username,
        holder.command,
        now_ms + lease_ms,
        lease_ms,
        now_ms,
        finished_ms,
        cooldown_ms,
        last_host,
        last_outcome,
        last_exit_code,
    )


def next_fence(row: Row | None, now_ms: int) -> int:
    """The fence of the next run: it rises also where writes were lost, a row was deleted, or a backup restored."""
    return now_ms if row is None else max(row.fence + 1, now_ms)


def renew(row: Row, now_ms: int) -> Row:
    """The row with its lease counted from now."""
    return row.but(version=row.version + 1, lease_until_ms=now_ms + row.lease_ms)


#: An orphan's lock is kept from other hosts by whoever sees it on its own kernel.
extend = renew


def set_back(row: Row, now_ms: int) -> Row | None:
    """The row with a lease that is possible, if the clock was set back and its lease is not; None if all is well."""
    if row.lease_until_ms is not None and row.lease_until_ms > now_ms + row.lease_ms:
        return renew(row, now_ms)
    return None


def release(row: Row, now_ms: int, outcome: str, exit_code: int | None) -> Row:
    """The row when its run has ended."""
    return row.but(
        version=row.version + 1,
        finished_ms=now_ms,
        last_host=row.host,
        last_outcome=outcome,
        last_exit_code=exit_code,
        **NO_HOLDER,
    )


def give_back(row: Row, before: Row | None) -> Row:
    """The row of a run that never started: as it was before the claim, but for the fence, which never falls.

    What the claim found out about a run before that was lost stays.
    """
    if before is None:
        return row.but(version=row.version + 1, started_ms=None, cooldown_ms=0, **NO_HOLDER)
    return before.but(
        version=row.version + 1,
        fence=row.fence,
        finished_ms=row.finished_ms,
        last_host=row.last_host,
        last_outcome=row.last_outcome,
        last_exit_code=row.last_exit_code,
        **NO_HOLDER,
    )


def forget(row: Row, lost: bool = False) -> Row:
    """The row without holder, cool-down and interval; `lost` says that its run has no other end. The fence stays."""
    last = {"last_host": row.host, "last_outcome": ABANDONED, "last_exit_code": None} if lost else {}
    return row.but(version=row.version + 1, started_ms=None, finished_ms=None, cooldown_ms=0, **last, **NO_HOLDER)


def lost_run(row: Row, now_ms: int) -> Record:
    """The history of a run whose end nobody saw, from its stale row."""
    return ended_run(row, min(now_ms, row.lease_until_ms or now_ms), ABANDONED, None, None, None)


def ended_run(
    row: Row, finished_ms: int, outcome: str, exit_code: int | None, cpu_ms: int | None, max_rss_kib: int | None
) -> Record:
    """The history of the run that holds `row`."""
    return Record(
        row.name,
        row.fence,
        row.run_id,
        row.host,
        row.username,
        row.command,
        row.started_ms,
        finished_ms,
        outcome,
        exit_code,
        cpu_ms,
        max_rss_kib,
    )


def is_mine(row: Row | None, run_id: str) -> bool:
    """Whether the run still holds the lock, its lease over or not: nobody else has taken it."""
    return row is not None and row.held and row.run_id == run_id


def lags(row: Row | None, written_version: int) -> bool:
    """Whether a read came from a copy of the database that lags behind our own last write: no answer."""
    return row is None or row.version < written_version


def state(row: Row, now_ms: int, evidence: Evidence) -> str:
    """IDLE, RUNNING, COOLING, STALE or ORPHANED, cooling by the last run's own cool-down."""
    stands = standing(row, now_ms, evidence)
    if stands != FREE:
        return RUNNING if stands == HELD else stands
    finished_ms = row.finished_ms
    return COOLING if finished_ms is not None and _within(finished_ms, now_ms, row.cooldown_ms) else IDLE


def eligible_ms(row: Row) -> int | None:
    """When the last run's cool-down ends or ended; None if no run has completed, or one is under way."""
    return None if row.held or row.finished_ms is None else row.finished_ms + row.cooldown_ms


class Lease:
    """When a supervisor must act, by its own clock (CLOCK_BOOTTIME in seconds, so that suspend counts).

    Counted from before the *read* of the last *acknowledged* write, so it ends before the database's own.

    Attributes:
        renew_at_s: before a third has passed.
        term_at_s, kill_at_s: where SIGTERM and SIGKILL fall due if no answer comes.
        ends_at_s: where another may take the lock.
    """

    __slots__ = ("ends_at_s", "kill_at_s", "renew_at_s", "term_at_s")

    def __init__(self, read_at_s: float, lease_ms: int, kill_after_ms: int) -> None:
        lease_s = lease_ms / 1000
        self.renew_at_s = read_at_s + 0.3 * lease_s
        self.ends_at_s = read_at_s + lease_s
        self.kill_at_s = self.ends_at_s - MARGIN_S
        self.term_at_s = self.kill_at_s - kill_after_ms / 1000

    def may_start(self, now_s: float) -> bool:
        """Whether a job that starts now could still be stopped in time, with its grace."""
        return now_s < self.term_at_s


def _completed_ms(row: Row, stands: str, evidence: Evidence) -> int | None:
    """When the last run completed: a lease that ran out ends with it, a holder proven dead never completed."""
    if stands == STALE and not (evidence.holder == DEAD and evidence.session == DEAD):
        return row.lease_until_ms
    return row.finished_ms


def _within(then_ms: int, now_ms: int, pause_ms: int) -> bool:
    """Whether a pause is not over; the distance counts, so that a clock set back cannot make it endless."""
    return abs(now_ms - then_ms) < pause_ms
