"""Alembic's environment: `mslock init-db` hands over a connection, or names a dialect whose SQL shall be printed.

Why: there is no alembic.ini; nobody but `init-db` runs these steps, so all that it knows comes as attributes.
"""

from __future__ import annotations

from alembic import context

from mslock import schema

connection = context.config.attributes.get("connection")
if connection is not None:
    context.configure(
        connection=connection,
        target_metadata=schema.metadata,
        version_table=schema.VERSION_TABLE,
    )
else:
    dialect = context.config.attributes["dialect"]
    context.configure(
        dialect_name=dialect,
        target_metadata=schema.metadata,
        version_table=schema.VERSION_TABLE,
        literal_binds=True,
        # Alembic thinks that SQLite cannot; it can, and half a set of tables is worse than none.
        transactional_ddl=dialect in ("sqlite", "postgresql"),
    )

# What is printed for others must work with databases that are older than RETURNING; the steps never need it.
context.get_context().dialect.insert_returning = False
with context.begin_transaction():
    context.run_migrations()
