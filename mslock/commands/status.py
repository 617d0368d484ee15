"""`mslock status`: the locks, who holds them, and how their last runs ended."""

from __future__ import annotations

import json
import os
import sys

import click

from mslock import policy
from mslock.commands.database_option import database_option
from mslock.commands.lock_names import can_exist, names_argument
from mslock.commands.moments import ago, iso, span
from mslock.errors import ExitCode
from mslock.notices import Notices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mslock.commands.database import Database
    from mslock.commands.table import Cell
    from mslock.policy import Row

_STYLES = {
    policy.IDLE: "dim",
    policy.RUNNING: "green",
    policy.COOLING: "cyan",
    policy.STALE: "yellow",
    policy.ORPHANED: "bold red",
}
#: Of more locks than this, the processes are not described: it is a look at each, and nobody reads them all.
_DESCRIBED = 20


@click.command(short_help="Show the locks, who holds them, how their last runs ended.")
@names_argument("names", nargs=-1, required=False)
@database_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list for programs; times are ISO 8601, in UTC.")
@click.pass_obj
def status(notices: Notices, names: tuple[str, ...], db: str | None, as_json: bool) -> int:
    """Show the locks: idle, running, cooling, stale or orphaned.

    A lock is stale when its holder is gone, so that the next invocation takes it; it is orphaned when its supervisor
    is dead and its job lives on. The exit code is 1 if a NAME is not there.
    """
    from mslock.commands.database import Database

    database = Database(db, os.environ)
    database.require()
    rows, now_ms = database.locks([name for name in names if can_exist(name)] if names else None)
    for text in database.news:
        notices.warning(text)
    states = [policy.state(row, now_ms, database.evidence(row)) for row in rows]
    if as_json:
        objects = [_object(row, state) for row, state in zip(rows, states, strict=True)]
        sys.stdout.write(json.dumps(objects, indent=2) + "\n")
    else:
        _show(database, rows, states, now_ms, bool(names))
    missing = sorted({*names}.difference(row.name for row in rows))
    if not missing:
        return ExitCode.OK
    sys.stdout.flush()
    for name in missing:
        notices.error(f"no lock named {name!r} on {database.label}")
    return ExitCode.REFUSED


def _object(row: Row, state: str) -> dict[str, object]:
    return {
        "name": row.name,
        "state": state,
        "host": row.host,
        "pid": row.pid,
        "fence": row.fence,
        "run_id": row.run_id,
        "command": row.command,
        "started_at": iso(row.started_ms) if row.held else None,
        "lease_until": iso(row.lease_until_ms),
        "eligible_at": iso(policy.eligible_ms(row)),
        "last_started_at": iso(row.started_ms),
        "last_finished_at": iso(row.finished_ms),
        "last_host": row.last_host,
        "last_outcome": row.last_outcome,
        "last_exit_code": row.last_exit_code,
    }


def _show(database: Database, rows: list[Row], states: list[str], now_ms: int, names: bool) -> None:
    from mslock.commands.table import show

    cells: list[list[Cell]] = [
        [(row.name, ""), (state, _STYLES[state]), (_now(row, state, now_ms), ""), _last(row, now_ms)]
        for row, state in zip(rows, states, strict=True)
    ]
    count = (
        ("no such lock" if names else "no lock yet")
        if not rows
        else "1 lock"
        if len(rows) == 1
        else f"{len(rows)} locks"
    )
    here = [
        row
        for row, state in zip(rows, states, strict=True)
        if state in (policy.RUNNING, policy.ORPHANED) and database.is_here(row)
    ]
    foot = []
    if here and len(here) <= _DESCRIBED:
        from mslock.commands.processes import describe

        foot = [f"{row.name}: {describe(row)}" for row in here]
    show(("LOCK", "STATE", "NOW", "LAST RUN"), cells, f"{database.label}: {count}", foot)


def _now(row: Row, state: str, now_ms: int) -> str:
    if state == policy.COOLING:
        return f"for another {span((policy.eligible_ms(row) or now_ms) - now_ms)}"
    if state == policy.IDLE:
        return ""
    since = "" if row.started_ms is None else f", {span(now_ms - row.started_ms)}"
    return f"{row.host} (pid {row.pid}){since}"


def _last(row: Row, now_ms: int) -> Cell:
    if row.last_outcome is None:
        return "", ""
    code = f" ({row.last_exit_code})" if row.last_exit_code else ""
    when = "" if row.finished_ms is None else f", {ago(row.finished_ms, now_ms)}"
    style = "" if row.last_outcome == policy.SUCCEEDED else "red"
    return f"{row.last_outcome}{code} on {row.last_host}{when}", style
