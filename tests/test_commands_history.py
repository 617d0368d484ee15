"""`mslock history`."""

from __future__ import annotations

import json
import pathlib

import pytest

from tests.machine import Machine
from tests.samples import NOW_MS, a_record, free_row


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    machine = Machine(tmp_path)
    machine.put(free_row(name="a"), free_row(name="b"), free_row(name="never-run"))
    for number in range(25):
        row = free_row(name="ab"[number % 2], host="web-1", fence=NOW_MS + number)
        machine.record(a_record(row, finished_ms=NOW_MS + number * 1000, exit_code=number % 2))
    return machine


def fences(machine: Machine, *arguments: str) -> list[int]:
    code, out, err = machine.tell("history", "--json", *arguments)
    assert (code, err) == (0, "")
    return [run["fence"] - NOW_MS for run in json.loads(out)]


def test_the_newest_twenty_come_first(machine: Machine) -> None:
    assert fences(machine) == list(range(24, 4, -1))
    assert fences(machine, "--limit", "3") == [24, 23, 22]


def test_one_lock_s_runs_are_its_own(machine: Machine) -> None:
    assert fences(machine, "b", "--limit", "100") == list(range(23, 0, -2))


def test_json_tells_all_that_is_known(machine: Machine) -> None:
    _, out, _ = machine.tell("history", "a", "--limit", "1", "--json")
    assert json.loads(out) == [
        {
            "name": "a",
            "fence": NOW_MS + 24,
            "run_id": "a" * 32,
            "host": "web-1",
            "username": "root",
            "command": "/usr/bin/report",
            "started_at": "2026-09-21T14:13:19.000Z",
            "finished_at": "2026-09-21T14:13:44.000Z",
            "outcome": "succeeded",
            "exit_code": 0,
            "cpu_ms": 12,
            "max_rss_kib": 3456,
        }
    ]


def test_the_table_tells_when_how_long_and_how_it_ended(machine: Machine) -> None:
    code, out, _ = machine.tell("history", "b", "--limit", "1", environ={"TZ": "UTC"})
    assert code == 0
    head, blank, columns, run = out.splitlines()
    assert head == f"{machine.url}: one run of b"
    assert blank == ""
    assert columns.split() == ["LOCK", "STARTED", "TOOK", "OUTCOME", "HOST"]
    assert run.split() == ["b", "2026-09-21", "14:13:19", "24s", "succeeded", "(1)", "web-1"]


def test_a_lock_without_a_run_is_no_error_and_one_that_is_not_there_is(machine: Machine) -> None:
    assert machine.tell("history", "never-run") == (0, f"{machine.url}: no run has ended yet\n", "")
    assert machine.tell("history", "nope") == (1, "", f"mslock: no lock named 'nope' on {machine.url}\n")
    assert machine.tell("history", "nope", "--json")[0] == 1


def test_control_characters_never_reach_the_terminal(machine: Machine) -> None:
    machine.record(a_record(free_row(name="c", host="\x1b[2J"), outcome="\x07", finished_ms=2**62))
    code, out, _ = machine.tell("history")
    assert code == 0
    assert out.replace("\n", "").isprintable()
    assert "\\x1b[2J" in out
