"""The rules as tables, where the domain is finite, and as properties, where it is not."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mslock import policy
from mslock.policy import ALIVE, DEAD, DOUBT, NO_EVIDENCE, Decision, Evidence, Lease, Row
from tests.samples import (
    HOLDER,
    HOLDER_COLUMNS,
    KERNEL,
    LEASE_MS,
    NOW_MS,
    claimed,
    evidences,
    free_row,
    free_rows,
    held_row,
    held_rows,
    pauses_ms,
    rows,
    run_ids,
    steady,
    times_ms,
)

GONE = Evidence(DEAD, DEAD)
HELD, STALE, ORPHANED = policy.HELD, policy.STALE, policy.ORPHANED

#: Who may take a held lock: (holder, session) -> (while the lease lasts, once it is over). Written out in full.
STANDING = {
    (ALIVE, ALIVE): (HELD, HELD),
    (ALIVE, DOUBT): (HELD, HELD),
    (ALIVE, DEAD): (HELD, HELD),
    (DOUBT, ALIVE): (HELD, HELD),
    (DOUBT, DOUBT): (HELD, STALE),
    (DOUBT, DEAD): (HELD, STALE),
    (DEAD, ALIVE): (ORPHANED, ORPHANED),
    (DEAD, DOUBT): (HELD, STALE),
    (DEAD, DEAD): (STALE, STALE),
}


# standing


@pytest.mark.parametrize("over", [False, True])
@pytest.mark.parametrize(("holder", "session"), list(STANDING))
def test_the_truth_table_of_a_held_lock(holder: str, session: str, over: bool) -> None:
    row = held_row(lease_until_ms=NOW_MS if over else NOW_MS + 1)
    assert policy.standing(row, NOW_MS, Evidence(holder, session)) == STANDING[holder, session][over]


def test_the_truth_table_leaves_nothing_out() -> None:
    assert set(STANDING) == set(itertools.product((ALIVE, DOUBT, DEAD), repeat=2))


@pytest.mark.parametrize("lease_until_ms", [None, NOW_MS - 1, NOW_MS + 1])
@pytest.mark.parametrize(("holder", "session"), list(STANDING))
def test_a_lock_without_a_holder_is_free_whatever_is_believed(
    holder: str, session: str, lease_until_ms: int | None
) -> None:
    row = free_row(lease_until_ms=lease_until_ms)
    assert policy.standing(row, NOW_MS, Evidence(holder, session)) == policy.FREE


@pytest.mark.parametrize(("holder", "session"), list(STANDING))
def test_a_held_lock_without_a_lease_is_never_over(holder: str, session: str) -> None:
    row = held_row(lease_until_ms=None)
    assert policy.standing(row, NOW_MS, Evidence(holder, session)) == STANDING[holder, session][False]


@pytest.mark.parametrize(("after_ms", "over"), [(-1, False), (0, True), (1, True)])
def test_a_lease_is_over_at_its_very_end(after_ms: int, over: bool) -> None:
    assert policy.lease_over(held_row(lease_until_ms=NOW_MS), NOW_MS + after_ms) is over


@steady
@given(held_rows(), times_ms, evidences)
def test_a_holder_or_a_job_that_is_alive_is_never_stale(row: Row, now_ms: int, evidence: Evidence) -> None:
    assume(ALIVE in (evidence.holder, evidence.session))
    assert policy.standing(row, now_ms, evidence) in (HELD, ORPHANED)


@steady
@given(held_rows(), times_ms, evidences)
def test_before_its_lease_is_over_only_two_proofs_free_a_lock(row: Row, now_ms: int, evidence: Evidence) -> None:
    assume(row.lease_until_ms is not None and now_ms < row.lease_until_ms)
    stale = policy.standing(row, now_ms, evidence) == STALE
    assert stale == (evidence.holder == evidence.session == DEAD)


# decide


def decide(
    row: Row | None, now_ms: int = NOW_MS, cooldown_ms: int = 0, interval_ms: int = 0, evidence: Evidence = NO_EVIDENCE
) -> tuple[str, int | None, bool]:
    decision = policy.decide(row, now_ms, cooldown_ms, interval_ms, evidence)
    return decision.kind, decision.until_ms, decision.stale


def test_a_name_never_seen_is_free() -> None:
    assert decide(None, cooldown_ms=10_000, interval_ms=10_000) == (policy.FREE, None, False)


def test_a_held_lock_tells_until_when_at_the_latest() -> None:
    row = held_row()
    assert decide(row) == (HELD, row.lease_until_ms, False)
    assert decide(row, evidence=Evidence(DEAD, ALIVE)) == (ORPHANED, row.lease_until_ms, False)


@pytest.mark.parametrize(
    ("distance_ms", "kind"),
    [
        (-10_000, policy.FREE),
        (-9_999, policy.COOLING),
        (-1, policy.COOLING),
        (0, policy.COOLING),
        (1, policy.COOLING),
        (9_999, policy.COOLING),
        (10_000, policy.FREE),
        (86_400_000, policy.FREE),
    ],
)
def test_a_cooldown_counts_from_the_completion_and_while_the_distance_is_below_it(distance_ms: int, kind: str) -> None:
    # The start lies elsewhere: long ago, or in a future that a clock set back has made.
    for started_ms in (None, NOW_MS - distance_ms - 5_000_000, NOW_MS + 5_000_000):
        row = free_row(started_ms=started_ms, finished_ms=NOW_MS - distance_ms, cooldown_ms=86_400_000)
        until_ms = NOW_MS - distance_ms + 10_000 if kind == policy.COOLING else None
        assert decide(row, cooldown_ms=10_000) == (kind, until_ms, False)


@pytest.mark.parametrize(
    ("distance_ms", "kind"),
    [
        (-60_000, policy.FREE),
        (-59_999, policy.TOO_SOON),
        (0, policy.TOO_SOON),
        (59_999, policy.TOO_SOON),
        (60_000, policy.FREE),
    ],
)
def test_an_interval_counts_from_the_start(distance_ms: int, kind: str) -> None:
    row = free_row(started_ms=NOW_MS - distance_ms, finished_ms=NOW_MS - 1)
    until_ms = NOW_MS - distance_ms + 60_000 if kind == policy.TOO_SOON else None
    assert decide(row, interval_ms=60_000) == (kind, until_ms, False)


def test_an_interval_does_not_count_from_the_completion() -> None:
    row = free_row(started_ms=NOW_MS - 60_000, finished_ms=NOW_MS - 1)
    assert decide(row, interval_ms=60_000)[0] == policy.FREE


def test_the_cooldown_is_that_of_who_asks_not_of_who_ran() -> None:
    row = free_row(finished_ms=NOW_MS - 5_000, cooldown_ms=10_000)
    assert decide(row, cooldown_ms=0)[0] == policy.FREE
    assert decide(row, cooldown_ms=5_000)[0] == policy.FREE
    assert decide(row, cooldown_ms=5_001)[0] == policy.COOLING


def test_a_cooldown_is_told_before_an_interval() -> None:
    row = free_row(started_ms=NOW_MS - 2, finished_ms=NOW_MS - 1)
    assert decide(row, cooldown_ms=10, interval_ms=1000)[0] == policy.COOLING


def test_a_lock_never_completed_nor_started_has_no_pause() -> None:
    row = free_row(started_ms=None, finished_ms=None)
    assert decide(row, cooldown_ms=86_400_000, interval_ms=86_400_000) == (policy.FREE, None, False)


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence(DOUBT, DOUBT),
        Evidence(DOUBT, DEAD),
        Evidence(DEAD, DOUBT),
    ],
)
def test_a_lease_that_ran_out_counts_as_a_completion_at_its_end(evidence: Evidence) -> None:
    row = held_row(lease_until_ms=NOW_MS - 4_000, finished_ms=NOW_MS - 1)
    assert decide(row, cooldown_ms=10_000, evidence=evidence) == (policy.COOLING, NOW_MS + 6_000, False)
    assert decide(row, cooldown_ms=4_000, evidence=evidence) == (policy.FREE, None, True)


@pytest.mark.parametrize("lease_until_ms", [NOW_MS - 4_000, NOW_MS + 4_000])
def test_a_holder_proven_dead_never_completed_and_the_run_before_it_counts(lease_until_ms: int) -> None:
    row = held_row(lease_until_ms=lease_until_ms, finished_ms=NOW_MS - 20_000)
    assert decide(row, cooldown_ms=10_000, evidence=GONE) == (policy.FREE, None, True)
    assert decide(row, cooldown_ms=30_000, evidence=GONE) == (policy.COOLING, NOW_MS + 10_000, False)


def test_a_dead_holders_start_counts_for_the_interval() -> None:
    row = held_row(started_ms=NOW_MS - 1_000)
    assert decide(row, interval_ms=60_000, evidence=GONE) == (policy.TOO_SOON, NOW_MS + 59_000, False)


@steady
@given(rows, times_ms, pauses_ms, pauses_ms, evidences)
def test_a_pause_never_lasts_longer_than_itself_whatever_the_clock_did(
    row: Row, now_ms: int, cooldown_ms: int, interval_ms: int, evidence: Evidence
) -> None:
    decision = policy.decide(row, now_ms, cooldown_ms, interval_ms, evidence)
    if decision.kind in (policy.COOLING, policy.TOO_SOON):
        assert decision.until_ms is not None
        pause_ms = cooldown_ms if decision.kind == policy.COOLING else interval_ms
        assert now_ms < decision.until_ms < now_ms + 2 * pause_ms


@steady
@given(rows, times_ms, pauses_ms, pauses_ms, evidences)
def test_only_a_free_or_stale_lock_may_be_claimed(
    row: Row, now_ms: int, cooldown_ms: int, interval_ms: int, evidence: Evidence
) -> None:
    decision = policy.decide(row, now_ms, cooldown_ms, interval_ms, evidence)
    stands = policy.standing(row, now_ms, evidence)
    if decision.kind == policy.FREE:
        assert stands in (policy.FREE, STALE)
        assert decision.stale == (stands == STALE) == row.held
    if stands in (HELD, ORPHANED):
        assert decision.kind == stands


# claim


def test_the_first_claim_of_a_name() -> None:
    row = claimed(None)
    assert row.name == "report"
    assert row.version == row.fence == row.started_ms == NOW_MS
    assert row.run_id == "b" * 32
    assert (row.host, row.kernel_id, row.pid, row.pid_start) == (HOLDER.host, KERNEL, HOLDER.pid, HOLDER.pid_start)
    assert (row.job_session, row.job_start) == (HOLDER.job_session, HOLDER.job_start)
    assert (row.username, row.command) == (HOLDER.username, HOLDER.command)
    assert (row.lease_until_ms, row.lease_ms, row.cooldown_ms) == (NOW_MS + LEASE_MS, LEASE_MS, 10_000)
    assert (row.finished_ms, row.last_host, row.last_outcome, row.last_exit_code) == (None, None, None, None)
    assert row.held


def test_a_claim_of_a_free_lock_keeps_what_is_known_of_the_last_run() -> None:
    before = free_row(last_outcome=policy.FAILED, last_exit_code=3)
    row = claimed(before)
    assert row.version == before.version + 1
    assert row.finished_ms == before.finished_ms
    assert (row.last_host, row.last_outcome, row.last_exit_code) == ("web-2", policy.FAILED, 3)


def test_a_claim_of_a_dead_holders_lock_names_its_run_abandoned_and_leaves_the_completion_before_it() -> None:
    before = held_row()
    row = claimed(before, evidence=GONE)
    assert (row.last_host, row.last_outcome, row.last_exit_code) == (before.host, policy.ABANDONED, None)
    assert row.finished_ms == before.finished_ms


def test_a_claim_after_a_lease_ran_out_has_it_completed_at_its_end() -> None:
    before = held_row(lease_until_ms=NOW_MS - 1)
    row = claimed(before)
    assert (row.last_host, row.last_outcome, row.last_exit_code) == (before.host, policy.ABANDONED, None)
    assert row.finished_ms == NOW_MS - 1


@pytest.mark.parametrize(
    ("fence", "next_fence"),
    [(NOW_MS - 1, NOW_MS), (NOW_MS, NOW_MS + 1), (NOW_MS + 5, NOW_MS + 6), (1, NOW_MS)],
)
def test_the_next_fence_is_the_time_or_one_more(fence: int, next_fence: int) -> None:
    assert policy.next_fence(free_row(fence=fence), NOW_MS) == next_fence


def test_a_deleted_row_comes_back_above_the_deleted_one() -> None:
    first = claimed(None, NOW_MS)
    for _ in range(100):
        first = policy.renew(first, NOW_MS)
    again = claimed(None, NOW_MS + 60_000)
    assert again.fence > first.fence
    assert again.version > first.version


# every next row


@steady
@given(rows, times_ms, evidences, run_ids)
def test_a_claims_fence_and_version_rise_and_its_lease_begins_now(
    row: Row, now_ms: int, evidence: Evidence, run_id: str
) -> None:
    after = claimed(row, now_ms, evidence, run_id=run_id)
    assert after.fence == policy.next_fence(row, now_ms)
    assert after.fence > row.fence
    assert after.fence >= now_ms
    assert after.version == row.version + 1
    assert after.lease_until_ms == now_ms + LEASE_MS
    assert after.held
    assert policy.is_mine(after, run_id)


@steady
@given(held_rows(), times_ms)
def test_a_renewal_moves_the_version_and_the_lease_and_nothing_else(row: Row, now_ms: int) -> None:
    after = policy.renew(row, now_ms)
    assert after == row.but(version=row.version + 1, lease_until_ms=now_ms + row.lease_ms)
    assert policy.extend(row, now_ms) == after


@steady
@given(held_rows(), times_ms, st.none() | st.integers(0, 255))
def test_a_release_leaves_no_holder_and_says_how_the_run_ended(row: Row, now_ms: int, exit_code: int | None) -> None:
    after = policy.release(row, now_ms, policy.FAILED, exit_code)
    assert not after.held
    assert all(getattr(after, column) is None for column in HOLDER_COLUMNS)
    assert (after.version, after.fence, after.run_id) == (row.version + 1, row.fence, row.run_id)
    assert (after.started_ms, after.finished_ms, after.cooldown_ms) == (row.started_ms, now_ms, row.cooldown_ms)
    assert (after.last_host, after.last_outcome, after.last_exit_code) == (row.host, policy.FAILED, exit_code)


@steady
@given(rows)
def test_forgetting_leaves_no_holder_no_pause_and_the_fence(row: Row) -> None:
    after = policy.forget(row)
    assert after == row.but(
        version=row.version + 1, started_ms=None, finished_ms=None, cooldown_ms=0, **dict.fromkeys(HOLDER_COLUMNS)
    )
    assert after.fence == row.fence
    assert decide(after, cooldown_ms=86_400_000, interval_ms=86_400_000) == (policy.FREE, None, False)
    assert not policy.is_mine(after, row.run_id)


@steady
@given(held_rows())
def test_forgetting_a_lost_run_names_it_abandoned(row: Row) -> None:
    after = policy.forget(row, lost=True)
    assert after == policy.forget(row).but(last_host=row.host, last_outcome=policy.ABANDONED, last_exit_code=None)
    assert not after.held


@steady
@given(free_rows(), times_ms, evidences)
def test_a_lock_given_back_stands_as_before_the_claim_but_for_version_and_fence(
    before: Row, now_ms: int, evidence: Evidence
) -> None:
    after = policy.give_back(claimed(before, now_ms, evidence), before)
    assert after.version == before.version + 2
    assert after.fence > before.fence
    assert not after.held
    # What the claim alone has written stays: it says whose claim it was, and decides nothing.
    neutral = {"version": 0, "fence": 0, "run_id": "", "username": "", "command": "", "lease_ms": 0}
    assert after.but(**neutral) == before.but(**neutral)


@steady
@given(free_rows(), times_ms, times_ms, pauses_ms, pauses_ms)
def test_a_lock_given_back_is_decided_as_before(
    before: Row, now_ms: int, later_ms: int, cooldown_ms: int, interval_ms: int
) -> None:
    after = policy.give_back(claimed(before, now_ms), before)
    assert decide(after, later_ms, cooldown_ms, interval_ms) == decide(before, later_ms, cooldown_ms, interval_ms)
    assert policy.state(after, later_ms, NO_EVIDENCE) == policy.state(before, later_ms, NO_EVIDENCE)
    assert policy.eligible_ms(after) == policy.eligible_ms(before)


def test_a_new_name_given_back_has_no_pause() -> None:
    after = policy.give_back(claimed(None), None)
    assert not after.held
    assert (after.fence, after.started_ms, after.finished_ms, after.cooldown_ms) == (NOW_MS, None, None, 0)
    assert decide(after, cooldown_ms=86_400_000, interval_ms=86_400_000) == (policy.FREE, None, False)


def test_a_recovered_lock_given_back_is_still_recovered() -> None:
    before = held_row(lease_until_ms=NOW_MS - 1)
    after = policy.give_back(claimed(before), before)
    assert not after.held
    assert (after.last_outcome, after.last_host, after.finished_ms) == (policy.ABANDONED, before.host, NOW_MS - 1)
    assert (after.started_ms, after.cooldown_ms) == (before.started_ms, before.cooldown_ms)


@steady
@given(held_rows(), times_ms)
def test_a_lease_that_a_clock_set_back_made_impossible_is_counted_from_now(row: Row, now_ms: int) -> None:
    assert row.lease_until_ms is not None
    mended = policy.set_back(row, now_ms)
    if row.lease_until_ms <= now_ms + row.lease_ms:
        assert mended is None
    else:
        assert mended == row.but(version=row.version + 1, lease_until_ms=now_ms + row.lease_ms)
        assert policy.set_back(mended, now_ms) is None


def test_a_free_lock_has_no_lease_to_mend() -> None:
    assert policy.set_back(free_row(), 0) is None


steps = st.lists(st.tuples(st.sampled_from(("renew", "release", "forget", "claim")), times_ms), max_size=30)


@steady
@given(held_rows(), steps)
def test_version_and_fence_never_fall_whatever_happens_and_whatever_the_clock_does(
    row: Row, steps: list[tuple[str, int]]
) -> None:
    for step, now_ms in steps:
        if step == "renew":
            after = policy.renew(row, now_ms)
        elif step == "release":
            after = policy.release(row, now_ms, policy.SUCCEEDED, 0)
        elif step == "forget":
            after = policy.forget(row)
        else:
            after = claimed(row, now_ms)
        assert after.version == row.version + 1
        assert after.fence > row.fence if step == "claim" else after.fence == row.fence
        row = after


# reading what was written


@pytest.mark.parametrize(("version", "lags"), [(6, True), (7, False), (8, False)])
def test_a_version_below_one_that_we_wrote_is_a_copy_that_lags(version: int, lags: bool) -> None:
    assert policy.lags(held_row(version=version), 7) is lags


def test_no_row_where_we_wrote_one_is_a_copy_that_lags() -> None:
    assert policy.lags(None, 7)


def test_a_lock_is_mine_while_it_is_held_by_my_run() -> None:
    assert policy.is_mine(held_row(run_id="a"), "a")
    assert policy.is_mine(held_row(run_id="a", lease_until_ms=0), "a")
    assert not policy.is_mine(held_row(run_id="b"), "a")
    assert not policy.is_mine(free_row(run_id="a"), "a")
    assert not policy.is_mine(None, "a")


@pytest.mark.parametrize(
    ("row", "evidence", "state"),
    [
        (held_row(), NO_EVIDENCE, policy.RUNNING),
        (held_row(), Evidence(DEAD, ALIVE), ORPHANED),
        (held_row(), GONE, STALE),
        (held_row(lease_until_ms=NOW_MS), NO_EVIDENCE, STALE),
        (free_row(finished_ms=NOW_MS - 9_999), NO_EVIDENCE, policy.COOLING),
        (free_row(finished_ms=NOW_MS + 9_999), NO_EVIDENCE, policy.COOLING),
        (free_row(finished_ms=NOW_MS - 10_000), NO_EVIDENCE, policy.IDLE),
        (free_row(finished_ms=None), NO_EVIDENCE, policy.IDLE),
    ],
)
def test_the_state_that_a_person_is_shown(row: Row, evidence: Evidence, state: str) -> None:
    assert policy.state(row, NOW_MS, evidence) == state


def test_a_lock_is_eligible_when_the_last_runs_own_cooldown_ends() -> None:
    assert policy.eligible_ms(free_row(finished_ms=NOW_MS, cooldown_ms=7)) == NOW_MS + 7
    assert policy.eligible_ms(free_row(finished_ms=None)) is None
    assert policy.eligible_ms(held_row()) is None


def test_the_words_of_states_and_outcomes_are_the_documented_ones() -> None:
    states = (policy.IDLE, policy.RUNNING, policy.COOLING, policy.STALE, policy.ORPHANED)
    assert states == ("idle", "running", "cooling", "stale", "orphaned")
    outcomes = (policy.SUCCEEDED, policy.FAILED, policy.KILLED, policy.TIMED_OUT, policy.LOST, policy.ABANDONED)
    assert outcomes == ("succeeded", "failed", "killed", "timed_out", "lost", "abandoned")


# history


def test_the_history_of_an_ended_run_is_taken_from_its_row() -> None:
    row = held_row()
    run = policy.ended_run(row, NOW_MS, policy.KILLED, None, 12, 3456)
    assert run.values() == (
        "report",
        row.fence,
        row.run_id,
        "web-1",
        "root",
        "/usr/bin/report",
        row.started_ms,
        NOW_MS,
        policy.KILLED,
        None,
        12,
        3456,
    )


@pytest.mark.parametrize(
    ("lease_until_ms", "finished_ms"), [(NOW_MS - 5, NOW_MS - 5), (NOW_MS + 5, NOW_MS), (None, NOW_MS)]
)
def test_a_lost_run_ended_with_its_lease_or_by_now(lease_until_ms: int | None, finished_ms: int) -> None:
    run = policy.lost_run(held_row(lease_until_ms=lease_until_ms), NOW_MS)
    assert (run.finished_ms, run.outcome, run.exit_code) == (finished_ms, policy.ABANDONED, None)


# a row is a value


def test_a_copy_leaves_the_original_alone() -> None:
    row = held_row()
    copy = row.but(version=8)
    assert (row.version, copy.version) == (7, 8)
    assert row != copy
    assert copy.but(version=7) == row
    assert hash(copy.but(version=7)) == hash(row)
    assert row != "row"


@pytest.mark.parametrize("column", Row.COLUMNS)
def test_rows_that_differ_in_one_column_differ(column: str) -> None:
    assert held_row(**{column: object()}) != held_row()
    assert column in repr(held_row())


def test_a_row_takes_exactly_its_columns() -> None:
    with pytest.raises(ValueError, match="zip"):
        Row(*held_row().values(), 1)
    with pytest.raises(AttributeError):
        held_row(colour="red")


# the lease by the supervisor's own clock

leases = st.integers(0, 3_600_000).flatmap(
    lambda kill_after_ms: st.tuples(st.just(kill_after_ms), st.integers(3 * kill_after_ms + 5000, 100_000_000))
)


@pytest.mark.parametrize(
    ("lease_ms", "kill_after_ms", "renew", "term", "kill", "ends"),
    [(300_000, 10_000, 90, 288, 298, 300), (35_000, 10_000, 10.5, 23, 33, 35), (5_000, 0, 1.5, 3, 3, 5)],
)
def test_the_times_of_a_lease(
    lease_ms: int, kill_after_ms: int, renew: float, term: float, kill: float, ends: float
) -> None:
    lease = Lease(1000.0, lease_ms, kill_after_ms)
    assert lease.renew_at_s == pytest.approx(1000 + renew)
    assert lease.term_at_s == pytest.approx(1000 + term)
    assert lease.kill_at_s == pytest.approx(1000 + kill)
    assert lease.ends_at_s == pytest.approx(1000 + ends)


@steady
@given(leases, st.floats(0, 1e8))
def test_the_shortest_lease_leaves_room_for_two_renewals_and_the_whole_grace(
    lease: tuple[int, int], read_at_s: float
) -> None:
    kill_after_ms, lease_ms = lease
    times = Lease(read_at_s, lease_ms, kill_after_ms)
    assert read_at_s < times.renew_at_s < read_at_s + lease_ms / 3000
    assert times.renew_at_s < times.term_at_s <= times.kill_at_s < times.ends_at_s
    assert times.kill_at_s - times.term_at_s == pytest.approx(kill_after_ms / 1000, abs=1e-6)
    assert times.ends_at_s - times.kill_at_s == pytest.approx(policy.MARGIN_S, abs=1e-6)


def test_a_job_may_start_while_it_could_still_be_stopped_with_its_grace() -> None:
    lease = Lease(1000.0, 35_000, 10_000)
    assert lease.may_start(1022.9)
    assert not lease.may_start(1023.0)


def test_a_decision_says_nothing_that_it_was_not_told() -> None:
    decision = Decision(HELD)
    assert (decision.kind, decision.until_ms, decision.stale) == (HELD, None, False)
