"""`mslock status` on rows of every kind."""

from __future__ import annotations

import json
import os
import pathlib
import pty
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from mslock import identity, policy
from mslock.commands.moments import iso, local, span
from mslock.commands.table import Table
from tests.e2e.conftest import until
from tests.machine import Machine, held_elsewhere, now_ms, stale
from tests.samples import free_row

KEYS = [
    *("name", "state", "host", "pid", "fence", "run_id", "command", "started_at", "lease_until", "eligible_at"),
    *("last_started_at", "last_finished_at", "last_host", "last_outcome", "last_exit_code"),
]


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.stop()


def objects(machine: Machine, *names: str) -> dict[str, dict[str, Any]]:
    code, out, err = machine.tell("status", "--json", *names)
    assert (code, err) == (0, "")
    return {one["name"]: one for one in json.loads(out)}


def test_each_state_is_told_as_policy_judges_it(machine: Machine) -> None:
    now = now_ms()
    machine.put(
        free_row(name="idle", finished_ms=now - 60_000),
        free_row(name="cooling", finished_ms=now - 1000, cooldown_ms=600_000),
        held_elsewhere(name="running"),
        stale(name="stale"),
    )
    seen = objects(machine)
    assert {name: one["state"] for name, one in seen.items()} == {name: name for name in seen}
    assert list(seen) == sorted(seen)
    code, out, _ = machine.tell("status")
    assert code == 0
    assert all(f"{name} " in out for name in seen)


def test_json_has_the_keys_and_times_that_are_promised(machine: Machine) -> None:
    machine.put(
        held_elsewhere(name="held", started_ms=1_790_000_000_123, lease_until_ms=9_790_000_000_000),
        free_row(name="free", started_ms=1_790_000_000_000, finished_ms=1_790_000_001_000, cooldown_ms=9_000),
    )
    seen = objects(machine)
    assert [list(one) for one in seen.values()] == [KEYS, KEYS]
    held, free = seen["held"], seen["free"]
    assert held["started_at"] == held["last_started_at"] == "2026-09-21T14:13:20.123Z"
    assert (held["host"], held["pid"], held["eligible_at"]) == ("web-1", 4711, None)
    assert held["lease_until"] == iso(9_790_000_000_000)
    assert (free["host"], free["pid"], free["started_at"], free["lease_until"]) == (None, None, None, None)
    assert free["last_started_at"] == "2026-09-21T14:13:20.000Z"
    assert free["last_finished_at"] == "2026-09-21T14:13:21.000Z"
    assert free["eligible_at"] == "2026-09-21T14:13:30.000Z"
    assert (free["last_outcome"], free["last_exit_code"], free["last_host"]) == ("succeeded", 0, "web-2")


def test_a_job_of_this_machine_is_described(machine: Machine) -> None:
    supervisor = machine.start("--name", "x", "sleep", "1000")
    job = machine.held("x")["job_session"]
    until(lambda: pathlib.Path(f"/proc/{job}/comm").read_text() == "sleep\n")
    code, out, _ = machine.tell("status")
    assert code == 0
    assert f"x: supervisor {supervisor.pid}; job {job} sleep (" in out
    assert objects(machine)["x"]["state"] == "running"


def test_an_orphan_is_told_with_its_processes(machine: Machine) -> None:
    """Its supervisor and its guard are dead, and the job lives on."""
    supervisor = machine.start("--name", "x", "--lease", "1h", "sleep", "1000")
    row = machine.held("x")
    guard = machine.guard(supervisor.pid)
    os.kill(guard, signal.SIGKILL)
    supervisor.kill()
    supervisor.wait()
    try:
        assert objects(machine)["x"]["state"] == "orphaned"
        _, out, _ = machine.tell("status")
        assert f"supervisor {supervisor.pid} is dead; job {row['job_session']} sleep (" in out
    finally:
        os.kill(row["job_session"], signal.SIGKILL)
    until(lambda: objects(machine)["x"]["state"] == "stale")


def test_names_choose_and_one_that_is_missing_is_told_after_the_others(machine: Machine) -> None:
    machine.put(free_row(name="a"), free_row(name="b"), free_row(name="B"))
    assert list(objects(machine, "b")) == ["b"]
    code, out, err = machine.tell("status", "nope", "a", "a", os.fsdecode(b"\xff"))
    assert code == 1
    assert out.count("\na ") == 1
    assert "\nb " not in out
    assert err.splitlines()[0] == f"mslock: no lock named 'nope' on {machine.url}"
    assert len(err.splitlines()) == 2
    code, out, err = machine.tell("status", "--json", "nope", "a")
    assert (code, len(json.loads(out))) == (1, 1)


def test_more_names_than_a_statement_takes_are_found(machine: Machine) -> None:
    machine.put_many(free_row(name=f"lock-{number}") for number in range(2000))
    asked = [f"lock-{number}" for number in range(0, 2000, 3)]
    assert sorted(objects(machine, *asked)) == sorted(asked)


def test_no_lock_yet_is_told(machine: Machine) -> None:
    machine.run("init-db")
    assert machine.tell("status") == (0, f"{machine.url}: no lock yet\n", "")
    assert objects(machine) == {}


def test_control_characters_of_a_row_never_reach_the_terminal(machine: Machine) -> None:
    nasty = "\x1b]0;owned\x07[bold red]x\r\n\x9b31m\u202e"
    machine.put(held_elsewhere(name="a", host=nasty, last_host=nasty, last_outcome=nasty), stale(name=nasty))
    for line in (["status"], ["status", "--json"], ["forget", "--force", nasty], ["status", nasty]):
        _, out, err = machine.tell(*line)
        assert (out + err).replace("\n", "").isprintable()
        assert "[bold red]x" in out + err


def test_at_80_columns_a_long_name_goes_on_in_the_next_line_and_loses_nothing(machine: Machine) -> None:
    name = "user:" + "0123456789" * 19 + "-end"
    machine.put(held_elsewhere(name=name, host="a-host-with-a-name-of-its-own.example.org"), free_row(name="b"))
    code, out, _ = machine.tell("status", environ={"COLUMNS": "80"})
    assert code == 0
    table = out.split("\n\n")[1].splitlines()
    assert max(map(len, table)) <= 80
    width = table[0].index("STATE")
    assert name in "".join(line[:width].strip() for line in table)


def test_through_a_pipe_one_lock_is_one_line(machine: Machine) -> None:
    name = "x" * 200
    machine.put(held_elsewhere(name=name))
    _, out, _ = machine.tell("status")
    assert [line for line in out.splitlines() if name in line and "running" in line]


def test_a_terminal_sees_colours_and_a_pipe_and_whoever_declines_sees_none(machine: Machine) -> None:
    machine.put(stale())
    assert "\x1b" not in machine.tell("status")[1]

    def at_terminal(environ: dict[str, str]) -> bytes:
        ours, theirs = pty.openpty()
        process = machine.start("status", stdout=theirs, environ={"TERM": "xterm"} | environ)
        process.wait()
        os.close(theirs)
        seen = os.read(ours, 65536)
        os.close(ours)
        return seen

    assert b"\x1b[33mstale" in at_terminal({})
    assert b"\x1b[33m" not in at_terminal({"NO_COLOR": "1"})


def test_a_row_with_impossible_times_is_shown_all_the_same(machine: Machine) -> None:
    far = 2**62
    machine.put(
        held_elsewhere(name="a", started_ms=far, finished_ms=-far, lease_until_ms=far),
        free_row(name="b", finished_ms=far),
    )
    assert machine.tell("status")[0] == 0
    assert objects(machine)["a"]["lease_until"] is None


def test_ten_thousand_locks_cost_no_look_at_each_process(machine: Machine) -> None:
    machine.put_many(held_elsewhere(name=f"lock-{number:05}") for number in range(10_000))
    code, out, err = machine.tell("status")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"{machine.url}: 10001 locks"
    assert out.count("running") == 10_000


def test_spans_and_times_read_well() -> None:
    spans = (0, 7_000, 200_000, 7_500_000, 86_400_000 * 12 + 3 * 3_600_000, -5)
    assert [span(ms) for ms in spans] == ["0s", "7s", "3m20s", "2h5m", "12d3h", "0s"]
    assert iso(1) == "1970-01-01T00:00:00.001Z"
    assert iso(2**62) is None
    assert local(2**62) == "?"


@pytest.mark.parametrize("width", [1, 5, 10, 20, 40, 80, 200])
def test_no_line_of_a_table_is_wider_than_the_terminal(width: int) -> None:
    rows = [
        [("a b " * 20, ""), ("日本語" * 10, "red"), ("", ""), ("x" * 30, "")],
        [("1", ""), ("2", ""), ("3", ""), ("4", "")],
    ]
    console = Console(width=width, force_terminal=False)
    with console.capture() as text:
        console.print(Table(("one", "two", "three", "four"), rows, width), crop=False, soft_wrap=True)
    least = 10 + 3  # four columns that hold one character each, and one that takes two
    assert max(map(console_width, text.get().splitlines())) <= max(width, least)
    assert text.get().count("x") == 30
    assert text.get().count("語") == 10


def console_width(line: str) -> int:
    from rich.cells import cell_len

    return cell_len(line.rstrip())


def test_a_state_that_the_table_colours_is_one_that_policy_knows() -> None:
    from mslock.commands.status import _STYLES

    assert set(_STYLES) == {policy.IDLE, policy.RUNNING, policy.COOLING, policy.STALE, policy.ORPHANED}
    assert identity.kernel_id()
