"""The generated SQL is what its generator makes, for every database alike."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mslock import _statements, schema
from mslock._statements import SQLITE_TABLES, STATEMENTS
from mslock.policy import Record, Row

DATABASES = ("sqlite", "postgresql", "mysql")


def test_the_file_on_disk_is_what_the_generator_makes() -> None:
    assert Path(_statements.__file__).read_text(encoding="utf-8") == schema.generate(), "run: make generate"


def test_every_database_has_the_same_statements() -> None:
    assert set(STATEMENTS) == set(DATABASES)
    assert {frozenset(STATEMENTS[database]) for database in DATABASES} == {
        frozenset(("read", "insert", "update", "record", "oldest_kept", "prune"))
    }


@pytest.mark.parametrize("database", DATABASES)
def test_every_statement_takes_as_many_values_as_the_store_gives(database: str) -> None:
    counts = {name: len(re.findall(r"\?|%s", text)) for name, text in STATEMENTS[database].items()}
    assert counts == {
        "read": 1,
        "insert": len(Row.COLUMNS),
        "update": len(Row.COLUMNS) + 2,
        "record": len(Record.COLUMNS),
        "oldest_kept": 1,
        "prune": 2,
    }


@pytest.mark.parametrize("database", DATABASES)
def test_nothing_but_the_clock_differs(database: str) -> None:
    def bare(text: str) -> str:
        text = re.sub(r"^SELECT .* AS now_ms", "SELECT now_ms", text.replace("%s", "?"))
        return text.replace("LIMIT 999, 1", "LIMIT 1 OFFSET 999")  # MySQL's own way to say it

    assert {name: bare(text) for name, text in STATEMENTS[database].items()} == {
        name: bare(text) for name, text in STATEMENTS["sqlite"].items()
    }


def test_the_clocks_are_in_utc_and_those_of_the_statement() -> None:
    assert "julianday('now')" in STATEMENTS["sqlite"]["read"]
    assert "clock_timestamp()" in STATEMENTS["postgresql"]["read"]
    assert "UTC_TIMESTAMP(3)" in STATEMENTS["mysql"]["read"]
    assert "NOW()" not in STATEMENTS["mysql"]["read"]


@pytest.mark.parametrize("database", DATABASES)
def test_a_percent_sign_is_a_place_for_a_value_and_nothing_else(database: str) -> None:
    for text in STATEMENTS[database].values():
        assert "%" not in text.replace("%s", "")


@pytest.mark.parametrize("database", DATABASES)
def test_an_update_compares_name_version_and_run_and_moves_no_name(database: str) -> None:
    changes, _, condition = STATEMENTS[database]["update"].partition(" WHERE ")
    for column in ("name", "version", "run_id"):
        assert re.search(rf"mslock_locks\.{column} = (\?|%s)", condition)
    assert not re.search(r"\bname\s*=", changes)


def test_the_tables_have_the_columns_of_rows_and_records() -> None:
    assert tuple(schema.locks.columns.keys()) == Row.COLUMNS
    assert tuple(schema.runs.columns.keys()) == Record.COLUMNS
    assert len(SQLITE_TABLES) == 2
    for table, columns in zip(SQLITE_TABLES, (Row.COLUMNS, Record.COLUMNS), strict=True):
        assert all(f" {column} " in table for column in columns)
