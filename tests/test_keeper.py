"""The keeping of a lock through every kind of answer. Time is a number that the tests pass in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from mslock import drivers, policy
from mslock.errors import DatabaseError
from mslock.keeper import NEVER, Keeper
from mslock.policy import Lease, Row
from mslock.store import Store
from tests.samples import LEASE_MS, NOW_MS, claimed, eventually

KILL_AFTER_MS, DB_TIMEOUT_MS = 10_000, 10_000
#: The lease was read at 1000 and is five minutes long: renewed at 1090, TERM at 1288, KILL at 1298, over at 1300.
READ_AT_S, RENEW, TERM, KILL, ENDS = 1000.0, 1090.0, 1288.0, 1298.0, 1300.0


class Script:
    """What befalls the reads of a store, in turn; then they are answered.

    Attributes:
        asked: how many reads there have been; `asked_over` which connections.
        now_s: the supervisor's own time, for `protocol`.
    """

    def __init__(self) -> None:
        self.befalls: list[Callable[[], object]] = []
        self.asked = 0
        self.asked_over: list[Link] = []
        self.now_s = READ_AT_S
        self.hanging = threading.Event()
        self._go_on = threading.Event()

    def fail(self) -> None:
        raise DatabaseError("no route to host")

    def hang(self) -> None:
        """As a silent server does, until the test is over."""
        self.hanging.set()
        self._go_on.wait()
        raise DatabaseError("the connection was reset")

    def let_go(self) -> None:
        self._go_on.set()


class Link:
    """A real connection to an SQLite file, in which the script comes first."""

    def __init__(self, script: Script, real: Any) -> None:
        self._script = script
        self._real = real

    def fetch(self, statement: str, parameters: Sequence[Any]) -> Any:
        self._script.asked += 1
        self._script.asked_over.append(self)
        if self._script.befalls:
            self._script.befalls.pop(0)()
        return self._real.fetch(statement, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    script = Script()
    monkeypatch.setattr("mslock.protocol.now_s", lambda: script.now_s)
    # Nobody waits for a signal here, and the thread of a test may be over before the conversation's is.
    monkeypatch.setattr("mslock.conversation.wake", lambda _: None)
    yield script
    script.let_go()


@pytest.fixture
def url(tmp_path: Any) -> str:
    return f"sqlite:///{tmp_path}/mslock.db"


@pytest.fixture
def others(url: str) -> Iterator[Store]:
    """Somebody else, on the same database."""
    store = Store(url, 10.0)
    yield store
    store.close()


@pytest.fixture
def mine(others: Store) -> Row:
    row = claimed(None, NOW_MS)
    assert others.write(row, None)
    return row


@pytest.fixture
def keeper(script: Script, url: str, mine: Row) -> Keeper:
    store = Store(url, 10.0, lambda url, timeout_s, news: Link(script, drivers.connect(url, timeout_s, news)))
    return Keeper(store, mine, Lease(READ_AT_S, LEASE_MS, KILL_AFTER_MS), KILL_AFTER_MS, DB_TIMEOUT_MS)


def answered(keeper: Keeper) -> None:
    """The conversation under way comes to its end."""
    conversation = keeper._conversation
    assert conversation is not None
    eventually(lambda: conversation.done, "an answer")


def row_of(store: Store) -> Row:
    row, _ = store.read("report")
    assert row is not None
    return row


def step(keeper: Keeper, script: Script, now_s: float) -> float:
    """One step, at that time."""
    script.now_s = now_s
    return keeper.step(now_s)


def steal(store: Store, mine: Row) -> Row:
    theirs = claimed(mine, NOW_MS + LEASE_MS, run_id="c" * 32)
    assert store.write(theirs, mine)
    return theirs


# all is well


def test_nothing_is_asked_before_the_renewal_is_due(keeper: Keeper, script: Script) -> None:
    assert step(keeper, script, READ_AT_S) == RENEW
    assert step(keeper, script, RENEW - 0.001) == RENEW
    assert (keeper.busy, script.asked) == (False, 0)
    assert not keeper.must_stop(RENEW)


def test_a_lease_is_renewed_before_a_third_of_it_has_passed(
    keeper: Keeper, script: Script, mine: Row, others: Store
) -> None:
    assert step(keeper, script, RENEW) == RENEW + DB_TIMEOUT_MS / 1000
    assert keeper.busy
    assert not keeper.must_stop(RENEW)
    answered(keeper)
    assert step(keeper, script, RENEW + 0.5) == pytest.approx(RENEW + 90)
    assert not keeper.busy
    assert row_of(others) == keeper.row
    assert keeper.row.version == mine.version + 1
    assert keeper.lease.ends_at_s == pytest.approx(RENEW + 300)
    assert not keeper.trouble


def test_a_lease_is_renewed_again_and_again(keeper: Keeper, script: Script, mine: Row) -> None:
    now = READ_AT_S
    for count in range(1, 6):
        now = step(keeper, script, now)
        step(keeper, script, now)
        answered(keeper)
        step(keeper, script, now)
        assert keeper.row.version == mine.version + count
        assert not keeper.must_stop(now)


# lost


@pytest.mark.parametrize("how", ["stolen", "forgotten"])
def test_a_lock_that_is_gone_is_lost_and_the_job_must_stop_at_once(
    keeper: Keeper, script: Script, mine: Row, others: Store, how: str
) -> None:
    theirs = steal(others, mine) if how == "stolen" else policy.forget(mine)
    if how == "forgotten":
        assert others.write(theirs, mine)
    step(keeper, script, RENEW)
    answered(keeper)
    assert step(keeper, script, RENEW + 0.1) == NEVER
    assert keeper.lost
    assert keeper.must_stop(RENEW + 0.1)
    assert row_of(others) == theirs
    assert step(keeper, script, RENEW + 1000) == NEVER
    assert not keeper.busy


# no answer


def test_no_answer_is_not_lost_until_the_lease_is_about_to_end(keeper: Keeper, script: Script) -> None:
    script.befalls = [script.fail] * 1000
    now = RENEW
    while now < TERM:
        assert not keeper.must_stop(now)
        step(keeper, script, now)
        if keeper.busy:
            answered(keeper)
            now = step(keeper, script, now)
        assert not keeper.lost
        assert not keeper.must_stop(min(now, TERM - 0.001))
    assert now == TERM
    assert "no route" in keeper.trouble
    assert keeper.must_stop(TERM)
    assert 30 < script.asked < 100


def test_a_copy_that_lags_is_no_answer(keeper: Keeper, script: Script, mine: Row) -> None:
    keeper.row = mine.but(version=mine.version + 1)
    step(keeper, script, RENEW)
    answered(keeper)
    step(keeper, script, RENEW + 0.1)
    assert not keeper.lost
    assert "lags" in keeper.trouble
    assert not keeper.must_stop(RENEW + 0.1)


def test_a_failed_renewal_is_tried_again_in_a_few_seconds_and_the_trouble_is_forgotten(
    keeper: Keeper, script: Script, mine: Row
) -> None:
    script.befalls = [script.fail]
    step(keeper, script, RENEW)
    answered(keeper)
    again = step(keeper, script, RENEW + 0.1)
    assert RENEW + 1 < again < RENEW + 5
    assert (keeper.busy, keeper.trouble) == (False, "no route to host")
    step(keeper, script, again)
    answered(keeper)
    step(keeper, script, again + 0.1)
    assert not keeper.trouble
    assert keeper.row.version == mine.version + 1
    assert not keeper.must_stop(TERM)


def test_a_conversation_past_its_bound_is_abandoned_and_not_waited_for(keeper: Keeper, script: Script) -> None:
    script.befalls = [script.hang]
    abandon = step(keeper, script, RENEW)
    eventually(script.hanging.is_set, "the question")
    assert step(keeper, script, abandon - 0.001) == abandon
    assert keeper.busy
    again = step(keeper, script, abandon)
    assert not keeper.busy
    assert abandon < again < abandon + 5
    assert "no answer" in keeper.trouble
    assert not keeper.must_stop(abandon)


def test_a_silent_database_stops_the_job_in_time_for_its_grace(keeper: Keeper, script: Script) -> None:
    script.befalls = [script.hang]
    step(keeper, script, TERM - 0.5)
    eventually(script.hanging.is_set, "the question")
    assert step(keeper, script, TERM - 0.4) == TERM
    assert not keeper.must_stop(TERM - 0.001)
    step(keeper, script, TERM)
    assert keeper.must_stop(TERM)


def test_a_renewal_that_took_effect_unknown_to_us_is_adopted(
    keeper: Keeper, script: Script, mine: Row, others: Store
) -> None:
    assert others.write(policy.renew(mine, NOW_MS + 5), mine)
    step(keeper, script, RENEW)
    answered(keeper)
    step(keeper, script, RENEW + 0.1)
    assert not keeper.lost
    assert keeper.row.version == mine.version + 2


# slept


@pytest.mark.parametrize("now_s", [TERM, KILL - 0.001, KILL, ENDS, ENDS + 100_000])
def test_a_supervisor_that_slept_asks_once_for_a_second_and_goes_on_if_the_lock_is_still_its_own(
    keeper: Keeper, script: Script, mine: Row, others: Store, now_s: float
) -> None:
    assert step(keeper, script, now_s) == now_s + 1
    assert keeper.busy
    assert not keeper.must_stop(now_s)
    answered(keeper)
    step(keeper, script, now_s + 0.1)
    assert not keeper.must_stop(now_s + 0.1)
    assert keeper.row == row_of(others)
    assert keeper.row.version == mine.version + 1
    assert keeper.lease.ends_at_s == pytest.approx(now_s + 300)


def test_a_supervisor_may_sleep_as_often_as_it_likes(keeper: Keeper, script: Script, mine: Row) -> None:
    for count, now_s in enumerate((ENDS + 100, ENDS + 1100, ENDS + 2100), 1):
        assert step(keeper, script, now_s) == now_s + 1
        assert not keeper.must_stop(now_s)
        answered(keeper)
        step(keeper, script, now_s + 0.1)
        assert not keeper.must_stop(now_s + 0.1)
        assert keeper.row.version == mine.version + count


@pytest.mark.parametrize("now_s", [TERM, KILL, ENDS + 100_000])
def test_a_supervisor_that_slept_and_was_robbed_stops_its_job(
    keeper: Keeper, script: Script, mine: Row, others: Store, now_s: float
) -> None:
    theirs = steal(others, mine)
    step(keeper, script, now_s)
    answered(keeper)
    step(keeper, script, now_s + 0.1)
    assert keeper.lost
    assert keeper.must_stop(now_s + 0.1)
    assert row_of(others) == theirs


@pytest.mark.parametrize("now_s", [TERM, KILL, ENDS + 100_000])
def test_a_supervisor_that_slept_and_has_no_answer_within_a_second_stops_its_job(
    keeper: Keeper, script: Script, now_s: float
) -> None:
    script.befalls = [script.hang]
    step(keeper, script, now_s)
    eventually(script.hanging.is_set, "the question")
    assert step(keeper, script, now_s + 0.9) == now_s + 1
    assert not keeper.must_stop(now_s + 0.9)
    step(keeper, script, now_s + 1)
    assert keeper.must_stop(now_s + 1)
    assert script.asked == 1


def test_a_supervisor_in_trouble_that_wakes_past_its_end_asks_once_more(
    keeper: Keeper, script: Script, mine: Row
) -> None:
    script.befalls = [script.fail]
    step(keeper, script, RENEW)
    answered(keeper)
    step(keeper, script, RENEW + 0.1)
    assert keeper.trouble
    step(keeper, script, ENDS + 5)
    assert keeper.busy
    assert not keeper.must_stop(ENDS + 5)
    answered(keeper)
    step(keeper, script, ENDS + 5.1)
    assert not keeper.must_stop(ENDS + 5.1)
    assert keeper.row.version == mine.version + 1


def test_a_question_from_before_a_sleep_is_given_up_for_a_new_one(keeper: Keeper, script: Script, mine: Row) -> None:
    script.befalls = [script.hang]
    step(keeper, script, RENEW)
    eventually(script.hanging.is_set, "the question")
    assert step(keeper, script, ENDS + 5) == ENDS + 6
    assert not keeper.must_stop(ENDS + 5)
    answered(keeper)
    step(keeper, script, ENDS + 5.1)
    assert not keeper.must_stop(ENDS + 5.1)
    assert keeper.row.version == mine.version + 1


def test_an_answer_from_before_a_sleep_is_no_lease_for_after_it(
    keeper: Keeper, script: Script, mine: Row, others: Store
) -> None:
    step(keeper, script, RENEW)
    answered(keeper)
    # The answer came, the machine slept, and the answer's own lease is over too when it is taken.
    now_s = RENEW + 300 + 60
    step(keeper, script, now_s)
    assert keeper.busy
    assert not keeper.must_stop(now_s)
    answered(keeper)
    step(keeper, script, now_s + 0.1)
    assert keeper.row.version == mine.version + 2
    assert keeper.row == row_of(others)
    assert keeper.lease.ends_at_s == pytest.approx(now_s + 300)


def test_a_thread_that_cannot_be_had_is_no_answer(keeper: Keeper, script: Script, monkeypatch: Any) -> None:
    def no_thread(talk: object) -> None:
        raise DatabaseError("no thread")

    monkeypatch.setattr("mslock.keeper.Conversation", no_thread)
    again = step(keeper, script, RENEW)
    assert RENEW < again < RENEW + 5
    assert (keeper.trouble, keeper.busy, keeper.lost) == ("no thread", False, False)
    assert not keeper.must_stop(RENEW)
    step(keeper, script, TERM)
    assert keeper.must_stop(TERM)


@pytest.mark.parametrize("now_s", [TERM, KILL, ENDS + 100_000])
def test_a_supervisor_that_slept_and_whose_question_fails_stops_its_job(
    keeper: Keeper, script: Script, now_s: float
) -> None:
    script.befalls = [script.fail] * 100
    step(keeper, script, now_s)
    answered(keeper)
    step(keeper, script, now_s + 0.1)
    assert keeper.must_stop(now_s + 0.1)
    assert script.asked == 1


def test_after_a_failure_that_took_long_the_database_is_left_alone_for_a_few_seconds(
    keeper: Keeper, script: Script
) -> None:
    script.befalls = [script.fail] * 100
    step(keeper, script, RENEW)
    answered(keeper)
    again = step(keeper, script, RENEW + 9)  # the driver gave up after nine seconds
    assert not keeper.busy
    assert again >= RENEW + 10


def test_a_conversation_after_one_that_hangs_does_not_stand_in_line_behind_it(keeper: Keeper, script: Script) -> None:
    script.befalls = [script.hang]
    abandon = step(keeper, script, RENEW)
    eventually(script.hanging.is_set, "the question")
    again = step(keeper, script, abandon)
    step(keeper, script, again)
    answered(keeper)
    hung, next_one = script.asked_over
    assert next_one is not hung
