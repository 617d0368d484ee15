"""The steps of the protocol, over every database, with the answers that get lost."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from mslock import clock, policy, protocol
from mslock.child import Ending
from mslock.errors import DatabaseError, MslockError
from mslock.policy import Row
from mslock.store import Store
from tests.contract.conftest import Open
from tests.contract.faults import Faulty, history, sql
from tests.samples import claimed, free_row, held_row

DONE = Ending(0, 12, 3456)
FAILED = Ending(3 << 8, 12, 3456)
KILLED = Ending(9, 12, 3456)


def read(store: Store) -> Row | None:
    return store.read("report")[0]


def claim(store: Store, before: Row | None = None, **changes: Any) -> Row:
    """A lock of ours, claimed now, by the database's time."""
    _, now_ms = store.read("report")
    row = claimed(before, now_ms, **changes)
    assert protocol.claim(store, row, before, None) == (True, None)
    return row


def put(store: Store, row: Row) -> Row:
    assert store.write(row, None)
    return row


def finish(store: Store, mine: Row, ending: Ending = DONE) -> tuple[bool, MslockError | None]:
    outcome = policy.KILLED if ending.signo else policy.FAILED if ending.code else policy.SUCCEEDED
    return protocol.finish(store, mine, outcome, ending, clock.now_s())


# look


def test_a_look_at_a_sound_lock_writes_nothing(store: Store, open_store: Open) -> None:
    row = claim(store)
    faulty = Faulty(update="before", insert="before")
    seen, now_ms = protocol.look(open_store(faulty.connect), "report")
    assert seen == row
    assert now_ms >= row.started_ms  # type: ignore[operator]
    assert faulty.plan


def test_a_look_mends_a_lease_that_a_clock_set_back_made_impossible(store: Store, open_store: Open) -> None:
    _, now_ms = store.read("report")
    put(store, held_row(lease_until_ms=now_ms + 86_400_000, lease_ms=60_000))
    mended, then_ms = protocol.look(store, "report")
    assert mended is not None
    assert mended.lease_until_ms == then_ms + 60_000
    assert mended.version == held_row().version + 1
    assert read(open_store()) == mended


def test_a_mended_lease_is_adopted_by_its_holder(store: Store, open_store: Open) -> None:
    _, now_ms = store.read("report")
    mine = put(store, held_row(lease_until_ms=now_ms + 86_400_000, lease_ms=60_000))
    mended, _ = protocol.look(open_store(), "report")
    renewed = protocol.renew(store, mine)
    assert mended is not None
    assert renewed is not None
    assert renewed[0].version == mended.version + 1


def test_two_that_mend_at_once_see_the_same_lock(store: Store, open_store: Open) -> None:
    _, now_ms = store.read("report")
    put(store, held_row(lease_until_ms=now_ms + 86_400_000, lease_ms=60_000))
    quicker: list[Row | None] = []
    faulty = Faulty(update=lambda: quicker.append(protocol.look(store, "report")[0]))
    assert protocol.look(open_store(faulty.connect), "report")[0] == quicker[0] == read(store)


# claim


def test_a_claim_that_lost_its_race_writes_no_history(store: Store) -> None:
    before = put(store, held_row(lease_until_ms=1))
    assert store.write(claimed(before, run_id="c" * 32), before)
    lost = policy.lost_run(before, 5)
    assert protocol.claim(store, claimed(before), before, lost) == (False, None)
    assert history(store)[0] == 0


def test_a_claim_records_the_lost_run_that_it_recovers_from(store: Store) -> None:
    before = put(store, held_row(lease_until_ms=1))
    assert protocol.claim(store, claimed(before), before, policy.lost_run(before, 5)) == (True, None)
    assert history(store) == (1, before.fence, before.fence)


def test_a_history_that_fails_prevents_no_claim(store: Store, open_store: Open) -> None:
    before = put(store, held_row(lease_until_ms=1))
    mine = claimed(before)
    faulty = open_store(Faulty(record="before").connect)
    won, failed = protocol.claim(faulty, mine, before, policy.lost_run(before, 5))
    assert won
    assert isinstance(failed, DatabaseError)
    assert read(store) == mine


# renew


def test_a_renewal_counts_the_lease_from_the_databases_now_and_our_own_time_before_the_read(
    store: Store, open_store: Open
) -> None:
    mine = claim(store)
    asked_s = clock.now_s()
    read_s: list[float] = []
    faulty = Faulty(read=lambda: read_s.append(clock.now_s()))
    renewed = protocol.renew(open_store(faulty.connect), mine)
    assert renewed is not None
    row, read_at_s = renewed
    assert asked_s <= read_at_s <= read_s[0]
    assert row.version == mine.version + 1
    assert row.lease_until_ms is not None
    assert mine.started_ms is not None
    assert row.lease_until_ms - row.lease_ms >= mine.started_ms
    assert read(store) == row


def test_a_renewal_of_a_forgotten_lock_is_lost(store: Store, open_store: Open) -> None:
    mine = claim(store)
    assert open_store().write(policy.forget(mine), mine)
    assert protocol.renew(store, mine) is None
    assert read(store) == policy.forget(mine)


def test_a_renewal_of_a_stolen_lock_is_lost_and_leaves_it_to_the_thief(store: Store, open_store: Open) -> None:
    mine = claim(store)
    theirs = claim(open_store(), mine, run_id="c" * 32)
    assert protocol.renew(store, mine) is None
    assert read(store) == theirs


def test_a_renewal_that_is_overtaken_by_a_thief_is_lost(store: Store, open_store: Open) -> None:
    mine = claim(store)
    faulty = Faulty(update=lambda: claim(store, mine, run_id="c" * 32))
    assert protocol.renew(open_store(faulty.connect), mine) is None


def test_a_lease_that_is_over_but_taken_by_nobody_is_renewed(store: Store) -> None:
    mine = put(store, held_row(lease_until_ms=1))
    renewed = protocol.renew(store, mine)
    assert renewed is not None
    assert renewed[0].lease_until_ms is not None
    assert renewed[0].lease_until_ms > store.read("report")[1]


@pytest.mark.parametrize("there", [True, False])
def test_a_renewal_through_a_copy_that_lags_is_no_answer(store: Store, there: bool) -> None:
    mine = claim(store) if there else claimed()
    ahead = mine.but(version=mine.version + 1)
    with pytest.raises(DatabaseError, match="lags"):
        protocol.renew(store, ahead)
    assert read(store) == (mine if there else None)


def test_a_renewal_that_took_effect_unknown_to_us_is_adopted(store: Store) -> None:
    mine = claim(store)
    unknown = protocol.renew(store, mine)
    again = protocol.renew(store, mine)
    assert unknown is not None
    assert again is not None
    assert again[0].version == unknown[0].version + 1 == mine.version + 2
    assert again[0].run_id == mine.run_id


def test_a_renewal_whose_answer_got_lost_is_settled_in_the_same_conversation(store: Store, open_store: Open) -> None:
    mine = claim(store)
    renewed = protocol.renew(open_store(Faulty(update="after").connect), mine)
    assert renewed is not None
    assert read(store) == renewed[0] == mine.but(version=mine.version + 1, lease_until_ms=renewed[0].lease_until_ms)


def test_a_renewal_that_never_arrives_is_no_answer(store: Store, open_store: Open) -> None:
    mine = claim(store)
    with pytest.raises(DatabaseError):
        protocol.renew(open_store(Faulty(update="before").connect), mine)
    assert read(store) == mine


# finish


@pytest.mark.parametrize(("ending", "exit_code"), [(DONE, 0), (FAILED, 3), (KILLED, None)])
def test_a_run_that_ends_is_recorded_and_its_lock_released(store: Store, ending: Ending, exit_code: int | None) -> None:
    mine = claim(store)
    assert finish(store, mine, ending) == (True, None)
    row = read(store)
    assert row is not None
    assert not row.held
    assert (row.version, row.fence, row.last_host, row.last_exit_code) == (
        mine.version + 1,
        mine.fence,
        mine.host,
        exit_code,
    )
    text = "SELECT outcome, exit_code, cpu_ms, max_rss_kib, finished_ms, started_ms, run_id FROM mslock_runs"
    run = sql(store, text)
    assert run is not None
    assert tuple(run) == (row.last_outcome, exit_code, 12, 3456, row.finished_ms, mine.started_ms, mine.run_id)


def test_a_run_ended_when_its_job_did_and_not_when_the_database_could_be_told(store: Store) -> None:
    mine = put(store, held_row())
    _, before_ms = store.read("report")
    assert protocol.finish(store, mine, policy.SUCCEEDED, DONE, clock.now_s() - 3600) == (True, None)
    _, after_ms = store.read("report")
    row = read(store)
    assert row is not None
    assert row.finished_ms is not None
    assert before_ms - 3_600_000 - 1000 <= row.finished_ms <= after_ms - 3_600_000 + 1000


def test_a_run_never_ends_before_it_started(store: Store) -> None:
    mine = claim(store)
    assert protocol.finish(store, mine, policy.SUCCEEDED, DONE, clock.now_s() - 3600) == (True, None)
    row = read(store)
    assert row is not None
    assert row.finished_ms == row.started_ms


def test_a_loser_records_its_run_and_releases_nobody(store: Store, open_store: Open) -> None:
    mine = claim(store)
    theirs = claim(open_store(), mine, run_id="c" * 32)
    assert finish(store, mine) == (False, None)
    assert read(store) == theirs
    assert history(store) == (1, mine.fence, mine.fence)


def test_a_run_whose_lock_was_forgotten_keeps_the_cooldown_forgotten(store: Store, open_store: Open) -> None:
    mine = claim(store)
    assert open_store().write(policy.forget(mine), mine)
    finish(store, mine)
    assert read(store) == policy.forget(mine)


def test_a_thief_between_the_read_and_the_release_is_not_released(store: Store, open_store: Open) -> None:
    mine = claim(store)
    theirs: list[Row] = []
    # Before the transaction begins: inside one, an embedded database lets nobody in.
    faulty = Faulty(begin=lambda: theirs.append(claim(store, mine, run_id="c" * 32)))
    assert finish(open_store(faulty.connect), mine)[0] is False
    assert [read(store)] == theirs
    assert history(store) == (1, mine.fence, mine.fence)


def test_a_renewal_unknown_to_us_does_not_stand_in_the_way_of_the_release(store: Store) -> None:
    mine = claim(store)
    assert protocol.renew(store, mine) is not None
    assert finish(store, mine) == (True, None)


def test_a_release_through_a_copy_that_lags_is_no_answer(store: Store) -> None:
    mine = claim(store)
    with pytest.raises(DatabaseError, match="lags"):
        finish(store, mine.but(version=mine.version + 1))
    assert read(store) == mine


@pytest.mark.parametrize("fault", ["before", "after"])
@pytest.mark.parametrize("statement", ["read", "begin", "record", "update", "commit"])
def test_a_release_that_dies_anywhere_is_done_by_trying_again(
    store: Store, open_store: Open, statement: str, fault: str
) -> None:
    mine = claim(store)
    faulty = Faulty(**{statement: fault})
    ours = open_store(faulty.connect)
    try:
        released, _ = finish(ours, mine)
    except DatabaseError:
        ours.close()
        released, _ = finish(ours, mine)
    assert not faulty.plan
    assert released
    row = read(store)
    assert row is not None
    assert (row.held, row.run_id, row.last_outcome) == (False, mine.run_id, policy.SUCCEEDED)
    assert row.version == mine.version + 1
    assert history(store)[0] <= 1


def test_a_history_that_fails_prevents_no_release(store: Store, open_store: Open) -> None:
    mine = claim(store)
    released, failed = finish(open_store(Faulty(record="before").connect), mine)
    assert released
    assert isinstance(failed, DatabaseError)
    row = read(store)
    assert row is not None
    assert not row.held


def test_a_loser_whose_history_fails_is_told_so(store: Store, open_store: Open) -> None:
    mine = claim(store)
    claim(open_store(), mine, run_id="c" * 32)
    released, failed = finish(open_store(Faulty(record="before").connect), mine)
    assert not released
    assert isinstance(failed, DatabaseError)


# give back


@pytest.mark.parametrize("before", [None, free_row(), held_row(lease_until_ms=1)])
def test_a_claim_given_back_leaves_a_free_lock(store: Store, before: Row | None) -> None:
    if before is not None:
        put(store, before)
    mine = claim(store, before)
    protocol.give_back(store, mine, before)
    row = read(store)
    assert row == policy.give_back(mine, before)
    assert not row.held
    assert history(store)[0] == 0


def test_a_thief_keeps_what_is_given_back_too_late(store: Store, open_store: Open) -> None:
    mine = claim(store)
    theirs: list[Row] = []
    faulty = Faulty(update=lambda: theirs.append(claim(store, mine, run_id="c" * 32)))
    protocol.give_back(open_store(faulty.connect), mine, None)
    assert [read(store)] == theirs
    protocol.give_back(store, mine, None)
    assert [read(store)] == theirs


def test_a_claim_given_back_twice_is_given_back_once(store: Store) -> None:
    mine = claim(store)
    protocol.give_back(store, mine, None)
    once = read(store)
    protocol.give_back(store, mine, None)
    assert read(store) == once


def test_a_claim_given_back_through_a_copy_that_lags_is_no_answer(store: Store) -> None:
    with pytest.raises(DatabaseError, match="lags"):
        protocol.give_back(store, claim(store).but(version=2**62), None)


# races without end


@pytest.mark.parametrize("step", ["look", "renew", "finish", "give_back"])
def test_races_lost_without_end_are_no_answer_and_not_lost(store: Store, open_store: Open, step: str) -> None:
    _, now_ms = store.read("report")
    mine = put(store, held_row(lease_until_ms=now_ms + 10 * 86_400_000))
    lengths = itertools.count()

    class Restless(Faulty):
        """Somebody else moves the version before each of our writes, and the lease out of bounds."""

        def connect(self, url: str, timeout_s: float, news: list[str]) -> Any:
            self.plan = self._Always(begin=self._move, update=self._move)
            return super().connect(url, timeout_s, news)

        class _Always(dict[str, "str | Callable[[], object]"]):
            def pop(self, key: str, *default: Any) -> Any:
                return self.get(key, *default)

        def _move(self) -> None:
            row = read(others)
            assert row is not None
            if not in_transaction(ours):
                assert others.write(row.but(version=row.version + 1, lease_ms=60_000 - next(lengths)), row)

    others, ours = open_store(), open_store(Restless().connect)
    call: dict[str, Callable[[], object]] = {
        "look": lambda: protocol.look(ours, "report"),
        "renew": lambda: protocol.renew(ours, mine),
        "finish": lambda: finish(ours, mine),
        "give_back": lambda: protocol.give_back(ours, mine, None),
    }
    with pytest.raises(DatabaseError, match="faster than we can"):
        call[step]()
    row = read(store)
    assert row is not None
    assert row.run_id == mine.run_id
    assert row.held


def in_transaction(store: Store) -> bool:
    """Whether others have to wait for the store, as they have to inside an embedded database's transaction."""
    return bool(getattr(getattr(store.connection, "_connection", None), "in_transaction", False))
