"""The steps of the migrations, against the tables that a first run makes, and the schema that the code works with."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from mslock import drivers, schema
from mslock.commands import init_db
from mslock.commands.database import Database
from tests.e2e.conftest import EXECUTABLE
from tests.machine import Machine, revision, tables


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    return Machine(tmp_path)


def test_the_migrations_make_the_same_tables_as_a_first_run(machine: Machine, tmp_path: pathlib.Path) -> None:
    assert machine.run("init-db").returncode == 0
    used = Machine(tmp_path / "used")
    used.folder.mkdir()
    assert used.run("--name", "x", "true").returncode == 0
    assert tables(machine.file) == tables(used.file)
    assert revision(machine.file) == revision(used.file) == [drivers.SQLITE_REVISION]


def test_the_sum_of_the_migrations_is_the_schema(machine: Machine) -> None:
    database = Database(machine.url, {})
    init_db.upgrade(database)
    with database.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": schema.VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, schema.metadata) == []


def test_the_newest_migration_is_the_revision_that_a_first_run_writes() -> None:
    config = init_db._config()
    assert ScriptDirectory.from_config(config).get_heads() == [drivers.SQLITE_REVISION]


def test_init_db_may_be_run_again(machine: Machine) -> None:
    code, out, _ = machine.tell("init-db")
    assert (code, out) == (0, f"{machine.url}: made the tables, revision 0001\n")
    before = tables(machine.file)
    code, out, _ = machine.tell("init-db")
    assert (code, out) == (0, f"{machine.url}: nothing to do, its tables are at revision 0001\n")
    assert tables(machine.file) == before


def test_init_db_leaves_the_locks_of_a_first_run_alone(machine: Machine) -> None:
    machine.run("--name", "x", "true")
    before = machine.row("x")
    assert machine.tell("init-db")[0] == 0
    assert machine.row("x") == before


def test_ten_at_once_all_succeed_and_one_of_them_makes_the_tables(machine: Machine) -> None:
    running = [machine.start("init-db") for _ in range(10)]
    told = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0] * 10, told
    assert sum(b"made the tables" in out for out, _ in told) == 1
    assert revision(machine.file) == ["0001"]


def test_init_db_and_first_runs_at_once_all_succeed(machine: Machine) -> None:
    running = [machine.start(*(["init-db"] if number % 2 else ["--name", f"x{number}", "true"])) for number in range(6)]
    told = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0] * 6, told
    assert revision(machine.file) == ["0001"]


def test_init_db_makes_a_file_that_only_its_owner_reads_and_keeps_its_journal_mode(machine: Machine) -> None:
    machine.run("init-db")
    assert machine.file.stat().st_mode & 0o777 == 0o600
    assert machine.select("PRAGMA journal_mode") == [{"journal_mode": "delete"}]


def test_tables_of_a_later_release_are_left_alone(machine: Machine) -> None:
    machine.run("init-db")
    machine.change(f"UPDATE {schema.VERSION_TABLE} SET version_num = '0999'")
    code, out, _ = machine.tell("init-db")
    assert code == 0
    assert "revision 0999 of a later release" in out
    assert revision(machine.file) == ["0999"]


def test_a_revision_that_nobody_knows_is_refused(machine: Machine) -> None:
    machine.run("init-db")
    machine.change(f"UPDATE {schema.VERSION_TABLE} SET version_num = '-'")
    code, _, err = machine.tell("init-db")
    assert code == 78
    assert err.count("\n") == 1


def test_a_file_that_is_no_database_is_refused_and_kept(machine: Machine) -> None:
    machine.file.write_text("a letter to somebody\n" * 100)
    code, out, err = machine.tell("init-db")
    assert (code, out) == (78, "")
    assert err.count("\n") == 1
    assert machine.file.read_text() == "a letter to somebody\n" * 100


def test_a_half_made_set_of_tables_is_never_left_behind(machine: Machine) -> None:
    machine.file.touch()
    machine.change("CREATE TABLE mslock_runs (x INTEGER)")
    code, _, err = machine.tell("init-db")
    assert code != 0
    assert err.count("\n") == 1
    assert set(tables(machine.file)) == {"mslock_runs"}


def test_the_printed_sql_makes_the_same_tables_and_prints_only(machine: Machine, tmp_path: pathlib.Path) -> None:
    code, sql, err = machine.tell("init-db", "--sql")
    assert (code, err) == (0, "")
    assert not machine.file.exists()
    fed = tmp_path / "fed.db"
    feed = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.stdin.read())"
    subprocess.run([sys.executable, "-c", feed, str(fed)], input=sql, text=True, check=True)
    machine.run("init-db")
    assert tables(fed) == tables(machine.file)
    assert revision(fed) == ["0001"]
    assert machine.tell("init-db", "--db", f"sqlite:///{fed}")[0] == 0
    assert "RETURNING" not in sql


@pytest.mark.parametrize(
    ("url", "telling"),
    [
        ("postgresql://user:secret@host/db", 'name VARCHAR(200) COLLATE "C" NOT NULL'),
        ("postgresql://a,b/db?target_session_attrs=read-write", "BEGIN;"),
        ("mysql://user:secret@host/db", "ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin"),
        ("mariadb://host/db", "name VARCHAR(200) CHARACTER SET ascii COLLATE ascii_bin NOT NULL"),
    ],
)
def test_the_sql_of_a_server_is_printed_without_its_driver(machine: Machine, url: str, telling: str) -> None:
    no_driver = machine.folder / "no"
    no_driver.mkdir()
    for module in ("psycopg2", "psycopg", "pymysql", "MySQLdb"):
        (no_driver / f"{module}.py").write_text("raise ImportError('not here')")
    code, sql, err = machine.tell("init-db", "--sql", "--db", url, environ={"PYTHONPATH": str(no_driver)})
    assert (code, err) == (0, "")
    assert telling in sql
    assert "VALUES ('0001');" in sql
    assert "secret" not in sql


@pytest.mark.parametrize("url", ["oracle://host/db", "nonsense", "sqlite:///relative.db"])
def test_a_database_that_mslock_does_not_work_with_is_refused_in_one_line(machine: Machine, url: str) -> None:
    code, out, err = machine.tell("init-db", "--db", url)
    assert (code, out) == (78, "")
    assert err.count("\n") == 1
    assert err.startswith("mslock: ")


def test_the_executable_of_these_tests_is_the_installed_one() -> None:
    assert pathlib.Path(EXECUTABLE).is_file()


def test_init_db_makes_a_table_again_that_somebody_has_dropped(machine: Machine) -> None:
    machine.tell("init-db")
    machine.change("DROP TABLE mslock_runs")
    code, out, err = machine.tell("init-db")
    assert (code, err) == (0, "")
    assert "made mslock_runs again" in out
    assert machine.tell("history")[0] == 0
    assert "nothing to do" in machine.tell("init-db")[1]
