"""The two tables, and every statement of the hot path, as SQLAlchemy Core.

Why: SQLAlchemy is the compiler of these statements, not their runtime: importing it costs ten times what a skip
may. `make generate` compiles them for each database into `_statements.py`, and a test finds drift. What differs
between databases is the expression for the clock, and nothing else.

Sources: the clock on MySQL is not `UNIX_TIMESTAMP(NOW(3))`, which is an hour off on the night when clocks go back.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg2
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.expression import ClauseElement, ColumnElement

from mslock.policy import Record, Row

#: How many ended runs of a name are kept.
KEPT_RUNS = 1000
VERSION_TABLE = "mslock_alembic_version"


def _exact(length: int) -> String:
    """Text that compares byte for byte on every database."""
    return (
        String(length)
        .with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")
        .with_variant(mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")
    )


_OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
metadata = MetaData()

locks = Table(
    "mslock_locks",
    metadata,
    Column("name", _exact(200), primary_key=True),
    Column("version", BigInteger, nullable=False, autoincrement=False),
    Column("fence", BigInteger, nullable=False),
    Column("run_id", _exact(32), nullable=False),
    Column("host", String(255)),
    Column("kernel_id", String(100)),
    Column("pid", BigInteger),
    Column("pid_start", BigInteger),
    Column("job_session", BigInteger),
    Column("job_start", BigInteger),
    Column("username", String(255), nullable=False),
    Column("command", String(255), nullable=False),
    Column("lease_until_ms", BigInteger),
    Column("lease_ms", BigInteger, nullable=False),
    Column("started_ms", BigInteger),
    Column("finished_ms", BigInteger),
    Column("cooldown_ms", BigInteger, nullable=False),
    Column("last_host", String(255)),
    Column("last_outcome", String(20)),
    Column("last_exit_code", Integer),
    **_OPTIONS,
)

runs = Table(
    "mslock_runs",
    metadata,
    Column("name", _exact(200), primary_key=True),
    Column("fence", BigInteger, primary_key=True, autoincrement=False),
    Column("run_id", _exact(32), nullable=False),
    Column("host", String(255), nullable=False),
    Column("username", String(255), nullable=False),
    Column("command", String(255), nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("finished_ms", BigInteger, nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("exit_code", Integer),
    Column("cpu_ms", BigInteger),
    Column("max_rss_kib", BigInteger),
    **_OPTIONS,
)


class now_ms(ColumnElement[int]):  # noqa: N801, it reads as an SQL function
    """The database's clock: milliseconds since the epoch, UTC, at the statement's own time."""

    inherit_cache = True
    type = BigInteger()


@compiles(now_ms, "sqlite")
def _sqlite_now(_element: now_ms, _compiler: Any, **_: Any) -> str:
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"


@compiles(now_ms, "postgresql")
def _postgresql_now(_element: now_ms, _compiler: Any, **_: Any) -> str:
    return "CAST(FLOOR(EXTRACT(EPOCH FROM clock_timestamp()) * 1000) AS BIGINT)"


@compiles(now_ms, "mysql")
@compiles(now_ms, "mariadb")
def _mysql_now(_element: now_ms, _compiler: Any, **_: Any) -> str:
    return "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000"


def _statements() -> dict[str, tuple[ClauseElement, tuple[str, ...]]]:
    """Each statement of the hot path, with the order in which its parameters are given."""
    # A name that was never seen still has to tell the time: hence the join on a row that is always there.
    here = select(literal_column("1").label("one")).subquery("here")
    row: dict[str, Any] = {column: bindparam(column) for column in Row.COLUMNS}
    changes = {column: parameter for column, parameter in row.items() if column != "name"}
    return {
        "read": (
            select(now_ms().label("now_ms"), *(locks.c[column] for column in Row.COLUMNS)).select_from(
                here.outerjoin(locks, locks.c.name == bindparam("name"))
            ),
            ("name",),
        ),
        "insert": (insert(locks).values(row), Row.COLUMNS),
        "update": (
            update(locks)
            .values(changes)
            .where(
                locks.c.name == bindparam("the_name"),
                locks.c.version == bindparam("read_version"),
                locks.c.run_id == bindparam("read_run_id"),
            ),
            (*changes, "the_name", "read_version", "read_run_id"),
        ),
        "record": (insert(runs).values({column: bindparam(column) for column in Record.COLUMNS}), Record.COLUMNS),
        "oldest_kept": (
            select(runs.c.fence)
            .where(runs.c.name == bindparam("name"))
            .order_by(runs.c.fence.desc())
            .limit(literal_column("1"))
            .offset(literal_column(str(KEPT_RUNS - 1))),
            ("name",),
        ),
        "prune": (
            delete(runs).where(runs.c.name == bindparam("name"), runs.c.fence < bindparam("fence")),
            ("name", "fence"),
        ),
    }


def generate() -> str:
    """The text of `_statements.py`.

    Raises:
        ValueError: a statement's parameters would not come in the order that `store` gives them in.
    """
    dialects: dict[str, Dialect] = {
        "sqlite": sqlite.dialect(paramstyle="qmark"),
        "postgresql": psycopg2.dialect(paramstyle="format"),  # type: ignore[no-untyped-call]
        "mysql": mysql.dialect(paramstyle="format"),
    }
    lines = ['"""The hot path\'s SQL, compiled from schema.py. Generated by `make generate`; do not edit."""', ""]
    lines.append("STATEMENTS = {")
    for database, dialect in dialects.items():
        lines.append(f'    "{database}": {{')
        for name, (statement, order) in _statements().items():
            text = statement.compile(dialect=dialect)
            positions = getattr(text, "positiontup", None)
            if tuple(positions or ()) != order:
                raise ValueError(f"{database}: {name} takes {positions}, not {order}")
            lines.append(f'        "{name}": "{_one_line(text)}",')
        lines.append("    },")
    lines += ["}", "", "#: How the embedded database is made at first use; the migrations make the same."]
    lines.append("SQLITE_TABLES = (")
    for table in metadata.sorted_tables:
        lines.append(f'    "{_one_line(CreateTable(table).compile(dialect=dialects["sqlite"]))}",')
    return "\n".join([*lines, ")", ""])


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


if __name__ == "__main__":
    import pathlib

    pathlib.Path(__file__).with_name("_statements.py").write_text(generate())
