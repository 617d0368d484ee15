"""mslock as a user has it: the wheel, built from this checkout and installed into an environment of its own.

Why: an editable install has its script rewritten by another path, its modules found by a hook, and no compiled files
where the environment forbids them. What is measured or promised of the installed executable is shown on this one.
It has no dependencies beside it, since a run line imports none.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).parent.parent.parent


def build_wheel(folder: pathlib.Path, source: pathlib.Path = ROOT) -> pathlib.Path:
    """The wheel of a source tree, built in `folder` without asking an index for anything."""
    _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], source)
    return next(folder.glob("mslock-*.whl"))


def build_sdist(folder: pathlib.Path) -> pathlib.Path:
    """The source distribution of this checkout, built in `folder`."""
    _run([sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder)], ROOT)
    return next(folder.glob("mslock-*.tar.gz"))


def install(wheel: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """The wheel's executable, in a new environment in `folder`, by pip, with its modules compiled."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index", "--no-deps"]
    _run([*pip, "--compile", str(wheel)], folder)
    return folder / "bin" / "mslock"


def environ(**variables: str) -> dict[str, str]:
    """What cron would give, and no setting of mslock or Python that this process may have."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LOGNAME": "tester", "MSLOCK_CONF": "/dev/null", **variables}


def _run(command: list[str], folder: pathlib.Path) -> None:
    """
    Raises:
        RuntimeError: it failed; with what it said.
    """
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    ended = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{ended.stdout}{ended.stderr}")
