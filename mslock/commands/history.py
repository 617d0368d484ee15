"""`mslock history`: the runs that have ended, newest first."""

from __future__ import annotations

import json
import os
import sys

import click

from mslock import policy
from mslock.commands.database_option import database_option
from mslock.commands.lock_names import can_exist, names_argument
from mslock.commands.moments import iso, local, span
from mslock.errors import ExitCode
from mslock.notices import Notices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mslock.commands.table import Cell
    from mslock.policy import Record


@click.command(short_help="Show the runs that have ended, newest first.")
@names_argument("name", nargs=1, required=False)
@database_option
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    default=20,
    show_default=True,
    help="Show N runs at most.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list for programs; times are ISO 8601, in UTC.")
@click.pass_obj
def history(notices: Notices, name: str | None, db: str | None, limit: int, as_json: bool) -> int:
    """Show the runs that have ended, of the lock NAME or of all, newest first.

    The newest 1000 of each lock are kept. The exit code is 1 if NAME is not there.
    """
    from mslock.commands.database import Database

    database = Database(db, os.environ)
    database.require()
    runs = database.runs(name, limit) if name is None or can_exist(name) else []
    known = name is None or bool(runs) or (can_exist(name) and bool(database.locks([name])[0]))
    for text in database.news:
        notices.warning(text)
    if as_json:
        sys.stdout.write(json.dumps([_object(run) for run in runs], indent=2) + "\n")
    elif known:
        from mslock.commands.table import show

        count = "no run has ended yet" if not runs else f"the last {len(runs)} runs" if len(runs) > 1 else "one run"
        of = f" of {name}" if name is not None and runs else ""
        show(
            ("LOCK", "STARTED", "TOOK", "OUTCOME", "HOST"),
            [_cells(run) for run in runs],
            f"{database.label}: {count}{of}",
        )
    if known:
        return ExitCode.OK
    sys.stdout.flush()
    notices.error(f"no lock named {name!r} on {database.label}")
    return ExitCode.REFUSED


def _object(run: Record) -> dict[str, object]:
    return {
        "name": run.name,
        "fence": run.fence,
        "run_id": run.run_id,
        "host": run.host,
        "username": run.username,
        "command": run.command,
        "started_at": iso(run.started_ms),
        "finished_at": iso(run.finished_ms),
        "outcome": run.outcome,
        "exit_code": run.exit_code,
        "cpu_ms": run.cpu_ms,
        "max_rss_kib": run.max_rss_kib,
    }


def _cells(run: Record) -> list[Cell]:
    code = f" ({run.exit_code})" if run.exit_code else ""
    return [
        (run.name, ""),
        (local(run.started_ms), ""),
        (span(run.finished_ms - run.started_ms), ""),
        (run.outcome + code, "green" if run.outcome == policy.SUCCEEDED else "red"),
        (run.host, ""),
    ]
