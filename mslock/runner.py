"""One run, from the settings to the exit code: find the job, get the lock, go, watch, release.

Why: COMMAND is looked up before the lock is asked for: a host without the script would win every race, fail at once,
and cool the whole fleet down.
"""

from __future__ import annotations

from mslock import child, drivers, identity, policy, protocol
from mslock.claimant import Claim, Claimant
from mslock.clock import chance, now_s
from mslock.errors import ConfigError, DatabaseError, ExitCode, MslockError, Signalled
from mslock.signals import INT, QUIT
from mslock.store import Store
from mslock.waiting import Waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from mslock.child import Ending
    from mslock.claimant import Sight
    from mslock.keeper import Keeper
    from mslock.notices import Notices
    from mslock.settings import Settings
    from mslock.signals import Signals
    from mslock.watch import Watch

#: Between one try to release and the next.
_RETRY_S = 1.0


class Runner:
    """One run of one job.

    Attributes:
        died_of: the signal that mslock shall die of, as its job did at a terminal; or 0.
    """

    def __init__(self, settings: Settings, signals: Signals, notices: Notices, environ: Mapping[str, str]) -> None:
        self.died_of = 0
        self._settings = settings
        self._signals = signals
        self._notices = notices
        self._store = Store(settings.db, settings.db_timeout_ms / 1000)
        self._label = drivers.label(settings.db)
        self._waiting = Waiting(signals, self._label, settings.db_timeout_ms / 1000)
        self._terminal = child.has_terminal()
        self._claimant = Claimant(
            settings,
            signals,
            notices,
            environ,
            self._store,
            self._waiting,
            child.find(settings.argv[0], environ.get("PATH")),
            self._terminal,
        )

    def run(self) -> int:
        """Run the job, or skip; the exit code of mslock.

        Raises:
            MslockError: the job was not run, and why.
        """
        try:
            self._waiting.rest(chance() * self._settings.splay_ms / 1000)
            obtained = self._claimant.obtain()
        except Signalled as error:
            if self._terminal and error.signo in (INT, QUIT):
                self.died_of = error.signo
                return error.exit_code
            raise
        except DatabaseError as error:
            if self._settings.on_db_error != "run" or self._claimant.answered:
                raise DatabaseError(f"{error}; the job was not run") from error
            self._notices.warning(f"running WITHOUT a lock, as --on-db-error says: {error}")
            return self._run_without_lock()
        if isinstance(obtained, Claim):
            return self._run_with_lock(obtained)
        return self._skip(obtained)

    def _skip(self, seen: Sight) -> int:
        tell = self._notices.warning if seen.decision.kind == policy.ORPHANED else self._notices.event
        tell(f"skipped: {seen} [{self._label}]")
        return self._settings.skip_exit_code

    def _run_with_lock(self, claim: Claim) -> int:
        # Loaded by the claim, which is more than a skip needs.
        from mslock.keeper import Keeper
        from mslock.watch import Watch

        settings = self._settings
        keeper = Keeper(self._store, claim.row, claim.lease, settings.kill_after_ms, settings.db_timeout_ms)
        watch = Watch(settings, self._signals, self._notices, claim.job, keeper, self._terminal)
        claim.job.go()
        if claim.told:
            self._notices.warning(claim.told)
        self._notices.event(f"started: pid {claim.job.pid}, fence {claim.row.fence} [{self._label}]")
        ending, ended_at_s = self._watch(watch)
        failure = claim.job.failure(settings.argv[0])
        if failure is not None:
            self._claimant.give_back(claim)
            raise failure
        outcome = watch.outcome or _outcome(ending)
        self._release(keeper, outcome, ending, ended_at_s)
        self._notices.event(f"{outcome}: exit code {ending.code}, fence {claim.row.fence}")
        return self._exit_code(outcome, ending)

    def _run_without_lock(self) -> int:
        from mslock.watch import Watch

        job = self._claimant.hold({}, visible=identity.kernel_id() is not None)
        watch = Watch(self._settings, self._signals, self._notices, job, None, self._terminal)
        job.go()
        ending, _ = self._watch(watch)
        failure = job.failure(self._settings.argv[0])
        if failure is not None:
            raise failure
        return self._exit_code(watch.outcome or _outcome(ending), ending)

    def _watch(self, watch: Watch) -> tuple[Ending, float]:
        for signo in self._waiting.early:
            watch.pass_on(signo)
        ended = watch.run()
        for signo in watch.unheard:
            self._waiting.keep(signo)
        return ended

    def _release(self, keeper: Keeper, outcome: str, ending: Ending, ended_at_s: float) -> None:
        """Record the run and release the lock, until that is done, or the lease is over, or a signal hurries us."""

        def talk() -> tuple[bool, MslockError | None]:
            store = self._store.another()  # the keeper's may be busy yet, or hang
            try:
                finished = protocol.finish(store, keeper.row, outcome, ending, ended_at_s)
                store.prune(keeper.row.name, keeper.row.fence)
                return finished
            finally:
                store.close()

        told = False
        while True:
            try:
                released, unrecorded = self._waiting.converse(talk)
                break
            except MslockError as error:
                trouble, hopeless = str(error), isinstance(error, ConfigError)
            if hopeless or self._waiting.ending is not None or now_s() >= keeper.lease.ends_at_s:
                self._notices.error(f"the lock was not released, and is free when its lease ends: {trouble}")
                return
            if not told:
                self._notices.warning(f"the job has ended, but its lock is not released yet: {trouble}")
                told = True
            try:
                self._waiting.rest(_RETRY_S)
            except Signalled:
                pass  # one more try
        if unrecorded is not None:
            self._notices.warning(f"the run is missing in the history: {unrecorded}")
        if not released and outcome != policy.LOST:
            self._notices.warning("the lock was lost before its job ended: another run may have been under way")

    def _exit_code(self, outcome: str, ending: Ending) -> int:
        if outcome == policy.TIMED_OUT:
            return ExitCode.TIMED_OUT
        if outcome == policy.LOST:
            return ExitCode.LOST
        if self._terminal and ending.signo in (INT, QUIT):
            self.died_of = ending.signo
        return ending.code


def _outcome(ending: Ending) -> str:
    if ending.signo:
        return policy.KILLED
    return policy.FAILED if ending.code else policy.SUCCEEDED
