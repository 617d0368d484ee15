"""A fleet against a model: invocations on several kernels race for one lock, over the real protocol, the real store,
and a real SQLite file, while supervisors die, answers get lost, and the database's clock jumps.

The model knows what the world is really like (who lives, whose lock it is, what time it is); mslock knows only what
it can read. Promises that the design does not make are written down as excuses, run by run.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, precondition, rule

from mslock import drivers, policy, protocol
from mslock.child import Ending
from mslock.errors import DatabaseError
from mslock.policy import ALIVE, DEAD, Evidence, Holder, Lease, Row
from mslock.store import Store
from tests.samples import NOW_MS, steady

LEASE_MS, KILL_AFTER_MS = 35_000, 10_000
hosts = st.sampled_from(("web-1", "web-2"))
cooldowns_ms = st.sampled_from((10_000, 0, 40_000))
intervals_ms = st.sampled_from((0, 0, 50_000))
mostly = st.sampled_from((True, True, True, False))
seldom = st.sampled_from((False, False, False, True))
#: What befalls the next write: nothing, or its connection dies when it has taken effect, or before.
faults = st.sampled_from(("", "", "after", "before"))


class Run:
    """One run as it really is. Times are the fleet's own clock, in seconds, which nobody can set."""

    def __init__(self, row: Row, kernel: str, read_at_s: float) -> None:
        self.row = row
        self.kernel = kernel
        self.lease = Lease(read_at_s, LEASE_MS, KILL_AFTER_MS)
        self.supervised = True  # the supervisor lives
        self.frozen = False  # and is stopped (SIGSTOP), so that it sees to nothing
        self.live = False  # a process of the job lives
        self.stop_at_s = float("inf")  # when a guard will have stopped the job
        self.ended_at_s = read_at_s
        self.guarded = True
        self.in_time = True  # the database's clock has not jumped since the lease began
        #: Why it may live beside another: no promise holds for it any more.
        self.excused = ""

    @property
    def acting(self) -> bool:
        return self.supervised and not self.frozen

    def __repr__(self) -> str:
        return f"Run({self.row.run_id}, live={self.live}, supervised={self.supervised}, {self.excused!r})"


class Invocation:
    """One that has looked, and found the lock free."""

    def __init__(self, kernel: str, row: Row | None, now_ms: int, at_s: float, evidence: Evidence, cooldown_ms: int):
        self.kernel = kernel
        self.row = row
        self.now_ms = now_ms
        self.at_s = at_s
        self.evidence = evidence
        self.cooldown_ms = cooldown_ms


class Fleet(RuleBasedStateMachine):
    """The world, and the rules by which it goes on."""

    invocations = Bundle("invocations")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.database = drivers.connect(f"sqlite:///{self.folder}/mslock.db", 5.0, [])
        self.database.fetch("read", ("report",))  # makes the tables
        self.store = Store("", 5.0, lambda *_: Link(self))
        self.own_s = 1000.0
        self.database_ms = NOW_MS
        self.fault = ""  # what befalls the next update
        self.kernels = {"web-1": "boot1:1:1", "web-2": "boot2:1:1"}
        self.runs: list[Run] = []
        self.owner: Run | None = None  # who has the lock, by what the database acknowledged
        self.fences = [0]
        self.completed_at_s: float | None = None  # of the last completed run, if the lock remembers one
        self.started_at_s: float | None = None
        self.jumped_at_s = float("-inf")
        self.run_ids = 0
        self.patches = [patch("mslock.protocol.now_s", lambda: self.own_s)]
        for each in self.patches:
            each.start()

    def teardown(self) -> None:
        for each in self.patches:
            each.stop()
        self.database.close()
        shutil.rmtree(self.folder)

    # time

    @rule(seconds=st.sampled_from((0.1, 1.0, 5.0, 9.9, 10.0, 22.0, 34.0, 36.0, 60.0)))
    def time_passes(self, seconds: float) -> None:
        self.own_s += seconds
        self.database_ms += round(seconds * 1000)
        for run in self.runs:
            if run.live and run.acting and self.own_s >= run.lease.kill_at_s:
                self._job_ends(run, run.lease.kill_at_s)  # its keeper has seen to that
            elif run.live and self.own_s >= run.stop_at_s:
                self._job_ends(run, run.stop_at_s)

    @rule(seconds=st.sampled_from((-3600, -20, 20, 3600)), really=st.booleans())
    def the_databases_clock_jumps(self, seconds: int, really: bool) -> None:
        if not really:
            return
        self.database_ms += seconds * 1000
        # What was written before cannot be compared with what comes now.
        self.jumped_at_s = self.own_s
        self.completed_at_s = self.started_at_s = None
        for run in self.runs:
            run.in_time = False
        # Forward, every lease ends before its time. Back, none does.
        if seconds > 0:
            self._excuse("the clock jumped")

    # invocations

    @rule(target=invocations, host=hosts, cooldown_ms=cooldowns_ms, interval_ms=intervals_ms, blind=seldom)
    def somebody_looks(self, host: str, cooldown_ms: int, interval_ms: int, blind: bool) -> Any:
        invocation = self._look(host, cooldown_ms, interval_ms, blind)
        return multiple() if invocation is None else invocation

    @rule(host=hosts, cooldown_ms=cooldowns_ms, interval_ms=intervals_ms)
    def somebody_runs_at_once(self, host: str, cooldown_ms: int, interval_ms: int) -> None:
        invocation = self._look(host, cooldown_ms, interval_ms, blind=False)
        if invocation is not None:
            self._claim(invocation, True, "")

    @rule(invocation=consumes(invocations), starts=mostly, fault=faults)
    def it_claims(self, invocation: Invocation, starts: bool, fault: str) -> None:
        if invocation.kernel in self.kernels.values():
            self._claim(invocation, starts, fault)

    def _look(self, host: str, cooldown_ms: int, interval_ms: int, blind: bool) -> Invocation | None:
        kernel = self.kernels[host]
        row, now_ms = protocol.look(self.store, "report")
        evidence = policy.NO_EVIDENCE if blind else self._evidence(row, kernel)
        decision = policy.decide(row, now_ms, cooldown_ms, interval_ms, evidence)
        if decision.kind == policy.ORPHANED:
            assert row is not None
            self.store.write(policy.extend(row, now_ms), row)
        if decision.kind != policy.FREE:
            return None
        self._may_be_free(kernel, blind, self._proven_gone(row, evidence), cooldown_ms, interval_ms)
        return Invocation(kernel, row, now_ms, self.own_s, evidence, cooldown_ms)

    def _claim(self, invocation: Invocation, starts: bool, fault: str) -> None:
        self.run_ids += 1
        before = invocation.row
        row = policy.claim(
            before,
            invocation.now_ms,
            invocation.evidence,
            name="report",
            run_id=f"{self.run_ids:032x}",
            holder=Holder("web", invocation.kernel, 4711, 1, 4712, 1, "root", "report"),
            lease_ms=LEASE_MS,
            cooldown_ms=invocation.cooldown_ms,
        )
        lost = policy.lost_run(before, invocation.now_ms) if before is not None and before.held else None
        self.fault = fault
        try:
            won, _ = protocol.claim(self.store, row, before, lost)
        except DatabaseError:
            assert fault == "before"
            return
        finally:
            self.fault = ""
        if not won:
            return
        self._check_claim(row)
        run = Run(row, invocation.kernel, invocation.at_s)
        in_time = invocation.at_s > self.jumped_at_s
        run.in_time = in_time
        run.excused = "" if in_time else "the clock jumped"
        started_before_s, self.started_at_s = self.started_at_s, invocation.at_s if in_time else None
        if self.owner is not None and not self._proven_gone(before, invocation.evidence):
            self.completed_at_s = self.owner.lease.ends_at_s if self.owner.in_time else None
        self.owner = run
        if starts and run.lease.may_start(self.own_s):
            run.live = True
            self.runs.append(run)
        else:
            protocol.give_back(self.store, row, before)
            self.owner, self.started_at_s = None, started_before_s

    # runs

    @precondition(lambda self: any(run.acting for run in self.runs))
    @rule(data=st.data(), fault=faults)
    def a_supervisor_renews(self, data: st.DataObject, fault: str) -> None:
        run = data.draw(st.sampled_from([run for run in self.runs if run.acting]))
        if run.live:
            self._renew(run, fault)

    def _renew(self, run: Run, fault: str) -> None:
        self.fault = fault
        try:
            renewed = protocol.renew(self.store, run.row)
        except DatabaseError:
            assert fault == "before"
            return
        finally:
            self.fault = ""
        if renewed is None:
            assert self.owner is not run, "lost, but the lock was its own"
            self._job_ends(run, self.own_s)
            return
        assert self.owner is run, "renewed, but the lock was another's"
        run.row, read_at_s = renewed
        run.lease = Lease(read_at_s, LEASE_MS, KILL_AFTER_MS)
        run.in_time = True

    @precondition(lambda self: any(run.live and run.acting for run in self.runs))
    @rule(seconds=st.sampled_from((20.0, 11.0, 25.0)))
    def time_passes_and_all_supervisors_renew(self, seconds: float) -> None:
        self.time_passes(seconds)
        for run in self.runs:
            if run.live and run.acting:
                self._renew(run, "")

    @precondition(lambda self: any(run.live and run.acting for run in self.runs))
    @rule(data=st.data())
    def a_job_ends(self, data: st.DataObject) -> None:
        self._job_ends(data.draw(st.sampled_from([run for run in self.runs if run.live and run.acting])), self.own_s)

    @precondition(lambda self: any(run.acting and not run.live for run in self.runs))
    @rule(data=st.data(), fault=faults)
    def a_supervisor_finishes(self, data: st.DataObject, fault: str) -> None:
        self._finish(data.draw(st.sampled_from([run for run in self.runs if run.acting and not run.live])), fault)

    @precondition(lambda self: any(run.live and run.acting for run in self.runs))
    @rule(data=st.data())
    def a_job_ends_and_its_lock_is_released_at_once(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from([run for run in self.runs if run.live and run.acting]))
        self._job_ends(run, self.own_s)
        self._finish(run, "")

    def _finish(self, run: Run, fault: str) -> None:
        self.fault = fault
        try:
            released, unrecorded = protocol.finish(
                self.store, run.row, policy.SUCCEEDED, Ending(0, 0, 0), run.ended_at_s
            )
        except DatabaseError:
            assert fault == "before"
            return
        finally:
            self.fault = ""
        assert unrecorded is None
        if released and self.owner is run:
            self.completed_at_s = run.ended_at_s if run.ended_at_s > self.jumped_at_s else None
            self.owner = None
        else:
            assert self.owner is not run, "its own lock was not released"
        self.runs.remove(run)

    @precondition(lambda self: any(self._may_die(run) for run in self.runs))
    @rule(data=st.data(), guard=st.booleans())
    def a_supervisor_is_killed(self, data: st.DataObject, guard: bool) -> None:
        """Its guard stops the job within its grace; without one, the job lives on."""
        run = data.draw(st.sampled_from([run for run in self.runs if self._may_die(run)]))
        run.supervised = False
        run.guarded = guard
        if guard:
            run.stop_at_s = self.own_s + KILL_AFTER_MS / 1000

    @precondition(lambda self: any(run.live and run.acting for run in self.runs))
    @rule(data=st.data(), seconds=st.sampled_from((40.0, 1.0, 100.0)))
    def a_supervisor_is_frozen(self, data: st.DataObject, seconds: float) -> None:
        data.draw(st.sampled_from([run for run in self.runs if run.live and run.acting])).frozen = True
        self.time_passes(seconds)

    @precondition(lambda self: any(run.frozen for run in self.runs))
    @rule(data=st.data())
    def a_frozen_supervisor_wakes(self, data: st.DataObject) -> None:
        """It asks for its lock once, before it stops the job."""
        run = data.draw(st.sampled_from([run for run in self.runs if run.frozen]))
        run.frozen = False
        self._renew(run, "")

    @precondition(lambda self: any(run.live and not run.supervised for run in self.runs))
    @rule(data=st.data())
    def an_orphan_ends(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from([run for run in self.runs if run.live and not run.supervised]))
        self._job_ends(run, self.own_s)

    @rule(host=hosts, really=seldom)
    def a_host_is_switched_off_and_on(self, host: str, really: bool) -> None:
        if not really:
            return
        gone = self.kernels[host]
        self.run_ids += 1
        self.kernels[host] = f"boot{self.run_ids}:1:1"
        for run in self.runs:
            if run.kernel == gone:
                run.supervised = run.live = run.frozen = False

    @precondition(lambda self: self.owner is not None)
    @rule(really=st.booleans())
    def somebody_forgets_the_lock_by_force(self, really: bool) -> None:
        if not really:
            return
        row, _ = self.store.read("report")
        assert row is not None
        assert self.store.write(policy.forget(row), row)
        self._excuse("forgotten by force")
        self.owner = self.completed_at_s = self.started_at_s = None

    # what must hold, always

    @invariant()
    def the_row_says_whose_lock_it_is(self) -> None:
        row, _ = self.store.read("report")
        held_by = row.run_id if row is not None and row.held else None
        assert held_by == (self.owner.row.run_id if self.owner is not None else None)

    @invariant()
    def nobody_would_be_told_that_a_lock_is_free_when_it_is_not(self) -> None:
        row, now_ms = self.store.read("report")
        for kernel in self.kernels.values():
            for evidence in (policy.NO_EVIDENCE, self._evidence(row, kernel)):
                for cooldown_ms in (0, 10_000):
                    if policy.decide(row, now_ms, cooldown_ms, 0, evidence).kind == policy.FREE:
                        gone = self._proven_gone(row, evidence)
                        self._may_be_free(kernel, evidence is policy.NO_EVIDENCE, gone, cooldown_ms, 0)

    @invariant()
    def no_two_jobs_live_but_for_an_excuse(self) -> None:
        live = [run for run in self.runs if run.live and not run.excused]
        assert len(live) <= 1, live

    # how the world is

    def _evidence(self, row: Row | None, kernel: str) -> Evidence:
        """What `identity` would prove on that kernel."""
        if row is None or not row.held or row.kernel_id != kernel:
            return policy.NO_EVIDENCE
        assert self.owner is not None
        return Evidence(ALIVE if self.owner.supervised else DEAD, ALIVE if self.owner.live else DEAD)

    def _proven_gone(self, before: Row | None, evidence: Evidence) -> bool:
        return before is not None and before.held and evidence.holder == evidence.session == DEAD

    def _may_die(self, run: Run) -> bool:
        # Later than this it is stopping its job already.
        return run.live and run.acting and self.own_s < run.lease.term_at_s

    def _job_ends(self, run: Run, at_s: float) -> None:
        run.live = False
        run.ended_at_s = at_s

    def _excuse(self, why: str) -> None:
        for run in self.runs:
            if run.live:
                run.excused = run.excused or why

    def _may_be_free(self, kernel: str, blind: bool, proven_gone: bool, cooldown_ms: int, interval_ms: int) -> None:
        """Somebody has been told that the lock is free: was it?"""
        for run in self.runs:
            if run.live and not run.excused:
                # Not promised: an orphan without a guard, or a frozen supervisor, unseen by its own kernel.
                assert not run.acting, f"{run} lives under a supervisor"
                assert run.frozen or not run.guarded, f"{run} is about to be stopped by its guard"
                assert blind or run.kernel != kernel, f"{run} was in sight"
                assert self.own_s >= run.lease.ends_at_s, f"{run} still has its lease"
        if self.owner is not None and self.owner.in_time and not proven_gone:
            assert self.own_s - self.owner.lease.ends_at_s >= cooldown_ms / 1000 - 0.002, "cool-down after a lease"
        if self.owner is None and self.completed_at_s is not None:
            assert self.own_s - self.completed_at_s >= cooldown_ms / 1000 - 0.002, "cool-down"
        if self.started_at_s is not None:
            assert self.own_s - self.started_at_s >= interval_ms / 1000 - 0.002, "interval"

    def _check_claim(self, row: Row) -> None:
        assert row.fence > self.fences[-1], "the fence must rise"
        self.fences.append(row.fence)
        for run in self.runs:
            if run.live and not run.excused:
                assert not run.acting, f"{run} was robbed"
                assert run.frozen or not run.guarded, f"{run} was robbed"
                run.excused = "unseen by its own kernel"


class Link:
    """A connection to the world's one database, with the world's clock, and its faults."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._real = fleet.database

    def fetch(self, statement: str, parameters: Sequence[Any]) -> tuple[Any, ...] | None:
        found = self._real.fetch(statement, parameters)
        if statement == "read" and found is not None:
            return self._fleet.database_ms, *found[1:]
        return found

    def change(self, statement: str, parameters: Sequence[Any]) -> int | None:
        fault, fleet = "", self._fleet
        if statement in ("insert", "update"):
            fault, fleet.fault = fleet.fault, ""
        if fault == "before":
            raise DatabaseError("died before")
        changed = self._real.change(statement, parameters)
        if fault == "after":
            raise DatabaseError("died after")
        return changed

    def begin(self) -> None:
        """As on a server: each statement by itself."""

    def commit(self) -> None: ...

    def close(self) -> None: ...

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


TestFleet = Fleet.TestCase
TestFleet.settings = type(steady)(steady, max_examples=120, stateful_step_count=60)
