"""`mslock forget`: what it refuses, what it clears, and what it leaves behind."""

from __future__ import annotations

import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from mslock import drivers, policy
from mslock.commands import forget
from mslock.commands.database import Database
from mslock.notices import Notices
from mslock.policy import Row
from tests.machine import Machine, held_elsewhere, now_ms, stale
from tests.samples import free_row


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.stop()


def test_a_held_lock_is_refused_and_its_holder_told(machine: Machine) -> None:
    row = held_elsewhere()
    machine.put(row)
    code, out, err = machine.tell("forget", "report")
    assert (code, out) == (1, "")
    assert err.startswith("mslock: report: held by web-1 (pid 4711) for 1m")
    assert "--force" in err
    assert err.count("\n") == 1
    assert machine.row("report")["version"] == row.version


def test_force_forgets_a_held_lock_and_keeps_the_fence(machine: Machine) -> None:
    row = held_elsewhere()
    machine.put(row)
    code, out, err = machine.tell("forget", "report", "--force")
    assert (code, err) == (0, "")
    assert out.startswith("report: forgotten by force; it was held by web-1 (pid 4711)")
    after = machine.row("report")
    assert (after["pid"], after["fence"], after["version"]) == (None, row.fence, row.version + 1)
    # Its supervisor may be alive, and writes down itself that it has lost.
    assert machine.runs("report") == []


def test_a_stale_lock_is_forgotten_and_its_run_recorded_as_abandoned(machine: Machine) -> None:
    row = stale()
    machine.put(row)
    code, out, err = machine.tell("forget", "report")
    assert (code, err) == (0, "")
    assert f"it was stale; its run on web-1 (fence {row.fence}) is recorded as abandoned" in out
    assert [(run["outcome"], run["fence"], run["finished_ms"]) for run in machine.runs("report")] == [
        ("abandoned", row.fence, row.lease_until_ms)
    ]
    assert machine.row("report")["pid"] is None
    assert (machine.row("report")["last_outcome"], machine.row("report")["last_host"]) == ("abandoned", "web-1")


def test_cool_down_and_interval_are_cleared_so_that_a_run_may_start_at_once(machine: Machine) -> None:
    arguments = ("--name", "x", "--cooldown", "1h", "--min-interval", "1h", "true")
    assert machine.run(*arguments).returncode == 0
    assert machine.run(*arguments).returncode == 75
    fence = machine.row("x")["fence"]
    assert machine.tell("forget", "x") == (0, "x: forgotten; it was cooling\n", "")
    assert machine.row("x")["fence"] == fence
    assert machine.run(*arguments).returncode == 0
    assert machine.row("x")["fence"] > fence


def test_all_names_are_tried_and_one_failure_is_enough_for_the_exit_code(machine: Machine) -> None:
    machine.put(free_row(name="a"), held_elsewhere(name="b"), stale(name="c"))
    code, out, err = machine.tell("forget", "nope", "a", "b", "c", "a", os.fsdecode(b"\xff"))
    assert code == 1
    assert [line.split(":")[0] for line in out.splitlines()] == ["a", "c"]
    assert [line.split(":")[1] for line in err.splitlines()] == [" nope", " b", " \\udcff"]
    assert machine.row("b")["pid"] == 4711


def test_a_running_job_of_this_machine_is_refused_and_by_force_lost(machine: Machine) -> None:
    supervisor = machine.start("--name", "x", "--kill-after", "1s", "--lease", "8s", "sleep", "1000")
    machine.held("x")
    code, _, err = machine.tell("forget", "x")
    assert (code, f"(pid {supervisor.pid})" in err) == (1, True)
    assert supervisor.poll() is None
    assert machine.tell("forget", "x", "--force")[0] == 0
    assert supervisor.wait() == 79
    assert [run["outcome"] for run in machine.runs("x")] == ["lost"]


def test_a_dead_supervisor_s_lock_is_stale_at_once_on_its_own_machine(machine: Machine) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    from mslock import identity

    machine.put(
        held_elsewhere(kernel_id=identity.kernel_id(), pid=gone.pid, pid_start=1, job_session=gone.pid, job_start=1)
    )
    code, out, _ = machine.tell("forget", "report")
    assert (code, "it was stale" in out) == (0, True)


def test_whoever_claims_between_look_and_write_is_seen_and_refused(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.put(free_row())
    database, store = Database(machine.url, {}), machine.store()
    claimed = held_elsewhere(version=8)
    honest = store.write

    def somebody_is_quicker(row: Row, before: Row | None) -> bool:
        monkeypatch.setattr(store, "write", honest)
        other = machine.store()
        assert other.write(claimed, before)
        other.close()
        return honest(row, before)

    monkeypatch.setattr(store, "write", somebody_is_quicker)
    try:
        with pytest.raises(forget.Refused, match="held by web-1"):
            forget._forget(database, store, Notices(), "report", False)
    finally:
        store.close()
    assert machine.row("report")["pid"] == claimed.pid


def test_a_history_that_fails_is_told_and_prevents_nothing(machine: Machine) -> None:
    machine.put(stale())
    machine.change("DROP TABLE mslock_runs")
    code, out, err = machine.tell("forget", "report")
    assert (code, out.startswith("report: forgotten")) == (0, True)
    assert "history" in err
    assert machine.row("report")["pid"] is None


def test_the_row_after_forgetting_is_what_policy_makes_of_it(machine: Machine) -> None:
    row = free_row(finished_ms=now_ms())
    machine.put(row)
    machine.tell("forget", "report")
    store = machine.store()
    after, _ = store.read("report")
    store.close()
    assert after == policy.forget(row)
    assert drivers.label(machine.url) == machine.url
