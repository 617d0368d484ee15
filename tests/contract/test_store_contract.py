"""What every database has to keep for the store: time, races, answers that got lost, history."""

from __future__ import annotations

import time

import pytest

from mslock import policy
from mslock.errors import DatabaseError, MslockError, UsageError
from mslock.policy import Row
from mslock.settings import check_name
from mslock.store import Store
from tests.contract.conftest import Open
from tests.contract.faults import Faulty, history, sql
from tests.samples import a_record, claimed, free_row, held_row


def put(store: Store, row: Row) -> Row:
    assert store.write(row, None)
    return row


def read(store: Store, name: str = "report") -> Row | None:
    return store.read(name)[0]


# reading


def test_a_name_never_seen_still_tells_the_time(store: Store) -> None:
    row, now_ms = store.read("report")
    assert row is None
    assert isinstance(now_ms, int)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/St_Johns"])
def test_the_time_is_in_utc_milliseconds_whatever_the_zone(
    store: Store, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        _, now_ms = store.read("report")
    time.tzset()
    # Far less than the quarter of an hour by which the smallest zone could be off.
    assert abs(now_ms - time.time() * 1000) < 5 * 60 * 1000


def test_the_time_goes_on_within_one_connection(store: Store) -> None:
    _, first_ms = store.read("report")
    ends_s = time.monotonic() + 30
    while store.read("report")[1] <= first_ms:
        assert time.monotonic() < ends_s


@pytest.mark.parametrize("row", [held_row(), free_row(), held_row(kernel_id=None, pid_start=None, job_start=None)])
def test_what_is_written_is_read_again_to_the_letter(store: Store, row: Row) -> None:
    put(store, row)
    seen = read(store)
    assert seen == row
    assert seen is not None
    assert [type(value) for value in seen.values()] == [type(value) for value in row.values()]


def test_the_widest_values_fit(store: Store, open_store: Open) -> None:
    numbers = ("fence", "pid", "pid_start", "job_session", "job_start", "lease_until_ms", "lease_ms")
    row = held_row(
        name="N" * 200,
        version=2**62,
        host="h" * 255,
        kernel_id="00000000-0000-0000-0000-000000000000:18446744073709551615:18446744073709551615",
        username="ü" * 255,
        command="𝄞" * 255,
        last_outcome=policy.TIMED_OUT,
        last_exit_code=255,
        **dict.fromkeys(numbers, 2**62),
    )
    put(store, row)
    assert read(open_store(), row.name) == row


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Report", "report"),
        ("report", "report-"),
        ("report", "report_"),
        ("a" * 199 + "b", "a" * 199 + "c"),
        ("a_b", "axb"),
        ("1", "01"),
        ("1", "1.0"),
    ],
)
def test_names_compare_byte_for_byte(store: Store, one: str, other: str) -> None:
    put(store, held_row(name=one))
    assert read(store, other) is None
    put(store, held_row(name=other, version=99))
    first, second = read(store, one), read(store, other)
    assert first is not None
    assert second is not None
    assert (first.name, first.version, second.name, second.version) == (one, 7, other, 99)
    assert not store.write(held_row(name=one, version=100), second.but(name=one))
    store.record(a_record(first))
    store.record(a_record(second))
    assert history(store, one)[0] == history(store, other)[0] == 1


@pytest.mark.parametrize("name", ["report ", " report", "report\t", "report\n", "réport", "report\0", "r\u200bx"])
def test_what_some_database_would_take_for_the_same_cannot_be_a_name(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name)


# one winner


def test_of_two_that_insert_a_name_one_wins(store: Store, open_store: Open) -> None:
    assert open_store().write(claimed(run_id="a" * 32), None)
    assert not store.write(claimed(run_id="b" * 32), None)
    seen = read(store)
    assert seen is not None
    assert seen.run_id == "a" * 32


def test_of_two_that_update_a_version_one_wins(store: Store, open_store: Open) -> None:
    before = put(store, free_row())
    other = open_store()
    assert read(other) == before
    assert other.write(claimed(before, run_id="c" * 32), before)
    assert not store.write(claimed(before, run_id="d" * 32), before)
    seen = read(store)
    assert seen is not None
    assert seen.run_id == "c" * 32


def test_an_update_compares_the_version(store: Store) -> None:
    row = put(store, held_row())
    assert not store.write(policy.renew(row, 5), row.but(version=row.version - 1))
    assert not store.write(policy.renew(row, 5), row.but(version=row.version + 1))
    assert read(store) == row


def test_an_update_compares_the_run(store: Store) -> None:
    """A row deleted and made anew may have come to the same version."""
    row = put(store, held_row())
    assert not store.write(policy.release(row, 5, policy.SUCCEEDED, 0), row.but(run_id="f" * 32))
    assert read(store) == row


def test_an_update_of_a_name_that_is_gone_changes_nothing(store: Store) -> None:
    row = held_row()
    assert not store.write(policy.renew(row, 5), row)
    assert read(store) is None


def test_a_write_is_seen_by_others_at_once(store: Store, open_store: Open) -> None:
    other = open_store()
    assert read(other) is None
    row = put(store, held_row())
    assert read(other) == row
    assert store.write(policy.renew(row, 5), row)
    assert read(other) == policy.renew(row, 5)


# answers that got lost


@pytest.mark.parametrize("before", [None, free_row()])
def test_a_write_whose_answer_got_lost_is_found_to_have_taken_effect(
    store: Store, open_store: Open, before: Row | None
) -> None:
    if before is not None:
        put(store, before)
    faulty = Faulty(insert="after", update="after")
    row = claimed(before)
    assert open_store(faulty.connect).write(row, before)
    assert read(store) == row
    assert faulty.opened == 2


@pytest.mark.parametrize("before", [None, free_row()])
def test_a_write_that_never_arrived_raises_the_first_error(store: Store, open_store: Open, before: Row | None) -> None:
    if before is not None:
        put(store, before)
    with pytest.raises(DatabaseError, match=r"died before (insert|update)"):
        open_store(Faulty(insert="before", update="before").connect).write(claimed(before), before)
    assert read(store) == before


@pytest.mark.parametrize("before", [None, free_row()])
def test_a_write_in_doubt_is_a_race_lost_where_somebody_else_has_won(
    store: Store, open_store: Open, before: Row | None
) -> None:
    if before is not None:
        put(store, before)
    theirs = claimed(before, run_id="c" * 32)

    def somebody_else_wins() -> None:
        assert store.write(theirs, before)
        raise DatabaseError("the connection died")

    late = open_store(Faulty(insert=somebody_else_wins, update=somebody_else_wins).connect)
    assert not late.write(claimed(before), before)
    assert read(store) == theirs


def test_a_write_that_cannot_be_settled_is_an_error(open_store: Open) -> None:
    store = open_store(Faulty(insert="after", read="before").connect)
    with pytest.raises(DatabaseError):
        store.write(claimed(), None)


def test_after_an_error_the_next_statement_has_a_new_connection(open_store: Open) -> None:
    faulty = Faulty(insert="before")
    store = open_store(faulty.connect)
    with pytest.raises(DatabaseError):
        store.write(claimed(), None)
    assert store.write(claimed(), None)


# history


def test_a_run_recorded_twice_is_done(store: Store, open_store: Open) -> None:
    run = a_record(held_row())
    store.record(run)
    store.record(run)
    open_store().record(run)
    assert history(store) == (1, run.fence, run.fence)


def test_a_release_writes_the_run_and_frees_the_lock(store: Store, open_store: Open) -> None:
    row = put(store, held_row())
    after = policy.release(row, 5, policy.SUCCEEDED, 0)
    assert store.release(after, row, a_record(row)) == (True, None)
    other = open_store()
    assert read(other) == after
    assert history(other)[0] == 1


def test_a_release_of_a_lock_that_is_no_longer_ours_leaves_it_alone(store: Store, open_store: Open) -> None:
    mine = put(store, held_row())
    theirs = claimed(mine, run_id="c" * 32)
    assert open_store().write(theirs, mine)
    assert store.release(policy.release(mine, 5, policy.SUCCEEDED, 0), mine, a_record(mine))[0] is False
    assert read(open_store()) == theirs


@pytest.mark.parametrize("fault", ["before", "after"])
def test_a_history_that_fails_prevents_no_release(store: Store, open_store: Open, fault: str) -> None:
    row = put(store, held_row())
    after = policy.release(row, 5, policy.SUCCEEDED, 0)
    written, failed = open_store(Faulty(record=fault).connect).release(after, row, a_record(row))
    assert written
    assert isinstance(failed, MslockError)
    assert read(store) == after


def test_a_history_that_is_gone_prevents_no_release(store: Store, open_store: Open) -> None:
    row = put(store, held_row())
    sql(store, "DROP TABLE mslock_runs")
    after = policy.release(row, 5, policy.SUCCEEDED, 0)
    written, failed = store.release(after, row, a_record(row))
    assert written
    assert isinstance(failed, MslockError)
    assert read(open_store()) == after


def test_a_run_already_in_the_history_prevents_no_release(store: Store, open_store: Open) -> None:
    row = put(store, held_row())
    store.record(a_record(row))
    after = policy.release(row, 5, policy.SUCCEEDED, 0)
    assert store.release(after, row, a_record(row)) == (True, None)
    assert read(open_store()) == after


def test_a_connection_that_dies_at_a_release_leaves_all_or_an_error(store: Store, open_store: Open) -> None:
    row = put(store, held_row())
    after = policy.release(row, 5, policy.SUCCEEDED, 0)
    with pytest.raises(DatabaseError):
        open_store(Faulty(update="before").connect).release(after, row, a_record(row))
    assert read(store) == row
    assert store.release(after, row, a_record(row)) == (True, None)
    assert history(store)[0] == 1


def test_pruning_keeps_the_newest_thousand_of_a_name(store: Store) -> None:
    row = held_row()
    for name, count in (("report", 1007), ("other", 3)):
        store.read(name)
        store.connection.begin()
        for fence in range(1, count + 1):
            store.record(a_record(row, name=name, fence=fence))
        store.connection.commit()
    store.prune("report", 63)
    assert history(store)[0] == 1007
    store.prune("report", 64)
    assert history(store) == (1000, 8, 1007)
    store.prune("report", 64)
    assert history(store)[0] == 1000
    store.prune("other", 64)
    assert history(store, "other") == (3, 1, 3)
