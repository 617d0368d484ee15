"""Which database a URL means, how its file is opened, and what its errors mean to a person."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mslock import drivers, filesystem
from mslock.drivers import connect, is_local_file, label, sqlite_path
from mslock.errors import ConfigError, DatabaseError, ExitCode, NotInitialised
from tests.samples import a_record, held_row


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mslock.db"


@pytest.fixture
def connection(path: Path) -> Iterator[Any]:
    connection = connect(f"sqlite:///{path}", 10.0, [])
    yield connection
    connection.close()


def read(path: Path, news: list[str] | None = None, timeout_s: float = 10.0) -> Any:
    """One read of a name, over a connection of its own."""
    connection = connect(f"sqlite:///{path}", timeout_s, [] if news is None else news)
    try:
        return connection.fetch("read", ("report",))
    finally:
        connection.close()


def in_file(path: Path, text: str) -> Any:
    """What somebody else's program does to the file."""
    database = sqlite3.connect(path, isolation_level=None)
    try:
        return database.execute(text).fetchall()
    finally:
        database.close()


# URLs


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////var/lib/mslock/mslock.db", "/var/lib/mslock/mslock.db"),
        ("sqlite+pysqlite:////a/b.db", "/a/b.db"),
        ("sqlite:////a b#c%20", "/a b#c%20"),
        ("sqlite:////a@b:c", "/a@b:c"),
    ],
)
def test_the_file_of_a_url(url: str, path: str) -> None:
    assert sqlite_path(url) == path


@pytest.mark.parametrize("url", ["sqlite:///mslock.db", "sqlite:///var/lib/mslock.db", "sqlite://", "sqlite:///"])
def test_a_relative_path_is_refused_and_told_how_it_is_written(url: str) -> None:
    with pytest.raises(ConfigError, match="four slashes") as raised:
        sqlite_path(url)
    assert raised.value.exit_code == ExitCode.CONFIG
    assert url in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        *("", "mslock.db", "/var/lib/mslock.db", "sqlite", "sqlite:", "sqlite:/a", "sqlite:////a/", "sqlite:////"),
        *("sqlite:////a?mode=ro", "sqlite://host/a", "oracle://h/db", "mssql://h/db", "http://x", "SQLITE:////a"),
    ],
)
def test_what_is_no_url_of_a_database_that_we_work_with_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        connect(url, 1.0, [])


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@h:5432/db", "postgresql://u:***@h:5432/db"),
        ("postgresql://u:se@cr:et@h/db", "postgresql://u:***@h/db"),
        ("mysql://u:@h/db", "mysql://u:***@h/db"),
        ("mysql://u@h/db", "mysql://u@h/db"),
        ("mysql://h/db", "mysql://h/db"),
        ("sqlite:////a:b@c", "sqlite:////a:b@c"),
        ("postgresql://h/db?user=u&password=secret&x=1", "postgresql://h/db?user=u&password=***&x=1"),
        ("mysql://h/db?passwd=secret", "mysql://h/db?passwd=***"),
        ("host=h password=secret", "***"),
        ("nonsense", "nonsense"),
    ],
)
def test_a_password_is_not_shown(url: str, shown: str) -> None:
    assert label(url) == shown


@pytest.mark.parametrize(("kind", "local"), [("ext4", True), ("tmpfs", True), ("nfs4", False), ("", False)])
def test_a_file_is_this_machines_alone_on_a_kind_that_is_known_to_be(
    kind: str, local: bool, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystem, "kind", lambda _: kind)
    assert is_local_file(f"sqlite:///{path}") is local


# first use


def test_the_first_use_makes_the_file_for_its_user_alone_and_tells_so_once(path: Path) -> None:
    news: list[str] = []
    mask = os.umask(0)
    try:
        assert read(path, news)[1] is None
    finally:
        os.umask(mask)
    assert news == [f"created sqlite:///{path}: locking on this machine only"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read(path, news)[1] is None
    assert len(news) == 1


def test_the_tables_are_those_of_the_migrations_revision(path: Path) -> None:
    read(path)
    tables = in_file(path, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    assert tables == [("mslock_alembic_version",), ("mslock_locks",), ("mslock_runs",)]
    assert in_file(path, "SELECT version_num FROM mslock_alembic_version") == [(drivers.SQLITE_REVISION,)]


def test_a_file_that_is_there_keeps_its_mode_and_journal(path: Path) -> None:
    in_file(path, "PRAGMA journal_mode=WAL")
    path.chmod(0o640)
    read(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert in_file(path, "PRAGMA journal_mode") == [("wal",)]


def test_other_programs_tables_in_the_file_stay(path: Path) -> None:
    in_file(path, "CREATE TABLE theirs (a)")
    news: list[str] = []
    read(path, news)
    assert len(news) == 1
    assert in_file(path, "SELECT count(*) FROM theirs") == [(0,)]


def test_two_at_first_use_make_the_tables_once(path: Path) -> None:
    news: list[str] = []
    first, second = (connect(f"sqlite:///{path}", 10.0, news) for _ in range(2))
    try:
        assert first.fetch("read", ("report",)) is not None
        assert second.fetch("read", ("report",)) is not None
    finally:
        first.close()
        second.close()
    assert len(news) == 1


def test_full_durability_is_kept(connection: Any) -> None:
    connection.fetch("read", ("report",))
    assert connection.raw.execute("PRAGMA synchronous").fetchone() == (2,)


# where it must not lie


def test_a_network_file_system_is_refused_before_anything_is_made(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "kind", lambda _: "nfs4")
    with pytest.raises(ConfigError, match=r"network file system \(nfs4\)"):
        read(path)
    assert not path.exists()


@pytest.mark.parametrize(("kind", "word"), [("fuse.new", "fuse.new"), ("", "unknown")])
def test_an_unknown_file_system_is_told_of_and_used(
    path: Path, kind: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystem, "kind", lambda _: kind)
    news: list[str] = []
    read(path, news)
    assert f"({word})" in news[0]


# statements


def test_a_second_row_of_one_key_is_none_and_not_an_error(connection: Any) -> None:
    connection.fetch("read", ("report",))
    assert connection.change("insert", held_row().values()) == 1
    assert connection.change("insert", held_row().values()) is None
    assert connection.change("record", a_record(held_row()).values()) == 1
    assert connection.change("record", a_record(held_row()).values()) is None


def test_a_value_that_must_not_be_missing_is_an_error_and_no_lost_race(connection: Any) -> None:
    connection.fetch("read", ("report",))
    with pytest.raises(DatabaseError, match="NOT NULL"):
        connection.change("insert", held_row(fence=None).values())


def test_a_transaction_is_undone_where_its_connection_ends(path: Path, connection: Any) -> None:
    connection.fetch("read", ("report",))
    connection.begin()
    assert connection.change("insert", held_row().values()) == 1
    connection.close()
    assert read(path)[1] is None


def test_a_transaction_that_is_committed_stays(path: Path, connection: Any) -> None:
    connection.fetch("read", ("report",))
    connection.begin()
    assert connection.change("insert", held_row().values()) == 1
    connection.commit()
    assert read(path)[1] == "report"


# errors


def test_a_file_that_another_keeps_locked_is_no_answer(path: Path, connection: Any) -> None:
    connection.fetch("read", ("report",))
    connection.begin()
    other = connect(f"sqlite:///{path}", 0.0, [])
    try:
        assert other.fetch("read", ("report",)) is not None
        with pytest.raises(DatabaseError, match="locked") as raised:
            other.change("insert", held_row().values())
        with pytest.raises(DatabaseError, match="locked"):
            other.begin()
    finally:
        other.close()
    assert raised.value.exit_code == ExitCode.UNAVAILABLE
    assert str(path) in str(raised.value)


def test_a_commit_outside_a_transaction_is_an_error(connection: Any) -> None:
    with pytest.raises(DatabaseError):
        connection.commit()


@pytest.mark.parametrize("content", [b"not a database, whatever it says " * 200, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_damaged_file_is_a_matter_for_somebody(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="damaged") as raised:
        read(path)
    assert str(path) in str(raised.value)
    assert path.read_bytes() == content


def test_tables_of_another_release_say_what_to_run(path: Path) -> None:
    read(path)
    in_file(path, "ALTER TABLE mslock_locks RENAME COLUMN fence TO fences")
    with pytest.raises(NotInitialised, match="run: mslock init-db"):
        read(path)


def test_one_table_of_two_is_not_made_good_in_passing(path: Path) -> None:
    read(path)
    in_file(path, "DROP TABLE mslock_locks")
    with pytest.raises(NotInitialised, match="run: mslock init-db"):
        read(path)


def test_tables_that_vanish_within_a_transaction_are_an_error(path: Path, connection: Any) -> None:
    read(path)
    in_file(path, "DROP TABLE mslock_runs")
    connection.begin()
    with pytest.raises(NotInitialised):
        connection.change("record", a_record(held_row()).values())


def test_a_folder_that_is_not_there_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="No such file or directory") as raised:
        read(tmp_path / "none" / "mslock.db")
    assert "none/mslock.db" in str(raised.value)


def test_a_folder_in_the_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError):
        read(tmp_path)
