"""`mslock forget`: free a lock by hand.

Why: a lock that is held and not stale may have a live job behind it, so that forgetting it is how two jobs come to run
at once; that takes `--force`. The row is put in its place by compare-and-swap as everywhere, so a run that begins
between our look and our write is seen, and refused.
"""

from __future__ import annotations

import os
import sys
import time

import click

from mslock import policy
from mslock.clock import race_pause_s
from mslock.commands.database_option import database_option
from mslock.commands.lock_names import can_exist, names_argument
from mslock.commands.moments import span
from mslock.errors import ExitCode, MslockError
from mslock.notices import Notices, printable
from mslock.protocol import TRIES, too_many

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mslock.commands.database import Database
    from mslock.policy import Row
    from mslock.store import Store


class Refused(MslockError):
    """A lock was not forgotten."""

    exit_code = ExitCode.REFUSED


@click.command(short_help="Free locks by hand.")
@names_argument("names", nargs=-1, required=True)
@database_option
@click.option(
    "--force", is_flag=True, help="Also a lock that is held: its job is stopped, within a third of its lease."
)
@click.pass_obj
def forget(notices: Notices, names: tuple[str, ...], db: str | None, force: bool) -> int:
    """Free locks by hand: clear holder, cool-down and interval, so that the next invocation may start at once.

    A lock that is held is refused, unless it is stale. With --force, two jobs of one name may run at once, until the
    supervisor that lost its lock finds out at its next renewal. The fence stays. The exit code is 1 if a lock was
    refused or is not there; the other locks are forgotten all the same.
    """
    from mslock.commands.database import Database

    database = Database(db, os.environ)
    database.require()
    store = database.store()
    code = ExitCode.OK
    try:
        for name in dict.fromkeys(names):
            try:
                done = _forget(database, store, notices, name, force)
                sys.stdout.write(printable(f"{name}: {done}") + "\n")
            except Refused as refused:
                sys.stdout.flush()
                notices.error(str(refused))
                code = refused.exit_code
    finally:
        store.close()
    return code


def _forget(database: Database, store: Store, notices: Notices, name: str, force: bool) -> str:
    """Forget one lock; return what was done, for a person.

    Raises:
        Refused: it is held, or not there.
    """
    for _ in range(TRIES):
        row, now_ms = store.read(name) if can_exist(name) else (None, 0)
        if row is None:
            raise Refused(f"{name}: there is no such lock on {database.label}")
        stands = policy.standing(row, now_ms, database.evidence(row))
        if stands in (policy.HELD, policy.ORPHANED) and not force:
            raise Refused(f"{name}: {_holder(row, stands, now_ms)}; --force forgets it all the same")
        lost = stands in (policy.STALE, policy.ORPHANED)
        if not store.write(policy.forget(row, lost), row):
            time.sleep(race_pause_s())
            continue
        if stands == policy.FREE:
            return f"forgotten; it was {policy.state(row, now_ms, policy.NO_EVIDENCE)}"
        if stands == policy.HELD:
            holder = _holder(row, stands, now_ms)
            return f"forgotten by force; it was {holder}, whose supervisor finds out at its next renewal"
        run = policy.lost_run(row, now_ms)
        try:
            store.record(run)
        except MslockError as error:
            notices.warning(f"{name}: its lost run could not be written into the history: {error}")
        how = "it was stale" if stands == policy.STALE else f"by force; it was {_holder(row, stands, now_ms)}"
        return f"forgotten; {how}; its run on {row.host} (fence {row.fence}) is recorded as {run.outcome}"
    raise too_many(name)


def _holder(row: Row, stands: str, now_ms: int) -> str:
    since = "" if row.started_ms is None else f" for {span(now_ms - row.started_ms)}"
    if stands == policy.ORPHANED:
        return f"held by a job whose supervisor died, on {row.host} (session {row.job_session}){since}"
    return f"held by {row.host} (pid {row.pid}){since}"
