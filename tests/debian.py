"""Programs that some tests need, from Debian's packages.

Why: a test that is skipped where nobody looks proves nothing. So root installs what is missing, others are told in one
loud line how to get it, and a machine that says CI=true may not skip at all.
"""

from __future__ import annotations

import functools
import os
import pathlib
import shutil
import subprocess

import pytest


def need(program: str, package: str = "") -> str:
    """The path of a program, or of a file, from `package` (by default of the same name)."""
    found = _find(program)
    if not found and os.geteuid() == 0:
        _install(package or program)
        found = _find(program)
    if not found:
        told = f"NOT TESTED: {program} is missing; get it by: apt-get install {package or program}"
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)
    return found


def _find(program: str) -> str:
    if "/" in program:
        return program if pathlib.Path(program).exists() else ""
    return shutil.which(program) or ""


@functools.cache
def _install(package: str) -> None:
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--no-install-recommends", package]
    if shutil.which("apt-get") and subprocess.run(install, env=environ, capture_output=True).returncode:
        subprocess.run(["apt-get", "update"], env=environ, capture_output=True)
        subprocess.run(install, env=environ, capture_output=True)
