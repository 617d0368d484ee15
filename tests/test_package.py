"""What a user gets: the wheel, and the executable that is installed from it."""

from __future__ import annotations

import pathlib
import subprocess
import sysconfig
import tarfile
import zipfile

import pytest

from mslock import __version__
from mslock.commands import cli
from mslock.errors import ExitCode
from tests.bench.installation import ROOT, build_sdist, build_wheel, environ, install
from tests.e2e.conftest import BOUND_S, until

#: Never imported by a run line: each costs milliseconds on every line of every crontab.
DIET = frozenset(
    (
        *("alembic", "click", "psutil", "rich", "sqlalchemy"),
        *("argparse", "contextlib", "dataclasses", "datetime", "enum", "fractions", "hashlib", "inspect", "json"),
        *("locale", "logging", "pathlib", "platform", "queue", "random", "re", "select", "selectors", "shutil"),
        *("signal", "socket", "sqlite3", "ssl", "string", "struct", "subprocess", "syslog", "tempfile", "threading"),
        *("tokenize", "traceback", "typing", "warnings", "weakref"),
    )
)


class Installed:
    """mslock in an environment of its own, without its dependencies."""

    def __init__(self, wheel: pathlib.Path, folder: pathlib.Path) -> None:
        self.prefix = folder / "venv"
        self.executable = install(wheel, self.prefix)

    def environ(self, folder: pathlib.Path) -> dict[str, str]:
        return environ(HOME=str(folder), MSLOCK_DB=f"sqlite:///{folder}/mslock.db")

    def run(self, folder: pathlib.Path, *words: str) -> subprocess.CompletedProcess[str]:
        return self._run(folder, str(self.executable), *words)

    def imports(self, folder: pathlib.Path, *words: str) -> tuple[int, set[str]]:
        """The exit code of a line, and the modules that it imports beyond those of a bare start of Python."""
        python = str(self.prefix / "bin" / "python")
        bare = self._run(folder, python, "-X", "importtime", "-c", "pass")
        ended = self._run(folder, python, "-X", "importtime", str(self.executable), *words)
        return ended.returncode, _imported(ended.stderr) - _imported(bare.stderr)

    def _run(self, folder: pathlib.Path, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self.environ(folder),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BOUND_S,
            start_new_session=True,
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(wheel, tmp_path_factory.mktemp("installed"))


def test_the_wheel_carries_our_own_script_for_pip_to_point_at_its_python(wheel: pathlib.Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        name = f"mslock-{__version__}.data/scripts/mslock"
        assert archive.read(name).startswith(b"#!python\n")
        assert archive.getinfo(name).external_attr >> 16 & 0o111, "not executable"
        assert not [entry for entry in archive.namelist() if entry.endswith("entry_points.txt")]


def test_the_wheel_carries_the_whole_package_and_nothing_else(wheel: pathlib.Path) -> None:
    ours = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "mslock").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        entries = {entry for entry in archive.namelist() if not entry.startswith(f"mslock-{__version__}.")}
    assert entries == ours


def test_the_wheel_asks_for_what_the_extras_need(wheel: pathlib.Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"mslock-{__version__}.dist-info/METADATA").decode()
    assert "Provides-Extra: postgresql\n" in metadata
    assert "Provides-Extra: mysql\n" in metadata
    assert "\n# mslock\n" in metadata, "the page on an index is the README"


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("man/mslock.1", "share/man/man1/mslock.1"),
        ("completions/mslock.bash", "share/bash-completion/completions/mslock"),
        ("completions/_mslock", "share/zsh/site-functions/_mslock"),
        ("completions/mslock.fish", "share/fish/vendor_completions.d/mslock.fish"),
    ],
)
def test_man_and_shells_find_their_files_under_the_prefix(source: str, place: str, installed: Installed) -> None:
    assert (installed.prefix / place).read_text() == (ROOT / source).read_text()


def test_the_source_distribution_makes_the_same_wheel(wheel: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with tarfile.open(build_sdist(tmp_path)) as archive:
        archive.extractall(tmp_path, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(tmp_path)
    again = build_wheel(tmp_path, next(path for path in tmp_path.iterdir() if path.is_dir()))
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(again) as second:
        assert {(entry.filename, entry.CRC) for entry in first.infolist()} == {
            (entry.filename, entry.CRC) for entry in second.infolist()
        }


def test_the_installed_script_is_ours_and_not_the_template_of_pip(installed: Installed) -> None:
    shebang, text = installed.executable.read_text().split("\n", 1)
    assert shebang == f"#!{installed.prefix}/bin/python"
    assert text == (ROOT / "mslock" / "launcher").read_text().split("\n", 1)[1]


def test_the_installed_executable_runs_a_job_and_skips_without_any_dependency(
    installed: Installed, tmp_path: pathlib.Path
) -> None:
    ran = installed.run(tmp_path, "--name", "x", "--", "echo", "ran")
    assert (ran.returncode, ran.stdout) == (0, "ran\n")
    skipped = installed.run(tmp_path, "--name", "x", "--", "echo", "ran")
    assert (skipped.returncode, skipped.stdout, skipped.stderr) == (ExitCode.SKIPPED, "", "")


@pytest.mark.parametrize("command", list(cli.commands))
def test_the_installed_commands_run(command: str, installed: Installed, tmp_path: pathlib.Path) -> None:
    """With the dependencies of the Python that tests beside them; init-db needs the migrations of the wheel."""
    beside = next((installed.prefix / "lib").glob("python*/site-packages")) / "dependencies.pth"
    beside.write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    try:
        assert installed.run(tmp_path, "--name", "x", "--", "true").returncode == 0
        ended = installed.run(tmp_path, command, *(["x"] if command == "forget" else []))
    finally:
        beside.unlink()
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_run_keeps_to_its_diet(installed: Installed, tmp_path: pathlib.Path) -> None:
    code, imports = installed.imports(tmp_path, "--name", "x", "--", "true")
    assert code == 0
    assert "mslock.runner" in imports
    assert not _offences(imports)


def test_a_shell_line_keeps_to_its_diet(installed: Installed, tmp_path: pathlib.Path) -> None:
    code, imports = installed.imports(tmp_path, "--timeout", "1h", "-c", "true")
    assert code == 0
    assert not _offences(imports)


def test_a_skip_of_a_lock_that_cools_keeps_to_its_diet(installed: Installed, tmp_path: pathlib.Path) -> None:
    installed.run(tmp_path, "--name", "x", "--", "true")
    code, imports = installed.imports(tmp_path, "--name", "x", "--cooldown", "1d", "-v", "--", "true")
    assert code == ExitCode.SKIPPED
    assert not _offences(imports)


def test_a_skip_of_a_lock_that_is_held_keeps_to_its_diet(installed: Installed, tmp_path: pathlib.Path) -> None:
    holder = subprocess.Popen(
        [installed.executable, "--name", "x", "-c", "echo held; read line"],
        env=installed.environ(tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with holder:
        until(lambda: holder.stdout and holder.stdout.readline() == b"held\n")
        code, imports = installed.imports(tmp_path, "--name", "x", "--", "true")
    assert code == ExitCode.SKIPPED
    assert not _offences(imports)


def _imported(importtime: str) -> set[str]:
    """The modules that `-X importtime` tells of."""
    lines = [line for line in importtime.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines[1:]}


def _offences(imports: set[str]) -> set[str]:
    return {name for name in imports if name.partition(".")[0] in DIET}
