"""How the tables came to be, one step a file in `versions/`, run by `mslock init-db` through Alembic.

Why: steps only ever add, so that hosts of the last release keep working while a fleet is upgraded. A step says its
tables in full and imports nothing of `schema`, which goes on changing while the step must not; a test holds the sum of
all steps to `schema.metadata`.
"""
