"""The locks, and the runs that have ended."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0001"
down_revision = None

_OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def _exact(length: int) -> sa.String:
    """Text that compares byte for byte on every database."""
    return (
        sa.String(length)
        .with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")
        .with_variant(mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")
    )


def upgrade() -> None:
    op.create_table(
        "mslock_locks",
        sa.Column("name", _exact(200), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("run_id", _exact(32), nullable=False),
        sa.Column("host", sa.String(255)),
        sa.Column("kernel_id", sa.String(100)),
        sa.Column("pid", sa.BigInteger),
        sa.Column("pid_start", sa.BigInteger),
        sa.Column("job_session", sa.BigInteger),
        sa.Column("job_start", sa.BigInteger),
        sa.Column("username", sa.String(255), nullable=False),
        sa.Column("command", sa.String(255), nullable=False),
        sa.Column("lease_until_ms", sa.BigInteger),
        sa.Column("lease_ms", sa.BigInteger, nullable=False),
        sa.Column("started_ms", sa.BigInteger),
        sa.Column("finished_ms", sa.BigInteger),
        sa.Column("cooldown_ms", sa.BigInteger, nullable=False),
        sa.Column("last_host", sa.String(255)),
        sa.Column("last_outcome", sa.String(20)),
        sa.Column("last_exit_code", sa.Integer),
        sa.PrimaryKeyConstraint("name"),
        **_OPTIONS,
    )
    op.create_table(
        "mslock_runs",
        sa.Column("name", _exact(200), nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("run_id", _exact(32), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("username", sa.String(255), nullable=False),
        sa.Column("command", sa.String(255), nullable=False),
        sa.Column("started_ms", sa.BigInteger, nullable=False),
        sa.Column("finished_ms", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("exit_code", sa.Integer),
        sa.Column("cpu_ms", sa.BigInteger),
        sa.Column("max_rss_kib", sa.BigInteger),
        sa.PrimaryKeyConstraint("name", "fence"),
        **_OPTIONS,
    )


def downgrade() -> None:
    raise NotImplementedError("steps only ever add")
