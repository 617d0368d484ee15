"""What is made by a program and checked in: the same as the program makes it now, and of use to those who read it."""

from __future__ import annotations

import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import time

import pytest

import completions.generate
import man.generate
from mslock.commands import cli
from mslock.errors import ExitCode
from mslock.options import OPTIONS
from tests.debian import need
from tests.e2e.conftest import BOUND_S, Mslock

ROOT = pathlib.Path(__file__).parent.parent
PAGE = ROOT / "man" / "mslock.1"
COMPLETIONS = ROOT / "completions"


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Mslock:
    """A machine with two locks in its database, of which one has a colon in its name, as a derived one has."""
    machine = Mslock(tmp_path)
    for name in ("report", "root:backup"):
        assert machine.run("--name", name, "--", "true").returncode == 0
    return machine


def test_the_manual_is_what_the_program_says_now() -> None:
    assert PAGE.read_text() == man.generate.generate(), "run: make generate"


def test_the_completions_are_what_the_program_says_now() -> None:
    for file, text in completions.generate.generate().items():
        assert (COMPLETIONS / file).read_text() == text, "run: make generate"


def test_no_template_keeps_a_hole() -> None:
    for file, text in completions.generate.generate().items():
        assert not re.findall(r"@[A-Z_]+@", text), file


def test_the_manual_has_every_option_variable_command_and_exit_code() -> None:
    text = _formatted()
    for option in OPTIONS:
        for flag in option.flags:
            assert re.search(rf"^ {{7}}.*(?<!\S){flag}\b", text, re.MULTILINE), flag
        assert option.variable in text
    for name in cli.commands:
        assert re.search(rf"^   mslock {name}\b", text, re.MULTILINE), name
    for name, number in vars(ExitCode).items():
        if name.isupper() and name != "SIGNALLED":
            assert re.search(rf"^ {{7}}{number} ", text, re.MULTILINE), name


def test_the_manual_fits_80_columns() -> None:
    assert max(map(len, _formatted().splitlines())) <= 80


def test_mandoc_finds_nothing_to_say_of_the_manual() -> None:
    assert subprocess.run([need("mandoc"), "-Tlint", str(PAGE)], capture_output=True, text=True).stdout == ""


def test_groff_warns_of_nothing_in_the_manual() -> None:
    command = [need("groff"), "-man", "-Tutf8", "-ww", "-z", str(PAGE)]
    assert subprocess.run(command, capture_output=True, text=True).stderr == ""


CASES = [
    ("mslock sta", "mslock status"),
    ("mslock forget rep", "mslock forget report"),
    ("mslock forget root:b", "mslock forget root:backup"),
    ("mslock --name rep", "mslock --name report"),
    ("mslock --name=rep", "mslock --name=report"),
    ("mslock --name x --on-o", "mslock --name x --on-orphan"),
    ("mslock --name x --on-lost con", "mslock --name x --on-lost continue"),
    ("mslock --on-lost=con", "mslock --on-lost=continue"),
    ("mslock -c true --ti", "mslock -c true --timeout"),
    ("mslock status --js", "mslock status --json"),
    ("mslock --name x ls ./unm", "mslock --name x ls ./unmistakable"),
    ("mslock --name x -- unmis", "mslock --name x -- unmistakable-job"),
    ("mslock --db sqlite:////x --name x -- unmis", "mslock --db sqlite:////x --name x -- unmistakable-job"),
]


@pytest.mark.parametrize(("typed", "completed"), CASES)
@pytest.mark.parametrize("shell", ["bash", "bash with bash-completion", "zsh", "fish"])
def test_tab_completes(shell: str, typed: str, completed: str, machine: Mslock) -> None:
    name = shell.split(maxsplit=1)[0]
    need(name)
    library = need("/usr/share/bash-completion/bash_completion", "bash-completion") if shell != name else ""
    (machine.folder / "unmistakable").touch()
    job = machine.folder / "bin" / "unmistakable-job"
    job.parent.mkdir()
    job.touch(0o755)
    environ = machine.environ | {"PATH": f"{job.parent}:{machine.environ['PATH']}", "TERM": "dumb", "LANG": "C.UTF-8"}
    if name == "fish":
        assert completed.rsplit(maxsplit=1)[-1] in _fish_candidates(typed, environ, machine.folder)
        return
    with Shell(name, environ, machine.folder) as terminal:
        if name == "bash":
            if shell != name:
                terminal.do(f". {library}")
            terminal.do(f". {COMPLETIONS}/mslock.bash")
        else:
            terminal.do(f"fpath=({COMPLETIONS} $fpath); autoload -U compinit; compinit -D -u")
        assert terminal.complete(typed) == completed


def test_fish_offers_no_option_of_mslock_to_the_job(machine: Mslock) -> None:
    need("fish")
    assert "--on-lost" not in _fish_candidates("mslock --name x -- ls --o", machine.environ, machine.folder)


def _formatted() -> str:
    """The manual as a reader sees it, on 80 columns, without bold and italics."""
    command = [need("mandoc"), "-Tutf8", "-O", "width=80", str(PAGE)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return re.sub(r".\x08|\x1b\[[0-9;]*m", "", text)


def _fish_candidates(typed: str, environ: dict[str, str], folder: pathlib.Path) -> list[str]:
    """What fish's own engine offers; its line editor wants a terminal that answers questions."""
    script = f"source {COMPLETIONS}/mslock.fish; complete --do-complete={_quoted(typed)}"
    run = subprocess.run(["fish", "--no-config", "-c", script], env=environ, cwd=folder, capture_output=True, text=True)
    assert not run.stderr, run.stderr
    return [line.partition("\t")[0] for line in run.stdout.splitlines()]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


class Shell:
    """An interactive shell on a terminal of its own."""

    def __init__(self, name: str, environ: dict[str, str], folder: pathlib.Path) -> None:
        self._number = 0
        self._shown = ""
        plain = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"]}[name]
        pid, self._terminal = pty.fork()
        if pid == 0:
            os.chdir(folder)
            os.execvpe(name, [name, *plain, "-i"], environ)
        self._pid = pid

    def __enter__(self) -> Shell:
        self.do("stty cols 500 2>/dev/null")
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._terminal)

    def do(self, line: str) -> None:
        """Run a line to its end."""
        self._number += 1
        os.write(self._terminal, f"{line}; echo done-$((1000+{self._number}))\n".encode())
        self._wait_for(rf"done-{1000 + self._number}\r?\n")

    def complete(self, typed: str) -> str:
        """The line after TAB: typed, completed, and then told by `echo` put in front of it."""
        self._number += 1
        mark = f"line-{1000 + self._number}:"
        os.write(self._terminal, f"{typed}\t\x01echo line-$((1000+{self._number})): \n".encode())
        return self._wait_for(rf"{mark} ([^\r\n]*)\r?\n").group(1).rstrip()

    def _wait_for(self, pattern: str) -> re.Match[str]:
        ends = time.monotonic() + BOUND_S
        while time.monotonic() < ends:
            found = re.search(pattern, self._shown)
            if found:
                self._shown = self._shown[found.end() :]
                return found
            if select.select([self._terminal], [], [], 0.1)[0]:
                self._shown += os.read(self._terminal, 65536).decode(errors="replace")
        raise AssertionError(f"never shown: {pattern!r} in {self._shown!r}")
