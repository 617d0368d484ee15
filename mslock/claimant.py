"""The way to the lock: look, decide, wait if asked to, claim with the job's process standing ready.

Why: a skip ends here after one read, and has forked and written nothing. The job is forked between the read and the
claim, so that its session stands in the row from the first moment, and every later invocation can find it.
"""

from __future__ import annotations

import os

from mslock import child, drivers, identity, policy, protocol
from mslock.child import Job
from mslock.clock import chance, now_s, race_pause_s
from mslock.errors import DatabaseError
from mslock.notices import seconds
from mslock.session import Session, Stop
from mslock.settings import user_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from mslock.errors import MslockError
    from mslock.notices import Notices
    from mslock.policy import Decision, Evidence, Lease, Row
    from mslock.settings import Settings
    from mslock.signals import Signals
    from mslock.store import Store
    from mslock.waiting import Waiting

#: Between two looks at a lock that is waited for, growing from the first to the second; jitter spreads waiters.
_POLL_FIRST_S, _POLL_LAST_S = 0.1, 1.0
#: How long an orphan may outlive SIGKILL before it is left to the next invocation.
_ORPHAN_PATIENCE_S = 5.0
#: What a text column holds.
_TEXT_LENGTH = 255


class Sight:
    """A lock as it was read, and what that means for us."""

    __slots__ = ("decision", "evidence", "now_ms", "row")

    def __init__(self, row: Row | None, now_ms: int, evidence: Evidence, decision: Decision) -> None:
        self.row = row
        self.now_ms = now_ms
        self.evidence = evidence
        self.decision = decision

    def remaining_s(self) -> float:
        """Until the reason for a skip has passed, as far as the row could tell."""
        return ((self.decision.until_ms or self.now_ms) - self.now_ms) / 1000

    def __str__(self) -> str:
        """Why the lock cannot be had."""
        row, kind = self.row, self.decision.kind
        if row is None or kind == policy.FREE:
            return "free"
        if kind == policy.COOLING:
            return f"cooling down for another {seconds(self.remaining_s())} after a run on {row.last_host}"
        if kind == policy.TOO_SOON:
            return f"--min-interval has not passed, {seconds(self.remaining_s())} are left"
        holder = f"{row.host} (pid {row.pid}) for {seconds((self.now_ms - (row.started_ms or self.now_ms)) / 1000)}"
        if kind == policy.ORPHANED:
            return f"held by a job whose supervisor died, {holder}; session {row.job_session} lives on"
        return f"held by {holder}"


class Claim:
    """A lock that was free and is ours, and the job that waits for the go.

    Attributes:
        row: the lock as we wrote it.
        before: as it was, to be given back; None if its name was new.
        told: what somebody should hear of the run that it was recovered from; or empty.
    """

    __slots__ = ("before", "job", "lease", "row", "told")

    def __init__(self, job: Job, row: Row, before: Row | None, lease: Lease, told: str) -> None:
        self.job = job
        self.row = row
        self.before = before
        self.lease = lease
        self.told = told


class Claimant:
    """Somebody who wants the lock, for the job in `file`.

    Attributes:
        answered: whether the database has ever said what the lock is.
    """

    def __init__(
        self,
        settings: Settings,
        signals: Signals,
        notices: Notices,
        environ: Mapping[str, str],
        store: Store,
        waiting: Waiting,
        file: str,
        terminal: bool,
    ) -> None:
        self._settings = settings
        self._signals = signals
        self._notices = notices
        self._environ = environ
        self._store = store
        self._waiting = waiting
        self._file = file
        self._terminal = terminal
        self.answered = False

    def obtain(self) -> Claim | Sight:
        """The lock, if it can be had within the time that the user would wait; otherwise the last look at it.

        Raises:
            MslockError: the database gave no answer; or a signal has ended us, and nothing is held.
        """
        give_up_at_s = now_s() + self._settings.wait_ms / 1000
        pause_s = _POLL_FIRST_S
        told: list[str] = []
        may_stop_orphan = self._settings.on_orphan == "kill"
        while True:
            read_at_s = now_s()
            seen = self._waiting.converse(self._look)
            self.answered = True
            self._waiting.end_if_told()
            while self._store.news:
                news = self._store.news.pop(0)
                if news not in told:  # each look opens the database anew
                    told.append(news)
                    self._notices.warning(news)
            kind = seen.decision.kind
            if kind == policy.FREE:
                claim = self._claim(seen, read_at_s)
                if claim is not None:
                    return claim
                self._waiting.rest(race_pause_s())  # a race lost: see who won it
                continue
            if kind == policy.ORPHANED and may_stop_orphan:
                may_stop_orphan = False
                self._stop_orphan(seen.row)
                continue
            left_s = give_up_at_s - now_s()
            if left_s <= 0:
                return seen
            rest_s = pause_s * (0.5 + 0.5 * chance())
            pause_s = min(pause_s * 1.5, _POLL_LAST_S)
            if kind in (policy.COOLING, policy.TOO_SOON):
                rest_s = min(rest_s, seen.remaining_s() + _POLL_FIRST_S * chance())
            self._waiting.rest(min(rest_s, left_s))

    def hold(self, told: dict[str, str], visible: bool) -> Job:
        """Fork the job's process, which waits; `told` is what it learns of its run, on top of its environment."""
        settings = self._settings
        environ = child.environment(self._environ) | told
        if settings.shell:
            environ["SHELL"] = settings.shell
        return Job(self._file, settings.argv, environ, self._signals, not self._terminal, visible)

    def give_back(self, claim: Claim) -> None:
        """Undo a claim whose job never started; if the database is away, its lease runs out, or its pid tells."""
        try:
            self._waiting.converse(lambda: protocol.give_back(self._store, claim.row, claim.before))
        except DatabaseError as error:
            self._notices.warning(f"the lock could not be given back: {error}")

    def _look(self) -> Sight:
        """In a conversation: what the lock is to us. The connection stays open only if it is to be claimed."""
        settings, store = self._settings, self._store
        row, now_ms = protocol.look(store, settings.name)
        evidence = policy.NO_EVIDENCE
        if row is not None and row.held:
            evidence = identity.evidence(row, identity.kernel_id(), drivers.is_local_file(settings.db))
        decision = policy.decide(row, now_ms, settings.cooldown_ms, settings.min_interval_ms, evidence)
        if decision.kind == policy.ORPHANED and row is not None:
            store.write(policy.extend(row, now_ms), row)  # whoever was quicker has done the same
        if decision.kind != policy.FREE:
            store.close()
        return Sight(row, now_ms, evidence, decision)

    def _claim(self, seen: Sight, read_at_s: float) -> Claim | None:
        """Claim a free lock; None if somebody else was quicker."""
        # A skip never needs it; a run has it before it holds anything, since nothing may fail after that.
        import mslock.watch  # noqa: F401

        settings, store, before = self._settings, self._store, seen.row
        run_id = os.urandom(16).hex()
        told = {
            "MSLOCK_RUN_NAME": settings.name,
            "MSLOCK_RUN_ID": run_id,
            "MSLOCK_RUN_FENCE": str(policy.next_fence(before, seen.now_ms)),
        }
        kernel_id = identity.kernel_id()
        own = identity.process("self") if kernel_id else None
        job = self.hold(told, visible=kernel_id is not None)
        try:
            row = policy.claim(
                before,
                seen.now_ms,
                seen.evidence,
                name=settings.name,
                run_id=run_id,
                holder=policy.Holder(
                    _text(os.uname().nodename),
                    kernel_id,
                    os.getpid(),
                    own.start if own else None,
                    job.pid,
                    job.session.start,
                    _text(user_name(self._environ)),
                    _text(settings.command),
                ),
                lease_ms=settings.lease_ms,
                cooldown_ms=settings.cooldown_ms,
            )
            lost = policy.lost_run(before, seen.now_ms) if before is not None and seen.decision.stale else None

            def talk() -> tuple[bool, MslockError | None]:
                try:
                    return protocol.claim(store, row, before, lost)
                finally:
                    store.close()

            won, unrecorded = self._waiting.converse(talk)
        except BaseException:
            job.drop()
            raise
        if not won:
            job.drop()
            return None
        claim = Claim(job, row, before, policy.Lease(read_at_s, settings.lease_ms, settings.kill_after_ms), "")
        if self._waiting.ending is not None or not claim.lease.may_start(now_s()):
            job.drop()
            self.give_back(claim)
            self._waiting.end_if_told()
            raise DatabaseError("the answer came so late that the lease was nearly over")
        if lost is not None:
            claim.told = f"recovered the lock from a run on {lost.host} that was lost (fence {lost.fence})"
            if unrecorded is not None:
                claim.told += f"; its history could not be written: {unrecorded}"
        return claim

    def _stop_orphan(self, row: Row | None) -> None:
        """Stop what is left of a job whose supervisor has died here, if it is sure to be that job."""
        if row is None or row.job_session is None:
            return
        session = Session(row.job_session, row.job_start)
        if identity.process(session.number) is None and not any(
            identity.carries(member.pid, row.run_id) for member in session.members()
        ):
            self._notices.warning(f"session {session.number} may be a stranger's by now; its job is not killed")
            return
        self._notices.warning(f"stopping the orphaned job, session {session.number}")
        now = now_s()
        stop = Stop(session, now, now + self._settings.kill_after_ms / 1000)
        extend_at_s = now + row.lease_ms / 3000
        while not session.empty() and now < stop.kill_at_s + _ORPHAN_PATIENCE_S:
            if now >= extend_at_s:
                self._waiting.converse(self._look)  # our grace may be longer than the dead run's lease
                extend_at_s = now + row.lease_ms / 3000
            self._waiting.rest(stop.step(now))
            now = now_s()


def _text(value: str) -> str:
    """What may be written into a text column: whatever bytes an argument or a host name is made of."""
    return value.encode(errors="surrogateescape").decode(errors="replace")[:_TEXT_LENGTH]
