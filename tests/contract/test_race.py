"""Sixteen that want a lock at the same moment: one gets it. Threads, and processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import mslock
from mslock import policy, protocol
from mslock.store import Store
from tests.contract.conftest import Open
from tests.contract.faults import history
from tests.samples import claimed, free_row, held_row

MANY = 16

_CONTENDER = """
import os, sys
from mslock import policy, protocol
from mslock.store import Store
store = Store(sys.argv[1], 30.0)
print("ready", flush=True)
sys.stdin.readline()
row, now_ms = protocol.look(store, "report")
if policy.decide(row, now_ms, 10_000, 0, policy.NO_EVIDENCE).kind == policy.FREE:
    holder = policy.Holder("web", None, os.getpid(), None, os.getpid(), None, "root", "report")
    mine = policy.claim(row, now_ms, policy.NO_EVIDENCE, name="report", run_id=os.urandom(16).hex(), holder=holder,
                        lease_ms=300_000, cooldown_ms=10_000)
    print(protocol.claim(store, mine, row, None)[0])
store.close()
"""


def contend(store: Store, wins: list[str], run_id: str) -> None:
    row, now_ms = protocol.look(store, "report")
    if policy.decide(row, now_ms, 10_000, 0, policy.NO_EVIDENCE).kind != policy.FREE:
        return
    lost = policy.lost_run(row, now_ms) if row is not None and row.held else None
    if protocol.claim(store, claimed(row, now_ms, run_id=run_id), row, lost)[0]:
        wins.append(run_id)


def race(open_store: Open) -> list[str]:
    """The run ids of those who won."""
    wins: list[str] = []
    errors: list[BaseException] = []
    start = threading.Barrier(MANY)

    def run(number: int) -> None:
        store = open_store()
        try:
            start.wait(30)
            contend(store, wins, f"{number:032x}")
        except BaseException as error:
            errors.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    return wins


def owner(store: Store) -> str:
    row, _ = store.read("report")
    assert row is not None
    assert row.held
    return row.run_id


def test_of_sixteen_threads_one_gets_a_new_lock_in_a_new_database(store: Store, open_store: Open) -> None:
    wins = race(open_store)
    assert wins == [owner(store)]


def test_of_sixteen_threads_one_gets_a_free_lock(store: Store, open_store: Open) -> None:
    store.write(free_row(), None)
    wins = race(open_store)
    assert wins == [owner(store)]


def test_of_sixteen_threads_one_recovers_a_stale_lock_and_its_run_is_recorded_once(
    store: Store, open_store: Open
) -> None:
    store.write(held_row(lease_until_ms=1), None)
    wins = race(open_store)
    assert wins == [owner(store)]
    assert history(store)[0] == 1


def test_of_sixteen_processes_one_gets_the_lock(url: str, store: Store) -> None:
    root = Path(mslock.__file__).parents[1]
    contenders = [
        subprocess.Popen(
            [sys.executable, "-c", _CONTENDER, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env=os.environ | {"PYTHONPATH": str(root)},
        )
        for _ in range(MANY)
    ]
    for contender in contenders:
        assert contender.stdout is not None
        assert contender.stdout.readline() == "ready\n"
    for contender in contenders:
        assert contender.stdin is not None
        contender.stdin.write("go\n")
        contender.stdin.flush()
    answers = [contender.communicate()[0].strip() for contender in contenders]
    assert [contender.returncode for contender in contenders] == [0] * MANY
    assert answers.count("True") == 1
    assert owner(store)
