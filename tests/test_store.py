"""The store's own part, beside the contract that every database is held to (tests/contract)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from mslock import policy
from mslock.errors import ConfigError, DatabaseError
from mslock.store import Store
from tests.samples import NOW_MS, a_record, free_row, held_row


class Fake:
    """A connection that answers from a list, and remembers what it was asked."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.parameters: list[Sequence[Any]] = []
        self.closed = 0

    def fetch(self, statement: str, parameters: Sequence[Any]) -> Any:
        return self._answer(statement, parameters)

    def change(self, statement: str, parameters: Sequence[Any]) -> Any:
        return self._answer(statement, parameters)

    def begin(self) -> None:
        self.asked.append("begin")

    def commit(self) -> None:
        self.asked.append("commit")

    def close(self) -> None:
        self.closed += 1

    def _answer(self, statement: str, parameters: Sequence[Any]) -> Any:
        self.asked.append(statement)
        self.parameters.append(parameters)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def store_over(*connections: Fake) -> Store:
    left = list(connections)

    def connect(url: str, timeout_s: float, news: list[str]) -> Any:
        assert (url, timeout_s) == ("sqlite:////a", 7.0)
        news.append("opened")
        return left.pop(0)

    return Store("sqlite:////a", 7.0, connect)


def found(row: policy.Row | None) -> tuple[Any, ...]:
    return NOW_MS, *(row.values() if row is not None else [None] * len(policy.Row.COLUMNS))


def test_a_connection_is_opened_at_need_and_kept_until_it_is_closed() -> None:
    first, second = Fake(found(None), found(None)), Fake(found(None))
    store = store_over(first, second)
    assert store.news == []
    store.read("report")
    store.read("report")
    assert store.news == ["opened"]
    store.close()
    store.close()
    assert first.closed == 1
    store.read("report")
    assert store.news == ["opened", "opened"]


def test_a_read_that_finds_nothing_at_all_is_no_answer() -> None:
    with pytest.raises(DatabaseError, match="time"):
        store_over(Fake(None)).read("report")


def test_the_time_may_come_as_any_kind_of_number() -> None:
    now_ms = store_over(Fake((float(NOW_MS), *found(held_row())[1:]))).read("report")[1]
    assert now_ms == NOW_MS
    assert isinstance(now_ms, int)


@pytest.mark.parametrize(("changed", "won"), [(1, True), (None, False)])
def test_an_insert_wins_unless_the_name_is_there(changed: int | None, won: bool) -> None:
    fake = Fake(changed)
    assert store_over(fake).write(held_row(), None) is won
    assert (fake.asked, fake.parameters) == (["insert"], [held_row().values()])


@pytest.mark.parametrize(("changed", "won"), [(1, True), (0, False)])
def test_an_update_wins_where_it_changed_its_row(changed: int, won: bool) -> None:
    fake = Fake(changed)
    row, before = held_row(version=8), held_row(run_id="d" * 32)
    assert store_over(fake).write(row, before) is won
    assert fake.asked == ["update"]
    assert list(fake.parameters[0]) == [*row.values()[1:], "report", before.version, before.run_id]


def test_what_will_never_be_answered_is_not_asked_again() -> None:
    fake = Fake(ConfigError("no tables"))
    with pytest.raises(ConfigError):
        store_over(fake).write(held_row(), None)
    assert fake.asked == ["insert"]


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [
        (held_row(version=8), True),
        (held_row(), "raised"),
        (None, False),
        (held_row(version=8, run_id="d" * 32), False),
        (free_row(version=9), False),
    ],
)
def test_a_write_in_doubt_is_settled_over_a_new_connection(seen: policy.Row | None, outcome: object) -> None:
    first, second = Fake(DatabaseError("reset")), Fake(found(seen))
    store = store_over(first, second)
    if outcome == "raised":
        with pytest.raises(DatabaseError, match="reset"):
            store.write(held_row(version=8), held_row())
    else:
        assert store.write(held_row(version=8), held_row()) is outcome
    assert (first.closed, second.asked) == (1, ["read"])


def test_the_history_of_a_release_comes_before_the_release() -> None:
    fake = Fake(1, 1)
    row = held_row()
    assert store_over(fake).release(free_row(version=8), row, a_record(row)) == (True, None)
    assert fake.asked == ["begin", "record", "update", "commit"]


def test_a_release_without_history_has_a_connection_of_its_own() -> None:
    first, second = Fake(ConfigError("no table")), Fake(1)
    row = held_row()
    written, failed = store_over(first, second).release(free_row(version=8), row, a_record(row))
    assert written
    assert str(failed) == "no table"
    assert (first.asked, first.closed, second.asked) == (["begin", "record"], 1, ["update"])


@pytest.mark.parametrize("fence", [1, 63, 65, NOW_MS + 1])
def test_nothing_is_pruned_after_most_runs(fence: int) -> None:
    fake = Fake()
    store_over(fake).prune("report", fence)
    assert fake.asked == []


def test_what_is_older_than_the_oldest_kept_is_pruned_now_and_then() -> None:
    fake = Fake((42,), 7)
    store_over(fake).prune("report", 64)
    assert (fake.asked, fake.parameters) == (["oldest_kept", "prune"], [("report",), ("report", 42)])


def test_a_short_history_is_left_alone() -> None:
    fake = Fake(None)
    store_over(fake).prune("report", 64)
    assert fake.asked == ["oldest_kept"]


@pytest.mark.parametrize("error", [DatabaseError("reset"), ConfigError("permission denied")])
def test_history_that_cannot_be_pruned_is_no_error_of_the_release_before_it(error: Exception) -> None:
    store_over(Fake(error)).prune("report", 64)
    store_over(Fake((42,), error)).prune("report", 64)
