"""The README is true: its sessions are run, its crontab lines are run, its tables are the program's own.

Not run are the lines of its `sh` blocks, which install for good; tests/test_package.py installs instead.
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
from collections.abc import Iterator

import pytest

from mslock.commands import cli
from mslock.commands.help_page import exit_codes
from mslock.options import OPTIONS
from tests.e2e.conftest import BOUND_S, Mslock

ROOT = pathlib.Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
#: Who we are in the README: Ann, at home on a server called web1.
ANNS_HOME = "/home/ann"
ANNS_HOST = "web1"
_PERIOD = re.compile(r"(?:@\w+|(?:\S+\s+){4}\S+)\s+(.*)")
_MARK = "--- end of a command"


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Iterator[Mslock]:
    """Ann's home: the database where it is by default, and the jobs that the README names, root or not."""
    machine = Mslock(tmp_path)
    state = tmp_path / ".local" / "state" / "mslock"
    state.mkdir(parents=True)
    machine.file = state / "mslock.db"
    machine.url = machine.environ["MSLOCK_DB"] = f"sqlite:///{machine.file}"
    script = tmp_path / "report.sh"
    script.write_text("#!/bin/sh\necho 'three orders, 117 euros'\n")
    script.chmod(0o755)
    yield machine
    machine.stop()


def test_the_sessions_print_what_they_show(machine: Mslock) -> None:
    """One after another, in one home, as they are read. Lines of one command come in any order: a job and mslock are
    two processes that write to one terminal.
    """
    session = "".join(text for language, text in BLOCKS if language == "console")
    commands, shown = _parted(session)
    printed = _run(commands, machine)
    for command, expected, actual in zip(commands, shown, printed, strict=True):
        assert sorted(_normal(actual, machine)) == sorted(_normal(expected, machine)), command


def test_the_crontab_lines_run_their_jobs(machine: Mslock) -> None:
    jobs = machine.folder / "jobs"
    jobs.mkdir()
    for name in ("report", "sync-orders", "send-mails", "nightly"):
        (jobs / name).write_text(f"#!/bin/sh\necho {name} >> {machine.folder}/ran\n")
        (jobs / name).chmod(0o755)
    lines = list(_crontab_commands())
    assert len(lines) > 4
    for shell, line in lines:
        here = line.replace("/usr/local/bin/", f"{jobs}/").replace("/srv/app", str(jobs)).replace("30s", "0")
        if shell == "/usr/local/bin/mslock":
            ended = machine.run("-c", here, "--cooldown", "0")
        else:
            ended = subprocess.run(["/bin/sh", "-c", here], env=machine.environ, timeout=BOUND_S, capture_output=True)
        assert (ended.returncode, ended.stdout) == (0, b""), (line, ended.stderr)
    ran = (machine.folder / "ran").read_text().split()
    assert sorted(ran) == ["nightly", "nightly", "report", "report", "send-mails", "sync-orders"]


def test_the_configuration_file_is_one_that_mslock_reads(machine: Mslock) -> None:
    [text] = [text for language, text in BLOCKS if language == "ini"]
    (machine.folder / "url").write_text(machine.url + "\n")
    conf = machine.folder / "mslock.conf"
    conf.write_text(text.replace("/etc/mslock.url", str(machine.folder / "url")))
    environ = {"MSLOCK_CONF": str(conf), "MSLOCK_DB": ""}
    assert machine.run("--name", "x", "--", "true", environ=environ).returncode == 0
    assert machine.row("x")["cooldown_ms"] == 30_000


def test_the_table_of_options_is_the_program_s() -> None:
    rows = _table("| option | default | |")
    told = {tuple(re.findall(r"(?<!\S)`?(--?[a-z-]+)", row[0])): row[1] for row in rows}
    for option in OPTIONS:
        [default] = [told[flags] for flags in told if set(flags) & set(option.flags)]
        if option.key not in ("db", "verbose", "quiet", "timeout"):
            assert default == option.default, option.flags


def test_the_table_of_commands_is_the_program_s() -> None:
    assert [row[0].strip("`").split()[1] for row in _table("| command | |")] == list(cli.commands)


def test_the_table_of_exit_codes_is_the_program_s() -> None:
    told = [(code, text) for code, text in _table("| code | |")]
    assert told == [(code, text[:1].upper() + text[1:]) for code, text in exit_codes()]


def test_the_targets_of_make_are_there() -> None:
    targets = re.findall(r"^\| `make (\w+)`", TEXT, re.MULTILINE)
    assert targets
    for target in targets:
        ended = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, timeout=BOUND_S)
        assert ended.returncode == 0, ended.stderr


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        if target.startswith("#"):
            assert re.search(rf"^#+ {target[1:]}$", TEXT, re.MULTILINE | re.IGNORECASE), target
        else:
            assert (ROOT / target).exists(), target


def _parted(session: str) -> tuple[list[str], list[list[str]]]:
    """The commands of a session, and the lines shown after each."""
    commands: list[str] = []
    shown: list[list[str]] = []
    for line in session.splitlines():
        if line.startswith("$ "):
            commands.append(line[2:])
            shown.append([])
        else:
            shown[-1].append(line)
    return commands, shown


def _run(commands: list[str], machine: Mslock) -> list[list[str]]:
    """What each of the commands prints, in one shell, each seeing the exit code of the one before."""
    script = "".join(f'{command}\nset -- $?\necho "{_MARK}"\n(exit $1)\n' for command in commands)
    ended = subprocess.run(
        ["/bin/sh"],
        input=script,
        env=machine.environ,
        cwd=machine.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BOUND_S,
        start_new_session=True,
    )
    return [part.splitlines() for part in ended.stdout.split(f"{_MARK}\n")[:-1]]


def _normal(lines: list[str], machine: Mslock) -> list[str]:
    """Lines without what differs from one run to the next, and from one machine to another."""
    text = "\n".join(lines).replace(str(machine.folder), ANNS_HOME)
    text = re.sub(rf"\b{re.escape(os.uname().nodename)}\b", ANNS_HOST, text)
    text = re.sub(r"\bpid \d+", "pid N", text)
    text = re.sub(r"\b(fence|run) \d{13}", r"\1 N", text)
    text = re.sub(r"\b\d+s ago|(?<=another )\d+s", "Ns", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DATE", text)
    # Columns are as wide as what stands in them.
    return [re.sub(r" {2,}", "  ", line) for line in text.split("\n")]


def _crontab_commands() -> Iterator[tuple[str, str]]:
    """The crontab lines' shells and commands."""
    for language, text in BLOCKS:
        shell = "/bin/sh"
        for line in text.splitlines():
            if language != "crontab" or line.startswith("#"):
                continue
            if line.startswith("SHELL="):
                shell = line[6:]
                continue
            found = _PERIOD.fullmatch(line)
            assert found, line
            yield shell, found.group(1)


def _table(head: str) -> list[list[str]]:
    """The rows of the table with that head."""
    lines = TEXT[TEXT.index(head) :].splitlines()[2:]
    rows = lines[: next(number for number, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]
