"""What click completes, by its protocol, of a line for either parser."""

from __future__ import annotations

import pathlib

import pytest

from tests.machine import Machine
from tests.samples import free_row


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    machine = Machine(tmp_path)
    machine.put(free_row(name="report"), free_row(name="reindex"), free_row(name="user:backup"))
    return machine


def completed(machine: Machine, line: str, **environ: str) -> list[str]:
    words = line.split()
    place = len(words) - (not line.endswith(" "))
    asked = {"_MSLOCK_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(place)}
    code, out, err = machine.tell(environ=asked | environ)
    assert (code, err) == (0, "")
    return [found.partition(",")[2] for found in out.splitlines() if found]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("mslock sta", ["status"]),
        ("mslock ", ["forget", "history", "init-db", "status"]),
        ("mslock --db x sta", ["status"]),
        ("mslock --na", ["--name"]),
        ("mslock --he", ["--help"]),
        ("mslock --name x --on-l", ["--on-lost"]),
        ("mslock --on-lost ", ["stop", "continue"]),
        ("mslock --name x --on-lost c", ["continue"]),
        ("mslock --name x --on-db-error=r", ["run"]),
        ("mslock --name re", ["reindex", "report"]),
        ("mslock status r", ["reindex", "report"]),
        ("mslock status report u", ["user:backup"]),
        ("mslock history rep", ["report"]),
        ("mslock forget rep", ["report"]),
        ("mslock forget --f", ["--force"]),
        ("mslock status --j", ["--json"]),
        ("mslock history --l", ["--limit"]),
        ("mslock init-db --s", ["--sql"]),
        ("mslock --nonsense ", [""]),
    ],
)
def test_a_line_is_completed(machine: Machine, line: str, found: list[str]) -> None:
    assert sorted(completed(machine, line)) == sorted(found)


def test_the_database_of_the_line_is_the_one_that_is_asked(machine: Machine) -> None:
    elsewhere = {"MSLOCK_DB": f"sqlite:///{machine.folder}/none.db"}
    assert completed(machine, f"mslock --db {machine.url} status rep", **elsewhere) == ["report"]
    assert completed(machine, f"mslock status --db {machine.url} rep", **elsewhere) == ["report"]


@pytest.mark.parametrize("content", [None, "no database"])
def test_a_database_that_cannot_be_read_completes_nothing_in_silence(machine: Machine, content: str | None) -> None:
    machine.file.unlink()
    if content:
        machine.file.write_text(content)
    assert completed(machine, "mslock status r") == []
    assert machine.file.exists() == bool(content)


def test_a_job_is_the_shell_s_to_complete(machine: Machine) -> None:
    asked = {"_MSLOCK_COMPLETE": "bash_complete", "COMP_WORDS": "mslock --name x -- ls a", "COMP_CWORD": "5"}
    assert machine.tell(environ=asked) == (0, "file,a\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_can_ask_for_its_script(machine: Machine, shell: str) -> None:
    code, out, _ = machine.tell(environ={"_MSLOCK_COMPLETE": f"{shell}_source"})
    assert code == 0
    assert "_MSLOCK_COMPLETE" in out


@pytest.mark.parametrize("asked", ["bash_complete", "nonsense", "csh_complete"])
def test_what_is_no_question_is_answered_by_silence(machine: Machine, asked: str) -> None:
    code, out, err = machine.tell(environ={"_MSLOCK_COMPLETE": asked})
    assert (code, out, err) == (1, "", "")


def test_a_completion_is_never_a_run(machine: Machine) -> None:
    asked = {"_MSLOCK_COMPLETE": "bash_complete", "COMP_WORDS": "mslock --name x tr", "COMP_CWORD": "3"}
    machine.tell(environ=asked)
    assert machine.row("x") == {}
